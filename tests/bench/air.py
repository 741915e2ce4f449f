"""What a listener costs: Throng, a bare loop of epoll and send, nginx with HLS, Icecast; the same crowd for all, in turns.

Each run: so many listeners come, listen, and after a while as many again come at once. Server and crowd have a core each
where there are two. CPU is that of the server's processes, less what they use without listeners. What makes the
programme is not counted: Throng's threads that mix, encode and record no more than the ffmpeg that feeds the others.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass

import _peers
import browser
from figures import family, figure, status_bytes, tasks
from throng import BINARY

LISTENERS = int(os.environ.get("THRONG_BENCH_LISTENERS", "15000"))
# Icecast never reached 15,000 here; its joins are a hundred per second, as its backlog is five.
PEER_LISTENERS = min(LISTENERS, 3_000)
ROUNDS = 2
# Joins are over by then, and bursts are played.
SETTLING_SECONDS = 6
IDLE_SECONDS = 10
STEADY_SECONDS = 12
FLOOD_SECONDS = 8
CHROMIUM_SECONDS = 10
# Threads of Throng that work the same for one listener and for a million.
PROGRAMME_THREADS = {"mixer", "encoder", "stage", "archive"}
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES, CROWD_CORES = (CORES[:1], CORES[1:]) if len(CORES) > 1 else (CORES, CORES)


@dataclass
class Cost:
    """What a run showed."""

    cpu_us: float
    join_us: float
    memory_bytes: float
    worst_wait_ms: int
    crowd_cpu_us: float
    gaps: int
    joined: int


@dataclass
class Mark:
    """What a server has used by a moment."""

    at: float
    cpu_us: float
    memory_bytes: int
    listening: int

    @classmethod
    def now(cls, system, listening=0):
        return cls(time.monotonic(), cpu_us(system), memory_bytes(system), listening)


def family_of(system):
    """Its processes and all that descend from them."""
    return [pid for process in system.processes for pid in family(process)]


def pin(system, cores):
    """All threads of all processes."""
    for pid in family_of(system):
        for task in tasks(pid):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)


def cpu_us(system):
    """What all threads that serve have computed so far."""
    return sum(thread_us(task) for pid in family_of(system) for task in tasks(pid))


def thread_us(task):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It has just ended.
        if (task / "comm").read_text().strip() not in PROGRAMME_THREADS:
            return int((task / "schedstat").read_text().split()[0]) / 1e3
    return 0


def memory_bytes(system):
    """What its processes have in memory."""
    return sum(status_bytes(pid, "VmRSS") for pid in family_of(system))


def crowd(system, listeners, seconds, arrive):
    """A crowd that runs beside us, and says a line each second."""
    words = ["rehearse", system.url, "--listeners", listeners, "--stay", f"{seconds}s", "--arrive", arrive]
    command = [BINARY, *map(str, words), *system.flags, "--via", system.via, "--json"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(started.pid, CROWD_CORES)
    return started


def seconds_of(process, summary):
    """Each second as it is said; the last line becomes the summary."""
    for line in process.stdout:
        said = json.loads(line)
        if "asked" in said:
            summary.update(said)
        else:
            yield said


def run(system, listeners):
    """So many listen; later as many again come at once."""
    pin(system, SERVER_CORES)
    before_us, began, empty_bytes = cpu_us(system), time.monotonic(), memory_bytes(system)
    time.sleep(IDLE_SECONDS)
    idle_us = (cpu_us(system) - before_us) / (time.monotonic() - began)
    ramp_seconds = int(system.arrive.removeprefix("ramp:").removesuffix("s")) if "ramp" in system.arrive else 0
    steady_from = ramp_seconds + SETTLING_SECONDS
    first = crowd(system, listeners, SETTLING_SECONDS + STEADY_SECONDS + FLOOD_SECONDS, system.arrive)
    empty, summary, marks, listened, flood, worst_wait_ms = Mark.now(system), {}, [], 0, None, 0
    for second in seconds_of(first, summary):
        at = second["at_ms"] / 1000
        if flood is None:
            listened += second["listening"] * (at < steady_from)
            if at >= steady_from:
                marks.append(Mark.now(system, second["listening"]))
            if at >= steady_from + STEADY_SECONDS:
                flood = crowd(system, listeners, FLOOD_SECONDS - 3, "vertical")
        elif second["listening"]:
            worst_wait_ms = max(worst_wait_ms, second["wait_ms"])
    first.wait()
    flood.communicate()
    begin, end = marks[0], marks[-1]
    each_us = ((end.cpu_us - begin.cpu_us) / (end.at - begin.at) - idle_us) / max(end.listening, 1)
    # Whatever the first seconds took beyond listening was the price of letting them in.
    joins_us = begin.cpu_us - empty.cpu_us - idle_us * (begin.at - empty.at) - each_us * listened
    return Cost(
        cpu_us=each_us,
        join_us=max(0.0, joins_us / max(summary["joined"], 1)),
        memory_bytes=max(0, end.memory_bytes - empty_bytes) / max(end.listening, 1),
        worst_wait_ms=worst_wait_ms,
        crowd_cpu_us=summary["client_cpu_us_per_audio_second"],
        gaps=summary["gaps"]["count"],
        joined=summary["joined"],
    )


def median(costs, of):
    ordered = sorted(of(cost) for cost in costs)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def tell(name, costs, listeners):
    figure(f"{name}, {listeners} listeners: joined", min(cost.joined for cost in costs))
    figure(f"{name}: CPU for a second of sound to one listener", f"{median(costs, lambda cost: cost.cpu_us):.1f} us")
    figure(f"{name}: memory for a listener", f"{median(costs, lambda cost: cost.memory_bytes) / 1000:.1f} KB")
    figure(f"{name}: CPU of a join", f"{median(costs, lambda cost: cost.join_us):.0f} us")
    worst_wait_ms = max(cost.worst_wait_ms for cost in costs)
    if worst_wait_ms:  # Of endless answers; HLS has none.
        wait = f"{worst_wait_ms} ms, {worst_wait_ms / SPAN_MS.get(name, 960):.2f} spans"
        figure(f"{name}: worst wait of steady listeners while as many join", wait, "target <= 1.1 spans")
    figure(f"{name}: gaps", max(cost.gaps for cost in costs))
    figure(f"{name}: the crowd's own CPU for a second of sound", f"{median(costs, lambda cost: cost.crowd_cpu_us):.1f} us")


SPAN_MS = {"Throng, spans of 3.84 s": 3840}
SYSTEMS = {
    "Throng": _peers.throng,
    "Throng, epoll": lambda: _peers.throng("--air-backend", "epoll"),
    "Throng, TLS": lambda: _peers.throng_over_tls("--tls-sessions", "new"),
    "Throng, TLS resumed": lambda: _peers.throng_over_tls("--tls-sessions", "resumed"),
    "bare loop": _peers.floor,
    "nginx, HLS of 2 s": _peers.nginx,
    "Icecast": _peers.icecast,
    "Throng, spans of 3.84 s": lambda: _peers.throng(rung=3),
}

PEERS = ["nginx, HLS of 2 s", "Icecast"]
COMPARED = ["Throng", "bare loop", *PEERS, "Throng, spans of 3.84 s"]
# At full size, without the peers.
ALONE = ["Throng", "Throng, epoll", "Throng, TLS", "Throng, TLS resumed", "bare loop"]
# For each second of a core.
JOINS_MIN = {"Throng": 20_000, "Throng, TLS": 3_000, "Throng, TLS resumed": 6_000}
MET_BY_CHROMIUM = ["Throng", "Throng, TLS", *PEERS]


def main():
    for program in ("nginx", "icecast2", "ffmpeg"):
        assert shutil.which(program), f"{program} is not installed"
    costs = {name: [] for name in COMPARED}
    for _ in range(ROUNDS):
        for name in COMPARED:
            with SYSTEMS[name]() as system:
                costs[name].append(run(system, PEER_LISTENERS))
                print(name, costs[name][-1], flush=True)
    for name, of in costs.items():
        tell(name, of, PEER_LISTENERS)
    cpu = {name: median(of, lambda cost: cost.cpu_us) for name, of in costs.items()}
    for peer, short, long in [("Icecast", 4, 8), ("nginx, HLS of 2 s", 3, 6)]:
        figure(f"{peer} : Throng, CPU", f"{cpu[peer] / cpu['Throng']:.2f}", f">= {short}")
        ratio = cpu[peer] / cpu["Throng, spans of 3.84 s"]
        figure(f"{peer} : Throng with spans of 3.84 s, CPU", f"{ratio:.2f}", f">= {long}")
    if LISTENERS > PEER_LISTENERS:
        whole_house()
    negotiated()


def whole_house():
    """The same without peers, at full size."""
    costs = {name: [] for name in ALONE}
    for _ in range(ROUNDS):
        for name in ALONE:
            with SYSTEMS[name]() as system:
                costs[name].append(run(system, LISTENERS))
                print(name, costs[name][-1], flush=True)
    for name in ALONE:
        tell(name, costs[name], LISTENERS)
    floor = median(costs["bare loop"], lambda cost: cost.cpu_us)
    for name in ALONE[:-1]:
        ratio = median(costs[name], lambda cost: cost.cpu_us) / floor
        limit = 1.7 if "TLS" in name else 1.2
        figure(f"{name} : bare loop, CPU, {LISTENERS} listeners", f"{ratio:.2f}", f"<= {limit}")
    for name, least in JOINS_MIN.items():
        joins = 1e6 / median(costs[name], lambda cost: cost.join_us)
        figure(f"{name}: joins in a second of one core", f"{joins:.0f}", f">= {least}")


def negotiated():
    """What a real browser makes of each."""
    pages = browser.PageServer()
    with browser.started() as playwright:
        chromium = browser.Browser(playwright, None, "--ignore-certificate-errors")
        for name in MET_BY_CHROMIUM:
            with SYSTEMS[name]() as system:
                url = pages.url("hls.html", url=system.url) if system.via == "hls" else system.url
                figure(f"Chromium with {name}, {CHROMIUM_SECONDS} s", asked_for(chromium, url, system.url))
        chromium.close()
    pages.close()


def asked_for(chromium, page_url, server_url):
    """What it asked the server for, over how many connections, in which protocol."""
    server = "/".join(server_url.split("/")[:3])
    answers = []

    def note(event):
        if event["response"]["url"].startswith(server):
            answers.append(event["response"])

    with chromium.page("about:blank", tapped=False) as page:
        inspector = page.context.new_cdp_session(page)
        inspector.on("Network.responseReceived", note)
        inspector.send("Network.enable")
        page.goto(page_url, wait_until="commit")
        with contextlib.suppress(browser.TimeoutError):
            page.get_by_role("button").first.click(timeout=2_000)
        page.wait_for_timeout(CHROMIUM_SECONDS * 1000)
    protocols = sorted({answer["protocol"] for answer in answers})
    kinds = sorted({answer["mimeType"] for answer in answers if "/" in answer["mimeType"]})
    connections = len({answer["connectionId"] for answer in answers})
    sums = f"{len(answers)} requests on {connections} connections"
    seals = sorted({sealed_with(answer["securityDetails"]) for answer in answers if "securityDetails" in answer})
    return "; ".join(filter(None, [", ".join(protocols), sums, ", ".join(kinds), ", ".join(seals)]))


def sealed_with(details):
    return f"{details['protocol']}, {details.get('keyExchangeGroup') or details['keyExchange']}, {details['cipher']}"


main()
