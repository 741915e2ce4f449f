"""A node with a certificate, met by TLS that is not ours: OpenSSL's, and whatever FFmpeg was built with."""

import socket
import ssl
import urllib.parse

import numpy as np
import pytest

import signal_kit
import throng
from figures import certificate

pytestmark = pytest.mark.aside

HEARD_SECONDS = 2


@pytest.fixture(scope="module", params=["epoll", "io_uring"])
def sealed(request, tmp_path_factory):
    """A node with a certificate that everybody here trusts."""
    folder = tmp_path_factory.mktemp("sealed")
    with certificate() as flags:
        node = throng.Node(folder / "data", *flags, "--air-backend", request.param)
        yield node
        node.close()


def test_strangers_hear_the_programme_over_tls(sealed):
    space = sealed.create("A sealed conversation")
    assert space.get("state.json").json()["state"] == "announced"
    sound = signal_kit.decode(f"{sealed.links['listen']}/s/{space.slug}/live.webm", HEARD_SECONDS)
    assert np.abs(sound).max() > 0
    # What is not the engine's goes on to the ordinary server, and is as long as a record and more.
    whep = throng.request("POST", f"{sealed.links['listen']}/s/{space.slug}/whep", "v=0\r\n" * 4_000)
    assert whep.status in range(400, 500)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_openssl_resumes_its_sessions(sealed, version):
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    where = urllib.parse.urlsplit(sealed.links["listen"])
    session, reused = None, []
    for _ in range(2):
        with socket.create_connection((where.hostname, where.port), timeout=30) as line:
            with context.wrap_socket(line, server_hostname=where.hostname, session=session) as sealed_line:
                sealed_line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answer = b""
                # Without an end in order this raises.
                while piece := sealed_line.recv(65_536):
                    answer += piece
                assert answer.startswith(b"HTTP/1.1 200 ")
                assert sealed_line.selected_alpn_protocol() == "http/1.1"
                session = sealed_line.session
                reused.append(sealed_line.session_reused)
    assert reused == [False, True]


@pytest.mark.parametrize("door", ["listen", "desk"])
def test_http_2_is_never_agreed_on(sealed, door):
    """RFC 7301, section 3.2: with nothing in common the handshake ends. So no flood of HTTP/2 has where to go."""
    where = urllib.parse.urlsplit(sealed.links[door])
    assert where.scheme == "https"
    for offered, agreed in ((["h2", "http/1.1"], "http/1.1"), ([], None), (["h2"], "nothing"), (["h2c", "h3"], "nothing")):
        context = ssl.create_default_context()
        if offered:
            context.set_alpn_protocols(offered)
        with socket.create_connection((where.hostname, where.port), timeout=30) as line:
            try:
                with context.wrap_socket(line, server_hostname=where.hostname) as sealed_line:
                    assert sealed_line.selected_alpn_protocol() == agreed
            except ssl.SSLError as refused:
                assert agreed == "nothing", (offered, refused)
