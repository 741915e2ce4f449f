"""Chapters, what programs are told, and a recording that goes: as hosts, players, programs and listeners meet them."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import queue
import sqlite3
import subprocess
import threading
import urllib.request

import pytest

import browser
from throng import BINARY, Node, command, request, wait_until

SIZES = [{"width": 390, "height": 844}, {"width": 1280, "height": 800}]
GONE = [f"hls/o48/{name}" for name in ("media.m3u8", "event.m3u8", "replay.m3u8", "replay/0.m4s")]
GONE += ["recording.mp4", "recording.m4a"]
# What the page asks for waits until it is let go; what it tells goes out.
HOLD_LOOKS = """() => {
  const real = fetch, held = new Promise(done => { window.__let_go = done; });
  window.fetch = async (url, options) => { if (options?.method === 'GET') await held; return real(url, options); };
}"""


@pytest.fixture(scope="module")
def own(tmp_path_factory, node):  # noqa: ARG001 (order: that one makes the hold loop)
    """A node that may call this machine, with workers between it and its listeners."""
    node = Node(tmp_path_factory.mktemp("chapters") / "data", "--webhooks-allow", "127.0.0.0/8", "--air-workers", "1")
    yield node
    node.close()


class Receiver:
    """A program that is called; it refuses the first message of an event that it is told of."""

    def __init__(self):
        calls, self.refused = queue.Queue(), None
        receiver = self

        class Door(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                is_refused = json.loads(body)["type"] == receiver.refused
                receiver.refused = None if is_refused else receiver.refused
                calls.put((dict(self.headers.items()), body, is_refused))
                self.send_response(503 if is_refused else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.calls = calls
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?a=b"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, secret):
        """The next message but alarms, whose signature is right, and whether it was refused."""
        headers, body, is_refused = self.calls.get(timeout=90)
        headers = {name.lower(): value for name, value in headers.items()}
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"
        message = json.loads(body)
        # In some of the other spaces nobody talks.
        if message["type"].startswith("alarm."):
            return self.next(secret)
        return headers["webhook-id"], message, is_refused


def power_cut(node, space):
    node.kill()
    node.start()
    wait_until(lambda: space.get("state.json").status == 200, "the node is back")


def api(node, method, path, body=None, key=None):
    return request(method, f"{node.links['desk']}/api/{path}", body, key or node.operator)


def run(node, *arguments):
    return command(*arguments, "--server", node.links["desk"], "--data", node.data)


def studio_of(space, chromium):
    return chromium.page(space.created["host_url"], tapped=False)


def chapters(space):
    answer = space.get("chapters.json")
    assert answer.status == 200 and answer.header("content-type") == "application/json+chapters", answer
    assert answer.header("cache-control") == "public, max-age=1"
    told = answer.json()
    assert told["version"] == "1.2.0"
    return [(chapter["startTime"], chapter["title"]) for chapter in told["chapters"]]


def test_a_chapter_that_the_host_marks_is_read_by_players_of_a_worker(own, chromium):
    space = own.live("Chapters")
    wait_until(lambda: space.recorded_seconds() >= 2, "it is on air")
    with studio_of(space, chromium) as studio:
        studio.fill("#chapter-title", "Questions")
        studio.click("#mark-chapter")
        wait_until(lambda: [title for _, title in chapters(space)] == ["Questions"], "players read it")
        ((at, _),) = chapters(space)
        assert 1 <= at <= space.recorded_seconds() + 5
        etag = space.get("chapters.json").header("etag")
        assert space.get("chapters.json", headers={"If-None-Match": etag}).status == 304
        studio.click("[data-chapter^='edit-']")
        studio.fill(".edit input >> nth=0", "Answers")
        studio.fill(".edit input >> nth=1", "0:01")
        studio.keyboard.press("Enter")
        wait_until(lambda: chapters(space) == [(1, "Answers")], "it is moved and renamed")
        assert browser.barriers(studio, SIZES) == [] and studio.complaints == []
    marked = run(own, "space", "chapter", space.slug, "--title", "Welcome", "--at", "0", "--json")
    assert json.loads(marked.stdout)["at_seconds"] == 0
    listed = run(own, "space", "chapters", space.slug).stdout.splitlines()
    assert [line.split()[1:] for line in listed] == [["0:00:00.0", "Welcome"], ["0:00:01.0", "Answers"]]
    power_cut(own, space)
    assert chapters(space) == [(0, "Welcome"), (1, "Answers")], "they outlive a power cut"
    space.step("end")
    number = json.loads(marked.stdout)["id"]
    assert run(own, "space", "remove-chapter", space.slug, number).returncode == 0
    assert wait_until(lambda: chapters(space) == [(1, "Answers")], "it is removed")


def test_a_chapter_begins_where_somebody_takes_the_word(own, chromium):
    space = own.live("Speeches")
    wait_until(lambda: space.recorded_seconds() >= 1, "it is on air")
    space.step("end")
    own.stop()
    with contextlib.closing(sqlite3.connect(own.data / "throng.db")) as store, store:
        # From go-live on, for 32 s.
        talked = "UPDATE spaces SET turns = '2:' || live_part || ':100' WHERE slug = ?"
        assert store.execute(talked, (space.slug,)).rowcount == 1
    own.start()
    with studio_of(space, chromium) as studio:
        studio.click("#mark-speeches")
        wait_until(lambda: chapters(space) == [(0, "Speaker 2")], "players read it")
        wait_until(lambda: "A chapter is marked." in studio.text_content("#status"), "the host is told")
        assert browser.barriers(studio, SIZES) == [] and studio.complaints == []
    again = run(own, "space", "chapters-from-turns", space.slug)
    assert again.returncode == 0 and again.stdout.startswith("none is marked: ")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"title": ""}, 422),
        ({"title": "x" * 121}, 422),
        ({"title": "T", "at_seconds": -1}, 422),
        ({"title": "T", "at_seconds": 9e9}, 422),
        ({"title": "T", "at_seconds": "soon"}, 400),
        ({"titel": "T"}, 400),
    ],
)
def test_a_chapter_that_cannot_be_is_refused(own, body, status):
    known = (space for space in own.spaces if space.slug.startswith("refused"))
    space = next(known, None) or own.live("Refused")
    assert api(own, "POST", f"spaces/{space.slug}/chapters", body, space.host_key).status == status
    assert api(own, "POST", f"spaces/{space.slug}/chapters", body, space.speaker_key(1)).status == 403
    assert api(own, "DELETE", f"spaces/{space.slug}/chapters/7", key=space.host_key).status == 404
    assert chapters(space) == []


def test_a_recording_that_is_deleted_is_gone_everywhere_and_the_page_says_so(own, chromium):
    space = own.live("To be forgotten")
    path = f"spaces/{space.slug}"
    wait_until(lambda: space.recorded_seconds() >= 4, "something is recorded")
    assert api(own, "DELETE", f"{path}/recording", key=space.host_key).status == 409, "not while it is on air"
    space.step("end")
    assert space.get("hls/o48/replay/0.m4s").status == 200, "a worker has it now"
    kept = api(own, "PATCH", path, {"keep_recording_days": 30}, space.host_key).json()
    assert kept["recording_until"] > kept["ended_at"] and kept["keep_recording_days"] == 30
    assert api(own, "PATCH", path, {"keep_recording_days": 0}, space.host_key).status == 400
    folder = own.data / "archive" / space.show()["id"]
    assert list(folder.iterdir())
    with studio_of(space, chromium) as studio:
        wait_until(lambda: "It is deleted on" in studio.inner_text("#keeping-word"), "the host reads until when")
        studio.click("#delete-recording")
        assert not space.show()["recording_deleted_at"], "it is asked whether it is meant"
        studio.click("#delete-recording")
        wait_until(lambda: "You have deleted it" in studio.inner_text("#keeping-word"), "the host reads it")
        assert browser.barriers(studio, SIZES) == [] and studio.complaints == []
    wait_until(lambda: not folder.exists(), "its files are gone")
    wait_until(lambda: space.state()["recording_deleted_at"], "the worker knows")
    state = space.state()
    assert (state["state"], state["recording_deleted_by"]) == ("ended", "host")
    assert state["recording"] == {"seconds": 0, "bytes": 0} and state["recording_until"] is None
    for file in GONE:
        answer = space.get(file)
        assert answer.status == 410 and b"the host has taken it away" in answer.body, file
    with chromium.page(space.listen_url, tapped=False) as listener:
        wait_until(lambda: "The host has taken it away" in listener.inner_text("#status"), "the page says so")
        assert not listener.is_visible("#listen") and not listener.is_visible("#download")
    power_cut(own, space)
    assert space.get("recording.mp4").status == 410 and space.state()["recording_deleted_by"] == "host"


def events_of(node, space, last=None):
    """The events of a stream, one after the other."""
    headers = {"Authorization": f"Bearer {space.host_key}"} | ({"Last-Event-ID": str(last)} if last else {})
    asked = urllib.request.Request(f"{node.links['desk']}/api/spaces/{space.slug}/events", headers=headers)
    event = {}
    with urllib.request.urlopen(asked, timeout=90) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        for line in stream:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "data":
                yield int(event["id"]), event["event"], json.loads(value)
            event[name] = value


def until(events, wanted):
    return next((number, data) for number, name, data in events if name == wanted)


def test_a_stream_of_events_goes_on_where_it_was_cut(own):
    space = own.create("Events")
    events = events_of(own, space)
    number, whole = until(events, "reset")
    assert whole["state"] == "announced" and len(whole["speakers"]) == 2
    space.step("go-live")
    while until(events, "space")[1]["state"] != "live":
        pass
    events.close()
    api(own, "POST", f"spaces/{space.slug}/chapters", {"title": "Missed"}, space.host_key)
    again = events_of(own, space, number)
    first, name, _ = next(again)
    assert first == number + 1 and name != "reset", "what was missed is told in its order"
    _, told = until(again, "chapters")
    assert [chapter["title"] for chapter in told["chapters"]] == ["Missed"]
    again.close()
    assert until(events_of(own, space, 7), "reset")[1]["state"] == "live"
    assert api(own, "GET", f"spaces/{space.slug}/events", key=space.speaker_key(1)).status == 403


def test_events_are_printed_by_command_and_end_with_the_space(own):
    space = own.create("Printed")
    arguments = ["space", "events", space.slug, "--json", "--server", own.links["desk"], "--data", own.data]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    printed = subprocess.Popen([BINARY, *map(str, arguments)], text=True, **pipes)
    first = json.loads(printed.stdout.readline())
    assert first["event"] == "reset" and first["data"]["title"] == "Printed"
    assert api(own, "DELETE", f"spaces/{space.slug}").status == 204
    _, complaint = printed.communicate(timeout=90)
    assert printed.returncode == 1 and "404" in complaint


def test_webhooks_are_signed_tried_again_and_outlive_a_power_cut(own, chromium):
    receiver = Receiver()
    with chromium.page(f"{own.links['studio']}", tapped=False) as studio:
        studio.wait_for_selector("#webhook-url")
        # The list comes no more: the secret is told this once, whatever becomes of that.
        studio.evaluate(HOLD_LOOKS)
        studio.fill("#webhook-url", receiver.url)
        studio.click("#webhook-create")
        secret = wait_until(lambda: studio.inner_text("#webhook-secret"), "the secret is shown")
        studio.evaluate("__let_go()")
        assert studio.complaints == [] and browser.barriers(studio, SIZES) == []
        studio.click("[data-hook^='ping-']")
        assert receiver.next(secret)[1]["type"] == "ping"
        wait_until(lambda: "it answered 204" in studio.inner_text("#webhook-status"), "the operator reads it")
    space = own.create("Told")
    told = receiver.next(secret)[1]
    assert told["type"] == "space.announced" and told["data"]["listen_url"] == space.listen_url
    receiver.refused = "space.live"
    space.step("go-live")
    power_cut(own, space)
    tries = [receiver.next(secret)]
    while tries[-1][2]:
        tries.append(receiver.next(secret))
    assert {(name, message["type"]) for name, message, _ in tries} == {(tries[0][0], "space.live")}
    listed = api(own, "GET", "webhooks").json()["webhooks"]
    assert secret not in json.dumps(listed) and listed[0]["url"] == receiver.url
    assert api(own, "DELETE", f"webhooks/{listed[0]['id']}").status == 204
    assert api(own, "POST", f"webhooks/{listed[0]['id']}/ping").status == 404
    space.step("end")
    assert secret.encode() not in b"".join(file.read_bytes() for file in own.data.glob("throng.db*"))


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://10.0.0.1/", "private"),
        ("http://[::ffff:10.0.0.1]/", "private"),
        ("https://169.254.169.254/latest", "private"),
        ("ftp://hooks.example/", "whole URL"),
        ("https://user:secret@hooks.example/", "whole URL"),
        ("/hook", "whole URL"),
    ],
)
def test_a_webhook_that_must_not_be_called_is_refused(own, url, word):
    answer = api(own, "POST", "webhooks", {"url": url})
    assert answer.status == 422 and word in answer.json()["detail"], answer


def test_a_name_that_leads_to_a_private_address_is_not_called(node):
    receiver = Receiver()
    port = receiver.server.server_address[1]
    made = api(node, "POST", "webhooks", {"url": f"http://localhost:{port}/", "events": ["space.live"]}).json()
    called = api(node, "POST", f"webhooks/{made['id']}/ping").json()
    assert not called["delivered"] and "private address" in called["reason"]
    assert receiver.calls.empty()
    assert api(node, "DELETE", f"webhooks/{made['id']}").status == 204


def test_who_calls_too_often_is_told_when_to_come_again(tmp_path, node):  # noqa: ARG001 (order: the hold loop)
    own = Node(tmp_path / "data", "--calls-max", "2", "--air-workers", "0")
    try:
        space = own.create("Patience")
        answers = [api(own, "GET", f"spaces/{space.slug}", key=space.host_key) for _ in range(30)]
        refused = [answer for answer in answers if answer.status == 429]
        assert [answer.status for answer in answers[:8]] == [200] * 8 and refused
        assert int(refused[0].header("retry-after")) >= 1
        assert refused[0].json()["type"].endswith(":too-many-calls")
        for guess in range(80):
            key = base64.urlsafe_b64encode(guess.to_bytes(32)).decode().rstrip("=")
            last = api(own, "GET", "spaces", key=key)
        assert last.status == 429 and last.json()["type"].endswith(":too-many-wrong-keys")
        assert api(own, "GET", "spaces").status == 200, "whose key is known is not held up"
    finally:
        own.close()
