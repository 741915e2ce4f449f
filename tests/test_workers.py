"""A node of several processes: whichever is killed, the listeners of the others notice nothing, and all hear on."""

import concurrent.futures
import contextlib
import http.client
import os
import signal
import socket
import threading
import urllib.parse

import pytest

from crowd import Crowd, Hold, Outage, Thousands, assert_whole, kill, part_path, processes
from throng import Node, command, free_port, request, wait_until

WORKERS = 2
# Looked at part by part, and those of whom only their connections are.
LISTENERS = 200
THOUSANDS = 10_000
# At once, each for a moment.
NEWCOMERS = 20
# Enough to know that it plays.
HOLD_PARTS = 8
BACK_SECONDS = 90


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("workers") / "data", "--air-workers", str(WORKERS))
    Hold(node)
    yield node
    node.close()


@pytest.fixture(scope="module")
def talk(house, voices):
    space = house.live("A talk in a full house")
    with space.speak(1, voices["ada"]):
        yield space


def test_a_node_is_an_origin_and_its_workers(house):
    assert len(processes(house, "origin")) == 1
    assert len(processes(house, "air-worker")) == WORKERS


def test_all_workers_show_the_sum_of_their_listeners(house, talk):
    crowd = Crowd(talk.listen_url, 40)
    # Each request may meet another worker; and `listening` counts who was given audio in the last ten seconds.
    wait_until(lambda: all(talk.state()["listening"] == 40 for _ in range(8)), "the sum is everywhere")
    assert talk.show()["listening"] == 40, "and at the desk"
    assert talk.state()["joined"] >= 40
    crowd.leave()
    wait_until(lambda: talk.state()["listening"] == 0, "they have left")


def test_what_a_worker_does_not_have_comes_from_the_origin(talk):
    wait_until(lambda: talk.recorded_seconds() > 1, "something is recorded")
    whole = talk.get("recording.mp4")
    assert whole.status == 200 and whole.header("accept-ranges") == "bytes"
    part = talk.get("recording.mp4", headers={"Range": "bytes=100-199"})
    assert part.status == 206 and part.body == whole.body[100:200]
    assert request("OPTIONS", talk.whep_url).status < 300
    assert request("GET", f"{talk.listen_url}-unknown").status == 404
    assert request("GET", f"{talk.node.links['listen']}/api/spaces", key=talk.node.operator).status == 404, "no desk here"


def test_the_origin_dies_and_everybody_hears_on(house, talk):
    """DESIGN.md section 2: an orphaned worker keeps its listeners, plays the hold loop, and resumes."""
    hold, thousands = Hold(house), Thousands(talk.listen_url, THOUSANDS)
    listeners = Crowd(talk.listen_url, LISTENERS)
    before = listeners.newest()

    def hears_hold(seat):
        return sum(hold.has(chunk) for _, chunk in list(seat.heard)[-4 * HOLD_PARTS :]) >= HOLD_PARTS

    with Outage(house):
        wait_until(lambda: all(map(hears_hold, listeners.seats)), "everybody hears the hold loop", BACK_SECONDS)
        stand_in = listeners.newest()
        answer = talk.get(part_path(stand_in))
        assert answer.status == 200 and hold.has(answer.body)
        assert answer.header("cache-control") == "no-store", "a stand-in is not the part of its name"
        away = talk.get("recording.mp4")
        assert away.status == 503 and away.header("cache-control") == "public, max-age=1", away
        assert b"away" in away.body, "and says why"

    wait_until(lambda: back(talk), "the speaker talks again", BACK_SECONDS)
    listeners.hear_on(8)
    for seat in listeners.seats:
        assert not seat.lost, "no connection is lost"
        assert_whole(seat)
    newest = listeners.seats[0].heard[-1]
    assert not hold.has(newest[1]), "the talk, and not the hold loop"
    assert newest[1] == talk.get(part_path(newest[0])).body
    # What stood in is silence in the recording, and true from now on.
    true = talk.get(part_path(stand_in))
    assert not hold.has(true.body) and "immutable" in true.header("cache-control")
    assert stand_in > before
    listeners.leave()
    said = thousands.leave()
    assert (said["joined"], said["lost"], said["failed"]) == (THOUSANDS, 0, 0), said
    assert said["refused_by_reason"] == said["troubles"] == {}, said


def back(space):
    with contextlib.suppress(OSError):
        return space.is_talking(1)
    return False


def test_a_worker_dies_and_only_its_own_listeners_come_back(house, talk):
    listeners = Crowd(talk.listen_url, LISTENERS, comes_back=True)
    victim = processes(house, "air-worker")[0]
    kill(victim)
    wait_until(lambda: any(seat.lost for seat in listeners.seats), "its listeners have noticed")
    listeners.hear_on(12)
    lost = [seat for seat in listeners.seats if seat.lost]
    assert 0 < len(lost) < LISTENERS, "each worker had some"
    for seat in listeners.seats:
        # The burst reaches back over what was missed meanwhile.
        assert_whole(seat)
    wait_until(lambda: len(processes(house, "air-worker")) == WORKERS, "it was started again")
    assert victim not in processes(house, "air-worker")
    listeners.leave()


def test_a_worker_that_is_stopped_turns_nobody_away(house, talk):
    """Whoever comes meanwhile, on a connection of his own, is answered: by the one that ends or by the other."""
    listeners = Crowd(talk.listen_url, LISTENERS, comes_back=True)
    victim, answers, over = processes(house, "air-worker")[0], [], threading.Event()

    def ask():
        while not over.is_set():
            answers.append(talk.get("state.json").status)

    with concurrent.futures.ThreadPoolExecutor(NEWCOMERS) as newcomers:
        asking = [newcomers.submit(ask) for _ in range(NEWCOMERS)]
        try:
            wait_until(lambda: len(answers) > 10 * NEWCOMERS, "they come and go")
            os.kill(victim, signal.SIGTERM)
            wait_until(lambda: not is_alive(victim), "it has ended")
            served = len(answers)
            wait_until(lambda: len(answers) > served + 10 * NEWCOMERS, "they still come and go")
        finally:
            over.set()
        for one in asking:
            assert one.exception() is None, "nobody is turned away"
    assert set(answers) == {200}
    listeners.hear_on(12)
    assert 0 < sum(seat.lost for seat in listeners.seats) < LISTENERS, "only its own came back"
    for seat in listeners.seats:
        assert_whole(seat)
    wait_until(lambda: len(processes(house, "air-worker")) == WORKERS, "it was started again")
    listeners.leave()


def test_the_doors_balance(tmp_path):
    """Invariant 6: in = served + refused + failed + pending, per door, per second."""
    node = Node(tmp_path / "data", "--air-workers", str(WORKERS))
    try:
        # Not `live`, which looks at `state.json`: each look is an arrival.
        space = node.create("A counted talk")
        space.step("go-live")
        listeners = Crowd(space.listen_url, 10)
        for _ in range(20):
            assert request("GET", space.listen_url).status == 200
            assert space.get("hls/o48/media.m3u8").status == 200
        for _ in range(7):
            assert request("GET", f"{node.links['listen']}/nowhere").status == 404
        misbehave(node)
        listeners.leave()
        books = wait_until(lambda: closed_books(node), "everybody has left the books")
        total = {door: sums(books, door) for door in ("audio", "connection", "page", "playlist", "stream")}
        refused = total["connection"]["refused"]
        assert (refused["left"], refused["malformed"]) == (20, 20), "who asked for nothing"
        assert total["stream"]["arrived"] == total["stream"]["admitted"] == 10
        assert total["stream"]["closed"] == {"ended": 0, "left": 10, "stopped": 0}
        heard = sum(len(seat.heard) for seat in listeners.seats)
        assert total["stream"]["delivered_samples"] >= heard * 15_360
        assert (total["playlist"]["arrived"], total["playlist"]["admitted"]) == (20, 20)
        assert total["page"]["refused"]["absent"] == 7
        assert total["page"]["arrived"] == 20 + 7
        for door in total.values():
            assert door["arrived"] == door["admitted"] + sum(door["refused"].values()) + door["failed"]
            assert door["admitted"] == sum(door["closed"].values())
        for worker in books:
            for door in total:
                by_second = [second["doors"][door]["arrived"] for second in worker["seconds"]]
                assert sum(by_second) == worker["doors"][door]["arrived"]
    finally:
        node.close()


def misbehave(node):
    """Who says nothing, half a word, nonsense, or names no host (RFC 9112 section 3.2)."""
    address = urllib.parse.urlsplit(node.links["listen"])
    for words in (b"", b"GET / HT", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n") * 10:
        with socket.create_connection((address.hostname, address.port)) as line:
            line.sendall(words)
            line.shutdown(socket.SHUT_WR)
            while line.recv(4096):
                pass


def closed_books(node):
    """The books of every worker, once all ten streams are closed in them and nothing is open."""
    books = request("GET", f"{node.links['internal']}/ledger.json").json()["workers"]
    streams = [worker["doors"]["stream"] for worker in books]
    left = sum(stream["closed"]["left"] for stream in streams) == 10
    doors = [door for worker in books for door in worker["doors"].values()]
    return books if left and not any(door["pending"] or door["held"] for door in doors) else None


def sums(books, door):
    total = {}
    for worker in books:
        for name, value in worker["doors"][door].items():
            if isinstance(value, dict):
                old = total.get(name, dict.fromkeys(value, 0))
                total[name] = {key: old[key] + value[key] for key in value}
            else:
                total[name] = total.get(name, 0) + value
    return total


def test_the_supervisor_dies_and_nothing_is_in_the_way_of_the_next(tmp_path):
    node = Node(tmp_path / "data", "--air-workers", str(WORKERS))
    try:
        space = node.live("A talk that goes on")
        epoch = space.state()["epoch"]
        children = processes(node, "origin") + processes(node, "air-worker")
        assert len(children) == 1 + WORKERS
        node.kill()
        node.start()
        assert space.state()["epoch"] == epoch and space.state()["state"] == "live"
        wait_until(lambda: not any(is_alive(pid) for pid in children), "the children of the first are gone")
        assert node.stop() == 0, "and it drains"
        assert processes(node, "origin") == []
    finally:
        node.close()


def test_those_inside_come_back_before_newcomers_when_the_whole_node_dies(tmp_path):
    # Three beyond the last are for those who come back; one ticket in 67 is drawn, and may go straight through.
    places, strangers = 48, 5
    node = Node(tmp_path / "data", "--air-workers", str(WORKERS), "--listeners-max", str(places))
    with contextlib.ExitStack() as lines:
        lines.callback(node.close)
        space = node.live("A talk that many hear")
        ask = lambda player: lines.enter_context(asked(space, player))
        wait_until(lambda: ask("0") == 200, "the doors are open")
        assert {ask(str(player)) for player in range(1, places)} == {200}
        assert ask("late") == 503
        inside = node.data / "inside"
        wait_until(lambda: inside.exists() and inside.stat().st_size == 8 + 8 * places, "it is known who is inside")
        node.kill()
        node.start()
        wait_until(lambda: space.state()["state"] == "live", "it goes on")
        assert sum(ask(f"stranger {n}") == 200 for n in range(strangers)) <= 3
        assert [ask(str(player)) for player in range(places)] == [200] * places
        assert ask("stranger") == 503


@contextlib.contextmanager
def asked(space, player):
    """Somebody's stream, by the number that his player made up, for as long as he stays; what he was told."""
    where = urllib.parse.urlsplit(space.listen_url)
    line = http.client.HTTPConnection(where.netloc, timeout=90)
    with contextlib.closing(line):
        line.request("GET", f"{where.path}/live.mp4?l={urllib.parse.quote(player)}")
        with line.getresponse() as answer:
            yield answer.status


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_port_for_all_is_served_by_workers_too(tmp_path, voices):
    address = f"127.0.0.1:{free_port()}"
    node = Node(tmp_path / "data", "--air-workers", str(WORKERS), listen=address, desk=address)
    try:
        assert node.links["listen"] == node.links["desk"] == f"http://{address}"
        assert request("GET", f"http://{address}/studio").status == 200
        space = node.live("A talk at one port")
        with space.speak(1, voices["ada"]):
            listeners = Crowd(space.listen_url, 4)
            listeners.leave()
    finally:
        node.close()


def test_a_node_keeps_to_its_certificate_whatever_becomes_of_the_file(tmp_path):
    certificate, node = tmp_path / "capacity.json", Node(tmp_path / "data", "--air-workers", "2")
    try:
        Hold(node)
        space = node.create()
        shape = ["--listeners", 20, "--stay", "2s", "--data", node.data]
        rehearsed = command("rehearse", space.listen_url, *shape, "--certificate", certificate)
        assert rehearsed.returncode == 0, rehearsed.stderr
        node.stop()
        node.flags += ("--certificate", certificate)
        node.start()
        assert space.show()["capacity"] == {"slots": 20, "egress_bits": None, "rehearsed": 20}
        certificate.unlink()
        origin = processes(node, "origin")[0]
        kill(origin)
        wait_until(lambda: processes(node, "origin") not in ([], [origin]), "another origin is there")
        wait_until(lambda: capacity(space) == {"slots": 20, "egress_bits": None, "rehearsed": 20}, "it answers", BACK_SECONDS)
    finally:
        node.close()


def capacity(space):
    with contextlib.suppress(OSError):
        return space.show()["capacity"]
    return None
