"""Speaker to speaker through the server, both on this machine."""

from figures import example, node

SECONDS = 60

with node() as serving:
    space = serving.live(speakers=2)
    print(example("speaker_delay", *space.speaker_urls, SECONDS), end="")
