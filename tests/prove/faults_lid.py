"""A laptop is shut for thirty seconds: nothing of the browser runs, and the node goes on sending."""

import os
import signal

from _listeners import say, scene

LID_SECONDS = 30


def lid(scene):
    pids = scene.lane.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    # Nobody in there would answer.
    scene.house.passes(LID_SECONDS)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


with scene() as here:
    say(*here.suffers(lid))
