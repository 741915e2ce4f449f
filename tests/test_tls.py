"""A node with a certificate, met by TLS that is not ours: OpenSSL's, and whatever FFmpeg was built with."""

import socket
import ssl
import subprocess
import urllib.parse

import numpy as np
import pytest

import signal_kit
import throng

HEARD_SECONDS = 2


@pytest.fixture(scope="module", params=["epoll", "io_uring"])
def sealed(request, tmp_path_factory):
    """A node with a certificate that everybody here trusts."""
    folder = tmp_path_factory.mktemp("sealed")
    cert, key = folder / "cert.pem", folder / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", key, "-out", cert]
    subprocess.run(["openssl", "req", "-x509", *kind, *name, *files], check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(cert))
        node = throng.Node(folder / "data", "--tls-cert", cert, "--tls-key", key, "--air-backend", request.param)
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
        with socket.create_connection((where.hostname, where.port), timeout=10) as line:
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
