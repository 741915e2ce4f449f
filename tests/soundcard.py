"""A sound card of nobody's machine: players play through it in real time, and what they play is kept as samples."""

import os
import pathlib
import shutil
import subprocess
import threading

import numpy as np

import signal_kit
from throng import ahead_of_others, wait_until

assert shutil.which("pulseaudio"), "these tests need pulseaudio: install what tests/apt-packages.txt names"
# Half a second, longer than what waits between a player and the card.
QUIET_BYTES = signal_kit.RATE_HZ
# Liveness only: for the first sound, however long the player's own start takes, and then again for all of it.
PATIENCE_SECONDS = 90


class SoundCard:
    """PulseAudio whose only sink is a pipe to us."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.kept = bytearray()
        out, server = self.folder / "sound", self.folder / "server"
        shape = f"format=s16le rate={signal_kit.RATE_HZ} channels=1 use_system_clock_for_timing=yes"
        modules = [f"module-pipe-sink file={out} {shape}", f"module-native-protocol-unix auth-anonymous=1 socket={server}"]
        self.log = open(self.folder / "pulseaudio.log", "wb")
        own = {"HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder), "PATH": os.environ["PATH"]}
        self.process = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"] + [part for it in modules for part in ("-L", it)],
            stdout=self.log,
            stderr=self.log,
            env=own,
        )
        # A card keeps time whatever the machine is busy with.
        ahead_of_others(self.process)
        wait_until(server.exists, "the sound card is there")
        threading.Thread(target=self.keep, args=[out], daemon=True).start()
        self.environment = {"PULSE_SERVER": f"unix:{server}"}

    def keep(self, out):
        """Keeps what is played, from the first sound on."""
        with open(out, "rb", buffering=0) as sound:
            while piece := sound.read(65_536):
                if self.kept or piece.strip(b"\0"):
                    self.kept += piece

    def forget(self):
        """What is played until it is quiet is no part of what will be heard."""
        wait_until(lambda: not self.kept[-QUIET_BYTES:].strip(b"\0"), "the sound card is quiet")
        self.kept = bytearray()

    def heard(self, seconds):
        """So many seconds of sound, as the card played them, from the first sound on."""
        wanted = seconds * signal_kit.RATE_HZ * 2
        wait_until(lambda: self.kept, "something is played", PATIENCE_SECONDS)
        wait_until(lambda: len(self.kept) >= wanted, f"{seconds} s are played", PATIENCE_SECONDS)
        return np.frombuffer(bytes(self.kept[:wanted]), "<i2").astype(np.float32) / 32768

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
