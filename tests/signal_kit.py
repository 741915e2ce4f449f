"""Known speech, and what became of it: alignment, delay, level, gaps, quality.

Every signal is mono float32 at 48 kHz. The test speech is the voices of the demo over a faint bed of noise, so that
silence in what was heard is never part of what was said. Speech is looped by the speakers, so a capture may begin
anywhere in it: `compare` finds where.
"""

import functools
import pathlib
import subprocess
import wave
from dataclasses import dataclass

import numpy as np
import pesq as pesq_metric
import pystoi
from scipy.signal import correlate, resample_poly

RATE_HZ = 48_000
FRAME_SAMPLES = 960
VOICES = pathlib.Path(__file__).resolve().parent.parent / "assets" / "voices"
# The talk is long: what a player has kept for a minute is told from what is new.
SPEECH_CLIPS = {
    "ada": ("01-ada", "03-ada"),
    "ben": ("02-ben", "04-ben"),
    "talk": sorted(clip.stem for clip in VOICES.glob("*.flac")),
}
BED_DBFS = -52.0
# Quieter than the bed by far: nothing but missing sound is.
SILENCE_DBFS = -75.0
# The shortest silence that is counted as a gap: one frame.
GAP_MIN_SECONDS = 0.02
# A machine that halts for a moment halts whoever plays in real time; a part of the programme is three times as long.
HALT_MAX_MS = 110
# A pause between words may fill the windows after a halt.
END_SECONDS = 1.5
# Where sound breaks off and goes on is known so well.
EDGE_MS = 15
# So much beside a silence tells whether anything is missing.
BESIDE_SECONDS = 0.5
# Alignment is followed in windows of this length; a jump between two is a hole or a repetition.
WINDOW_SECONDS = 0.5
# A jitter buffer moves sound within a window, too, by some milliseconds at a time: for a measure of quality, that compares
# frames of 32 ms, the sound is followed in steps of this length, each found by twice as much and near its window's place.
STEP_SECONDS = 0.1
NEAR_SECONDS = 0.02
# Farther than a jitter buffer moves at once, nearer than the next syllable.
WINDOW_SEARCH_SECONDS = 0.2
# A likeness (1 is the same) from which on a window's place is believed.
CERTAIN = 0.5
# A likeness that no other place will exceed.
UNMISTAKABLE = 0.9
# A second of another voice is at most 0.21 alike to its likest second of this one; of the same voice, stretched to fit
# by a jitter buffer, 0.4 at least.
PRESENT_MIN = 0.4
ABSENT_MAX = 0.25


def decode(source, seconds=None, extra=(), channels=1):
    """What ffmpeg decodes from a file or URL, as samples; of several channels, a row for each."""
    limit = [] if seconds is None else ["-t", str(seconds)]
    command = ["ffmpeg", "-v", "error", *extra, "-i", str(source), *limit, "-ac", str(channels), "-ar", str(RATE_HZ)]
    done = subprocess.run([*command, "-f", "f32le", "-"], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, f"ffmpeg could not decode {source}: {done.stderr.decode()}"
    samples = np.frombuffer(done.stdout, np.float32)
    return samples if channels == 1 else samples.reshape(-1, channels).T


def read_wav(path):
    """The samples of a WAV file; tolerant of a header that was never finished."""
    return decode(path)


def write_wav(path, samples, channels=1):
    """Writes one sound to every channel, or a row to each."""
    rows = np.atleast_2d(samples)
    interleaved = np.repeat(rows, channels // len(rows), axis=0).T.ravel()
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes((np.clip(interleaved, -1, 1) * 32767).astype("<i2").tobytes())


@functools.cache
def speech(voice):
    """The known speech of a voice, the same bytes in every run."""
    clips = [decode(VOICES / f"{clip}.flac") for clip in SPEECH_CLIPS[voice]]
    words = np.concatenate(clips)
    # Whole frames: who loops it frame by frame adds nothing between the end and the beginning.
    words = words[: len(words) // FRAME_SAMPLES * FRAME_SAMPLES]
    noise = np.random.default_rng(len(voice) + ord(voice[0])).standard_normal(len(words))
    return (words + amplitude(BED_DBFS) * noise).astype(np.float32)


def chirp(seconds=0.1, start_hz=500, end_hz=3500, level_dbfs=-12.0):
    """A sweep whose place is found to a sample."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * (start_hz * time + (end_hz - start_hz) * time**2 / (2 * seconds))
    return (amplitude(level_dbfs) * np.sin(phase) * np.hanning(len(time))).astype(np.float32)


def amplitude(dbfs):
    return 10 ** (dbfs / 20)


def level_dbfs(samples):
    return 20 * np.log10(max(1e-9, float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))))


def find(pattern, samples):
    """Where the pattern is loudest in the samples, and how alike they are there (-1 to 1)."""
    products = correlate(samples.astype(np.float64), pattern.astype(np.float64), mode="valid", method="fft")
    sums = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    energies = np.maximum(0.0, sums[len(pattern) :] - sums[: -len(pattern)])
    # Where next to nothing is heard, anything would look alike.
    floor = len(pattern) * amplitude(SILENCE_DBFS) ** 2
    pattern_energy = max(floor, float(np.sum(np.square(pattern, dtype=np.float64))))
    norm = np.sqrt(np.maximum(energies, floor) * pattern_energy)
    likeness = products / norm
    at = int(np.argmax(likeness))
    return at, float(likeness[at])


def presence(reference, heard):
    """How alike every second of what was heard is to its likest place in a looped reference."""
    looped = np.concatenate([reference, reference[:RATE_HZ]])
    pieces = [heard[at : at + RATE_HZ] for at in range(0, len(heard) - RATE_HZ + 1, RATE_HZ)]
    assert pieces, "less than a second was heard"
    return [find(piece, looped)[1] if level_dbfs(piece) > SILENCE_DBFS else 0.0 for piece in pieces]


def is_present(reference, heard):
    """Whether the reference is what was heard, for most of the time."""
    return float(np.median(presence(reference, heard))) > PRESENT_MIN


def is_absent(reference, heard):
    """Whether nothing of the reference was heard at any time."""
    return max(presence(reference, heard)) < ABSENT_MAX


@dataclass
class Match:
    """What became of known speech."""

    seconds: float
    """How much was compared."""
    offset: int
    """Where in the looped reference the heard begins, in samples."""
    likeness: float
    level_db: float
    """Heard less said."""
    gaps: list
    """Stretches of digital silence where there was sound: (second, milliseconds)."""
    halts: list
    """Of the gaps those after which the sound went on where it had broken off: the player was halted, and had everything."""
    jumps_ms: list
    """Steps in the alignment from window to window: lost or repeated sound."""
    stoi: float
    pesq: float

    def __str__(self):
        return (
            f"{self.seconds:.1f} s compared, likeness {self.likeness:.3f}, level {self.level_db:+.1f} dB, "
            f"gaps {self.gaps}, of these halts {self.halts}, jumps {self.jumps_ms} ms, STOI {self.stoi:.3f}, PESQ {self.pesq:.2f}"
        )

    @property
    def silent_ms(self):
        """All gaps together."""
        return sum(length_ms for _, length_ms in self.gaps)

    def is_whole(self):
        """Nothing is left out or comes twice. Where it was silent for a moment, the sound went on later by as much: the
        player was halted, and had everything. What comes after a halt at the very end is too little to tell."""
        if not self.gaps:
            return self.jumps_ms == []
        early_ms = sum(length_ms for at, length_ms in self.gaps if at < self.seconds - END_SECONDS)
        went_on_later = any(abs(halted_ms + sum(self.jumps_ms)) <= EDGE_MS for halted_ms in (self.silent_ms, early_ms))
        return self.silent_ms <= HALT_MAX_MS and went_on_later


def compare(reference, heard, looped=True):
    """Finds what was heard in the reference, looped or not, and measures it."""
    heard = trimmed(heard)
    said, heard, offset, likeness = aligned(reference, heard, looped)
    seconds = len(heard) / RATE_HZ
    assert seconds >= 3, f"only {seconds:.2f} s were heard of what was said: too little to compare"
    lags = window_lags(said, heard)
    followed, gaps = moved(said, heard, lags), holes(said, heard)
    return Match(
        seconds=seconds,
        offset=offset,
        likeness=likeness,
        level_db=level_dbfs(heard) - level_dbfs(said),
        gaps=gaps,
        halts=halts(said, heard, lags, gaps),
        jumps_ms=jumps_ms(lags),
        stoi=float(pystoi.stoi(followed, heard, RATE_HZ)),
        pesq=pesq(followed, heard),
    )


def trimmed(heard):
    """Without the silence before the first sound and after the last."""
    loud = np.flatnonzero(np.abs(heard) > amplitude(SILENCE_DBFS))
    assert loud.size, "nothing but silence was heard"
    return heard[loud[0] : loud[-1] + 1]


def aligned(reference, heard, looped):
    """The stretch of the reference that was heard, and as much of the heard as the reference has."""
    if looped:
        around = np.concatenate([reference, reference[:RATE_HZ]])
        start, at, likeness = likest_second(around, heard)
        offset = (at - start) % len(reference)
        said = np.tile(reference, 2 + len(heard) // len(reference))[offset : offset + len(heard)]
        return said, heard, offset, likeness
    # The same words come again: only the whole of what was heard tells one time from another.
    at, likeness = find(heard, np.pad(reference, len(heard)))
    at -= len(heard)
    heard, offset = heard[max(0, -at) :], max(0, at)
    said = reference[offset : offset + len(heard)]
    return said, heard[: len(said)], offset, likeness


def likest_second(reference, heard):
    """The second of what was heard that is known best: where it is, where it was said, and how alike they are."""
    middle = len(heard) // 2 // RATE_HZ * RATE_HZ
    starts = sorted(range(0, len(heard) - RATE_HZ + 1, RATE_HZ), key=lambda start: abs(start - middle))
    best = (0, 0, -1.0)
    for start in starts:
        at, likeness = find(heard[start : start + RATE_HZ], reference)
        best = max(best, (start, at, likeness), key=lambda found: found[2])
        if likeness > UNMISTAKABLE:
            break
    return best


def jumps_ms(lags):
    """The steps between windows."""
    jumps = [(after - before) * 1000 / RATE_HZ for before, after in zip(lags, lags[1:])]
    return [round(jump, 1) for jump in jumps if abs(jump) >= 1]


def window_lags(said, heard):
    """For each window of the heard, how much later in the said it is."""
    window, reach = int(WINDOW_SECONDS * RATE_HZ), int(WINDOW_SEARCH_SECONDS * RATE_HZ)
    lags, lag = [], 0
    for start in range(0, len(heard) - window + 1, window):
        found = place(said, heard[start : start + window], start, lag - reach, lag + reach)
        if found is None:
            break
        # A pause between words says nothing about its place.
        if found[1] > CERTAIN:
            lag = found[0]
        lags.append(lag)
    return lags


def place(said, piece, start, least, most):
    """How much later in the said a piece is, from `least` to `most`, and how alike; none beyond the end."""
    first = max(0, start + least)
    near = said[first : start + most + len(piece)]
    if len(near) < len(piece):
        return None
    at, likeness = find(piece, near)
    return first + at - start, likeness


def moved(said, heard, lags):
    """The said, with each step of it where it was heard."""
    window, step, near = (int(seconds * RATE_HZ) for seconds in (WINDOW_SECONDS, STEP_SECONDS, NEAR_SECONDS))
    followed = np.array(said)
    for start in range(0, len(lags) * window, step):
        at = start // window
        around = lags[max(0, at - 1) : at + 2]
        first = max(0, start - step // 2)
        found = place(said, heard[first : start + step + step // 2], first, min(around) - near, max(around) + near)
        lag = found[0] if found and found[1] > CERTAIN else lags[at]
        piece = said[max(0, start + lag) : start + lag + step]
        followed[start : start + len(piece)] = piece
    return followed


def holes(said, heard):
    """Stretches of digital silence where something was said: (second, milliseconds)."""
    quiet = np.abs(heard) < amplitude(SILENCE_DBFS)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.view(np.int8), [0]])))
    stretches = [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2])]
    return [
        (round(start / RATE_HZ, 3), round((end - start) * 1000 / RATE_HZ, 1))
        for start, end in stretches
        if end - start >= GAP_MIN_SECONDS * RATE_HZ and level_dbfs(said[start:end]) > SILENCE_DBFS
    ]


def halts(said, heard, lags, gaps):
    """Of the gaps those after which the sound goes on where it broke off, as the words beside them tell."""
    edges = [(round(at * RATE_HZ), round((at + length_ms / 1000) * RATE_HZ)) for at, length_ms in gaps]
    begins = [0, *(end for _, end in edges)]
    ends = [*(start for start, _ in edges[1:]), len(heard)]
    beside, reach = int(BESIDE_SECONDS * RATE_HZ), int(WINDOW_SEARCH_SECONDS * RATE_HZ)
    found = []
    for gap, begin, (start, end), until in zip(gaps, begins, edges, ends):
        lag = lags[min(int(start / RATE_HZ / WINDOW_SECONDS), len(lags) - 1)]
        pieces = (max(begin, start - beside), start), (end, min(until, end + beside))
        placed = [place(said, heard[a:b], a, lag - reach, lag + reach) if b > a else None for a, b in pieces]
        if all(place and place[1] > CERTAIN for place in placed):
            (before, _), (after, _) = placed
            if abs(before - after - (end - start)) * 1000 / RATE_HZ <= EDGE_MS:
                found.append(gap)
    return found


def pesq(said, heard):
    """PESQ wide band (ITU-T P.862.2), 1 to 4.64."""
    narrow = [resample_poly(signal, 1, 3).astype(np.float32) for signal in (said, heard)]
    return float(pesq_metric.pesq(16_000, *narrow, "wb"))
