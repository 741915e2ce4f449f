"""What a speaker says is what a listener hears: a known signal in at a microphone, out of every egress."""

import concurrent.futures
import json
import subprocess

import numpy as np
import pytest

import players
import signal_kit
import throng
from throng import wait_until

# To the millisecond, on whatever machine: nothing else may take its processors meanwhile.
pytestmark = pytest.mark.alone

SECONDS = 8
# The mixer's limiter and the speaker's own encoding at 32 kb/s or more lie between the said and the programme.
LEVEL_TOLERANCE_DB = 1.5
STOI_SAID_MIN = 0.85
# The jitter buffer stretches sound to fit, the more so on a busy machine: harmless to an ear, less so to PESQ.
PESQ_SAID_MIN = 2.0

# By rendition: intelligibility and quality against the best rendition of the same programme.
QUALITY = {
    "o48": (0.97, 3.7),
    "o24": (0.94, 2.7),
    "o16": (0.89, 2.1),
    "a64": (0.96, 3.0),
    "a32": (0.92, 2.2),
}
EGRESSES = {
    "live.mp4": "o48",
    "live.mp4?rendition=o24": "o24",
    "live.mp4?rendition=o16": "o16",
    "live.mp4?rendition=a64": "a64",
    "live.mp4?rendition=a32": "a32",
    "live.webm": "o48",
    "live.webm?rendition=o16": "o16",
    "live.aac": "a64",
    "live.aac?rendition=a32": "a32",
    "hls/o48/media.m3u8": "o48",
    "hls/o24/media.m3u8": "o24",
    "hls/o16/media.m3u8": "o16",
    "hls/a64/media.m3u8": "a64",
    "hls/a32/media.m3u8": "a32",
    "hls/o48/event.m3u8": "o48",
}
FRAME_SECONDS = 0.02


@pytest.fixture(scope="module")
def captures(live):
    """Every egress, heard at the same time, and the programme as it was recorded meanwhile."""

    def all_at_once():
        with concurrent.futures.ThreadPoolExecutor(len(EGRESSES)) as pool:
            return {path: pool.submit(signal_kit.decode, f"{live.listen_url}/{path}", SECONDS) for path in EGRESSES}

    return live.hearing(all_at_once)


def test_what_a_speaker_says_is_the_programme(live):
    match = signal_kit.compare(signal_kit.speech("ada"), live.recording(SECONDS))
    assert match.gaps == [], match
    assert abs(match.level_db) <= LEVEL_TOLERANCE_DB, match
    assert match.stoi >= STOI_SAID_MIN, match
    assert match.pesq >= PESQ_SAID_MIN, match


@pytest.mark.parametrize("path", EGRESSES)
def test_every_egress_carries_the_programme(captures, path):
    programme, jobs = captures
    match = signal_kit.compare(programme, jobs[path].result(), looped=False)
    stoi_min, pesq_min = QUALITY[EGRESSES[path]]
    assert match.seconds >= SECONDS - 0.1, match
    assert match.gaps == [] and match.jumps_ms == [], match
    assert abs(match.level_db) <= 0.5, match
    assert match.stoi >= stoi_min and match.pesq >= pesq_min, match


def test_whep_carries_the_programme_to_aiortc(live, tmp_path):
    out = tmp_path / "whep.raw"

    def listen():
        with players.aiortc(live.whep_url, "--keep", out):
            wait_until(lambda: out.exists() and out.stat().st_size >= SECONDS * signal_kit.RATE_HZ * 2, "WHEP is heard")
        # aiortc fills its buffer with silence at first.
        return np.frombuffer(out.read_bytes(), "<i2").astype(np.float32)[signal_kit.RATE_HZ :] / 32768

    match = signal_kit.compare(*live.hearing(listen), looped=False)
    assert match.gaps == [], match
    assert abs(match.level_db) <= 1.0, match
    assert match.stoi >= STOI_SAID_MIN, match


@pytest.mark.parametrize("via", ["progressive", "hls", "whep"])
def test_our_listener_reports_and_keeps_what_it_hears(live, tmp_path, via):
    out = tmp_path / "heard.wav"
    listen = ["listen", live.listen_url, "--via", via, "--for", f"{SECONDS}s", "--out", out, "--json"]
    programme, done = live.hearing(lambda: throng.command(*listen))
    assert done.returncode == 0, done
    report = json.loads(done.stdout)
    assert report["via"] == via and report["rendition"] == "o48"
    missing = sum(gap["missing_ms"] for gap in report["gaps"])
    # While what comes late is waited for nothing is heard; that is told.
    assert report["heard_seconds"] <= SECONDS + 0.1
    assert report["heard_seconds"] + missing / 1000 >= SECONDS - 0.1, report
    assert report["first_sound_ms"] >= report["connected_ms"] >= 0
    assert report["bytes"] > 0
    match = signal_kit.compare(programme, signal_kit.read_wav(out), looped=False)
    assert abs(match.silent_ms - missing) <= missing / 2 + 20, (match, report)
    assert match.stoi >= STOI_SAID_MIN or report["gaps"], match


def test_renditions_are_cut_at_the_same_samples(live):
    segment = live.state()["newest_segment"]
    sounds = {rendition: segment_samples(live, rendition, segment) for rendition in QUALITY}
    reference = sounds["o48"]
    assert len(reference) == pytest.approx(3.84 * signal_kit.RATE_HZ, abs=2048)
    inner = slice(signal_kit.RATE_HZ, 2 * signal_kit.RATE_HZ)
    for rendition, sound in sounds.items():
        at, likeness = signal_kit.find(reference[inner], sound)
        assert likeness > 0.8, rendition
        # Opus plays speech up to three samples (60 us) early, by the layer that it chose for the moment; AAC never does.
        assert abs(at - inner.start) <= 3, f"{rendition} is {at - inner.start} samples late"


def segment_samples(space, rendition, number):
    folder = f"{space.listen_url}/hls/{rendition}"
    joined = b"".join(throng.request("GET", f"{folder}/{file}").body for file in ("init.mp4", f"{number}.m4s"))
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", "-", "-ac", "1", "-f", "f32le", "-"], input=joined, capture_output=True, check=True
    )
    return np.frombuffer(done.stdout, np.float32)


@pytest.mark.parametrize("file", ["recording.mp4", "recording.m4a"])
def test_the_recording_is_what_was_said_from_go_live_to_end(ended, file):
    heard = signal_kit.decode(f"{ended.listen_url}/{file}")
    assert len(heard) / signal_kit.RATE_HZ == pytest.approx(ended.recorded_seconds(), abs=0.05)
    match = signal_kit.compare(signal_kit.speech("ada"), heard[2 * signal_kit.RATE_HZ :])
    assert match.gaps == [], match
    assert abs(match.level_db) <= LEVEL_TOLERANCE_DB, match
    assert match.stoi >= STOI_SAID_MIN, match


def test_speakers_hear_each_other_and_not_themselves(node, voices, tmp_path):
    space = node.live("Two people")
    heard = {name: tmp_path / f"heard-by-{name}.wav" for name in ("ada", "ben")}
    with (
        space.speak(1, voices["ada"], "--out", str(heard["ada"])) as ada,
        space.speak(2, voices["ben"], "--out", str(heard["ben"])) as ben,
    ):
        from_here = space.recorded_seconds()
        wait_until(lambda: space.recorded_seconds() >= from_here + SECONDS, "they talk for a while")
        programme = space.recording(SECONDS)
        assert ada.leave() == 0 and ben.leave() == 0
    for own, other in (("ada", "ben"), ("ben", "ada")):
        sound = signal_kit.read_wav(heard[own])[-SECONDS * signal_kit.RATE_HZ :]
        assert signal_kit.is_present(signal_kit.speech(other), sound), f"{own} hears {other}"
        assert signal_kit.is_absent(signal_kit.speech(own), sound), f"{own} hears no echo"
        assert not signal_kit.is_absent(signal_kit.speech(own), programme), f"{own} is on air"


def test_going_live_is_a_cut_inside_one_stream(node, voices, tmp_path):
    space = node.create("From hold to talk")
    space.step("open-doors")
    with space.speak(1, voices["ada"]), Stream(f"{space.listen_url}/live.webm", tmp_path / "stream.webm") as stream:
        wait_until(lambda: stream.seconds() >= 6, "the hold programme is heard")
        before = stream.seconds()
        space.step("go-live")
        wait_until(lambda: stream.seconds() >= before + 8, "the talk is heard in the same stream")
    heard = signal_kit.decode(stream.path)
    times = stream.packet_times()
    assert times.size * FRAME_SECONDS == pytest.approx(len(heard) / signal_kit.RATE_HZ, abs=0.05)
    assert np.allclose(np.diff(times), FRAME_SECONDS, atol=0.0011), "packets follow each other without a gap"
    hold, talk = heard[: int((before - 1) * signal_kit.RATE_HZ)], heard[-3 * signal_kit.RATE_HZ :]
    assert signal_kit.level_dbfs(hold) > -60, "the hold programme sounds"
    assert signal_kit.is_absent(signal_kit.speech("ada"), hold), "the stage is not heard before"
    assert signal_kit.is_present(signal_kit.speech("ada"), talk), "it is heard afterwards"
    assert signal_kit.holes(np.ones_like(heard), heard) == []
    assert signal_kit.find(talk[: signal_kit.RATE_HZ], space.recording())[1] > 0.9


class Stream:
    """One endless answer, kept as it comes."""

    def __init__(self, url, path):
        self.path = path
        self.reader = subprocess.Popen(["curl", "-sS", "-N", "-o", path, url])

    def packet_times(self):
        ask = ["ffprobe", "-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0", self.path]
        shown = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
        return np.array([float(line.split(",")[0]) for line in shown.split()])

    def seconds(self):
        return self.packet_times().size * FRAME_SECONDS if self.path.exists() else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.terminate()
        self.reader.wait()

