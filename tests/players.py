"""Players that nobody here wrote, each run until it has heard some seconds, which are kept."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np

import signal_kit
from throng import ahead_of_others, next_after_makers, wait_until

AIORTC = pathlib.Path(__file__).parent / "aiortc_peer.py"
# Liveness only: for the first sound, however long the player's own start takes, and then again for all of it.
PATIENCE_SECONDS = 90
BYTES_PER_SAMPLE = 2


def ffmpeg(url, seconds, _folder):
    return signal_kit.decode(url, seconds)


def mpv(url, seconds, folder):
    return heard(*mpv_call(url, folder), seconds)


def mpv_call(url, folder):
    """What runs mpv, and where it puts the sound."""
    out = folder / "mpv.raw"
    shape = ["--audio-format=s16", "--audio-channels=mono", f"--audio-samplerate={signal_kit.RATE_HZ}"]
    keep = ["--ao=pcm", "--ao-pcm-waveheader=no", f"--ao-pcm-file={out}"]
    return ["mpv", "--no-config", "--no-video", "--ytdl=no", *shape, *keep, url], out


def vlc(url, seconds, folder):
    return heard(*vlc_call(url, folder), seconds)


def vlc_call(url, folder):
    """VLC refuses to run as root, so that as root it runs as nobody."""
    home = folder / "vlc"
    home.mkdir(exist_ok=True)
    home.chmod(0o777)
    for above in home.parents:
        if not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o011)
    out = home / "vlc.raw"
    aside = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    # The rendition that is compared, not the one for which a busy machine seems quick enough.
    choice = ["--adaptive-logic=highest"]
    shape = ["--no-audiofile-wav", "--audiofile-format=s16", "--audiofile-channels=1", f"--audiofile-file={out}"]
    own = ["env", "-i", f"HOME={home}", f"PATH={os.environ['PATH']}", "LANG=C.UTF-8"]
    silent = ["-I", "dummy", "--no-dbus", "--no-video", "--play-and-exit", "--aout=afile"]
    return [*aside, *own, "cvlc", *silent, *choice, *shape, url, "vlc://quit"], out


def gstreamer(url, seconds, folder):
    """playbin3, which chooses its parts by itself, in real time."""
    out = folder / "gstreamer.raw"
    sink = (
        f"audioconvert ! audioresample ! audio/x-raw,rate={signal_kit.RATE_HZ},channels=1,format=S16LE ! "
        f"filesink sync=true buffer-mode=unbuffered location={out}"
    )
    return heard(["gst-launch-1.0", "playbin3", f"uri={url}", f"audio-sink={sink}"], out, seconds)


def heard(arguments, out, seconds):
    """Runs a player until it has put out so much raw sound, or has ended by itself."""
    with Playing(arguments, out) as playing:
        for enough in (1 / signal_kit.RATE_HZ, seconds):
            wait_until(
                lambda: playing.seconds() >= enough or playing.player.poll() is not None,
                f"{enough} s of sound heard by {arguments}",
                PATIENCE_SECONDS,
            )
    log = out.with_suffix(".log").read_text(errors="replace")
    assert playing.taken, f"{arguments} put out no sound: {log[-2000:]}"
    return playing.samples()[: int(seconds * signal_kit.RATE_HZ)]


class Playing:
    """A player that runs, and what it has put out so far.

    It writes into a pipe: what opens its output anew in between (VLC does, when the codec changes) loses nothing.
    """

    def __init__(self, arguments, out):
        os.mkfifo(out, 0o666)
        out.chmod(0o666)
        # Open for both, so that neither the absence of a writer nor its leaving ends anything.
        self.pipe = os.open(out, os.O_RDWR | os.O_NONBLOCK)
        self.taken = bytearray()
        self.log = open(out.with_suffix(".log"), "wb")
        with next_after_makers():
            self.player = subprocess.Popen(arguments, stdout=self.log, stderr=self.log)

    def seconds(self):
        """How much it has put out."""
        return drain(self.pipe, self.taken) / BYTES_PER_SAMPLE / signal_kit.RATE_HZ

    def samples(self):
        whole = len(self.taken) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
        return np.frombuffer(bytes(self.taken[:whole]), "<i2").astype(np.float32) / 32768

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.player.kill()
        self.player.wait()
        drain(self.pipe, self.taken)
        os.close(self.pipe)
        self.log.close()


def drain(pipe, taken):
    """Takes what lies in the pipe; how much was taken in all."""
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(pipe, 65_536):
            taken.extend(piece)
    return len(taken)


class Aside:
    """A program beside the test, asked to leave by closing its standard input."""

    def __init__(self, arguments):
        arguments = list(map(str, arguments))
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        ahead_of_others(self.process)

    def leave(self):
        self.process.stdin.close()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()


def aiortc(*arguments):
    """aiortc as a speaker or a listener: see its file."""
    return Aside([sys.executable, AIORTC, *arguments])


ALL = {"ffmpeg": ffmpeg, "mpv": mpv, "vlc": vlc, "gstreamer": gstreamer}
MISSING = [program for program in ("ffmpeg", "mpv", "cvlc", "gst-launch-1.0") if not shutil.which(program)]
assert not MISSING, f"these tests need {MISSING}: install what tests/apt-packages.txt names"
