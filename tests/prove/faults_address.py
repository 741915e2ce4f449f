"""Another address: the old connections are dead, and the new path carries."""

from _listeners import ALL, say, scene


def another_address(scene):
    scene.lane.move(f"{scene.lane.net}.2", f"{scene.lane.net}.3")


with scene(*ALL) as here:
    say(*here.suffers(another_address))
