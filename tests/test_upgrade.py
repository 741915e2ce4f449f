"""An operator replaces the program while people listen and speak: nobody is refused, and nobody hears a gap."""

import contextlib
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request

import pytest

from crowd import Crowd, Hold, Thousands, assert_whole
from fragments import chunks
from throng import BINARY, PATIENCE_SECONDS, Answer, lowered, wait_until
from upgrading import Newcomers, children, own_program, put, upgrade

WORKERS = 2
LISTENERS = 100
# `throng rehearse`: most by an endless answer, some by playlist.
REHEARSED = 300


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    node = own_program(tmp_path_factory.mktemp("upgrade"), "--air-workers", str(WORKERS))
    Hold(node)
    yield node
    node.close()


@pytest.fixture(scope="module")
def talk(house, voices):
    space = house.live("A talk that outlives its program")
    with space.speak(1, voices["ada"]):
        yield space


def test_a_new_program_takes_over_and_nobody_is_refused_or_hears_a_gap(house, talk):
    listeners = Crowd(talk.listen_url, LISTENERS, comes_back=True)
    thousands, newcomers = Thousands(talk.listen_url, REHEARSED), Newcomers(talk)
    supervisor, epoch = house.process.pid, talk.state()["epoch"]
    upgrade(house)
    listeners.hear_on(12)
    assert house.process.poll() is None and house.process.pid == supervisor, "the process that an operator knows"
    for seat in listeners.seats:
        assert seat.lost, "each was sent away at some time"
        assert_whole(seat)
    assert talk.state()["epoch"] == epoch
    wait_until(lambda: talking(talk), "the speaker talks again")
    assert newcomers.leave() == [], "nobody was refused"
    listeners.leave()
    said = thousands.leave()
    assert said["gaps"]["count"] == 0 and said["refused_by_reason"] == {}, said
    assert (said["joined"], said["failed"]) == (REHEARSED, 0), said
    assert set(said["troubles"]) <= {"connection closed"}, said


def talking(space):
    with contextlib.suppress(OSError):
        return space.is_talking(1)
    return False


def test_who_comes_back_goes_on_where_he_stopped(talk):
    first = hear(talk, "", 13)
    newest = first[-1]
    for step in (1, -5, -10):
        cursor = newest + step
        again = hear(talk, f"?from={cursor}", 25)
        assert again == list(range(cursor, cursor + 25)), "nothing is missing, and nothing comes twice"
        newest = again[-1]
    assert hear(talk, "?from=0", 13)[0] > 0, "out of reach: the newest sound, as for everybody"


def hear(space, query, parts):
    """The numbers of the first parts of a stream."""
    with urllib.request.urlopen(f"{space.listen_url}/live.mp4{query}", timeout=90) as answer:
        return [part for (part, _), _ in zip(chunks(answer), range(parts))]


def test_a_program_that_cannot_take_over_changes_nothing(house, talk, tmp_path):
    before = children(house)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho never 1>&2\nexit 0\n")
    broken.chmod(0o755)
    put(house, broken)
    log = len(house.log_text())
    house.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: "cannot take over" in house.log_text()[log:], "the log says so")
    assert children(house) == before and talk.state()["state"] == "live"
    upgrade(house)


def test_who_is_sent_away_by_a_node_that_stops_is_told_to_come_again(tmp_path, voices):
    """SIGTERM stops admission, and sends people away one after the other; a second one does not wait."""
    node = own_program(tmp_path / "stops", "--air-workers", "1")
    try:
        space = node.live("A talk that ends early")
        # So many that it takes some seconds.
        crowd = Thousands(space.listen_url, 10_000)
        node.process.send_signal(signal.SIGTERM)
        refused = wait_until(lambda: refusal(space), "newcomers are told to come again")
        assert int(refused.header("retry-after")) > 0 and b"restarted" in refused.body
        assert space.state()["state"] == "live", "who is in is served as before"
        assert node.process.wait(PATIENCE_SECONDS) == 0
        crowd.leave()
    finally:
        node.close()


def refusal(space):
    try:
        with urllib.request.urlopen(f"{space.listen_url}/live.mp4", timeout=90):
            return None
    except urllib.error.HTTPError as error:
        return Answer(error.code, lowered(error.headers), error.read()) if error.code == 503 else None


def test_the_version_before_reads_what_a_newer_one_wrote(tmp_path):
    node = own_program(tmp_path / "rollback", "--air-workers", "1")
    try:
        space = node.live("A talk that was upgraded")
        node.stop()
        with contextlib.closing(sqlite3.connect(node.data / "throng.db")) as store, store:
            store.execute("ALTER TABLE spaces ADD COLUMN colour TEXT")
            store.execute(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)"
                " VALUES (9999, 'colours', TRUE, x'00', 0)"
            )
        node.start()
        assert space.state()["title"] == "A talk that was upgraded"
        node.stop()
        with contextlib.closing(sqlite3.connect(node.data / "throng.db")) as store, store:
            store.execute("PRAGMA user_version = 9999")
        serve = [BINARY, "serve", "--listen", "127.0.0.1:0", "--desk", "127.0.0.1:0", "--internal", "127.0.0.1:0"]
        refused = subprocess.run([*serve, "--data", node.data], capture_output=True, text=True, timeout=90)
        assert refused.returncode == 1 and "9999" in refused.stderr, refused.stderr
    finally:
        node.close()
