"""Processes of a node that die or stand still, one case after the other; or those that are named.

`kills`: kill -9 at two hundred random moments of a live space, of a process chosen at random: the origin, a worker, or
the supervisor, which is started again from outside. `out-of-memory`: the kernel's own memory killer takes a worker, in a
control group with a limit. `stopped`: each kind of process stands still for 10 s (SIGSTOP), and newcomers knock meanwhile.

Two measures of the recording. What a listener was given and the recording does not have, part by part: the journal's
hash says so. And programme that had been made when the process died: from the last recorded part to the playhead at the
kill. The time in which nothing ran is no loss of the recording: it is silence in it, marked as a gap.
"""

import collections
import contextlib
import datetime
import hashlib
import http.client
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

from crowd import Hold, kill, processes
from disks import PART_SECONDS, Journal
from figures import VOICES, Clock, figure, node, percentile
from fragments import chunks
from throng import rest, wait_until

KILLS, SEED = 200, 2026
WORKERS = 2
# Some for each worker, whichever connection the kernel gives to whom.
EARS = 8
# Between a recovery and the next kill.
LIFE_SECONDS_MAX = 6.0
# One restart of the whole node in so many is itself killed before it is done.
EARLY_KILL_EVERY = 5
# 1 s of a recording, the most that a kill may take.
LOSS_PARTS_MAX = 3.125
OUT_OF_MEMORY_TIMES = 5
STOPPED_SECONDS = 10
# A player begins with so much.
CUSHION_SECONDS = 4
# A newcomer who is kept waiting for longer than this has been turned away.
KNOCK_SECONDS = 15
MEMORY = pathlib.Path("/sys/fs/cgroup/memory")
COMMANDS = {"origin": "origin", "worker": "air-worker"}


class Ear(threading.Thread):
    """A listener that comes back, keeps the hash of every part it was given, and knows when its player runs dry.

    Its player begins with the first part of a connection, and plays on in real time; a new connection goes on where the
    last one stopped, unless that was played out already."""

    def __init__(self, space, hold):
        super().__init__(daemon=True)
        self.url = urllib.parse.urlsplit(f"{space.listen_url}/live.mp4")
        self.hold = hold
        self.given, self.newest = {}, -1
        self.connections, self.dry, self.holes = 0, [], []
        self.begun = None
        self.over = False
        self.start()

    def run(self):
        while not self.over:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.listen()
            time.sleep(0.02)

    def listen(self):
        line = http.client.HTTPConnection(self.url.netloc, timeout=5)
        with contextlib.closing(line):
            line.request("GET", self.url.path)
            answer = line.getresponse()
            if answer.status != 200:
                return
            self.connections += 1
            for part, chunk in chunks(answer):
                self.take(part, chunk)
                if self.over:
                    return

    def take(self, part, chunk):
        if part > self.newest:
            self.play(part, time.monotonic())
            self.newest = part
        # What stood in while the origin was away was never programme.
        if not self.hold.has(chunk):
            self.given.setdefault(part, set()).add(hashlib.sha256(chunk).digest())

    def play(self, part, now):
        late = 0 if self.begun is None else now - (self.begun[1] + (part - self.begun[0]) * PART_SECONDS)
        if self.begun and part > self.newest + 1:
            self.holes.append((now, part - self.newest - 1))
        if late > 0:
            self.dry.append((now, late))
        if self.begun is None or late > 0:
            self.begun = (part, now)

    def dry_seconds(self, since):
        return sum(seconds for at, seconds in list(self.dry) if at >= since)

    def holes_since(self, since):
        return sum(at >= since for at, _ in list(self.holes))


class Witness:
    """Numbers that must never run backwards, as anybody can read them."""

    def __init__(self, space):
        self.space = space
        self.epoch = space.state()["epoch"]
        self.seen, self.backwards = {}, []

    def look(self):
        state = self.space.state()
        if state["epoch"] != self.epoch:
            self.backwards.append(f"epoch {self.epoch} -> {state['epoch']}")
        playlist = self.space.get("hls/o48/media.m3u8").body.decode()
        first = int(playlist.partition("#EXT-X-MEDIA-SEQUENCE:")[2].split()[0])
        newest = state["newest_segment"]
        self.note("newest segment", -1 if newest is None else newest)
        self.note("media sequence", first)
        self.note("recorded seconds", state["recording"]["seconds"])

    def note(self, what, number):
        if number < self.seen.get(what, number):
            self.backwards.append(f"{what} {self.seen[what]} -> {number}")
        self.seen[what] = number


class Talk:
    """A live space in which somebody talks, with its listeners."""

    def __init__(self, serving):
        self.serving, self.space = serving, serving.live()
        self.speaker = self.space.speak(1, VOICES / "01-ada.flac")
        hold = Hold(serving)
        # Who joins from now on is given his whole cushion.
        wait_until(lambda: self.space.recorded_seconds() > 2 * CUSHION_SECONDS, "the programme is on")
        self.ears = [Ear(self.space, hold) for _ in range(EARS)]
        self.witness = Witness(self.space)
        epoch = datetime.datetime.fromisoformat(self.space.state()["epoch"].replace("Z", "+00:00")).timestamp()
        self.playhead = lambda: (time.time() - epoch) / PART_SECONDS
        self.hear_on(time.monotonic())

    def hear_on(self, since, seconds=60):
        """Waits until all hear what was made after a moment; says when the last one did, in ms after it."""
        goal = self.playhead() - (time.monotonic() - since) / PART_SECONDS
        wait_until(lambda: all(ear.newest > goal for ear in self.ears), "all listeners hear on", seconds)
        return (time.monotonic() - since) * 1000

    def whole(self):
        """Waits until all processes are there and the origin acts."""
        wait_until(lambda: len(self.of("worker")) == WORKERS and len(self.of("origin")) == 1, "all processes are there")
        wait_until(self.acts, "the origin acts")

    def acts(self):
        with contextlib.suppress(OSError, AssertionError):
            return self.space.show()["state"] == "live"
        return False

    def of(self, kind):
        if kind == "supervisor":
            return [self.serving.process.pid]
        return processes(self.serving, COMMANDS[kind])

    def end(self):
        """Ends it, and gives its journal with how many of its parts are spoilt."""
        wait_until(self.is_talking, "the speaker is back", 60)
        self.space.step("end")
        for ear in self.ears:
            ear.over = True
        self.speaker.leave()
        journal = Journal(self.serving, self.space)
        return journal, len(journal.spoilt())

    def is_talking(self):
        with contextlib.suppress(OSError, AssertionError):
            return self.space.is_talking(1)
        return False

    def given(self):
        together = collections.defaultdict(set)
        for ear in self.ears:
            for part, hashes in list(ear.given.items()):
                together[part] |= hashes
        return together


@contextlib.contextmanager
def talk():
    with node("--air-workers", str(WORKERS)) as serving:
        yield Talk(serving)


def strike(live, kind, chance):
    """Kills one process of a kind, and the whole node while it starts again, now and then."""
    if kind != "supervisor":
        kill(chance.choice(sorted(live.of(kind))))
        return
    live.serving.kill()
    if chance.randrange(EARLY_KILL_EVERY) == 0:
        killed_while_starting(live.serving, chance)
    live.serving.start()


def killed_while_starting(serving, chance):
    """A restart that does not come to its end."""
    timer = threading.Timer(chance.uniform(0, 0.4), lambda: serving.process.kill())
    timer.start()
    try:
        serving.start()
        serving.kill()
    except AssertionError:
        serving.process.wait()
    timer.join()


class Kill:
    """What was seen of one."""

    def __init__(self, live, kind, chance):
        self.kind, self.playhead = kind, live.playhead()
        before, self.at = [ear.connections for ear in live.ears], time.monotonic()
        strike(live, kind, chance)
        self.outage_ms = live.hear_on(self.at)
        live.whole()
        live.witness.look()
        back = [ear.connections > count for ear, count in zip(live.ears, before, strict=True)]
        self.lost = sum(back)
        self.dry = max((ear.dry_seconds(self.at) for ear, lost in zip(live.ears, back, strict=True) if lost), default=0)
        others = [ear for ear, lost in zip(live.ears, back, strict=True) if not lost]
        self.others_noticed = sum(ear.dry_seconds(self.at) > 0 or ear.holes_since(self.at) > 0 for ear in others)
        self.holes = sum(ear.holes_since(self.at) for ear in live.ears)
        if self.dry or self.others_noticed:
            load, _, _ = os.getloadavg()
            print(f"noticed: {kind} at part {self.playhead:.0f}, {self.outage_ms:.0f} ms, load {load:.1f}", flush=True)


def kills(case):
    chance, seen = random.Random(SEED), []
    with talk() as live:
        for _ in range(KILLS):
            rest(chance.uniform(0, LIFE_SECONDS_MAX))
            seen.append(Kill(live, chance.choice(["origin", "worker", "supervisor"]), chance))
        journal, spoilt = live.end()
    figure(f"{case}: kills of a live space", len(seen))
    recording(case, journal, live.given(), [one.playhead for one in seen if one.kind != "worker"])
    figure(f"{case}: parts out of order or spoilt in the files", spoilt, "<= 0")
    figure(f"{case}: numbers that ran backwards", len(live.witness.backwards), "<= 0")
    print(*live.witness.backwards, sep="\n", end="")
    for kind in ("origin", "worker", "supervisor"):
        heard(f"{case}, {kind}", [one for one in seen if one.kind == kind])


def heard(case, seen):
    """What listeners noticed of one kind."""
    kind = case.rpartition(" ")[2]
    figure(f"{case}: kills", len(seen))
    outages_ms = [one.outage_ms for one in seen]
    figure(f"{case}: until all listeners have new sound, median", f"{percentile(outages_ms, 50):.0f} ms")
    figure(f"{case}: until all listeners have new sound, longest", f"{max(outages_ms):.0f} ms")
    figure(f"{case}: listeners who lost their connection, at most", max(one.lost for one in seen))
    # How soon a whole node is back is the machine's affair.
    silence = "-" if kind == "supervisor" else "<= 0 s"
    figure(f"{case}: silence at who lost it, longest", f"{max(one.dry for one in seen):.2f} s", silence)
    figure(f"{case}: others who noticed", sum(one.others_noticed for one in seen), "<= 0")
    # After the whole node was down the burst does not reach back over what nobody could hear.
    figure(f"{case}: numbers left out", sum(one.holes for one in seen), "-" if kind == "supervisor" else "<= 0")


def recording(case, journal, given, kills):
    """What became of it."""
    recorded = {part: sha256[0] for part, sha256 in journal.sha256.items()}
    missing = [part for part, hashes in given.items() if part in recorded and not hashes <= {recorded[part]}]
    lost = [sum(begin <= part < end for part in missing) for begin, end in zip([0.0, *kills], kills)]
    made = list(losses(set(journal.parts) - journal.gaps, kills))
    figure(f"{case}: of these, with parts recorded since the last", len(made))
    figure(f"{case}: parts given to listeners and not in the recording, worst", max(lost), f"<= {LOSS_PARTS_MAX}")
    figure(f"{case}: programme made and not recorded, worst", f"{max(made):.2f} parts", f"<= {LOSS_PARTS_MAX} parts")
    figure(f"{case}: the same, median", f"{percentile(made, 50):.2f} parts")


def losses(recorded, kills):
    """Programme that was made before each kill and is not in the recording, in parts. A kill that came before the first
    part of its life was whole is left out: there was less than that part to lose."""
    for begin, end in zip([0.0, *kills], kills):
        alive = [part for part in recorded if begin < part + 1 <= end]
        if alive:
            yield end - (max(alive) + 1)


@contextlib.contextmanager
def group(pid):
    """A control group of one process, in which something else eats memory until the kernel has to kill."""
    folder = MEMORY / f"throng-{pid}"
    folder.mkdir()
    try:
        (folder / "cgroup.procs").write_text(str(pid))
        used = int((folder / "memory.usage_in_bytes").read_text())
        (folder / "memory.limit_in_bytes").write_text(str(used + (64 << 20)))
        pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        yield folder
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), "the group is empty")
        folder.rmdir()


def eat(folder):
    """Something that takes memory in the group, until the kernel chooses who has to go."""
    words = "import time\ninput()\nheld = []\nwhile True:\n    held.append(b'x' * (1 << 20))\n    time.sleep(0.002)\n"
    eater = subprocess.Popen([sys.executable, "-c", words], stdin=subprocess.PIPE, text=True)
    (folder / "cgroup.procs").write_text(str(eater.pid))
    eater.stdin.write("\n")
    eater.stdin.flush()
    return eater


def out_of_memory(case):
    if not MEMORY.is_dir():
        sys.exit("this needs the memory controller of control groups, version 1")
    dry, noticed, outages_ms, killed = [], 0, [], 0
    with talk() as live:
        for _ in range(OUT_OF_MEMORY_TIMES):
            victim, before = live.of("worker")[0], [ear.connections for ear in live.ears]
            with group(victim) as folder:
                eater = eat(folder)
                wait_until(lambda victim=victim: victim not in live.of("worker"), "the kernel killed the worker")
                since = time.monotonic()
                eater.kill()
                eater.wait()
                control = (folder / "memory.oom_control").read_text()
            killed += "oom_kill 0" not in control
            outages_ms.append(live.hear_on(since))
            live.whole()
            live.witness.look()
            for ear, count in zip(live.ears, before, strict=True):
                if ear.connections > count:
                    dry.append(ear.dry_seconds(since - 1))
                else:
                    noticed += ear.dry_seconds(since - 1) > 0 or ear.holes_since(since - 1) > 0
            rest(2)
        live.end()
    figure(f"{case}: workers that the kernel's memory killer took", killed, f">= {OUT_OF_MEMORY_TIMES}")
    figure(f"{case}: until all listeners have new sound, longest", f"{max(outages_ms):.0f} ms")
    figure(f"{case}: silence at its listeners, longest", f"{max(dry, default=0):.2f} s", "<= 0 s")
    figure(f"{case}: others who noticed", noticed, "<= 0")
    figure(f"{case}: numbers that ran backwards", len(live.witness.backwards), "<= 0")


class Knocking(threading.Thread):
    """Newcomers, each on a connection of his own, four in a second, who ask for the page's facts and for sound."""

    def __init__(self, space):
        super().__init__(daemon=True)
        self.space, self.over = space, False
        self.waits, self.turned_away, self.asking = [], [], []
        self.start()

    def run(self):
        while not self.over:
            for path in ("state.json", "live.mp4"):
                one = threading.Thread(target=self.knock, args=(path,), daemon=True)
                one.start()
                self.asking.append(one)
            time.sleep(0.25)

    def knock(self, path):
        began, url = time.monotonic(), urllib.parse.urlsplit(f"{self.space.listen_url}/{path}")
        try:
            with socket.create_connection((url.hostname, url.port), timeout=KNOCK_SECONDS) as line:
                line.sendall(f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
                first = line.recv(64)
            if not first.startswith(b"HTTP/1.1 200"):
                self.turned_away.append(first)
            self.waits.append(time.monotonic() - began)
        except OSError as error:
            self.turned_away.append(error)

    def stop(self):
        self.over = True
        self.join()
        for one in self.asking:
            one.join(2 * KNOCK_SECONDS)


def stopped(case):
    with talk() as live:
        for kind in ("origin", "worker", "supervisor"):
            still(f"{case}, {kind}", live, live.of(kind)[0], kind)
        _, spoilt = live.end()
    figure(f"{case}: parts out of order or spoilt in the files", spoilt, "<= 0")
    figure(f"{case}: numbers that ran backwards", len(live.witness.backwards), "<= 0")
    print(*live.witness.backwards, sep="\n", end="")


def still(case, live, pid, kind):
    rest(12)
    before, since = [ear.connections for ear in live.ears], time.monotonic()
    knocking, clock = Knocking(live.space), Clock()
    os.kill(pid, signal.SIGSTOP)
    rest(STOPPED_SECONDS)
    os.kill(pid, signal.SIGCONT)
    knocking.stop()
    back_ms = clock.ms()
    live.hear_on(time.monotonic())
    live.whole()
    live.witness.look()
    silent = [ear.dry_seconds(since) for ear in live.ears]
    lost = sum(ear.connections > count for ear, count in zip(live.ears, before, strict=True))
    figure(f"{case}: newcomers who knocked", len(knocking.asking))
    figure(f"{case}: newcomers turned away", len(knocking.turned_away), "<= 0")
    figure(f"{case}: longest wait of one", f"{max(knocking.waits):.1f} s", f"<= {STOPPED_SECONDS + 2} s")
    figure(f"{case}: listeners with silence, of {EARS}", sum(seconds > 0 for seconds in silent), limit(kind, "<= 0"))
    figure(f"{case}: longest silence", f"{max(silent):.2f} s", limit(kind, "<= 0 s"))
    figure(f"{case}: listeners who came back on a new connection", lost, limit(kind, "<= 0"))
    figure(f"{case}: numbers left out", sum(ear.holes_since(since) for ear in live.ears), limit(kind, "<= 0"))
    assert back_ms >= STOPPED_SECONDS * 1000


def limit(kind, words):
    """Whom a worker serves that stands still cannot be served by it; all else is promised."""
    return "-" if kind == "worker" else words


CASES = {"kills": kills, "out-of-memory": out_of_memory, "stopped": stopped}

if __name__ == "__main__":
    for asked in sys.argv[1:] or CASES:
        if asked not in CASES:
            sys.exit(f"`{asked}` is not among: {', '.join(CASES)}")
    for asked in sys.argv[1:] or CASES:
        CASES[asked](asked)
