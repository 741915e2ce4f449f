"""Players that nobody here wrote hear a live space and a replay: whole, at its level, without gaps."""

import concurrent.futures

import pytest

import browser
import players
import signal_kit

SECONDS = 7
# Players that run side by side: few enough that none starves on two cores.
PLAYERS_AT_ONCE = 4
# The player's own resampler and the lower renditions that some choose lie between the programme and what is compared.
STOI_MIN = 0.95
LEVEL_TOLERANCE_DB = 1.0

LIVE = ["live.webm", "live.aac", "live.mp4", "hls/main.m3u8"]
ENDED = ["recording.mp4", "recording.m4a", "hls/main.m3u8", "live.webm", "live.aac"]
# A replay begins where it begins, but for a codec's settling.
START_TOLERANCE_SECONDS = 0.1


def assert_same(programme, heard):
    """What was heard is a stretch of the programme."""
    match = signal_kit.compare(programme, heard, looped=False)
    assert match.seconds >= SECONDS - 1, match
    assert match.gaps == [], match
    assert match.stoi >= STOI_MIN, match
    assert abs(match.level_db) <= LEVEL_TOLERANCE_DB, match
    return match


def assert_from_start(programme, heard):
    match = assert_same(programme, heard)
    assert match.offset <= START_TOLERANCE_SECONDS * signal_kit.RATE_HZ, match


@pytest.fixture(scope="module")
def captures(live, ended, tmp_path_factory):
    """What every player hears, some at a time: they mostly wait for the programme."""

    def play(space, player, path):
        url, folder = f"{space.listen_url}/{path}", tmp_path_factory.mktemp("player")
        return space.hearing(lambda: players.ALL[player](url, SECONDS, folder))

    with concurrent.futures.ThreadPoolExecutor(PLAYERS_AT_ONCE) as pool:
        jobs = [(live, player, path) for player in players.ALL for path in LIVE]
        jobs += [(ended, player, path) for player in players.ALL for path in ENDED]
        yield {(space.slug, player, path): pool.submit(play, space, player, path) for space, player, path in jobs}


@pytest.mark.parametrize("path", LIVE)
@pytest.mark.parametrize("player", players.ALL)
def test_a_player_hears_a_live_space(captures, live, player, path):
    assert_same(*captures[live.slug, player, path].result())


@pytest.mark.parametrize("path", ENDED)
@pytest.mark.parametrize("player", players.ALL)
def test_a_player_hears_the_replay_from_its_start(captures, ended, player, path):
    assert_from_start(*captures[ended.slug, player, path].result())


@pytest.mark.parametrize("library", ["hls", "shaka"])
def test_a_library_in_a_strangers_page_hears_a_live_space(live, chromium, strangers, library):
    with chromium.page(strangers.url(f"{library}.html", url=f"{live.listen_url}/hls/main.m3u8")) as page:
        assert_same(*live.hearing(lambda: browser.heard(page, SECONDS)))
        assert page.evaluate("errors") == []
        assert page.complaints == []


@pytest.mark.parametrize("library", ["hls", "shaka"])
def test_a_library_in_a_strangers_page_hears_the_replay(ended, chromium, strangers, library):
    with chromium.page(strangers.url(f"{library}.html", url=f"{ended.listen_url}/hls/main.m3u8")) as page:
        heard = browser.heard(page, SECONDS)
        assert_from_start(ended.recording(), heard)
        assert page.evaluate("errors") == []
        assert page.complaints == []
        length = page.evaluate("document.querySelector('audio').duration")
        assert length == pytest.approx(ended.recorded_seconds(), abs=0.5)


def test_our_page_hears_a_live_space(live, chromium):
    with chromium.page(live.listen_url) as page:
        assert_same(*live.hearing(lambda: browser.heard(page, SECONDS)))
        assert page.complaints == []


def test_our_page_hears_the_replay(ended, chromium):
    with chromium.page(ended.listen_url) as page:
        page.click("#listen")
        heard = browser.heard(page, SECONDS)
        assert_from_start(ended.recording(), heard)
        assert page.complaints == []
