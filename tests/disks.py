"""Disks that fail under a node, and what is seen of it: by who listens, by the host, and in the recording."""

import contextlib
import hashlib
import http.client
import os
import pathlib
import re
import sqlite3
import struct
import subprocess
import threading
import time
import urllib.parse

from figures import at_rest, folder
from fragments import chunks
from throng import Node, request, wait_until

PART_SECONDS = 0.32
# 1 s of a recording: the most that a fault may take of what could be read already.
LOST_PARTS_MAX = 3
# A burst of 4 s less one span of 0.96 s: so late may a part be before a player that joined at once runs dry.
CUSHION_SECONDS = 3.0
ARCHIVE, STORE = "/archive/", "/throng.db"
RENDITIONS = ("o48", "o24", "o16", "a64", "a32")


class FaultyDisk:
    """A node's disk that fails when it is told to (`faulty_disk.c`)."""

    def __init__(self, folder):
        source = pathlib.Path(__file__).with_name("faulty_disk.c")
        library, self.control = folder / "faulty_disk.so", folder / "fault"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.well()
        self.env = {**os.environ, "LD_PRELOAD": str(library), "FAULTY_DISK": str(self.control)}

    def fail(self, kind, number, part):
        unfinished = self.control.with_suffix(".new")
        unfinished.write_text(f"{kind} {number} {part}\n" if kind else "")
        unfinished.rename(self.control)

    def well(self):
        self.fail("", 0, "")

    @contextlib.contextmanager
    def failing(self, kind, number=0, part=ARCHIVE):
        self.fail(kind, number, part)
        try:
            yield
        finally:
            self.well()


class Ear(threading.Thread):
    """A listener that keeps what each part hashes to, and when it came; where it is cut off it comes back."""

    def __init__(self, space):
        super().__init__(daemon=True)
        self.url = urllib.parse.urlsplit(f"{space.listen_url}/live.mp4?l=ear")
        self.given, self.order, self.connections = {}, [], 0
        self.late_seconds = 0
        self.over = False
        self.start()
        wait_until(lambda: self.order, "the listener hears")

    def run(self):
        while not self.over:
            with contextlib.suppress(OSError, EOFError, http.client.HTTPException):
                self.listen()
            time.sleep(0.02)

    def listen(self):
        line = http.client.HTTPConnection(self.url.netloc, timeout=30)
        line.request("GET", f"{self.url.path}?{self.url.query}")
        with line.getresponse() as answer:
            if answer.status != 200:
                raise EOFError
            self.connections += 1
            began = None
            for part, chunk in chunks(answer):
                began = began or (part, time.monotonic())
                due = began[1] + (part - began[0]) * PART_SECONDS
                self.late_seconds = max(self.late_seconds, time.monotonic() - due)
                self.given[part] = hashlib.sha256(chunk).digest()
                self.order.append(part)
                if self.over:
                    return

    def newest(self):
        return max(self.order, default=-1)

    def hears_on(self, parts=6):
        until = self.newest() + parts
        wait_until(lambda: self.newest() >= until, "the listener hears on")

    def gaps(self):
        """Places in what came where a part is missing or comes again."""
        return [(a, b) for a, b in zip(self.order, self.order[1:], strict=False) if b != a + 1]

    def stop(self):
        self.over = True
        self.join()


class Journal:
    """What the recording of a space says that it holds, and whether the files do."""

    HEADER, RECORD = 24 + 5 * 44 + 4, 20 + 5 * 44 + 4

    def __init__(self, node, space):
        self.folder = node.data / "archive" / space.created["id"]
        kept = (self.folder / "journal").read_bytes()
        self.parts, self.gaps, self.sha256, self.ends = [], set(), {}, {}
        for at in range(self.HEADER, len(kept) - self.RECORD + 1, self.RECORD):
            part, _, flags = struct.unpack_from("<QqI", kept, at)
            self.parts.append(part)
            if flags & 1:
                self.gaps.add(part)
            extents = [struct.unpack_from("<QI32s", kept, at + 20 + i * 44) for i in range(5)]
            self.sha256[part] = [sha256 for _, _, sha256 in extents]
            self.ends[part] = [(end, length) for end, length, _ in extents]

    def spoilt(self):
        """Parts that do not follow, or whose bytes are not what the journal says."""
        wrong = {b for a, b in zip(self.parts, self.parts[1:], strict=False) if b != a + 1}
        for place, rendition in enumerate(RENDITIONS):
            media = (self.folder / f"{rendition}.mp4").read_bytes()
            for part in self.parts:
                end, length = self.ends[part][place]
                if hashlib.sha256(media[end - length : end]).digest() != self.sha256[part][place]:
                    wrong.add(part)
        return wrong

    def otherwise(self, given):
        """Parts that were heard in another form than they are recorded, gaps aside."""
        both = set(list(given)) & set(self.parts) - self.gaps
        return {part for part in both if given[part] != self.sha256[part][0]}

    def lacks(self, given):
        """Parts up to the newest recorded one that were heard and are missing, or silence."""
        heard = {part for part in list(given) if self.parts[0] <= part <= self.parts[-1]}
        return heard - (set(self.parts) - self.gaps)


def metric(node, name):
    """The sum of a metric over all its labels."""
    text = request("GET", f"{node.links['internal']}/metrics").body.decode()
    pattern = re.escape(name) + r"(?:\{[^}]*\})? ([0-9.e+]+)$" if "{" not in name else re.escape(name) + r" ([0-9.e+]+)$"
    return sum(float(value) for value in re.findall(f"^{pattern}", text, re.MULTILINE))


def alarm(space, kind):
    """The alarm of a kind that the host is shown now."""
    return next((alarm for alarm in space.show()["alarms"] if alarm["kind"] == kind), None)


def raised(space, kind, seconds=30):
    """Waits for an alarm, and gives it with the seconds that it took."""
    began = time.monotonic()
    found = wait_until(lambda: alarm(space, kind), f"the host is told of the {kind}", seconds)
    assert metric(space.node, f'throng_alarms{{kind="{kind}"}}') >= 1
    return found, time.monotonic() - began


def ended(space, kind, seconds=60):
    wait_until(lambda: alarm(space, kind) is None, f"the {kind} is well again", seconds)


def recorded(node, space, part):
    """Waits until a part is in the journal."""
    wait_until(lambda: Journal(node, space).parts[-1:] >= [part], f"part {part} is recorded")
    return Journal(node, space)


def silences(node):
    """What would be heard if the programme itself had suffered."""
    names = ("mixer_missed_frames", "encoder_dropped_frames", "air_stand_ins")
    return sum(metric(node, f"throng_{name}_total") for name in names)


@contextlib.contextmanager
def locked(node):
    """Another program holds the database."""
    line = sqlite3.connect(node.data / "throng.db", timeout=30, isolation_level=None)
    line.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        line.execute("ROLLBACK")
        line.close()


@contextlib.contextmanager
def closed(node):
    """Another program has the database for itself: it cannot even be read. For a node that does not run."""
    line = sqlite3.connect(node.data / "throng.db", isolation_level=None)
    line.execute("PRAGMA locking_mode = EXCLUSIVE")
    line.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        line.close()


def refused(answer):
    """Whether a change was refused as it should be: with a reason, and when to try again."""
    return (
        answer.status == 503
        and answer.header("content-type") == "application/problem+json"
        and int(answer.header("retry-after")) > 0
        and bool(answer.json()["detail"])
    )


def try_create(node, title):
    return request("POST", f"{node.links['desk']}/api/spaces", {"title": title}, node.operator)


def titles(node):
    spaces = request("GET", f"{node.links['desk']}/api/spaces", key=node.operator).json()["spaces"]
    return {space["title"] for space in spaces}


def live(node):
    """A live space with a listener, at rest: the first parts are recorded."""
    space = node.live("A conversation on a poor disk")
    ear = Ear(space)
    recorded(node, space, ear.newest() + 6)
    return space, ear


def node_on(data, disk=None):
    return Node(data, env=disk.env if disk else None)


@contextlib.contextmanager
def event(data, disk=None):
    """A live space on a node of its own, with a listener. What the node logs lies beside its data folder."""
    node = node_on(data, disk)
    try:
        at_rest(node)
        space, ear = live(node)
        yield node, space, ear
        ear.stop()
    finally:
        node.close()


@contextlib.contextmanager
def faulty():
    """The same on a disk that fails when it is told to."""
    with folder() as place:
        disk = FaultyDisk(place)
        try:
            with event(place / "data", disk) as (node, space, ear):
                yield disk, node, space, ear
        finally:
            disk.well()


def heard(ear, suffered, node):
    """What listeners noticed, as figures."""
    yield "gaps heard", len(ear.gaps()) + ear.connections - 1, "<= 0"
    yield "latest part, against a player's cushion", f"{ear.late_seconds:.2f} s", f"<= {CUSHION_SECONDS} s"
    yield "frames of the programme that were lost", silences(node) - suffered, "<= 0"
