"""The ladder, walked by an operator and by a node itself, while players listen: nobody hears it."""

import concurrent.futures
import contextlib
import json

import pytest

import browser
import players
import signal_kit
from crowd import kill, processes
from throng import BEHIND_SECONDS, Node, command, request, wait_until

# Down and back, and for how many seconds of the programme each rung is kept: longer than its spans.
WALK = [(0, 3), (1, 3), (2, 5), (3, 8), (4, 17), (3, 8), (2, 5), (1, 3), (0, 6)]
DEEPEST = 4
RENDITIONS = ["o48", "o24", "o16", "a64", "a32"]
# Until whoever came before the walk, or when it was at its deepest, has heard it to its end and some more.
SECONDS = 52
SECONDS_FROM_DEEPEST = 28
# For some of the time the sound has a third of its bits.
STOI_MIN = 0.9
PAGES = ["page", "late page"]
# No move comes sooner after a page was opened.
STILL_SECONDS = 2
# What a second of a page that plays at 1.05x steps forward, and a little.
FASTER_STEP_MS = 70
# A lean codec codes the quietest pauses as nothing. Where no silence is put in place of what is missing (ADTS has no
# timestamps, and ffmpeg writes what it has), that would be a step.
LEAN_PAUSE_MS = 60
# Before the walk, so that every player hears all of it.
EARLY = [("ffmpeg", "live.webm"), ("mpv", "live.aac"), ("gstreamer", "live.webm"), ("vlc", "hls/main.m3u8")]
# At its deepest: with a long cushion, which the way back must leave them.
LATE = [("mpv", "live.webm"), ("vlc", "live.aac"), ("ffmpeg", "hls/main.m3u8")]


def set_ladder(node, **to):
    answer = request("PUT", f"{node.links['desk']}/api/ladder", to, node.operator)
    assert answer.status == 200, answer
    return answer.json()


def show_ladder(node):
    return request("GET", f"{node.links['desk']}/api/ladder", key=node.operator).json()


def reaches(space, rung, within=30):
    """All who serve: whichever of them answers. Each looks once a second."""
    wait_until(lambda: all(space.state()["rung"] == rung for _ in range(8)), f"rung {rung} everywhere", within)


def passes(space, seconds):
    enough = space.recorded_seconds() + seconds
    wait_until(lambda: space.recorded_seconds() >= enough, f"{seconds} s pass", seconds + 60)


@pytest.fixture
def house(tmp_path, voices):
    """A node of its own, in which Ada talks."""
    with contextlib.closing(Node(tmp_path / "data", "--rung", "0")) as node:
        space = node.live("On the ladder")
        with space.speak(1, voices["ada"]):
            passes(space, 16)
            yield node, space


def throng_hears(space, via, seconds, folder):
    """Our own command: what it reports, and what it heard."""
    out = folder / f"{via}.wav"
    done = command(
        "listen", space.listen_url, "--via", via, "--for", f"{seconds}s", "--out", out, "--json", timeout=seconds + 60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), signal_kit.read_wav(out)


def assert_unheard(who, programme, heard, seconds):
    """Nothing is missing, and nothing comes twice."""
    match = signal_kit.compare(programme, heard, looped=False)
    assert match.seconds >= seconds - 2, (who, match)
    is_lean = "live.aac" in who or who[:2] == ("ffmpeg", "hls/main.m3u8")
    pause_max_ms = LEAN_PAUSE_MS if is_lean else 0
    # A page plays in real time, and halts where the machine does; what its first seconds lack there no move has taken.
    is_halt = lambda gap: who in PAGES and (gap in match.halts or gap[0] < STILL_SECONDS)
    halts = [gap for gap in match.gaps if is_halt(gap)]
    halted_ms = sum(length_ms for _, length_ms in halts)
    assert halted_ms <= signal_kit.HALT_MAX_MS, (who, match)
    assert all(length_ms <= pause_max_ms for _, length_ms in set(match.gaps) - set(halts)), (who, match)
    # Our page plays a little faster where it has more than it needs; anything else skips or repeats sound.
    step_max_ms = halted_ms + FASTER_STEP_MS if who in PAGES else 0
    assert all(abs(step) <= step_max_ms for step in match.jumps_ms), (who, match)
    assert match.stoi >= STOI_MIN, (who, match)


@pytest.mark.alone
def test_nobody_hears_a_walk_along_the_ladder_and_back(house, chromium, tmp_path_factory):
    node, space = house
    since = max(0, space.recorded_seconds() - BEHIND_SECONDS)
    jobs, pages, paged = {}, {}, {}
    players_at_once = len(EARLY) + len(LATE) + 2
    with concurrent.futures.ThreadPoolExecutor(players_at_once) as pool, contextlib.ExitStack() as browsing:

        def opens(who):
            pages[who] = browsing.enter_context(chromium.page(space.listen_url))

        def hears(player, path, seconds):
            url, folder = f"{space.listen_url}/{path}", tmp_path_factory.mktemp("player")
            jobs[player, path, seconds] = pool.submit(players.ALL[player], url, seconds, folder)

        opens("page")
        for player, path in EARLY:
            hears(player, path, SECONDS)
        ours = {
            via: pool.submit(throng_hears, space, via, SECONDS, tmp_path_factory.mktemp("ours"))
            for via in ("progressive", "hls")
        }
        for rung, seconds in WALK:
            assert set_ladder(node, locked=True, rung=rung)["rung"] == rung
            reaches(space, rung)
            if rung == DEEPEST:
                opens("late page")
                main = space.get("hls/main.m3u8").body.decode()
                assert [rendition for rendition in RENDITIONS if f"{rendition}/media.m3u8" in main] == ["o16", "a32"]
                assert space.get("hls/o16/event.m3u8?l=newcomer").status == 503, "starting over is paused"
                for player, path in LATE:
                    hears(player, path, SECONDS_FROM_DEEPEST)
            passes(space, seconds)
        heard = {who: job.result() for who, job in jobs.items()}
        reports = {via: job.result() for via, job in ours.items()}
        for who, seconds in zip(PAGES, (SECONDS, SECONDS_FROM_DEEPEST)):
            paged[who] = browser.heard(pages[who], seconds)
            assert pages[who].complaints == []
    programme = space.recording()[int(since * signal_kit.RATE_HZ) :]
    for (player, path, seconds), samples in heard.items():
        assert_unheard((player, path), programme, samples, seconds)
    for via, (report, samples) in reports.items():
        assert report["gaps"] == [], (via, report)
        assert_unheard(via, programme, samples, SECONDS)
    for who, seconds in zip(PAGES, (SECONDS, SECONDS_FROM_DEEPEST)):
        assert_unheard(who, programme, paged[who], seconds)


@pytest.mark.aside
def test_a_node_that_is_pressed_moves_by_itself_and_says_why(tmp_path, voices):
    """Its memory is used up from the start, by the operator's own bound. It is calm while nobody listens."""
    node = Node(tmp_path / "data", "--air-workers", "0", "--memory-max", "1000000")
    space = node.live("Under pressure")
    with space.speak(1, voices["ada"]):
        passes(space, 6)
        assert space.state()["rung"] == 0
        assert space.state()["rung_reason"] is None
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            listener = pool.submit(throng_hears, space, "progressive", 30, tmp_path)
            reaches(space, DEEPEST)
            state, shown = space.state(), show_ladder(node)
            assert "memory" in state["rung_reason"], state
            assert "memory" in shown["reasons"] and not shown["locked"], shown
            assert shown["signals"]["memory_of_budget"] == 1, shown
            assert "ladder" in [alarm["kind"] for alarm in space.show()["alarms"]]
            metrics = request("GET", f"{node.links['internal']}/metrics").body.decode()
            assert 'throng_ladder_moves_total{reason="memory"}' in metrics
            assert "moved along the ladder" in node.log_text()
            told = command("ladder", "set", "1", "--server", node.links["desk"], "--data", node.data)
            assert told.returncode == 0 and "kept by the operator" in told.stdout, told
            reaches(space, 1)
            report, heard = listener.result()
        assert report["gaps"] == [], report
        assert_unheard("progressive", space.recording(), heard, 30)
    node.close()


@pytest.mark.aside
def test_an_origin_that_dies_finds_the_operators_rung_again(tmp_path):
    node = Node(tmp_path / "data")
    space = node.live("Kept")
    set_ladder(node, locked=True, rung=2)
    reaches(space, 2)
    [origin] = processes(node, "origin")
    kill(origin)

    def is_back():
        try:
            return show_ladder(node)
        except OSError:
            return None

    shown = wait_until(is_back, "the origin is back")
    wait_until(lambda: show_ladder(node)["locked"], "it has learnt")
    assert (show_ladder(node)["rung"], space.state()["rung"]) == (2, 2), shown
    node.close()
