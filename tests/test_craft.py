"""A host's craft: what is taken back is never heard, what is said before the end is, and talkback stays off air."""

import contextlib

import numpy as np
import pytest

import browser
import signal_kit
from throng import BINARY, Speaker, request, rest, wait_until

# Long enough for a slip and what is done about it, on a busy machine.
DELAY_SECONDS = 10
# Tones by which it is known who said it: a bed, a slip of the tongue, a cue for the stage alone. Hold music has none as high.
BED, SLIP, CUE = 440, 5_170, 6_130
SECONDS = 3
HEARD_DBFS, UNHEARD_DBFS = -30.0, -65.0
SIZES = [{"width": 390, "height": 844}, {"width": 1280, "height": 800}]
# A trembling hand on T: the microphone is asked for while it is being opened.
TREMBLES = """() => {
  const { mediaDevices } = navigator, ask = mediaDevices.getUserMedia.bind(mediaDevices);
  window.__asked = 0;
  window.__key = name => document.activeElement.dispatchEvent(new KeyboardEvent(name, { code: 'KeyT', bubbles: true }));
  mediaDevices.getUserMedia = wish => { __asked++; return ask(wish); };
  for (const name of ['keydown', 'keyup', 'keydown']) __key(name);
}"""


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    time = np.arange(SECONDS * signal_kit.RATE_HZ) / signal_kit.RATE_HZ
    for hertz in (BED, SLIP, CUE):
        signal_kit.write_wav(folder / f"{hertz}.wav", 0.2 * np.sin(2 * np.pi * hertz * time))
    return {hertz: folder / f"{hertz}.wav" for hertz in (BED, SLIP, CUE)}


def loudest(samples, hertz):
    """The level of a tone in the 0.3 s in which it is loudest, in dBFS: whatever begins or ends has all tones for a moment."""
    piece = signal_kit.RATE_HZ // 10
    pieces = samples[: len(samples) // piece * piece].reshape(-1, piece)
    wave = np.exp(-2j * np.pi * hertz * np.arange(piece) / signal_kit.RATE_HZ) * np.hanning(piece)
    amplitudes = np.abs(pieces @ wave) * 4 / piece
    lasting = np.lib.stride_tricks.sliding_window_view(amplitudes, 3).min(axis=1)
    return 20 * np.log10(max(lasting.max(), 1e-9) / np.sqrt(2))


def change(space, **what):
    answer = request("PATCH", f"{space.desk}/api/spaces/{space.slug}", what, space.host_key)
    assert answer.status == 200, answer
    return answer.json()


def is_full(space):
    delay = space.show()["delay"]
    return delay["full"] and delay["held_seconds"] > DELAY_SECONDS - 1


def talk_back(space, wav, to):
    url = space.created["host_url"]
    return Speaker([BINARY, "speak", url, "--talkback", str(to), "--file", str(wav), "--loop"])


def test_what_is_dumped_or_said_off_air_is_nowhere_and_the_rest_is(node, tones, tmp_path):
    space = node.create("A delayed conversation")
    change(space, delay_seconds=DELAY_SECONDS)
    heard = tmp_path / "heard.wav"
    with space.speak(1, tones[BED], "--out", str(heard)):
        space.step("go-live")
        wait_until(lambda: is_full(space), "the delay is full")
        with space.speak(2, tones[SLIP]):
            rest(1)
        wait_until(lambda: not space.is_talking(2), "the slip is over")
        dumped = request("POST", f"{space.desk}/api/spaces/{space.slug}/dump", key=space.host_key)
        assert dumped.status == 200 and dumped.json()["dumped_seconds"] > SECONDS, dumped
        with talk_back(space, tones[CUE], 1):
            wait_until(lambda: space.seat(1)["talked_to"], "the host talks to him")
            assert not space.seat(2)["talked_to"]
            rest(1)
        wait_until(lambda: is_full(space), "the delay is full again")
        space.step("end")
        assert space.state()["state"] == "live", "what was said is played out"
        wait_until(lambda: space.state()["state"] == "ended", "it is out")
    recorded = space.recording()
    assert loudest(recorded, BED) > HEARD_DBFS
    assert loudest(recorded, SLIP) < UNHEARD_DBFS
    assert loudest(recorded, CUE) < UNHEARD_DBFS
    # What was said in the last seconds before the end is there.
    assert loudest(recorded[-signal_kit.RATE_HZ :], BED) > HEARD_DBFS
    on_stage = signal_kit.read_wav(heard)
    assert loudest(on_stage, SLIP) > HEARD_DBFS, "the stage hears everything at once"
    assert loudest(on_stage, CUE) > HEARD_DBFS


def test_the_studio_dumps_by_key_tells_what_it_will_remove_and_talks_to_the_stage(node, chromium, tones):
    space = node.create("A delayed conversation")
    with chromium.page(space.created["host_url"], tapped=False) as studio, contextlib.ExitStack() as speakers:
        assert not studio.is_visible("#dump")
        studio.select_option("#delay", str(DELAY_SECONDS))
        wait_until(lambda: space.show()["delay_seconds"] == DELAY_SECONDS, "the delay is set")
        studio.focus("#delay")
        says_so = lambda: studio.keyboard.press("Shift+D") or "nothing was dumped" in studio.inner_text("#status")
        wait_until(says_so, "the key works from a list, and says that there is nothing")
        speakers.enter_context(space.speak(1, tones[BED]))
        space.step("go-live")
        wait_until(lambda: f"removes the last {DELAY_SECONDS} s" in studio.inner_text("#dump"), "it is full")
        assert browser.barriers(studio, SIZES) == []
        studio.focus("[data-gain='1']")
        studio.keyboard.press("Shift+D")
        wait_until(lambda: "Removed" in studio.inner_text("#status"), "it says so")
        wait_until(lambda: "soft music" in studio.inner_text("#delay-word"), "and what listeners hear")
        studio.focus("#talk-to")
        studio.evaluate(TREMBLES)
        is_told(space, lambda: studio.evaluate("__key('keyup')"))
        assert studio.evaluate("__asked") == 1
        studio.focus("#talk")
        studio.keyboard.down("Space")
        is_told(space, lambda: studio.keyboard.up("Space"))
        studio.evaluate("document.querySelector('#talk').click()")
        is_told(space, lambda: studio.evaluate("document.querySelector('#talk').click()"))
        assert studio.complaints == []


def is_told(space, stop):
    """The host talks to the speaker, until `stop`."""
    wait_until(lambda: space.seat(1)["talked_to"], "the speaker is talked to")
    stop()
    wait_until(lambda: not space.seat(1)["talked_to"], "and not any more")


def test_the_monitor_says_why_it_is_silent_and_ends_with_the_key(node, chromium):
    space = node.create("Monitored")
    with chromium.page(space.created["host_url"], tapped=False) as studio:
        studio.route("**/live.webm", lambda route: route.abort())
        studio.click("#monitor")
        wait_until(lambda: "headphones" not in studio.inner_text("#monitor-word"), "it says so")
        assert "broke off" in studio.inner_text("#monitor-word")
        assert studio.inner_text("#monitor") == "Hear it"
        studio.unroute("**/live.webm")
        studio.click("#monitor")
        monitor = lambda: studio.evaluate("document.documentElement.dataset.monitor")
        wait_until(lambda: monitor() == "playing", "it plays")
        assert "headphones" in studio.inner_text("#monitor-word")
        studio.route(f"**/api/spaces/{space.slug}", lambda route: route.fulfill(status=401, json={}))
        wait_until(lambda: monitor() == "off", "whose key is revoked hears nothing here")
