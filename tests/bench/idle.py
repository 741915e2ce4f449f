"""What a node costs to which nobody listens: one announced space, nobody there."""

import time

from figures import cpu_seconds, figure, node

SECONDS = 20


def main():
    with node() as serving:
        serving.create()
        before, began = cpu_seconds(serving.process), time.monotonic()
        time.sleep(SECONDS)
        share = (cpu_seconds(serving.process) - before) / (time.monotonic() - began)
        figure("CPU of an idle node, of a core", f"{share * 100:.2f} %", "<= 1 %")


main()
