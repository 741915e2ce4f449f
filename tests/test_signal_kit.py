"""The measure itself: what is missing is told from what came later."""

import numpy as np
import pytest

import signal_kit

RATE = signal_kit.RATE_HZ
# In words, and where a page has only begun.
PLACES = [4.3, 0.22]


@pytest.fixture(scope="module")
def programme():
    return signal_kit.speech("talk")[: 20 * RATE]


def silence(milliseconds):
    return np.zeros(milliseconds * RATE // 1000, np.float32)


@pytest.mark.parametrize("second", PLACES)
def test_a_player_that_was_halted_had_everything(programme, second):
    at = int(second * RATE)
    heard = np.concatenate([programme[:at], silence(40), programme[at:]])[: 15 * RATE]
    match = signal_kit.compare(programme, heard, looped=False)
    assert [length for _, length in match.gaps] == [pytest.approx(40, abs=1)]
    assert match.halts == match.gaps


@pytest.mark.parametrize("second", PLACES)
def test_what_was_left_out_is_no_halt(programme, second):
    at, length = int(second * RATE), len(silence(40))
    heard = np.concatenate([programme[:at], silence(40), programme[at + length :]])[: 15 * RATE]
    match = signal_kit.compare(programme, heard, looped=False)
    assert [length for _, length in match.gaps] == [pytest.approx(40, abs=1)]
    assert match.halts == []
