"""A node whose program is replaced while it runs, as an operator does it."""

import os
import shutil
import signal
import threading

from crowd import processes
from throng import BINARY, PATIENCE_SECONDS, Node, request, wait_until

COMMANDS = ("origin", "air-worker")


def own_program(folder, *flags):
    """A node that runs a copy of the program, whose place another may take."""
    folder.mkdir(exist_ok=True)
    program = folder / "throng"
    shutil.copy2(BINARY, program)
    return Node(folder / "data", *flags, binary=program)


def children(node):
    return {pid for command in COMMANDS for pid in processes(node, command)}


def put(node, program):
    """Another file lies in the program's place from now on; whoever runs the old one keeps it."""
    beside = node.binary.with_suffix(".next")
    shutil.copy2(program, beside)
    os.replace(beside, node.binary)


def runs_its_file(node, pid):
    try:
        return os.path.samefile(f"/proc/{pid}/exe", node.binary)
    except OSError:
        return False


def upgrade(node, program=BINARY, seconds=PATIENCE_SECONDS):
    """Puts the program in its place and says so; returns when nobody of the program before is left."""
    before = children(node)
    put(node, program)
    node.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: not before & children(node), "all have been replaced and have gone", seconds)
    here = children(node) | {node.process.pid}
    assert all(runs_its_file(node, pid) for pid in here), "everybody runs the new program"
    assert len(here) == len(before) + 1


class Newcomers(threading.Thread):
    """Who comes while all that goes on, each on a connection of his own, to each address in turn."""

    def __init__(self, space):
        super().__init__(daemon=True)
        links = space.node.links
        self.urls = [f"{space.listen_url}/state.json", f"{links['desk']}/studio", f"{links['internal']}/healthz"]
        self.trouble, self.came, self.over = [], 0, False
        self.start()

    def run(self):
        while not self.over:
            url = self.urls[self.came % len(self.urls)]
            try:
                status = request("GET", url).status
            except OSError as error:
                status = error
            if status != 200:
                self.trouble.append((url, status))
            self.came += 1

    def leave(self):
        self.over = True
        self.join()
        return self.trouble
