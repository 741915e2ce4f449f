"""What the tests share: one node, one live space in which Ada talks, one that has ended, one browser."""

import pytest

import browser
import signal_kit
from throng import Node, wait_until

# The burst that a joiner gets is 4 s: from here on nobody who joins hears what was before Ada.
SETTLED_SECONDS = 8
# Long enough for a comparison of several seconds in it, over more than one segment.
ENDED_SECONDS = 12


@pytest.fixture(scope="session")
def voices(tmp_path_factory):
    """The known speech as WAV files, by name."""
    folder = tmp_path_factory.mktemp("voices")
    for voice in signal_kit.SPEECH_CLIPS:
        signal_kit.write_wav(folder / f"{voice}.wav", signal_kit.speech(voice))
    return {voice: folder / f"{voice}.wav" for voice in signal_kit.SPEECH_CLIPS}


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """A node with defaults."""
    node = Node(tmp_path_factory.mktemp("node") / "data")
    yield node
    node.close()


@pytest.fixture(scope="session")
def ended(node, voices):
    """A space that was live with Ada, and has ended. It comes first, while there is nothing else to do."""
    space = node.create("An ended conversation")
    space.step("open-doors")
    with space.speak(1, voices["ada"]):
        space.step("go-live")
        wait_until(lambda: space.recorded_seconds() >= ENDED_SECONDS, "enough is recorded", 60)
        space.step("end")
        wait_until(lambda: space.get("hls/o48/replay.m3u8").status == 200, "the replay is there")
    return space


@pytest.fixture(scope="session")
def live(node, voices, ended):  # noqa: ARG001 (order: the ended space is made before)
    """A live space in which Ada talks for as long as the tests run."""
    space = node.live("A live conversation")
    with space.speak(1, voices["ada"]):
        talked_from = space.recorded_seconds()
        wait_until(lambda: space.recorded_seconds() >= talked_from + SETTLED_SECONDS, "Ada has talked for a while")
        yield space


@pytest.fixture(scope="session")
def playwright():
    with browser.started() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright, voices):
    """A browser whose microphone says what Ada says."""
    chromium = browser.Browser(playwright, voices["ada"])
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def strangers():
    """Pages of strangers, from an origin of their own."""
    server = browser.PageServer()
    yield server
    server.close()
