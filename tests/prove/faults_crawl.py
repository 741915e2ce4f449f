"""A kilobyte a second for half a minute, which carries no rendition, and back."""

from _listeners import ALL, say, scene

CRAWL_SECONDS = 30


def crawl(scene):
    scene.lane.slow("8kbit")
    scene.passes(CRAWL_SECONDS)
    scene.lane.carry()


with scene(*ALL) as here:
    say(*here.suffers(crawl))
