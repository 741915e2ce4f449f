"""What happens to networks happens to listeners of our page: it ends in sound near the playhead, and nobody reloads."""

import pytest

import browser
import signal_kit
from ears import BACK_SECONDS, LIKENESS_MIN, NEAR_SECONDS, STEADY_SECONDS, Ear, House

pytestmark = pytest.mark.alone

# Beyond the cushion of a join, so that silence is heard.
AWAY_SECONDS = 12
# 32 kbit/s: not enough for the rendition that a page begins with, nor for its overhead with two.
SLOW_BYTES_A_SECOND = 4000
# Not enough for any rendition.
CRAWL_BYTES_A_SECOND = 1000
PAUSE_SECONDS = 30
# As browsers do it to silent pages that nobody looks at, who do it by the minute.
LATE_TIMERS = """
for (const name of ['setTimeout', 'setInterval']) {
  const begin = window[name];
  window[name] = (what, ms, ...more) => begin(what, Math.ceil(Math.max(1, ms) / 15_000) * 15_000, ...more);
}
"""
# The page is calm sooner than it is with people.
CALM, SOONER_CALM = "CALM_MS = 120000;", "CALM_MS = 5000;"
# A browser that cannot be fed by a script, and one that knows no HLS besides.
NO_MEDIASOURCE = "for (const name of ['MediaSource', 'ManagedMediaSource']) Object.defineProperty(window, name, { value: undefined });"
NO_HLS = """
const canPlay = HTMLMediaElement.prototype.canPlayType;
HTMLMediaElement.prototype.canPlayType = function (type) { return type.includes('mpegurl') ? '' : canPlay.call(this, type); };
"""
# What is heard, by the page's word and by the sound itself: a recorder's lag and two glances on a busy machine.
ASIDE_SECONDS = 2


def a_reset(ear):
    yield from ear.joins(browser.KEEP_AUDIO)
    # Who begins late plays faster until he is near.
    while ear.page.evaluate("__audio.playbackRate") != 1:
        ear.look()
        yield
    since = ear.look()[1]
    ear.wire.reset()
    recovery = yield from ear.recovers()
    recovery.whole = browser.taken(ear.page, ear.look()[1] - since)
    return recovery


def away(ear, leave, come_back, seconds=AWAY_SECONDS):
    """He hears, is away for so long, and recovers."""
    yield from ear.joins()
    leave()
    yield from ear.goes_on(seconds)
    come_back()
    return (yield from ear.recovers())


def a_new_address(ear):
    yield from ear.joins()
    ear.wire.strand()
    return (yield from ear.recovers())


def a_hidden_page(ear):
    """Whose timers hardly run when it loses its address."""
    yield from ear.joins(LATE_TIMERS)
    ear.wire.strand()
    return (yield from ear.recovers())


def a_tunnel(ear):
    return (yield from away(ear, ear.wire.vanish, ear.wire.carry))


def nobody_there(ear):
    return (yield from away(ear, ear.wire.refuse, ear.wire.answer))


def server_trouble(ear):
    return (yield from away(ear, lambda: ear.wire.trouble(True), lambda: ear.wire.trouble(False)))


def a_slow_line(ear):
    """Which stays slow."""
    yield from ear.joins()
    ear.wire.slow(SLOW_BYTES_A_SECOND)
    yield from ear.goes_on(2 * AWAY_SECONDS)
    recovery = yield from ear.recovers()
    recovery.rendition = ear.told("rendition")
    return recovery


def a_crawl(ear):
    return (yield from away(ear, lambda: ear.wire.slow(CRAWL_BYTES_A_SECOND), lambda: ear.wire.slow(None), 2 * AWAY_SECONDS))


def a_pause(ear):
    return (yield from away(ear, ear.presses, ear.presses, PAUSE_SECONDS))


def a_freeze(ear):
    """As a browser does it to a page that nobody looks at."""
    yield from ear.joins()
    devtools = ear.page.context.new_cdp_session(ear.page)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    since = ear.house.playhead
    while ear.house.playhead < since + AWAY_SECONDS:
        yield
    devtools.send("Page.setWebLifecycleState", {"state": "active"})
    return (yield from ear.recovers())


def a_slow_line_that_is_well_again(ear):
    """For so long that the page asks for the richer sound, step by step."""
    asked = []
    ear.page.on("request", lambda request: "/live.mp4" in request.url and asked.append(request.url))
    ear.page.route("**/s/*", calm_sooner)
    yield from ear.joins()
    ear.wire.slow(SLOW_BYTES_A_SECOND)
    while ear.told("rendition") is None:
        yield
    ear.wire.slow(None)
    while ear.told("rendition") != "o48":
        ear.look()
        yield
    recovery = yield from ear.recovers()
    recovery.asked = asked
    return recovery


def calm_sooner(route):
    """The page with its policy for scripts left out, because it is another one now."""
    answer = route.fetch()
    headers = {name: value for name, value in answer.headers.items() if name != "content-security-policy"}
    assert CALM in answer.text()
    route.fulfill(status=answer.status, headers=headers, body=answer.text().replace(CALM, SOONER_CALM))


class NativeEar(Ear):
    """A page that the browser's own player plays: where it is in the programme, only the sound tells."""

    def look(self):
        return self.house.playhead, super().look()[1]


def plays(ear):
    """Whether anything is heard within two seconds of the programme."""
    before = ear.look()[1]
    yield from ear.goes_on(2)
    return ear.look()[1] > before


def native(ear, script):
    """It loses its address, and its player is not told."""
    ear = NativeEar(ear.house, ear.page, ear.wire)
    yield from ear.joins(script)
    ear.wire.strand()
    # What it has kept is played before it knows.
    while (yield from plays(ear)):
        pass
    recovery = yield from ear.recovers()
    recovery.via = ear.told("via")
    return recovery


def a_new_address_of_a_browser_without_mediasource(ear):
    return (yield from native(ear, NO_MEDIASOURCE))


def a_new_address_of_a_browser_without_hls(ear):
    return (yield from native(ear, NO_MEDIASOURCE + NO_HLS))


# Each case, and what the page says of it; of some nothing need be noticed.
CASES = {
    a_reset: "",
    a_new_address: "arrives",
    a_hidden_page: "Reconnecting",
    a_tunnel: "arrives",
    nobody_there: "The connection was lost",
    server_trouble: "cannot answer now (503)",
    a_slow_line: "too slow",
    a_crawl: "too slow",
    a_pause: "Paused",
    a_freeze: "",
    a_slow_line_that_is_well_again: "Trying the richer sound again.",
}
NATIVE_CASES = (a_new_address_of_a_browser_without_mediasource, a_new_address_of_a_browser_without_hls)


@pytest.fixture(scope="module")
def recoveries(live, chromium):
    """How everybody came back, and the programme meanwhile."""
    ends = House(live, chromium).suffer([*CASES, *NATIVE_CASES])
    return ends, live.recording()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_listener_is_back_near_the_playhead_after(recoveries, case):
    ends, recording = recoveries
    recovery = ends[case.__name__]
    likeness, behind = recovery.judged(recording)
    assert recovery.seconds <= BACK_SECONDS + STEADY_SECONDS, recovery
    assert recovery.behind <= NEAR_SECONDS, recovery
    assert likeness >= LIKENESS_MIN, recovery
    assert abs(behind - recovery.behind) <= ASIDE_SECONDS, recovery


def test_a_reset_is_not_heard(recoveries):
    ends, recording = recoveries
    match = signal_kit.compare(recording, ends["a_reset"].whole, looped=False)
    assert match.is_whole(), match


def test_a_slow_line_gets_a_leaner_rendition_and_says_so(recoveries):
    ends, _ = recoveries
    assert ends["a_slow_line"].rendition in ("o24", "o16")
    assert any("leaner" in words for words in ends["a_slow_line"].words), ends["a_slow_line"].words


def test_a_line_that_is_well_again_gets_its_rendition_back(recoveries):
    ends, _ = recoveries
    asked = ends["a_slow_line_that_is_well_again"].asked
    assert any("rendition=o" in url for url in asked) and "rendition=" not in asked[-1], asked


@pytest.mark.parametrize("case", NATIVE_CASES, ids=lambda case: case.__name__)
def test_the_browsers_own_player_is_started_again_after(recoveries, case):
    ends, recording = recoveries
    recovery = ends[case.__name__]
    likeness, _ = recovery.judged(recording)
    assert recovery.seconds <= BACK_SECONDS + STEADY_SECONDS, recovery
    assert likeness >= LIKENESS_MIN, recovery
    assert recovery.via in ("hls", "aac"), recovery
    assert any("No sound came" in words for words in recovery.words), recovery


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_page_says_what_happened(recoveries, case):
    said = recoveries[0][case.__name__].words
    assert CASES[case] in " ".join(said), said
    # Of a line that stays slow the page may be saying so.
    assert case is a_slow_line or said[-1].startswith("You are listening live."), said
