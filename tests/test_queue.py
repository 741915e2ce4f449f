"""A house that is full: what those hear and see who wait, and how they come in."""

import concurrent.futures
import contextlib
import json
import signal as signals
import subprocess

import pytest

import browser
import signal_kit
from disks import metric
from throng import BEHIND_SECONDS, BINARY, Node, wait_until

pytestmark = pytest.mark.aside

# So much of what is heard is laid beside the hold music or the programme.
SECONDS = 4
# The hold loop is encoded ten times faster than it plays.
HOLD_MADE_SECONDS = 300
# A place is kept for who might return, and whoever is next looks within his dealt time.
IN_SECONDS = 90
PLACES = 2
SIZES = [{"width": 390, "height": 844}, {"width": 1280, "height": 800}]
# Keeps what the page has the system say, once it is shown.
KEEP_NOTES = """
const System = Notification;
window.__notes = [];
window.Notification = class extends System {
  constructor(words, options) {
    super(words, options);
    this.addEventListener('show', () => window.__notes.push([words, options.body]));
  }
};
"""


@contextlib.contextmanager
def full_node(folder):
    """A node with two places."""
    with contextlib.closing(Node(folder / "data", "--air-workers", "2", "--listeners-max", str(PLACES))) as node:
        yield node


@pytest.fixture(scope="module")
def few_places(tmp_path_factory):
    with full_node(tmp_path_factory.mktemp("full")) as node:
        yield node


@pytest.fixture(scope="module")
def talk(few_places, voices):
    """A live space in which Ada talks."""
    space = few_places.live("A full house")
    with space.speak(1, voices["ada"]):
        wait_until(lambda: space.get("hold.mp4").status == 200, "the hold music is made", HOLD_MADE_SECONDS)
        yield space


class Inside:
    """Somebody who listens, until he leaves."""

    def __init__(self, space):
        listen = [BINARY, "listen", space.listen_url, "--json"]
        self.process = subprocess.Popen(listen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def leave(self):
        self.process.send_signal(signals.SIGINT)
        return self.process.communicate(timeout=90)


def held(node):
    """How many places are taken, at all workers together: each tells that."""
    return metric(node, 'throng_slots_held{worker="1"}')


@contextlib.contextmanager
def full(space, places=PLACES):
    """As many are inside as may be: the house is full. What earlier tests left is gone first."""
    wait_until(lambda: held(space.node) == 0, "the house is empty")
    crowd = [Inside(space) for _ in range(places)]
    try:
        wait_until(lambda: held(space.node) == places, "the house is full")
        yield crowd
    finally:
        for one in crowd:
            with contextlib.suppress(ProcessLookupError):
                one.process.kill()
            one.process.wait()


@pytest.fixture
def crowd(talk):
    with full(talk) as crowd:
        yield crowd


def via(page, word):
    """Whether the page plays now, and what."""
    told = page.evaluate("(told => told?.playing === 'true' && told.via)(document.documentElement?.dataset)")
    return told == word


def waits(page):
    page.wait_for_selector("#position:visible")
    wait_until(lambda: via(page, "hold"), "the hold music plays")


def is_in(page):
    wait_until(lambda: via(page, "mse"), "the programme plays", IN_SECONDS)


def place(page):
    """His place, by the ticket that the tab keeps: it names when he came."""
    return page.evaluate("Object.entries(sessionStorage).find(([name]) => name.endsWith('/ticket'))?.[1]")


def listens_later(page):
    page.click("#later")
    page.wait_for_selector("text=You left the queue")


@pytest.mark.usefixtures("by_command")
def test_who_finds_the_house_full_hears_hold_music_and_comes_in_by_himself(talk, crowd, chromium):
    hold = signal_kit.decode(f"{talk.listen_url}/hold.mp4")
    with chromium.page(talk.listen_url) as page:
        waits(page)
        heard = browser.heard(page, SECONDS)
        likeness = signal_kit.find(heard[-signal_kit.RATE_HZ :], hold)[1]
        assert likeness > signal_kit.CERTAIN, "hold music"
        assert "You are next" in page.inner_text("#position")
        assert "The house is full" in page.inner_text("#status")
        page.evaluate("window.__sameDocument = true")
        crowd[0].leave()
        is_in(page)
        assert page.evaluate("window.__sameDocument"), "without a reload"
        assert not page.is_visible("#position")

        def is_programme():
            heard = browser.taken(page, 1)
            return signal_kit.find(heard, talk.recording(BEHIND_SECONDS))[1] > signal_kit.CERTAIN

        # Not in a second in which the page plays faster, to be near the newest sound.
        wait_until(is_programme, "the programme is heard")


def test_nobody_is_kept_out_by_how_waiting_looks(talk, crowd, chromium):
    """While he waits, once he is called, and when he has left for later."""
    with chromium.page(talk.listen_url, tapped=False) as page:
        waits(page)
        page.wait_for_selector("#mute")
        for size in SIZES:
            page.set_viewport_size(size)
            assert page.is_visible("#later") and page.is_visible("#mute")
        assert browser.barriers(page, SIZES) == []
        # The call comes, and the way in does not answer.
        page.route("**/live.mp4*", lambda _: None)
        page.route("**/now-serving.json", called)
        page.wait_for_selector("text=It is your turn.")
        assert browser.barriers(page, SIZES) == []
        listens_later(page)
        assert browser.barriers(page, SIZES) == []


def called(route):
    told = route.fetch().json()
    route.fulfill(json={**told, "serving": told["of"]})


def test_the_hold_music_goes_round(talk, chromium):
    with chromium.page(talk.listen_url, tapped=False) as page:
        page.evaluate("""async url => {
          const round = window.__round = new Audio(url);
          round.loop = round.muted = true;
          await round.play();
          round.currentTime = round.duration - 1;
        }""", f"{talk.listen_url}/hold.mp4")
        again = "!__round.paused && !__round.seeking && __round.currentTime > 0.2 && __round.currentTime < 60"
        wait_until(lambda: page.evaluate(again), "it begins anew")


def test_a_reload_keeps_the_place_of_who_waits_and_of_who_is_inside(talk, crowd, chromium):
    with chromium.page(talk.listen_url) as page:
        waits(page)
        ticket = place(page)
        page.reload(wait_until="commit")
        waits(page)
        assert place(page) == ticket
        crowd[0].leave()
        is_in(page)
        page.reload(wait_until="commit")
        is_in(page)
        assert not page.is_visible("#position")


def test_a_pause_leaves_the_queue_and_the_ticket_keeps_the_place(talk, crowd, chromium):
    with chromium.page(talk.listen_url) as page:
        waits(page)
        ticket = place(page)
        # A click that crosses with the page's own start means nothing.
        browser.heard(page, 2)
        page.click("#listen")
        wait_until(lambda: page.evaluate("document.documentElement.dataset.pressed") == "false", "the pause")
        assert "keeps your place" in page.inner_text("#status")
        assert not page.is_visible("#position")
        page.click("#listen")
        waits(page)
        assert place(page) == ticket


def test_who_listens_later_leaves_the_queue_and_may_come_back(talk, crowd, chromium):
    with chromium.page(talk.listen_url) as page:
        waits(page)
        listens_later(page)
        assert place(page) is None
        assert page.evaluate("document.documentElement.dataset.playing") == "false"
        page.reload(wait_until="commit")
        page.wait_for_selector("text=You left the queue")
        assert page.evaluate("document.documentElement.dataset.pressed") is None, "a reload brings nobody back"
        page.click("text=Join the queue again")
        waits(page)
        assert page.is_visible("text=Listen later")
        page.reload(wait_until="commit")
        waits(page)


def nobody_waits(space):
    queue = space.get("now-serving.json").json()
    return held(space.node) == 0 and queue["serving"] >= queue["of"]


def test_who_comes_in_before_the_waiting_room_is_there_needs_none(talk, chromium):
    with contextlib.ExitStack() as inside:
        inside.enter_context(full(talk))
        with chromium.page(talk.listen_url) as page:
            waits(page)
            listens_later(page)
            inside.close()
            asked = []
            page.route("**/waiting.js*", lambda route: asked.append(route))
            page.reload(wait_until="commit")
            wait_until(lambda: page.evaluate("true") and asked, "it is asked for")
            wait_until(lambda: nobody_waits(talk), "his old ticket was called")
            page.click("#listen")
            is_in(page)
            asked[0].continue_()
            page.wait_for_selector("#queue", state="attached")
            assert not page.is_visible("#queue")
            assert page.evaluate("Object.keys(sessionStorage).filter(name => name.endsWith('/later'))") == []


def test_who_listens_later_is_reminded_of_the_replay(few_places, voices, chromium):
    space = few_places.live("A talk that ends")
    with space.speak(1, voices["ada"]), full(space), chromium.page(space.listen_url) as page:
        page.context.grant_permissions(["notifications"])
        page.add_init_script(KEEP_NOTES)
        waits(page)
        listens_later(page)
        page.reload(wait_until="commit")
        page.wait_for_selector("text=You left the queue")
        wait_until(lambda: space.recorded_seconds() > 0, "there is something to hear")
        space.step("end")
        page.wait_for_selector("text=The replay is here.")
        assert "The replay is here" in page.title()
        page.wait_for_selector("#seek")
        wait_until(lambda: page.evaluate("__notes"), "the system shows it")
        assert page.evaluate("__notes") == [["The replay is here", "A talk that ends"]]
        page.reload(wait_until="commit")
        page.wait_for_selector("text=Here is all of it.")
        assert not page.is_visible("#position"), "once"


@pytest.fixture(scope="module")
def by_command(tmp_path_factory):
    """What the command does at full houses of its own, beside the other tests: it is dealt long waits."""

    def at_a_full_house(scene):
        with full_node(tmp_path_factory.mktemp("command")) as node:
            space = node.live("A full house")
            with full(space) as crowd:
                return scene(space, crowd)

    with concurrent.futures.ThreadPoolExecutor() as scenes:
        yield {scene: scenes.submit(at_a_full_house, scene) for scene in (waits_its_turn, gives_up)}


def waits_its_turn(space, crowd):
    waiting = Inside(space)
    waiting.process.stderr.close()
    wait_until(lambda: space.state()["queued"] > 0, "it waits")
    crowd[0].leave()
    wait_until(lambda: space.state()["joined"] > PLACES, "it is in", IN_SECONDS)
    since = space.recorded_seconds()
    wait_until(lambda: space.recorded_seconds() > since + 1, "it listens")
    waiting.process.send_signal(signals.SIGINT)
    report = json.loads(waiting.process.stdout.read())
    waiting.process.wait(30)
    return report


def test_the_command_waits_its_turn_and_says_where_it_stands(by_command):
    report = by_command[waits_its_turn].result()
    assert report["queued_ms"] > 0 and report["heard_seconds"] > 0, report


def gives_up(space, _):
    return subprocess.run(
        [BINARY, "listen", space.listen_url, "--for", "3s"], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_command_gives_up_when_its_time_is_over(by_command):
    gave_up = by_command[gives_up].result()
    assert gave_up.returncode == 1
    assert "The house is full: next" in gave_up.stderr
    assert "gave up after 3 s in the queue" in gave_up.stderr
