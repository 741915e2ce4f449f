"""The host's hand on the stage: what is done in the studio is heard by listeners, and the speaker reads it on his page."""

import datetime
import json
import time

import pytest

import browser
import signal_kit
from disks import ended, raised
from test_speakers import connection, join_stage
from throng import command, request, wait_until

SIZES = [{"width": 390, "height": 844}, {"width": 1280, "height": 800}]
# Whoever is cut off is not heard any more after so long.
CUT_SECONDS = 1
SECONDS = 4
# Speech has pauses: a level is that of some sentences.
LEVEL_SECONDS = 8
LEVEL_TOLERANCE_DB = 1.5
REFUSAL = json.dumps({"title": "Not now", "detail": "Somebody is faster.", "status": 409})
# Whatever is said of the button from now on.
SAYS_OF_LOCK = """() => {
  const lock = document.querySelector('#lock');
  window.__said = [];
  new MutationObserver(() => __said.push(lock.ariaPressed)).observe(lock, { attributeFilter: ['aria-pressed'] });
}"""
MANY_FIT = """() => {
  const counts = document.querySelector('.counts');
  for (const number of counts.querySelectorAll('dd')) number.textContent = '12,345';
  return counts.scrollWidth <= counts.clientWidth;
}"""
IS_IN_SIGHT = "scrollY > 0 && document.querySelector('#alarm-dead_air').getBoundingClientRect().top >= 0"
# Controls that alarms would cover, one after the other from below.
COVERED = """() => [...document.querySelectorAll('main :is(button, input, select, textarea)')].reverse().filter(one => {
  if (!one.checkVisibility() || one.disabled) return false;
  one.focus();
  return one.getBoundingClientRect().top + 1 < document.querySelector('#alarms').getBoundingClientRect().bottom;
}).map(one => one.id || one.outerHTML)"""


@pytest.fixture
def stage(node, chromium):
    """A live space in which a page talks, and the host's studio."""
    # The gain is measured against what was said.
    space = node.live("The host's hand", levelling=False)
    with chromium.page(space.speaker_urls[0], tapped=False) as speaker, studio_of(space, chromium) as studio:
        join_stage(speaker)
        wait_until(lambda: space.is_talking(1), "the page talks")
        yield space, speaker, studio


def studio_of(space, chromium):
    return chromium.page(space.created["host_url"], tapped=False)


def reads(page, words):
    wait_until(lambda: words in page.inner_text("body"), f"the page says: {words}")


def press_twice(page, selector):
    """Presses a button that asks whether it is meant."""
    page.click(selector)
    page.wait_for_selector(f"{selector}[data-armed]")
    page.click(selector)
    # On a busy machine it may have taken back its question by then, and this was the first press again.
    if page.query_selector(f"{selector}[data-armed]"):
        page.click(selector)


def level_now(listener):
    return signal_kit.level_dbfs(browser.taken(listener, 1))


def since_start(space):
    """How long the space has been live now: the second of the recording that is being mixed."""
    return time.time() - began(space)


def began(space):
    return datetime.datetime.fromisoformat(space.state()["started_at"]).timestamp()


def cut_off(space, studio, selector):
    """Presses a button that takes off somebody who has talked for a while; the second at which the desk was asked to."""
    since = since_start(space)
    wait_until(lambda: since_start(space) >= since + SECONDS, "he has talked for a while")
    with studio.expect_response(lambda answer: answer.request.method == "DELETE") as answer:
        press_twice(studio, selector)
    return answer.value.request.timing["startTime"] / 1000 - began(space)


def assert_cut(space, at):
    """He was heard until that second of the recording, and from a second later on nothing is."""
    wait_until(lambda: space.recorded_seconds() >= at + CUT_SECONDS + SECONDS, "the time after it is recorded")
    recorded = space.recording()
    before, after = int(at * signal_kit.RATE_HZ), int((at + CUT_SECONDS) * signal_kit.RATE_HZ)
    assert signal_kit.level_dbfs(recorded[before - SECONDS * signal_kit.RATE_HZ : before]) > signal_kit.BED_DBFS
    assert signal_kit.level_dbfs(recorded[after:]) < signal_kit.SILENCE_DBFS


@pytest.mark.parametrize("size", SIZES, ids=["phone", "desk"])
def test_listeners_hear_a_mute_and_its_end_and_the_speaker_reads_it(stage, chromium, size):
    space, speaker, studio = stage
    studio.set_viewport_size(size)
    speaker.set_viewport_size(size)
    with chromium.page(space.listen_url) as listener:
        browser.heard(listener, SECONDS)
        wait_until(lambda: level_now(listener) > signal_kit.BED_DBFS, "the listener hears him")
        studio.click("[data-mute='1']")
        reads(studio, "Muted by the host")
        reads(speaker, "The host has muted you")
        wait_until(lambda: level_now(listener) < signal_kit.SILENCE_DBFS, "the listener hears nothing")
        # A reload is no way out of it.
        speaker.reload()
        join_stage(speaker)
        reads(speaker, "The host has muted you")
        assert not space.is_talking(1)
        assert studio.inner_text("[data-mute='1']") == "Unmute"
        studio.click("[data-mute='1']")
        wait_until(lambda: level_now(listener) > signal_kit.BED_DBFS, "the listener hears him again")
        wait_until(lambda: not speaker.is_visible("#host-word"), "the speaker reads no more of it")


def test_the_studio_tells_a_mute_of_ones_own_from_the_hosts(stage):
    space, speaker, studio = stage
    speaker.click("#mute")
    reads(studio, "Muted by themselves")
    seat = space.seat(1)
    assert (seat["muted"], seat["muted_by_self"], seat["muted_by_host"]) == (True, True, False)
    speaker.click("#mute")
    wait_until(lambda: space.is_talking(1), "he talks again")
    wait_until(lambda: "Muted by themselves" not in studio.inner_text("#seats"), "the studio says so")


def test_who_is_removed_is_cut_within_a_second_reads_it_and_may_come_back(stage):
    space, speaker, studio = stage
    at = cut_off(space, studio, "[data-remove='1']")
    wait_until(lambda: connection(speaker) == "removed", "his page knows")
    reads(speaker, "The host has taken you off the stage")
    assert_cut(space, at)
    assert connection(speaker) == "removed", "it does not come back by itself"
    speaker.click("#join")
    wait_until(lambda: space.is_talking(1), "he talks again")


def test_a_revoked_link_cuts_whoever_sits_there_by_it_within_a_second(stage, voices):
    space, speaker, studio = stage
    at = cut_off(space, studio, "[data-revoke='1']")
    reads(speaker, "revoked")
    reads(studio, "opens nothing any more")
    assert_cut(space, at)
    studio.click("[data-renew='1']")
    asked = studio.get_attribute("[data-renew='1']", "aria-label"), studio.inner_text(".aloud")
    studio.click("[data-renew='1']")
    assert asked == ("Press again: the old link will not work. (New link for speaker 1)",) * 2
    shown = studio.locator("#links li").filter(has_text="Speaker 1").locator("code")
    space.speaker_urls[0] = wait_until(lambda: shown.count() and shown.inner_text(), "there is a new link")
    with space.speak(1, voices["ada"]):
        assert space.is_talking(1)


def test_a_locked_stage_lets_nobody_new_in_and_says_so(stage, chromium):
    space, speaker, studio = stage
    studio.focus("#lock")
    studio.keyboard.press("Enter")
    reads(studio, "nobody new takes a seat")
    with chromium.page(space.speaker_urls[1], tapped=False) as newcomer:
        newcomer.click("#join")
        reads(newcomer, "The stage is locked")
        assert connection(newcomer) == "idle"
        speaker.reload()
        join_stage(speaker)
        wait_until(lambda: space.is_talking(1), "who sat there is back")
        studio.focus("#lock")
        studio.keyboard.press("Enter")
        wait_until(lambda: not space.show()["stage_locked"], "it is unlocked")
        join_stage(newcomer)


def test_a_gain_is_heard_and_its_slider_works_by_keyboard(stage, node):
    space, speaker, studio = stage
    studio.focus("[data-gain='1']")
    studio.keyboard.press("ArrowLeft")
    wait_until(lambda: space.seat(1)["gain_db"] == -1, "a step softer")
    done = command("space", "gain", space.slug, 1, -12, "--server", node.links["desk"], "--data", node.data)
    assert done.returncode == 0, done
    reads(speaker, "turned you down")
    reads(studio, "\N{MINUS SIGN}12 dB")
    since = space.recorded_seconds()
    wait_until(lambda: space.recorded_seconds() >= since + LEVEL_SECONDS + 1, "he is recorded so for a while")
    match = signal_kit.compare(signal_kit.speech("ada"), space.recording(LEVEL_SECONDS))
    assert abs(match.level_db + 12) <= LEVEL_TOLERANCE_DB, match


def test_the_hand_is_reached_by_everybody(stage):
    _, speaker, studio = stage
    studio.click("[data-mute='1']")
    reads(speaker, "The host has muted you")
    assert browser.barriers(studio, SIZES) == []
    assert browser.barriers(speaker, SIZES) == []
    assert speaker.complaints + studio.complaints == []


def test_dead_air_is_told_to_the_host_until_somebody_is_heard(node, chromium, voices):
    space = node.live("Dead air")
    with studio_of(space, chromium) as studio:
        reads(studio, "Nobody is on stage")
        raised(space, "dead_air")
        for size in SIZES:
            studio.set_viewport_size(size)
            studio.evaluate("scrollTo(0, document.body.scrollHeight)")
            assert studio.evaluate(IS_IN_SIGHT)
            wait_until(lambda: studio.evaluate(COVERED) == [], "what is worked with is in sight, too")
        assert studio.title().startswith("\N{WARNING SIGN} ")
        assert browser.barriers(studio, SIZES) == []
        with space.speak(1, voices["ada"]):
            ended(space, "dead_air")
            wait_until(lambda: not studio.is_visible("#alarm-dead_air"), "the host is told so")
            wait_until(lambda: "\N{WARNING SIGN}" not in studio.title(), "the tab, too")
            mute = f"{space.desk}/api/spaces/{space.slug}/speakers/1"
            assert request("PATCH", mute, {"muted": True}, space.host_key).status == 200
            reads(studio, "Everybody on stage is muted")
        assert studio.complaints == []


def looks_again(studio, space):
    """Whatever came so far is shown: a look begins when the one before it has ended."""
    is_look = lambda answer: answer.request.method == "GET" and answer.url.endswith(f"/api/spaces/{space.slug}")
    for _ in range(2):
        with studio.expect_response(is_look):
            pass


def test_a_studio_says_why_something_failed_and_shows_nothing_older_than_what_was_done(node, chromium):
    space = node.create("One thing after the other")
    own = f"**/api/spaces/{space.slug}"
    with studio_of(space, chromium) as studio:
        reads(studio, "No time is set")
        names = studio.evaluate("[...document.querySelectorAll('#links button')].map(one => one.ariaLabel)")
        assert len(names) == len(set(names)), names
        assert studio.query_selector("#delay-word[role]") is None, "what changes each second is not read aloud"
        studio.set_viewport_size({"width": 320, "height": 640})
        assert studio.evaluate(MANY_FIT)

        def refuse(route):
            is_act = route.request.method == "PATCH"
            route.fulfill(status=409, content_type="application/problem+json", body=REFUSAL) if is_act else route.fallback()

        studio.route(own, refuse)
        studio.select_option("#delay", "6")
        reads(studio, "Somebody is faster")
        looks_again(studio, space)
        assert studio.is_visible("#problem"), "a look that goes well takes no reason away"
        assert studio.input_value("#delay") == "0", "what was refused is not shown"
        studio.unroute(own, refuse)

        sign_in = lambda route: route.fulfill(content_type="text/html", body="<p>Sign in to this network")
        studio.route(own, sign_in)
        reads(studio, "cut short")
        studio.unroute(own, sign_in)
        wait_until(lambda: not studio.is_visible("#problem"), "it goes on by itself")

        held = []

        def hold(route):
            is_first = route.request.method == "GET" and not held
            held.append((route, route.fetch())) if is_first else route.fallback()

        studio.route(own, hold)
        wait_until(lambda: studio.title() and held, "a look is under way")
        studio.click("#lock")
        wait_until(lambda: studio.get_attribute("#lock", "aria-pressed") == "true", "the stage is locked")
        studio.evaluate(SAYS_OF_LOCK)
        route, before = held[0]
        route.fulfill(response=before)
        looks_again(studio, space)
        said = studio.evaluate("__said")
        assert "false" not in said, said


def test_who_tells_listeners_one_thing_takes_back_nothing_that_others_changed(node, chromium):
    space = node.create("Told by two")
    with studio_of(space, chromium) as studio:
        wait_until(lambda: studio.input_value("#new-title") == "Told by two", "the form is filled")
        studio.fill("#message", "Bring questions")
        others = {"title": "Told by others", "delay_reason": "The train"}
        assert request("PATCH", f"{space.desk}/api/spaces/{space.slug}", others, space.host_key).status == 200
        wait_until(lambda: studio.input_value("#new-title") == "Told by others", "the form follows")
        assert studio.input_value("#reason") == "The train"
        assert studio.input_value("#message") == "Bring questions", "but for what the host writes"
        with studio.expect_request(lambda asked: asked.method == "PATCH") as asked:
            studio.click("#save")
        assert json.loads(asked.value.post_data) == {"message": "Bring questions"}
        reads(studio, "Listeners are told.")
        shown = space.show()
        assert (shown["title"], shown["message"]) == ("Told by others", "Bring questions")
        assert studio.complaints == []
