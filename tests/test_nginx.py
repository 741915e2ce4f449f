"""nginx in front of a node, with the file that operators are given: all that people do goes through it."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import socket
import ssl
import subprocess
import urllib.parse

import pytest

import browser
import players
import signal_kit
from crowd import PARTS_PER_SEGMENT, part_path
from figures import certificate
from test_full import SECONDS, assert_heard
from throng import PATIENCE_SECONDS, Node, free_port, request, wait_until

pytestmark = pytest.mark.aside

GIVEN = pathlib.Path(__file__).resolve().parent.parent / "docs" / "operate" / "nginx.conf"
AROUND = """
daemon off;
pid {folder}/nginx.pid;
user {user};
error_log {folder}/error.log;
events {{}}
http {{
    log_format by_cache "$status $upstream_cache_status $request_uri";
    access_log {folder}/access.log by_cache;
    include {folder}/throng.conf;
}}
"""
ASKERS = 20
# One of which nobody else takes ports meanwhile.
ADDRESS = "127.0.0.72"


class Proxied:
    """A node behind nginx: by its links nobody sees that there is a node."""

    def __init__(self, folder, cert, key, *flags):
        self.folder = folder
        near, far = ({name: f"{ADDRESS}:{free_port()}" for name in ("listen", "desk")} for _ in range(2))
        conf = GIVEN.read_text().replace("127.0.0.1:8080", near["listen"]).replace("127.0.0.1:8081", near["desk"])
        doors = iter(far.values())
        conf = re.sub(r"listen 443", lambda _: f"listen {next(doors)}", conf)
        conf = conf.replace("/etc/ssl/throng/cert.pem", cert).replace("/etc/ssl/throng/key.pem", key)
        (folder / "throng.conf").write_text(conf.replace("/var/cache/nginx", str(folder)))
        user = "root" if os.geteuid() == 0 else "nobody"
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
        self.nginx = subprocess.Popen(["nginx", "-e", folder / "error.log", "-c", folder / "nginx.conf"])
        public = ["--public-url", f"https://{far['listen']}", "--desk-url", f"https://{far['desk']}"]
        self.node = Node(folder / "data", *public, *flags, listen=near["listen"], desk=near["desk"])
        wait_until(self.is_there, "nginx is there")

    def is_there(self):
        with contextlib.suppress(OSError):
            return request("GET", f"{self.node.links['desk']}/studio").status == 200
        return False

    def asked(self, path):
        """What the cache made of each request for it."""
        lines = (self.folder / "access.log").read_text().splitlines()
        return [line.split()[1] for line in lines if line.split()[2] == path]

    def close(self):
        self.node.close()
        self.nginx.terminate()
        self.nginx.wait()


@pytest.fixture(scope="module")
def sealed():
    """A certificate and its key."""
    with certificate(ADDRESS) as (_, cert, _, key):
        yield str(cert), str(key)


@pytest.fixture(scope="module")
def proxied(sealed, tmp_path_factory):
    with contextlib.closing(Proxied(tmp_path_factory.mktemp("proxied"), *sealed)) as house:
        yield house


@pytest.fixture(scope="module")
def talk(proxied, voices):
    """A live space whose speaker came through the proxy; his sound did not."""
    space = proxied.node.live("Behind a proxy")
    assert space.listen_url.startswith("https://")
    with space.speak(1, voices["ada"]):
        wait_until(lambda: space.recorded_seconds() > SECONDS, "there is a whole window")
        yield space


@pytest.mark.parametrize("path", ["live.webm", "live.aac", "hls/main.m3u8"])
def test_players_hear_through_it_what_is_recorded(talk, path, tmp_path):
    programme, heard = talk.hearing(lambda: players.ffmpeg(f"{talk.listen_url}/{path}", SECONDS, tmp_path))
    assert_heard(programme, heard)


def test_a_part_that_many_ask_for_before_it_is_there_is_asked_for_once(proxied, talk):
    number = (talk.state()["newest_segment"] + 2) * PARTS_PER_SEGMENT
    path = part_path(number)
    with concurrent.futures.ThreadPoolExecutor(ASKERS) as pool:
        answers = list(pool.map(lambda _: talk.get(path), range(ASKERS)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    whole = f"/s/{talk.slug}/{path}"
    wait_until(lambda: len(proxied.asked(whole)) == ASKERS, "all are in the log")
    assert sorted(proxied.asked(whole)) == ["HIT"] * (ASKERS - 1) + ["MISS"]


def test_a_recording_is_read_in_ranges(talk):
    talk.recording()
    answer = talk.get("recording.mp4", headers={"Range": "bytes=100-199"})
    assert (answer.status, len(answer.body)) == (206, 100)


def test_the_listeners_page_plays_in_a_browser(talk, chromium):
    with chromium.page(talk.listen_url) as page:
        heard = browser.heard(page, SECONDS / 2)
    assert signal_kit.is_present(signal_kit.speech("ada"), heard)


def test_each_who_finds_the_house_full_has_a_ticket_of_his_own(sealed, tmp_path):
    with contextlib.closing(Proxied(tmp_path, *sealed, "--listeners-max", "1")) as house:
        space = house.node.live("A full house")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            inside = pool.submit(signal_kit.decode, f"{space.listen_url}/live.webm?l=inside", SECONDS)
            wait_until(lambda: space.state()["listening"] == 1, "somebody is in")
            told = [space.get(f"hls/main.m3u8?l={who}") for who in ("first", "second")]
            assert [answer.status for answer in told] == [503, 503]
            assert len({answer.json()["ticket"] for answer in told}) == 2
            assert all(answer.header("retry-after") for answer in told)
            inside.result()


def stream(link, source, path, forwarded=None):
    """Begins to hear a stream from an address of this machine. What the engine does not know, the ordinary server answers."""
    where = urllib.parse.urlsplit(link)
    line = socket.create_connection((where.hostname, where.port), timeout=PATIENCE_SECONDS, source_address=(source, 0))
    if where.scheme == "https":
        line = ssl.create_default_context().wrap_socket(line, server_hostname=where.hostname)
    claim = f"X-Forwarded-For: {forwarded}\r\n" if forwarded else ""
    line.sendall(f"GET {path}/live.webm?who=me HTTP/1.1\r\nHost: a\r\n{claim}\r\n".encode())
    assert line.recv(12) == b"HTTP/1.1 200"
    return line


def test_listeners_behind_it_come_from_their_own_networks_and_nobody_invents_one(sealed, tmp_path):
    flags = ["--air-workers", "0", "--trusted-proxy", "127.0.0.1"]
    with contextlib.closing(Proxied(tmp_path, *sealed, *flags)) as house:
        space = house.node.create("A house of networks")
        path = urllib.parse.urlsplit(space.listen_url).path

        def networks():
            text = request("GET", f"{house.node.links['internal']}/metrics").body.decode()
            return float(re.search(r'^throng_guest_networks{at="audience"} (\S+)$', text, re.M)[1])

        with contextlib.ExitStack() as lines:
            def comes(*who):
                lines.enter_context(contextlib.closing(stream(*who)))

            comes(space.listen_url, "127.1.1.1", path)
            wait_until(lambda: networks() == 1, "one has come")
            comes(space.listen_url, "127.1.1.2", path)
            comes(space.listen_url, "127.1.2.1", path, "203.0.113.1")
            wait_until(lambda: networks() == 2, "another has come from elsewhere")
            # Past the proxy, from an address that is nobody's proxy.
            near = f"http://{house.node.listen}"
            comes(near, "127.1.3.1", path, "203.0.113.1")
            comes(near, "127.1.3.1", path, "198.51.100.1")
            wait_until(lambda: networks() == 3, "whatever he says")
        wait_until(lambda: networks() == 0, "all have gone")
