"""Bad networks of speakers, one case after the other; or those that are named.

Two speakers suffer alike, each in a space of his own on one node and at the far end of a wire of his own: `throng speak`,
and our page in Chromium. What is heard of them is judged by the recording: the same words before, in and after the bad
time. Where the words stand in it tells their delay. What each remedy is worth against loss is measured in simulated time.

Which words a loss hits is luck, and PESQ tells words from words: where it has a limit the case is run three times, on other
luck each time, and the median counts. Of the delay, what wanders without any fault, in the case `calm`, is taken off.
"""

import concurrent.futures
import contextlib
import datetime
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import numpy as np

import browser
import signal_kit
from figures import EXAMPLES, figure, folder, node
from rough_lane import RoughLane, Weather
from test_speakers import join_stage
from throng import BINARY, Speaker, request, wait_until

SETTLE_SECONDS = 6
CALM_SECONDS = 20
ROUGH_SECONDS = 20
OUTAGE_SECONDS = 5
SUSPENDED_SECONDS = 20
ROUNDS = 3
# Until a delay that has grown must be what it was.
SHRUNK_SECONDS = 30
AFTER_SECONDS = 4
# What lies between the end of a network and the last word that it carried.
LAST_WORDS_SECONDS = 0.5
LEFT_SECONDS = 3

ADDED_MS_MAX = 200
# Beside what the jitter buffer may keep, and what alignment knows.
SHRUNK_MS_MAX = 40
STOI_MIN = 0.85
BACK_SECONDS_MAX = 2
# The fall to TCP is noticed, UDP is tried once more, and TCP.
FELL_BACK_SECONDS_MAX = 10
GHOST_SECONDS_MAX = 0
# Speech of a second, as heard by way of two codecs.
CERTAIN = 0.5
STEP = signal_kit.RATE_HZ // 2

CALM = Weather()
ROUGH = {
    "calm": (CALM, None),
    "loss-5": (Weather(loss=0.05), 0.2),
    "loss-10": (Weather(loss=0.1), 0.5),
    "loss-30": (Weather(loss=0.3), None),
    "burst-5": (Weather(loss=0.05, burst=3), 0.2),
    "burst-10": (Weather(loss=0.1, burst=3), 0.5),
    "burst-30": (Weather(loss=0.3, burst=3), None),
    "jitter": (Weather(jitter_seconds=0.1), 0.5),
    "reorder": (Weather(overtaken=0.1), 0.2),
    "duplicate": (Weather(doubled=0.1), 0.2),
    "narrow": (Weather(bits_per_second=40_000), None),
}


# Chromium's false microphone leaves out what a busy machine is late for, and says all that follows so much later: for each
# half second since the epoch, how far it has fallen behind.
LAGS = """
const open = MediaDevices.prototype.getUserMedia;
MediaDevices.prototype.getUserMedia = async function (...all) {
  const stream = await open.apply(this, all);
  const track = stream.getAudioTracks()[0].clone();
  const sounds = new MediaStreamTrackProcessor({ track, maxBufferSize: 1_000 }).readable.getReader();
  const lags = window.__lags = []; // the microphone that was opened last is the one that is heard
  let said = 0, least = Infinity, until = 0;
  (async () => {
    for (;;) {
      const { value, done } = await sounds.read();
      if (done || window.__lags !== lags) return track.stop();
      said += 1_000 * value.numberOfFrames / value.sampleRate;
      value.close();
      const now = performance.timeOrigin + performance.now();
      least = Math.min(least, now - said);
      if (now < until) continue;
      if (until) lags.push([now / 1_000, least]);
      least = Infinity;
      until = now + 500;
    }
  })();
  return stream;
};
"""


class Voice:
    """One who speaks, the wire and the space."""

    def __init__(self, name, lane, space):
        self.name, self.lane, self.space = name, lane, space
        self.lags = []
        # Whoever answers may hear of it a moment later than we.
        started = wait_until(lambda: space.state()["started_at"], "it is known since when the space is live")
        self.started = datetime.datetime.fromisoformat(started).timestamp()

    @property
    def url(self):
        return self.space.speaker_urls[0]

    def now(self):
        """Where the recording is now."""
        return time.time() - self.started

    def lag_ms(self, second):
        """How far the microphone has fallen behind when the recording is there."""
        known = [lag for until, lag in self.lags if until - self.started <= second + 1]
        return known[-1] - self.lags[0][1] if known else 0


@dataclass
class Story:
    """What was done to a case's speakers, in seconds of each recording."""

    rough: dict = field(default_factory=dict)
    calm_again: dict = field(default_factory=dict)
    end: dict = field(default_factory=dict)
    left: dict = field(default_factory=dict)
    recording: dict = field(default_factory=dict)


@contextlib.contextmanager
def program(voice, wav):
    url = [BINARY, "speak", voice.url, "--file", str(wav), "--loop"]
    with Speaker([*voice.lane.inside, *url]):
        yield


@contextlib.contextmanager
def page(voice, wav, playwright, place):
    desk = voice.space.desk
    chromium = voice.lane.chromium(playwright, place, desk, microphone=wav)
    try:
        with chromium.page("about:blank", tapped=False) as speaker:
            speaker.add_init_script(LAGS)
            speaker.goto(voice.url, wait_until="commit")
            # A round trip takes its time: the page is there before its script is.
            ready = "document.documentElement.dataset.state"
            wait_until(lambda: speaker.evaluate(ready), "the page knows its space")
            join_stage(speaker)
            yield
            voice.lags = speaker.evaluate("__lags")
    finally:
        chromium.close()


class House:
    """A node, two wires to it, and the voices of one case after the other."""

    def __init__(self, serving, lanes, playwright, place, wav):
        self.serving, self.lanes, self.playwright, self.place, self.wav = serving, lanes, playwright, place, wav
        # How far the delay of each wanders without a fault, in ms.
        self.wanders = dict.fromkeys(lanes, 0)

    @contextlib.contextmanager
    def voices(self, title):
        with contextlib.ExitStack() as things:
            found = []
            for name, lane in self.lanes.items():
                voice = Voice(name, lane, self.serving.live(f"{title}, {name}"))
                lane.weather = CALM
                come = program(voice, self.wav) if name == "speak" else page(voice, self.wav, self.playwright, self.place)
                things.enter_context(come)
                found.append(voice)
            for voice in found:
                wait_until(lambda voice=voice: voice.space.is_talking(1), f"{voice.name} talks")
            time.sleep(SETTLE_SECONDS)
            yield found

    def counters(self):
        """All that the node counts."""
        text = request("GET", f"{self.serving.links['internal']}/metrics").body.decode()
        return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}

    def tell(self, case, fault):
        """Calm, the fault, and calm again; what was recorded of it."""
        before, story = self.counters(), Story()
        with self.voices(case) as voices:
            time.sleep(CALM_SECONDS)
            story.rough = {voice: voice.now() for voice in voices}
            fault(voices)
            story.calm_again = {voice: voice.now() for voice in voices}
            time.sleep(SHRUNK_SECONDS + AFTER_SECONDS)
            story.end = {voice: voice.now() for voice in voices}
            seats = {voice: voice.space.seat(1)["connected"] for voice in voices}
        story.left = {voice: voice.now() for voice in voices}
        time.sleep(LEFT_SECONDS)
        for voice in voices:
            story.recording[voice] = voice.space.recording()
            late = voice.now() - len(story.recording[voice]) / signal_kit.RATE_HZ
            figure(f"{case}: {voice.name}, the recording lacks of the programme", f"{late:.1f} s", "<= 3 s")
            figure(f"{case}: {voice.name}, seats in use before leaving", int(seats[voice]), ">= 1")
            voice.space.step("end")
        after = self.counters()
        for name in ("throng_mixer_missed_frames_total", "throng_encoder_dropped_frames_total"):
            figure(f"{case}: {name}", f"{after.get(name, 0) - before.get(name, 0):.0f}", "<= 0")
        counted = ("sessions_opened", "sessions_closed", "sessions_faulted", "audio_in", "dropped_unvalidated")
        names = [f"throng_stage_{name}_total" for name in counted]
        print({name: after.get(name, 0) - before.get(name, 0) for name in names}, file=sys.stderr)
        return story


def cut(recording, start, end):
    return recording[int(start * signal_kit.RATE_HZ) : int(end * signal_kit.RATE_HZ)]


def delays_ms(recording, start, end):
    """How late the words of each half second are, against the clock of the one who loops them: (second, ms)."""
    known = signal_kit.speech("ada")
    looped = np.concatenate([known, known[: 2 * signal_kit.RATE_HZ]])
    found = []
    first = int(start * signal_kit.RATE_HZ)
    for at in range(first, int(end * signal_kit.RATE_HZ) - signal_kit.RATE_HZ, STEP):
        piece = recording[at : at + signal_kit.RATE_HZ]
        if len(piece) < signal_kit.RATE_HZ or signal_kit.level_dbfs(piece) < signal_kit.SILENCE_DBFS:
            continue
        place, likeness = signal_kit.find(piece, looped)
        if likeness > CERTAIN:
            found.append((at / signal_kit.RATE_HZ, (at - place) % len(known) * 1000 / signal_kit.RATE_HZ))
    return found


def added_ms(voice, recording, calm, start, end):
    """The delays of a stretch, less that of a calm one."""
    length_ms = len(signal_kit.speech("ada")) * 1000 / signal_kit.RATE_HZ

    def delays(*stretch):
        return [delay - voice.lag_ms(second) for second, delay in delays_ms(recording, *stretch)]

    usual = np.median(delays(*calm))
    return [(delay - usual + length_ms / 2) % length_ms - length_ms / 2 for delay in delays(start, end)]


def sounds(recording, start, end):
    """The seconds of 20 ms each in which there is any sound."""
    frames = range(int(start * 50), min(int(end * 50), len(recording) // signal_kit.FRAME_SAMPLES))
    size = signal_kit.FRAME_SAMPLES
    return [n / 50 for n in frames if signal_kit.level_dbfs(recording[n * size : (n + 1) * size]) > signal_kit.SILENCE_DBFS]


def say_delay(case, voice, story, wanders):
    recording, rough, again = story.recording[voice], story.rough[voice], story.calm_again[voice]
    calm = (rough - CALM_SECONDS, rough)
    worst = max(added_ms(voice, recording, calm, rough + 1, again), default=0)
    figure(f"{case}: {voice.name}, delay added, most", f"{worst:.0f} ms", f"<= {ADDED_MS_MAX} ms")
    return say_shrunk(case, voice, story, wanders)


def say_shrunk(case, voice, story, wanders):
    """What is left of the delay, beyond what it wanders anyway; says how much it is in all."""
    recording, rough, again = story.recording[voice], story.rough[voice], story.calm_again[voice]
    calm = (rough - CALM_SECONDS, rough)
    left = added_ms(voice, recording, calm, again + SHRUNK_SECONDS, story.end[voice])
    tell = [f"{added:.0f}" for added in added_ms(voice, recording, calm, calm[0], story.end[voice])]
    print(f"{voice.name}: delay added, each half second from {CALM_SECONDS} s before: {' '.join(tell)}", file=sys.stderr)
    shrunk = f"{max(0, np.median(left) - wanders):.0f} ms" if left else "nothing heard"
    limit = "-" if case == "calm" else f"<= {SHRUNK_MS_MAX} ms"
    figure(f"{case}: {voice.name}, of it left after {SHRUNK_SECONDS} s", shrunk, limit)
    return np.median(left) if left else 0


def say_quality(case, voice, story):
    """How well the rough time was understood; says by how much PESQ fell."""
    recording, rough, again = story.recording[voice], story.rough[voice], story.calm_again[voice]
    known = signal_kit.speech("ada")
    calm = signal_kit.compare(known, cut(recording, rough - CALM_SECONDS, rough))
    bad = signal_kit.compare(known, cut(recording, rough + 1, again))
    figure(f"{case}: {voice.name}, STOI", f"{bad.stoi:.3f}", f">= {STOI_MIN}")
    print(f"{voice.name}: calm {calm}\n{voice.name}: rough {bad}", file=sys.stderr)
    return calm.pesq - bad.pesq


def say_return(case, voice, story, limit):
    """After a time in which nothing could pass: nothing was heard, then him, as late as before, and well."""
    recording, rough, again = story.recording[voice], story.rough[voice], story.calm_again[voice]
    ghost = len(sounds(recording, rough + LAST_WORDS_SECONDS, again)) / 50
    if case in ("outage", "suspended"):
        figure(f"{case}: {voice.name}, heard while nothing could pass", f"{ghost:.2f} s", f"<= {GHOST_SECONDS_MAX} s")
    say_heard(case, voice, story, again, limit)


def say_heard(case, voice, story, since, limit):
    recording = story.recording[voice]
    heard = [at for at in sounds(recording, since, story.end[voice])]
    # The fading end of what was said before is no return.
    gaps = [later for earlier, later in zip([since, *heard], heard) if later - earlier > 0.1]
    back = (gaps[0] if gaps else heard[0]) - since if heard else None
    figure(f"{case}: {voice.name}, heard again after", "never" if back is None else f"{back:.2f} s", f"<= {limit} s")
    figure(f"{case}: {voice.name}, silences since", len(gaps), "<= 1")
    if back is not None:
        words = cut(recording, since + back + 0.5, since + back + 10.5)
        match = signal_kit.compare(signal_kit.speech("ada"), words)
        figure(f"{case}: {voice.name}, STOI of the ten seconds after", f"{match.stoi:.3f}", f">= {STOI_MIN}")
        print(f"{voice.name}: after {match}", file=sys.stderr)


def say_left(case, voice, story):
    """Who has left is not heard."""
    recording = story.recording[voice]
    since = story.left[voice]
    heard = len(sounds(recording, since + LAST_WORDS_SECONDS, since + LEFT_SECONDS)) / 50
    figure(f"{case}: {voice.name}, heard after leaving", f"{heard:.2f} s", f"<= {GHOST_SECONDS_MAX} s")


def weathers(weather, seconds):
    def fault(voices):
        for voice in voices:
            voice.lane.weather = weather
        time.sleep(seconds)
        for voice in voices:
            voice.lane.weather = CALM

    return fault


def address(voices):
    """The network that they spoke from is gone, and another is there."""
    for voice in voices:
        voice.lane.moves()


def suspended(voices):
    """Nothing of theirs runs, and the node goes on sending."""
    pids = [pid for voice in voices for pid in voice.lane.pids()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(SUSPENDED_SECONDS)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def udp_cut(voices):
    """From now on only TCP passes."""
    for voice in voices:
        voice.lane.weather = Weather(carries_udp=False)


FAULTS = {
    "outage": (weathers(Weather(carries=False), OUTAGE_SECONDS), BACK_SECONDS_MAX),
    "address": (address, BACK_SECONDS_MAX),
    "suspended": (suspended, BACK_SECONDS_MAX),
    "udp-cut": (udp_cut, FELL_BACK_SECONDS_MAX),
}


REMEDIES = ("red", "fec", "nack", "concealment")
# In thousandths, how many are lost together, and milliseconds of jitter.
LOSSES = {
    "no loss": (0, 1, 0),
    "5 % lost": (50, 1, 0),
    "10 % lost": (100, 1, 0),
    "30 % lost": (300, 1, 0),
    "5 % lost, three at a time": (50, 3, 0),
    "10 % lost, three at a time": (100, 3, 0),
    "30 % lost, three at a time": (300, 3, 0),
    "100 ms of jitter": (0, 1, 100),
}
SEEDS = (1, 2, 3)
# As in the cases: calm, then 20 s of it, less the first.
SIMULATED_CALM_SECONDS, SIMULATED_SECONDS = 10, 30


def worth():
    """The same loss, in simulated time, without each remedy: the middle of three seeds and two voices."""
    # Our page has its browser add FEC where a fifth is lost, and more.
    ours = {"our page, with all": ("page",), "our page, without fec": ("page", "fec")}
    ways = {"a browser, with all": ("browser",), "throng speak, with all": ("speak",), **ours}
    ways |= {f"a browser, without {remedy}": ("browser", remedy) for remedy in REMEDIES}
    with concurrent.futures.ProcessPoolExecutor() as workers:
        for loss, numbers in LOSSES.items():
            for way, sender in ways.items():
                runs = [(sender, numbers, seed, voice) for seed in SEEDS for voice in ("ada", "ben")]
                pesq, stoi, waited, guessed = np.median(list(workers.map(simulated, runs)), axis=0)
                value = f"PESQ {pesq:.2f}, STOI {stoi:.3f}, waits {waited:.0f} ms, {guessed:.1f} % of the sound guessed"
                figure(f"worth: {loss}, {way}", value)


def simulated(run):
    (sender, *without), numbers, seed, voice = run
    known = signal_kit.speech(voice)
    said = np.tile(known, 3)[: SIMULATED_SECONDS * signal_kit.RATE_HZ]
    words = [EXAMPLES / "lossy_speech", sender, *map(str, (*numbers, seed)), *without]
    done = subprocess.run(words, input=said.tobytes(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    heard = np.frombuffer(done.stdout, np.float32)[(SIMULATED_CALM_SECONDS + 1) * signal_kit.RATE_HZ :]
    match = signal_kit.compare(known, heard)
    counted = dict(re.findall(r"(\w+): (\d+)", done.stderr.decode()))
    rough_ms = (SIMULATED_SECONDS - SIMULATED_CALM_SECONDS) * 1_000
    return match.pesq, match.stoi, int(counted["delay_ms_95"]), 100 * int(counted["guessed_ms"]) / rough_ms


def run_rough(house, case):
    weather, drop_max = ROUGH[case]
    rounds = ROUNDS if drop_max is not None else 1
    drops = {name: [] for name in house.lanes}
    for number in range(1, rounds + 1):
        title = f"{case} ({number} of {rounds})" if rounds > 1 else case
        story = house.tell(title, weathers(weather, ROUGH_SECONDS))
        for voice in story.recording:
            drops[voice.name].append(say_quality(title, voice, story))
            left = say_delay(title, voice, story, house.wanders[voice.name])
            say_left(title, voice, story)
            if case == "calm":
                house.wanders[voice.name] = max(0, left)
                figure(f"calm: {voice.name}, wanders by", f"{left:.0f} ms")
    for name, fallen in drops.items():
        limit = "-" if drop_max is None else f"<= {drop_max}"
        figure(f"{case}: {name}, PESQ falls by", f"{np.median(fallen):.2f}", limit)
        figure(f"{case}: {name}, PESQ falls by, least to most", f"{min(fallen):.2f} to {max(fallen):.2f}")


def run_fault(house, case):
    fault, limit = FAULTS[case]
    story = house.tell(case, fault)
    for voice in story.recording:
        say_return(case, voice, story, limit)
        # Of one who slept the clock that loops the words slept, too.
        if case != "suspended":
            say_shrunk(case, voice, story, house.wanders[voice.name])
        say_left(case, voice, story)


@contextlib.contextmanager
def house():
    with contextlib.ExitStack() as things:
        lanes = {}
        for number, name in enumerate(("speak", "page")):
            lanes[name] = lane = RoughLane(number * 4096)
            things.callback(lane.close)
        here = lanes["speak"].node
        place = things.enter_context(folder())
        wav = place / "ada.wav"
        signal_kit.write_wav(wav, signal_kit.speech("ada"))
        serving = things.enter_context(node("--stage-udp", f"{here}:0", desk=f"{here}:0"))
        playwright = things.enter_context(browser.started())
        yield House(serving, lanes, playwright, place, wav)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("this lays network namespaces of its own: it needs root")
    cases = [*ROUGH, *FAULTS, "worth"]
    wanted = sys.argv[1:] or cases
    for asked in wanted:
        if asked not in cases:
            sys.exit(f"`{asked}` is not among: {', '.join(cases)}")
    if "worth" in wanted:
        worth()
    on_wires = [case for case in wanted if case not in ("calm", "worth")]
    if on_wires or "calm" in wanted:
        with house() as here:
            for asked in ["calm", *on_wires]:
                (run_rough if asked in ROUGH else run_fault)(here, asked)
