"""Thirteen connected speakers, three of whom talk: what one core is used for."""

import contextlib
import time

from figures import VOICES, cpu_seconds, example, figure, node
from throng import BINARY, Speaker, wait_until

SPEAKERS, TALKING = 13, 3
SECONDS = 30


def whole_server():
    """Packets over WebRTC, mixing, five renditions, recording, and a listener."""
    with node() as serving, contextlib.ExitStack() as people:
        space = serving.live(speakers=SPEAKERS)
        for number, url in enumerate(space.speaker_urls):
            talk = ["--file", str(VOICES / "01-ada.flac"), "--loop"] if number < TALKING else []
            people.enter_context(Speaker([BINARY, "speak", url, *talk]))
        people.enter_context(Speaker([BINARY, "listen", space.listen_url]))
        wait_until(lambda: all(seat["connected"] for seat in space.show()["speakers"]), "all are on stage")
        before, began = cpu_seconds(serving.process), time.monotonic()
        time.sleep(SECONDS)
        spent, passed = cpu_seconds(serving.process) - before, time.monotonic() - began
        figure("the whole server", f"{100 * spent / passed:.1f} % of a core", "<= 30 % of a core")


print(example("stage_cost", SPEAKERS, TALKING), end="", flush=True)
whole_server()
