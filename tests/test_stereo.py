"""A stereo space: what is said on the left is heard on the left, from the microphone to the recording."""

import contextlib
import json
import subprocess

import numpy as np
import pytest

import browser
import signal_kit
from test_speakers import takes_raw_sound
from throng import PATIENCE_SECONDS, Node, command, request, wait_until

# What a player hears first is what was before the two.
SETTLED_SECONDS = 18
HEARD_SECONDS = 5
# As much as whoever joins has at once.
BURST_SECONDS = 3
# Left and right of a rendition that carries the middle alone are one sound; a decoder adds noise of its own to neither.
ALIKE = 0.999
# Far above silence, below the music.
HOLD_MIN_DBFS = -50
BOTH_EARS = ["live.webm", "live.mp4", "live.aac", "hls/main.m3u8", "hls/a64/media.m3u8"]
THE_MIDDLE = ["live.webm?rendition=o24", "live.aac?rendition=a32", "hls/o16/media.m3u8"]
RECORDINGS = ["recording.mp4", "recording.m4a", "hls/o48/replay.m3u8", "hls/a64/replay.m3u8"]


def both():
    """Ada, and Ben for as long."""
    ada, ben = signal_kit.speech("ada"), signal_kit.speech("ben")
    length = min(len(ada), len(ben))
    return np.stack([ada[:length], ben[:length]])


def is_the_middle(heard):
    """Whether the two are heard at once."""
    return signal_kit.is_present(both().mean(axis=0), signal_kit.trimmed(heard))


@pytest.fixture(scope="module")
def duet_wav(tmp_path_factory):
    """Ada on the left, Ben on the right."""
    path = tmp_path_factory.mktemp("duet") / "duet.wav"
    signal_kit.write_wav(path, both(), channels=2)
    return path


@pytest.fixture(scope="module")
def duet(node, duet_wav):
    """A live stereo space in which the two have talked for a while, from one microphone."""
    space = node.live("A duet", stereo=True, levelling=False, tracks=True)
    with space.speak(1, duet_wav):
        since = space.recorded_seconds()
        wait_until(lambda: space.recorded_seconds() >= since + SETTLED_SECONDS, "they have talked for a while")
        yield space
    space.try_step("end")


def assert_apart(ears):
    """Ada is heard by the left ear alone, and Ben by the right."""
    for ear, (own, other) in zip(ears, (("ada", "ben"), ("ben", "ada"))):
        ear = signal_kit.trimmed(ear)
        assert signal_kit.is_present(signal_kit.speech(own), ear), own
        # Of many seconds one looks a little like anything: what came over from the other ear would be in most of them.
        assert np.median(signal_kit.presence(signal_kit.speech(other), ear)) < signal_kit.ABSENT_MAX, other


def channels_of(url):
    """How many channels a stranger finds in it."""
    told = ["ffprobe", "-v", "error", "-show_entries", "stream=channels", "-of", "json", url]
    said = json.loads(subprocess.run(told, capture_output=True, check=True, timeout=60).stdout)
    return [stream["channels"] for stream in said["streams"]]


@pytest.mark.parametrize("path", BOTH_EARS)
def test_left_and_right_are_heard_apart(duet, path):
    assert_apart(signal_kit.decode(f"{duet.listen_url}/{path}", HEARD_SECONDS, channels=2))


@pytest.mark.parametrize("path", THE_MIDDLE)
def test_who_hears_at_a_lower_rate_hears_the_middle_in_both_ears(duet, path):
    left, right = signal_kit.decode(f"{duet.listen_url}/{path}", HEARD_SECONDS, channels=2)
    assert np.corrcoef(left, right)[0, 1] > ALIKE and is_the_middle(left)


def test_our_page_plays_both_channels(duet, chromium):
    ears = []
    for ear in range(2):
        with chromium.page(duet.listen_url) as page:
            page.evaluate(f"__heard.ear = {ear}")
            browser.heard(page, HEARD_SECONDS)
            ears.append(browser.taken(page, HEARD_SECONDS - 1))
            assert page.complaints == []
    assert_apart(ears)


@pytest.mark.parametrize(("via", "rendition"), [("progressive", "a64"), ("hls", "o48")])
def test_our_listener_takes_the_middle(duet, tmp_path, via, rendition):
    out = tmp_path / "heard.wav"
    how = ("--via", via, "--for", f"{HEARD_SECONDS}s", "--out", out)
    listened = command("listen", f"{duet.listen_url}?rendition={rendition}", *how, timeout=HEARD_SECONDS + PATIENCE_SECONDS)
    assert listened.returncode == 0, listened
    assert is_the_middle(signal_kit.read_wav(out))


@pytest.fixture(scope="module")
def stereo_chromium(playwright, duet_wav):
    """A browser with a microphone of two channels."""
    chromium = browser.Browser(playwright, duet_wav)
    yield chromium
    chromium.close()


@pytest.mark.parametrize("stereo", [True, False])
def test_the_page_sends_two_channels_of_raw_sound_where_the_space_has_them(node, stereo_chromium, stereo):
    space = node.live("From a page", stereo=stereo, levelling=False)
    with stereo_chromium.page(space.speaker_urls[0], tapped=False) as page:
        page.click("#join")
        wait_until(lambda: space.is_talking(1), "the page talks")
        page.click("#settings summary")
        takes_raw_sound(page)
        since = space.recorded_seconds()
        wait_until(lambda: space.recorded_seconds() >= since + SETTLED_SECONDS, "they have talked for a while")
        ears = signal_kit.decode(f"{space.listen_url}/live.webm", HEARD_SECONDS, channels=2)
        assert page.complaints == []
    if stereo:
        assert_apart(ears)
    else:
        assert np.corrcoef(*ears)[0, 1] > ALIKE
    assert channels_of(f"{space.listen_url}/hls/a64/media.m3u8") == [2 if stereo else 1]


def test_it_is_stereo_after_a_restart_and_as_a_recording(tmp_path, duet_wav):
    with contextlib.closing(Node(tmp_path / "data", "--air-workers", "2")) as node:
        space = node.live("A duet that is interrupted", stereo=True, levelling=False, tracks=True)
        with space.speak(1, duet_wav):
            wait_until(lambda: space.recorded_seconds() >= HEARD_SECONDS, "they have talked for a while")
            node.kill()
            node.start()
            wait_until(lambda: space.is_talking(1), "they talk again")
            since = space.recorded_seconds()
            # What is sent first reaches back by as much.
            wait_until(lambda: space.recorded_seconds() >= since + 2 * HEARD_SECONDS, "they have talked on")
            assert_apart(signal_kit.decode(f"{space.listen_url}/live.webm", HEARD_SECONDS, channels=2))
        space.step("end")
        wait_until(lambda: space.get("hls/o48/replay.m3u8").status == 200, "the replay is there")
        for path in RECORDINGS:
            assert channels_of(f"{space.listen_url}/{path}") == [2], path
            assert_apart(signal_kit.decode(f"{space.listen_url}/{path}", channels=2))
        track = request("GET", f"{space.desk}/api/spaces/{space.slug}/tracks/1", key=space.host_key)
        (tmp_path / "track.mp4").write_bytes(track.body)
        assert_apart(signal_kit.decode(tmp_path / "track.mp4", channels=2))


def test_the_hold_music_is_framed_for_two(node):
    """A player is told of two channels once, when it begins: nothing else may come."""
    space = node.create("Before the concert", stereo=True)
    wait_until((node.data / "hold" / "loop-stereo.bin").exists, "the hold programme is encoded")
    for path in BOTH_EARS:
        assert set(channels_of(f"{space.listen_url}/{path}")) == {2}, path
        left, right = signal_kit.decode(f"{space.listen_url}/{path}", BURST_SECONDS, channels=2)
        assert np.corrcoef(left, right)[0, 1] > ALIKE and signal_kit.level_dbfs(left) > HOLD_MIN_DBFS
