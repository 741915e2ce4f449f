"""A listener pauses for a minute and more, then listens again: he is at the live moment, not where he left."""

from _listeners import say, scene

PAUSE_SECONDS = 70


def pause(scene):
    page = scene.ears["our page"].page
    page.click("#listen")
    scene.passes(PAUSE_SECONDS)
    page.click("#listen")


with scene() as here:
    say(*here.suffers(pause))
