"""A line of 32 kbit/s, less than the rendition that a player begins with: for a minute, and for as long as it takes."""

from _listeners import say, scene

SLOW_SECONDS = 60


def slow(scene):
    scene.lane.slow("32kbit")
    scene.passes(SLOW_SECONDS)


with scene("hls.js", "mpv WebM", "VLC WebM") as here:
    say(*here.suffers(slow))
    print("rendition:", here.ears["our page"].told("rendition"))
