#!/usr/bin/python3
"""What an operator sets up: secrets, an existing table, headers, where the configuration is. Against real servers.

    ops_setup.py [NAME...]     only these checks
"""
import json
import os
import re
import sqlite3

from support import kafka
from support.cases import case
from support.place import CONFIG, USAGE, main
from support.proc import BIN, check, check_equal, run, wait_for

# --- secrets from files ---

@case
def the_url_of_a_source_comes_from_a_file(p):
    """With its password; neither it nor the file's text is shown."""
    role = f"file_{p.db}"
    p.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'hunter2' SUPERUSER")
    p.server.hba(f"host {p.db} {role} all scram-sha-256")
    p.server.reload()
    p.init()
    p.emit(2)
    secret = p.dir / "url"
    secret.write_text(p.server.url(p.db, user=f"{role}:hunter2") + "\n")
    secret.chmod(0o600)
    for source in ({"type": "outbox_postgres"}, {"type": "cdc_postgres", "as": "outbox"}):
        p.config(source={**source, "url_file": str(secret)}, store={"url_file": str(secret)})
        r = p.on("check")
        check("hunter2" not in r.stdout + r.log and "warning" not in r.log, f"check: {r.stdout}{r.log}")
    p.config(source={"type": "outbox_postgres", "url_file": str(secret)})
    d = p.daemon(name="drain")
    wait_for(lambda: len(d.stdout.splitlines()) == 2, 15, "the events")
    text = p.on("status").stdout
    check(f"postgresql://{role}@" in text and "hunter2" not in text, f"status: {text}")
    d.stop()
    secret.chmod(0o644)
    check("is world-readable" in p.on("check").log, "no warning")
    secret.chmod(0o622)
    check("is world-writable" in p.on("check", code=CONFIG).log, "not refused")


# --- an existing table ---

MAPPED = {"id": "message_id", "aggregatetype": "topic", "aggregateid": "entity", "type": "event name", "payload": "body"}


def _psql(p, script):
    r = p.server.psql(p.url, script)
    check(r.returncode == 0 and not r.stderr, f"psql: {r.stderr}\n{script}")


@case
def init_fits_an_existing_table(p):
    """What a mode needs is added under the names that the pipeline maps; the printed SQL runs as it stands, twice too."""
    p.sql("CREATE SCHEMA app")
    cases = {"status": {}, "status_by": {"order_by": "created_no"}, "delete": {}, "delete_unordered": {"order_by": ""},
             "position": {"columns": {**MAPPED, "seq": "no", "xid": "tx"}}}
    for name, more in cases.items():
        table = f"app.{name} Messages"
        p.sql(f'CREATE TABLE app."{name} Messages" (message_id uuid NOT NULL, topic text NOT NULL, entity text NOT NULL,'
              ' "event name" text NOT NULL, body jsonb, created_no bigint GENERATED ALWAYS AS IDENTITY)')
        insert = (f"INSERT INTO app.\"{name} Messages\" (message_id, topic, entity, \"event name\", body)"
                  " VALUES (gen_random_uuid(), 'order', 'k', 'T', '{}')")
        p.sql(insert)
        mode = name.split("_")[0]
        p.config(source={"type": "outbox_postgres", "url": p.url, "table": table, "mode": mode, "columns": MAPPED, **more},
                 name=name.replace("_", "-"), delivery={"ordered": more.get("order_by") != ""})
        check("FAULT" in p.on("check", "--connect", code=None).stdout, f"{name}: nothing was missing")
        script = p.on("init", "--print").stdout
        check_equal(p.on("init", "--print").stdout, script, "the SQL a second time")
        if name == "status":
            check("fits pipeline status now" in p.on("init").stdout, "init itself")
        for _ in range(2):
            _psql(p, script)
        check("FAULT" not in p.on("check", "--connect").stdout, f"{name}: it does not fit")
        p.sql(insert)
        relay = run(["run", "-c", p.file, "--until-idle"], env=p.env, cwd=p.home)
        check_equal(len(relay.stdout.splitlines()), 2, f"events of {name}")
        indexes = p.sql("SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass", f'app."{name} Messages"')
        _psql(p, script)
        check_equal(p.sql("SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass", f'app."{name} Messages"'), indexes, "indexes")


@case
def check_tells_all_faults_at_once(p):
    """Of a file and of a table, each with SQL that runs as it is printed."""
    p.sql('CREATE SCHEMA app; CREATE TABLE app."my box" (message_id uuid, kind text, body jsonb)')
    role = f"checks_{p.db}"
    p.sql(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA app TO {role}; GRANT CREATE ON DATABASE {p.db} TO {role}")
    p.config(source={"type": "outbox_postgres", "url": p.server.url(p.db, user=role), "table": "app.my box", "mode": "status",
                     "columns": {"id": "message_id", "payload": "body", "type": "kind", "seq": "no"}}, route={"topic": "{topik}"})
    out = p.on("check", "--connect", code=CONFIG).stdout
    for word in ('"aggregatetype"', '"aggregateid"', '"no"', '"status"', '"attempts"', '"last_error"', '"next_attempt_at"', '"published_at"',
                 '"topik"'):
        check(f"has no column {word}" in out, f"{word} is not named: {out}")
    p.sql('ALTER TABLE app."my box" ADD aggregatetype text, ADD aggregateid text, ADD topik text')
    for _ in range(5):  # what is mended lets more be seen
        out = p.on("check", "--connect", code=None).stdout
        for statement in re.findall(r"  mend: ((?:alter|create|grant|update) .*)", out):
            _psql(p, statement.replace(" concurrently", "") + ";")
        for statement in re.findall(r": (grant .*|create unique index .*)", out):
            _psql(p, statement + ";")
    out = p.on("check", "--connect", code=None).stdout
    check("FAULT" not in out, f"what the SQL does not mend: {out}")


@case
def init_for_a_pipeline_makes_the_table_too(p):
    """Where no name is mapped, and none is there."""
    for mode in ("position", "status", "delete"):
        p.config(source={"type": "outbox_postgres", "url": p.url, "table": f"box_{mode}", "mode": mode}, name=mode)
        p.on("init")
        check("FAULT" not in p.on("check", "--connect").stdout, f"mode {mode}")
    p.on("init", "--table", "x", code=USAGE)
    p.config(source={"type": "cdc_postgres", "url": p.url}, encode={"format": "flat"})
    check("outbox_postgres" in p.on("init", code=USAGE).log, "a change stream has no such table")
    p.sql("CREATE TABLE messages (message_id uuid, topic text)")
    for mode in ("status", "delete"):
        r = run(["init", "--source", p.url, "--mode", mode, "--table", "messages"], cwd=p.desk, code=None)
        check(r.poll() != 0 or mode == "delete", "it fits, whatever it is")
    check("init -c FILE" in run(["init", "--source", p.url, "--mode", "status", "--table", "messages"], cwd=p.desk, code=CONFIG).log,
          "no way on for an existing table")


# --- headers ---

HEADERS = ["id", {"column": "kind", "as": "eventType"}, {"value": "shop", "as": "origin"}, {"column": "aggregateid", "as": "of"}]
GIVEN = {"eventType": "Paid", "origin": "shop", "of": "k1"}


def _row_headers(p, **how):
    """The headers of the one event as stdout and batch files show them."""
    p.config(encode={"headers": HEADERS, **how.pop("encode", {})}, **how)
    r = run(["run", "-c", p.file, "--until-idle"], cwd=p.home, env=p.env, timeout=60)
    return [json.loads(line)["headers"] for line in r.stdout.splitlines()]


@case
def headers_from_columns_and_constants(p):
    """In every mode, with polling and CDC; the row's own headers go with them, and ours win."""
    for mode in ("position", "status", "delete"):
        p.init("--mode", mode, "--table", mode)
        p.sql(f"ALTER TABLE {mode} ADD COLUMN kind text")
        p.sql(f"INSERT INTO {mode} (aggregatetype, aggregateid, type, payload, headers, kind)"
              """ VALUES ('order', 'k1', 'T', '{}', '{"trace": "t1", "origin": "row"}', 'Paid')""")
        source = {"type": "outbox_postgres", "url": p.url, "mode": mode, "table": mode}
        check_equal(_row_headers(p, source=source, name=mode), [{**GIVEN, "trace": "t1"}], f"mode {mode}")
    run(["init", "--source", "sqlite:shop.db"], cwd=p.home)
    db = sqlite3.connect(p.home / "shop.db")
    db.executescript("ALTER TABLE outbox ADD COLUMN kind text; INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, kind)"
                     " VALUES ('1', 'order', 'k1', 'T', '{}', 'Paid'), ('2', 'order', 'k1', 'T', '{}', NULL)")
    db.close()
    source = {"type": "outbox_sqlite", "path": "shop.db"}
    check_equal(_row_headers(p, source=source), [GIVEN, {**GIVEN, "eventType": None}], "SQLite")
    p.config(source=source, encode={"headers": [{"column": "knid", "as": "k"}]})
    r = run(["run", "-c", p.file, "--until-idle"], cwd=p.home, env=p.env, code=CONFIG)
    check("knid" in r.log and "encode.headers" in r.log, f"a column that is not there: {r.log}")


@case
def headers_of_a_change_stream(p):
    """An outbox and table changes; of a change the columns are those of its row."""
    p.init("--table", "box")
    p.sql("ALTER TABLE box ADD COLUMN kind text; CREATE TABLE orders (id int PRIMARY KEY, kind text, aggregateid text)")
    p.sql("CREATE PUBLICATION commitrelay_box FOR TABLE box; CREATE PUBLICATION commitrelay_rows FOR TABLE orders")
    insert = "INSERT INTO box (aggregatetype, aggregateid, type, payload, headers, kind) VALUES ('order', 'k1', 'T', '{}', %s, 'Paid')"
    outbox = {"source": {"type": "cdc_postgres", "url": p.url, "as": "outbox", "table": "box"}, "name": "box"}
    check_equal(_row_headers(p, **outbox), [], "before the first row")
    p.sql(insert, '{"trace": "t1", "origin": "row"}')
    check_equal(_row_headers(p, **outbox), [{**GIVEN, "trace": "t1"}], "CDC outbox")
    for form in ("flat", "debezium", "json"):
        p.sql("DELETE FROM orders; INSERT INTO orders VALUES (1, 'Paid', 'k1')")
        changes = {"source": {"type": "cdc_postgres", "url": p.url}, "name": "rows", "encode": {"format": form}}
        got = _row_headers(p, **changes)
        check(got and got[-1] == GIVEN, f"format {form}: {got}")
    p.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()")


@case
def headers_reach_kafka(p):
    """As message headers, in every format of an outbox; batch files have them in their column."""
    p.init()
    p.sql("ALTER TABLE outbox ADD COLUMN kind text")
    p.sql("INSERT INTO outbox (aggregatetype, aggregateid, type, payload, kind) VALUES ('order', 'k1', 'T', '{}', 'Paid')")
    with kafka.Kafka() as broker:
        for form in ("payload", "json", "cloudevents", "cloudevents_json"):
            broker.create_topic(form)
            p.config(encode={"format": form, "headers": HEADERS}, route={"topic": form}, name=form,
                     sink={"type": "kafka", "brokers": broker.bootstrap})
            run(["run", "-c", p.file, "--until-idle"], cwd=p.home, env=p.env, timeout=60)
            (message,) = broker.consume_all([form])
            got = {name: value.decode() for name, value in message.headers}
            check({**got, **GIVEN} == got and got["id"], f"format {form}: {got}")
            if form == "json":
                check_equal(json.loads(message.value)["headers"], GIVEN, "headers inside the value")
    for form, want in (("delimited", '""origin"":""shop""'), ("key_value", r'\"origin\":\"shop\"')):
        out = p.dir / form
        p.config(encode={"headers": HEADERS}, name=form.replace("_", "-"), sink={"type": "file", "dir": str(out), "format": form})
        run(["run", "-c", p.file, "--until-idle"], cwd=p.home, env=p.env, timeout=60)
        (batch,) = [f for f in out.iterdir() if f.suffix in (".csv", ".kv")]
        check(want in batch.read_text(), f"{form}: {batch.read_text()}")


# --- where the configuration is ---

# Starts a program that finds this file as its default configuration, and nothing else in /etc: an ordinary user can make no directory
# there, but lay an empty one over it, which only this process sees.
WITH_DEFAULT = """set -e
mount -t tmpfs none /etc
mkdir /etc/commitrelay
cp "$1" /etc/commitrelay/relay.yaml
shift
exec "$@"
"""


def _run_with_default(p, file, words, **how):
    unshare = ["--mount"] if os.getuid() == 0 else ["--mount", "--user", "--map-root-user"]
    return run([*unshare, "/bin/sh", "-c", WITH_DEFAULT, "sh", file, BIN, *words], binary="/usr/bin/unshare", cwd=p.desk, **how)


@case
def the_configuration_has_a_default_place(p):
    """-c, then $COMMITRELAY_CONFIG, then /etc/commitrelay/relay.yaml."""
    p.init()
    p.emit(2)
    p.config(name="by_default")
    other = p.file.rename(p.dir / "default.yaml")
    p.config()
    env, none = {**p.env, "COMMITRELAY_CONFIG": p.file}, {**p.env, "COMMITRELAY_CONFIG": None}
    relay = run(["run", "--until-idle"], env=env, cwd=p.home)
    check_equal(len(relay.stdout.splitlines()), 2, "events of a run without -c")
    for words in (["check"], ["status"], ["position", "show"], ["dead-letters", "list"], ["pause"], ["resume"]):
        run(words, env=env, cwd=p.desk)
    run(["status", "-c", p.file], env={**env, "COMMITRELAY_CONFIG": p.dir / "missing"}, cwd=p.desk)
    run(["status"], env={**env, "COMMITRELAY_CONFIG": p.dir / "missing"}, cwd=p.desk, code=CONFIG)

    def pipeline_of(words, env):
        return json.loads(_run_with_default(p, other, ["status", "--json", *words], env=env).stdout)["pipelines"][0]["name"]
    named = json.loads(p.file.read_text())["pipelines"][0]["name"]
    check_equal(pipeline_of(["-c", p.file], none), named, "the pipeline of -c")
    check_equal(pipeline_of([], env), named, "the pipeline of the variable's file")
    check_equal(pipeline_of([], {**p.env, "COMMITRELAY_CONFIG": ""}), "by_default", "the pipeline where the variable is empty")
    check_equal(pipeline_of([], none), "by_default", "the pipeline of the default file")
    relay = _run_with_default(p, other, ["run", "--until-idle"], env=none)
    check_equal(len(relay.stdout.splitlines()), 2, "events of a run by the default file")
    _run_with_default(p, other, ["status"], env={**env, "COMMITRELAY_CONFIG": p.dir / "missing"}, code=CONFIG)
    if not os.path.exists("/etc/commitrelay/relay.yaml"):
        r = run(["status"], env=none, cwd=p.desk, code=USAGE)
        check("$COMMITRELAY_CONFIG" in r.log and "/etc/commitrelay/relay.yaml" in r.log, f"the places are not named: {r.log}")
        run(["run"], env=none, cwd=p.desk, code=USAGE)
    # Two URLs need no file, wherever one is named.
    run(["run", "--source", p.url, "--sink", "stdout:", "--until-idle"], env={**env, "COMMITRELAY_CONFIG": p.dir / "missing"}, cwd=p.desk)


main()
