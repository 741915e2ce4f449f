"""Every page in every state that people meet, at the size of a desk and of a phone, as pictures for the documents."""

import contextlib
import datetime
import pathlib

import browser
import signal_kit
from figures import at_rest, folder
from test_queue import Inside
from test_speakers import connection
from throng import Node, request, wait_until

PICTURES = pathlib.Path(__file__).resolve().parent.parent / "docs" / "screenshots"
SIZES = {"desk": {"width": 1280, "height": 860}, "phone": {"width": 390, "height": 844}}
# By night on the phone: both ways are seen.
SCHEMES = {"desk": "light", "phone": "dark"}
# The addresses of somebody who has just begun.
LISTEN, DESK = "127.0.0.1:8080", "127.0.0.1:8081"
RECORDED_SECONDS = 20


class Album:
    """Takes pictures of pages."""

    def __init__(self, chromium):
        self.chromium = chromium

    def take(self, name, url, ready="document.readyState === 'complete'", before=lambda _page: None):
        """One page at each size, once it is ready."""
        with self.chromium.page(url, tapped=False) as page:
            before(page)
            self.take_open(name, page, ready)

    def take_open(self, name, page, ready):
        for size, room in SIZES.items():
            page.set_viewport_size(room)
            page.emulate_media(color_scheme=SCHEMES[size], reduced_motion="reduce")
            wait_until(lambda: page.evaluate(ready), f"{name} is ready")
            page.screenshot(path=PICTURES / f"{name}-{size}.png")
            print(f"{name}-{size}.png", flush=True)


def state_is(state):
    return f"document.documentElement.dataset.state === '{state}'"


def plays(via):
    return f"document.documentElement.dataset.playing === 'true' && document.documentElement.dataset.via === '{via}'"


def shows(selector):
    return f"document.querySelector('{selector}')?.checkVisibility()"


def opens_the_keys(page):
    page.wait_for_selector("#mute")
    page.keyboard.press("?")


def in_days(days):
    evening = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    return evening.replace(hour=20, minute=0, second=0, microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")


def change(space, **what):
    answer = request("PATCH", f"{space.desk}/api/spaces/{space.slug}", what, space.host_key)
    assert answer.status == 200, answer


def the_way_of_a_space(album, node, place):
    """From the announcement to the replay."""
    space = node.create("An evening with Ada", scheduled_at=in_days(3))
    album.take("listen-announced", space.listen_url, state_is("announced"))
    album.take("studio-announced", space.created["host_url"], state_is("announced"))
    change(space, delay_reason="The second microphone is still on its way. We begin ten minutes later.")
    album.take("listen-delayed", space.listen_url, f"{state_is('announced')} && document.body.innerText.includes('microphone')")
    space.step("open-doors")
    album.take("listen-doors", space.listen_url, plays("mse"))
    album.take("speak-before", space.speaker_urls[0], "!document.querySelector('#join').disabled")
    space.step("go-live")
    with space.speak(2, place / "ben.wav"), album.chromium.page(space.speaker_urls[0], tapped=False) as speaker:
        speaker.click("#join")
        wait_until(lambda: connection(speaker) == "connected", "the page is on stage")
        wait_until(lambda: space.is_talking(1) and space.is_talking(2), "both talk")
        album.take_open("speak-on-stage", speaker, "document.documentElement.dataset.connection === 'connected'")
        wait_until(lambda: space.recorded_seconds() > RECORDED_SECONDS, "something is recorded")
        album.take("listen-live", space.listen_url, f"{plays('mse')} && {shows('#start-over')}")
        album.take("listen-started-over", space.listen_url, plays("event"), lambda page: page.click("#start-over"))
        album.take("listen-keys", space.listen_url, shows("dialog"), opens_the_keys)
        album.take("studio-live", space.created["host_url"], state_is("live"))
    space.step("end")
    album.take("listen-ended", space.listen_url, f"{state_is('ended')} && {shows('#seek')}")
    album.take("listen-replay", space.listen_url, f"{plays('file')} && {shows('#mute')}", lambda page: page.click("#listen"))
    album.take("studio-ended", space.created["host_url"], state_is("ended"))


def what_else_there_is(album, node):
    cancelled = node.create("A talk that will not be", scheduled_at=in_days(1))
    cancelled.step("cancel")
    album.take("listen-cancelled", cancelled.listen_url, state_is("cancelled"))
    album.take("listen-unknown", f"{node.links['listen']}/s/nowhere-000000")
    node.create("Questions and answers", scheduled_at=in_days(7))
    album.take("index", f"{node.links['listen']}/")
    album.take("studio", node.links["studio"], "document.querySelectorAll('#spaces li').length > 2")


def a_full_house(album, place):
    with contextlib.closing(Node(place / "full", "--listeners-max", "1", listen=LISTEN, desk=DESK)) as node:
        space = node.live("An evening with Ada")
        with space.speak(1, place / "ada.wav"):
            inside = Inside(space)
            wait_until(lambda: space.state()["listening"] == 1, "the house is full")
            album.take("listen-full", space.listen_url, plays("hold"))
            inside.leave()


def main():
    PICTURES.mkdir(exist_ok=True)
    with contextlib.ExitStack() as things:
        place = things.enter_context(folder())
        for voice in ("ada", "ben"):
            signal_kit.write_wav(place / f"{voice}.wav", signal_kit.speech(voice))
        playwright = things.enter_context(browser.started())
        chromium = browser.Browser(playwright, place / "ada.wav")
        things.callback(chromium.close)
        album = Album(chromium)
        with contextlib.closing(Node(place / "data", listen=LISTEN, desk=DESK)) as node:
            at_rest(node)
            the_way_of_a_space(album, node, place)
            what_else_there_is(album, node)
        a_full_house(album, place)


if __name__ == "__main__":
    main()
