"""Edges: the same bytes far from the origin, behind it or behind one another, and through a line that breaks."""

import concurrent.futures
import json
import signal
import socket
import subprocess
import threading

import pytest

from crowd import Crowd, Hold, assert_whole, part_path
from throng import BINARY, Node, ahead_of_others, request, wait_until

pytestmark = pytest.mark.aside

LISTENERS = 20
CUT_SECONDS = [1, 10, 60]
# The longest that a newcomer begins with.
BURST_SECONDS = 10
BACK_SECONDS = 90


class Edge:
    """`throng edge` behind an upstream."""

    def __init__(self, upstream, log, *flags, env=None, listen="127.0.0.1:0"):
        command = [BINARY, "edge", "--upstream", upstream, "--listen", listen, "--internal", "127.0.0.1:0"]
        self.log = open(log, "ab")
        self.process = ahead_of_others(
            subprocess.Popen([*command, "--json", *flags], stdout=subprocess.PIPE, stderr=self.log, env=env)
        )
        self.links = json.loads(self.process.stdout.readline())

    def listen_url(self, space):
        return f"{self.links['listen']}/s/{space.slug}"

    def get(self, space, path):
        return request("GET", f"{self.listen_url(space)}/{path}")

    def is_ready(self):
        return request("GET", f"{self.links['internal']}/readyz").status == 200

    def __enter__(self):
        wait_until(self.is_ready, "the edge knows its upstream")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, "it drains"
        self.log.close()


class Line:
    """A line to an upstream that can be cut: what goes over it is dropped, and nobody is let in."""

    def __init__(self, upstream):
        host, _, port = upstream.removeprefix("http://").partition(":")
        self.upstream = (host, int(port))
        self.door = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.door.getsockname()[1]
        self.open = True
        self.ends = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.door.accept()
            if not self.open:
                near.close()
                continue
            far = socket.create_connection(self.upstream)
            self.ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(one, other), daemon=True).start()

    def carry(self, one, other):
        try:
            while self.open and (piece := one.recv(65536)):
                other.sendall(piece)
        except OSError:
            pass
        for end in (one, other):
            end.close()

    def cut(self):
        self.open = False
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.ends = []

    def mend(self):
        self.open = True


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("origin") / "data")
    Hold(node)
    yield node
    node.close()


@pytest.fixture(scope="module")
def talk(origin, voices):
    space = origin.live("A talk far away")
    with space.speak(1, voices["ada"]):
        wait_until(lambda: space.recorded_seconds() >= BURST_SECONDS, "nobody hears any more what was before the talk")
        yield space


@pytest.fixture(scope="module")
def cuts(origin, talk, tmp_path_factory):
    """An edge that is cut off for each of these times, side by side and beside the other tests: they mostly wait."""
    with concurrent.futures.ThreadPoolExecutor(len(CUT_SECONDS)) as pool:
        folder = tmp_path_factory.mktemp("cuts")
        yield {seconds: pool.submit(cut_off, origin, talk, folder / f"{seconds}.log", seconds) for seconds in CUT_SECONDS}


@pytest.mark.usefixtures("cuts")
def test_an_edge_behind_an_edge_gives_the_same_bytes_and_counts_to_the_origin(origin, voices, tmp_path):
    # Of its own, because its listeners are counted.
    talk = origin.live("A talk farther away")
    with talk.speak(1, voices["ada"]), Edge(origin.links["internal"], tmp_path / "1.log") as near:
        with Edge(near.links["internal"], tmp_path / "2.log") as far:
            crowds = [Crowd(url, 5) for url in (talk.listen_url, near.listen_url(talk), far.listen_url(talk))]
            places = [talk.state, lambda: near.get(talk, "state.json").json(), lambda: far.get(talk, "state.json").json()]
            wait_until(lambda: all(place()["listening"] == 15 for place in places), "the sum is everywhere")
            # What stands in for a part that was late is nobody else's.
            hold = Hold(origin)
            parts = lambda seat: {part: chunk for part, chunk in list(seat.heard) if not hold.has(chunk)}
            heard = parts(crowds[0].seats[0])
            for seat in crowds[1].seats + crowds[2].seats:
                assert_whole(seat)
                here = parts(seat)
                shared = heard.keys() & here.keys()
                assert shared and all(heard[part] == here[part] for part in shared)
            for crowd in crowds:
                crowd.leave()
            for path in ("", "/hls/main.m3u8", "/hls/o48/init.mp4", "/" + part_path(max(heard))):
                urls = (talk.listen_url, near.listen_url(talk), far.listen_url(talk))
                answers = [request("GET", url + path) for url in urls]
                assert len({answer.body for answer in answers}) == 1 and answers[0].status == 200, path
                assert len({answer.header("cache-control") for answer in answers}) == 1, path
            ranged = {"Range": "bytes=0-999"}
            over = [request("GET", f"{url}/recording.mp4", headers=ranged) for url in (talk.listen_url, far.listen_url(talk))]
            assert [answer.status for answer in over] == [206, 206]
            new = origin.create("Announced just now")
            assert far.get(new, "state.json").json()["state"] == "announced", "as soon as it is there"
            waiting = Crowd(far.listen_url(new), 1)
            assert waiting.seats[0].numbers(), "its hold programme begins where somebody listens"
            waiting.leave()


def test_the_desk_gives_the_feed_to_who_has_its_key(origin, talk, tmp_path):
    refused = request("POST", f"{origin.links['desk']}/feed", b"")
    assert refused.status == 401 and b"key" in refused.body
    key = (origin.data / "feed.key").read_text().strip()
    assert (origin.data / "feed.key").stat().st_mode & 0o777 == 0o600
    with Edge(origin.links["desk"], tmp_path / "keyed.log", "--feed-key", key) as edge:
        assert edge.get(talk, "state.json").json()["state"] == "live"
        assert edge.get(talk, "recording.mp4").status == 200
        assert request("POST", f"{edge.links['listen']}/feed", b"").status == 401, "and asks for it"


@pytest.mark.parametrize("seconds", CUT_SECONDS)
def test_an_edge_is_cut_off_and_nobody_there_loses_a_number(cuts, seconds):
    cuts[seconds].result()


def cut_off(origin, talk, log, seconds):
    line = Line(origin.links["internal"])
    with Edge(line.url, log) as edge:
        listeners = Crowd(edge.listen_url(talk), LISTENERS)
        before = listeners.newest()
        line.cut()
        # The programme is its own clock: so many parts are so many seconds.
        reference = talk.state()["newest_segment"]
        goal = before + round(seconds / 0.32)
        if seconds > 2:
            listeners.hear_until(goal, seconds + BACK_SECONDS)
        else:
            wait_until(lambda: newest_part(talk) >= goal, "the programme has gone on")
        away = edge.get(talk, "recording.mp4")
        assert away.status == 503 and away.header("cache-control") == "public, max-age=1"
        line.mend()
        wait_until(edge_is_true(edge, talk), "the edge has caught up", BACK_SECONDS)
        listeners.hear_on(8)
        hold = Hold(origin)
        for seat in listeners.seats:
            assert not seat.lost
            assert_whole(seat)
            stood_in = [part for part, chunk in seat.heard if hold.has(chunk)]
            assert all(part > before for part in stood_in)
            # One second is within the patience of an edge, but not always within that of this machine.
            assert stood_in or seconds < 2
        listeners.leave()
        assert talk.state()["newest_segment"] >= reference
        # Every hole in the edge's window was filled from its upstream's.
        for part in range(before, goal + 4):
            assert edge.get(talk, part_path(part)).body == talk.get(part_path(part)).body, part


def newest_part(space):
    playlist = space.get("hls/o48/media.m3u8").body.decode()
    hint = playlist.partition('PRELOAD-HINT:TYPE=PART,URI="')[2].split('"')[0]
    segment, part, _ = hint.split(".")
    return int(segment) * 12 + int(part)


def edge_is_true(edge, space):
    def answer():
        part = newest_part(space) - 1
        return edge.get(space, part_path(part)).body == space.get(part_path(part)).body

    return answer
