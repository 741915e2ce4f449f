"""A network that lets nothing out but TCP to port 443: speakers come on stage by the desk's own port, where it also answers
HTTPS."""

import contextlib
import ipaddress
import json
import socket
import ssl
import struct
import subprocess

import pytest

import lane
import signal_kit
from figures import certificate
from test_speakers import join_stage
from throng import BINARY, Node, request, wait_until

pytestmark = pytest.mark.aside

WALL = """
table inet wall {
  chain out { type filter hook output priority 0; policy drop; oifname "lo" accept; tcp dport 443 accept; }
  chain into { type filter hook input priority 0; policy drop; iifname "lo" accept; tcp sport 443 accept; }
}
"""
SECONDS = 4
# What a walled-in program says whether it gets out by UDP, by TCP to the stage's port, and by TCP to the desk's.
TRIES = """
import json, socket, sys
node, stage = sys.argv[1], int(sys.argv[2])
def gets_through(port):
    try:
        socket.create_connection((node, port), timeout=1).close()
        return True
    except OSError:
        return False
def is_answered():
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.settimeout(1)
    try:
        line.sendto(b"who is there?", (node, stage))
        return line.recv(1) is not None
    except OSError:
        return False
print(json.dumps([is_answered(), gets_through(stage), gets_through(443)]))
"""


# Browsers take a candidate of port 443 at public addresses alone; these are for measuring networks (RFC 2544), and nobody's.
PUBLIC = ipaddress.ip_address("198.18.0.0")


@pytest.fixture(scope="module")
def wire():
    """A namespace behind a wall, and the node at an address that is not private."""
    with lane.laid() as wire:
        number = 4 * int(wire.name.removeprefix("throng"))
        wire.node, far = str(PUBLIC + number + 1), str(PUBLIC + number + 2)
        lane.ip("addr", "add", f"{wire.node}/30", "dev", wire.name)
        lane.ip("-n", wire.name, "addr", "add", f"{far}/30", "dev", "wire")
        subprocess.run([*wire.inside, "nft", "-f", "-"], input=WALL, text=True, check=True)
        yield wire


@pytest.fixture(scope="module")
def walled(wire, tmp_path_factory):
    """A node whose desk is at port 443, with a certificate, and a live space."""
    folder = tmp_path_factory.mktemp("walled")
    with certificate(wire.node) as flags:
        where = {"listen": f"{wire.node}:0", "desk": f"{wire.node}:443"}
        with contextlib.closing(Node(folder / "data", *flags, "--stage-udp", f"{wire.node}:0", **where)) as node:
            yield node


def tcp_ports(answer):
    """Where an answer says that ICE-TCP is taken."""
    lines = [line.split() for line in answer.splitlines() if line.startswith("a=candidate:")]
    return [int(words[5]) for words in lines if words[2].lower() == "tcp"]


def test_the_wall_lets_nothing_else_out(wire, walled):
    space = walled.create("Behind a wall")
    offer = (
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
        "a=rtpmap:111 opus/48000/2\r\na=sendonly\r\na=setup:actpass\r\na=rtcp-mux\r\na=ice-ufrag:abcd\r\n"
        f"a=ice-pwd:{'p' * 24}\r\na=fingerprint:sha-256 {':'.join(['00'] * 32)}\r\n"
    )
    headers = {"Content-Type": "application/sdp"}
    answer = request("POST", space.whip_url, offer, space.speaker_key(1), headers)
    assert answer.status == 201, answer
    stage, desk = tcp_ports(answer.body.decode())
    assert desk == 443
    tried = subprocess.run([*wire.inside, "python3", "-c", TRIES, wire.node, str(stage)], stdout=subprocess.PIPE, check=True)
    assert json.loads(tried.stdout) == [False, False, True]


def test_our_page_comes_on_stage_and_is_heard(wire, walled, playwright, voices, tmp_path):
    space = walled.live("A page behind a wall")
    inside = wire.chromium(playwright, tmp_path, walled.links["desk"], voices["ada"])
    with contextlib.closing(inside), inside.page(space.speaker_urls[0]) as page:
        join_stage(page)
        wait_until(lambda: space.is_talking(1), "the speaker talks")
        since = space.recorded_seconds()
        wait_until(lambda: space.recorded_seconds() >= since + SECONDS + 1, "the speaker has talked for a while")
        heard = space.recording(SECONDS)
    assert signal_kit.is_present(signal_kit.speech("ada"), heard)


def test_throng_speak_comes_on_stage(wire, walled, voices):
    space = walled.live("A command behind a wall")
    speak = [*wire.inside, BINARY, "speak", space.speaker_urls[0], "--file", str(voices["ada"]), "--loop"]
    with subprocess.Popen(speak, stderr=subprocess.DEVNULL) as speaker:
        try:
            wait_until(lambda: space.is_talking(1), "the speaker talks")
        finally:
            speaker.terminate()


def test_the_desk_answers_browsers_at_the_same_port_whatever_else_comes(walled, wire):
    """Frames that are nobody's are cut; what begins slowly or with nonsense takes no place from HTTPS."""
    context = ssl.create_default_context()
    with contextlib.ExitStack() as lines:
        def connect(first):
            line = lines.enter_context(socket.create_connection((wire.node, 443), timeout=10))
            line.sendall(first)
            return line

        nobody = connect(struct.pack(">HHHI", 20, 1, 0, 0x2112A442) + bytes(12))
        halves = [connect(b"\x00"), connect(struct.pack(">H", 1_400) + bytes(7))]
        assert nobody.recv(1) == b"", "an unknown STUN request is not answered, and the connection cut"
        sealed = lines.enter_context(context.wrap_socket(connect(b""), server_hostname=wire.node))
        sealed.sendall(b"GET /studio HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert sealed.recv(12) == b"HTTP/1.1 200"
        # Their deadline ends them; nothing is said.
        assert [half.recv(1) for half in halves] == [b"", b""]
