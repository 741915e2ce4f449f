"""One node and its spaces, as an operator, a host and a stranger use them: by command line and HTTP alone."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

import signal_kit

BINARY = os.environ.get("THRONG_BIN", str(pathlib.Path(__file__).parent.parent / "target" / "release" / "throng"))
# Liveness only: far more than any step takes on a busy machine, far less than a person would wait for a broken test.
PATIENCE_SECONDS = 90
POLL_SECONDS = 0.05
# Whoever begins to listen hears nothing older: the twelve segments of a live playlist, and the one in the making.
BEHIND_SECONDS = 50
# What is heard is recorded by then: as much as a power cut may cost.
RECORDED_AFTER_SECONDS = 1


def wait_until(condition, what, seconds=PATIENCE_SECONDS):
    """Polls until the condition holds, and returns its value. The one way in which these tests wait."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(POLL_SECONDS)


def rest(seconds):
    """Lets so much time pass that something has to outlast."""
    over = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= over, "the time is over", seconds + PATIENCE_SECONDS)


@dataclass
class Answer:
    """An HTTP answer of any status."""

    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return self.headers.get(name.lower())


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def request(method, url, body=None, key=None, headers=None, timeout=PATIENCE_SECONDS):
    """One request; redirects are answers, too."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    if key:
        headers["Authorization"] = f"Bearer {key}"
    asked = urllib.request.Request(url, data=body, method=method, headers=headers)
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(asked, timeout=timeout) as answer:
            return Answer(answer.status, lowered(answer.headers), answer.read())
    except urllib.error.HTTPError as answer:
        return Answer(answer.code, lowered(answer.headers), answer.read())


def lowered(headers):
    return {name.lower(): value for name, value in headers.items()}


def free_port():
    """A port that nobody has now: for programs that cannot say which one they took."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


def ahead_of_others(process):
    """The programme is made in real time: where we may, its makers go before players and whatever else runs here."""
    prefer(process.pid, -15)
    return process


def prefer(number, niceness):
    """A process or thread is so nice from now on, where we may say that."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, number, niceness)


@contextlib.contextmanager
def next_after_makers():
    """Browsers and players play in real time, too: what is started within comes after the programme's makers, before the
    rest."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    prefer(0, -10)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, own)


def command(*arguments, timeout=PATIENCE_SECONDS, env=None):
    """Runs a command of the program to its end."""
    return subprocess.run(
        [BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False, env=env
    )


class Node:
    """`throng serve` on a data folder of its own. A restart keeps folder and addresses."""

    # Of all nodes so far, where the hold loops are once they are encoded.
    hold_loops = []

    def __init__(self, data, *flags, listen="127.0.0.1:0", desk="127.0.0.1:0", env=None, binary=BINARY):
        self.data = pathlib.Path(data)
        self.find_hold_loop()
        self.flags = flags
        self.listen, self.desk = listen, desk
        self.env = env
        self.binary = pathlib.Path(binary)
        self.links = None
        self.process = None
        self.spaces = []
        self.start()

    def start(self):
        addresses = {"listen": self.listen, "desk": self.desk, "internal": "127.0.0.1:0"}
        if self.links:
            addresses = {name: self.links[name].removeprefix("http://") for name in addresses}
        given = [part for name, address in addresses.items() for part in (f"--{name}", address)]
        self.log = open(self.data.with_suffix(".log"), "ab")
        serve = [self.binary, "serve", *given, "--data", self.data, "--json", *self.flags]
        self.process = ahead_of_others(subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=self.log, env=self.env))
        first = self.process.stdout.readline()
        assert first, f"the node did not start: {self.log_text()}"
        self.links = json.loads(first)
        self.operator = self.links["studio"].partition("#key=")[2]

    def find_hold_loop(self):
        """A node finds the hold loop as after a restart, where one before it has made it: that takes a core for a while."""
        folder = self.data / "hold"
        for name in ("loop.bin", "loop-stereo.bin"):
            own = folder / name
            made = next((other / name for other in self.hold_loops if (other / name).exists()), None)
            if made and not own.exists():
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(made, own)
        self.hold_loops.append(folder)

    def log_text(self):
        return self.data.with_suffix(".log").read_text(errors="replace")

    def kill(self):
        """As a power cut would: no goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As an operator would."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_SECONDS)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()

    def create(self, title="A conversation", **wish):
        answer = request("POST", f"{self.links['desk']}/api/spaces", {"title": title, **wish}, self.operator)
        assert answer.status == 201, answer
        self.spaces.append(Space(self, answer.json()))
        return self.spaces[-1]

    def live(self, title="A conversation", **wish):
        space = self.create(title, **wish)
        space.step("go-live")
        # Listeners' side learns it from the desk's.
        wait_until(lambda: space.state()["state"] == "live", "listeners are told")
        return space


@dataclass
class Space:
    """A space by its links."""

    node: Node
    created: dict
    speakers: list = field(default_factory=list)

    def __post_init__(self):
        self.slug = self.created["slug"]
        self.listen_url = self.created["listen_url"]
        self.host_key = self.created["host_url"].partition("#key=")[2]
        self.speaker_urls = self.created["speaker_urls"]
        self.desk = self.node.links["desk"]
        self.whip_url = f"{self.desk}/s/{self.slug}/whip"
        self.whep_url = f"{self.listen_url}/whep"

    def speaker_key(self, seat):
        return self.speaker_urls[seat - 1].partition("#key=")[2]

    def try_step(self, step, key=None):
        return request("POST", f"{self.desk}/api/spaces/{self.slug}/{step}", key=key or self.host_key)

    def step(self, step):
        answer = self.try_step(step)
        assert answer.status == 200, answer
        return answer.json()

    def show(self):
        answer = request("GET", f"{self.desk}/api/spaces/{self.slug}", key=self.host_key)
        assert answer.status == 200, answer
        return answer.json()

    def state(self):
        return self.get("state.json").json()

    def get(self, path, **more):
        return request("GET", f"{self.listen_url}/{path}", **more)

    def seat(self, number):
        return self.show()["speakers"][number - 1]

    def is_talking(self, number):
        seat = self.seat(number)
        return seat["connected"] and seat["talking"]

    def speak(self, seat, wav, *more):
        """`throng speak` from a seat, over and over, until it is closed."""
        speaker = Speaker([BINARY, "speak", self.speaker_urls[seat - 1], "--file", str(wav), "--loop", *more])
        self.speakers.append(speaker)
        wait_until(lambda: self.is_talking(seat), f"seat {seat} talks")
        return speaker

    def recorded_seconds(self):
        return self.state()["recording"]["seconds"]

    def recording(self, last_seconds=None):
        """The programme as it was recorded, as samples, with all that was heard until now."""
        if self.state()["state"] == "live":
            enough = self.recorded_seconds() + RECORDED_AFTER_SECONDS
            wait_until(lambda: self.recorded_seconds() >= enough, "what is heard now is recorded")
        samples = signal_kit.decode(f"{self.listen_url}/recording.mp4")
        return samples if last_seconds is None else samples[-int(last_seconds * signal_kit.RATE_HZ) :]

    def hearing(self, capture):
        """The programme that there was to hear meanwhile, and what a capture of it returns, however long it takes."""
        since = max(0, self.recorded_seconds() - BEHIND_SECONDS)
        heard = capture()
        return self.recording()[int(since * signal_kit.RATE_HZ) :], heard


class Speaker:
    """A speaking program; leaves as one who presses Ctrl-C."""

    def __init__(self, arguments, **more):
        more.setdefault("stdout", subprocess.DEVNULL)
        self.process = ahead_of_others(subprocess.Popen(arguments, stderr=subprocess.DEVNULL, **more))

    def leave(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()
