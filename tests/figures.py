"""What the measuring programs share: the line of a figure, percentiles, a node of their own, our measuring examples."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import time

from throng import BINARY, Node, wait_until

VOICES = pathlib.Path(__file__).resolve().parent.parent / "assets" / "voices"
EXAMPLES = pathlib.Path(BINARY).parent / "examples"


def figure(name, value, limit="-"):
    """A limit is `-`, `<= LIMIT`, `>= LIMIT`, or `target WORDS` for a time, which nobody asserts."""
    print(f"{name}\t{value}\t{limit}", flush=True)


def percentile(values, percent):
    """The smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@contextlib.contextmanager
def folder():
    """A folder that VLC, which does not run as root, may read too."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def at_rest(node):
    """Waits until a fresh node has encoded its hold programme, which takes a core for a while, once."""
    wait_until((node.data / "hold" / "loop.bin").exists, "the hold programme is encoded", 180)


@contextlib.contextmanager
def node(*flags, **more):
    with folder() as place:
        running = Node(place / "data", *flags, **more)
        try:
            at_rest(running)
            yield running
        finally:
            running.close()


@contextlib.contextmanager
def certificate(address="127.0.0.1"):
    """The flags of a node that speaks TLS at an address, with a certificate that our commands trust meanwhile."""
    with folder() as place:
        cert, key = place / "cert.pem", place / "key.pem"
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={address}"]
        files = ["-addext", f"subjectAltName=IP:{address}", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert]
        subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)
        os.environ["SSL_CERT_FILE"] = str(cert)
        try:
            yield "--tls-cert", cert, "--tls-key", key
        finally:
            del os.environ["SSL_CERT_FILE"]


def example(name, *arguments):
    """What a measuring example prints."""
    command = [EXAMPLES / name, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def family(process):
    """The numbers of a process and of all that descend from it."""
    pids = [process.pid]
    for pid in pids:
        for task in tasks(pid):
            pids += map(int, (task / "children").read_text().split())
    return pids


def tasks(pid):
    """The folders of its threads."""
    return list(pathlib.Path(f"/proc/{pid}/task").iterdir())


def status_bytes(pid, name):
    """What the kernel says of a process's memory, by the name of a line (proc_pid_status(5))."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def cpu_seconds(process):
    """What a process and its children have computed so far, in all their threads."""
    return sum(map(cpu_seconds_alone, family(process)))


def cpu_seconds_of_threads(process, name):
    """The same of those threads alone that are called so."""
    threads = [task for pid in family(process) for task in tasks(pid) if (task / "comm").read_text().strip() == name]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in threads) / 1e9


def cpu_seconds_alone(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Clock:
    """Milliseconds since it was made, or started again."""

    def __init__(self):
        self.start()

    def start(self):
        self.began = time.monotonic()

    def ms(self):
        return (time.monotonic() - self.began) * 1000
