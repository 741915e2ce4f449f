"""What the tests share: one node, one live space in which Ada talks, one that has ended, one browser."""

import pytest

import browser
import signal_kit
from crowd import Hold
from throng import Node, wait_until

# Some players begin three segments before the newest: from here on nobody who joins hears what was before Ada.
SETTLED_SECONDS = 18
# Long enough for a comparison of several seconds in it, over more than one segment.
ENDED_SECONDS = 12


@pytest.fixture(scope="session")
def voices(tmp_path_factory):
    """The known speech as WAV files, by name; in stereo for those who lower a mono file as they make it stereo."""
    folder = tmp_path_factory.mktemp("voices")
    for voice in signal_kit.SPEECH_CLIPS:
        signal_kit.write_wav(folder / f"{voice}.wav", signal_kit.speech(voice))
        signal_kit.write_wav(folder / f"{voice}-stereo.wav", signal_kit.speech(voice), channels=2)
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """A node with defaults, at rest: nobody plays in real time beside an encoder, and all nodes to come find the loop."""
    node = Node(tmp_path_factory.mktemp("node") / "data")
    Hold(node)
    yield node
    node.close()


@pytest.fixture(autouse=True)
def nothing_goes_on(request):
    """Ends what a test began at the shared node: whatever is on air costs a part of a core, for all tests to come."""
    shared = request.getfixturevalue("node") if "node" in request.fixturenames else None
    before = len(shared.spaces) if shared else 0
    yield
    for space in shared.spaces[before:] if shared else []:
        # It may be over, never have begun, or be deleted.
        space.try_step("end")


@pytest.fixture(scope="session")
def talking(node, voices):
    """A live space in which Ada has begun to talk, and goes on for as long as the tests run."""
    # What she says is compared with what is heard, its level too.
    space = node.live("A live conversation", levelling=False)
    with space.speak(1, voices["ada"]):
        yield space, space.recorded_seconds()


@pytest.fixture(scope="session")
def ended(talking, node, voices):  # noqa: ARG001 (order: the live space settles meanwhile)
    """A space that was live with Ada, and has ended."""
    space = node.create("An ended conversation", levelling=False)
    space.step("open-doors")
    with space.speak(1, voices["ada"]):
        space.step("go-live")
        wait_until(lambda: space.recorded_seconds() >= ENDED_SECONDS, "enough is recorded")
        space.step("end")
        wait_until(lambda: space.get("hls/o48/replay.m3u8").status == 200, "the replay is there")
    return space


@pytest.fixture(scope="session")
def live(talking, ended):  # noqa: ARG001 (order: waiting for one is waiting for both)
    """A live space in which Ada has talked for a while."""
    space, since = talking
    wait_until(lambda: space.recorded_seconds() >= since + SETTLED_SECONDS, "Ada has talked for a while")
    return space


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
