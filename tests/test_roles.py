"""Green room, sound check, cohosts, cue and turns, as speakers and hosts see and hear them in their browsers."""

import pytest

import browser
import signal_kit
from disks import metric
from test_hand import SIZES, press_twice, reads, studio_of
from test_speakers import connection, join_stage
from throng import command, request, wait_until

pytestmark = pytest.mark.aside


@pytest.fixture(scope="module", autouse=True)
def forsaken(node):
    """A live space at whose desk nobody is from now on."""
    return node.live("Forsaken")


def lamp(page):
    return page.evaluate("document.documentElement.dataset.lamp")


# Of a microphone that is not open.
SHUT = "-100.0"


def level(page):
    return page.evaluate("document.documentElement.dataset.level")


def shows(page, kind, words):
    wait_until(lambda: lamp(page) == kind and words in page.inner_text(".lamp"), f"the lamp says {kind}: {words}")


def test_who_waits_in_the_green_room_is_heard_when_the_host_brings_him_on(node, chromium):
    space = node.live("Green room", green_room=True)
    with (
        chromium.page(space.speaker_urls[0], tapped=False) as speaker,
        studio_of(space, chromium) as studio,
        chromium.page(space.listen_url) as listener,
    ):
        join_stage(speaker)
        shows(speaker, "off", "You hear the stage")
        reads(studio, "In the green room")
        assert not space.is_talking(1)
        assert studio.get_attribute("#green-room", "aria-pressed") == "true"
        assert browser.barriers(speaker, SIZES) == [] == browser.barriers(studio, SIZES)
        browser.heard(listener, 2)
        assert signal_kit.level_dbfs(browser.taken(listener, 1)) < signal_kit.SILENCE_DBFS
        studio.click("[data-place='green_room'][data-seat='1']")
        shows(speaker, "on", "ON AIR")
        wait_until(lambda: signal_kit.level_dbfs(browser.taken(listener, 1)) > signal_kit.BED_DBFS, "listeners hear him")
        wait_until(lambda: studio.is_visible("#turns li[data-turns='1']"), "the studio shows that he talks")
        assert studio.query_selector("#turns output") is None, "and nobody has it read every few seconds"
        speaker.click("#mute")
        shows(speaker, "muted", "MUTED")
        assert browser.barriers(speaker, SIZES) == [] == browser.barriers(studio, SIZES)
        done = command("space", "to-green-room", space.slug, 1, "--server", node.links["desk"], "--data", node.data)
        assert done.returncode == 0, done
        shows(speaker, "off", "You hear the stage")
        assert speaker.complaints + studio.complaints == []


def test_a_speaker_checks_his_sound_and_hears_himself_before_he_joins(node, chromium):
    space = node.create("Sound check")
    with chromium.page(space.speaker_urls[0]) as speaker:
        speaker.click("#hear-myself")
        reads(speaker, "Recording")
        reads(speaker, "Good. Speak like this")
        assert connection(speaker) == "idle", "nobody else hears it"
        wait_until(lambda: speaker.get_attribute("#hear-myself", "data-played"), "he has heard himself")
        assert browser.barriers(speaker, SIZES) == []
        speaker.click("#hear-myself")
        speaker.click("#join")
        wait_until(lambda: connection(speaker) == "connected", "the check keeps nobody from joining")
        assert not speaker.is_visible("#check")
        speaker.click("#leave")
        wait_until(lambda: level(speaker) == SHUT, "the microphone is given back")
        speaker.click("#hear-myself")
        wait_until(lambda: level(speaker) != SHUT, "it is open again, and he has not joined")
        space.step("cancel")
        wait_until(lambda: level(speaker) == SHUT, "nobody is to speak any more")
        assert speaker.complaints == []


ADVICE = """
async ([module, looks]) => {
  const { Advice } = await import(module);
  const advice = new Advice();
  return looks.map(([seconds, db, peak]) => advice.hear(seconds * 1000, db, peak));
}
"""


@pytest.mark.parametrize(
    ("advice", "db", "peak"),
    [("silent", -100, 0), ("wait", -60, 0.01), ("soft", -45, 0.03), ("good", -25, 0.4), ("loud", -5, 0.9), ("loud", -20, 1)],
)
def test_advice_is_about_the_loudest_of_the_last_seconds(node, chromium, advice, db, peak):
    with chromium.page(node.create("Advice").speaker_urls[0], tapped=False) as page:
        module = page.evaluate("new URL('check.js', document.querySelector('script[type=module]').src).href")
        # He talks, with a pause, and is over his first words three seconds later.
        looks = [[0.1 * n, -100, 0] if n % 4 == 0 else [0.1 * n, db, peak] for n in range(80)]
        first = page.evaluate(ADVICE, [module, [[0, -100, 0]]])
        assert first == ["wait"], "not before he has had time"
        assert page.evaluate(ADVICE, [module, looks])[-1] == advice


SECONDS_LEFT = """
async ([module, answers]) => {
  const { ServerTime } = await import(module);
  const server = new ServerTime(), now = Date.now(), at = ms => new Date(now + 3_600_000 + ms).toISOString();
  for (const [made, asked, came] of answers) server.take(at(made), now + asked, now + came);
  return server.secondsUntil(at(10_000));
}
"""


def test_a_page_whose_clock_is_an_hour_late_counts_in_step(node, chromium):
    with chromium.page(node.create("In step").speaker_urls[0], tapped=False) as page:
        module = page.evaluate("new URL('time.js', document.querySelector('script[type=module]').src).href")
        left = lambda *answers: page.evaluate(SECONDS_LEFT, [module, answers])
        assert left((0, -20, 20)) == pytest.approx(10, abs=0.5)
        # An answer that took long says less than one that did not.
        assert left((0, -20, 20), (0, -4000, 0)) == pytest.approx(10, abs=0.5)
        # One that came before it was asked for says that our clock was set meanwhile.
        assert left((0, -20, 20), (0, 20, -4000)) == pytest.approx(10, abs=0.5)


AN_HOUR_LATE = "(now => { Date.now = () => now() - 3_600_000; })(Date.now)"
MUTED_BY_THE_SYSTEM = "() => { Object.defineProperty(MediaStreamTrack.prototype, 'muted', { get: () => true }); }"


def cue(space, seconds):
    path = f"{space.desk}/api/spaces/{space.slug}/cue"
    assert request("PUT", path, {"in_seconds": seconds}, space.host_key).status == 200


def test_every_speaker_sees_the_countdown_in_step_and_it_ends_on_air(node, chromium):
    space = node.create("Cue")
    space.step("open-doors")
    with (
        chromium.page(space.speaker_urls[0], tapped=False) as speaker,
        studio_of(space, chromium) as studio,
    ):
        studio.evaluate(AN_HOUR_LATE)
        join_stage(speaker)
        shows(speaker, "off", "OFF AIR")
        press_twice(studio, "#cue")
        shows(speaker, "soon", "ON AIR IN")
        reads(studio, "On air in")
        for page in (speaker, studio):
            cue(space, 30)  # the longest, while the page is looked at
            assert browser.barriers(page, SIZES[:1]) == []
        cue(space, 30)
        studio.click("#stop-cue")
        shows(speaker, "off", "OFF AIR")
        assert space.show()["cue"] is None and space.state()["state"] == "doors"
        cue(space, 10)
        shows(speaker, "soon", "ON AIR IN")
        shows(speaker, "on", "ON AIR")
        wait_until(lambda: space.state()["state"] == "live", "listeners are told")
        reads(studio, "On air for")
        speaker.evaluate(MUTED_BY_THE_SYSTEM)
        shows(speaker, "muted", "NO MICROPHONE")
        assert speaker.title().startswith("NO MICROPHONE")
        assert speaker.complaints + studio.complaints == []


def test_a_cohost_goes_on_where_the_host_is_gone(node, chromium):
    space = node.live("Succession")
    with studio_of(space, chromium) as studio:
        reads(studio, "the host (you)")
        studio.click("#add-cohost")
        shown = studio.locator("#cohosts code")
        link = wait_until(lambda: shown.count() and shown.inner_text(), "there is a link")
        with chromium.page(link, tapped=False) as cohost:
            reads(cohost, "cohost 1 (you)")
            reads(studio, "cohost 1")
            assert not cohost.is_visible("#add-cohost")
            assert studio.is_visible("#keep") and not cohost.is_visible("#keep"), "how long it is kept is the host's"
            assert browser.barriers(cohost, SIZES) == []
            studio.close()
            press_twice(cohost, "#end")
            wait_until(lambda: space.state()["state"] == "ended", "the cohost has ended it")
            wait_until(lambda: cohost.is_visible("#replay"), "he reads it")
            assert not cohost.is_visible("#delete-recording")
            assert cohost.complaints == []


def test_speakers_are_told_when_nobody_is_at_the_desk_until_somebody_is(node, chromium, forsaken):
    with chromium.page(forsaken.speaker_urls[0], tapped=False) as speaker:
        told = speaker.locator("#alarm-host_away")
        wait_until(told.is_visible, "nobody has been at the desk for half a minute")
        assert "Nobody is at the desk" in told.inner_text()
        assert metric(node, 'throng_alarms{kind="host_away"}') >= 1
        with studio_of(forsaken, chromium):
            wait_until(lambda: not told.is_visible(), "the host is there")
    forsaken.step("end")
