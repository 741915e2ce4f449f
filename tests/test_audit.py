"""Who did what when, as host and operator read it: over the API, by command and in the studio."""

import base64
import hashlib
import json

import pytest

from throng import command, request, wait_until

pytestmark = pytest.mark.aside


def audit(space, query="", key=None):
    return request("GET", f"{space.desk}/api/spaces/{space.slug}/audit{query}", key=key or space.host_key)


def told(space):
    return [(act["method"], act["path"], act["changed"], act["status"], act["role"]) for act in audit(space).json()["acts"]]


def fingerprint(key):
    return hashlib.sha256(base64.urlsafe_b64decode(key + "=")).hexdigest()[:8]


@pytest.fixture(scope="module")
def evening(node):
    """A space in which things were done, and tried."""
    space = node.create("An evening on record", scheduled_at="2031-12-01T20:00:00Z")
    at = f"{space.desk}/api/spaces/{space.slug}"
    request("PATCH", at, {"title": "Still on record", "stage_locked": True}, space.host_key)
    request("PATCH", f"{at}/speakers/1", {"muted": True, "gain_db": -6}, space.host_key)
    request("POST", f"{at}/go-live", key=node.operator)
    space.try_step("open-doors")
    # Of these nothing is noted: who only reads, who has no key of the space, and whose key is no host's.
    space.show()
    request("POST", f"{at}/end", key="A" * 43)
    request("POST", f"{at}/end", key=space.speaker_key(1))
    request("PATCH", f"{at}/speakers/1", {"muted": True}, space.speaker_key(1))
    yield space
    space.step("end")


def test_each_act_says_who_what_and_with_which_outcome(evening):
    assert told(evening) == [
        ("POST", "/open-doors", [], 409, "host"),
        ("POST", "/go-live", [], 200, "operator"),
        ("PATCH", "/speakers/1", ["gain_db=-6", "muted=true"], 200, "host"),
        ("PATCH", "/", ["stage_locked=true", "title"], 200, "host"),
        ("POST", "/", ["scheduled_at", "title"], 201, "operator"),
    ]
    acts = audit(evening).json()["acts"]
    assert [act["number"] for act in acts] == [5, 4, 3, 2, 1]
    keys = {act["role"]: act["key"] for act in acts}
    assert keys == {"host": fingerprint(evening.host_key), "operator": fingerprint(evening.node.operator)}
    whole = json.dumps(acts)
    assert "Still on record" not in whole and "127.0.0.1" not in whole and evening.host_key not in whole


def test_pages_follow_each_other(evening):
    first = audit(evening, "?limit=3").json()
    assert ([act["number"] for act in first["acts"]], first["next"]) == ([5, 4, 3], 3)
    rest = audit(evening, f"?limit=3&before={first['next']}").json()
    assert ([act["number"] for act in rest["acts"]], rest["next"]) == ([2, 1], None)


def test_it_is_for_hosts_and_operators(evening):
    assert audit(evening, key=evening.node.operator).status == 200
    assert audit(evening, key=evening.speaker_key(1)).status == 403
    assert audit(evening, key="A" * 43).status == 401
    for query in ("?limit=many", "?limit=0", "?limit=1001", "?before=0", "?since=1"):
        assert audit(evening, query).status == 400


def test_the_command_tells_the_same(evening):
    flags = ["--server", evening.desk, "--data", evening.node.data]
    words = command("space", "audit", evening.slug, *flags)
    assert words.returncode == 0, words
    assert [line.split()[4] for line in words.stdout.splitlines()] == ["409", "200", "200", "200", "201"]
    document = command("space", "audit", evening.slug, "--limit", 2, "--json", *flags)
    assert [act["number"] for act in json.loads(document.stdout)["acts"]] == [5, 4]


def test_the_studio_lists_it_in_plain_words(evening, chromium):
    with chromium.page(f"{evening.desk}/studio/{evening.slug}#key={evening.host_key}", tapped=False) as page:
        page.click("#audit-box summary")
        wait_until(lambda: page.locator(".acts li").count() == 5, "the acts are listed")
        words = page.locator(".acts b").all_inner_texts()
        assert page.complaints == []
    assert words == [
        "Opened the doors – refused (409)",
        "Went live",
        "Muted speaker 1. Set speaker 1 to −6 dB",
        "Locked the stage. Changed the title",
        "Created it",
    ]
