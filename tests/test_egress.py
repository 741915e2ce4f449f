"""A node whose way out is narrower than what it could serve otherwise: real packets, through a real token bucket."""

import json
import signal
import subprocess

import pytest

import lane
import signal_kit
from throng import BINARY, Node, wait_until

VOICE = signal_kit.VOICES / "01-ada.flac"
LINE_BITS = 4_000_000
# As of a link whose speed is known.
EGRESS_BITS = LINE_BITS * 7 // 10
# 54 kbit/s each, on the wire.
FIT = EGRESS_BITS // 54_000
INSIDE, NEWCOMERS = 40, 3 * FIT
STAY_SECONDS = 10


@pytest.fixture
def narrow():
    """A wire through which so many bits fit, behind a queue as routers have it."""
    with lane.laid() as wire:
        wire.slow(str(LINE_BITS))
        yield wire


def crowd(wire, space, listeners, stay_seconds):
    words = ["rehearse", f"{space.listen_url}/live.mp4", "--listeners", listeners, "--arrive", "ramp:2s"]
    words += ["--stay", f"{stay_seconds}s", "--netns", wire.name, "--json"]
    return subprocess.Popen([BINARY, *map(str, words)], stdout=subprocess.PIPE, text=True)


def summary(process):
    return json.loads(process.communicate()[0].splitlines()[-1])


def evening(wire, folder, *flags):
    """Some are inside when three times as many as fit arrive; what became of both, and what the door went by."""
    node = Node(folder / "data", *flags, listen=f"{wire.node}:0")
    try:
        space = node.live("A narrow way out")
        with space.speak(1, VOICE):
            inside = crowd(wire, space, INSIDE, 600)
            wait_until(lambda: space.state()["listening"] == INSIDE, "they hear")
            newcomers = summary(crowd(wire, space, NEWCOMERS, STAY_SECONDS))
            inside.send_signal(signal.SIGINT)
            return space.show()["capacity"], summary(inside), newcomers
    finally:
        node.close()


def test_a_way_out_that_is_full_makes_newcomers_wait_and_costs_nobody_inside_a_sample(narrow, tmp_path):
    capacity, inside, newcomers = evening(narrow, tmp_path, "--egress-max", str(EGRESS_BITS))
    assert capacity["egress_bits"] == EGRESS_BITS
    assert (inside["gaps"]["count"], inside["failed"], inside["lost"]) == (0, 0, 0)
    assert newcomers["joined"] == FIT - INSIDE and newcomers["gaps"]["count"] == 0
    assert newcomers["queued"] == NEWCOMERS - newcomers["joined"] and newcomers["failed"] == 0


def test_a_way_out_that_nobody_has_measured_is_taken_for_what_the_link_says_and_breaks_for_all(narrow, tmp_path):
    """Why `--egress-max` is to be said where the way is narrower than the link: a wire says ten times a gigabit."""
    capacity, inside, newcomers = evening(narrow, tmp_path)
    assert capacity["egress_bits"] >= 7_000_000_000
    assert newcomers["queued"] == 0
    assert inside["gaps"]["listeners"] > INSIDE // 2
