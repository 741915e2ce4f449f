"""Another address: the old connections are dead, and the new path carries."""

from _listeners import say, scene


def another_address(scene):
    scene.lane.move(f"{scene.lane.net}.2", f"{scene.lane.net}.3")


with scene("hls.js", "mpv", "vlc") as here:
    say(*here.suffers(another_address))
