"""A house that is full: what those hear and see who wait, and how they come in."""

import contextlib
import json
import signal as signals
import subprocess

import pytest

import browser
import signal_kit
from throng import BINARY, Node, wait_until

# So much of what is heard is laid beside the hold music or the programme.
SECONDS = 4
# The hold loop is encoded ten times faster than it plays.
HOLD_MADE_SECONDS = 300
# A place is kept for who might return, and whoever is next looks within his dealt time.
IN_SECONDS = 90
SIZES = {"phone": {"width": 390, "height": 844}, "desk": {"width": 1280, "height": 800}}


@pytest.fixture(scope="module")
def full_node(tmp_path_factory):
    """A node with two places."""
    node = Node(tmp_path_factory.mktemp("full") / "data", "--listeners-max", "2")
    yield node
    node.close()


@pytest.fixture(scope="module")
def talk(full_node, voices):
    """A live space in which Ada talks."""
    space = full_node.live("A full house")
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
        return self.process.communicate(timeout=30)


@pytest.fixture
def crowd(talk):
    """Two who are inside: the house is full. What earlier tests left is gone first."""
    wait_until(lambda: talk.state()["listening"] == 0, "the house is empty", 60)
    crowd = [Inside(talk) for _ in range(2)]
    try:
        wait_until(lambda: talk.state()["listening"] == 2, "the house is full", 60)
        yield crowd
    finally:
        for one in crowd:
            with contextlib.suppress(ProcessLookupError):
                one.process.kill()
            one.process.wait()


def via(page, word):
    """Whether the page plays now, and what."""
    return page.evaluate("document.documentElement.dataset.playing === 'true' && document.documentElement.dataset.via") == word


def waits(page):
    page.wait_for_selector("#position:visible")
    wait_until(lambda: via(page, "hold"), "the hold music plays", 60)


def is_in(page):
    wait_until(lambda: via(page, "mse"), "the programme plays", IN_SECONDS)


def place(page):
    """His place, by the ticket that the tab keeps: it names when he came."""
    return page.evaluate("Object.entries(sessionStorage).find(([name]) => name.endsWith('/ticket'))?.[1]")


@pytest.mark.parametrize("size", SIZES)
def test_who_finds_the_house_full_hears_hold_music_and_comes_in_by_himself(talk, crowd, chromium, size):
    hold = signal_kit.decode(f"{talk.listen_url}/hold.mp4")
    with chromium.page(talk.listen_url) as page:
        page.set_viewport_size(SIZES[size])
        waits(page)
        heard = browser.heard(page, SECONDS)
        likeness = signal_kit.find(heard[-signal_kit.RATE_HZ :], hold)[1]
        assert likeness > signal_kit.CERTAIN, "hold music"
        assert "You are next" in page.inner_text("#position")
        assert "The house is full" in page.inner_text("#status")
        # What a person needs is on the screen, and nothing hangs over.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.is_visible("#later") and page.is_visible("#mute")
        page.evaluate("window.__sameDocument = true")
        crowd[0].leave()
        is_in(page)
        assert page.evaluate("window.__sameDocument"), "without a reload"
        assert not page.is_visible("#position")

        def programme():
            since = page.evaluate("__heard.seconds()")
            return browser.heard(page, since + SECONDS)[-SECONDS * signal_kit.RATE_HZ :]

        recording, heard = talk.hearing(programme)
        likeness = signal_kit.find(heard[-signal_kit.RATE_HZ :], recording)[1]
        assert likeness > signal_kit.CERTAIN, "the programme"


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
        page.click("#later")
        page.wait_for_selector("text=You left the queue")
        assert place(page) is None
        assert page.evaluate("document.documentElement.dataset.playing") == "false"
        page.click("text=Join the queue again")
        waits(page)
        assert page.is_visible("text=Listen later")


def test_who_listens_later_is_reminded_of_the_replay(full_node, voices, chromium):
    space = full_node.live("A talk that ends")
    with space.speak(1, voices["ada"]):
        crowd = [Inside(space) for _ in range(2)]
        try:
            wait_until(lambda: space.state()["listening"] == 2, "the house is full", 60)
            with chromium.page(space.listen_url) as page:
                page.wait_for_selector("#later:visible")
                page.click("#later")
                wait_until(lambda: space.recorded_seconds() > 0, "there is something to hear")
                space.step("end")
                page.wait_for_selector("text=The replay is here.")
                assert "The replay is here" in page.title()
                assert page.is_visible("#seek")
        finally:
            for one in crowd:
                one.process.kill()
                one.process.wait()


def test_the_command_waits_its_turn_and_says_where_it_stands(talk, crowd):
    waiting = Inside(talk)
    waiting.process.stderr.close()
    wait_until(lambda: talk.state()["queued"] > 0, "it waits")
    crowd[0].leave()
    wait_until(lambda: talk.state()["queued"] == 0, "it is in", IN_SECONDS)
    wait_until(lambda: talk.state()["listening"] == 2, "it listens", IN_SECONDS)
    waiting.process.send_signal(signals.SIGINT)
    report = json.loads(waiting.process.stdout.read())
    waiting.process.wait(30)
    assert report["queued_ms"] > 0 and report["heard_seconds"] > 0, report


def test_the_command_gives_up_when_its_time_is_over(talk, crowd):
    gave_up = subprocess.run(
        [BINARY, "listen", talk.listen_url, "--for", "3s"], capture_output=True, text=True, timeout=60, check=False
    )
    assert gave_up.returncode == 1
    assert "The house is full: next" in gave_up.stderr
    assert "gave up after 3 s in the queue" in gave_up.stderr
