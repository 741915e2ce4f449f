"""The OpenAPI document of both addresses, and that a running node keeps to it: what is asked is drawn from the document by
schemathesis, and every answer must be as the document says."""

import copy
import json
import re
import subprocess
import sys

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from throng import Node, request, wait_until

# What is drawn for an operation beside the bounds of each of its parameters.
EXAMPLES = 12
SEED = 20_261_201
METHODS = {"get", "put", "post", "delete", "options", "patch"}
# Text of our own formats is sent as it was drawn.
HOOKS = """
import schemathesis


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def as_it_is(_, value):
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory, node):  # noqa: ARG001 (order: that one makes the hold loop)
    """A node of its own, in which anything may happen."""
    # Who draws calls does so faster than any studio.
    node = Node(tmp_path_factory.mktemp("openapi") / "data", "--calls-max", "100000")
    yield node
    node.close()


@pytest.fixture(scope="module")
def document(own):
    answer = request("GET", f"{own.links['desk']}/openapi.json")
    assert answer.status == 200 and answer.header("content-type") == "application/json"
    return answer.json()


@pytest.fixture(scope="module")
def spaces(own):
    """One of each kind."""
    ended = own.live("Ended")
    wait_until(lambda: ended.recorded_seconds() >= 2, "something is recorded")
    ended.step("end")
    cancelled = own.create("Cancelled")
    cancelled.step("cancel")
    return {"announced": own.create("Announced"), "live": own.live("Live"), "ended": ended, "cancelled": cancelled}


def at(document, url):
    """The document of one address alone."""
    part = copy.deepcopy(document)
    part["paths"] = {path: item for path, item in part["paths"].items() if item.pop("servers")[0]["url"] == url}
    return part


def without_preflights(part):
    """A preflight is answered alike for every name, so that pages need no second one."""
    for item in part["paths"].values():
        item.pop("options", None)
    return part


def among(part, path, slugs, methods=METHODS):
    """Draws the spaces of a path among these."""
    parameter = {**part["components"]["parameters"]["slug"], "schema": {"enum": slugs}}
    for method in methods & part["paths"][path].keys():
        parameters = part["paths"][path][method]["parameters"]
        others = [known for known in parameters if "slug" not in (known.get("name"), known.get("$ref", "").split("/")[-1])]
        parameters[:] = [*others, parameter]


def drawn(tmp_path, part, url, keys):
    """Everything that schemathesis has to say against the node; `keys` by path, "" for all others."""
    (tmp_path / "openapi.json").write_text(json.dumps(part))
    (tmp_path / "as_it_is.py").write_text(HOOKS)
    settings = [
        f'base-url = "{url}"',
        f"seed = {SEED}",
        'hooks = "as_it_is"',
        "warnings = false",
        "max-redirects = 0",
        # Requests of HLS are held for up to 12 s.
        "request-timeout = 60.0",
        "continue-on-failure = true",
        # What is valid may still be refused: SDP that is none, a step that does not follow, a house that is full.
        "checks.positive_data_acceptance.enabled = false",
        f"headers = {{ {bearer(keys[''])} }}",
        f'[generation]\nmax-examples = {EXAMPLES}\ndatabase = "none"',
        "[phases]\nstateful.enabled = false",
        # Another test compares `Allow` for all of them.
        '[phases.coverage]\nunexpected-methods = ["delete", "get", "trace"]',
    ]
    # A segment 0.5 is the part 5 of the segment 0.
    settings += ['[[operations]]\ninclude-path = "/s/{slug}/hls/{rendition}/{n}.m4s"\ngeneration.mode = "positive"']
    settings += [
        f'[[operations]]\ninclude-path = "{path}"\nheaders = {{ {bearer(key)} }}' for path, key in keys.items() if path
    ]
    (tmp_path / "schemathesis.toml").write_text("\n".join(settings))
    return subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def bearer(key):
    return f'Authorization = "Bearer {key}"' if key else ""


def test_it_is_openapi_3_1(document):
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1.")


def test_it_is_sent_once(own):
    url = f"{own.links['desk']}/openapi.json"
    first = request("GET", url)
    assert request("GET", url, headers={"If-None-Match": first.header("etag")}).status == 304


def test_the_methods_of_each_path_are_those_that_the_node_allows(own, document, spaces):
    values = {"slug": spaces["live"].slug, "act": "end", "rendition": "o48", "seat": "1", "file": "style.css"}
    for path, item in document["paths"].items():
        told = METHODS & item.keys()
        filled = re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], "0"), path)
        answer = request("BREW", item["servers"][0]["url"] + filled, key=key_of(own, path))
        assert answer.status == 405, (path, answer)
        allowed = {method.strip().lower() for method in answer.header("allow").split(",")}
        assert allowed - {"head"} == told, path


def key_of(own, path):
    return (own.data / "feed.key").read_text().strip() if path.startswith("/feed") else own.operator


def test_listeners_are_answered_as_the_document_says(own, document, spaces, tmp_path):
    url = own.links["listen"]
    part = without_preflights(at(document, url))
    for path in filter(lambda path: "{slug}" in path, part["paths"]):
        among(part, path, [space.slug for space in spaces.values()])
    # Live streams have no end; those of spaces that are over have.
    for path in filter(lambda path: "/live." in path, part["paths"]):
        among(part, path, [spaces["ended"].slug, spaces["cancelled"].slug])
    done = drawn(tmp_path, part, url, {"": None})
    assert done.returncode == 0, done.stdout + done.stderr


def test_hosts_and_speakers_are_answered_as_the_document_says(own, document, tmp_path):
    url = own.links["desk"]
    part = without_preflights(at(document, url))
    space, expendable = own.create("Driven"), own.create("Expendable")
    for path in filter(lambda path: "{slug}" in path, part["paths"]):
        among(part, path, [space.slug])
    # Who deletes a space takes it from the other operations.
    among(part, "/api/spaces/{slug}", [expendable.slug], {"delete"})
    # One whose hour has come opens its doors: a hundred programmes are more than a machine makes that tests something else.
    part["components"]["schemas"]["NewSpace"]["properties"]["scheduled_at"] = {"enum": ["2126-12-01T20:00:00Z", None]}
    # A stream without an end has a test of its own; and nobody else is called.
    del part["paths"]["/api/spaces/{slug}/events"]
    part["components"]["schemas"]["NewWebhook"]["properties"]["url"] = {"enum": ["http://10.0.0.1/"]}
    hook = request("POST", f"{url}/api/webhooks", {"url": "https://hook.invalid/"}, own.operator).json()
    part["components"]["parameters"]["webhook"]["schema"] = {"enum": [hook["id"]]}
    feed = key_of(own, "/feed")
    keys = {"": own.operator, "/s/{slug}/whip": space.speaker_key(1), "/feed": feed, "/feed/report": feed}
    done = drawn(tmp_path, part, url, keys)
    assert done.returncode == 0, done.stdout + done.stderr
