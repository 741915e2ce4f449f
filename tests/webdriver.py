"""Firefox and WebKitGTK by their remote controls, playing through a sound card, clicked as people click."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from throng import free_port, next_after_makers, request, wait_until

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
WEBKIT = next(pathlib.Path("/usr").glob("lib/*/webkit2gtk-4.*/MiniBrowser"), None)
MISSING = [name for name in ("WebKitWebDriver", "Xvfb") if not shutil.which(name)]
assert FIREFOX and WEBKIT and not MISSING, "these tests need what tests/apt-packages.txt names"

FIREFOX_PREFERENCES = {
    "marionette.port": 0,
    # A microphone that hums, and nobody asks whether it may.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "network.captive-portal-service.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
}
START_SECONDS = 60


class Driven:
    """A browser with one tab. Who drives it says how it navigates, evaluates, finds and presses."""

    def __init__(self, folder, card):
        self.folder = pathlib.Path(folder)
        self.card = card
        self.programs = []
        self.log = open(self.folder / "browser.log", "wb")

    def run(self, *arguments, **more):
        """Starts a program that plays through the card and leaves with the browser."""
        own = {"HOME": str(self.folder), "PATH": os.environ["PATH"], **self.card.environment, **more.pop("environment", {})}
        with next_after_makers():
            program = subprocess.Popen(list(map(str, arguments)), stderr=self.log, env=own, start_new_session=True, **more)
        self.programs.append(program)
        return program

    def open(self, url):
        """Opens a page; what it plays is heard from its first sound on."""
        self.navigate("about:blank")
        self.card.forget()
        self.navigate(url)

    def click(self, selector):
        """Presses a control once it can be seen."""
        seen = f"document.querySelector({json.dumps(selector)})?.getClientRects().length > 0"
        wait_until(lambda: self.evaluate(seen), f"{selector} is seen")
        self.press(self.find(selector))

    def told(self, name):
        """What a page of ours says about itself."""
        return self.evaluate(f"document.documentElement.dataset[{json.dumps(name)}] ?? null")

    def close(self):
        for program in reversed(self.programs):
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        self.log.close()


class Firefox(Driven):
    """By the Marionette protocol, which it brings itself."""

    def __init__(self, folder, card):
        super().__init__(folder, card)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in FIREFOX_PREFERENCES.items()]
        (self.folder / "user.js").write_text("\n".join(lines))
        self.run(FIREFOX, "--headless", "--no-remote", "--marionette", "--profile", self.folder, stdout=self.log)
        port_file = self.folder / "MarionetteActivePort"
        wait_until(lambda: port_file.exists() and port_file.read_text().strip(), "Firefox is ready", START_SECONDS)
        self.line = socket.create_connection(("127.0.0.1", int(port_file.read_text())), timeout=START_SECONDS)
        self.asked = 0
        self.receive()
        self.ask("NewSession", pageLoadStrategy="eager")

    def ask(self, command, **parameters):
        self.asked += 1
        text = json.dumps([0, self.asked, f"WebDriver:{command}", parameters]).encode()
        self.line.sendall(f"{len(text)}:".encode() + text)
        _, number, error, result = self.receive()
        assert number == self.asked and error is None, error
        return result.get("value") if isinstance(result, dict) else result

    def receive(self):
        length = b""
        while not length.endswith(b":"):
            length += self.line.recv(1) or self.lost()
        text = b""
        while len(text) < int(length[:-1]):
            text += self.line.recv(int(length[:-1]) - len(text)) or self.lost()
        return json.loads(text)

    def lost(self):
        raise AssertionError("Firefox has gone")

    def navigate(self, url):
        self.ask("Navigate", url=url)

    def evaluate(self, expression):
        return self.ask("ExecuteScript", script=f"return {expression}", args=[], sandbox=None)

    def find(self, selector):
        return self.ask("FindElement", using="css selector", value=selector)

    def press(self, element):
        self.ask("ElementClick", id=next(iter(element.values())))

    def close(self):
        self.line.close()
        super().close()


class WebKit(Driven):
    """MiniBrowser of WebKitGTK, by its WebDriver, on a screen in memory."""

    def __init__(self, folder, card):
        super().__init__(folder, card)
        screen = self.run("Xvfb", "-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp", stdout=subprocess.PIPE)
        display = f":{int(screen.stdout.readline())}"
        port = free_port()
        # Nothing here has a graphics card or an accessibility bus.
        seen = {"DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1", "WEBKIT_DISABLE_DMABUF_RENDERER": "1", "NO_AT_BRIDGE": "1"}
        self.run("WebKitWebDriver", "--host=127.0.0.1", f"--port={port}", stdout=self.log, environment=seen)
        self.base = f"http://127.0.0.1:{port}/session"
        wait_until(lambda: accepts(port), "WebKitWebDriver is ready", START_SECONDS)
        wish = {"webkitgtk:browserOptions": {"binary": str(WEBKIT), "args": ["--automation"]}, "pageLoadStrategy": "eager"}
        self.base += "/" + self.ask("", capabilities={"alwaysMatch": wish})["sessionId"]

    def ask(self, path, **parameters):
        answer = request("POST", f"{self.base}{path}", parameters, timeout=START_SECONDS)
        assert answer.status == 200, answer
        return answer.json()["value"]

    def navigate(self, url):
        self.ask("/url", url=url)

    def evaluate(self, expression):
        return self.ask("/execute/sync", script=f"return {expression}", args=[])

    def find(self, selector):
        return self.ask("/element", using="css selector", value=selector)

    def press(self, element):
        self.ask(f"/element/{next(iter(element.values()))}/click")

    def close(self):
        request("DELETE", self.base)
        super().close()


def accepts(port):
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0
