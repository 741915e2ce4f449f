"""Pages of ours that listen through a wire each, and what becomes of them: many suffer side by side.

A case is a generator: it does something to its wire or page, and yields what it waits for. Time is the programme's own,
so that a machine that is late delays both alike.
"""

import contextlib
import datetime
from dataclasses import dataclass, field

import numpy as np

import browser
import signal_kit
from throng import wait_until
from wire import Wire

# What the page promises, of the programme's time.
BACK_SECONDS = 60
# So far from the playhead a listener is near it: the cushion of a join, what catching up leaves, a span, the recorder's lag.
NEAR_SECONDS = 10
# So much is heard near the playhead before it counts.
STEADY_SECONDS = 4
# Some of it is laid beside the programme.
TAIL_SECONDS = 3
# Ada begins anew after so long: what is older than this is not told from what is newer.
LOOP_SECONDS = 12.9
# Speech that is like itself by less is another's, see `signal_kit`; it may be leaner, and stretched by a quicker player.
LIKENESS_MIN = 0.5
# Liveness only.
PATIENCE_SECONDS = 300


# Keeps all that the page says, however short it stands there.
SAID = """
addEventListener('DOMContentLoaded', () => {
  const status = document.querySelector('#status');
  const said = window.__said = [];
  const note = () => said.push(status.textContent);
  new MutationObserver(note).observe(status, { childList: true, characterData: true, subtree: true });
});
"""


@dataclass
class Recovery:
    """How a listener came back."""

    seconds: float
    """Of the programme, from when the network was good again until he had heard it steadily, near the playhead."""
    behind: float
    """How far from the playhead he was then, by his player's word."""
    at: float
    """The second of the recording that had been made then."""
    tail: np.ndarray
    """What he had heard last."""
    words: list = field(default_factory=list)
    """All that the page had said."""

    def judged(self, recording, loop_seconds=LOOP_SECONDS):
        """How like the newest programme the best second of it is, and how far behind the playhead that was."""
        since = max(0, self.at - loop_seconds)
        newest = recording[int(since * signal_kit.RATE_HZ) : int((self.at + 1) * signal_kit.RATE_HZ)]
        starts = range(0, len(self.tail) - signal_kit.RATE_HZ + 1, signal_kit.RATE_HZ // 2)
        pieces = [(start, *signal_kit.find(self.tail[start : start + signal_kit.RATE_HZ], newest)) for start in starts]
        start, place, likeness = max(pieces, key=lambda found: found[2], default=(0, 0, 0.0))
        return likeness, self.at - since - (place - start + len(self.tail)) / signal_kit.RATE_HZ


class Ear:
    """One listener, his page and his wire."""

    def __init__(self, house, page, wire=None):
        self.house, self.page, self.wire = house, page, wire
        self.words = []

    def joins(self, script=None):
        """Opens the page, in a browser in which this script runs first."""
        for script in filter(None, [SAID, script]):
            self.page.add_init_script(script)
        self.page.goto(self.wire.through(self.house.space.listen_url), wait_until="commit")
        yield from self.hears()

    def presses(self):
        self.page.click("#listen")

    def told(self, name):
        return self.page.evaluate("name => document.documentElement.dataset[name] ?? null", name)

    def look(self):
        """Where in the programme the page is, and how much it has played; what it has said since is kept."""
        seen = self.page.evaluate("""() => ({
            position: +(document.documentElement.dataset.position ?? 0),
            heard: window.__heard?.seconds() ?? 0,
            words: window.__said?.splice(0) ?? [], // the page may not be read yet
        })""")
        for words in seen["words"]:
            if words not in self.words[-1:]:
                self.words.append(words)
        return seen["position"], seen["heard"]

    def tail(self):
        return browser.taken(self.page, TAIL_SECONDS)

    def hears(self, seconds=STEADY_SECONDS):
        """Until so much was heard of what is made from now on, steadily and near the playhead; for how long in vain, if
        ever."""
        since, began = None, self.house.playhead
        while (waited := self.house.playhead - began) <= BACK_SECONDS + seconds:
            now = self.look()
            is_near = now[0] >= began and self.house.playhead - now[0] <= NEAR_SECONDS
            if since is None or not is_near:
                since = now if is_near else None
            elif all(after >= before + seconds for after, before in zip(now, since)):
                break
            yield
        return waited

    def recovers(self):
        """From now on the network is good."""
        waited = yield from self.hears()
        behind = self.house.playhead - self.look()[0]
        return Recovery(waited, behind, self.house.recorded_seconds, self.tail(), self.words)

    def goes_on(self, seconds):
        """Until the programme has gone on for so long."""
        until = self.house.playhead + seconds
        while self.house.playhead < until:
            self.look()
            yield


class House:
    """A live space and its clock: the programme."""

    def __init__(self, space, chromium):
        self.space, self.chromium = space, chromium
        self.look()

    def look(self):
        state = self.space.state()
        when = {name: datetime.datetime.fromisoformat(state[name]).timestamp() for name in ("epoch", "started_at")}
        self.recorded_seconds = state["recording"]["seconds"]
        self.playhead = self.recorded_seconds + when["started_at"] - when["epoch"]

    def passes(self, seconds):
        """The programme goes on for so long, whatever becomes of those who listen."""
        until = self.playhead + seconds
        wait_until(lambda: self.look() or self.playhead >= until, f"{seconds} s pass", PATIENCE_SECONDS)

    def suffer(self, cases):
        """Brings a listener with a wire of his own for each case; what each returned."""
        with contextlib.ExitStack() as open_things:
            running = {}
            for case in cases:
                wire = open_things.enter_context(Wire(self.space.listen_url))
                page = open_things.enter_context(self.chromium.page("about:blank"))
                running[case.__name__] = case(Ear(self, page, wire))
            return self.side_by_side(running)

    def side_by_side(self, running):
        """Runs cases to their ends; what each returned."""
        ends = {}

        def all_done():
            self.look()
            for name, case in list(running.items()):
                try:
                    next(case)
                except StopIteration as end:
                    ends[name] = end.value
                    del running[name]
            return not running

        wait_until(all_done, f"the listeners are back, of {list(running)}", PATIENCE_SECONDS)
        return ends
