"""Pages of ours that listen through a wire each, and what becomes of them: many suffer side by side.

A case is a generator: it does something to its wire or page, and yields what it waits for. Time is the programme's own,
so that a machine that is late delays both alike.
"""

import contextlib
import datetime
from dataclasses import dataclass

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
# Speech that is like itself by less is another's, see `signal_kit`; it may be leaner, and stretched by a quicker player.
LIKENESS_MIN = 0.5
# Liveness only.
PATIENCE_SECONDS = 150


@dataclass
class Recovery:
    """How a listener came back."""

    seconds: float
    """Of the programme, from when the network was good again until he heard it steadily, near the playhead."""
    at: float
    """The second of the recording that had been made then."""
    tail: np.ndarray
    """What he heard last."""
    words: list
    """All that the page said meanwhile."""

    def judged(self, recording):
        """How like the programme he heard something, and how far behind the playhead that was."""
        from_second = max(0, self.at - 2 * NEAR_SECONDS)
        near = recording[int(from_second * signal_kit.RATE_HZ) : int((self.at + 1) * signal_kit.RATE_HZ)]
        pieces = [self.tail[at : at + signal_kit.RATE_HZ] for at in range(0, len(self.tail), signal_kit.RATE_HZ)]
        pieces = [piece for piece in pieces if len(piece) == signal_kit.RATE_HZ]
        place, likeness = max((signal_kit.find(piece, near) for piece in pieces), key=lambda found: found[1])
        return likeness, self.at - from_second - place / signal_kit.RATE_HZ


class Ear:
    """One listener, his page and his wire."""

    def __init__(self, house, page, wire):
        self.house, self.page, self.wire = house, page, wire
        self.words = []

    def told(self, name):
        return self.page.evaluate("name => document.documentElement.dataset[name] ?? null", name)

    def position(self):
        return float(self.told("position") or 0)

    def listen(self):
        """Looks at the page once, and keeps what it says."""
        seen = self.page.evaluate("""() => ({
            position: +(document.documentElement.dataset.position ?? 0),
            words: document.querySelector('#status').textContent,
        })""")
        if seen["words"] not in self.words[-1:]:
            self.words.append(seen["words"])
        return seen["position"]

    def hears(self, seconds=STEADY_SECONDS):
        """Until so much was heard, steadily and near the playhead; for how long in vain, if ever."""
        since, began = None, self.house.playhead
        while (waited := self.house.playhead - began) <= BACK_SECONDS + seconds:
            position = self.listen()
            is_near = self.house.playhead - position <= NEAR_SECONDS
            if since is None or not is_near or position < since:
                since = position if is_near else None
            elif position >= since + seconds:
                break
            yield
        return waited

    def recovers(self):
        """From now on the network is good."""
        waited = yield from self.hears()
        return Recovery(waited, self.house.recorded_seconds, browser.taken(self.page, TAIL_SECONDS), self.words)

    def goes_on(self, seconds):
        """Until the programme has gone on for so long."""
        until = self.house.playhead + seconds
        while self.house.playhead < until:
            self.listen()
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

    def suffer(self, cases):
        """Runs cases side by side; what each returned, or the failure that ended it."""
        with contextlib.ExitStack() as open_things:
            running, ends = {}, {}
            for name, case in cases.items():
                wire = open_things.enter_context(Wire(self.space.listen_url))
                page = open_things.enter_context(self.chromium.page(wire.through(self.space.listen_url)))
                running[name] = case(Ear(self, page, wire))

            def all_done():
                self.look()
                for name, case in list(running.items()):
                    try:
                        next(case)
                    except StopIteration as end:
                        ends[name] = end.value
                        del running[name]
                return not running

            wait_until(all_done, f"the listeners are back, of {list(cases)}", PATIENCE_SECONDS)
            return ends
