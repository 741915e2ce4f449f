"""Firefox by its own remote control (the Marionette protocol), and what its pages play."""

import base64
import json
import os
import pathlib
import shutil
import socket
import subprocess

import signal_kit
from throng import wait_until

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
PREFERENCES = {
    "marionette.port": 0,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    # A microphone that hums, and nobody asks whether it may.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "network.captive-portal-service.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
}

# Records what an element of the page plays. Its track ends when the page seeks; then the record begins anew.
TAP = """
(() => {
  const heard = window.__heard = { seconds: () => heard.recorder ? (performance.now() - heard.since) / 1000 : 0 };
  function record(track) {
    const recorder = new MediaRecorder(new MediaStream([track]), { mimeType: 'audio/ogg', audioBitsPerSecond: 128000 });
    heard.pieces = [];
    recorder.ondataavailable = event => heard.pieces.push(event.data);
    recorder.onstop = () => { heard.recorder = null; };
    recorder.start(500);
    heard.since = performance.now();
    heard.recorder = recorder;
  }
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () {
    // Taken at once: what is captured needs no sound card.
    const stream = this.srcObject ?? this.mozCaptureStream();
    this.addEventListener('timeupdate', () => {
      const track = stream.getAudioTracks().find(track => track.readyState === 'live');
      if (track && !heard.recorder && !heard.taken) record(track);
    });
    return play.apply(this);
  };
})();
"""
TAKE = """
const done = arguments[arguments.length - 1];
__heard.taken = true;
__heard.recorder.onstop = async () => {
  const bytes = new Uint8Array(await new Blob(__heard.pieces).arrayBuffer());
  let text = '';
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  done(btoa(text));
};
__heard.recorder.stop();
"""


class Firefox:
    """One headless Firefox with a profile of its own and one tab."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
        (self.folder / "user.js").write_text("\n".join(lines))
        self.log = open(self.folder / "firefox.log", "wb")
        self.process = subprocess.Popen(
            [FIREFOX, "--headless", "--no-remote", "--marionette", "--profile", str(self.folder)],
            stdout=self.log,
            stderr=self.log,
            env={"HOME": str(self.folder), "PATH": os.environ["PATH"]},
        )
        port_file = self.folder / "MarionetteActivePort"
        wait_until(lambda: port_file.exists() and port_file.read_text().strip(), "Firefox is ready", 60)
        self.line = socket.create_connection(("127.0.0.1", int(port_file.read_text())), timeout=60)
        self.asked = 0
        self.receive()
        self.ask("WebDriver:NewSession", {"pageLoadStrategy": "eager"})

    def ask(self, command, parameters=None):
        self.asked += 1
        text = json.dumps([0, self.asked, command, parameters or {}])
        self.line.sendall(f"{len(text.encode())}:{text}".encode())
        _, number, error, result = self.receive()
        assert number == self.asked and error is None, error
        return result

    def receive(self):
        length = b""
        while not length.endswith(b":"):
            length += self.line.recv(1) or self.lost()
        text = b""
        while len(text) < int(length[:-1]):
            text += self.line.recv(1 << 16) or self.lost()
        return json.loads(text)

    def lost(self):
        raise AssertionError("Firefox has gone")

    def evaluate(self, expression):
        return self.ask("WebDriver:ExecuteScript", {"script": f"return {expression}", "args": [], "sandbox": None})["value"]

    def open(self, url):
        """Opens a page; what it begins to play from now on is heard."""
        self.ask("WebDriver:Navigate", {"url": url})
        self.ask("WebDriver:ExecuteScript", {"script": TAP, "args": [], "sandbox": None})

    def click(self, selector):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def told(self, name):
        """What a page of ours says about itself."""
        return self.evaluate(f"document.documentElement.dataset[{json.dumps(name)}]")

    def heard(self, seconds):
        wait_until(
            lambda: self.evaluate("__heard.seconds()") >= seconds,
            f"Firefox played {seconds} s",
            90,
        )
        taken = self.ask("WebDriver:ExecuteAsyncScript", {"script": TAKE, "args": [], "sandbox": None})["value"]
        kept = self.folder / "heard.ogg"
        kept.write_bytes(base64.b64decode(taken))
        return signal_kit.decode(kept)

    def close(self):
        self.line.close()
        self.process.kill()
        self.process.wait()
        self.log.close()
