"""Players that nobody here wrote, each run until it has heard some seconds, which are kept."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np

import signal_kit
from throng import ahead_of_others, wait_until

AIORTC = pathlib.Path(__file__).parent / "aiortc_peer.py"
# Liveness only: for the first sound, however long the player's own start takes, and then again for all of it.
PATIENCE_SECONDS = 60
BYTES_PER_SAMPLE = 2


def ffmpeg(url, seconds, _folder):
    return signal_kit.decode(url, seconds)


def mpv(url, seconds, folder):
    out = folder / "mpv.raw"
    shape = ["--audio-format=s16", "--audio-channels=mono", f"--audio-samplerate={signal_kit.RATE_HZ}"]
    keep = ["--ao=pcm", "--ao-pcm-waveheader=no", f"--ao-pcm-file={out}"]
    return heard(["mpv", "--no-config", "--no-video", "--ytdl=no", *shape, *keep, url], out, seconds)


def vlc(url, seconds, folder):
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
    return heard(
        [*aside, "cvlc", "-I", "dummy", "--no-dbus", "--no-video", "--play-and-exit", "--aout=afile", *choice, *shape, url]
        + ["vlc://quit"],
        out,
        seconds,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )


def gstreamer(url, seconds, folder):
    """playbin3, which chooses its parts by itself, in real time."""
    out = folder / "gstreamer.raw"
    sink = (
        f"audioconvert ! audioresample ! audio/x-raw,rate={signal_kit.RATE_HZ},channels=1,format=S16LE ! "
        f"filesink sync=true buffer-mode=unbuffered location={out}"
    )
    return heard(["gst-launch-1.0", "playbin3", f"uri={url}", f"audio-sink={sink}"], out, seconds)


def heard(arguments, out, seconds, **more):
    """Runs a player until it has put out so much raw sound, or has ended by itself.

    It writes into a pipe: what opens its output anew in between (VLC does, when the codec changes) loses nothing.
    """
    os.mkfifo(out, 0o666)
    out.chmod(0o666)
    # Open for both, so that neither the absence of a writer nor its leaving ends anything.
    pipe = os.open(out, os.O_RDWR | os.O_NONBLOCK)
    wanted = int(seconds * signal_kit.RATE_HZ) * BYTES_PER_SAMPLE
    taken = bytearray()
    with open(out.with_suffix(".log"), "wb") as log:
        player = subprocess.Popen(arguments, stdout=log, stderr=log, **more)
        try:
            for enough in (BYTES_PER_SAMPLE, wanted):
                wait_until(
                    lambda: drain(pipe, taken) >= enough or player.poll() is not None,
                    f"{enough} bytes of sound heard by {arguments}",
                    PATIENCE_SECONDS,
                )
        finally:
            player.kill()
            player.wait()
            drain(pipe, taken)
            os.close(pipe)
    assert taken, f"{arguments} put out no sound: {pathlib.Path(log.name).read_text(errors='replace')[-2000:]}"
    whole = min(len(taken), wanted) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
    return np.frombuffer(bytes(taken[:whole]), "<i2").astype(np.float32) / 32768


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
