"""A retry storm: a full house loses its whole node at once, and all come back to the one that is started again.

The crowd comes back as our page does. Newcomers stand at the door at the moment at which it opens again. Seconds count
from the start of the new node.
"""

import os
import signal
import time

import house
from _crowd import Crowd
from figures import VOICES, cpu_seconds, family, figure, node, percentile
from throng import wait_until

LISTENERS = int(os.environ.get("THRONG_BENCH_LISTENERS", "200000"))
NEWCOMERS = LISTENERS // 10
# Spans of 3.84 s.
RUNG = 3
# Each goes the whole way from the page to the sound.
JOINS_PER_SECOND = 4_000
COME_SECONDS = LISTENERS // JOINS_PER_SECOND + 60
# The node writes down every five seconds who is inside.
SETTLE_SECONDS = 12
DOWN_SECONDS = 8
LOOKS = [10, 20, 30, 60]
BACK_SHARE = 0.99
WATCH_SECONDS = 90
# More, and the kernel's bounds are those of a full house.
COMMON_HOUSE = 20_000


def kill(process):
    """All of it at once, the supervisor first: nobody starts anything again."""
    for pid in family(process):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def back_after(seconds, began):
    """Seconds until nearly all hear again, if ever."""
    enough = BACK_SHARE * LISTENERS
    hear = (second["looked_s"] - began for second in seconds if second["looked_s"] > began and second["listening"] >= enough)
    return next(hear, None)


def storm(serving, space):
    inside = Crowd(space.listen_url, LISTENERS, "900s", "--arrive", f"ramp:{max(1, LISTENERS // JOINS_PER_SECOND)}s")
    wait_until(lambda: inside.seconds and inside.seconds[-1]["listening"] == LISTENERS, "all are inside", COME_SECONDS)
    time.sleep(SETTLE_SECONDS)
    before = inside.seconds[-1]
    kill(serving.process)
    time.sleep(DOWN_SECONDS)
    began = time.monotonic()
    serving.start()
    opened = time.monotonic() - began
    newcomers = Crowd(space.listen_url, NEWCOMERS, "900s", "--arrive", "vertical")
    while (passed := time.monotonic() - began) < WATCH_SECONDS:
        if passed > max(LOOKS) and back_after(inside.seconds, began):
            break
        time.sleep(1)
    cpu, is_live = cpu_seconds(serving.process), space.state()["state"] == "live"
    came_in = newcomers.leave()["joined"]
    seconds, report = list(inside.seconds), inside.leave()
    tell(before, seconds, report, began)
    figure("the node answers after", f"{opened:.1f} s")
    figure("the space is live", int(is_live), ">= 1")
    figure("newcomers at the door, and let in", f"{NEWCOMERS}, {came_in}")
    figure("CPU of the new node", f"{cpu:.1f} s in {passed:.0f} s")


def tell(before, seconds, report, began):
    after = [second for second in seconds if second["looked_s"] > began]
    figure("listeners inside", before["listening"], f">= {LISTENERS}")
    for look in LOOKS:
        hear = [second["listening"] for second in after if second["looked_s"] - began <= look]
        figure(f"hear again after {look} s", f"{100 * hear[-1] / LISTENERS:.1f} %")
    back = back_after(seconds, began)
    figure(f"until {BACK_SHARE:.0%} hear again", f"{back or WATCH_SECONDS:.0f} s", "<= 60 s")
    figure("gave up, or never got in", report["failed"] + report["troubles"].get("gave up", 0), "<= 0")
    # A connection that its player gave up meanwhile may be accepted after the next one, and pass for his return.
    figure("lost a second time", seconds[-1]["lost"] - before["lost"] - LISTENERS, f"<= {LISTENERS // 1_000}")
    figure("told to wait in the queue", report["queued"], f"<= {LISTENERS // 100}")
    figure("refusals", seconds[-1]["refused"] - before["refused"])
    storm = [second for second in after if second["looked_s"] - began <= (back or WATCH_SECONDS)]
    rates = [next_one["connects"] - one["connects"] for one, next_one in zip(storm, storm[1:])]
    figure("connects per second, median and peak", f"{percentile(rates, 50)}, {max(rates)}" if rates else "-")
    tries = (seconds[-1]["connects"] - before["connects"]) / LISTENERS
    figure("connects of each listener, those to nobody among them", f"{tries:.1f}", "<= 8")


def main():
    network = house.full if LISTENERS > COMMON_HOUSE else house.own_network
    with network(), node(*house.flags(LISTENERS, RUNG)) as serving:
        space = serving.live()
        with space.speak(1, VOICES / "01-ada.flac"):
            time.sleep(10)  # The burst is there.
            storm(serving, space)


main()
