"""A wall clock that is set under a live space, and a machine that sleeps: nobody hears it, and dates follow the standard.

The clock that is set is the node's alone (`moved_clock.c`): players and these tests go by the machine's."""

import concurrent.futures
import contextlib
import datetime
import os
import pathlib
import re
import signal
import struct
import subprocess
import time

import pytest

import browser
import players
import signal_kit
from conftest import SETTLED_SECONDS
from crowd import processes
from disks import PART_SECONDS, Ear, Journal, alarm, metric, silences
from test_listeners import assert_same
from throng import Node, request, rest, wait_until

HOUR = 3_600
SEGMENT_SECONDS = 3.84
# A correction is looked for every second and made two segments ahead; one that follows another is made a segment later.
FOLLOWED_SECONDS = 15
# A playlist and a clock are asked one after the other, and the newest segment has been over for up to a segment's length.
NEAR_SECONDS = 8
# What may pass unheard once a node has been started again: the half second until the first new part, and a busy machine.
BEGIN_SECONDS = 3
NAP_SECONDS = 2


class MovedClock:
    """The wall clock of a node, so many seconds ahead of the machine's."""

    def __init__(self, folder):
        source = pathlib.Path(__file__).with_name("moved_clock.c")
        library, self.control = folder / "moved_clock.so", folder / "ahead"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.control.write_bytes(bytes(8))
        self.ahead = 0
        self.env = {**os.environ, "LD_PRELOAD": str(library), "MOVED_CLOCK": str(self.control)}

    def step(self, seconds):
        self.ahead += seconds
        with open(self.control, "r+b", buffering=0) as control:
            control.write(struct.pack("=q", self.ahead * 1_000))

    def now(self):
        return time.time() + self.ahead

    def after(self, seconds):
        moment = datetime.datetime.fromtimestamp(self.now() + seconds, datetime.UTC)
        return moment.isoformat(timespec="seconds")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A node of several processes whose clock can be set, with a live space and its listener."""
    folder = tmp_path_factory.mktemp("clocks")
    clock = MovedClock(folder)
    node = Node(folder / "data", "--air-workers", "2", env=clock.env)
    try:
        space = node.live("A talk by a clock that is set")
        ear = Ear(space)
        wait_until(lambda: space.state()["newest_segment"], "segments have been made")
        yield clock, node, space, ear
        ear.stop()
    finally:
        node.close()


def unix(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def dates(space):
    """The number and date of each segment that is listed, the one in the making included."""
    playlist = space.get("hls/o48/media.m3u8").body.decode()
    first = int(playlist.partition("#EXT-X-MEDIA-SEQUENCE:")[2].split()[0])
    told = re.findall("(#EXT-X-DISCONTINUITY\n)?#EXT-X-PROGRAM-DATE-TIME:(.*)", playlist)
    listed = [(number, unix(date)) for number, (_, date) in enumerate(told, first)]
    # Players that place segments by their dates are told where these jump, and nowhere else.
    for (_, before), (number, date), (jumps, _) in zip(listed, listed[1:], told[1:]):
        assert bool(jumps) == (abs(date - before - SEGMENT_SECONDS) > 0.001), number
    return listed


def is_right(space, clock):
    """Whether the newest date is that of the clock, the oldest of the newest being a segment old."""
    return abs(dates(space)[-1][1] - clock.now()) < NEAR_SECONDS


def assert_unambiguous(listed):
    """RFC 8216bis, 6.2.1: no date names two segments, but for less than a second of the one before."""
    for number, date in listed:
        for earlier, other in listed:
            shared = min(date, other) + SEGMENT_SECONDS - max(date, other)
            if earlier < number:
                assert shared < (1 if earlier == number - 1 else 0.001), (earlier, number, shared)


@contextlib.contextmanager
def nobody_notices(node, space, ear):
    """Meanwhile no listener misses a part, and no number but goes on at the pace of real time."""
    suffered, before, began = silences(node), space.state(), time.monotonic()
    yield
    ear.hears_on()
    after, took = space.state(), time.monotonic() - began
    assert ear.gaps() == [] and ear.connections == 1
    assert silences(node) == suffered
    assert after["epoch"] == before["epoch"] and after["started_at"] == before["started_at"]
    assert 0 <= after["newest_segment"] - before["newest_segment"] <= took / SEGMENT_SECONDS + 2
    recorded = after["recording"]["seconds"] - before["recording"]["seconds"]
    assert 0 <= recorded <= took + 2


@pytest.mark.aside
@pytest.mark.parametrize("seconds", [HOUR, -HOUR, -1, 1], ids=["forward", "back", "leap second", "leap second taken back"])
def test_a_clock_that_is_set_is_followed_by_dates_and_noticed_by_nobody(world, seconds):
    clock, node, space, ear = world
    steps = metric(node, "throng_clock_steps_total")
    shift = last_shift(space)
    with nobody_notices(node, space, ear):
        clock.step(seconds)
        expected = max(seconds, -0.96) if abs(seconds) < 10 else seconds
        wait_until(lambda: last_shift(space) == pytest.approx(shift + expected, abs=0.1), "dates follow")
        assert is_right(space, clock)
        assert_unambiguous(dates(space))
    if abs(seconds) > 1:
        told = wait_until(lambda: alarm(space, "clock"), "the host is told")
        assert ("forward" if seconds > 0 else "back") in told["detail"], told
        assert metric(node, "throng_clock_steps_total") == steps + 1


@pytest.mark.aside
def test_the_host_reads_it_in_the_studio(world, chromium):
    clock, _, space, _ = world
    with chromium.page(space.created["host_url"], tapped=False) as page:
        clock.step(HOUR)
        told = page.locator("#alarm-clock")
        wait_until(lambda: "forward" in told.inner_text(), "he reads it")
        clock.step(-HOUR)
        wait_until(lambda: "back" in told.inner_text(), "the newest step is what he reads")
        assert told.is_visible() and page.complaints == []


def last_shift(space):
    """By how much the newest date is later than a clock says that was never set."""
    number, date = dates(space)[-1]
    return date - (unix(space.state()["epoch"]) + number * SEGMENT_SECONDS)


@pytest.mark.aside
@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
def test_what_a_host_does_after_it_takes_effect_at_once(world, seconds):
    clock, node, _, _ = world
    space = node.create("A talk that begins and ends by another clock")
    space.step("open-doors")
    wait_until(lambda: space.state()["newest_segment"] is not None, "the programme is on")
    clock.step(seconds)
    began = time.monotonic()
    try:
        space.step("go-live")
        ear = Ear(space)
        ear.hears_on()
        wait_until(lambda: space.recorded_seconds() > 2, "it is recorded")
        space.step("end")
        wait_until(lambda: space.get("hls/o48/replay.m3u8").status == 200, "the replay is there")
        ear.stop()
        assert 2 < space.recorded_seconds() < time.monotonic() - began + 2
        journal = Journal(node, space)
        assert not journal.gaps and journal.otherwise(ear.given) == set()
    finally:
        clock.step(-seconds)


@pytest.mark.aside
@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_restart_after_it_goes_on_with_the_same_timeline(world, seconds):
    clock, node, space, ear = world
    clock.step(seconds)
    wait_until(lambda: is_right(space, clock), "dates follow")
    before, newest, began = space.state(), ear.newest(), time.monotonic()
    node.kill()
    clock.step(-seconds)
    node.start()
    down = time.monotonic() - began
    wait_until(lambda: ear.newest() > newest, "the listener hears on")
    after, took = space.state(), time.monotonic() - began
    assert after["epoch"] == before["epoch"] and after["started_at"] == before["started_at"]
    assert 0 <= after["newest_segment"] - before["newest_segment"] <= took / SEGMENT_SECONDS + 2
    until = max(ear.gaps(), key=lambda gap: gap[1] - gap[0], default=(0, 0))
    # He asks again at once; what is made first comes within seconds.
    assert until[1] - until[0] <= (down + BEGIN_SECONDS) / PART_SECONDS, "only what nobody could hear is left out"
    wait_until(lambda: is_right(space, clock), "dates follow")
    assert_unambiguous(dates(space))
    ear.stop()
    ear.__init__(space)


@pytest.fixture(scope="module")
def talk(world, voices):
    """A space whose clock can be set, with a window of talk."""
    _, node, _, _ = world
    space = node.live("A talk that is heard elsewhere")
    with space.speak(1, voices["ada"]):
        wait_until(lambda: space.recorded_seconds() >= SETTLED_SECONDS, "there is a window of it")
        yield space


def there_and_back(clock, space):
    """The clock is set an hour forward, and back when dates have followed."""
    for seconds in (HOUR, -HOUR):
        before = last_shift(space)
        clock.step(seconds)
        wait_until(lambda: abs(last_shift(space) - before) > 1, "dates follow")


@pytest.mark.alone
def test_libraries_in_a_strangers_page_play_on(world, talk, chromium, strangers):
    """Both place segments by their dates: without `EXT-X-DISCONTINUITY` Shaka Player stood still for an hour."""
    with contextlib.ExitStack() as open_pages:
        playlist = f"{talk.listen_url}/hls/main.m3u8"
        urls = [strangers.url(f"{library}.html", url=playlist) for library in ("hls", "shaka")]
        pages = [open_pages.enter_context(chromium.page(url)) for url in urls]
        for page in pages:
            browser.heard(page, 3)
        there_and_back(world[0], talk)
        ends = [page.evaluate("__heard.seconds()") + 3 * SEGMENT_SECONDS for page in pages]
        programme, heard = talk.hearing(lambda: [browser.heard(page, end) for page, end in zip(pages, ends)])
        for page, samples in zip(pages, heard):
            assert_same(programme, samples)
            assert page.evaluate("errors") == [] and page.complaints == []


@pytest.mark.alone
def test_players_play_on(world, talk, tmp_path):
    """VLC ends at every `EXT-X-DISCONTINUITY` between fragments of MP4 (docs/players.md): it gets what it is told to take."""
    seconds, hls = FOLLOWED_SECONDS + 3 * SEGMENT_SECONDS, f"{talk.listen_url}/hls/main.m3u8"
    links = {player: hls for player in players.ALL} | {"vlc": f"{talk.listen_url}/live.aac"}
    with concurrent.futures.ThreadPoolExecutor(len(players.ALL)) as pool:
        folders = {player: tmp_path / player for player in players.ALL}
        for folder in folders.values():
            folder.mkdir()
        playing = {
            player: pool.submit(players.ALL[player], link, seconds, folders[player]) for player, link in links.items()
        }
        there_and_back(world[0], talk)
        for player, heard in playing.items():
            print(player)
            programme, samples = talk.hearing(heard.result)
            assert_same(programme, samples)
            assert len(samples) >= (seconds - 1) * signal_kit.RATE_HZ, "it did not end early"


@pytest.mark.aside
def test_links_expire_and_doors_open_by_the_clock_as_it_is(world):
    clock, node, _, _ = world
    wish = {"speaker_links_expire_at": clock.after(HOUR / 2), "scheduled_at": clock.after(HOUR)}
    space = node.create("A talk by appointment", **wish)

    def knock():
        return request("GET", f"{space.desk}/api/spaces/{space.slug}", key=space.speaker_key(1)).status

    assert knock() == 200 and space.state()["state"] == "announced"
    clock.step(HOUR)
    try:
        assert knock() in (401, 403), "at once: no key is good for longer than it says"
        wait_until(lambda: space.state()["state"] == "doors", "its doors are open")
    finally:
        clock.step(-HOUR)
    assert knock() == 200, "nor for shorter"


@pytest.mark.aside
def test_a_machine_that_sleeps_goes_on_where_it_was(world):
    clock, node, space, _ = world
    all_of_them = [node.process.pid, *processes(node, "origin"), *processes(node, "air-worker")]
    ear = Ear(space)
    for pid in all_of_them:
        os.kill(pid, signal.SIGSTOP)
    rest(NAP_SECONDS)
    clock.step(8 * HOUR)
    for pid in all_of_them:
        os.kill(pid, signal.SIGCONT)
    ear.hears_on()
    assert ear.gaps() == [] and ear.connections == 1
    wait_until(lambda: is_right(space, clock), "dates follow")
    assert_unambiguous(dates(space))
    ear.stop()
