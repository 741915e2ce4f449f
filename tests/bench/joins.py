"""How soon a listener hears something, and how far behind the playhead they are."""

import json
import random
import time

import browser
from figures import VOICES, figure, node, percentile
from throng import command, wait_until

JOINS = 300
SEED = 2026
# For each way to listen; each run reports where it is at its end.
RUNS = 5
# The burst, one span, and what may come on top.
PROGRESSIVE_MS = 4_000 + 960 + 400
# hls.js needs a while to come to its place.
SETTLED_SECONDS = 20


def listen(space, via, seconds):
    done = command("listen", space.listen_url, "--via", via, "--for", seconds, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def first_sounds(space):
    chance = random.Random(SEED)
    first_ms = []
    for _ in range(JOINS):
        # Anywhere within a part.
        time.sleep(chance.uniform(0, 0.32))
        first_ms.append(listen(space, "progressive", "20ms")["first_sound_ms"])
    figure("progressive joins", JOINS)
    figure("first sound p50", f"{percentile(first_ms, 50)} ms")
    figure("first sound p99", f"{percentile(first_ms, 99)} ms", "target <= 150 ms")
    figure("first sound, longest", f"{max(first_ms)} ms")


def first_of_all(space):
    """Nobody has listened before: the hold programme of the space stands still until now. Sound there is to be had."""
    wait_until(lambda: space.state()["newest_segment"] is not None, "the space is older than its first segment")
    first_ms = listen(space, "progressive", "20ms")["first_sound_ms"]
    figure("first sound of the first listener of an announced space", f"{first_ms} ms", "target <= 150 ms")


def behind(space, via, target_ms):
    reports = [listen(space, via, "6s") for _ in range(RUNS)]
    worst_ms = max(report["behind_playhead_ms"] for report in reports)
    gaps = sum(len(report["gaps"]) for report in reports)
    figure(f"behind the playhead, {via}, worst of {RUNS}", f"{worst_ms:.0f} ms", f"target <= {target_ms} ms")
    figure(f"gaps heard, {via}", gaps)


def behind_hls_js(space):
    """A stranger's page: the programme's own date of what it plays, against the clock."""
    pages = browser.PageServer()
    with browser.started() as playwright:
        chromium = browser.Browser(playwright)
        with chromium.page(pages.url("hls.html", url=f"{space.listen_url}/hls/main.m3u8"), tapped=False) as page:
            wait_until(lambda: page.evaluate("document.querySelector('audio').currentTime > 0"), "hls.js plays", 60)
            page.wait_for_timeout(SETTLED_SECONDS * 1000)
            behind_ms = []
            for _ in range(20):
                page.wait_for_timeout(250)
                behind_ms.append(page.evaluate("Date.now() - player.playingDate.getTime()"))
        chromium.close()
    pages.close()
    figure("behind the playhead, hls.js, p95", f"{percentile(behind_ms, 95)} ms", "target <= 1800 ms")


with node() as serving:
    first_of_all(serving.create())
    space = serving.live()
    with space.speak(1, VOICES / "01-ada.flac"):
        first_sounds(space)
        behind(space, "progressive", PROGRESSIVE_MS)
        behind(space, "hls", 1_800)
        behind(space, "whep", 250)
        behind_hls_js(space)
