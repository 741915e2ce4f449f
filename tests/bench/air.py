"""What a listener costs: Throng, a bare loop of epoll and send, nginx with HLS, Icecast; the same crowd for all, in turns.

Each run: so many listeners come, listen, and after a while as many again come at once. Server and crowd have a core each
where there are two. CPU is that of the server's processes; what Throng uses without listeners (mixing, encoding) is
measured before and taken off.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass

from figures import EXAMPLES, VOICES, cpu_seconds, figure, folder, node
from throng import BINARY, wait_until

LISTENERS = int(os.environ.get("THRONG_BENCH_LISTENERS", "15000"))
# Icecast never reached 15,000 here; its joins are a hundred per second, as its backlog is five.
PEER_LISTENERS = min(LISTENERS, 3_000)
ROUNDS = 2
# Joins are over by then, and bursts are played.
SETTLING_SECONDS = 6
STEADY_SECONDS = 12
FLOOD_SECONDS = 8
PATIENCE_SECONDS = 120
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES, CROWD_CORES = (CORES[:1], CORES[1:]) if len(CORES) > 1 else (CORES, CORES)


@dataclass
class System:
    """One way to serve."""

    name: str
    url: str
    processes: list
    via: str = "progressive"
    arrive: str = "vertical"


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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pin(process, cores):
    """All threads of a process and what descends from it."""
    with contextlib.suppress(ProcessLookupError):
        for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running(command, **more):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def sound(*output):
    """48 kb/s of AAC in real time, from a voice."""
    source = ["-re", "-stream_loop", "-1", "-i", str(VOICES / "01-ada.flac"), "-ac", "1", "-ar", "48000"]
    return ["ffmpeg", "-nostdin", "-loglevel", "error", *source, "-c:a", "aac", "-b:a", "48k", *output]


@contextlib.contextmanager
def throng():
    with node() as serving:
        space = serving.live()
        with space.speak(1, VOICES / "01-ada.flac"):
            yield System("Throng", space.listen_url, [serving.process])


@contextlib.contextmanager
def floor(span_parts=3):
    port = free_port()
    with running([EXAMPLES / "floor", f"127.0.0.1:{port}", str(span_parts)]) as process:
        wait_until(lambda: listens(port), "the floor listens")
        yield System("bare loop", f"http://127.0.0.1:{port}/live.mp4", [process])


NGINX = """
daemon off; master_process off; worker_rlimit_nofile 20000; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 19000; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 75; keepalive_requests 1000000;
  open_file_cache max=100 inactive=10s; open_file_cache_valid 1s;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  types {{ application/vnd.apple.mpegurl m3u8; video/mp4 m4s mp4; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; }}
}}
"""


@contextlib.contextmanager
def nginx():
    port = free_port()
    with folder() as place:
        (place / "nginx.conf").write_text(NGINX.format(folder=place, port=port))
        hls = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "8", "-hls_flags", "delete_segments"]
        hls += ["-hls_segment_type", "fmp4", "-hls_segment_filename", str(place / "%d.m4s"), str(place / "live.m3u8")]
        with running(sound(*hls)), running(["nginx", "-c", place / "nginx.conf", "-p", place]) as process:
            wait_until((place / "3.m4s").exists, "some segments are there", PATIENCE_SECONDS)
            yield System("nginx, HLS of 2 s", f"http://127.0.0.1:{port}/live.m3u8", [process], via="hls")


ICECAST = """<icecast>
  <limits><clients>19000</clients><sources>2</sources><queue-size>524288</queue-size>
    <burst-on-connect>0</burst-on-connect><burst-size>0</burst-size></limits>
  <authentication><source-password>bench</source-password><admin-password>bench</admin-password></authentication>
  <hostname>127.0.0.1</hostname><listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <paths><logdir>{folder}</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths>
  <logging><errorlog>error.log</errorlog><loglevel>1</loglevel></logging>
  <security><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
</icecast>
"""


@contextlib.contextmanager
def icecast():
    port = free_port()
    with folder() as place:
        os.chmod(place, 0o777)
        (place / "icecast.xml").write_text(ICECAST.format(folder=place, port=port))
        with running(["icecast2", "-c", place / "icecast.xml"]) as process:
            wait_until(lambda: listens(port), "Icecast listens")
            mount = f"icecast://source:bench@127.0.0.1:{port}/live.aac"
            with running(sound("-f", "adts", "-content_type", "audio/aac", mount)):
                url = f"http://127.0.0.1:{port}/live.aac"
                wait_until(lambda: sounds(url), "Icecast has sound")
                yield System("Icecast", url, [process], via="plain", arrive="ramp:40s")


def cpu_us(system):
    return sum(cpu_seconds(process) for process in system.processes) * 1e6


def sounds(url):
    """Whether an endless answer has begun."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
        return bool(answer.read(1))
    return False


def memory_bytes(system):
    """What its processes have in memory."""
    resident = 0
    for process in system.processes:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        resident += int(status.partition("VmRSS:")[2].split()[0]) * 1024
    return resident


def crowd(system, listeners, seconds, arrive):
    """A crowd that runs beside us, and says a line each second."""
    words = ["rehearse", system.url, "--listeners", listeners, "--stay", f"{seconds}s", "--arrive", arrive]
    command = [BINARY, *map(str, words), "--via", system.via, "--json"]
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
    for process in system.processes:
        pin(process, SERVER_CORES)
    before_us, began, empty_bytes = cpu_us(system), time.monotonic(), memory_bytes(system)
    time.sleep(3)
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
        figure(f"{name}: worst wait of steady listeners while as many join", f"{worst_wait_ms} ms")
    figure(f"{name}: gaps", max(cost.gaps for cost in costs))
    figure(f"{name}: the crowd's own CPU for a second of sound", f"{median(costs, lambda cost: cost.crowd_cpu_us):.1f} us")


def main():
    for program in ("nginx", "icecast2", "ffmpeg"):
        assert shutil.which(program), f"{program} is not installed"
    systems = [("Throng", throng), ("bare loop", floor), ("nginx, HLS of 2 s", nginx), ("Icecast", icecast)]
    costs = {name: [] for name, _ in systems}
    for _ in range(ROUNDS):
        for name, start in systems:
            with start() as system:
                costs[name].append(run(system, PEER_LISTENERS))
                print(name, costs[name][-1], flush=True)
    for name, _ in systems:
        tell(name, costs[name], PEER_LISTENERS)
    cpu = {name: median(of, lambda cost: cost.cpu_us) for name, of in costs.items()}
    figure("Throng : bare loop, CPU", f"{cpu['Throng'] / cpu['bare loop']:.2f}", "target <= 1.2")
    figure("Icecast : Throng, CPU", f"{cpu['Icecast'] / cpu['Throng']:.2f}", "target >= 4")
    figure("nginx, HLS of 2 s : Throng, CPU", f"{cpu['nginx, HLS of 2 s'] / cpu['Throng']:.2f}", "target >= 3")
    if LISTENERS > PEER_LISTENERS:
        whole_house()


def whole_house():
    """The same without peers, at full size."""
    costs = {}
    for name, start in [("Throng", throng), ("bare loop", floor)]:
        with start() as system:
            costs[name] = [run(system, LISTENERS)]
            tell(name, costs[name], LISTENERS)
    ratio = costs["Throng"][0].cpu_us / costs["bare loop"][0].cpu_us
    figure(f"Throng : bare loop, CPU, {LISTENERS} listeners", f"{ratio:.2f}", "target <= 1.2")


main()
