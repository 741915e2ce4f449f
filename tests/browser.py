"""Chromium as people use it: a microphone that plays a file, and what its pages play kept as samples."""

import base64
import contextlib
import functools
import http.server
import pathlib
import re
import shutil
import threading
import urllib.parse

import numpy as np
import signal_kit
from playwright.sync_api import TimeoutError, sync_playwright
from scipy.signal import resample_poly

from throng import next_after_makers, wait_until

HERE = pathlib.Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Keeps what any media element of the page plays, without the page's knowledge and under its own content policy.
TAP = """
(() => {
  // One ear: 0 is the left, 1 the right where there is one.
  const heard = window.__heard = { pieces: [], samples: 0, rate: 0, ear: 0 };
  const tapped = new WeakSet();
  async function keep(track) {
    if (tapped.has(track)) return;
    tapped.add(track);
    const frames = new MediaStreamTrackProcessor({ track, maxBufferSize: 500 }).readable.getReader();
    for (;;) {
      const { done, value: frame } = await frames.read();
      if (done) return;
      const samples = new Float32Array(frame.numberOfFrames);
      const planeIndex = Math.min(heard.ear, frame.numberOfChannels - 1);
      frame.copyTo(samples, { planeIndex, format: 'f32-planar' });
      heard.rate = frame.sampleRate;
      heard.samples += samples.length;
      heard.pieces.push(Int16Array.from(samples, x => Math.max(-1, Math.min(1, x)) * 32767));
      frame.close();
    }
  }
  const listened = new WeakSet();
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () {
    if (!listened.has(this)) {
      listened.add(this);
      const stream = this.srcObject ?? this.captureStream();
      const tap = () => stream.getAudioTracks().forEach(keep);
      // As soon as there is a track: one that is tapped once it plays has lost its beginning.
      stream.addEventListener('addtrack', tap);
      for (const name of ['playing', 'timeupdate']) this.addEventListener(name, tap);
    }
    return play.apply(this);
  };
  heard.seconds = () => heard.samples / (heard.rate || 1);
  heard.take = (lastSeconds = Infinity) => {
    const all = new Int16Array(heard.samples);
    heard.pieces.reduce((at, piece) => (all.set(piece, at), at + piece.length), 0);
    let text = '';
    const bytes = new Uint8Array(all.slice(-Math.min(all.length, lastSeconds * heard.rate)).buffer);
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return { rate: heard.rate, samples: btoa(text) };
  };
})();
"""
# Keeps the connection of a page of ours, which opens it in a frame of its own.
KEEP_CONNECTION = """
const Connection = RTCPeerConnection;
window.RTCPeerConnection = class extends Connection {
  constructor(...all) { super(...all); top.__connection = this; }
};
"""
# What it has sent.
SENT = "async () => [...(await __connection.getStats()).values()].find(one => one.type === 'outbound-rtp')"
# Keeps the player of a page of ours, which makes it before anything else that plays.
KEEP_AUDIO = """
window.Audio = new Proxy(Audio, {
  construct(kind, given) {
    const audio = new kind(...given);
    window.__audio ??= audio;
    return audio;
  },
});
"""


class PageServer:
    """Pages of strangers: `tests/pages` and the packages that they use, at an origin of their own."""

    def __init__(self, address="127.0.0.1"):
        handler = functools.partial(QuietFiles, directory=str(HERE))
        self.server = http.server.ThreadingHTTPServer((address, 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, page, **query):
        host, port = self.server.server_address
        return f"http://{host}:{port}/pages/{page}?{urllib.parse.urlencode(query)}"

    def close(self):
        self.server.shutdown()


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Browser:
    """Chromium whose microphone says what a file says, over and over."""

    def __init__(self, playwright, microphone=None, *more, program=CHROMIUM):
        flags = ["--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream"]
        flags += ["--use-fake-device-for-media-stream"]
        if microphone:
            flags.append(f"--use-file-for-fake-audio-capture={microphone}")
        self.chromium = playwright.chromium.launch(executable_path=program, headless=True, args=[*flags, *more])

    @contextlib.contextmanager
    def page(self, url, tapped=True):
        # Certificates of tests are nobody's; and what moves on a page is drawn by the processors that play it.
        context = self.chromium.new_context(ignore_https_errors=True, reduced_motion="reduce")
        context.set_default_timeout(90_000)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: is_complaint(message) and page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        if tapped:
            page.add_init_script(TAP)
        page.goto(url, wait_until="commit")
        page.wait_for_selector("body", state="attached")
        try:
            yield page
        finally:
            context.close()

    def close(self):
        self.chromium.close()


NEED_NOT_BE = re.compile(r"/chapters\.json$|/whip/[^/]+$")


def is_complaint(message):
    """A recording need not have chapters, of which the page can only ask; and a session that was hung up may be over before
    it is given back."""
    return message.type == "error" and not NEED_NOT_BE.search(message.location.get("url", ""))


def barriers(page, sizes):
    """What keeps people out, at each of these sizes, by day and by night: as axe finds it, and what hangs over."""
    found = []
    page.evaluate(AXE.read_text())
    for size in sizes:
        page.set_viewport_size(size)
        if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            found.append(("hangs over", size))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            broken = page.evaluate("axe.run()")["violations"]
            found += [(rule["id"], size, scheme, [node["html"] for node in rule["nodes"]]) for rule in broken]
    return found


def heard(page, seconds):
    """What the page has played, once it has played so long."""
    wait_until(lambda: page.evaluate("__heard.seconds()") >= seconds, f"{page.url} played {seconds} s")
    return taken(page)


def taken(page, last_seconds=None):
    """What the page has played so far, or the end of it."""
    taken = page.evaluate("last => __heard.take(last ?? Infinity)", last_seconds)
    samples = np.frombuffer(base64.b64decode(taken["samples"]), "<i2").astype(np.float32) / 32768
    if taken["rate"] == signal_kit.RATE_HZ or not len(samples):
        return samples
    return resample_poly(samples, signal_kit.RATE_HZ, int(taken["rate"])).astype(np.float32)


@contextlib.contextmanager
def started():
    """The library that drives the browsers."""
    library = sync_playwright()
    # Browsers are children of the library's own process.
    with next_after_makers():
        playwright = library.start()
    yield playwright
    playwright.stop()
