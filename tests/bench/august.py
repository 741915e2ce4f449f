"""The night's crowd on this one machine: how many listeners at once, crowd included, at the deepest rung.

They come faster first and slower as the house fills, and are held for more than a minute. The kernel's bounds are set
for it and put back afterwards, whatever happens; so it needs root. It ends when memory runs short, when too many have
gaps, when nobody comes in any more, or when its time is over, and says which.
"""

import os
import time

import house
from figures import VOICES, figure, folder, node

LISTENERS = int(os.environ.get("THRONG_BENCH_LISTENERS", "1400000"))
# Below this many at once it has failed.
LISTENERS_MIN = 700_000
# The deepest: the leanest rendition, spans of 7.68 s.
RUNG = 4
# Joins per second until so many are there: the fuller the house, the less is left for doors.
RAMP = [(400_000, 10_000), (800_000, 7_000), (1_100_000, 5_000), (10_000_000, 4_000)]
HOLD_SECONDS = int(os.environ.get("HOLD", "75"))
# All of it, and what is left then for leaving.
TIME_MAX_SECONDS = 15 * 60
LEAVING_SECONDS = 120
CURVE_STEP = 100_000


def curve(place):
    """The ramp as a file for the crowd, and how long it takes."""
    people, at, lines = 0, 0.0, ["seconds,people", "0,0"]
    for upto, rate in RAMP:
        step = min(upto, LISTENERS) - people
        if step > 0:
            people, at = people + step, at + step / rate
            lines.append(f"{at:.3f},{people}")
    file = place / "arrivals.csv"
    file.write_text("\n".join(lines) + "\n")
    return file, at


def tell(night, before_bytes, ramp_seconds):
    most = max(night.seconds, key=lambda second: second["listening"])
    full = [second for second in night.seconds if second["at_ms"] >= ramp_seconds * 1000]
    full = [second for second in full if second["listening"] >= most["listening"] * 0.99]
    figure("listeners asked for", LISTENERS)
    figure("listeners at once", most["listening"], f">= {LISTENERS_MIN}")
    figure("listeners at once before anybody had a gap", max((s["listening"] for s in night.well()), default=0))
    figure("what stopped it", night.stopped_by)
    if full:
        held = (full[-1]["at_ms"] - full[0]["at_ms"]) / 1000
        figure("full house held for", f"{held:.0f} s")
        figure("gaps meanwhile", full[-1]["gaps"] - full[0]["gaps"])
        figure("worst wait meanwhile", f"{max(second['wait_ms'] for second in full)} ms")
    everything_bytes = before_bytes - night.left_min_bytes
    figure("memory of everything, for a listener", f"{everything_bytes / 1e3 / most['listening']:.1f} KB")
    for step in range(CURVE_STEP, LISTENERS + 1, CURVE_STEP):
        reached = next((second for second in night.seconds if second["listening"] >= step), None)
        if reached:
            server, crowd = (reached["server_cpu_millicores"] or 0) / 1000, reached["client_cpu_millicores"] / 1000
            words = f"{reached['joins']} joins/s; server {server:.2f}, crowd {crowd:.2f} cores; "
            words += f"sockets {(reached['socket_memory_bytes'] or 0) / 1e9:.1f} GB; {reached['gaps']} gaps; "
            figure(f"at {step}", words + f"worst wait {reached['wait_ms']} ms")


def main():
    with house.full(), folder() as place, node(*house.flags(LISTENERS, RUNG)) as serving:
        space = serving.live()
        with space.speak(1, VOICES / "01-ada.flac"):
            time.sleep(10)  # The burst is there.
            before_bytes = house.memory_left_bytes()
            arrivals, ramp_seconds = curve(place)
            assert ramp_seconds + HOLD_SECONDS + LEAVING_SECONDS < TIME_MAX_SECONDS, "too many for its time"
            url, arrive = f"{space.listen_url}/live.mp4", f"curve:{arrivals}"
            night = house.rehearse(url, LISTENERS, arrive, HOLD_SECONDS, TIME_MAX_SECONDS - LEAVING_SECONDS)
            tell(night, before_bytes, ramp_seconds)


main()
