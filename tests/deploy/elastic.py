#!/usr/bin/python3
"""deploy/elastic: the index template has the fields that the relay writes, and no others, with the types of the Elastic Common Schema; the samples are well formed."""
import json
import re
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.cases import case, main  # noqa: E402
from support.proc import check, check_equal, run, wait_for  # noqa: E402
from support.relaying import config, once, pipeline  # noqa: E402
from support.shop import SqliteShop  # noqa: E402

HERE = proc.ROOT / "deploy/elastic"
SCHEMA = dict(line.split(",") for line in (proc.ROOT / "tests/golden/ecs/fields.csv").read_text().splitlines() if not line.startswith("#"))
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OF_THE_AUDIT_LOG = {"event.action", "user.id", "user.name"}


def mapped():
    """{field: type} of the index template."""
    def walk(properties, prefix):
        for name, p in properties.items():
            if "properties" in p:
                yield from walk(p["properties"], f"{prefix}{name}.")
            else:
                yield prefix + name, p["type"]
    return dict(walk(json.loads((HERE / "index-template.json").read_text())["template"]["mappings"]["properties"], ""))


def schema_type(field):
    return "keyword" if field.startswith("labels.") else SCHEMA.get(field)


def lines_of(relay):
    return [json.loads(x) for x in relay.log.splitlines() if x.startswith("{")]


@case
def the_template_has_the_schemas_types(_):
    for field, kind in mapped().items():
        check_equal(kind, schema_type(field), f"type of {field}")
    template = json.loads((HERE / "index-template.json").read_text())
    check("data_stream" in template and all(p.startswith("logs-commitrelay.") for p in template["index_patterns"]), "no data stream of logs")


@case
def a_run_writes_what_the_template_maps(d):
    """A run that meets a poison event: all its lines are ECS, each field is mapped, and the lines about the event have its trace."""
    shop = SqliteShop(d)
    shop.script(f"""insert into outbox (id, aggregatetype, aggregateid, type, payload, headers)
                    values ('e1', 'no topic', 'k', 'T', '1', '{{"traceparent": "{TRACE}"}}'), ('e2', 'order', 'k', 'T', '1', null)""")
    r = once(config(d, pipeline(shop.source(), topic="{aggregatetype}", route={"allow_topics": ["order"]}, poison="skip"), log={"format": "ecs", "level": "debug"}))
    check_equal(r.poll(), 0, r.log)
    lines, fields = lines_of(r), mapped()
    check_equal(len(lines), len(r.log.splitlines()), "every line is JSON")
    for line in lines:
        check(set(line) <= set(fields), f"fields that are not mapped: {set(line) - set(fields)}")
        check_equal((line["event.dataset"], line["service.name"]), ("commitrelay.log", "commitrelay"), "where it comes from")
    about = [x for x in lines if "e1" in x["message"].split()]
    check(about, f"no line about the event: {r.log}")
    check_equal({(x.get("trace.id"), x.get("span.id")) for x in about}, {tuple(TRACE.split("-")[1:3])}, "their trace")
    check(not any("trace.id" in x for x in lines if x not in about), "a trace without an event")


@case
def what_is_mapped_is_written(_):
    """The rest of the fields stands in a unit test (unit.base.log) and in the audit log."""
    text = (proc.ROOT / "core/base/log.c").read_text()
    written = set(re.findall(r'\\?"([a-z@]+(?:\.[a-z]+)*)\\?"', text))
    check(set(mapped()) - OF_THE_AUDIT_LOG <= written, f"mapped and never written: {set(mapped()) - OF_THE_AUDIT_LOG - written}")


@case
def the_samples_are_well_formed(d):
    """Filebeat and Logstash are not here to judge. What the audit log's fields are renamed from is there, and what they become is mapped."""
    beat = yaml.safe_load((HERE / "filebeat.yml").read_text())
    rename, = [p["rename"]["fields"] for i in beat["filebeat.inputs"] for p in i["processors"] if "rename" in p]
    check_equal({f["to"] for f in rename}, OF_THE_AUDIT_LOG | {"labels.pipeline"}, "what the audit log's fields become")
    check(OF_THE_AUDIT_LOG <= set(mapped()), "what is not mapped")
    shop = SqliteShop(d)
    path = config(d, pipeline(shop.source()), audit={"path": f"{d}/audit.log"})
    once(path)
    run(["pause", "-c", path, "--pipeline", "p"])
    wait_for(lambda: '"pause"' in (d / "audit.log").read_text(), 10, "a line of the audit log")
    line = json.loads((d / "audit.log").read_text().splitlines()[-1])
    for f in rename:
        value = {"audit": line}
        for step in f["from"].split("."):
            check(step in value, f"the audit log has no {f['from']}: {line}")
            value = value[step]
    logstash = (HERE / "logstash.conf").read_text()
    check_equal(logstash.count("{"), logstash.count("}"), "braces of logstash.conf")


main(lambda: proc.tempdir("elastic"))
