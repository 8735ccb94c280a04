#!/usr/bin/python3
"""Configurations of Debezium, as they are found in the field, become ones that `check` accepts, and what is said of each stays as it was judged.

    import_debezium.py [--write] [NAME...]      --write: what the program prints now becomes what is expected

tests/golden/import holds NAME.json or NAME.properties (NAME.worker.properties: the worker's file), and beside it NAME.yaml and NAME.report:
what has to come on stdout, and on stderr with the exit code as its last line. Every password in them has hunter2 in it.
"""
import difflib
import re
import sys

from support import proc
from support.proc import check, check_equal, run

CASES = proc.ROOT / "tests/golden/import"
OK, DIFFERS, USAGE, IO, CONFIG = 0, 1, 64, 74, 78


def inputs():
    return sorted(f for f in CASES.iterdir() if f.suffix in (".json", ".properties") and not f.name.endswith(".worker.properties"))


def convert(file):
    worker = file.with_name(f"{file.stem}.worker.properties")
    got = run(["import-debezium", file.name, *([worker.name] if worker.exists() else [])], cwd=file.parent, code=None)
    return got, f"{got.log}exit {got.poll()}\n"


def compare(expected, text, write):
    if write:
        expected.write_text(text)
    want = expected.read_text() if expected.exists() else ""
    check(want == text, f"{expected.name} is another one now:\n" + "".join(difflib.unified_diff(
        want.splitlines(True), text.splitlines(True), "expected", "printed")))


def accepted(file, yaml):
    """`check` takes it, once the variables are set that the report names."""
    where = proc.tempdir("import")
    path = where / "relay.yaml"
    path.write_text(yaml)
    env = {name: "5432" if "PORT" in name else "nats://nats:4222" if name.endswith("_URL") else "dummy" for name in re.findall(r"(?<!\$)\$\{(\w+)\}", yaml)}
    if "WEBHOOK_SECRET" in env:
        env["WEBHOOK_SECRET"] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    got = run(["check", "-c", path], env=env, cwd=where, code=None)
    check("FAULT" not in got.stdout and "settings" in got.stdout, f"{file.name}: check refuses it:\n{yaml}\n{got.stdout}{got.log}")
    return env


def cases(write, only):
    count = 0
    for file in inputs():
        if only and file.stem not in only:
            continue
        got, report = convert(file)
        check("hunter2" not in got.stdout + got.log, f"{file.name}: a secret is copied:\n{got.stdout}{got.log}")
        check("pepper-and-salt" not in got.stdout + got.log, f"{file.name}: a salt is copied")
        compare(CASES / f"{file.stem}.yaml", got.stdout, write)
        compare(CASES / f"{file.stem}.report", report, write)
        for name in accepted(file, got.stdout):
            check(name in got.log, f"{file.name}: nobody says what {name} has to hold")
        count += 1
    check(only or count >= 15, f"only {count} cases")
    print(f"{count} configurations")


def the_page():
    """docs/FROM-DEBEZIUM.md shows what the program makes of its examples."""
    page = (proc.ROOT / "docs/FROM-DEBEZIUM.md").read_text()
    pairs = re.findall(r"^```json\n(.*?)^```$.*?^```yaml\n(.*?)^```$", page, re.M | re.S)
    check_equal(len(pairs), 2, "pairs of examples")
    for number, (connector, yaml) in enumerate(pairs):
        file = proc.tempdir("import") / f"example{number}.json"
        file.write_text(connector)
        got = run(["import-debezium", file], code=None)
        check_equal("".join(got.stdout.splitlines(True)[2:]), yaml, f"the YAML of example {number}")
        accepted(file, got.stdout)


def refused():
    where = proc.tempdir("import")

    def refuse(name, text, code, *says):
        if text is not None:
            (where / name).write_text(text)
        got = run(["import-debezium", name], cwd=where, code=code)
        check_equal(got.stdout, "", f"{name}: something on stdout")
        for word in says:
            check(word in got.log, f"{name}: {word!r} is not said: {got.log}")

    refuse("none.json", None, IO, "none.json cannot be read")
    refuse("mysql.json", '{"connector.class": "io.debezium.connector.mysql.MySqlConnector"}', CONFIG, "another database")
    refuse("sink.json", '{"name": "s", "config": {"topics": "x"}}', CONFIG, "connector.class is missing")
    refuse("many.json", '{"a": {"info": {"config": {}}}}', CONFIG, "`a` is a list or an object")
    refuse("list.json", "[]", CONFIG, "is no JSON object")
    refuse("cut.json", '{"name": "s",', CONFIG, "cut.json:1: is no JSON")
    refuse("escape.properties", "a=1\nb=\\u12\n", CONFIG, "escape.properties:2")
    (where / "latin1.properties").write_bytes(b"a=caf\xe9\n")
    refuse("latin1.properties", None, CONFIG, "UTF-8")
    check("the file is missing" in run(["import-debezium"], code=USAGE).log, "no file")


def deletes():
    """What ExtractNewRecordState makes of a delete, by the option of today, and without it by those before 2.5."""
    where = proc.tempdir("import")
    mode, old, drop = "delete.tombstone.handling.mode", "delete.handling.mode", "drop.tombstones"
    for options, want, differs in (({}, "drop", None), ({mode: "drop"}, "drop", None), ({mode: "tombstone"}, "tombstone", None),
                                   ({mode: "rewrite"}, "rewrite", None), ({mode: "rewrite-with-tombstone"}, "rewrite", mode),
                                   ({mode: "tombstone", old: "rewrite"}, "tombstone", None), ({old: "drop"}, "drop", None),
                                   ({drop: "false"}, "tombstone", None), ({old: "none"}, "tombstone", None), ({old: "rewrite", drop: "true"}, "rewrite", None),
                                   ({old: "none", drop: "false"}, "tombstone", drop), ({old: "rewrite", drop: "false"}, "rewrite", drop)):
        own = {"debezium.source.connector.class": "io.debezium.connector.postgresql.PostgresConnector", "debezium.source.topic.prefix": "p",
               "debezium.sink.type": "kafka", "debezium.format.value.schemas.enable": "false", "debezium.format.key.schemas.enable": "false",
               "debezium.transforms": "u", "debezium.transforms.u.type": "io.debezium.transforms.ExtractNewRecordState"}
        own.update({f"debezium.transforms.u.{k}": v for k, v in options.items()})
        (where / "u.properties").write_text("".join(f"{k}={v}\n" for k, v in own.items()))
        got = run(["import-debezium", "u.properties"], cwd=where, code=DIFFERS if differs else OK)
        check(f"deletes: {want}}}" in got.stdout, f"{options} is not {want}:\n{got.stdout}")
        check(not differs or f"u.{differs}=" in got.log.split("only operation")[0], f"{options}: nothing is said\n{got.log}")


def our_names():
    """A name of Debezium's in a file of ours gets ours."""
    where = proc.tempdir("import")
    path = where / "relay.yaml"
    for key, says in {"encode": {"decimal.handling.mode": "here it is `encode.decimal`"}, "source": {"slot.name": "here it is `source.slot`"},
                      "route": {"message.key.columns": "here it is `encode.key_columns`"}, "delivery": {"max.queue.size": "`delivery.max_in_flight`"}}.items():
        (name, text), = says.items()
        pipeline = {"name": "x", "source": "{type: cdc_postgres, url: postgresql://h/d}", "sink": "{type: stdout}", "encode": "{format: flat}"}
        pipeline[key] = f'{{{"type: cdc_postgres, url: postgresql://h/d, " if key == "source" else ""}{name}: a}}'
        path.write_text("pipelines:\n  - " + "\n    ".join(f"{k}: {v}" for k, v in pipeline.items()) + "\n")
        got = run(["check", "-c", path], code=CONFIG)
        check(f"unknown key `{name}`" in got.log and text in got.log, f"{name}: {got.log}")


if __name__ == "__main__":
    words = [a for a in sys.argv[1:] if a != "--write"]
    cases("--write" in sys.argv, words)
    if not words:
        the_page()
        refused()
        deletes()
        our_names()
