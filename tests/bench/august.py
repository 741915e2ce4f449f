"""The night's crowd on this one machine: how many listeners at once, crowd included, at the deepest rung.

They come faster first and slower as the house fills, and are held for more than a minute. It ends when memory runs
short, when too many have gaps, when nobody comes in any more, or when its time is over, and says which; then as many are
held as were there without a gap, if there is time left. The kernel's bounds are set for it and put back afterwards,
whatever happens; so it needs root.
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
RAMP = [(300_000, 6_000), (600_000, 4_000), (700_000, 2_000), (10_000_000, 1_000)]
HOLD_SECONDS = 75
# All of it, and what is left then for leaving.
TIME_MAX_SECONDS = 20 * 60
LEAVING_SECONDS = 60
# Of those who were there without a gap so many are held in the second attempt.
SECOND_SHARE = 0.9
CURVE_STEP = 100_000


def curve(listeners):
    """The ramp: seconds, and how many are there by then."""
    points = [(0.0, 0)]
    for upto, rate in RAMP:
        at, people = points[-1]
        step = min(upto, listeners) - people
        if step > 0:
            points.append((at + step / rate, people + step))
    return points


def ramp_seconds(listeners):
    return curve(listeners)[-1][0]


def attempt(listeners, ends):
    """A node of its own and its crowd."""
    with folder() as place, node(*house.flags(listeners, RUNG)) as serving:
        space = serving.live()
        with space.speak(1, VOICES / "01-ada.flac"):
            time.sleep(10)  # The burst is there.
            arrivals = place / "arrivals.csv"
            lines = [f"{at:.3f},{people}" for at, people in curve(listeners)]
            arrivals.write_text("\n".join(["seconds,people", *lines, ""]))
            left = ends - time.monotonic() - LEAVING_SECONDS
            url, arrive = f"{space.listen_url}/live.mp4", f"curve:{arrivals}"
            return house.rehearse(url, listeners, arrive, ramp_seconds(listeners), HOLD_SECONDS, left)


def tell(night):
    """The curve on the way, and what the full house was like."""
    most = night.most()
    figure("listeners asked for", night.asked)
    figure("listeners at once", most["listening"])
    figure("listeners at once before anybody had a gap", night.most_well())
    figure("what stopped it", night.stopped_by)
    full = [second for second in night.seconds if second["listening"] == night.asked]
    if full:
        figure("full house held for", f"{(full[-1]['at_ms'] - full[0]['at_ms']) / 1000:.0f} s")
        figure("gaps meanwhile", full[-1]["gaps"] - full[0]["gaps"])
        figure("worst wait meanwhile", f"{max(second['wait_ms'] for second in full)} ms")
        figure("cores busy meanwhile", house.words(full[len(full) // 2]))
    everything_bytes = night.left_before_bytes - night.left_min_bytes
    figure("memory of both sides and the kernel, for a listener", f"{everything_bytes / 1e3 / most['listening']:.1f} KB")
    for step in range(CURVE_STEP, night.asked + 1, CURVE_STEP):
        reached = next((second for second in night.seconds if second["listening"] >= step), None)
        if reached:
            figure(f"at {step}", house.words(reached))


def main():
    ends = time.monotonic() + TIME_MAX_SECONDS
    with house.full():
        nights = [attempt(LISTENERS, ends)]
        tell(nights[0])
        fewer = int(nights[0].most_well() * SECOND_SHARE) // 10_000 * 10_000
        needed = ramp_seconds(fewer) + HOLD_SECONDS + 2 * LEAVING_SECONDS
        if not nights[0].is_well() and fewer and ends - time.monotonic() > needed:
            nights.append(attempt(fewer, ends))
            tell(nights[1])
        figure("the most at once", max(night.most()["listening"] for night in nights), f">= {LISTENERS_MIN}")
        held = max((night.asked for night in nights if night.is_well()), default=0)
        figure("the most held for more than a minute, all of them well", held)


main()
