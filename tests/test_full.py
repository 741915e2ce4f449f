"""A full house and players that nobody here wrote: by playlist they have places like others, and others may have room."""

import base64
import concurrent.futures
import contextlib
import hashlib

import pytest

import players
import signal_kit
from crowd import Thousands
from test_edges import Edge
from test_ladder import LEAN_PAUSE_MS
from test_queue import full
from throng import Node, free_port, wait_until

pytestmark = pytest.mark.aside

SECONDS = 16
# A player by playlist that has gone keeps his place for 16 s, and is looked for once in 4 s; then the queue is called.
IN_SECONDS = 90
# So many are called at once when they are free.
PLACES = 100
# Tickets are over a minute after the last was called.
OVER_SECONDS = 180
# An edge is asked every few seconds.
KNOWN_SECONDS = 90


def assert_heard(programme, heard):
    match = signal_kit.compare(programme, heard, looped=False)
    assert match.seconds >= SECONDS - 2, match
    assert all(length_ms <= LEAN_PAUSE_MS for _, length_ms in match.gaps), match
    assert match.jumps_ms == [], match


def test_a_listener_by_playlist_goes_on_while_a_newcomer_is_queued_who_has_his_place_afterwards(tmp_path, voices):
    with contextlib.closing(Node(tmp_path / "data", "--listeners-max", "1")) as node:
        space = node.live("By playlist")
        with space.speak(1, voices["ada"]), concurrent.futures.ThreadPoolExecutor(1) as pool:
            wait_until(lambda: space.recorded_seconds() > SECONDS, "there is a whole window")

            def plays_while_others_are_refused():
                job = pool.submit(players.ffmpeg, f"{space.listen_url}/hls/main.m3u8", SECONDS, tmp_path)
                wait_until(lambda: space.state()["listening"] == 1, "it plays")
                refused = space.get("live.aac?l=newcomer")
                assert refused.status == 503, refused
                assert space.get("hls/main.m3u8").status == 503
                told = space.get("hls/main.m3u8?l=newcomer")
                assert (told.status, told.header("cache-control")) == (503, "no-store")
                return job.result(), told.json()["ticket"]

            programme, (heard, ticket) = space.hearing(plays_while_others_are_refused)
            assert_heard(programme, heard)
            again = f"hls/main.m3u8?l=newcomer&ticket={ticket}"
            wait_until(lambda: space.get(again).status == 200, "the newcomer is in", IN_SECONDS)


@pytest.fixture
def two_houses(tmp_path, voices):
    """A house that is full with one, and an edge with room to which it sends plain players."""
    # An address of which nobody else takes ports meanwhile.
    elsewhere = f"127.0.0.71:{free_port()}"
    flags = ["--listeners-max", "1", "--air-workers", "2", "--overflow", f"http://{elsewhere}"]
    with contextlib.closing(Node(tmp_path / "data", *flags)) as node:
        space = node.live("Two houses")
        with space.speak(1, voices["ada"]):
            wait_until(lambda: space.recorded_seconds() > SECONDS, "there is a whole window")
            with full(space, 1):
                yield node, space, elsewhere


def test_plain_players_are_sent_where_there_is_room_and_others_wait_here(two_houses, tmp_path):
    node, space, elsewhere = two_houses
    plain = ["live.aac", "live.webm?rendition=o24", "hls/main.m3u8"]
    for path in plain:
        assert space.get(path).status == 503, "an edge that does not answer counts as full"
    with Edge(node.links["internal"], tmp_path / "edge.log", listen=elsewhere) as edge:
        # Each worker asks for itself, and the kernel chooses whom one meets.
        wait_until(
            lambda: all(space.get("live.aac").status == 307 for _ in range(16)),
            "all workers know that there is room elsewhere",
            KNOWN_SECONDS,
        )
        for path in plain:
            sent = wait_until(lambda path=path: (told := space.get(path)).status == 307 and told, "it is sent on", KNOWN_SECONDS)
            assert sent.header("cache-control") == "no-store", sent
            name = path.partition("?")[0]
            assert sent.header("location").startswith(f"{edge.listen_url(space)}/{name}?"), sent
            assert sent.header("access-control-allow-origin") == "*"
        for own in ["live.aac?l=1", "live.aac?ticket=x", "live.aac?sent_on=1", "hls/main.m3u8?l=1"]:
            assert space.get(own).status == 503, own
        calls = [("ffmpeg", "live.webm"), ("mpv", "live.aac"), ("ffmpeg", "hls/main.m3u8"), ("mpv", "hls/main.m3u8")]
        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:

            def plays(call):
                player, path = call
                folder = tmp_path / f"{player}-{path.partition('/')[0]}"
                folder.mkdir()
                return players.ALL[player](f"{space.listen_url}/{path}", SECONDS, folder)

            programme, heard = space.hearing(lambda: list(pool.map(plays, calls)))
        for sound in heard:
            assert_heard(programme, sound)
    wait_until(lambda: space.get("live.aac").status == 503, "nobody is sent where nobody answers", KNOWN_SECONDS)


def test_when_the_queue_is_over_anybody_can_tell_who_was_drawn(tmp_path):
    with contextlib.closing(Node(tmp_path / "data", "--listeners-max", str(PLACES))) as node:
        space = node.live("Drawn")
        inside = Thousands(space.listen_url, PLACES)
        told = [space.get("live.aac").json() for _ in range(300)]
        before = space.get("now-serving.json").json()
        assert before["last"] is None, before
        inside.leave()
        space.step("end")
        last = wait_until(lambda: space.get("now-serving.json").json()["last"], "the queue is over", OVER_SECONDS)
    assert (last["queue"], last["of"]) == (before["queue"], len(told)), last
    seed = bytes.fromhex(last["sample_seed"])
    assert hashlib.sha256(seed).hexdigest() == before["sample_commitment"]
    tickets = [base64.urlsafe_b64decode(one["ticket"] + "=" * (-len(one["ticket"]) % 4)) for one in told]
    assert sorted(int.from_bytes(ticket[:8]) for ticket in tickets) == list(range(len(told)))
    digests = [hashlib.sha256(seed + ticket[:8]).digest() for ticket in tickets]
    drawn = [digest for digest in digests if int.from_bytes(digest[:8]) < (2**64 - 1) // 1000 * 15]
    assert len(drawn) < len(told) // 10
    # The same lot says how long each has to wait, but for the first, who is next.
    dealt = [(5, 10, 20, 40)[digest[8] % 4] for digest in digests]
    assert [one["ask_again_seconds"] for one in told[1:]] == dealt[1:]
    assert f"sample_seed={last['sample_seed']}" in node.log_text(), "a restart forgets it"
