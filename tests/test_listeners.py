"""Players that nobody here wrote hear a live space and a replay: whole, at its level, without gaps."""

import pytest

import browser
import players
import signal_kit

SECONDS = 7
# The player's own codec and resampler between the programme and the sample that we compare.
STOI_MIN = 0.9
LEVEL_TOLERANCE_DB = 1.0
# In a recording the programme begins as the speaker is faded in.
FADE_SECONDS = 2

LIVE = ["live.webm", "live.aac", "live.mp4", "hls/main.m3u8"]
ENDED = ["recording.mp4", "recording.m4a", "hls/main.m3u8", "live.webm", "live.aac"]
# VLC 3 plays mono AAC from MP4 3 dB louder than any other player does, whoever made the file.
LOUDER_DB = {("vlc", "recording.m4a"): 3.0, ("vlc", "live.aac"): 3.0}


def assert_heard(heard, louder_db=0.0):
    """What was heard is what Ada said."""
    match = signal_kit.compare(signal_kit.speech("ada"), heard)
    assert match.gaps == [], match
    assert match.stoi >= STOI_MIN, match
    assert abs(match.level_db - louder_db) <= LEVEL_TOLERANCE_DB, match
    return match


@pytest.mark.parametrize("path", LIVE)
@pytest.mark.parametrize("player", players.ALL)
def test_a_player_hears_a_live_space(live, tmp_path, player, path):
    assert_heard(players.ALL[player](f"{live.listen_url}/{path}", SECONDS, tmp_path))


@pytest.mark.parametrize("path", ENDED)
@pytest.mark.parametrize("player", players.ALL)
def test_a_player_hears_the_replay_from_its_start(ended, tmp_path, player, path):
    heard = players.ALL[player](f"{ended.listen_url}/{path}", SECONDS + FADE_SECONDS, tmp_path)
    assert_heard(heard[FADE_SECONDS * signal_kit.RATE_HZ :], LOUDER_DB.get((player, path), 0.0))


@pytest.mark.parametrize("library", ["hls", "shaka"])
def test_a_library_in_a_strangers_page_hears_a_live_space(live, chromium, strangers, library):
    with chromium.page(strangers.url(f"{library}.html", url=f"{live.listen_url}/hls/main.m3u8")) as page:
        assert_heard(browser.heard(page, SECONDS))
        assert page.evaluate("errors") == []
        assert page.complaints == []


@pytest.mark.parametrize("library", ["hls", "shaka"])
def test_a_library_in_a_strangers_page_hears_the_replay(ended, chromium, strangers, library):
    with chromium.page(strangers.url(f"{library}.html", url=f"{ended.listen_url}/hls/main.m3u8")) as page:
        heard = browser.heard(page, SECONDS + FADE_SECONDS)
        assert_heard(heard[FADE_SECONDS * signal_kit.RATE_HZ :])
        assert page.evaluate("errors") == []
        assert page.complaints == []
        length = page.evaluate("document.querySelector('audio').duration")
        assert length == pytest.approx(ended.recorded_seconds(), abs=0.5)


def test_our_page_hears_a_live_space(live, chromium):
    with chromium.page(live.listen_url) as page:
        assert_heard(browser.heard(page, SECONDS))
        assert page.complaints == []


def test_our_page_hears_the_replay(ended, chromium):
    with chromium.page(ended.listen_url) as page:
        page.click("#listen")
        heard = browser.heard(page, SECONDS + FADE_SECONDS)
        assert_heard(heard[FADE_SECONDS * signal_kit.RATE_HZ :])
        assert page.complaints == []
