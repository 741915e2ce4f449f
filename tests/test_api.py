"""What a stranger meets at the command line and over HTTP: answers, and refusals that say what to do."""

import gzip
import http.client
import json
import re
import socket
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

from throng import Node, command, request, wait_until

ANYWHERE = [part for door in ("listen", "desk", "internal") for part in (f"--{door}", "127.0.0.1:0")]
SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
# One initial window of TCP: everything before the first sound.
JOIN_MAX_BYTES = 14 * 1024
# A key in form, which was never given to anybody.
STRANGERS_KEY = "A" * 43

CREATED = {"id", "slug", "listen_url", "host_url", "speaker_urls", "state"}
STATE = (
    "slug title state scheduled_at started_at ended_at delay_reason message epoch segment_seconds part_seconds newest_segment "
    "rung listening peak joined queued renditions recording"
)
STATE = set(STATE.split())
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def space(node):
    """A live space in which nobody speaks."""
    space = node.live("Strangers welcome")
    wait_until(lambda: space.state()["state"] == "live", "the audience is told")
    yield space
    space.step("end")


def assert_says(done, status, *words):
    """The command ended as it should, in words and not in a trace."""
    assert done.returncode == status, done
    assert done.stdout == "", done
    assert all(word in done.stderr for word in words), done
    assert "panicked" not in done.stderr and "RUST_BACKTRACE" not in done.stderr, done


# The command line


@pytest.mark.parametrize(
    ("name", "content", "flags", "words"),
    [
        ("data", "a file", ["--data", "{file}"], ["the data folder", "cannot be used", "is a folder"]),
        ("hold", "no sound", ["--hold", "{file}"], ["not a sound file", "WAV, FLAC, Ogg"]),
        ("hold", None, ["--hold", "{file}"], ["cannot read", "No such file"]),
        ("config", 'lissten = "127.0.0.1:1"', ["--config", "{file}"], ["is not valid", "`lissten`", "`listen`"]),
        ("config", None, ["--config", "{file}"], ["could not be read", "No such file"]),
        ("tls", "no PEM", ["--tls-cert", "{file}", "--tls-key", "{file}"], ["{file}"]),
    ],
)
def test_a_node_that_cannot_start_says_why(tmp_path, name, content, flags, words):
    file = tmp_path / name
    if content is not None:
        file.write_text(content)
    flags = [flag.format(file=file) for flag in flags]
    folder = [] if "--data" in flags else ["--data", tmp_path / "folder"]
    assert_says(command("serve", *ANYWHERE, *folder, *flags), 1, str(file), *[word.format(file=file) for word in words])
    assert content is None or file.read_text() == content, "it is not touched"


@pytest.mark.parametrize("door", ["listen", "desk", "internal"])
def test_an_address_in_use_is_named_with_its_flag(node, tmp_path, door):
    address = node.links[door].removeprefix("http://")
    doors = {"listen": "127.0.0.1:0", "desk": "127.0.0.1:0", "internal": "127.0.0.1:0", door: address}
    given = [part for name, where in doors.items() for part in (f"--{name}", where)]
    done = command("serve", *given, "--data", tmp_path / "data")
    assert_says(done, 1, f"--{door} {address} cannot be used", "in use", f"Choose another with --{door}")


def test_an_operator_key_that_is_none_is_not_replaced(tmp_path):
    key = tmp_path / "operator.key"
    key.write_text("not a key\n")
    assert_says(command("serve", *ANYWHERE, "--data", tmp_path), 1, str(key), "move it away")
    assert key.read_text() == "not a key\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ["unrecognized subcommand", "--help"]),
        (["serve", "--lissten", "127.0.0.1:1"], ["'--lissten'", "'--listen'"]),
        (["serve", "--listen", "nonsense"], ["'nonsense'", "--listen"]),
        (["serve", "--tls-cert", "cert.pem"], ["--tls-key"]),
        (["space", "create"], ["--title"]),
        (["space", "create", "--title", "T", "--at", "tonight"], ["'tonight'", "2026-12-01T20:00:00Z"]),
        (["space", "show"], ["SLUG"]),
        (["speak"], ["SPEAKER_URL"]),
        (["speak", "not a link"], ["not a link", "#key=KEY"]),
        (["speak", "http://127.0.0.1:1/s/a/speak"], ["no speaker key", "quotes"]),
        (["listen", "not a link"], ["not a link", "/s/SLUG"]),
        (["listen", "http://127.0.0.1:1/s/a", "--via", "pigeon"], ["pigeon", "progressive"]),
    ],
)
def test_wrong_usage_is_told_from_failure(arguments, words):
    assert_says(command(*arguments), 2, *words)


def test_a_server_that_is_not_there_is_named(tmp_path):
    where = "http://127.0.0.1:1"
    (tmp_path / "operator.key").write_text(STRANGERS_KEY)
    assert_says(command("space", "list", "--server", where, "--data", tmp_path), 1, where, "refused")
    assert_says(command("listen", f"{where}/s/a", "--for", "1s"), 1, where, "refused")
    assert_says(command("speak", f"{where}/s/a/speak#key={STRANGERS_KEY}"), 1, where, "refused")


def test_a_folder_without_the_operators_key_is_named(node, tmp_path):
    done = command("space", "list", "--server", node.links["desk"], "--data", tmp_path)
    assert_says(done, 1, str(tmp_path / "operator.key"), "--data", "THRONG_OPERATOR_KEY")


def test_speaking_what_is_no_sound_is_refused(space, tmp_path):
    file = tmp_path / "talk.wav"
    assert_says(command("speak", space.speaker_urls[0], "--file", file), 1, str(file), "No such file")
    file.write_bytes(b"RIFF but not a sound")
    assert_says(command("speak", space.speaker_urls[0], "--file", file), 1, str(file), "WAV, FLAC, Ogg")
    assert not space.seat(1)["connected"]


def test_a_renewed_link_revokes_the_old_one(node, voices):
    space = node.live("A lost link")
    renew = f"{space.desk}/api/spaces/{space.slug}/speakers/1/link"
    old, speaker = space.speaker_urls[0], space.speak(1, voices["ada"])
    answer = request("POST", renew, key=space.host_key)
    assert answer.status == 200 and answer.json()["seat"] == 1
    wait_until(lambda: not space.seat(1)["connected"], "who holds the old link has lost the seat")
    speaker.leave()
    assert_says(command("speak", old), 1, "revoked", "ask the host for a new link")
    space.speaker_urls[0] = answer.json()["speaker_url"]
    with space.speak(1, voices["ada"]):
        assert space.is_talking(1)


def test_a_key_of_nobody_opens_nothing(space):
    link = space.speaker_urls[0].partition("#key=")[0]
    assert_says(command("speak", f"{link}#key={STRANGERS_KEY}"), 1, "does not open this space", "copy the whole link")


# The life of a space by command


def run(node, *arguments):
    """A `space` command and the one document that it prints."""
    done = command("space", *arguments, "--server", node.links["desk"], "--data", node.data, "--json")
    assert done.returncode == 0 and done.stderr == "", done
    return json.loads(done.stdout)


def test_the_life_of_a_space_by_command(node):
    created = run(node, "create", "--title", "By command", "--at", "2036-12-01T20:00:00Z", "--speakers", "3")
    slug, listen, desk = created["slug"], node.links["listen"], node.links["desk"]
    assert created.keys() >= CREATED and created["state"] == "announced"
    assert created["listen_url"] == f"{listen}/s/{slug}"
    assert created["host_url"].startswith(f"{desk}/studio/{slug}#key=")
    assert len(set(created["speaker_urls"])) == 3
    assert all(url.startswith(f"{desk}/s/{slug}/speak#key=") for url in created["speaker_urls"])

    shown = run(node, "show", slug)
    assert shown.keys() >= STATE | {"id", "listen_url", "speakers"}
    assert shown["title"] == "By command" and shown["scheduled_at"] == "2036-12-01T20:00:00.000Z"
    assert [seat["connected"] for seat in shown["speakers"]] == [False] * 3
    assert (shown["segment_seconds"], shown["part_seconds"]) == (3.84, 0.32)
    assert shown["renditions"] == ["o48", "o24", "o16", "a64", "a32"]
    delayed = run(node, "delay", slug, "--until", "2036-12-01T20:40:00Z", "--reason", "The host is late")
    assert (delayed["scheduled_at"], delayed["delay_reason"]) == ("2036-12-01T20:40:00.000Z", "The host is late")

    assert run(node, "open-doors", slug)["state"] == "doors"
    live = run(node, "go-live", slug)
    assert live["state"] == "live" and TIME.fullmatch(live["started_at"]) and live["ended_at"] is None
    assert slug in [space["slug"] for space in run(node, "list")["spaces"]]
    ended = run(node, "end", slug)
    assert ended["state"] == "ended" and TIME.fullmatch(ended["ended_at"])
    assert ended["recording"].keys() >= {"seconds", "bytes"} and ended["recording"]["seconds"] > 0
    run(node, "delete", slug)
    assert slug not in [space["slug"] for space in run(node, "list")["spaces"]]
    wait_until(lambda: request("GET", created["listen_url"]).status == 404, "listeners' side knows")


def test_a_step_that_does_not_follow_says_where_the_space_is(node):
    slug = run(node, "create", "--title", "Cancelled")["slug"]
    assert run(node, "cancel", slug)["state"] == "cancelled"
    at = ["--server", node.links["desk"], "--data", node.data]
    assert_says(command("space", "go-live", slug, *at), 1, "409", "the space is cancelled")
    assert_says(command("space", "show", "no-such-space", *at, "--json"), 1, "404", '"no-such-space"')
    assert_says(command("space", "create", "--title", "", *at), 1, "422", "1 to 200 characters")
    assert_says(command("space", "create", "--title", "T", "--speakers", "33", *at), 1, "422", "1 to 32 speakers")


def test_an_edit_is_done_as_one(node):
    space = node.create("Two hosts at once")
    url = f"{node.links['desk']}/api/spaces/{space.slug}"

    def rewrite(words):
        edited = request("PATCH", url, {"title": words, "delay_reason": words}, space.host_key).json()
        return edited["title"] == edited["delay_reason"]

    with ThreadPoolExecutor() as hosts:
        assert all(hosts.map(rewrite, map(str, range(40))))
    refused = request("PATCH", url, {"title": "Done in part", "delay_reason": "too long" * 100}, space.host_key)
    assert refused.status == 422 and space.state()["title"] != "Done in part"


def test_state_json_is_the_contract(space):
    state = space.state()
    assert state.keys() >= STATE
    assert state["state"] == "live" and TIME.fullmatch(state["epoch"]) and TIME.fullmatch(state["started_at"])
    assert all(isinstance(state[count], int) for count in ("rung", "listening", "peak", "joined", "queued"))


# Refusals over HTTP


def assert_problem(answer, status, kind, *words):
    """RFC 9457."""
    assert answer.status == status, answer
    assert answer.header("content-type") == "application/problem+json", answer
    assert answer.header("cache-control") == "no-store", answer
    problem = answer.json()
    assert problem["status"] == status and problem["type"].endswith(f":{kind}"), problem
    assert problem["title"] and all(word in problem["detail"] for word in words), problem


@pytest.mark.parametrize(
    ("method", "path", "key", "body", "status", "kind"),
    [
        ("GET", "/api/spaces/nope", "operator", None, 404, "unknown-space"),
        ("GET", "/api/nope", "operator", None, 404, "unknown-path"),
        ("PUT", "/api/spaces", "operator", {}, 405, "method"),
        ("GET", "/api/spaces", None, None, 401, "bad-key"),
        ("DELETE", "/api/spaces/nope", None, None, 401, "bad-key"),
        ("POST", "/api/spaces", None, {"title": "T"}, 401, "bad-key"),
        ("POST", "/api/spaces", "stranger", {"title": "T"}, 401, "bad-key"),
        ("POST", "/api/spaces", "host", {"title": "T"}, 401, "bad-key"),
        ("POST", "/api/spaces", "operator", "{", 400, "bad-json"),
        ("POST", "/api/spaces", "operator", "[" * 10_000, 400, "bad-json"),
        ("POST", "/api/spaces", "operator", {"titel": "T"}, 400, "bad-json"),
        ("POST", "/api/spaces", "operator", ["T", None, 2, None, None], 400, "bad-json"),
        ("POST", "/api/spaces", "operator", {"title": "T", "speakers": -1}, 400, "bad-json"),
        ("POST", "/api/spaces", "operator", {"title": "T", "scheduled_at": "tonight"}, 400, "bad-time"),
        ("POST", "/api/spaces", "operator", {"title": "x" * 201}, 422, "refused"),
        ("POST", "/api/spaces", "operator", {"title": "x" * 20_000}, 413, "too-large"),
        ("GET", "/api/spaces/{slug}", "stranger", None, 401, "bad-key"),
        ("PATCH", "/api/spaces/{slug}", "speaker", {"title": "T"}, 403, "not-allowed"),
        ("DELETE", "/api/spaces/{slug}", "speaker", None, 403, "not-allowed"),
        ("POST", "/api/spaces/{slug}/end", "speaker", None, 403, "not-allowed"),
        ("POST", "/api/spaces/{slug}/end", "stranger", None, 401, "bad-key"),
        ("POST", "/api/spaces/{slug}/go-live", "host", None, 409, "does-not-follow"),
        ("POST", "/api/spaces/{slug}/explode", "host", None, 404, "unknown-step"),
        ("POST", "/api/spaces/{slug}/speakers/1/link", "speaker", None, 403, "not-allowed"),
        ("POST", "/api/spaces/{slug}/speakers/3/link", "host", None, 404, "unknown-seat"),
        ("POST", "/api/spaces/{slug}/speakers/one/link", "host", None, 400, "bad-request"),
    ],
)
def test_the_api_refuses_with_a_problem(node, space, method, path, key, body, status, kind):
    keys = {"operator": node.operator, "host": space.host_key}
    keys |= {"speaker": space.speaker_key(1), "stranger": STRANGERS_KEY}
    answer = request(method, node.links["desk"] + path.format(slug=space.slug), body, keys.get(key))
    assert_problem(answer, status, kind)
    assert status != 401 or answer.header("www-authenticate") == "Bearer", "RFC 9110 section 11.6.1"
    assert status != 405 or answer.header("allow"), "RFC 9110 section 15.5.6"
    assert status != 409 or answer.json()["state"] == "live"
    assert space.state()["state"] == "live" and space.state()["title"] == "Strangers welcome"


@pytest.mark.parametrize("door", ["whip", "whep"])
@pytest.mark.parametrize(
    ("body", "media_type", "status", "kind"),
    [
        ("v=0\r\n", "text/plain", 415, "media-type"),
        ("", SDP, 400, "stage"),
        ("nonsense", SDP, 400, "stage"),
        ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", SDP, 422, "stage"),
        (b"\xff\xfe", SDP, 400, "bad-sdp"),
        ("v=0\r\n" + "a=x\r\n" * 20_000, SDP, 413, "too-large"),
    ],
    ids=["text", "empty", "nonsense", "no-media", "no-text", "too-large"],
)
def test_an_offer_that_is_none_is_refused(space, door, body, media_type, status, kind):
    url = {"whip": space.whip_url, "whep": space.whep_url}[door]
    key = space.speaker_key(1) if door == "whip" else None
    answer = request("POST", url, body, key, {"Content-Type": media_type})
    assert_problem(answer, status, kind)
    assert answer.header("access-control-allow-origin") == "*", "a stranger's page reads why"
    assert answer.header("location") is None


def test_whip_asks_for_a_speakers_key(space):
    headers = {"Content-Type": SDP}
    assert_problem(request("POST", space.whip_url, "v=0", None, headers), 401, "bad-key", "Bearer")
    assert_problem(request("POST", space.whip_url, "v=0", STRANGERS_KEY, headers), 401, "bad-key")
    assert_problem(request("POST", space.whip_url, "v=0", space.host_key, headers), 403, "not-allowed", "speaker links")


def test_a_resource_that_is_not_there_is_refused(space):
    for url in (f"{space.whip_url}/nobody", f"{space.whep_url}/nobody"):
        assert request("DELETE", url).status == 404
        answer = request("PATCH", url, "a=x", headers={"Content-Type": FRAGMENT})
        assert answer.status == 404 and answer.header("content-type") == "application/problem+json"


def test_who_is_at_the_wrong_place_meets_a_page(node):
    for path in ("/s/nope", "/s/nope/state.json", "/s/nope/live.mp4", "/s/nope/hls/main.m3u8", "/s/nope/x", "/nope"):
        answer = request("GET", node.links["listen"] + path)
        assert answer.status == 404 and answer.header("content-type").startswith("text/html"), path
        assert answer.header("cache-control") == "public, max-age=1", path
        assert b"not here" in answer.body and b"<script" not in answer.body, path
    for path in ("/studio/nope", "/s/nope/speak"):
        answer = request("GET", node.links["desk"] + path)
        assert answer.status == 404 and b"not here" in answer.body, path
    for slug in ("nope", "No.Pe"):
        problem = request("POST", f"{node.links['listen']}/s/{slug}/whep", "v=0", headers={"Content-Type": SDP})
        assert_problem(problem, 404, "unknown-space", f'"{slug}"')


@pytest.mark.parametrize("door", ["listen", "desk"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00 TLS?\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 100_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 2_000 + b"\r\n", 431),
        (b"POST /api/spaces HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    ],
    ids=["tls", "old", "long-header", "many-headers", "long-body"],
)
def test_what_is_no_http_is_refused(node, door, sent, status):
    where = urllib.parse.urlsplit(node.links[door])
    with socket.create_connection((where.hostname, where.port), timeout=30) as line:
        line.sendall(sent)
        assert line.recv(64).startswith(f"HTTP/1.1 {status} ".encode())
    assert request("GET", f"{node.links['internal']}/readyz").status == 200


# Joining without anything dynamic


def exchange(url, path, **headers):
    """One GET as it goes over the line: answer and headers as they are, the body unread."""
    line = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)
    line.request("GET", path, headers=headers)
    return line.getresponse()


def bytes_before_sound(answer):
    """The beginning of a progressive MP4 up to the first chunk, and that a chunk follows."""
    begin = b""
    while b"moof" not in begin:
        piece = answer.read1(4096)
        assert piece, begin
        begin += piece
    return begin[: begin.index(b"moof") - 4]


def test_joining_is_two_gets_of_at_most_14_kb(space):
    page = exchange(space.listen_url, f"/s/{space.slug}", **{"Accept-Encoding": "gzip"})
    live = exchange(space.listen_url, f"/s/{space.slug}/live.mp4?l=5f0c")
    assert (page.status, live.status) == (200, 200)
    assert page.getheader("Cache-Control") == "public, max-age=1" and live.getheader("Cache-Control") == "no-store"
    assert page.getheader("Set-Cookie") is None and live.getheader("Set-Cookie") is None
    packed, init = page.read(), bytes_before_sound(live)
    live.close()
    assert len(packed) + len(init) <= JOIN_MAX_BYTES
    html = gzip.decompress(packed).decode()
    assert not re.search(r"<(script|img|iframe)[^>]+src=[\"']?(?!data:)", html), "nothing else is fetched"
    assert not re.search(r"<link[^>]+rel=[\"']?(stylesheet|preload|modulepreload)", html)


def test_the_page_is_the_same_for_everyone(space):
    path = f"/s/{space.slug}"
    plain = exchange(space.listen_url, path, **{"User-Agent": "a", "Cookie": "who=a", "Accept-Language": "de"})
    other = exchange(space.listen_url, path, **{"User-Agent": "b", "X-Forwarded-For": "192.0.2.1"})
    assert plain.read() == other.read()


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("", "public, max-age=1"),
        ("/state.json", "public, max-age=1"),
        ("/hls/main.m3u8", "public, max-age=1"),
        ("/hls/o48/media.m3u8", "public, max-age=1"),
        ("/hls/o48/init.mp4", "public, max-age=31536000, immutable"),
        ("/hls/o48/{segment}.m4s", "public, max-age=31536000, immutable"),
        ("/hls/o48/{segment}.0.m4s", "public, max-age=31536000, immutable"),
        ("/hls/o48/999999.m4s", "public, max-age=1"),
        ("/recording.mp4", "public, max-age=1"),
        ("/nonsense", "public, max-age=1"),
        ("/live.mp4", "no-store"),
        ("/live.webm", "no-store"),
        ("/live.aac", "no-store"),
    ],
)
def test_every_answer_says_how_long_it_is_kept(space, path, kept):
    segment = wait_until(lambda: space.state()["newest_segment"], "a segment is whole")
    answer = exchange(space.listen_url, f"/s/{space.slug}{path.format(segment=segment)}")
    assert answer.getheader("Cache-Control") == kept
    assert answer.getheader("Set-Cookie") is None
    assert answer.getheader("Access-Control-Allow-Origin") == "*", "anyone may read it"
    answer.close()


def test_after_the_end_the_live_links_lead_to_the_recording(ended):
    recordings = {"live.mp4": "recording.mp4", "live.webm": "recording.mp4", "live.aac": "recording.m4a"}
    for live, recording in recordings.items():
        answer = ended.get(live)
        to = urllib.parse.urljoin(f"{ended.listen_url}/{live}", answer.header("location"))
        assert (answer.status, to) == (302, f"{ended.listen_url}/{recording}")
        assert answer.header("cache-control"), live


def test_keys_never_stand_in_the_log(tmp_path, voices):
    node = Node(tmp_path / "data")
    try:
        space = node.live("A secret")
        with space.speak(1, voices["ada"]):
            request("POST", space.whip_url, "v=0", space.speaker_key(2), {"Content-Type": SDP})
            request("GET", f"{space.desk}/api/spaces", key=STRANGERS_KEY)
        keys = [node.operator, space.host_key, space.speaker_key(1), space.speaker_key(2), STRANGERS_KEY]
        assert node.stop() == 0
        assert [key for key in keys if key in node.log_text()] == []
    finally:
        node.close()
