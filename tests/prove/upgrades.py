"""Twenty upgrades in a row with 5,000 listeners and a speaker: nobody is refused, nobody hears a gap, the speaker is back."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time

from disks import Journal
from figures import VOICES, at_rest, figure, folder, percentile
from throng import BINARY, ahead_of_others, wait_until
from upgrading import Newcomers, own_program, upgrade

LISTENERS = int(os.environ.get("THRONG_BENCH_LISTENERS", "5000"))
UPGRADES = 20
WORKERS = 2
# Most on our page; players of playlists have less than a second in hand.
PROGRESSIVE = LISTENERS * 9 // 10
LOOK_SECONDS = 0.02
# Players come back at once twice, and regain one such try in ten seconds: nobody upgrades more often.
EVERY_SECONDS = 12


class Listening(threading.Thread):
    """So many by one way, and what they have to say last."""

    def __init__(self, space, listeners, via):
        super().__init__(daemon=True)
        words = ["rehearse", space.listen_url, "--listeners", listeners, "--via", via, "--json"]
        words += ["--arrive", "ramp:10s", "--stay", "3600s", "--leave", "ramp:5s"]
        command = [BINARY, *map(str, words)]
        self.process = ahead_of_others(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        self.said, self.listeners = {}, listeners
        self.start()

    def run(self):
        for line in self.process.stdout:
            self.said = json.loads(line)

    def is_whole(self):
        return self.said.get("listening") == self.listeners

    def leave(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(120)
        self.join()
        return self.said


class Seat(threading.Thread):
    """Whether the speaker is on stage, asked again and again; for how long he was not, each time."""

    def __init__(self, space):
        super().__init__(daemon=True)
        self.space, self.over, self.away_seconds = space, False, 0.0
        self.start()

    def run(self):
        since = time.monotonic()
        while not self.over:
            with contextlib.suppress(OSError, AssertionError):
                if self.space.seat(1)["connected"]:
                    self.away_seconds = max(self.away_seconds, time.monotonic() - since)
                    since = time.monotonic()
            time.sleep(LOOK_SECONDS)

    def worst(self):
        """Since it was last asked."""
        worst, self.away_seconds = self.away_seconds, 0.0
        return worst


with folder() as place:
    node = own_program(place, "--air-workers", str(WORKERS))
    try:
        at_rest(node)
        space = node.live("A talk through twenty upgrades")
        speaker = space.speak(1, VOICES / "01-ada.flac")
        crowds = Listening(space, PROGRESSIVE, "progressive"), Listening(space, LISTENERS - PROGRESSIVE, "hls")
        wait_until(lambda: all(crowd.is_whole() for crowd in crowds), "all listen", 180)
        newcomers, seat, took, away = Newcomers(space), Seat(space), [], []
        for number in range(UPGRADES):
            began = time.monotonic()
            upgrade(node, seconds=180)
            took.append(time.monotonic() - began)
            wait_until(lambda: all(crowd.is_whole() for crowd in crowds), "all are back", 60)
            wait_until(lambda: space.is_talking(1), "the speaker is back", 60)
            away.append(seat.worst())
            gaps = [crowd.said["gaps"] for crowd in crowds]
            print(f"{number + 1}: {took[-1]:.1f} s, the speaker was away for {away[-1]:.2f} s; gaps so far: {gaps}", flush=True)
            time.sleep(max(0, EVERY_SECONDS - (time.monotonic() - began)))
        trouble = newcomers.leave()
        seat.over = True
        progressive, hls = (crowd.leave() for crowd in crowds)
        space.step("end")
        speaker.leave()
        journal = Journal(node, space)
        spoilt = len(journal.spoilt())
    finally:
        node.close()

figure("upgrades in a row, under load", len(took))
figure("until all of the program before have gone, median", f"{percentile(took, 50):.1f} s")
figure("newcomers meanwhile, to all three addresses", newcomers.came)
figure("of these refused or broken off", len(trouble), "<= 0")
print(*trouble, sep="\n", end="")
figure("progressive listeners", progressive["joined"], f">= {PROGRESSIVE}")
figure("gaps that they heard", progressive["gaps"]["count"], "<= 0")
figure("their requests that were refused", sum(progressive["refused_by_reason"].values()), "<= 0")
figure("HLS listeners", hls["joined"], f">= {LISTENERS - PROGRESSIVE}")
figure("gaps that they heard, with 0.96 s in hand", hls["gaps"]["count"])
figure("the speaker is on stage again after, median", f"{percentile(away, 50):.2f} s")
figure("the speaker is on stage again after, longest", f"{max(away):.2f} s", "<= 2 s")
figure("parts that nobody made (silence in the recording), for each upgrade", f"{len(journal.gaps) / len(took):.1f}")
figure("parts out of order or spoilt in the files", spoilt, "<= 0")
