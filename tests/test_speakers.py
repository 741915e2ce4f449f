"""Whoever speaks WHIP is heard: our page and another client in Chromium, aiortc, FFmpeg; and one seat has one speaker."""

import contextlib
import os
import signal

import imageio_ffmpeg
import pytest

import browser
import players
import signal_kit
import throng
from crowd import processes
from disks import metric
from throng import Node, rest, wait_until

SECONDS = 6
# The speaker's codec and the browser's clock lie between the said and the heard.
STOI_MIN = 0.8
LEVEL_TOLERANCE_DB = 1.5
# A session that dies ends within 15 s; the rest is for a busy machine.
SEAT_FREE_SECONDS = 90
# Far more than the silence after which a session is lost whose server answers, far less than after which it is over.
OUT_OF_REACH_SECONDS = 3


@contextlib.contextmanager
def our_page(space, chromium, _strangers, _voices):
    with chromium.page(space.speaker_urls[0]) as page:
        join_stage(page)
        yield


@contextlib.contextmanager
def another_client_in_chromium(space, chromium, strangers, _voices):
    with chromium.page(strangers.url("whip.html", url=space.whip_url, key=space.speaker_key(1))) as page:
        # A stranger's page must be able to read `Location` to leave.
        wait_until(lambda: page.evaluate("window.resource"), "the client knows its resource")
        yield
        page.evaluate("client.destroy()")


@contextlib.contextmanager
def aiortc(space, _chromium, _strangers, voices):
    # In one word: a key may begin with a hyphen.
    with players.aiortc(space.whip_url, f"--key={space.speaker_key(1)}", "--say", voices["ada-stereo"]):
        yield


@contextlib.contextmanager
def ffmpeg(space, _chromium, _strangers, voices):
    # As a microphone does it: 20 ms at a time, nothing ahead, and no faster after a delay.
    pace = ["-readrate", "1", "-readrate_initial_burst", "0.04", "-readrate_catchup", "1", "-max_size", "3840"]
    say = [*pace, "-stream_loop", "-1", "-i", str(voices["ada-stereo"]), "-c:a", "libopus", "-ar", "48000", "-ac", "2"]
    whip = ["-authorization", space.speaker_key(1), "-f", "whip", space.whip_url]
    with throng.Speaker([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *say, "-b:a", "48k", *whip]):
        yield


def join_stage(page):
    """Presses the buttons that a speaker presses, with the microphone as it is."""
    page.click("#settings summary")
    takes_raw_sound(page)
    page.click("#join")
    wait_until(lambda: connection(page) == "connected", "the page is on stage")


def takes_raw_sound(page):
    """By key: words that come in above may move the box away from under a pointer."""
    if page.is_checked("#clean"):
        page.press("#clean", "Space")
    assert not page.is_checked("#clean")


def connection(page):
    return page.evaluate("document.documentElement.dataset.connection")


@pytest.mark.parametrize("client", [our_page, another_client_in_chromium, aiortc, ffmpeg])
def test_a_speaker_is_heard_and_leaves(node, chromium, strangers, voices, client):
    space = node.live("One speaker", levelling=False)
    with client(space, chromium, strangers, voices):
        wait_until(lambda: space.is_talking(1), "the speaker talks")
        # What a joiner hears first is what was before.
        since = space.recorded_seconds()
        wait_until(lambda: space.recorded_seconds() >= since + SECONDS + 2, "the speaker has talked for a while")
        heard = signal_kit.decode(f"{space.listen_url}/live.webm", SECONDS)
    match = signal_kit.compare(signal_kit.speech("ada"), heard[-SECONDS * signal_kit.RATE_HZ :])
    # A browser's microphone that plays a file halts with its machine.
    assert match.silent_ms <= signal_kit.HALT_MAX_MS, match
    assert abs(match.level_db) <= LEVEL_TOLERANCE_DB, match
    assert match.stoi >= STOI_MIN, match
    wait_until(lambda: not space.seat(1)["connected"], "the seat is free", SEAT_FREE_SECONDS)


def test_our_page_hears_the_others_and_not_itself(node, chromium, voices):
    space = node.live("A page and a program")
    with space.speak(2, voices["ben"]), chromium.page(space.speaker_urls[0]) as page:
        join_stage(page)
        wait_until(lambda: space.is_talking(1), "the page talks")
        heard = browser.heard(page, SECONDS + 2)[-SECONDS * signal_kit.RATE_HZ :]
        assert page.complaints == []
    assert signal_kit.is_present(signal_kit.speech("ben"), heard)
    assert signal_kit.is_absent(signal_kit.speech("ada"), heard)


def test_mute_is_heard_at_once_and_undone(node, chromium):
    space = node.live("Muted")
    with chromium.page(space.speaker_urls[0]) as page:
        join_stage(page)
        wait_until(lambda: space.is_talking(1), "the page talks")
        page.click("#mute")
        wait_until(lambda: not space.seat(1)["talking"], "the page is silent")
        assert space.seat(1)["connected"]
        page.click("#mute")
        wait_until(lambda: space.is_talking(1), "the page talks again")


def test_a_reload_takes_the_same_seat(node, chromium):
    space = node.live("Reloaded")
    with chromium.page(space.speaker_urls[0]) as page:
        join_stage(page)
        wait_until(lambda: space.is_talking(1), "the page talks")
        page.reload()
        join_stage(page)
        wait_until(lambda: space.is_talking(1), "the page talks again")
        assert [seat["connected"] for seat in space.show()["speakers"]] == [True, False]


def test_a_second_publisher_on_one_key_replaces_the_first(node, voices):
    space = node.live("Two programs, one key")
    with space.speak(1, voices["ada"]) as first, space.speak(1, voices["ben"]):
        wait_until(lambda: first.process.poll() is not None, "the first is told that it was replaced")
        wait_until(lambda: space.is_talking(1), "the second talks")
        since = space.recorded_seconds()
        wait_until(lambda: space.recorded_seconds() >= since + SECONDS + 1, "the second has talked for a while")
        heard = space.recording(SECONDS)
        assert signal_kit.is_present(signal_kit.speech("ben"), heard), "the second is heard"
        assert signal_kit.is_absent(signal_kit.speech("ada"), heard), "the first is not"


# A browser that stands still for as long as the server did comes in anew, and rightly.
@pytest.mark.alone
def test_a_server_that_is_out_of_reach_finds_its_speakers_in_the_sessions_that_they_had(tmp_path, chromium, voices):
    node = Node(tmp_path / "data")
    try:
        spaces = node.live("Out of reach, a program"), node.live("Out of reach, a page")
        with spaces[0].speak(1, voices["ada"]), chromium.page(spaces[1].speaker_urls[0], tapped=False) as page:
            join_stage(page)
            for space in spaces:
                wait_until(lambda space=space: space.is_talking(1), "both talk")
            before = sessions(node)
            for go_on in (signal.SIGSTOP, signal.SIGCONT):
                for pid in processes(node, "origin"):
                    os.kill(pid, go_on)
                rest(OUT_OF_REACH_SECONDS)
            for space in spaces:
                wait_until(lambda space=space: space.is_talking(1), "both talk again")
            assert sessions(node) == before == (2, 0), "opened and closed: nobody has come in anew"
    finally:
        node.close()


def sessions(node):
    """How many were opened and closed."""
    return tuple(metric(node, f"throng_stage_sessions_{what}_total") for what in ("opened", "closed"))


def test_two_tabs_with_one_key_do_not_fight_for_the_seat(node, chromium):
    space = node.live("Two tabs, one key")
    with chromium.page(space.speaker_urls[0]) as first, chromium.page(space.speaker_urls[0]) as second:
        join_stage(first)
        wait_until(lambda: space.is_talking(1), "the first tab talks")
        join_stage(second)
        wait_until(lambda: connection(first) == "replaced", "the first tab sees that it was replaced", SEAT_FREE_SECONDS)
        since = space.recorded_seconds()
        seen = []

        def second_stays():
            seen.append((connection(first), connection(second)))
            return space.recorded_seconds() >= since + SECONDS

        wait_until(second_stays, "some seconds pass")
        assert {one for one, _ in seen} == {"replaced"}, "the first tab does not come back"
        assert {two for _, two in seen} <= {"connected", "reconnecting"}, "the second tab keeps the seat that it took"
        wait_until(lambda: connection(second) == "connected" and space.is_talking(1), "the second tab talks")


def test_the_page_speaks_where_only_tcp_passes(node, playwright, voices):
    space = node.live("No UDP")
    no_udp = browser.Browser(playwright, voices["ada"], "--force-webrtc-ip-handling-policy=disable_non_proxied_udp")
    try:
        with no_udp.page(space.speaker_urls[0]) as page:
            join_stage(page)
            wait_until(lambda: space.is_talking(1), "the page talks")
    finally:
        no_udp.close()
