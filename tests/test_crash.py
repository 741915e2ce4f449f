"""kill -9 in mid-event, at random moments: the event goes on by itself, and what was heard stays what it was."""

import contextlib
import datetime
import http.client
import io
import random
import threading
import time
import urllib.parse

import numpy as np
import pytest

import signal_kit
from fragments import chunks
from throng import Node, command, request, wait_until

pytestmark = pytest.mark.aside

SEED = 2026
# How each life of the node ends. One restart is itself killed before it is of any use.
ENDINGS = ["kill", "kill while starting", "stop", "kill"]
LIFE_SECONDS_MAX = 6.0
# Reconnecting clients draw their pauses at random, and the machine may be busy.
BACK_SECONDS = 90
PART_SECONDS = 0.32
PARTS_PER_SEGMENT = 12
# Less than 1 s of the newest may be lost to a kill, and nothing older.
LOST_PARTS_MAX = 3
# A voice that is not there stays under 0.15.
ABSENT_MAX = 0.25
PRESENCE_SECONDS = 4


class Listener(threading.Thread):
    """Keeps every part that it is given, by number, and comes back when it is cut off."""

    def __init__(self, space):
        super().__init__(daemon=True)
        self.space = space
        self.given = {}
        self.changed = set()
        self.over = False

    def run(self):
        while not self.over:
            with contextlib.suppress(OSError, EOFError, http.client.HTTPException):
                self.listen()
            time.sleep(0.02)

    def keep(self, part, chunk):
        if self.given.setdefault(part, chunk) != chunk:
            self.changed.add(part)

    def newest(self):
        return max(self.given, default=-1)


class Progressive(Listener):
    """One endless answer; it is told from where to go on by nobody, so that it hears the newest seconds again."""

    def listen(self):
        url = urllib.parse.urlsplit(f"{self.space.listen_url}/live.mp4?l=crash")
        line = http.client.HTTPConnection(url.netloc, timeout=5)
        line.request("GET", f"{url.path}?{url.query}")
        with line.getresponse() as answer:
            assert answer.status == 200
            for part, chunk in chunks(answer):
                self.keep(part, chunk)
                if self.over:
                    return


class InParts(Listener):
    """Asks for one part after the other, each before it is made: it has a part as soon as anybody can."""

    def __init__(self, space):
        super().__init__(space)
        self.next = (space.state()["newest_segment"] or 0) * PARTS_PER_SEGMENT

    def listen(self):
        answer = self.space.get(part_path(self.next))
        if answer.status == 200:
            self.keep(self.next, answer.body)
            self.next += 1


def part_path(part):
    return f"hls/o48/{part // PARTS_PER_SEGMENT}.{part % PARTS_PER_SEGMENT}.m4s"


def timeless(chunk):
    """A chunk without its two numbers of place, which the replay counts from go-live on."""
    bare = bytearray(chunk)
    for kind, length in ((b"mfhd", 4), (b"tfdt", 8)):
        at = chunk.index(kind) + 8
        bare[at : at + length] = bytes(length)
    return bytes(bare)


def moment(text):
    return datetime.datetime.fromisoformat(text).timestamp()


class Event:
    """A live space with a speaker and two listeners, through several lives of its node."""

    def __init__(self, node, voice):
        self.node = node
        self.space = node.live("A robust conversation")
        state = self.space.state()
        # What comes before is the hold programme, which is not recorded.
        self.live_part = round((moment(state["started_at"]) - moment(state["epoch"])) / PART_SECONDS)
        self.chance = random.Random(SEED)
        self.speaker = self.space.speak(1, voice)
        self.listeners = [Progressive(self.space), InParts(self.space)]
        # What could be read before each life ended, and after the next had begun.
        self.numbers = []
        # What listeners had been given before each end, and what the part's URL answers after it.
        self.kept = []

    def run(self):
        for listener in self.listeners:
            listener.start()
        for ending in ENDINGS:
            self.live_for_a_while()
            self.end_life(ending)
        self.live_for_a_while()
        self.heard_at_last = self.space.recording(PRESENCE_SECONDS)
        self.still_speaking = self.speaker.process.poll() is None
        for listener in self.listeners:
            listener.over = True
            listener.join()

    def live_for_a_while(self):
        """Until everybody is back, and then some time."""
        wait_until(lambda: self.space.is_talking(1), "the speaker talks", BACK_SECONDS)
        first = self.newest_part()
        for listener in self.listeners:
            wait_until(lambda listener=listener: listener.newest() > first, f"{listener} hears on", BACK_SECONDS)
        over = time.monotonic() + self.chance.uniform(PRESENCE_SECONDS, LIFE_SECONDS_MAX)
        wait_until(lambda: time.monotonic() >= over, "the moment has come")

    def newest_part(self):
        """The part that is in the making now, by the clock."""
        return int((time.time() - moment(self.space.state()["epoch"])) / PART_SECONDS)

    def end_life(self, ending):
        before = self.readable()
        if ending == "stop":
            assert self.node.stop() == 0
        else:
            self.node.kill()
        given = self.heard()
        self.node.start()
        if ending == "kill while starting":
            self.node.kill()
            self.node.start()
        self.numbers.append((before, self.readable()))
        present = {part: self.space.get(part_path(part)).body for part in given}
        self.kept.append((ending, given, present))

    def heard(self):
        """All that listeners were given so far of the talk."""
        given = [item for listener in self.listeners for item in list(listener.given.items())]
        return {part: chunk for part, chunk in given if part >= self.live_part}

    def may_be_lost(self):
        """The newest parts at each kill. A stop takes none."""
        newest = [max(given) for ending, given, _ in self.kept if ending != "stop"]
        return {part for end in newest for part in range(end - LOST_PARTS_MAX + 1, end + 1)}

    def readable(self):
        """Numbers that anybody can read, and that never run backwards."""
        state = self.space.state()
        assert state["state"] == "live"
        playlist = self.space.get("hls/o48/media.m3u8").body.decode()
        return {
            "epoch": moment(state["epoch"]),
            "started": moment(state["started_at"]),
            "newest segment": state["newest_segment"],
            "media sequence": int(playlist.partition("#EXT-X-MEDIA-SEQUENCE:")[2].split()[0]),
            "recorded seconds": state["recording"]["seconds"],
        }


@pytest.fixture(scope="module")
def event(voices, tmp_path_factory):
    """The event after all its crashes, still live."""
    node = Node(tmp_path_factory.mktemp("crash") / "data")
    try:
        event = Event(node, voices["ada"])
        event.run()
        yield event
        event.speaker.leave()
    finally:
        node.close()


@pytest.fixture(scope="module")
def over(event):
    """The event after its end."""
    event.space.step("end")
    wait_until(lambda: event.space.get("hls/o48/replay.m3u8").status == 200, "the replay is there")
    return event


def test_timeline_and_numbers_go_on(event):
    for before, after in event.numbers:
        assert before["epoch"] == after["epoch"] and before["started"] == after["started"]
        assert all(before[name] <= after[name] for name in before), (before, after)


def test_what_a_listener_was_given_stays_at_its_url(event):
    for ending, given, present in event.kept:
        lost = {part for part in given if present[part] != given[part]}
        assert lost <= event.may_be_lost(), (ending, lost, max(given))


def test_no_part_is_heard_in_two_forms(event):
    for listener in event.listeners:
        assert listener.changed <= event.may_be_lost()


def test_a_listener_who_asks_part_by_part_misses_no_number(event):
    given = sorted(event.listeners[1].given)
    assert given == list(range(given[0], given[-1] + 1))


def test_the_speaker_comes_back_with_the_old_link(event):
    assert event.still_speaking, "one process from the first life to the last"
    presence = signal_kit.presence(signal_kit.speech("ada"), event.heard_at_last)
    assert np.median(presence) > ABSENT_MAX, presence


def test_what_was_heard_is_what_is_archived(over):
    archived = (over.node.data / "archive" / over.space.created["id"] / "o48.mp4").read_bytes()
    assert_recorded(over, dict(chunks(io.BytesIO(archived))), lambda chunk: chunk)


def test_what_was_heard_is_what_the_recording_plays(over):
    recording = io.BytesIO(over.space.get("recording.mp4").body)
    assert_recorded(over, {over.live_part + number: chunk for number, chunk in chunks(recording)}, timeless)


def assert_recorded(event, recorded, form):
    """All that was given is recorded, but for what each kill may take."""
    heard = event.heard()
    lost = {part for part, chunk in heard.items() if form(recorded[part]) != form(chunk)}
    assert len(heard) >= LIFE_SECONDS_MAX / PART_SECONDS
    assert lost <= event.may_be_lost(), lost


def test_the_end_gives_a_whole_replay(over):
    space = over.space
    state = space.state()
    assert state["state"] == "ended"
    assert b"#EXT-X-ENDLIST" in space.get("hls/o48/replay.m3u8").body
    assert space.get("live.mp4").status == 302
    lasted = moment(state["ended_at"]) - moment(state["started_at"])
    assert state["recording"]["seconds"] == pytest.approx(lasted, abs=0.001)
    for file in ("recording.mp4", "hls/o48/replay.m3u8"):
        heard = signal_kit.decode(f"{space.listen_url}/{file}")
        assert len(heard) / signal_kit.RATE_HZ == pytest.approx(lasted, abs=0.05), file


def test_a_replay_survives_too(over):
    before = over.space.get("recording.mp4").body
    over.node.kill()
    over.node.start()
    assert over.space.get("recording.mp4").body == before


def test_a_second_process_on_one_folder_is_refused(node):
    anywhere = [part for door in ("listen", "desk", "internal") for part in (f"--{door}", "127.0.0.1:0")]
    refused = command("serve", *anywhere, "--data", node.data)
    assert refused.returncode == 1
    assert f"in use by process {node.process.pid}" in refused.stderr
    assert request("GET", f"{node.links['internal']}/readyz").status == 200, "the first goes on"
