"""The files in `operate/` fit the program: dashboard and alerts name metrics that there are, the unit is one that systemd
takes, the container sets what can be set."""

import configparser
import json
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

from throng import request

pytestmark = pytest.mark.aside

ROOT = pathlib.Path(__file__).parent.parent
OPERATE = ROOT / "operate"
DASHBOARD = json.loads((OPERATE / "grafana" / "throng.json").read_text())
ALERTS = yaml.safe_load((OPERATE / "prometheus" / "alerts.yml").read_text())
METRIC = re.compile(r"\b(?:throng|process)_[a-z0-9_]+")
# Said by Prometheus, or of every metric of a process or of its engine.
LABELS = {"instance", "job", "worker", "shard"}


def described():
    """Metrics of the reference, with the words on each."""
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    prose, *sections = text.split("\n## ")
    metrics = {name: prose for name in METRIC.findall(prose)}
    for section in sections:
        before = section.partition("\n| Name")[0]
        for row in re.findall(r"^\| (`throng_.*)$", section, re.MULTILINE):
            names, _, words = row.partition(" | ")
            metrics |= dict.fromkeys(METRIC.findall(names), before + words)
    return metrics


METRICS = described()


def expressions():
    """Every expression, by the title under which it stands."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for rule in (rule for group in ALERTS["groups"] for rule in group["rules"]):
        yield rule["alert"], rule["expr"]


def test_every_metric_is_in_the_reference_with_its_labels():
    for title, expression in expressions():
        names = METRIC.findall(expression) or ["up"]
        assert all(name in METRICS or name == "up" for name in names), (title, names)
        grouped = [label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")]
        labels = set(grouped + re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"", expression)) - LABELS
        words = " ".join(METRICS.get(name, "") for name in names)
        assert all(f"`{label}`" in words for label in labels), (title, labels)
        for value in re.findall(r"kind!?=\"(\w+)\"", expression):
            assert f"`{value}`" in words, (title, value)


def test_a_rate_is_taken_of_counters_and_of_nothing_else():
    for title, expression in expressions():
        rated = re.findall(r"(?:rate|increase)\((\w+)", expression)
        plain = set(METRIC.findall(expression)) - set(rated)
        assert all(name.endswith("_total") for name in rated), (title, rated)
        assert not any(name.endswith("_total") for name in plain), (title, plain)


def test_the_dashboard_can_be_imported():
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["uid"] and DASHBOARD["title"]
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables >= {"datasource", "instance"}
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
            assert panel["title"] and len(panel["description"]) > 40, "it says what to do"
            assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_every_alarm_worth_one_is_on_the_dashboard_and_in_the_alerts():
    """Those that the operator's handbook tells to watch."""
    handbook = (ROOT / "docs" / "operate" / "run.md").read_text()
    watched = METRIC.findall(handbook.partition("## Watching it")[2].partition("\n## ")[0])
    used = {name for _, expression in expressions() for name in METRIC.findall(expression)}
    assert watched and set(watched) <= used


def test_what_should_never_happen_is_counted_from_0(node):
    """A counter that appears with its first event has not risen, and no alert sees it."""
    shown = request("GET", f"{node.links['internal']}/metrics").body.decode()
    for rule in (rule for group in ALERTS["groups"] for rule in group["rules"]):
        # Of a door there is a counter for each, once somebody came.
        for name in set(re.findall(r"increase\((\w+)", rule["expr"])) - {"throng_door_failed_total"}:
            assert re.search(rf"^{name}\b", shown, re.MULTILINE), name


def test_every_alert_says_what_to_do():
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule
        assert rule["annotations"].keys() == {"summary", "description"}, rule


def unit():
    """The unit; of a key that stands twice, both."""
    text = (OPERATE / "systemd" / "throng.service").read_text()
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return parser


def test_the_unit_leaves_the_node_what_it_needs():
    service = unit()["Service"]
    assert service["ExecReload"].split()[1:] == ["-USR2", "$MAINPID"]
    assert service["KillMode"] == "mixed", "SIGTERM is for the supervisor"
    assert service["OOMPolicy"] == "continue", "a worker that dies takes nobody with it"
    assert int(service["TimeoutStopSec"]) > 30 + 8, "as long as a drain and what follows it"
    assert service.get("RestrictRealtime", "no") == "no" and int(service["LimitRTPRIO"]) >= 1
    assert service["ProtectSystem"] == "strict" and service["StateDirectory"] == "throng"
    assert f"/var/lib/{service['StateDirectory']}" in service["ExecStart"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path):
    copy = tmp_path / "throng.service"
    text = (OPERATE / "systemd" / "throng.service").read_text()
    # The program need not be installed here.
    copy.write_text(text.replace("/usr/local/bin/throng", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if copy.name in line]
    assert done.returncode == 0 and not said, done


def test_the_container_sets_what_can_be_set():
    text = (OPERATE / "Containerfile").read_text()
    settings = set(re.findall(r"^#?(\w+) = ", (ROOT / "docs" / "reference" / "throng.toml").read_text(), re.MULTILINE))
    given = dict(re.findall(r"\bTHRONG_(\w+)=(\S+)", text))
    assert given and {name.lower() for name in given} <= settings
    exposed = re.search(r"^EXPOSE (.*)$", text, re.MULTILINE)[1]
    for name in ("LISTEN", "DESK", "STAGE_UDP"):
        assert given[name].rpartition(":")[2] in exposed, name
    assert f"/{given['INTERNAL'].replace(':', '/')} " in text and "GET /healthz" in text
    assert re.search(r"^USER \d+$", text, re.MULTILINE) and f"VOLUME {given['DATA']}" in text
    wanted = re.search(r'^rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert f"/rust:{wanted}-" in text, "as old as the program can be built with"
