"""Databases that take no changes under a live space: locked by another program, or on a disk that takes no writes."""

import threading
import time

from disks import (
    STORE,
    ended,
    faulty,
    heard,
    locked,
    raised,
    refused,
    silences,
    titles,
    try_create,
)
from figures import VOICES

STORE_SECONDS = 60


def store(node, space, ear, fault):
    """Nothing can be kept for a minute."""
    suffered, answers = silences(node), []
    assert try_create(node, "Before").status == 201
    with fault:
        over = time.monotonic() + STORE_SECONDS
        ask = threading.Thread(target=lambda: answers.extend(asking(node, space, over)))
        ask.start()
        raised(space, "store")
        began = time.monotonic()
        with space.speak(1, VOICES / "01-ada.flac"):
            yield "a speaker who is known is on stage after", f"{time.monotonic() - began:.1f} s", "<= 5 s"
            ask.join()
    ended(space, "store")
    yield "changes refused with a reason", sum(map(refused, answers)), ">= 5"
    yield "answers of another kind", sum(not refused(answer) for answer in answers), "<= 0"
    yield from heard(ear, suffered, node)
    assert try_create(node, "After").status == 201
    node.kill()
    node.start()
    yield "changes acknowledged and lost", len({"Before", "After"} - titles(node)), "<= 0"
    yield "changes refused and made", int("Meanwhile" in titles(node)), "<= 0"
    yield "steps refused and made", int(space.state()["state"] != "live"), "<= 0"


def asking(node, space, over):
    while time.monotonic() < over:
        yield try_create(node, "Meanwhile")
        yield space.try_step("end")


def store_locked():
    with faulty() as (_, node, space, ear):
        yield from store(node, space, ear, locked(node))


def store_read_only():
    with faulty() as (disk, node, space, ear):
        yield from store(node, space, ear, disk.failing("read-only", 0, STORE))


CASES = {
    "store-locked": store_locked,
    "store-read-only": store_read_only,
}
