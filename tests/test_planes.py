"""Stage, recorder and desk keep what they need, whatever the audience takes."""

import concurrent.futures
import contextlib
import pathlib
import socket
import urllib.parse
import urllib.request

import pytest

from crowd import Crowd, assert_whole, processes, refused_by_reason
from figures import status_bytes, tasks
from throng import Node, wait_until

WORKERS = 2
MIB = 1 << 20
# The least that a node with two workers accepts: each worker may have 64 MiB.
MEMORY_MAX = 256 * MIB
WORKER_MAX = 64 * MIB
# What comes in between two looks.
BEYOND_MAX = 8 * MIB
LISTENERS = 20
# More than fit, by far.
HOARDED = 6_000


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planes")
    node = Node(folder / "data", "--air-workers", str(WORKERS), "--memory-max", str(MEMORY_MAX))
    yield node
    node.close()


def niceness(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


def expendable(pid):
    return int(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text())


def addresses_max(pid):
    for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max data size"):
            return line.split()[3]
    raise AssertionError("the kernel tells limits")


def test_workers_leave_processor_and_memory_to_the_origin(house):
    (origin,) = processes(house, "origin")
    for worker in processes(house, "air-worker"):
        assert all(niceness(f"{worker}/task/{thread.name}") > niceness(origin) for thread in tasks(worker))
        assert expendable(worker) >= expendable(origin) + 500, "the kernel takes it first"
        assert int(addresses_max(worker)) == WORKER_MAX + 256 * MIB
    assert addresses_max(origin) == "unlimited"


def test_a_worker_that_has_had_its_memory_lets_nobody_in_and_whoever_listens_hears_on(house, voices):
    space = house.live("A talk in a small house")
    with space.speak(1, voices["ada"]):
        listeners = Crowd(space.listen_url, LISTENERS)
        wait_until(lambda: space.recorded_seconds() > 1, "there is something to ask for")
        hoarded, said = hoard(space, HOARDED)
        refused = [answer for answer in said if b" 206 " not in answer]
        assert len(refused) > HOARDED / 4, "each takes some 10 KB"
        assert all(b" 503 " in answer and b"no memory left" in answer for answer in refused), refused[0]
        wait_until(lambda: refused_by_reason(house)["memory"] >= len(refused), "each is counted as that")
        for worker in processes(house, "air-worker"):
            assert status_bytes(worker, "VmRSS") <= WORKER_MAX + BEYOND_MAX, "it sheds before it grows"
        assert space.show()["state"] == "live", "the desk has its own"
        listeners.hear_on(8)
        for connection in hoarded:
            connection.close()
        wait_until(lambda: hears(space), "there is room for those who come now")
        listeners.leave()
        for seat in listeners.seats:
            assert not seat.lost
            assert_whole(seat)


def hoard(space, size):
    """Connections that ask the ordinary server for something each, and stay for the while that it lets them; and what they
    were told."""
    url = urllib.parse.urlsplit(space.listen_url)
    head = f"GET {url.path}/recording.mp4 HTTP/1.1\r\nHost: {url.netloc}\r\nRange: bytes=0-1\r\n\r\n".encode()

    def ask(_):
        connection = socket.create_connection((url.hostname, url.port), timeout=90)
        connection.sendall(head)
        return connection, connection.recv(4096)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        return zip(*pool.map(ask, range(size)))


def hears(space):
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(f"{space.listen_url}/live.mp4", timeout=90) as answer:
            return bool(answer.read(1))
    return False
