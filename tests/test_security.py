"""What browsers are allowed, and what is written down: policies of pages, who may read answers from elsewhere, markup that
strangers leave behind, keys and addresses in logs."""

import base64
import hashlib
import json
import re
import socket
import subprocess
import urllib.parse

import pytest

from throng import BINARY, Node, request, wait_until

pytestmark = pytest.mark.aside

STRANGER = {"Origin": "https://stranger.example"}
# Everything at the audience's address is for everybody; at the desk, sound that a page from elsewhere may bring with a key.
OPEN_AT_DESK = re.compile(r"^/s/[^/]+/(whip|talkback)(/[^/]+)?$")
SCRIPT = "window.__stranger = 1"
MARKUP = [
    f"</title><script>{SCRIPT}</script>",
    f"</script><script type=module>{SCRIPT}</script>",
    f"<img src=x onerror='{SCRIPT}'>\"><svg onload={SCRIPT.replace(' ', '')}>",
    f"{{{{title}}}}<!--<script>{SCRIPT}//--></style><style>@import'//stranger.example'</style>",
    f"javascript:{SCRIPT} \u2028\u202e <a href=\"javascript:{SCRIPT}\" autofocus onfocus={SCRIPT.replace(' ', '')}>",
    "'; DROP TABLE spaces; -- \" OR 1=1",
]


@pytest.fixture(scope="module")
def document(node):
    return request("GET", f"{node.links['desk']}/openapi.json").json()


def operations(document, node, slug):
    """Every operation of both addresses: the method, the path, and whether it is the desk's."""
    names = {"slug": slug, "session": "none", "seat": "1", "file": "style.css", "step": "end", "rendition": "o48"}
    for path, item in document["paths"].items():
        url = item["servers"][0]["url"]
        here = re.sub(r"\{(\w+)\}", lambda name: names.get(name[1], "0"), path)
        for method in item.keys() - {"servers"}:
            yield method.upper(), here, url == node.links["desk"]


def begun(url, method):
    """Status and headers of an answer, which may be endless."""
    where = urllib.parse.urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=30) as line:
        head = f"{method} {where.path} HTTP/1.1\r\nHost: a\r\nOrigin: {STRANGER['Origin']}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        if method == "GET":
            head = head.replace("Content-Length: 0\r\n", "")
        line.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = line.recv(4096)
            assert piece, (url, answer)
            answer += piece
    first, *lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, value in pairs}


def test_only_what_strangers_may_hear_or_bring_is_open_to_their_pages(node, document):
    """Owncast, CVE-2021-39183 and CVE-2024-29026: a page from elsewhere reads nothing with somebody's rights."""
    space = node.live("Read from elsewhere")
    asked = set(operations(document, node, space.slug))
    assert len(asked) > 30
    # By a preflight everything is asked for that is not simple.
    asked |= {("OPTIONS", path, is_desk) for _, path, is_desk in asked}
    asked |= {("GET", "/nowhere", is_desk) for is_desk in (True, False)}
    for method, path, is_desk in sorted(asked):
        link = node.links["desk" if is_desk else "listen"]
        status, headers = begun(link + path, method)
        is_open = not is_desk or OPEN_AT_DESK.match(path)
        told = (method, path, status, headers)
        assert headers.get("access-control-allow-origin") == ("*" if is_open else None), told
        assert "access-control-allow-credentials" not in headers and "set-cookie" not in headers, told
        if is_desk and not OPEN_AT_DESK.match(path):
            assert "access-control-allow-headers" not in headers and "access-control-allow-methods" not in headers, told
        if status != 304 and not path.startswith("/feed"):
            assert headers.get("x-content-type-options") == "nosniff" or status in (204, 405), told
    internal = begun(f"{node.links['internal']}/metrics", "GET")[1] if "internal" in node.links else {}
    assert "access-control-allow-origin" not in internal


def directives(policy):
    return {words.split()[0]: words.split()[1:] for words in policy.split("; ")}


def pages(node, space):
    yield f"{node.links['listen']}/"
    yield space.listen_url
    yield f"{node.links['listen']}/s/nowhere"
    for path in ("/studio", f"/studio/{space.slug}", f"/s/{space.slug}/speak", "/nowhere"):
        yield node.links["desk"] + path


def test_every_page_runs_its_own_script_alone_and_is_nobodys_frame(node):
    space = node.create("A page of policies")
    for url in pages(node, space):
        answer = request("GET", url)
        assert answer.header("content-type") == "text/html; charset=utf-8", url
        assert answer.header("x-content-type-options") == "nosniff", url
        assert answer.header("referrer-policy") == "no-referrer", url
        policy = directives(answer.header("content-security-policy"))
        for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
            assert policy[name] == ["'none'"], (url, name, policy)
        assert all(source in ("'self'", "'none'") or source.startswith("'sha256-") for source in policy["script-src"]), url
        assert all(source in ("'self'", "'none'") or source.startswith("'sha256-") for source in policy["style-src"]), url
        page = answer.body.decode()
        inline = re.findall(r"<script type=\"module\">(.*?)</script>", page, re.S)
        hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline}
        assert {source for source in policy["script-src"] if source.startswith("'sha")} == hashes, url
        tags = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.S)
        assert re.search(r"<[^>]+\s(on\w+|style)\s*=", tags) is None and "javascript:" not in tags, f"{url}: a script in a tag"


def test_markup_of_strangers_is_text_in_every_page(node, chromium):
    """CVE-2024-29026, CVE-2022-3751, RUSTSEC-2021-0074: nothing is ever taken for HTML, so that nothing need be cleaned."""
    spaces = []
    for words in MARKUP:
        space = node.create(words[:200], scheduled_at="2031-12-01T20:00:00Z")
        at = f"{node.links['desk']}/api/spaces/{space.slug}"
        reason = {"scheduled_at": "2031-12-01T21:00:00Z", "delay_reason": words[:200]}
        assert request("PATCH", at, reason, space.host_key).status == 200
        refused = request("POST", f"{at}/{urllib.parse.quote(words, safe='')}", key=space.host_key)
        assert refused.status == 404, "there is one spelling of a path"
        spaces.append(space)
    with chromium.page("about:blank", tapped=False) as page:
        def look(url, words, found):
            page.complaints.clear()
            page.goto(url)
            wait_until(lambda: words in page.evaluate(found), f"{url} shows it as text")
            assert page.evaluate("window.__stranger") is None, url
            policy = [complaint for complaint in page.complaints if "Content Security Policy" in complaint]
            assert policy == [], (url, policy)

        for words, space in zip(MARKUP, spaces, strict=True):
            look(space.listen_url, words[:200].strip(), "document.body.innerText + document.title")
            host = f"{node.links['desk']}/studio/{space.slug}#key={space.host_key}"
            look(host, words[:200].strip(), "document.getElementById('title').textContent")
            page.click("#audit-box summary")
            wait_until(lambda: page.locator(".acts li").count() >= 2, "the acts are listed")
            assert page.evaluate("window.__stranger") is None
            page.goto("about:blank")
        words = MARKUP[2][:200].strip()
        look(f"{node.links['listen']}/", words, "document.body.innerText")
        look(f"{node.links['desk']}/studio#key={node.operator}", words, "document.body.innerText")
        page.goto(f"{node.links['listen']}/s/{urllib.parse.quote(MARKUP[0], safe='')}")
        assert page.evaluate("window.__stranger") is None
    listed = request("GET", f"{node.links['desk']}/api/spaces", key=node.operator).json()["spaces"]
    assert {space.slug for space in spaces} <= {space["slug"] for space in listed}, "CVE class of SQL in names"


def test_addresses_that_a_request_names_are_not_called(node):
    """Owncast #3014, CVE-2026-33480: nothing of what strangers or hosts write is fetched."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/"
        space = node.create(url, scheduled_at="2031-12-01T20:00:00Z")
        at = f"{space.desk}/api/spaces/{space.slug}"
        said = {name: url for name in ("Referer", "Origin", "X-Forwarded-Host", "Forwarded", "X-Forwarded-For", "Link")}
        request("PATCH", at, {"scheduled_at": "2031-12-02T20:00:00Z", "delay_reason": url}, space.host_key, said)
        for path in ("", "/state.json", f"/nowhere?url={url}", f"/live.mp4?from={url}"):
            request("GET", space.listen_url + path, headers=said)
        trap.settimeout(1)
        with pytest.raises(TimeoutError):
            trap.accept()


def test_nobody_gets_a_web_socket(node):
    """CVE-2023-43669: there is none, so that nothing waits behind one."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "A" * 22 + "=="}
    for door in ("listen", "desk"):
        answer = request("GET", f"{node.links[door]}/", headers=upgrade)
        assert answer.status in (200, 303, 404) and answer.header("upgrade") is None, answer


@pytest.fixture
def watched(tmp_path):
    """A node that logs as operators have it."""
    node = Node(tmp_path / "data", "--trusted-proxy", "127.0.0.1")
    yield node
    node.close()


def test_neither_keys_nor_addresses_are_logged_or_stood_in_links(watched, voices):
    node, far = watched, ("127.9.8.7", 0)
    space = node.live("A discreet log")
    with space.speak(1, voices["ada"]):
        at = f"{space.desk}/api/spaces/{space.slug}"
        for key in (space.host_key, space.speaker_key(1), space.speaker_key(2), node.operator, "A" * 43):
            request("POST", f"{at}/cancel", key=key, headers={"X-Forwarded-For": "203.0.113.77"})
            request("GET", f"{at}/audit?limit=1", key=key, headers={"X-Forwarded-For": "203.0.113.77"})
        for link in (node.links["listen"], node.links["desk"]):
            where = urllib.parse.urlsplit(link)
            for said in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00\x14" + bytes(20), b""):
                with socket.create_connection((where.hostname, where.port), timeout=10, source_address=far) as line:
                    line.sendall(said)
        audit = json.loads(subprocess.check_output([BINARY, "space", "audit", space.slug, "--json", "--server", space.desk, "--data", node.data]))
    for link in (space.listen_url, space.created["host_url"], *space.speaker_urls):
        assert "key" not in urllib.parse.urlsplit(link).query, "a key is in the fragment alone"
    assert node.stop() == 0
    secrets = [space.host_key, space.speaker_key(1), space.speaker_key(2), node.operator, (node.data / "feed.key").read_text().strip()]
    secrets += ["127.9.8.7", "203.0.113.77", space.speaker_key(1)[:12]]
    for secret in secrets:
        assert secret not in node.log_text(), secret
        assert secret not in json.dumps(audit), secret
