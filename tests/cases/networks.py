"""Bad networks of listeners.

Our page listens from a namespace of its own, on whose wire the kernel drops and queues real packets, and players that
nobody here wrote from theirs. Its limits are asserted; they come back as far as they can.
"""

import contextlib
import os
import signal
from dataclasses import dataclass, field

import browser
import players
import signal_kit
from ears import BACK_SECONDS, LIKENESS_MIN, NEAR_SECONDS, STEADY_SECONDS, TAIL_SECONDS, Ear, House, Recovery
from figures import folder, node
from lane import Lane, laid

# Enough before that nothing older is heard by those who begin three segments back.
SETTLED_SECONDS = 18
TUNNEL_SECONDS = 30
LID_SECONDS = 30
CRAWL_SECONDS = 30
# Long enough for a page to find what the line bears.
SLOW_SECONDS = 60
PAUSE_SECONDS = 70
# A player that puts out nothing for so long has run dry.
HALT_SECONDS = 2
# The talk begins anew after so long.
TALK_SECONDS = 70

# Far behind until it knows.
HLS_SAYS = "[window.player?.latency || 1e6, window.__heard?.seconds() ?? 0, window.errors ?? []]"
# As docs/players.md advises.
PATIENT_MPV = ("--network-timeout=10", "--stream-lavf-o=reconnect=1,reconnect_streamed=1,reconnect_on_network_error=1")
PROGRAMS = {
    "mpv": (players.mpv_call, "live.webm", ()),
    "mpv, AAC, as advised": (players.mpv_call, "live.aac", PATIENT_MPV),
    "VLC": (players.vlc_call, "live.webm", ()),
    "VLC, AAC, as advised": (players.vlc_call, "live.aac", ()),
    "VLC, HLS": (players.vlc_call, "hls/main.m3u8", ()),
}
LIBRARIES = {"hls.js": {}, "hls.js, as advised": {"persistent": ""}}
OURS, ALL = "our page", (*LIBRARIES, *PROGRAMS)


class Stranger(Ear):
    """hls.js in a page that is not ours."""

    def look(self):
        latency, heard, self.words = self.page.evaluate(HLS_SAYS)
        return self.house.playhead - latency, heard


class Player(Ear):
    """A player that is a program: where it is in the programme only the sound tells that it puts out."""

    def __init__(self, house, playing):
        super().__init__(house, None)
        self.playing = playing

    def hears(self, seconds=STEADY_SECONDS):
        """Until it has put out so much, from now on."""
        enough = self.playing.seconds() + seconds
        while self.playing.seconds() < enough:
            yield

    def recovers(self):
        """What it puts out so long after: when it last began to, and how long it has been silent then."""
        began = put_out_at = self.house.playhead
        put_out, back = self.playing.seconds(), 0
        while (now := self.house.playhead) - began <= BACK_SECONDS + STEADY_SECONDS:
            if (more := self.playing.seconds()) > put_out:
                back = now - began if now - put_out_at > HALT_SECONDS else back
                put_out, put_out_at = more, now
            yield
        tail = self.playing.samples()[-TAIL_SECONDS * signal_kit.RATE_HZ :]
        return Recovery(back, now - put_out_at, self.house.recorded_seconds, tail)

    def look(self):
        self.playing.seconds()


@dataclass
class Scene:
    """Who listens, each at the end of a lane of his own."""

    house: House
    ears: dict = field(default_factory=dict)
    lanes: dict = field(default_factory=dict)

    def suffers(self, fault):
        """All who listen hear, suffer together, and come back: what became of each, and the programme meanwhile."""
        self.house.side_by_side({name: ear.hears() for name, ear in self.ears.items()})
        fault(self)
        ends = self.house.side_by_side({name: ear.recovers() for name, ear in self.ears.items()})
        return ends, self.house.space.recording()

    def passes(self, seconds):
        """The programme goes on for so long."""
        self.house.side_by_side({name: ear.goes_on(seconds) for name, ear in self.ears.items()})

    def each(self, happens):
        """Something happens to every lane."""
        for lane in self.lanes.values():
            happens(lane)


@contextlib.contextmanager
def scene(others):
    """Our page listens, and these others."""
    with contextlib.ExitStack() as things:
        place = things.enter_context(folder())
        first = things.enter_context(laid())
        serving = things.enter_context(node(listen=f"{first.node}:0"))
        playwright = things.enter_context(browser.started())
        space = serving.live()
        voice = place / "talk.wav"
        signal_kit.write_wav(voice, signal_kit.speech("talk"))
        things.enter_context(space.speak(1, voice))
        here = Scene(House(space, None))
        here.house.passes(SETTLED_SECONDS)
        strangers = browser.PageServer(first.node)
        things.callback(strangers.close)
        safe = ",".join([serving.links["listen"], strangers.url("").partition("/pages")[0]])
        for number, name in enumerate([OURS, *others]):
            own = place / str(number)
            own.mkdir()
            lane = here.lanes[name] = things.enter_context(laid(number)) if number else first
            if name in PROGRAMS:
                call, path, more = PROGRAMS[name]
                arguments, out = call(f"{space.listen_url}/{path}", own)
                playing = things.enter_context(players.Playing([*lane.inside, *arguments, *more], out))
                here.ears[name] = Player(here.house, playing)
                continue
            chromium = lane.chromium(playwright, own, safe)
            things.callback(chromium.close)
            if name == OURS:
                here.ears[name] = Ear(here.house, things.enter_context(chromium.page(space.listen_url)))
                continue
            url = strangers.url("hls.html", url=f"{space.listen_url}/hls/main.m3u8", **LIBRARIES[name])
            here.ears[name] = Stranger(here.house, things.enter_context(chromium.page(url)))
        yield here


def tunnel(scene):
    """Every packet vanishes, both ways, and nobody is told."""
    scene.each(Lane.vanish)
    scene.passes(TUNNEL_SECONDS)
    scene.each(Lane.carry)


def address(scene):
    """The old connections are dead, and the new path carries."""
    scene.each(lambda lane: lane.move(f"{lane.net}.2", f"{lane.net}.3"))


def slow(scene):
    """32 kbit/s, less than the rendition that a player begins with, and it stays so."""
    scene.each(lambda lane: lane.slow("32kbit"))
    scene.passes(SLOW_SECONDS)


def crawl(scene):
    """A kilobyte a second, which carries no rendition, and back."""
    scene.each(lambda lane: lane.slow("8kbit"))
    scene.passes(CRAWL_SECONDS)
    scene.each(Lane.carry)


def lid(scene):
    """Nothing of the browser runs, and the node goes on sending."""
    pids = scene.lanes[OURS].pids()
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


def figures(ends, recording):
    """Of all who listened."""
    most = BACK_SECONDS + STEADY_SECONDS
    for name, end in ends.items():
        likeness, behind = end.judged(recording, TALK_SECONDS)
        if name in PROGRAMS:
            hears = end.behind <= STEADY_SECONDS and likeness >= LIKENESS_MIN
            yield f"{name} puts out {most} s after what is behind the playhead", f"{behind:.1f} s" if hears else "nothing", "-"
            yield f"{name} last began to after", f"{end.seconds:.1f} s" if hears else "-", "-"
            continue
        back, is_ours = f"{end.seconds:.1f} s" if end.seconds <= most else f"not in {most} s", name == OURS
        yield f"{name} has heard {STEADY_SECONDS} s of new programme after", back, f"<= {most} s" if is_ours else "-"
        yield f"{name}, likeness of it to the newest programme", f"{likeness:.2f}", f">= {LIKENESS_MIN}" if is_ours else "-"
        yield f"{name}, behind the playhead", f"{behind:.1f} s", f"<= {NEAR_SECONDS} s" if is_ours else "-"
        print(f"{name} said:", *end.words, sep="\n  ")


def case(fault, others):
    def run():
        with scene(others) as here:
            yield from figures(*here.suffers(fault))

    return run


CASES = {
    "network-tunnel": case(tunnel, ALL),
    "network-address": case(address, ALL),
    "network-slow": case(slow, ALL),
    "network-crawl": case(crawl, ALL),
    "network-lid": case(lid, ()),
    "network-pause": case(pause, ()),
}
