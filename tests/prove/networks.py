"""Bad networks of listeners, one case after the other; or those that are named.

Our page listens from a namespace of its own, on whose wire the kernel drops and queues real packets, and beside it
players that nobody here wrote. Its limits are asserted; they come back as far as they can.
"""

import contextlib
import os
import signal
import sys
from dataclasses import dataclass

import browser
import players
import signal_kit
from ears import BACK_SECONDS, LIKENESS_MIN, NEAR_SECONDS, STEADY_SECONDS, Ear, House
from figures import figure, folder, node
from lane import laid

# Enough before that nothing older is heard by those who begin three segments back.
SETTLED_SECONDS = 18
TUNNEL_SECONDS = 30
LID_SECONDS = 30
CRAWL_SECONDS = 30
# Long enough for a page to find what the line bears.
SLOW_SECONDS = 60
PAUSE_SECONDS = 70

# Far behind until it knows.
HLS_SAYS = "[window.player?.latency || 1e6, window.__heard?.seconds() ?? 0, window.errors ?? []]"
PROGRAMS = {
    "mpv WebM": (players.mpv_call, "live.webm"),
    "mpv HLS": (players.mpv_call, "hls/main.m3u8"),
    "VLC WebM": (players.vlc_call, "live.webm"),
    "VLC HLS": (players.vlc_call, "hls/main.m3u8"),
}
OURS, ALL = "our page", ("hls.js", *PROGRAMS)


class Stranger(Ear):
    """hls.js in a page that is not ours."""

    def look(self):
        latency, heard, self.words = self.page.evaluate(HLS_SAYS)
        return self.house.playhead - latency, heard


class Player(Ear):
    """A player that is a program: where it is in the programme nobody knows, only what it puts out."""

    def __init__(self, house, playing):
        super().__init__(house, None)
        self.playing = playing

    def hears(self, seconds=STEADY_SECONDS):
        """Until it has put out so much, from now on."""
        began, enough = self.house.playhead, self.playing.seconds() + seconds
        while (waited := self.house.playhead - began) <= BACK_SECONDS + seconds and self.playing.seconds() < enough:
            yield
        return waited

    def look(self):
        return self.house.playhead, self.playing.seconds()

    def tail(self):
        return self.playing.samples()[-3 * signal_kit.RATE_HZ :]


@dataclass
class Scene:
    """Everything that a case touches."""

    house: House
    lane: object
    chromium: object
    ears: dict

    def suffers(self, fault):
        """All who listen hear, suffer together, and come back: what became of each, and the programme meanwhile."""
        self.house.side_by_side({name: ear.hears() for name, ear in self.ears.items()})
        fault(self)
        ends = self.house.side_by_side({name: ear.recovers() for name, ear in self.ears.items()})
        return ends, self.house.space.recording()

    def passes(self, seconds):
        """The programme goes on for so long."""
        self.house.side_by_side({name: ear.goes_on(seconds) for name, ear in self.ears.items()})


def called(name, space, place):
    """How a program is called, in a folder of its own."""
    call, path = PROGRAMS[name]
    own = place / name.replace(" ", "-")
    own.mkdir()
    return call(f"{space.listen_url}/{path}", own)


@contextlib.contextmanager
def scene(*others):
    """Our page listens, and these others."""
    with contextlib.ExitStack() as things:
        lane = things.enter_context(laid())
        place = things.enter_context(folder())
        serving = things.enter_context(node(listen=f"{lane.node}:0"))
        playwright = things.enter_context(browser.started())
        space = serving.live()
        voice = place / "ada.wav"
        signal_kit.write_wav(voice, signal_kit.speech("ada"))
        things.enter_context(space.speak(1, voice))
        house = House(space, None)
        house.passes(SETTLED_SECONDS)
        strangers = browser.PageServer(lane.node)
        things.callback(strangers.close)
        safe = ",".join([serving.links["listen"], strangers.url("").partition("/pages")[0]])
        chromium = lane.chromium(playwright, place, safe)
        things.callback(chromium.close)
        ears = {OURS: Ear(house, things.enter_context(chromium.page(space.listen_url)))}
        if "hls.js" in others:
            url = strangers.url("hls.html", url=f"{space.listen_url}/hls/main.m3u8")
            ears["hls.js"] = Stranger(house, things.enter_context(chromium.page(url)))
        for name in others:
            if name in PROGRAMS:
                arguments, out = called(name, space, place)
                ears[name] = Player(house, things.enter_context(players.Playing([*lane.inside, *arguments], out)))
        yield Scene(house, lane, chromium, ears)


def tunnel(scene):
    """Every packet vanishes, both ways, and nobody is told."""
    scene.lane.vanish()
    scene.passes(TUNNEL_SECONDS)
    scene.lane.carry()


def address(scene):
    """The old connections are dead, and the new path carries."""
    scene.lane.move(f"{scene.lane.net}.2", f"{scene.lane.net}.3")


def slow(scene):
    """32 kbit/s, less than the rendition that a player begins with, and it stays so."""
    scene.lane.slow("32kbit")
    scene.passes(SLOW_SECONDS)


def crawl(scene):
    """A kilobyte a second, which carries no rendition, and back."""
    scene.lane.slow("8kbit")
    scene.passes(CRAWL_SECONDS)
    scene.lane.carry()


def lid(scene):
    """Nothing of the browser runs, and the node goes on sending."""
    pids = scene.lane.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    # Nobody in there would answer.
    scene.house.passes(LID_SECONDS)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def pause(scene):
    """A listener pauses, then listens again: at the live moment, not where he left."""
    ours = scene.ears[OURS]
    ours.presses()
    scene.passes(PAUSE_SECONDS)
    ours.presses()


def say(case, ends, recording):
    """The figures of all who listened."""
    for name, end in ends.items():
        who, most = f"{case}: {name}", BACK_SECONDS + STEADY_SECONDS
        limit = (lambda words: words) if name == OURS else (lambda _: "-")
        back = f"{end.seconds:.1f} s" if end.seconds <= most else f"not in {most} s"
        # Of a program nobody knows whether what it puts out was in its cache.
        what = "has put out {} s more" if name in PROGRAMS else "has heard {} s of new programme"
        figure(f"{who} {what.format(STEADY_SECONDS)} after", back, limit(f"<= {most} s"))
        if name == OURS:
            likeness, behind = end.judged(recording)
            figure(f"{who}, likeness of it to the newest programme", f"{likeness:.2f}", f">= {LIKENESS_MIN}")
            figure(f"{who}, behind the playhead", f"{behind:.1f} s", f"<= {NEAR_SECONDS} s")
        print(f"{name} said:", *end.words, sep="\n  ")


CASES = {
    "tunnel": (tunnel, ALL),
    "address": (address, ALL),
    "slow": (slow, ALL),
    "crawl": (crawl, ALL),
    "lid": (lid, ()),
    "pause": (pause, ()),
}


def run(case):
    fault, others = CASES[case]
    with scene(*others) as here:
        say(case, *here.suffers(fault))


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("this lays a network namespace of its own: it needs root")
    for asked in sys.argv[1:] or CASES:
        if asked not in CASES:
            sys.exit(f"`{asked}` is not among: {', '.join(CASES)}")
    for asked in sys.argv[1:] or CASES:
        run(asked)
