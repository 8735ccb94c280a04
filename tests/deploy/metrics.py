#!/usr/bin/python3
"""/metrics, the rules and the dashboard: read by somebody else's parser, by promtool and by a real Prometheus, and they name what the relay exposes.

metrics.py [CASE...]
"""
import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import yaml
from prometheus_client import parser as plain
from prometheus_client.openmetrics import parser as openmetrics

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.cases import case, main  # noqa: E402
from support.proc import check, check_equal, run, wait_for  # noqa: E402
from support.prometheus import Prometheus  # noqa: E402
from support.relaying import admin, config, daemon, page, pipeline  # noqa: E402
from support.shop import SqliteShop  # noqa: E402

RULES = proc.ROOT / "deploy/prometheus/commitrelay.rules.yml"
DASHBOARD = json.loads((proc.ROOT / "deploy/grafana/commitrelay.json").read_text())
# What Prometheus asks with, from 2.42 to 3.5.
ACCEPT = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
SUFFIXES = {"histogram": ["_bucket", "_sum", "_count"], "summary": ["_sum", "_count"], "info": ["_info"], "counter": ["_total"]}


class World:
    """A relay with two pipelines, one of which uploads its files to nobody."""

    def __init__(self):
        self.dir, self.address = proc.tempdir("metrics"), admin()
        self.shop = SqliteShop(self.dir)
        self.shop.insert(20)
        away = {"name": "partner", "url": f"https://127.0.0.1:{proc.free_port()}/", "retry": {"initial": "10s", "max": "10s"}}
        self.relay = daemon(config(self.dir, pipeline(self.shop.source(), name="orders"),
                                   pipeline(self.shop.source(), {"type": "file", "dir": f"{self.dir}/out", "rotate": {"interval": "100ms"}, "upload": [away]}, name="files"),
                                   admin={"listen": self.address}))
        wait_for(lambda: 'target="partner"' in page(self.address, "metrics")[1]
                 and re.search(r'^commitrelay_events_delivered_total\{pipeline="orders"\} 20$', page(self.address, "metrics")[1], re.M), 20, "the events to be delivered")

    def metrics(self, accept):
        request = urllib.request.Request(f"http://{self.address}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=180) as r:
            return r.headers["Content-Type"], r.read().decode()


def exposed(w):
    """{name of a sample: its labels}, of all metrics in the reference and with the labels of the real page."""
    names = {}
    for line in run(["reference", "metrics"]).stdout.splitlines():
        m = re.match(r"\| `((?:commitrelay|process)_\w+)` \| (\w+) \|", line)
        if m:
            for suffix in SUFFIXES.get(m[2], [""]) if m[2] in ("histogram", "summary") else [""]:
                names[m[1] + suffix] = {"pipeline"}
    check(len(names) > 30, f"the reference has {len(names)} metrics")
    seen = {}
    for family in plain.text_string_to_metric_families(w.metrics("")[1]):
        for s in family.samples:
            check(s.name in names, f"{s.name} is not in the reference")
            seen.setdefault(s.name, set()).update(s.labels)
    return {**names, **seen}


# Prometheus' own labels, of each series that it scrapes.
OF_THE_SCRAPE = {"job", "instance"}


def check_names(expression, known, where):
    """Each metric is one of the relay's, and each label that is matched or grouped by is one of a metric in the expression."""
    metrics = re.findall(r"\b(?:(?:commitrelay|process)_\w+|up)\b", expression)
    check(metrics, f"{where}: no metric in {expression}")
    labels = set(OF_THE_SCRAPE)
    for m in metrics:
        check(m == "up" or m in known, f"{where}: the relay has no {m}")
        labels |= known.get(m, set())
    used = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression))
    for group in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expression):
        used |= {x.strip() for x in group.split(",")}
    check(used <= labels, f"{where}: {used - labels} is no label of {metrics}")


def queries():
    """(where, expression) of every panel of the dashboard."""
    return [(f"panel {p['title']}", t["expr"]) for p in DASHBOARD["panels"] for t in p.get("targets", [])]


def with_values(expression):
    return expression.replace("$__rate_interval", "5m").replace("$pipeline", "orders|files")


# --- the page ---

@case
def openmetrics_for_who_asks(w):
    kind, text = w.metrics(ACCEPT)
    check_equal(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8", "content type")
    check(text.endswith("# EOF\n"), "no end")
    kind, old = w.metrics("text/plain")
    check_equal(kind, "text/plain; version=0.0.4; charset=utf-8", "content type")
    check("# EOF" not in old, "the end of the other format")
    new = {f.name: f for f in openmetrics.text_string_to_metric_families(text)}
    was = {f.name: f for f in plain.text_string_to_metric_families(old)}
    check_equal({f.type for f in new.values()}, {"counter", "gauge", "histogram", "info", "summary"}, "types")
    names = {f.name[:-len("_info")] if f.name.endswith("_info") else f.name for f in was.values()}
    check_equal(set(new), names, "the same families")
    for name, f in new.items():
        other = was.get(name) or was[f"{name}_info"]
        check(f.documentation and f.documentation == other.documentation, f"{name}: help")
        check(not name.endswith(("_seconds", "_bytes")) or f.unit == name.rsplit("_", 1)[1], f"{name}: unit {f.unit!r}")
        got = {(s.name, tuple(sorted(s.labels.items()))) for s in f.samples}
        check(len(got) == len(f.samples) and len(got) == len(other.samples), f"{name}: {len(got)} samples, and {len(other.samples)}")


@case
def promtool_has_nothing_to_say(w):
    text = w.metrics("")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    check_equal((done.returncode, done.stdout + done.stderr), (0, ""), "promtool check metrics")


# --- rules ---

@case
def rules(w):
    for words in (["check", "rules", RULES], ["check", "config", RULES.parent / "prometheus.yml"], ["test", "rules", RULES.with_name("commitrelay.rules.test.yml")]):
        done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False, cwd=RULES.parent)
        check_equal(done.returncode, 0, f"promtool {words[:2]}: {done.stdout}{done.stderr}")
    known = exposed(w)
    alerts = [r for g in yaml.safe_load(RULES.read_text())["groups"] for r in g["rules"]]
    for r in alerts:
        check_names(r["expr"], known, r["alert"])
        check(r["labels"]["severity"] in ("page", "ticket") and r["annotations"]["summary"], f"{r['alert']}: severity, summary")
    tests = [t for g in yaml.safe_load(RULES.with_name("commitrelay.rules.test.yml").read_text())["tests"] for t in g["alert_rule_test"]]
    for fires in (True, False):
        check_equal({r["alert"] for r in alerts} - {t["alertname"] for t in tests if bool(t["exp_alerts"]) == fires}, set(), f"alerts without a test that {'fires' if fires else 'is silent'}")


# --- the dashboard ---

@case
def the_dashboard_names_what_there_is(w):
    known, ids, cells = exposed(w), set(), set()
    check_equal([v["name"] for v in DASHBOARD["templating"]["list"]], ["datasource", "pipeline"], "variables")
    for where, expression in queries():
        check_names(with_values(expression), known, where)
        of_a_pipeline = any("pipeline" in known[m] for m in re.findall(r"\bcommitrelay_\w+", expression))
        check(not of_a_pipeline or 'pipeline=~"$pipeline"' in expression, f"{where}: not of the chosen pipelines: {expression}")
    for p in DASHBOARD["panels"]:
        check(p["id"] not in ids, f"two panels {p['id']}")
        ids.add(p["id"])
        g = p["gridPos"]
        own = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        check(g["x"] + g["w"] <= 24 and not own & cells, f"{p['title']} lies over another")
        cells |= own
        check(p["type"] == "row" or (p["description"] and all(t["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for t in p["targets"])), f"{p['title']}: description, source")
    text = json.dumps(DASHBOARD)
    shown = [m for m in known if m not in text and not m.endswith(("_sum", "_count"))]
    # What nobody looks at: they repeat others, or are for the alerts.
    check_equal(sorted(shown), ["commitrelay_last_event_timestamp_seconds", "commitrelay_last_prune_timestamp_seconds",
                                "commitrelay_split_transactions_total", "commitrelay_target_accepted_number",
                                "process_start_time_seconds", "process_virtual_memory_bytes"], "metrics that no panel shows")
    states = {m[2]: m[1] for m in re.finditer(r"^\| (\d) \| `(\w+)`", run(["reference", "states"]).stdout, re.M)}
    mapping = DASHBOARD["panels"][1]["fieldConfig"]["defaults"]["mappings"][0]["options"]
    check(states and states == {v["text"]: k for k, v in mapping.items()}, f"states: {states}, shown {mapping}")


# --- a real Prometheus ---

@case
def a_real_prometheus_reads_and_evaluates(w):
    """It takes the page as OpenMetrics, the rules run without an error, and every query of the dashboard is answered."""
    conf = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "commitrelay", "static_configs": [{"targets": [w.address]}]}]}
    with Prometheus(conf) as p:
        wait_for(lambda: p.query('up{job="commitrelay"} == 1'), 30, "the first scrape", ignore=(OSError, ValueError))
        wait_for(lambda: p.query('rate(commitrelay_events_read_total{pipeline="orders"}[5m])'), 30, "a second one")
        check_equal({x["type"] for x in p.get("metadata", metric="commitrelay_build")["commitrelay_build"]}, {"info"}, "what OpenMetrics alone says")
        wait_for(lambda: all(r["lastEvaluation"] > "1" for g in p.get("rules")["groups"] for r in g["rules"]), 30, "the rules to run")
        check_equal([r["lastError"] for g in p.get("rules")["groups"] for r in g["rules"] if r.get("lastError")], [], "errors of the rules")
        known = {n for n in p.get("label/__name__/values")}
        for where, expression in queries():
            got = p.query(with_values(expression))
            there = all(m in known for m in re.findall(r"\bcommitrelay_\w+", expression))
            check(got or not there or "slot" in expression, f"{where}: nothing for {expression}")


main(World)
