"""Whatever strangers send or fail to read, who listens meanwhile misses nothing, and the reasons are counted."""

import concurrent.futures
import contextlib
import json
import pathlib
import re
import socket
import subprocess
import sys
import urllib.parse

import pytest

from crowd import refused_by_reason
from throng import command, next_after_makers, wait_until

HEARD_SECONDS = 12
VIAS = ["progressive", "hls"]
SILENT = 300
HALF = 100
# Of several processes, because one may open some thousands of files only.
READERS = 5000
PROCESSES = 4

# A part may come a moment late on a busy machine; none may be left out.
PART_MS = 320
GARBAGE = [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "malformed"),
    (b"GET / HTTP/1.1\nhost: a\n\n", "malformed"),
    (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 3 + b"nonsense\r\n\r\n", "malformed"),
    (b"GET / HTTP/1.1\r\n\r\n", "host"),
    (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", "framing"),
    (b"GET / HTTP/1.1\r\nhost: a\r\ncookie: " + 20_000 * b"x", "too_large"),
]


def address(node):
    link = urllib.parse.urlsplit(node.links["listen"])
    return link.hostname, link.port


def heard(space, via):
    """What one listener reports."""
    with next_after_makers():
        listening = command(
            "listen", space.listen_url, "--via", via, "--for", f"{HEARD_SECONDS}s", "--json", timeout=HEARD_SECONDS + 60
        )
    assert listening.returncode == 0, listening.stderr
    return json.loads(listening.stdout.splitlines()[-1])


@contextlib.contextmanager
def steady_listeners(space):
    """One listener of each kind, who must not have missed anything in the end."""
    with concurrent.futures.ThreadPoolExecutor(len(VIAS)) as pool:
        listening = [pool.submit(heard, space, via) for via in VIAS]
        yield
        for report in (one.result() for one in listening):
            assert sum(gap["missing_ms"] for gap in report["gaps"]) < PART_MS, report
            assert report["heard_seconds"] >= HEARD_SECONDS - 2, report


@pytest.fixture(scope="module")
def space(node):
    space = node.live("A space among strangers")
    yield space
    space.step("end")


def test_garbage_is_refused_and_counted_and_nobody_else_notices(node, space):
    before = refused_by_reason(node)
    with steady_listeners(space), contextlib.ExitStack() as strangers:
        for number in range(SILENT + HALF):
            stranger = strangers.enter_context(socket.create_connection(address(node)))
            if number >= SILENT:
                stranger.sendall(b"GET / HTTP/1.1\r\nho")
        for garbage, _ in GARBAGE:
            stranger = strangers.enter_context(socket.create_connection(address(node)))
            stranger.sendall(garbage)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while more := stranger.recv(65536):
                    answer += more
            assert re.search(rb"HTTP/1.1 4\d\d ", answer), garbage
        slow = strangers.enter_context(socket.create_connection(address(node)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            wait_until(lambda: slow.send(b"x") == 0 or is_over(slow), "one byte at a time comes to an end")
        wait_until(lambda: grown(node, before, "silent") >= SILENT, "who never spoke is counted")
        wait_until(lambda: grown(node, before, "unfinished") >= HALF, "who stopped halfway is counted")
    for reason in {reason for _, reason in GARBAGE}:
        assert grown(node, before, reason) >= 1, reason


def grown(node, before, reason):
    return refused_by_reason(node)[reason] - before[reason]


def is_over(stranger):
    """Whether the node has ended a connection, with words or without."""
    stranger.setblocking(False)
    try:
        stranger.recv(65536)
        return True
    except BlockingIOError:
        return False
    finally:
        stranger.setblocking(True)


def test_thousands_of_slow_readers_change_nothing_for_others(node, space):
    host, port = address(node)
    path = urllib.parse.urlsplit(space.listen_url).path + "/live.mp4"
    program = [sys.executable, pathlib.Path(__file__).parent / "slow_readers.py"]
    arguments = [host, str(port), path, str(READERS // PROCESSES)]
    readers = [
        subprocess.Popen([*program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        assert [reader.stdout.readline() for reader in readers] == ["ready\n"] * PROCESSES
        with steady_listeners(space):
            pass
        assert space.state()["listening"] >= len(VIAS)
    finally:
        for reader in readers:
            reader.communicate()
