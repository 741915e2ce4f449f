"""Firefox and WebKitGTK on our pages: what leaves the sound card is the programme; and Firefox speaks."""

import socket

import pytest

import signal_kit
import soundcard
import webdriver
from throng import Node, wait_until

SECONDS = 7
STOI_MIN = 0.95
LEVEL_TOLERANCE_DB = 1.0
# A replay begins where it begins, but for a codec's settling.
START_TOLERANCE_SECONDS = 0.1


@pytest.fixture(scope="module", params=[webdriver.Firefox, webdriver.WebKit], ids=lambda kind: kind.__name__)
def driven(request, tmp_path_factory):
    """A browser that plays through a sound card of its own."""
    card = soundcard.SoundCard(tmp_path_factory.mktemp("card"))
    driven = request.param(tmp_path_factory.mktemp("browser"), card)
    yield driven
    driven.close()
    card.close()


def own_address():
    """An address of this machine that Firefox can be reached at: it does not offer 127.0.0.1 to its peers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            # Nothing is sent: the system only says where it would send from.
            asker.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback, which Firefox offers to no peer")
        return asker.getsockname()[0]


def assert_same(programme, heard):
    match = signal_kit.compare(programme, heard, looped=False)
    assert match.seconds >= SECONDS - 1, match
    assert match.is_whole(), match
    assert match.stoi >= STOI_MIN, match
    assert abs(match.level_db) <= LEVEL_TOLERANCE_DB, match
    return match


def test_a_browser_hears_a_live_space(live, driven):
    driven.open(live.listen_url)
    # Browsers let no page begin by itself, and the page tries.
    wait_until(lambda: driven.told("pressed") == "false", "the page waits for its listener")
    driven.click("#listen")
    assert_same(*live.hearing(lambda: driven.card.heard(SECONDS)))
    assert driven.told("via") == "mse"


def test_a_browser_hears_the_replay(ended, driven):
    driven.open(ended.listen_url)
    driven.click("#listen")
    match = assert_same(ended.recording(), driven.card.heard(SECONDS))
    assert match.offset <= START_TOLERANCE_SECONDS * signal_kit.RATE_HZ, match
    wait_until(lambda: driven.told("playing") == "false", "the replay is over")
    assert float(driven.told("position")) == pytest.approx(ended.recorded_seconds(), abs=0.5)


@pytest.mark.parametrize("driven", [webdriver.Firefox], indirect=True, ids=["Firefox"])
def test_a_browser_speaks_and_hears_the_others(driven, voices, tmp_path):
    node = Node(tmp_path / "data", "--stage-udp", f"{own_address()}:0")
    try:
        space = node.live("A fox on stage")
        with space.speak(1, voices["ada"]):
            driven.open(space.speaker_urls[1])
            driven.click("#join")
            wait_until(lambda: driven.told("connection") == "connected", "the page is on stage")
            wait_until(lambda: space.is_talking(2), "the page talks")
            assert signal_kit.is_present(signal_kit.speech("ada"), driven.card.heard(SECONDS))
            driven.click("#leave")
            wait_until(lambda: not space.seat(2)["connected"], "the seat is free")
    finally:
        node.close()
