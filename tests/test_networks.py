"""What happens to networks happens to listeners of our page: it ends in sound near the playhead, and nobody reloads."""

import pytest

import browser
import signal_kit
from ears import BACK_SECONDS, LIKENESS_MIN, NEAR_SECONDS, STEADY_SECONDS, House

# Beyond the cushion of a join, so that silence is heard.
AWAY_SECONDS = 12
# 32 kbit/s: not enough for the rendition that a page begins with, nor for its overhead with two.
SLOW_BYTES_A_SECOND = 4000
# Not enough for any rendition.
CRAWL_BYTES_A_SECOND = 1000
PAUSE_SECONDS = 30


def a_reset(ear):
    yield from ear.hears()
    ear.wire.reset()
    recovery = yield from ear.recovers()
    recovery.whole = browser.taken(ear.page)
    return recovery


def a_new_address(ear):
    yield from ear.hears()
    ear.wire.strand()
    return (yield from ear.recovers())


def a_tunnel(ear):
    yield from ear.hears()
    ear.wire.vanish()
    yield from ear.goes_on(AWAY_SECONDS)
    ear.wire.carry()
    return (yield from ear.recovers())


def nobody_there(ear):
    yield from ear.hears()
    ear.wire.refuse()
    yield from ear.goes_on(AWAY_SECONDS)
    ear.wire.answer()
    return (yield from ear.recovers())


def server_trouble(ear):
    yield from ear.hears()
    ear.wire.trouble(True)
    yield from ear.goes_on(AWAY_SECONDS)
    ear.wire.trouble(False)
    return (yield from ear.recovers())


def a_slow_line(ear):
    """Which stays slow."""
    yield from ear.hears()
    ear.wire.slow(SLOW_BYTES_A_SECOND)
    yield from ear.goes_on(AWAY_SECONDS)
    recovery = yield from ear.recovers()
    recovery.rendition = ear.told("rendition")
    return recovery


def a_crawl(ear):
    yield from ear.hears()
    ear.wire.slow(CRAWL_BYTES_A_SECOND)
    yield from ear.goes_on(2 * AWAY_SECONDS)
    ear.wire.slow(None)
    return (yield from ear.recovers())


def a_pause(ear):
    yield from ear.hears()
    ear.page.click("#listen")
    yield from ear.goes_on(PAUSE_SECONDS)
    ear.page.click("#listen")
    return (yield from ear.recovers())


def a_freeze(ear):
    """As a browser does it to a page that nobody looks at."""
    yield from ear.hears()
    devtools = ear.page.context.new_cdp_session(ear.page)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    since = ear.house.playhead
    while ear.house.playhead < since + AWAY_SECONDS:
        yield
    devtools.send("Page.setWebLifecycleState", {"state": "active"})
    return (yield from ear.recovers())


CASES = [a_reset, a_new_address, a_tunnel, nobody_there, server_trouble, a_slow_line, a_crawl, a_pause, a_freeze]


@pytest.fixture(scope="module")
def recoveries(live, chromium):
    """How everybody came back, and the programme meanwhile."""
    ends = House(live, chromium).suffer({case.__name__: case for case in CASES})
    return ends, live.recording()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_listener_is_back_near_the_playhead_after(recoveries, case):
    ends, recording = recoveries
    recovery = ends[case.__name__]
    likeness, behind = recovery.judged(recording)
    print(case.__name__, round(recovery.seconds, 1), round(likeness, 2), round(behind, 1), recovery.words)
    assert likeness >= LIKENESS_MIN, recovery
    assert behind <= NEAR_SECONDS + 1, recovery
    assert recovery.seconds <= BACK_SECONDS + STEADY_SECONDS, recovery
