"""A space ends after two hours: how soon its replay plays, and how well players find their way in it.

The two hours are made by running the timeline faster than real time; then an ordinary node takes the folder up.
"""

import datetime
import json
import pathlib
import re
import shutil
import subprocess
import threading

import browser
import players
import signal_kit
from figures import Clock, at_rest, example, figure, folder
from throng import Node, Space, request, wait_until

PART_SAMPLES, SAMPLES_PER_MS = 15_360, 48
SEEK_SECONDS = 3600 + 59 * 60
# Files in memory need no disk to confirm forty thousand flushes.
IN_MEMORY = pathlib.Path("/dev/shm")


def made(place):
    """The folder with a space that is live for two hours."""
    scratch = IN_MEMORY if IN_MEMORY.is_dir() else place
    clock, fresh = Clock(), scratch / f"throng-{place.name}"
    try:
        print(f"made {json.loads(example('two_hours', fresh))['parts']} parts in {clock.ms() / 1000:.0f} s", flush=True)
        shutil.copytree(fresh, place / "data")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return place / "data"


def taken_up(data):
    clock = Clock()
    node = Node(data)
    figure("restart over a two-hour archive, to its links", f"{clock.ms():.0f} ms")
    links = {"slug": "two-hours", "listen_url": f"{node.links['listen']}/s/two-hours", "speaker_urls": []}
    space = Space(node, {**links, "host_url": f"#key={node.operator}"})
    newest = space.state()["newest_segment"]
    wait_until(lambda: space.state()["newest_segment"] > newest, "the programme goes on")
    at_rest(node)
    return space


def ended(space):
    """Ends it, and watches from outside until each answer is the replay's."""
    ready_ms, pressed = {}, Clock()

    def watch(what, is_ready):
        wait_until(is_ready, what)
        ready_ms[what] = pressed.ms()

    watches = {
        "state.json": lambda: space.state()["state"] == "ended",
        "replay.m3u8": lambda: b"#EXT-X-ENDLIST" in space.get("hls/o48/replay.m3u8").body,
        "page": lambda: b'"state":"ended"' in request("GET", space.listen_url).body,
        "recording.mp4": lambda: space.state()["state"] == "ended" and is_there(space),
    }
    threads = [threading.Thread(target=watch, args=item) for item in watches.items()]
    for thread in threads:
        thread.start()
    pressed.start()
    space.step("end")
    for thread in threads:
        thread.join()
    for what, milliseconds in ready_ms.items():
        figure(f"{what} after end was pressed", f"{milliseconds:.0f} ms", "target <= 1000 ms")


def is_there(space):
    return space.get("recording.mp4", headers={"Range": "bytes=0-65535"}).status == 206


def moment_ms(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(moment.timestamp() * 1000)


def lengths(space):
    """All that says how long it is must say the same, to the sample."""
    state = space.state()
    samples = (moment_ms(state["ended_at"]) - moment_ms(state["started_at"])) * SAMPLES_PER_MS
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=duration_ts", "-of", "csv=p=0"]
        + [f"{space.listen_url}/recording.mp4"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    playlist = space.get("hls/o48/replay.m3u8").body.decode()
    seconds = [float(text) for text in re.findall(r"#EXTINF:([0-9.]+)", playlist)]
    figure("length", f"{samples} samples")
    figure("off that, recording.mp4 by ffprobe", f"{abs(int(probed.stdout) - samples)} samples", "<= 0 samples")
    figure("off that, replay.m3u8", f"{abs(round(sum(seconds) * 48_000) - samples)} samples", "<= 0 samples")
    names = [line for line in playlist.splitlines() if line and not line.startswith("#")]
    for which, name in (("first", names[0]), ("last", names[-1])):
        clock, answer = Clock(), space.get(f"hls/o48/{name}")
        assert answer.status == 200 and answer.body[4:8] in (b"moof", b"styp"), (which, answer.status)
        print(f"{which} of {len(names)} segments: {len(answer.body)} bytes in {clock.ms():.0f} ms", flush=True)


SEEK = """async ([url, seconds]) => {
  const audio = new Audio(url);
  await new Promise((done, failed) => { audio.onloadedmetadata = done; audio.onerror = failed; });
  audio.currentTime = seconds;
  await audio.play();
  await new Promise(done => { audio.ontimeupdate = () => audio.currentTime > seconds + 1 && done(); });
  return audio.duration;
}"""


def seek(space):
    url = f"{space.listen_url}/recording.mp4"
    with browser.started() as playwright:
        chromium = browser.Browser(playwright)
        with chromium.page(space.node.links["listen"], tapped=False) as page:
            asked = []
            page.on("request", lambda sent: sent.url == url and asked.append(sent.headers.get("range", "whole")))
            clock = Clock()
            seconds = page.evaluate(SEEK, [url, SEEK_SECONDS])
            print(f"Chromium says {seconds} s, played 1:59:01 after {clock.ms():.0f} ms, asked {asked}", flush=True)
        chromium.close()
    figure("requests until Chromium plays at 1:59:00", len(asked), "<= 3")


def vlc(space, place):
    heard = players.vlc(f"{space.listen_url}/recording.mp4", 5, place)
    recorded = signal_kit.decode(f"{space.listen_url}/recording.mp4", 6)
    second = signal_kit.RATE_HZ
    at, likeness = signal_kit.find(heard[second : 3 * second], recorded)
    figure("VLC begins after the beginning by", f"{abs(at - second) / second:.3f} s", "<= 0.1 s")
    figure("likeness of what VLC plays", f"{likeness:.3f}", ">= 0.99")


with folder() as place:
    space = taken_up(made(place))
    try:
        ended(space)
        lengths(space)
        seek(space)
        vlc(space, place)
    finally:
        space.node.close()
