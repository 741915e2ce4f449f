"""A great house for five minutes: 200,000 listeners at spans of 3.84 s in one process, and nobody misses anything."""

import os
import time

import house
from figures import VOICES, figure, node

LISTENERS = int(os.environ.get("THRONG_BENCH_LISTENERS", "200000"))
# Spans of 3.84 s.
RUNG = 3
JOINS_PER_SECOND = 10_000
HOLD_SECONDS = 300
TIME_MAX_SECONDS = 500


def main():
    with house.full(), node(*house.flags(LISTENERS, RUNG)) as serving:
        space = serving.live()
        with space.speak(1, VOICES / "01-ada.flac"):
            time.sleep(10)  # The burst is there.
            ramp_seconds = max(1, LISTENERS // JOINS_PER_SECOND)
            url = f"{space.listen_url}/live.mp4"
            arrive = f"ramp:{ramp_seconds}s"
            tell(house.rehearse(url, LISTENERS, arrive, ramp_seconds, HOLD_SECONDS, TIME_MAX_SECONDS))


def tell(night):
    full = [second for second in night.seconds if second["listening"] == LISTENERS]
    held = (full[-1]["at_ms"] - full[0]["at_ms"]) / 1000 if full else 0
    # The crowd sets out a moment after the first look at the server.
    first, last = night.seconds[0], (full or night.seconds)[-1]
    memory = (last["server_memory_bytes"] - first["server_memory_bytes"]) / max(1, last["listening"] - first["listening"])
    figure("listeners asked for", LISTENERS)
    figure("joins per second on the way", round(LISTENERS / night.ramp_seconds))
    figure("full house held for", f"{held:.0f} s", f">= {HOLD_SECONDS - 2}")
    figure("gaps", last["gaps"], "<= 0")
    figure("connections lost, refused or failed", last["lost"] + last["refused"] + last["failed"], "<= 0")
    figure("worst wait", f"{max(second['wait_ms'] for second in full or night.seconds)} ms")
    figure("our memory for a listener", f"{memory:.0f} bytes", "<= 256")
    if held:
        figure("CPU of the server", f"{mean(full, 'server_cpu_millicores'):.2f} cores")
        figure("CPU of the crowd", f"{mean(full, 'client_cpu_millicores'):.2f} cores")
    figure("what stopped it", night.stopped_by)


def mean(seconds, name):
    return sum(second[name] or 0 for second in seconds) / len(seconds) / 1000


main()
