"""A house of few places and a crowd ten and twenty times as large: what those inside hear, what the doors still do, and what a refusal costs.

The crowd obeys what it is told; once more a part of it does not: a sixth of those ask again five times a second whatever the
answer was, the others never speak, say half, drip, hardly read or send garbage, and hold their connections for as long as
they may.

The same places are filled by the same number of people alone first, in the same minute and on a node of the same build,
so that goodput is a ratio of two counts of audio. The crowd and the node share the machine.

What a refusal costs is measured apart, by a crowd that has gone before it looks how far the queue has come, in turn with a
bare loop that accepts, reads, answers and closes: the floor, most of which is the kernel's.
"""

import contextlib
import http.client
import json
import os
import threading
import time
from urllib.parse import urlsplit

import _peers
import house
from _crowd import Crowd
from figures import VOICES, certificate, cpu_seconds, cpu_seconds_of_threads, figure, node, percentile
from throng import next_after_makers

SLOTS = int(os.environ.get("THRONG_BENCH_LISTENERS", "2000"))
TIMES = [10, 20]
# Some are in before the flood; their share of the places.
INSIDE = SLOTS // 2
FLOOD_SECONDS = 40
SETTLE_SECONDS = 8
# Workers tell what they counted every five seconds.
METRICS_SECONDS = 6
# As many disobedient as there are places, and once more.
DISOBEDIENT = ["--misbehaving", str(2 * SLOTS)]
HOST_ACTS_EVERY_SECONDS = 0.1
HOST_ADDRESS = "127.0.0.99"
# The threads that answer at the door. What encoders and mixer take beside them differs from run to run by more than all
# refusals do.
DOORKEEPERS = "air"
# A player with a tenth of a second too little has heard it.
GOODPUT_MIN = {("plain", 10): 0.9, ("plain", 20): 0.8}
REFUSAL_MAX_US = 40
# Ours weighs who may come in, draws a ticket and counts.
REFUSAL_TO_FLOOR_MAX = 1.7
REFUSAL_ROUNDS = 3
# Nobody is told to look sooner.
GONE_SECONDS = 3


def apart(method, url, body=None, headers={}):
    """A request on a connection of its own, from an address at which the crowd has not used up the ports."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=30, source_address=(HOST_ADDRESS, 0))
    with contextlib.closing(connection):
        connection.request(method, parts.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


class Host:
    """Asks for his space and changes why it waits, again and again, each time on a new connection."""

    def __init__(self, space):
        self.space, self.over, self.took_ms, self.failed = space, False, [], 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        # He has a machine of his own: how long he waits for a processor that the crowd has is none of the node's figures.
        with next_after_makers():
            self.act()

    def act(self):
        turn = 0
        while not self.over:
            turn += 1
            began = time.monotonic()
            body = json.dumps({"title": f"A conversation, {turn}"})
            headers = {"content-type": "application/json", "authorization": f"Bearer {self.space.host_key}"}
            status, _ = apart("PATCH", f"{self.space.desk}/api/spaces/{self.space.slug}", body, headers)
            self.took_ms.append((time.monotonic() - began) * 1000)
            self.failed += status != 200
            time.sleep(HOST_ACTS_EVERY_SECONDS)

    def leave(self):
        self.over = True
        self.thread.join()


def metrics(serving, name):
    _, text = apart("GET", f"{serving.links['internal']}/metrics")
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def flood(times, node_flags, crowd_flags, flood_flags=()):
    """A node whose places are half taken, and a crowd of so many times its places at once."""
    # The ports of a crowd that has gone are not free again for a minute.
    with house.own_network(), node("--rung", "0", "--listeners-max", str(SLOTS), *node_flags) as serving:
        space = serving.live()
        stream = f"{space.listen_url}/live.mp4"
        with space.speak(1, VOICES / "01-ada.flac"):
            time.sleep(SETTLE_SECONDS)
            inside = Crowd(stream, INSIDE, "300s", "--arrive", "ramp:2s", *crowd_flags)
            time.sleep(SETTLE_SECONDS)
            host = Host(space)
            before = cpu_seconds_of_threads(serving.process, DOORKEEPERS)
            crowd = Crowd(stream, int(SLOTS * times), f"{FLOOD_SECONDS}s", "--arrive", "vertical", *crowd_flags, *flood_flags)
            report = crowd.over()
            spent = cpu_seconds_of_threads(serving.process, DOORKEEPERS) - before
            host.leave()
            time.sleep(METRICS_SECONDS)
            asked = metrics(serving, "throng_air_waits_total"), metrics(serving, "throng_air_answers_total")
            incumbents = inside.leave()
    return report, incumbents, host, spent, asked


def tell(name, times, alone, seen):
    report, incumbents, host, spent, (refused, answered) = seen
    alone_report, _, _, alone_spent, _ = alone
    label = f"{name}, {times}x"
    goodput = report["delivered_audio_seconds"] / alone_report["delivered_audio_seconds"]
    limit = GOODPUT_MIN.get((name, times))
    figure(f"{label}: goodput", f"{goodput:.3f}", f">= {limit}" if limit else "-")
    figure(f"{label}: came in", f"{report['joined']} of {SLOTS - INSIDE} places", "-")
    figure(f"{label}: queued", report["queued"])
    figure(f"{label}: failed", report["failed"], "<= 0" if limit else "-")
    figure(f"{label}: listeners inside with a gap", incumbents["gaps"]["listeners"], "<= 0")
    figure(f"{label}: listeners inside who were lost", incumbents["failed"], "<= 0")
    first = report["first_sound_ms"]
    figure(f"{label}: first sound of those let in, p50, p99", f"{first['p50']}, {first['p99']} ms", "target <= 500 ms")
    if report["misbehaved"]:
        figure(f"{label}: connections of the disobedient, shown out", f"{report['misbehaved']}, {report['shown_out']}")
    figure(f"{label}: refusals", f"{refused:.0f}")
    figure(f"{label}: looks at how far the queue has come", f"{answered:.0f}")
    if refused:
        each = (spent - alone_spent) / (refused + answered) * 1e6
        figure(f"{label}: CPU of a refusal or a look, with its connection", f"{each:.0f} us")
    took = host.took_ms
    figure(f"{label}: host's acts, p50, p99", f"{percentile(took, 50):.0f}, {percentile(took, 99):.0f} ms", "target <= 100 ms")
    figure(f"{label}: host's acts that failed", host.failed, "<= 0")


def knocked(stream, knocks, spent):
    """What a crowd tells that knocks at once and has soon gone, and the CPU seconds that it cost, as `spent` counts them."""
    before = spent()
    report = Crowd(stream, knocks, f"{GONE_SECONDS}s", "--arrive", "vertical").over()
    return report, spent() - before


def refused_by_us(knocks):
    """What a refusal costs a house with one place, in microseconds."""
    with house.own_network(), node("--rung", "0", "--listeners-max", "1") as serving:
        stream = f"{serving.live().listen_url}/live.mp4"
        time.sleep(SETTLE_SECONDS)
        _, spent = knocked(stream, knocks, lambda: cpu_seconds_of_threads(serving.process, DOORKEEPERS))
        time.sleep(METRICS_SECONDS)
        return spent / metrics(serving, "throng_air_waits_total") * 1e6


def refused_by_floor(knocks):
    with house.own_network(), _peers.floor("refuse") as system:
        report, spent = knocked(system.url, knocks, lambda: cpu_seconds(system.processes[0]))
        return spent / report["refused_by_reason"]["status 503"] * 1e6


def refusals():
    """What it costs to tell somebody when to come again, with his connection."""
    knocks = SLOTS * max(TIMES)
    ours, floor = zip(*((refused_by_us(knocks), refused_by_floor(knocks)) for _ in range(REFUSAL_ROUNDS)))
    us, floor_us = percentile(ours, 50), percentile(floor, 50)
    figure("CPU of a refusal, with its connection", f"{us:.0f} us", f"target <= {REFUSAL_MAX_US} us")
    figure("CPU of a refusal, least to most", f"{min(ours):.0f} to {max(ours):.0f} us")
    figure("CPU of a refusal by a bare loop", f"{floor_us:.0f} us")
    figure("refusal : bare loop, CPU", f"{us / floor_us:.2f}", f"<= {REFUSAL_TO_FLOOR_MAX}")


def ways():
    """By name: what the node is told, each crowd, and the flood alone."""
    yield "plain", [], [], [[], DISOBEDIENT]
    with certificate() as flags:
        yield "TLS", flags, ["--insecure", "--tls-sessions", "new"], [[]]


def main():
    refusals()
    for name, node_flags, crowd_flags, floods in ways():
        # As many as there are places left.
        alone = flood((SLOTS - INSIDE) / SLOTS, node_flags, crowd_flags)
        for flood_flags in floods:
            label = f"{name}, some disobey" if flood_flags else name
            for times in TIMES:
                tell(label, times, alone, flood(times, node_flags, crowd_flags, flood_flags))


main()
