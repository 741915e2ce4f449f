"""What was done to other servers of this kind, by the class of its record: paths that lead out, lines in the log, doors
that were left open. Media and STUN stand in `throng-stage`, framing of HTTP in `throng-air`."""

import contextlib
import functools
import itertools
import json
import os
import pathlib
import re
import socket
import urllib.parse

import pytest

from figures import family, status_bytes
from throng import BINARY, PATIENCE_SECONDS, Node, request

pytestmark = pytest.mark.aside

SDP = "application/sdp"
# CVE-2024-31450 (Owncast), MediaMTX #5602, Node-Media-Server #689: each way to write "one folder up".
UPS = ["..", "%2e%2e", "..%2f", "..%5c", "%2e%2e%2f", "..\\", "%c0%ae%c0%ae", "%252e%252e%252f", "....//", "..;"]
PLACES = ["/{up}", "/s/{up}", "/s/{slug}/{up}", "/s/{slug}/hls/{up}", "/s/{slug}/hls/o48/{up}", "/assets/{up}", "/studio/{up}"]
# Files that lie beside what is served, and one that every machine has.
INSIDE = ["etc/passwd", "throng.db", "keys/operator.key", "journal%00.mp4", "o48.mp4"]
# Of a pprof and metrics for anybody (MediaMTX's default rights), and of other products.
BACKDOORS = ["/metrics", "/readyz", "/healthz", "/livez", "/debug/pprof", "/feed", "/feed/metrics", "/v3/config/global/get"]
BACKDOORS += ["/admin", "/api/status", "/.env", "/.git/config", "/server-status"]
# What begins HTTP/2 (RFC 9113, section 3.4), and what was sent after it to bring servers down.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload):
    """RFC 9113, section 4.1."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


SETTINGS = frame(4, 0, 0, b"")
FLOODS = {
    "rapid reset": SETTINGS + b"".join(frame(1, 5, n, b"\x82\x84\x86") + frame(3, 0, n, bytes(4)) for n in range(1, 2_001, 2)),
    "continuation": SETTINGS + frame(1, 1, 1, b"\x82") + b"".join(frame(9, 0, 1, b"\x40\x01a\x01b" * 50) for _ in range(100)),
    "settings": SETTINGS * 1_000 + b"".join(frame(6, 0, 0, bytes(8)) for _ in range(1_000)),
}
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\x9b]")


@pytest.fixture(scope="module")
def space(node):
    """A live space in which nobody speaks."""
    space = node.live("A space among strangers")
    yield space
    space.step("end")


def told(link, request_bytes):
    """The answer to a request as it stands, whatever a client library would have made of it."""
    where = urllib.parse.urlsplit(link)
    with socket.create_connection((where.hostname, where.port), timeout=30) as line:
        line.sendall(request_bytes)
        return b"".join(iter(lambda: line.recv(65536), b""))


def raw(link, path):
    return told(link, b"GET " + path.encode("latin-1") + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("door", ["listen", "desk", "internal"])
def test_no_path_leads_out(node, space, door):
    for up, place, inside in itertools.product(UPS, PLACES, INSIDE):
        path = f"{place.format(up=up, slug=space.slug)}/{'../' * 5}{inside}"
        answer = raw(node.links[door], path)
        assert re.match(rb"HTTP/1.1 (400|404|405) ", answer), (path, answer[:80])
        assert b"root:" not in answer and b"SQLite" not in answer and b"THRONG\r\n" not in answer, path


@pytest.mark.parametrize("door", ["listen", "desk"])
def test_what_is_for_operators_is_not_for_the_world(node, door):
    for path in BACKDOORS:
        answer = request("GET", node.links[door] + path)
        assert answer.status == 404 or (answer.status == 401 and path.startswith("/feed")), path
        assert b"throng_" not in answer.body, path


@functools.cache
def crates_in(program):
    """The crates that are linked into a program: it names their files where it says where it panicked."""
    names = re.findall(rb"/([a-z0-9_-]+)-[0-9]+\.[0-9]+\.[0-9]+[^/ ]*/src/", program.read_bytes())
    return {name.decode() for name in names}


@pytest.mark.parametrize("door", ["listen", "desk", "internal"])
def test_nobody_is_spoken_to_in_http_2(node, door):
    """CVE-2023-44487, CVE-2025-8671, RUSTSEC-2026-0258: its floods need it."""
    linked = crates_in(pathlib.Path(BINARY))
    assert "hyper" in linked and "h2" not in linked, "it is not even in the program"
    for flood in FLOODS.values():
        where = urllib.parse.urlsplit(node.links[door])
        with socket.create_connection((where.hostname, where.port), timeout=PATIENCE_SECONDS) as line:
            assert is_shown_out(line, PREFACE + flood)
    # RFC 9110, section 7.8: a server may ignore an upgrade; the answer stays in the version of the request.
    upgrade = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    answer = told(node.links[door], b"GET / HTTP/1.1\r\nHost: a\r\n" + upgrade + b"\r\n")
    assert re.match(rb"HTTP/1\.1 (200|404|303) ", answer) and b"101" not in answer[:16], answer[:80]
    assert b"h2c" not in answer.lower(), answer[:400]


@pytest.mark.parametrize("door", ["listen", "desk"])
def test_thousands_who_insist_on_http_2_are_shown_out_and_hold_nothing(node, door):
    """Rapid resets, CONTINUATION (CVE-2024-27316) and settings are bytes after the preface, which nobody reads as frames."""
    where = urllib.parse.urlsplit(node.links[door])
    flood = PREFACE + b"".join(FLOODS.values())
    before = memory_bytes(node)
    for _ in range(10):
        lines = [socket.create_connection((where.hostname, where.port), timeout=PATIENCE_SECONDS) for _ in range(200)]
        for line in lines:
            say(line, flood)
        # While they are there, the door answers others.
        assert request("GET", f"{node.links[door]}/nowhere").status == 404
        for line in lines:
            with contextlib.closing(line):
                assert is_shown_out(line)
    assert memory_bytes(node) - before < 2_000 * len(flood) // 4, "what was said is kept nowhere"


def say(line, flood):
    with contextlib.suppress(ConnectionError):  # Shown out before all was said.
        line.sendall(flood)


def is_shown_out(line, flood=b""):
    """Whether the connection ends, in order or by a reset where nobody reads on, with nothing or an answer in HTTP/1.1."""
    say(line, flood)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while piece := line.recv(65_536):
            answer += piece
    return answer == b"" or answer.startswith(b"HTTP/1.1 4")


def memory_bytes(node):
    """Of all processes of a node, what is theirs alone."""
    return sum(status_bytes(pid, "RssAnon") for pid in family(node.process))


def test_a_request_writes_no_line_of_its_own_into_the_log(tmp_path):
    """CVE-2011-4612 (Icecast)."""
    # As much as can be had is logged.
    node = Node(tmp_path / "data", env={**os.environ, "RUST_LOG": "debug"})
    try:
        space = node.live("A quiet log")
        forged = "\x1b[2K 2026-01-01T00:00:00Z ERROR forged"
        for link in (node.links["listen"], node.links["desk"]):
            for path in (f"/s/%0d%0a{urllib.parse.quote(forged)}", f"/s/{forged.replace(' ', chr(9))}", "/\r\n" + forged):
                told(link, f"GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: {forged}\r\nReferer: {forged}\r\n\r\n".encode())
        request("POST", space.whip_url, f"v=0\r\ns={forged}\r\n", space.speaker_key(1), {"Content-Type": SDP})
        request("POST", f"{space.desk}/api/spaces", {"title": f"a\n{forged}"}, node.operator)
        request("POST", f"{space.desk}/api/spaces/{space.slug}/{urllib.parse.quote(forged)}", key=space.host_key)
        assert node.stop() == 0
        log = node.log_text()
        assert "DEBUG" in log
        assert CONTROLS.search(log) is None, CONTROLS.search(log)
        assert not any(line.startswith("2026-01-01") for line in log.splitlines())
    finally:
        node.close()


def test_a_key_of_any_length_is_only_wrong(node, space):
    """CVE-2018-18820 and CVE-2015-3026 (Icecast): what comes with a request to prove who asks breaks nothing."""
    url = f"{node.links['desk']}/api/spaces/{space.slug}"
    for length in (0, 1, 42, 43, 44, 1_000, 6_000):
        for scheme in ("Bearer", "bearer", "Basic", "Digest", ""):
            answer = request("PATCH", url, {"title": "Taken"}, headers={"Authorization": f"{scheme} {'a' * length}"})
            assert answer.status in (400, 401), (scheme, length, answer)
    for value in ("Bearer \u00ff\u00fe", "Bearer a b", "Bearer\t", f"Bearer {space.host_key}="):
        assert request("PATCH", url, {"title": "Taken"}, headers={"Authorization": value}).status in (400, 401), value
    assert space.state()["title"] != "Taken"


def test_a_title_is_text_whatever_it_says(node):
    """CVE-2021-39183 (Owncast), without a browser to be fooled: the markup is not there."""
    title = "</title></script><script>alert(1)</script><img src=x onerror=alert(1)>'\"&amp;{{slug}}"
    space = node.create(title)
    page = request("GET", space.listen_url).body.decode()
    assert "alert(1)</script>" not in page and "<img" not in page
    state = page.partition('id="state">')[2].partition("</script>")[0]
    assert json.loads(state)["title"] == title == space.state()["title"]
