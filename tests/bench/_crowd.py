"""A crowd of `throng rehearse` beside a measuring program, and what it told so far."""

import json
import signal
import subprocess
import threading
import time

from throng import BINARY, ahead_of_others


class Crowd:
    """So many who come by this link, and what they told second by second."""

    def __init__(self, link, listeners, stay, *more):
        words = ["rehearse", link, "--listeners", listeners, "--via", "progressive", "--stay", stay, "--json", *more]
        popen = subprocess.Popen([BINARY, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.process = ahead_of_others(popen)
        self.seconds, self.report = [], None
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            told = json.loads(line)
            if "asked" in told:
                self.report = told
            else:
                self.seconds.append({**told, "looked_s": time.monotonic()})

    def over(self):
        self.process.wait()
        self.thread.join()
        return self.report

    def leave(self):
        self.process.send_signal(signal.SIGINT)
        return self.over()
