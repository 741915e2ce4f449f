"""Thirty seconds in a tunnel: every packet vanishes, both ways, and nobody is told."""

from _listeners import ALL, say, scene

TUNNEL_SECONDS = 30


def tunnel(scene):
    scene.lane.vanish()
    scene.passes(TUNNEL_SECONDS)
    scene.lane.carry()


with scene(*ALL) as here:
    say(*here.suffers(tunnel))
