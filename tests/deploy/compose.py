#!/usr/bin/python3
"""deploy/compose: the file is one of the Compose Specification, and what its services run does, run as processes, what the tour shows.

compose.py [CASE...]
"""
import os
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.cases import case, main  # noqa: E402
from support.kafka import Kafka  # noqa: E402
from support.pg import Postgres  # noqa: E402
from support.proc import check, check_equal, run, wait_for  # noqa: E402
from support.prometheus import Prometheus  # noqa: E402
from support.relaying import page, start  # noqa: E402

HERE = proc.ROOT / "deploy/compose"
TEXT = (HERE / "compose.yaml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]
OURS = {name: s for name, s in SERVICES.items() if "commitrelay" in s["image"]}


def specification():
    """The package compose-spec: the format, by somebody else."""
    sys.path.insert(0, str(proc.downloaded("compose-spec-0.2.1")))
    import compose_spec  # pylint: disable=import-outside-toplevel,import-error
    return compose_spec.PyCompose


@case
def the_file_is_of_the_specification(_):
    compose = specification()
    check_equal(len(compose.from_yaml(TEXT)), len(SERVICES), "services")
    for right, wrong in (("read_only: true", "readonly: true"), ("service_healthy", "service_well")):
        try:
            compose.from_yaml(TEXT.replace(right, wrong))
        except ValueError:
            continue
        proc.fail(f"{wrong} is taken")


def mounts(service):
    """{path in the container: file here}; named volumes are left out."""
    parts = [v.split(":") for v in service.get("volumes", [])]
    return {to: (HERE / source).resolve() for source, to, *_ in parts if source.startswith(".")}


@case
def what_is_mounted_is_there(_):
    for name, s in SERVICES.items():
        for to, source in mounts(s).items():
            check(source.is_file(), f"{name}: no {source} for {to}")
        check(all(port.startswith("127.0.0.1:") for port in s.get("ports", [])), f"{name}: a port that the network reaches")
        check(set(s.get("depends_on", {})) <= set(SERVICES), f"{name} depends on nobody")
    grafana = mounts(SERVICES["grafana"])
    providers = yaml.safe_load(next(f for to, f in grafana.items() if "/provisioning/dashboards/" in to).read_text())["providers"]
    shown = [to for to in grafana if to.endswith(".json")]
    check_equal([os.path.dirname(to) for to in shown], [p["options"]["path"] for p in providers], "where the dashboard lies")
    check_equal(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"], shown[0], "the first page")
    source, = yaml.safe_load(next(f for to, f in grafana.items() if "/datasources/" in to).read_text())["datasources"]
    check_equal((source["type"], source["url"].startswith("http://prometheus:")), ("prometheus", True), "the data source")


@case
def the_steps_do_what_the_tour_shows(d):
    """init, shop and relay run as the services say, and Prometheus with the service's file; only hosts and ports are others."""
    with Postgres(name="compose-pg") as server, Kafka(auto_create=True, name="compose-kafka") as kafka:
        tour(d, server, kafka)


def tour(d, server, kafka):
    server.sql("create role shop login superuser")
    server.createdb(SERVICES["postgres"]["environment"]["POSTGRES_DB"])
    port = proc.free_port()
    here = {"@postgres/": f"@127.0.0.1:{server.port}/", "kafka:9092": kafka.bootstrap, "0.0.0.0:9480": f"127.0.0.1:{port}", "relay:9480": f"127.0.0.1:{port}",
            "/var/lib/commitrelay": str(d)}

    def local(text):
        for there, value in here.items():
            text = text.replace(there, value)
        return text
    for path, source in mounts(SERVICES["relay"]).items():
        (d / source.name).write_text(local(source.read_text()))
        here[path] = str(d / source.name)
    check_equal({tuple(s["entrypoint"]) for s in OURS.values()}, {("commitrelay",)}, "entry points")
    words = {name: [local(w) for w in s["command"]] for name, s in OURS.items()}
    env = {k: local(v) for k, v in OURS["relay"]["environment"].items()}
    run(words["init"])
    shop = start(words["shop"])
    relay = start(words["relay"], env=env, cwd=d)
    wait_for(lambda: page(f"127.0.0.1:{port}", "readyz")[0] == 200, 30, "the relay to be ready")
    wait_for(lambda: kafka.count("outbox.event.order") > 5, 30, "events in Kafka")
    conf = yaml.safe_load(local((HERE / "prometheus.yml").read_text()))
    rules = {os.path.basename(to): f for to, f in mounts(SERVICES["prometheus"]).items()}
    conf["rule_files"] = [str(rules[f]) for f in conf["rule_files"]]
    with Prometheus(conf) as p:
        wait_for(lambda: p.query('commitrelay_events_delivered_total{pipeline="orders"} > 5'), 30, "the first scrape", ignore=(OSError, ValueError))
        check(p.get("rules")["groups"], "no rules")
    shop.term()
    check_equal(relay.stop(), 0, f"exit code: {relay.log}")


main(lambda: proc.tempdir("compose"))
