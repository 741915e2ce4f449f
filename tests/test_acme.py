"""A certificate that the node gets by itself, from an authority that is not ours: Pebble, of Let's Encrypt."""

import contextlib
import json
import os
import socket
import ssl
import subprocess

import pytest

from figures import certificate
from throng import PATIENCE_SECONDS, Node, command, free_port, wait_until

pytestmark = pytest.mark.aside

DOMAIN = "live.example.test"
# A third of a life is left when it is renewed.
LIFE_SECONDS = 24
# An order that failed, as where the machine was busy, is tried again after two minutes.
ORDERED_SECONDS = 120 + PATIENCE_SECONDS


class Authority:
    """Pebble, and a name server for which everything is at this machine."""

    def __init__(self, folder, challenge_port):
        self.directory_port, manager, self.name_port = free_port(), free_port(), free_port()
        self.address = f"127.0.0.1:{self.directory_port}"
        config = folder / "pebble.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": self.address,
            "managementListenAddress": f"127.0.0.1:{manager}",
            "certificate": str(folder / "authority.pem"),
            "privateKey": str(folder / "authority.key"),
            "httpPort": 1,
            "tlsPort": challenge_port,
            "certificateValidityPeriod": LIFE_SECONDS,
        }}))
        self.log = folder / "pebble.log"
        off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", "", "-management", f"127.0.0.1:{free_port()}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.names = subprocess.Popen(["pebble-challtestsrv", *off, "-defaultIPv4", "127.0.0.1", "-dns01", f"127.0.0.1:{self.name_port}"], **quiet)
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20"}
        with self.log.open("wb") as log:
            asks = ["-config", config, "-dnsserver", f"127.0.0.1:{self.name_port}"]
            self.pebble = subprocess.Popen(["pebble", *asks], stdout=log, stderr=log, env=environment)

    def is_up(self):
        return answers(self.directory_port) and answers(self.name_port)

    def close(self):
        for process in (self.pebble, self.names):
            process.kill()
            process.wait()


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A node that asks an authority for its certificate."""
    folder = tmp_path_factory.mktemp("acme")
    port = free_port()
    with certificate() as flags:
        # What our commands trust meanwhile is the authority's own certificate.
        for given, name in zip(flags[1::2], ("authority.pem", "authority.key")):
            (folder / name).write_bytes(given.read_bytes())
        authority = Authority(folder, port)
        wait_until(authority.is_up, "the authority is up")
        acme = ["--acme", DOMAIN, "--acme-directory", f"https://{authority.address}/dir"]
        # Several processes serve the port: whichever is asked must know the answer.
        node = Node(folder / "data", *acme, "--air-workers", "2", listen=f"127.0.0.1:{port}")
        yield node, port, authority
        node.close()
        authority.close()


def shown(port, protocols=("http/1.1",)):
    """The certificate (DER) that somebody is shown who asks for the domain, or why there is none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        try:
            with context.wrap_socket(line, server_hostname=DOMAIN) as sealed:
                return sealed.getpeercert(binary_form=True)
        except OSError as refused:
            return refused


def certificate_shown(port, but=None):
    """The certificate that somebody is shown now, if it is another one."""
    got = shown(port)
    return isinstance(got, bytes) and got != but and got


def described(der):
    """What OpenSSL says of a certificate."""
    said = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-text"], input=der, capture_output=True, check=True
    )
    return said.stdout.decode()


def test_a_node_gets_its_certificate_by_itself_and_renews_it(house):
    node, port, authority = house
    first = wait_until(lambda: certificate_shown(port), "a certificate is shown", ORDERED_SECONDS)
    said = described(first)
    assert f"DNS:{DOMAIN}" in said
    assert "Pebble" in said, "the authority has signed it"
    file = node.data / "acme" / f"{DOMAIN}.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert node.links["listen"] == f"https://{DOMAIN}:{port}"

    # Who listens meanwhile stays: only new connections see the new one.
    second = wait_until(lambda: certificate_shown(port, first), "it is renewed", LIFE_SECONDS + ORDERED_SECONDS)
    assert "Pebble" in described(second)
    assert authority.log.read_text().count("There are now 1 accounts in memory") == 1, "one account is kept"


def test_a_challenge_is_answered_only_while_there_is_one(house):
    node, port, _ = house
    wait_until(lambda: certificate_shown(port), "a certificate is shown", ORDERED_SECONDS)
    challenge = node.data / "acme" / f"{DOMAIN}.challenge.pem"
    wait_until(lambda: not challenge.exists(), "no order is under way")
    refused = shown(port, ["acme-tls/1"])
    assert isinstance(refused, ssl.SSLError) or "Pebble" not in described(refused)


def test_what_is_no_domain_is_refused_in_words(tmp_path):
    for domain in ("localhost", "127.0.0.1", "*.example.org", "../elsewhere"):
        refused = command("serve", "--data", tmp_path / "data", "--acme", domain)
        assert refused.returncode != 0
        assert "acme is for a name of the DNS" in refused.stderr
    both = command("serve", "--data", tmp_path / "data", "--acme", "live.example.org", "--tls-cert", "a", "--tls-key", "b")
    assert "cannot be used with" in both.stderr
