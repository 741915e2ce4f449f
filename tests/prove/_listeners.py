"""What the cases of bad networks share: a live space, a lane to it, and who listens at its far end."""

import contextlib
from dataclasses import dataclass

import browser
import players
import signal_kit
from ears import BACK_SECONDS, LIKENESS_MIN, NEAR_SECONDS, STEADY_SECONDS, Ear, House
from figures import figure, folder, node
from lane import laid

# Enough before that nothing older is heard by those who begin three segments back.
SETTLED_SECONDS = 18


PROGRAMS = {
    "mpv WebM": (players.mpv_call, "live.webm"),
    "mpv HLS": (players.mpv_call, "hls/main.m3u8"),
    "VLC WebM": (players.vlc_call, "live.webm"),
    "VLC HLS": (players.vlc_call, "hls/main.m3u8"),
}
ALL = ("hls.js", *PROGRAMS)


class Stranger(Ear):
    """hls.js in a page that is not ours."""

    def look(self):
        latency, heard, self.words = self.page.evaluate("[player.latency || 1e6, __heard.seconds(), errors]")
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
        ears = {"our page": Ear(house, things.enter_context(chromium.page(space.listen_url)))}
        if "hls.js" in others:
            url = strangers.url("hls.html", url=f"{space.listen_url}/hls/main.m3u8")
            ears["hls.js"] = Stranger(house, things.enter_context(chromium.page(url)))
        for name in others:
            if name in PROGRAMS:
                arguments, out = called(name, space, place)
                ears[name] = Player(house, things.enter_context(players.Playing([*lane.inside, *arguments], out)))
        yield Scene(house, lane, chromium, ears)


def say(ends, recording):
    """The figures: limits are for our page, others come back as far as they can."""
    for name, end in ends.items():
        limit = (lambda words: words) if name == "our page" else (lambda _: "-")
        most = BACK_SECONDS + STEADY_SECONDS
        back = f"{end.seconds:.1f} s" if end.seconds <= most else f"not in {most} s"
        figure(f"{name}: {STEADY_SECONDS} s of new programme heard after", back, limit(f"<= {most} s"))
        if len(end.tail) > signal_kit.RATE_HZ:
            likeness, behind = end.judged(recording)
            figure(f"{name}: likeness of it to the newest programme", f"{likeness:.2f}", limit(f">= {LIKENESS_MIN}"))
            figure(f"{name}: behind the playhead", f"{behind:.1f} s", limit(f"<= {NEAR_SECONDS} s"))
        print(f"{name} said:", *end.words, sep="\n  ")
