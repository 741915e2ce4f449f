"""A disk or database that fails under a live space: listeners notice nothing, the host is told, the recording heals."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from disks import (
    STORE,
    Ear,
    FaultyDisk,
    Journal,
    closed,
    ended,
    live,
    locked,
    metric,
    node_on,
    raised,
    recorded,
    refused,
    silences,
    titles,
    try_create,
)
from throng import wait_until

pytestmark = pytest.mark.aside

# What waits for the disk is bounded by 96 s; none of these lasts so long.
FAULTS = {
    "full": ("full", 0, "is full"),
    "failing to flush": ("sync-fails", 0, "fails"),
    "slow": ("sync-slow", 5_000, "slow or stuck"),
    "torn": ("torn", 60, "fails"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A node on a disk that can fail, with a live space and its listener."""
    folder = tmp_path_factory.mktemp("disks")
    disk = FaultyDisk(folder)
    node = node_on(folder / "data", disk)
    try:
        space, ear = live(node)
        yield disk, node, space, ear
        ear.stop()
    finally:
        disk.well()
        node.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_disk_is_told_and_costs_neither_listeners_nor_the_recording_a_part(world, fault):
    disk, node, space, ear = world
    kind, number, words = FAULTS[fault]
    suffered = silences(node)
    with disk.failing(kind, number):
        alarm, _ = raised(space, "recording")
        assert words in alarm["detail"], alarm
        ear.hears_on()
    ended(space, "recording")
    journal = recorded(node, space, ear.newest())
    assert journal.lacks(ear.given) == set() and not journal.gaps
    assert journal.otherwise(ear.given) == set() and journal.spoilt() == set()
    assert ear.gaps() == [] and ear.connections == 1
    assert silences(node) == suffered
    assert metric(node, 'throng_alarms{kind="recording"}') == 0


def test_while_the_database_is_locked_changes_are_refused_and_nothing_else_is(world, voices):
    _, node, space, ear = world
    with locked(node):
        # Each waits its turn for some seconds before it is refused.
        with ThreadPoolExecutor() as hosts:
            asked = [hosts.submit(try_create, node, "Kept from the database"), hosts.submit(space.try_step, "end")]
        answers = [answer.result() for answer in asked]
        assert all(map(refused, answers)), answers
        assert "locked" in answers[0].json()["detail"]
        raised(space, "store")
        ear.hears_on()
        with space.speak(1, voices["ada"]):
            assert space.is_talking(1), "a speaker who is known comes in"
    ended(space, "store")
    assert space.state()["state"] == "live"
    assert "Kept from the database" not in titles(node)
    assert try_create(node, "Kept by the database").status == 201
    assert ear.gaps() == [] and ear.connections == 1


def test_while_the_disk_takes_no_writes_changes_are_refused_and_none_is_lost(world):
    disk, node, space, ear = world
    with disk.failing("read-only", 0, STORE):
        # Again and again: what fails must not spoil what comes after.
        for _ in range(8):
            answers = [try_create(node, "On a disk that takes nothing"), space.try_step("end")]
            assert all(map(refused, answers)), answers
        raised(space, "store")
        ear.hears_on()
    ended(space, "store")
    assert try_create(node, "After the disk took nothing").status == 201
    node.kill()
    node.start()
    assert space.state()["state"] == "live"
    assert {"Kept by the database", "After the disk took nothing"} <= titles(node)
    assert "On a disk that takes nothing" not in titles(node)


def test_a_crash_on_a_full_disk_leaves_the_programme_on_air_and_a_marked_gap(world):
    disk, node, space, _ = world
    with disk.failing("full"):
        raised(space, "recording")
        before = Journal(node, space).parts[-1]
        node.kill()
        node.start()
        ear = Ear(space)
        ear.hears_on()
        raised(space, "recording")
        assert Journal(node, space).parts[-1] == before
    ended(space, "recording")
    journal = recorded(node, space, ear.newest())
    ear.stop()
    assert journal.spoilt() == set() and before + 1 in journal.gaps
    heard = {part: sha256 for part, sha256 in ear.given.items() if part not in journal.gaps}
    assert heard and journal.otherwise(heard) == set()
    wait_until(lambda: space.get("recording.mp4").status == 200, "the recording plays")


def test_a_node_starts_beside_a_lock_and_waits_for_one_that_keeps_readers_out(world):
    _, node, space, _ = world
    with locked(node):
        node.kill()
        node.start()
        assert space.state()["state"] == "live" and refused(try_create(node, "Kept from the database again"))
    node.kill()
    with ThreadPoolExecutor() as meanwhile:
        with closed(node):
            starting = meanwhile.submit(node.start)
            wait_until(lambda: "another program holds the database locked" in node.log_text(), "the node says why")
            assert not starting.done()
        starting.result()
    assert space.state()["state"] == "live" and try_create(node, "After a lock that kept readers out").status == 201
