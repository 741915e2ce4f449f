"""What a listener may do on our page besides listening: by mouse, keys, lock screen and screen reader."""

import contextlib
import json
import time
import urllib.parse

import pytest

import browser
import signal_kit
from test_ladder import reaches, set_ladder
from throng import request, rest, wait_until

SIZES = [{"width": 390, "height": 844}, {"width": 1280, "height": 800}]
# So old is a talk that can be started over.
OLD_ENOUGH_SECONDS = 21
# The cushion of a join, and what catching up leaves.
NEAR_SECONDS = 10
# What the page tells the lock screen that it can do.
KEEP_ACTS = """
window.__acts = {};
const act = MediaSession.prototype.setActionHandler;
MediaSession.prototype.setActionHandler = function (name, does) { window.__acts[name] = does; return act.call(this, name, does); };
"""
SAVES_DATA = "Object.defineProperty(NetworkInformation.prototype, 'saveData', { get: () => true, configurable: true });"
NO_MEDIASOURCE = "for (const name of ['MediaSource', 'ManagedMediaSource']) Object.defineProperty(window, name, { value: undefined });"
LONG_LINK = f"https://example.org/{'a' * 200}"
CHAPTERS = {
    "version": "1.2.0",
    "chapters": [
        {"startTime": 6, "title": "<img src=x onerror=alert(1)>"},
        {"startTime": 0, "title": "Welcome"},
        {"startTime": 3.5, "title": "Not in the list", "toc": False},
        {"startTime": "later", "title": "No time"},
    ],
}


@contextlib.contextmanager
def opened(chromium, url, *scripts, tapped=False):
    """A page, and the names of all that it asks for."""
    with chromium.page("about:blank", tapped=tapped) as page:
        page.asked = []
        page.on("request", lambda request: page.asked.append((request.method, request.url)))
        for script in (browser.KEEP_AUDIO, KEEP_ACTS, *scripts):
            page.add_init_script(script)
        page.goto(url, wait_until="commit")
        yield page


def told(page, name):
    return page.evaluate("name => document.documentElement.dataset[name] ?? null", name)


def plays(page, via):
    wait_until(lambda: told(page, "playing") == "true" and told(page, "via") == via, f"{via} plays")


def listens(page):
    """Hears a live space, and has the controls."""
    plays(page, "mse")
    page.wait_for_selector("#mute")


def position(page):
    return page.evaluate("__audio.currentTime")


def now_at(space):
    """The newest second of the programme, by its own clock."""
    state = space.state()
    return (state["newest_segment"] + 1) * state["segment_seconds"]


def asked_for(page):
    """All URLs that were asked for. What a page did is told us only while it is asked something."""
    page.evaluate("0")
    return [url for _, url in page.asked]


def names(page, space):
    """Files of the space that were asked for; the page itself is ''."""
    asked = [url for url in asked_for(page) if url.startswith(space.listen_url)]
    return [urllib.parse.urlsplit(url.removeprefix(space.listen_url)).path.lstrip("/") for url in asked]


@pytest.fixture(scope="module")
def talk(node, voices):
    """A live space that a test may end, and that is older by then."""
    space = node.live("A talk that ends")
    with space.speak(1, voices["ada"]):
        yield space


@pytest.fixture(scope="module", autouse=True)
def in_time(talk):
    """It begins before everything else here."""


def is_old_enough(space):
    wait_until(lambda: space.recorded_seconds() > OLD_ENOUGH_SECONDS, "the talk is worth starting over")


def starts_over(page):
    page.click("#start-over")
    plays(page, "event")
    page.wait_for_selector("#seek")


def test_nothing_but_page_and_stream_is_asked_for_before_the_first_sound(live, chromium):
    with opened(chromium, live.listen_url) as page:
        listens(page)
        asked = names(page, live)
        before = asked[: next(n for n, name in enumerate(asked) if name.startswith("controls"))]
        # A page that waits for long looks at the state, which is everybody's.
        assert set(before) - {"state.json"} == {"", "live.mp4"}, asked
        assert {method for method, _ in page.asked} == {"GET"}
        assert page.context.cookies() == []
        assert page.complaints == []


def test_a_replay_asks_for_its_seek_bar_and_its_file_and_nothing_else_before_it_plays(ended, chromium):
    with opened(chromium, ended.listen_url) as page:
        page.wait_for_selector("#seek")
        assert set(names(page, ended)) == {"", "replay.js", "controls.css", "recording.mp4"}
        assert not page.is_visible("#mute")
        page.click("#listen")
        page.wait_for_selector("#mute")
        wait_until(lambda: "chapters.json" in names(page, ended), "chapters are asked for")
        assert page.query_selector("#chapters") is None, "there are none, and that is no error"
        assert not page.evaluate("document.querySelector('#status').classList.contains('trouble')")


def test_volume_and_mute_by_key_and_slider_and_the_volume_is_remembered(live, chromium):
    with opened(chromium, live.listen_url) as page:
        listens(page)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("m")
        assert page.evaluate("[__audio.volume, __audio.muted]") == [pytest.approx(0.9), True]
        wait_until(lambda: page.get_attribute("#mute", "aria-pressed") == "true", "the button says so")
        page.keyboard.press("ArrowUp")
        assert page.evaluate("[__audio.volume, __audio.muted]") == [pytest.approx(0.95), False]
        page.fill("#volume", "0.4")
        wait_until(lambda: page.get_attribute("#volume", "aria-valuetext") == "40 %", "screen readers are told")
        page.reload(wait_until="commit")
        listens(page)
        assert page.evaluate("__audio.volume") == pytest.approx(0.4), "and before its first sound"
        # What comes in the moment of the page's own start means nothing.
        heard = "__audio.played.length && __audio.currentTime - __audio.played.start(0) > 2"
        wait_until(lambda: page.evaluate(heard), "it has been heard for longer than that")
        page.keyboard.press("k")
        wait_until(lambda: told(page, "pressed") == "false", "the pause by key")
        assert "Paused" in page.inner_text("#status")
        page.keyboard.press(" ")
        plays(page, "mse")


def rendition(page):
    """Of the newest stream that was asked for."""
    streams = [url for url in asked_for(page) if "/live.mp4?" in url]
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(streams[-1]).query)
    return query.get("rendition", ["o48"])[0]


def test_who_saves_data_gets_16_kbit_s_from_the_start_and_may_change_that_without_a_gap(live, chromium):
    with opened(chromium, live.listen_url, SAVES_DATA) as page:
        listens(page)
        assert rendition(page) == "o16"
        assert page.get_attribute("#saver", "aria-pressed") == "true"
        page.evaluate("__audio.addEventListener('waiting', () => { window.__waited = true; })")
        before = position(page)
        page.click("#saver")
        assert "rich again" in page.inner_text("#note")
        wait_until(lambda: rendition(page) == "o48", "the rich sound is asked for")
        wait_until(lambda: position(page) > before + 3, "the sound goes on")
        assert not page.evaluate("window.__waited")
        page.reload(wait_until="commit")
        listens(page)
        assert rendition(page) == "o48", "his own choice is remembered, whatever the browser thinks"


def test_who_was_left_behind_catches_up_and_may_jump(live, chromium):
    with opened(chromium, live.listen_url) as page:
        listens(page)
        end = "__audio.buffered.end(__audio.buffered.length - 1)"
        wait_until(lambda: page.evaluate(f"{end} - __audio.buffered.start(0)") > 8.5, "something has been heard")
        # Far enough behind to play faster, and not so far that the page would jump.
        page.evaluate(f"__audio.currentTime = {end} - 7.5")
        wait_until(lambda: page.evaluate("__audio.playbackRate") == 1.05, "it plays a little faster")
        behind = float(told(page, "ahead"))
        page.keyboard.press("l")
        wait_until(lambda: float(told(page, "ahead")) < behind - 1.5, "he jumped")
        wait_until(lambda: page.evaluate("__audio.playbackRate") == 1, "the usual speed")


def seconds_at(page):
    """Where he is, as the page says it."""
    minutes, seconds = page.inner_text("#at").split(":")
    return 60 * int(minutes) + int(seconds)


def test_starting_over_plays_from_go_live_and_now_is_a_key_away(live, chromium):
    is_old_enough(live)
    with opened(chromium, live.listen_url, tapped=True) as page:
        listens(page)
        recording = live.recording()
        starts_over(page)
        wait_until(lambda: seconds_at(page) >= 3, "three seconds of it")
        heard, until = browser.taken(page, 1), (seconds_at(page) + 1) * signal_kit.RATE_HZ
        at, likeness = signal_kit.find(heard, recording[: until + 4 * signal_kit.RATE_HZ])
        assert likeness > signal_kit.CERTAIN and at < until, (at, likeness)
        assert "so far" in page.inner_text("#of")
        assert "from the start" in page.inner_text("#status")
        assert page.evaluate("document.activeElement.id") == "now", "the way back has the focus"
        page.focus("#seek")
        page.keyboard.press("End")
        plays(page, "mse")
        wait_until(lambda: now_at(live) - position(page) < NEAR_SECONDS, "where it ends is now")
        assert page.evaluate("document.activeElement.id") == "listen", "the bar is gone, and the focus is not lost"
        starts_over(page)
        page.keyboard.press("l")
        plays(page, "mse")
        wait_until(lambda: now_at(live) - position(page) < NEAR_SECONDS, "near the live moment")
        assert page.query_selector("#seek") is None
        assert page.complaints == []


def test_a_browser_that_cannot_be_fed_starts_over_by_its_own_player(live, chromium):
    is_old_enough(live)
    with opened(chromium, live.listen_url, NO_MEDIASOURCE) as page:
        # On a busy machine HLS may come too late, and AAC then plays.
        wait_until(lambda: told(page, "playing") == "true" and told(page, "via") in ("hls", "aac"), "its own player plays")
        page.wait_for_selector("#start-over")
        page.click("#start-over")
        page.wait_for_selector("#seek")
        wait_until(lambda: page.evaluate("__audio.currentSrc").partition("?")[0].endswith("/event.m3u8"), "the event plays")
        plays(page, "hls")
        wait_until(lambda: 0.5 < position(page) < 15, "from the beginning")


def test_starting_over_is_refused_in_words_while_so_many_listen(node, live, chromium):
    is_old_enough(live)
    with opened(chromium, live.listen_url) as page:
        listens(page)
        page.wait_for_selector("#start-over")
        assert page.get_attribute("#start-over", "aria-describedby") is None, "nothing is paused"
        set_ladder(node, locked=True, rung=3)
        try:
            reaches(live, 3)
            page.click("#start-over")
            wait_until(lambda: "paused while so many listen" in page.inner_text("#note"), "the reason")
            wait_until(lambda: page.is_visible("#paused"), "it is said beforehand, too")
            assert page.get_attribute("#start-over", "aria-disabled") == "true"
            assert page.get_attribute("#start-over", "aria-describedby") == "paused"
            assert browser.barriers(page, SIZES[:1]) == []
            assert told(page, "via") == "mse" and told(page, "playing") == "true", "nobody is taken from the live sound"
        finally:
            set_ladder(node, locked=True, rung=0)
            set_ladder(node, locked=False)
            reaches(live, 0)


def test_the_lock_screen_is_told_what_plays_and_may_act(live, ended, chromium):
    with opened(chromium, live.listen_url) as page:
        listens(page)
        told_of = "(({ title, artist, artwork }) => [title, artist, artwork[0].src])(navigator.mediaSession.metadata)"
        title, artist, artwork = page.evaluate(told_of)
        assert (title, artist) == ("A live conversation", "Live")
        assert artwork.startswith("data:image/png")
        assert page.evaluate("Object.entries(__acts).filter(([, does]) => does).map(([name]) => name)") == ["play", "pause", "stop"]
        page.evaluate("__acts.pause()")
        wait_until(lambda: page.evaluate("navigator.mediaSession.playbackState") == "paused", "the pause")
    with opened(chromium, ended.listen_url) as page:
        page.click("#listen")
        wait_until(lambda: page.evaluate("Boolean(window.__acts.seekto)"), "the lock screen seeks")
        page.evaluate("__acts.seekto({ seekTime: 8 }), __acts.seekbackward(), __acts.pause()")
        wait_until(lambda: told(page, "pressed") == "false" and position(page) < 8, "it went back")
        assert page.evaluate(told_of)[1] == "Replay"


def test_a_replay_skips_and_changes_its_speed_at_the_right_pitch(ended, chromium):
    with opened(chromium, ended.listen_url) as page:
        page.click("#listen")
        plays(page, "file")
        speeds = page.evaluate("[...document.querySelector('#speed').options].map(option => +option.value)")
        assert speeds == [0.75, 1, 1.25, 1.5, 2]
        page.select_option("#speed", "1.5")
        assert page.evaluate("[__audio.playbackRate, __audio.preservesPitch]") == [1.5, True]
        page.fill("#seek", "9")
        wait_until(lambda: position(page) >= 9, "dragged there")
        page.evaluate("document.activeElement.blur()")
        page.evaluate("__audio.addEventListener('seeking', () => { window.__sought = __audio.currentTime; })")
        page.keyboard.press("ArrowLeft")
        wait_until(lambda: page.evaluate("window.__sought < 4"), "back")
        page.click("#forth")
        wait_until(lambda: told(page, "pressed") == "false", "beyond the end is the end")


def positions(page):
    return page.evaluate("JSON.parse(localStorage['throng:positions'] ?? '[]')")


def test_a_replay_remembers_where_somebody_was_and_offers_to_go_on(ended, chromium):
    others = [[f"another-{n}", 100] for n in range(60)]
    with opened(chromium, ended.listen_url) as page:
        page.evaluate("others => { localStorage['throng:positions'] = others; }", json.dumps(others))
        page.click("#listen")
        plays(page, "file")
        page.evaluate("__audio.currentTime = 6.3, document.querySelector('#listen').click()")
        wait_until(lambda: positions(page)[-1] == [ended.slug, 6], "it is remembered")
        assert len(positions(page)) == 50 and positions(page)[0] == others[11], "and the oldest are forgotten"
        page.reload(wait_until="commit")
        assert page.inner_text("#go-on") == "Go on from 0:06"
        assert browser.barriers(page, SIZES) == []
        went_on = time.monotonic()
        page.click("#go-on")
        plays(page, "file")
        assert 6 <= position(page) < 7 + time.monotonic() - went_on
        assert page.query_selector("#go-on") is None
        page.evaluate("localStorage['throng:positions'] = '{no list'")
        page.reload(wait_until="commit")
        page.wait_for_selector("#seek")
        assert page.query_selector("#go-on") is None and page.complaints == []


@pytest.mark.parametrize(("moment", "seconds"), [("#t=7", 7), ("#t=0:08.5", 8.5), ("#t=-3", 0), ("#t=x", 0)])
def test_a_link_may_say_where_a_replay_begins(ended, chromium, moment, seconds):
    with opened(chromium, ended.listen_url + moment) as page:
        page.wait_for_selector("#seek")
        began = time.monotonic()
        page.click("#listen")
        plays(page, "file")
        assert seconds <= position(page) < seconds + 1 + time.monotonic() - began


@pytest.mark.parametrize("late", [False, True], ids=["", "of a page that played before it could control it"])
def test_chapters_are_listed_marked_and_sought(ended, chromium, late):
    held = []
    with chromium.page("about:blank", tapped=False) as page:
        page.add_init_script(browser.KEEP_AUDIO)
        page.route("**/chapters.json", lambda route: route.fulfill(json=CHAPTERS))
        if late:
            page.route("**/replay.js*", lambda route: held.append(route))
        page.goto(ended.listen_url, wait_until="commit")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.click("#listen")
        if late:
            plays(page, "file")
            held[0].continue_()
        page.wait_for_selector("#chapters")
        assert page.locator("#chapters button").all_inner_texts() == ["0:00\nWelcome", "0:06\n<img src=x onerror=alert(1)>"]
        current = "#chapters [aria-current]"
        assert "Welcome" in page.inner_text(current)
        page.click("#chapters li:last-child button")
        wait_until(lambda: "0:06" in page.inner_text(current), "the current chapter is marked")
        # With the first sound of it the page says so.
        wait_until(lambda: position(page) > 6.3, "it plays from there")
        page.click("#link")
        wait_until(lambda: "Copied" in page.inner_text("#status"), "the link is copied")
        link = page.evaluate("navigator.clipboard.readText()")
        assert link.partition("#t=")[0] == ended.listen_url and int(link.partition("#t=")[2]) >= 6
        assert browser.barriers(page, SIZES) == []


@pytest.mark.parametrize("late", [False, True], ids=["", "before the page could control it"])
def test_a_replay_whose_line_broke_goes_on_by_itself(ended, chromium, late):
    broken, held = [], []
    with chromium.page("about:blank", tapped=False) as page:
        page.add_init_script(browser.KEEP_AUDIO)
        if late:
            page.route("**/replay.js*", lambda route: held.append(route))
        page.route("**/recording.mp4", lambda route: route.abort() if not broken.append(1) and len(broken) < 3 else route.continue_())
        page.goto(ended.listen_url, wait_until="commit")
        if late:
            wait_until(lambda: page.evaluate("Boolean(window.__audio?.error)") and held, "it broke")
            held[0].continue_()
        page.wait_for_selector("text=Trying again by itself.")
        page.click("#listen")
        plays(page, "file")
        assert "Here is all of it" in page.inner_text("#status")


def tell(space, message):
    assert request("PATCH", f"{space.desk}/api/spaces/{space.slug}", {"message": message}, space.host_key).status == 200


def is_told(page, message):
    """Reads it soon: who comes back to a page has it look at once."""
    comes_back = "document.dispatchEvent(new Event('visibilitychange'))"
    wait_until(lambda: page.evaluate(comes_back) and page.inner_text("#message") == message, f"it is told: {message}")


def test_nobody_is_kept_out_by_how_listening_looks(live, chromium):
    is_old_enough(live)
    with opened(chromium, live.listen_url) as page:
        listens(page)
        page.wait_for_selector("#start-over")
        for size in SIZES:
            page.set_viewport_size(size)
            assert all(page.is_visible(control) for control in ("#mute", "#volume", "#saver", "#start-over"))
        tell(live, LONG_LINK)
        try:
            is_told(page, LONG_LINK)
            assert browser.barriers(page, SIZES) == []
            tell(live, "Bring questions")
            is_told(page, "Bring questions")
        finally:
            tell(live, None)
        is_told(page, "")
        assert not page.is_visible("#message")
        starts_over(page)
        assert browser.barriers(page, SIZES) == []
        page.keyboard.press("?")
        page.wait_for_selector("dialog[open]")
        assert "Jump to now" in page.inner_text("dialog")
        assert browser.barriers(page, SIZES[:1]) == []
        page.keyboard.press("m")
        assert not page.evaluate("__audio.muted"), "keys are the dialog's"
        page.keyboard.press("Escape")
        assert not page.is_visible("dialog")


def test_without_a_script_the_page_is_a_plain_player(ended, chromium):
    context = chromium.chromium.new_context(java_script_enabled=False)
    with contextlib.closing(context):
        page = context.new_page()
        page.goto(ended.listen_url)
        source = page.get_attribute("audio[controls]", "src")
        links = [link.get_attribute("href") for link in page.locator("noscript a, #others a").all()]
        assert page.is_visible("audio[controls]") and not page.is_visible("#listen")
        assert page.inner_text("h1") == "An ended conversation"
        for link in {source, *links}:
            assert ended.get(link.removeprefix(f"/s/{ended.slug}/")).status in (200, 302), link


def test_who_started_over_goes_on_in_the_replay_where_he_was(talk, chromium):
    is_old_enough(talk)
    with opened(chromium, talk.listen_url) as page:
        listens(page)
        page.wait_for_selector("#start-over", timeout=90_000)
        began = time.monotonic()
        starts_over(page)
        rest(1)
        talk.step("end")
        plays(page, "file")
        assert 1 <= position(page) < 1 + time.monotonic() - began, "where he was"
        assert page.query_selector("#now:visible") is None
        wait_until(lambda: page.evaluate("Boolean(__acts.seekto)"), "the lock screen seeks in it")
        assert page.complaints == []
