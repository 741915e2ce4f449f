"""Players that nobody here wrote hear a live space and a replay: whole, at its level, without gaps."""

import concurrent.futures
import contextlib

import pytest

import browser
import players
import signal_kit

# Players that are starved drop what they should play.
pytestmark = pytest.mark.alone

SECONDS = 7
# Players that run side by side: few enough that none starves on two cores.
PLAYERS_AT_ONCE = 4
# The player's own resampler and the lower renditions that some choose lie between the programme and what is compared.
STOI_MIN = 0.95
LEVEL_TOLERANCE_DB = 1.0

LIVE = ["live.webm", "live.aac", "live.mp4", "hls/main.m3u8"]
ENDED = ["recording.mp4", "recording.m4a", "hls/main.m3u8", "live.webm", "live.aac"]
# Pages: by a library in a stranger's, and ours.
LIBRARIES, OURS = ["hls", "shaka"], "our page"
# A page plays in real time, and is silent where its machine halts.
PAGE_SILENT_MS_MAX = signal_kit.HALT_MAX_MS
# A replay begins where it begins, but for a codec's settling.
START_TOLERANCE_SECONDS = 0.1


def assert_same(programme, heard, silent_ms_max=0):
    """What was heard is a stretch of the programme."""
    match = signal_kit.compare(programme, heard, looped=False)
    assert match.seconds >= SECONDS - 1, match
    assert match.silent_ms <= silent_ms_max, match
    assert match.stoi >= STOI_MIN, match
    assert abs(match.level_db) <= LEVEL_TOLERANCE_DB, match
    return match


def assert_from_start(programme, heard, silent_ms_max=0):
    match = assert_same(programme, heard, silent_ms_max)
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


@pytest.fixture(scope="module")
def pages(chromium, strangers):
    """Opens a space in our page, and by each library in a stranger's, side by side; what each heard, once all have."""

    @contextlib.contextmanager
    def opened(space):
        urls = {library: strangers.url(f"{library}.html", url=f"{space.listen_url}/hls/main.m3u8") for library in LIBRARIES}
        with contextlib.ExitStack() as opening:
            yield {who: opening.enter_context(chromium.page(url)) for who, url in [*urls.items(), (OURS, space.listen_url)]}

    return opened


def all_heard(pages):
    return {who: browser.heard(page, SECONDS) for who, page in pages.items()}


def troubles(who, page):
    return page.complaints + ([] if who == OURS else page.evaluate("errors"))


@pytest.fixture(scope="module")
def heard_live(live, pages):
    with pages(live) as opened:
        programme, heard = live.hearing(lambda: all_heard(opened))
        return programme, heard, {who: troubles(who, page) for who, page in opened.items()}


@pytest.fixture(scope="module")
def heard_replay(ended, pages):
    with pages(ended) as opened:
        opened[OURS].click("#listen")
        heard = all_heard(opened)
        lengths = {library: opened[library].evaluate("document.querySelector('audio').duration") for library in LIBRARIES}
        return ended.recording(), heard, {who: troubles(who, page) for who, page in opened.items()}, lengths


@pytest.mark.parametrize("who", [*LIBRARIES, OURS])
def test_a_page_hears_a_live_space(heard_live, who):
    programme, heard, troubles = heard_live
    assert_same(programme, heard[who], PAGE_SILENT_MS_MAX)
    assert troubles[who] == []


@pytest.mark.parametrize("who", [*LIBRARIES, OURS])
def test_a_page_hears_the_replay_from_its_start(ended, heard_replay, who):
    programme, heard, troubles, lengths = heard_replay
    assert_from_start(programme, heard[who], PAGE_SILENT_MS_MAX)
    assert troubles[who] == []
    if who in LIBRARIES:
        assert lengths[who] == pytest.approx(ended.recorded_seconds(), abs=0.5)
