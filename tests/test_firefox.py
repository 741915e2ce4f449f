"""Firefox, as far as it can be driven without a sound card: it hears a live space and a replay, and it speaks."""

import socket

import pytest

import firefox
import signal_kit
from throng import Node, wait_until

SECONDS = 7
RECENT_SECONDS = 60
# The browser's own recorder encodes once more what it heard.
STOI_MIN = 0.9
LEVEL_TOLERANCE_DB = 1.0


@pytest.fixture(scope="module")
def fox(tmp_path_factory):
    fox = firefox.Firefox(tmp_path_factory.mktemp("firefox"))
    yield fox
    fox.close()


def own_address():
    """An address of this machine that Firefox can be reached at: it does not offer 127.0.0.1 to its peers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            # Nothing is sent: the system only says where it would send from.
            asker.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback, which Firefox offers to no peer")
        return asker.getsockname()[0]


def told(fox, name, value):
    """Waits until our page says so of itself."""
    wait_until(lambda: fox.told(name) == value, f"the page says that {name} is {value}")


def assert_same(programme, heard):
    match = signal_kit.compare(programme, heard, looped=False)
    assert match.gaps == [], match
    assert match.stoi >= STOI_MIN, match
    assert abs(match.level_db) <= LEVEL_TOLERANCE_DB, match
    return match


def test_firefox_hears_a_live_space(live, fox):
    fox.open(live.listen_url)
    # It plays by itself, before we can listen in: once more from the button.
    wait_until(lambda: fox.click("#listen") or fox.told("pressed") == "false", "the page has stopped")
    fox.click("#listen")
    heard = fox.heard(SECONDS)
    assert_same(live.recording(RECENT_SECONDS), heard)
    assert fox.told("via") == "mse"


def test_firefox_hears_the_replay(ended, fox):
    fox.open(ended.listen_url)
    fox.click("#listen")
    heard = fox.heard(SECONDS)
    match = assert_same(ended.recording(), heard)
    # The recorder begins with the first position that the page is told, a quarter of a second in.
    assert match.offset < signal_kit.RATE_HZ, match


def test_firefox_speaks_and_hears_the_others(fox, voices, tmp_path):
    node = Node(tmp_path / "data", "--stage-udp", f"{own_address()}:0")
    try:
        space = node.live("A fox on stage")
        with space.speak(1, voices["ada"]):
            fox.open(space.speaker_urls[1])
            told(fox, "state", "live")
            fox.click("#join")
            told(fox, "connection", "connected")
            wait_until(lambda: space.is_talking(2), "Firefox talks")
            assert signal_kit.is_present(signal_kit.speech("ada"), fox.heard(SECONDS))
            fox.click("#leave")
            wait_until(lambda: not space.seat(2)["connected"], "the seat is free")
    finally:
        node.close()
