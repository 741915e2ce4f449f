"""How a space sounds: voices are levelled where the host wants it, and each speaker is kept alone where he wants that."""

import json
import re
import subprocess

import numpy as np
import pytest

import browser
import signal_kit
from throng import command, request, wait_until

pytestmark = pytest.mark.aside

SECONDS = 8
# From the first word until a voice 14 dB too soft has its gain, and a little.
SETTLED_SECONDS = 9
SOFT_DB, LOUD_DB = -10, 3
TARGET_LUFS, TOLERANCE_LU = -16, 1.5
SIZES = [{"width": 390, "height": 844}, {"width": 1280, "height": 800}]
# What a page asks of the microphone.
WISHES = """
() => {
  const devices = navigator.mediaDevices, open = devices.getUserMedia.bind(devices);
  window.__wishes = [];
  devices.getUserMedia = wish => { window.__wishes.push(wish.audio); return open(wish); };
}
"""


def loudness_lufs(samples):
    """Integrated loudness, by ffmpeg's EBU R 128 meter."""
    raw = samples.astype("<f4").tobytes()
    meter = ["ffmpeg", "-nostats", "-f", "f32le", "-ar", "48000", "-ac", "1", "-i", "-", "-af", "ebur128", "-f", "null", "-"]
    said = subprocess.run(meter, input=raw, capture_output=True, check=True, timeout=60).stderr.decode()
    return float(re.findall(r"I:\s+(-?[\d.]+) LUFS", said)[-1])


@pytest.fixture(scope="module")
def kept(node, tmp_path_factory):
    """A space in which a soft and a loud voice have talked in turn, levelled, with a track of each; over."""
    folder = tmp_path_factory.mktemp("sound")
    said = {1: signal_kit.speech("ada") * signal_kit.amplitude(SOFT_DB), 2: signal_kit.speech("ben") * signal_kit.amplitude(LOUD_DB)}
    space = node.create("Soft and loud", speakers=3, tracks=True)
    space.step("go-live")
    heard = {}
    for seat, samples in said.items():
        signal_kit.write_wav(folder / f"{seat}.wav", samples)
        with space.speak(seat, folder / f"{seat}.wav"):
            since = space.recorded_seconds()
            wait_until(lambda: space.recorded_seconds() >= since + SETTLED_SECONDS + SECONDS, "he has talked for a while")
            heard[seat] = space.recording(SECONDS)
    tracks_while_live = space.show()["speakers"]
    space.step("end")
    wait_until(lambda: space.get("hls/o48/replay.m3u8").status == 200, "the replay is there")
    return space, said, heard, tracks_while_live


def track(space, seat, key=None, **headers):
    path = f"{space.desk}/api/spaces/{space.slug}/tracks/{seat}"
    return request("GET", path, key=key or space.host_key, headers=headers)


def decoded_track(space, seat, folder):
    file = folder / f"{seat}.mp4"
    file.write_bytes(track(space, seat).body)
    return signal_kit.decode(file)


@pytest.mark.parametrize("seat", [1, 2])
def test_soft_and_loud_voices_come_out_alike(kept, seat):
    _, said, heard, _ = kept
    assert abs(loudness_lufs(said[seat]) - TARGET_LUFS) > TOLERANCE_LU, "there is something to level"
    assert abs(loudness_lufs(heard[seat]) - TARGET_LUFS) <= TOLERANCE_LU
    match = signal_kit.compare(said[seat].astype(np.float32), heard[seat])
    assert match.gaps == [] and match.stoi >= 0.85, match


def test_each_track_is_one_speaker_alone_at_his_own_level_and_in_step_with_the_recording(kept, tmp_path):
    space, said, _, _ = kept
    recording = space.recording()
    for seat, other in ((1, 2), (2, 1)):
        alone = decoded_track(space, seat, tmp_path)
        assert len(alone) == len(recording), "as long as the recording"
        talk = np.flatnonzero(np.abs(alone) > signal_kit.amplitude(-50))
        stretch = slice(talk[0], talk[-1])
        match = signal_kit.compare(said[seat].astype(np.float32), alone[stretch][-SECONDS * signal_kit.RATE_HZ :])
        assert abs(match.level_db) <= 1.5 and match.stoi >= 0.85, match
        assert signal_kit.is_absent(signal_kit.speech({1: "ada", 2: "ben"}[other]), alone[stretch])
        piece = slice(talk[-1] - 3 * signal_kit.RATE_HZ, talk[-1] - 2 * signal_kit.RATE_HZ)
        around = slice(piece.start - signal_kit.RATE_HZ, piece.stop + signal_kit.RATE_HZ)
        at, likeness = signal_kit.find(alone[piece], recording[around])
        # Two encoders may choose other layers of Opus for the same sound, 60 us apart.
        assert likeness > 0.85 and abs(at - signal_kit.RATE_HZ) <= 4, (at, likeness)


def test_tracks_are_the_hosts_and_come_in_ranges(kept):
    space, _, _, while_live = kept
    assert [seat["has_track"] for seat in while_live] == [True, True, False]
    whole = track(space, 1)
    assert whole.status == 200 and whole.header("content-type") == "audio/mp4"
    assert "no-store" in whole.header("cache-control")
    part = track(space, 1, Range="bytes=100-299")
    assert (part.status, part.body) == (206, whole.body[100:300])
    behind = track(space, 1, Range=f"bytes={len(whole.body)}-")
    assert behind.status == 416 and behind.header("content-range") == f"bytes */{len(whole.body)}"
    assert track(space, 1, **{"If-None-Match": whole.header("etag")}).status == 304
    for seat, status in ((3, 404), (4, 404)):
        refused = track(space, seat)
        assert refused.status == status and refused.header("content-type") == "application/problem+json"
    assert track(space, 1, key=space.speaker_key(1)).status == 403
    assert request("GET", f"{space.desk}/api/spaces/{space.slug}/tracks/1").status == 401


def test_the_command_fetches_a_track_and_changes_the_sound(kept, node, tmp_path):
    space, _, _, _ = kept
    desk = ("--server", node.links["desk"], "--data", node.data, "--json")
    out = tmp_path / "track.mp4"
    done = command("space", "track", space.slug, 2, "--out", out, *desk)
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["bytes"] == out.stat().st_size
    assert out.read_bytes() == track(space, 2).body
    fresh = json.loads(command("space", "create", "--title", "As they are", "--levelling", "off", *desk).stdout)
    shown = json.loads(command("space", "sound", fresh["slug"], "--tracks", "on", *desk).stdout)
    assert (shown["levelling"], shown["tracks"]) == (False, True)
    assert command("space", "sound", fresh["slug"], *desk).returncode == 2


def test_tracks_are_chosen_before_go_live_and_levelling_at_any_time(node):
    space = node.live("Too late")
    path = f"{space.desk}/api/spaces/{space.slug}"
    refused = request("PATCH", path, {"tracks": True}, space.host_key)
    assert refused.status == 409 and refused.json()["state"] == "live"
    shown = request("PATCH", path, {"levelling": False, "tracks": False}, space.host_key)
    assert shown.status == 200 and shown.json()["levelling"] is False
    space.step("end")
    assert request("PATCH", path, {"levelling": True}, space.host_key).status == 409


def test_a_space_is_stereo_from_the_beginning_or_never(node):
    desk = ("--server", node.links["desk"], "--data", node.data)
    assert node.create("As usual").show()["stereo"] is False
    concert = node.create("A concert", stereo=True)
    assert concert.show()["stereo"] is True
    refused = request("PATCH", f"{concert.desk}/api/spaces/{concert.slug}", {"stereo": False}, concert.host_key)
    assert refused.status == 400 and "`stereo`" in refused.json()["detail"]
    for switch, words in (("on", "stereo"), ("off", "mono")):
        created = command("space", "create", "--title", "By command", "--stereo", switch, *desk, "--json")
        slug = json.loads(created.stdout)["slug"]
        assert json.loads(command("space", "show", slug, *desk, "--json").stdout)["stereo"] is (switch == "on")
        shown = command("space", "show", slug, *desk)
        assert shown.returncode == 0 and re.search(rf"^sound +{words}$", shown.stdout, re.MULTILINE), shown
    assert command("space", "sound", slug, "--stereo", "on", *desk).returncode == 2


def test_the_studio_makes_a_stereo_space_and_says_so(node, chromium):
    usual = node.create("In one channel")
    with chromium.page(usual.created["host_url"], tapped=False) as studio:
        wait_until(lambda: studio.is_checked("[name=levelling]"), "the studio knows how the space sounds")
        assert not studio.is_visible("#sound-box .stereo")
    with chromium.page(node.links["studio"], tapped=False) as studio:
        studio.fill("#new-title", "A string quartet")
        studio.check("#new-stereo")
        assert browser.barriers(studio, SIZES) == []
        studio.click("#create")
        studio.click("#open-studio")
        wait_until(lambda: studio.is_visible("#sound-box .stereo"), "its page says so")
        assert browser.barriers(studio, SIZES) == [] and studio.complaints == []


def test_the_speakers_page_offers_two_channels_of_raw_sound_in_a_stereo_space_alone(node, chromium):
    for stereo in (True, False):
        space = node.create("A duo", stereo=stereo)
        with chromium.page(space.speaker_urls[0], tapped=False) as page:
            page.evaluate(WISHES)
            with page.expect_request(lambda asked: asked.url == space.whip_url and asked.method == "POST") as offer:
                page.click("#join")
            assert ("sprop-stereo=1" in offer.value.post_data) is stereo, "RFC 7587, section 6.1"
            wait_until(lambda: page.evaluate("document.documentElement.dataset.connection") == "connected", "it is on stage")
            page.click("#settings summary")
            assert page.is_visible("#stereo-word") is stereo
            page.uncheck("#clean")
            raw = "__wishes.find(wish => !wish.echoCancellation)"
            wish = wait_until(lambda: page.evaluate(raw), "the raw sound is asked for")
            assert wish["channelCount"] == (2 if stereo else 1)
            assert all(wish["channelCount"] == 1 for wish in page.evaluate("__wishes") if wish["echoCancellation"])
            assert browser.barriers(page, SIZES) == [] and page.complaints == []


def test_a_deleted_space_leaves_no_track(node, voices):
    space = node.live("Soon gone", tracks=True)
    with space.speak(1, voices["ada"]):
        wait_until(lambda: space.seat(1)["has_track"], "a track is begun")
    folder = node.data / "archive" / space.created["id"]
    assert (folder / "tracks" / "1.mp4").exists()
    assert request("DELETE", f"{space.desk}/api/spaces/{space.slug}", key=space.host_key).status == 204
    wait_until(lambda: not folder.exists(), "its folder is gone")


def test_the_studio_sets_the_sound_and_hands_over_tracks(kept, node, chromium, tmp_path):
    ended, _, _, _ = kept
    space = node.create("In the studio")
    with chromium.page(space.created["host_url"], tapped=False) as studio:
        wait_until(lambda: studio.is_checked("[name=levelling]"), "the studio knows how the space sounds")
        studio.uncheck("[name=levelling]")
        wait_until(lambda: not space.show()["levelling"], "levelling is off")
        studio.focus("[name=tracks]")
        studio.keyboard.press("Space")
        wait_until(lambda: space.show()["tracks"], "tracks are kept")
        assert browser.barriers(studio, SIZES) == []
    with chromium.page(ended.created["host_url"], tapped=False) as studio:
        studio.evaluate("() => { URL.revokeObjectURL = () => { window.__revoked = true; }; }")
        with studio.expect_download() as download:
            studio.click("[data-track='1']")
        assert not studio.evaluate("window.__revoked"), "a browser may take it later"
        download.value.save_as(tmp_path / "one.mp4")
        assert (tmp_path / "one.mp4").read_bytes() == track(ended, 1).body
        assert browser.barriers(studio, SIZES) == []
