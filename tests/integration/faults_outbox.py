"""What a table, its triggers, its policies and the role's settings can do to a relay of an outbox."""
import contextlib
import itertools
import json
import socket
import struct
import threading
import time

import faults_kafka
from support.arrivals import each_once, file_ids, ids, lines, wait_ids
from support.bad_input import Saw, alive, all_came_once, ended, fault, faults, looked
from support.piped import Piped
from support.proc import check, check_equal, wait_for
from support.relaying import admin, config, daemon, metric, once, page, pipeline, start
from support.shop import PostgresShop, SqliteShop, schema

SCHEMA, STATUS = schema("postgres/outbox"), schema("postgres/status")

# --- 24: row level security ---

POLICY = """
alter table outbox enable row level security;
create policy own on outbox for select to {role} using (aggregateid = 'a');
"""


def _limited(sql="", **source):
    """An outbox, and a source that reads it as a role that owns nothing and is no superuser."""
    outbox = PostgresShop(sql)
    role = f"limited_{outbox.name}"
    outbox.sql(f"create role {role} login; grant create on database {outbox.name} to {role}; grant all on outbox to {role}")
    return outbox, role, outbox.source(url=outbox.url(user=role), **source)


@faults({"position": ("position", ""), "status": ("status", STATUS), "delete": ("delete", "")})
def row_security(d, how):
    """Rows that a policy hides would never come: refused, and by check too."""
    mode, schema = how
    outbox, role, source = _limited(schema, mode=mode)
    outbox.insert(5, key="a")
    outbox.insert(5, key="b")
    outbox.sql(POLICY.format(role=role))
    path = config(d, pipeline(source))
    refused = looked(path)
    check_equal(refused.code, 77, f"exit code of check\n{refused.text}")
    check(f'ALTER ROLE "{role}" BYPASSRLS' in refused.text, refused.text)
    r = once(path)
    check_equal(ids(r), [], "what was sent")
    outbox.sql(f"alter role {role} bypassrls")
    after = once(path)
    each_once(ids(after), outbox.ids)
    return ended(r)


@faults({"position": ("position", ""), "status": ("status", STATUS), "delete": ("delete", "")})
def row_security_switched_on(d, how):
    """Under a running relay: it blocks, passes nothing, and sends all once the role may see it."""
    mode, schema = how
    outbox, role, source = _limited(schema, mode=mode)
    address = admin()
    r = daemon(config(d, pipeline(source), admin={"listen": address}))
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids)
    outbox.wait_saved(3)
    outbox.sql(POLICY.format(role=role))
    outbox.insert(5, key="b")
    r.wait_log("state blocked.*BYPASSRLS|BYPASSRLS.*state blocked")
    wait_for(lambda: page(address, "readyz")[0] == 503, 5, "readiness to go")
    check_equal(ids(r), outbox.ids[:3], "what was sent")
    outbox.sql(f"alter role {role} bypassrls")
    return all_came_once(r, outbox.ids)


# --- 34: marks without effect ---

KEEP = """
create function keep() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger keep before {event} on outbox for each row execute function keep();
"""
BACK = """
create function back() returns trigger language plpgsql as $$
begin update outbox set status = 'pending' where seq = new.seq; return null; end $$;
create trigger back after update on outbox for each row when (new.status = 'done') execute function back();
"""
AGAIN = """
create function again() returns trigger language plpgsql as $$
begin insert into outbox overriding system value select old.*; return null; end $$;
create trigger again after delete on outbox for each row execute function again();
"""
WITHOUT_EFFECT = {
    "status_trigger": ("status", KEEP.format(event="update"), "drop trigger keep on outbox"),
    "status_undone": ("status", BACK, "drop trigger back on outbox"),
    "status_rule": ("status", "create rule keep as on update to outbox do instead nothing;", "drop rule keep on outbox"),
    "delete_trigger": ("delete", KEEP.format(event="delete"), "drop trigger keep on outbox"),
    "delete_undone": ("delete", AGAIN, "drop trigger again on outbox"),
    "delete_rule": ("delete", "create rule keep as on delete to outbox do instead nothing;", "drop rule keep on outbox")}


@faults({f"{name}_{sink}": (*how, sink) for name, how in WITHOUT_EFFECT.items() for sink in ("stdout", "file")})
def mark_without_effect(d, how):
    """What is still pending after its mark blocks the pipeline, and is not sent again; mended, it goes on."""
    mode, spoil, mend, kind = how
    outbox = PostgresShop(STATUS if mode == "status" else "")
    outbox.insert(5)
    sink = {"type": "file", "dir": f"{d}/out", "rotate": {"interval": "20ms"}} if kind == "file" else None
    address = admin()
    r = daemon(config(d, pipeline(outbox.source(mode=mode), sink=sink), admin={"listen": address}))
    left = "select count(*) from outbox" + (" where status = 'pending'" if mode == "status" else "")
    wait_for(lambda: outbox.value(left) == 0, 20, "the rows to be marked")
    outbox.sql(spoil)
    outbox.insert(5)
    r.wait_log("state blocked.*is still")
    wait_for(lambda: metric(address, "retries_total") >= 3, 20, "some more tries")
    got = (lambda: file_ids(f"{d}/out")) if kind == "file" else (lambda: ids(r))
    each_once(got(), outbox.ids, "what was sent while no mark takes effect")
    outbox.sql(mend)
    wait_for(lambda: outbox.value(left) == 0, 20, "the rows to be marked")
    outbox.insert(2)
    wait_ids(got, outbox.ids)
    saw = alive(r)
    each_once(got(), outbox.ids)
    return saw


@faults({"status": ("status", STATUS), "delete": ("delete", "")})
def mark_meets_policy(d, how):
    """A policy lets the role see all rows and mark none. It comes when rows are read and not yet delivered: none is sent twice, and all
    are marked once the role may. A start under the policy is refused."""
    mode, sql = how
    outbox, role, source = _limited(sql, mode=mode)
    left = "select count(*) from outbox" + (" where status = 'pending'" if mode == "status" else "")
    address = admin()
    path = config(d, pipeline(source), admin={"listen": address})
    with Piped(d, path) as r:
        outbox.insert(300, payload=json.dumps("x" * 1000))
        r.wait_full()
        outbox.sql(f"create policy sees on outbox for select to {role} using (true); alter table outbox enable row level security")
        r.flow()
        r.wait_log("state blocked.*BYPASSRLS")
        wait_for(lambda: len(r.ids) > 300 - outbox.value(left), 20, "a row to be sent and not marked")
        wait_for(lambda: metric(address, "retries_total") >= 3, 20, "some more tries")
        each_once(r.ids, set(r.ids), "what was sent while no mark takes effect")
        outbox.sql(f"alter role {role} bypassrls")
        wait_for(lambda: outbox.value(left) == 0, 20, "the rows to be marked")
        outbox.insert(2)
        wait_ids(lambda: r.ids, outbox.ids)
        saw = r.end()
    each_once(r.ids, outbox.ids)
    outbox.sql(f"alter role {role} nobypassrls")
    outbox.insert(2)
    again = once(path)
    check_equal((again.poll(), ids(again)), (77, []), f"a start under the policy: {again.log}")
    return saw


@faults({"ignored": "create trigger keep before delete on outbox begin select raise(ignore); end;",
         "undone": "create trigger keep after delete on outbox begin insert into outbox (seq, id, aggregatetype, aggregateid, type, payload) "
                   "values (old.seq, old.id, old.aggregatetype, old.aggregateid, old.type, old.payload); end;"})
def sqlite_mark_without_effect(d, trigger):
    """Delete mode of SQLite: a row that a trigger keeps is not sent again."""
    shop, address = SqliteShop(d), admin()
    r = daemon(config(d, pipeline(shop.source(mode="delete")), admin={"listen": address}))
    shop.insert(3)
    wait_for(lambda: shop.value("select count(*) from outbox") == 0, 20, "the rows to be deleted")
    shop.script(trigger)
    shop.insert(5)
    r.wait_log("state blocked.*is still there")
    wait_for(lambda: metric(address, "retries_total") >= 3, 20, "some more tries")
    each_once(ids(r), shop.ids, "what was sent while no row can be deleted")
    shop.script("drop trigger keep")
    wait_for(lambda: shop.value("select count(*) from outbox") == 0, 20, "the rows to be deleted")
    shop.insert(2)
    return all_came_once(r, shop.ids)


# --- 24: columns that cannot keep order, and columns of a wrong type ---

OWN = """
create table own (n bigint {n}, id uuid primary key default gen_random_uuid(), aggregatetype text default 'order', aggregateid text default 'k',
    type text default 'T', payload {payload} default '{{}}', headers {headers}, created_at {created_at} default now());
"""
STATUS_OWN = """
alter table own add status {status} not null default {default}, add attempts {attempts} not null default 0, add last_error {last_error},
    add next_attempt_at {next_attempt_at}, add published_at {published_at};
"""
USUAL = {"n": "generated always as identity unique", "payload": "jsonb", "headers": "jsonb", "created_at": "timestamptz", "status": "text", "default": "'pending'",
         "attempts": "int", "last_error": "text", "next_attempt_at": "timestamptz",
         "published_at": "timestamptz"}


def _own(mode="delete", **types):
    """A table of the user's own, all columns usual but for `types`."""
    types = {**USUAL, **types}
    sql = types.pop("sql", "") + OWN.format(**types) + (STATUS_OWN.format(**types) if mode == "status" else "")
    return PostgresShop(sql, table="own")


@faults({"clock": {"order_by": "created_at"}, "uuid": {"order_by": "id"}, "plain": {"order_by": "n", "n": ""},
         "cache": {"order_by": "n", "n": "generated always as identity (cache 20)"}})
def no_order(d, how):
    """Under ordered: true refused, by check too; taken with ordered: false."""
    types = dict(how)
    source = {"mode": "delete", "table": "own", "order_by": types.pop("order_by")}
    outbox = _own(**types)
    outbox.insert(3)
    path = config(d, pipeline(outbox.source(**source)))
    saw = looked(path)
    check_equal(saw.code, 78, f"exit code of check\n{saw.text}")
    r = once(path)
    check_equal((r.poll(), ids(r)), (78, []), "exit code and what was sent")
    loose = once(config(d, pipeline(outbox.source(**source), ordered=False)))
    each_once(ids(loose), outbox.ids)
    return ended(r)


@faults({"default": "default nextval('numbers')", "identity": "generated by default as identity"})
def order_by_numbers(d, n):
    outbox = _own(n=n, sql="create sequence numbers;")
    outbox.insert(3)
    r = once(config(d, pipeline(outbox.source(mode="delete", table="own", order_by="n"))))
    check_equal(ids(r), outbox.ids, "what was sent")
    return ended(r)


@faults({"created_at": "created_at", "id": "id"})
def sqlite_no_order(d, column):
    shop = SqliteShop(d)
    shop.insert(3)
    r = once(config(d, pipeline(shop.source(mode="delete", order_by=column))))
    check_equal(ids(r), [], "what was sent")
    loose = once(config(d, pipeline(shop.source(mode="delete", order_by=column), ordered=False)))
    each_once(ids(loose), shop.ids)
    return ended(r)


@faults({"status_number": {"status": "int", "default": "0"}, "attempts_text": {"attempts": "text"},
         "last_error_json": {"last_error": "json"}, "next_attempt_at_zone": {"next_attempt_at": "timestamp"},
         "published_at_zone": {"published_at": "timestamp"}, "headers_int": {"headers": "int"}})
def wrong_type(d, types):
    """Refused at the start and by check, with the statement that mends it."""
    outbox = _own("status", **types)
    path = config(d, pipeline(outbox.source(mode="status", table="own", order_by="n")))
    saw = looked(path)
    check_equal(saw.code, 78, f"exit code of check\n{saw.text}")
    return ended(once(path))


@faults({"varchar": ("", "varchar(20)"), "domain": ("create domain short as varchar(20); create domain shorter as short;", "shorter"),
         "enum": ("create type st as enum ('pending', 'done', 'failed');", "varchar(20)")})
def short_columns(d, how):
    """A reason longer than its column is cut, a number of attempts that is full stays, and an enum may be the status."""
    sql, last_error = how
    outbox = _own("status", sql=sql, last_error=last_error, attempts="smallint")
    if "enum" in sql:
        outbox.sql("alter table own alter status drop default, alter status type st using status::st, alter status set default 'pending'")
    outbox.insert(1)
    bad = outbox.insert(1, topic="bad topic " + "x" * 300)
    outbox.insert(1)
    outbox.sql("update own set attempts = 32767")
    r = once(config(d, pipeline(outbox.source(mode="status", table="own", order_by="n"), topic="{aggregatetype}", poison="skip")))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    each_once(ids(r), [i for i in outbox.ids if i not in bad])
    check_equal(outbox.sql("select status::text, attempts from own order by n"), [("done", 32767), ("failed", 1), ("done", 32767)], "the rows")
    return Saw(r.poll(), f"{outbox.value('select length(last_error) from own where id = %s', *bad)} characters are kept")


# --- 24: times without a zone ---

@faults({"tokyo": "Asia/Tokyo", "new_york": "America/New_York", "utc": "UTC"})
def time_without_zone(d, zone):
    """Read as its writer meant it, and said; by check, too."""
    outbox = _own(created_at="timestamp")
    outbox.sql(f"alter database {outbox.name} set timezone = '{zone}'")
    outbox.insert(1)
    when = outbox.value("select to_char(created_at at time zone current_setting('timezone') at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') from own")
    path = config(d, pipeline(outbox.source(mode="delete", table="own", order_by="n")))
    saw = looked(path)
    check(f"is read as {zone}" in saw.text, saw.text)
    r = once(path)
    check_equal(lines(r)[0]["created_at"][:26], when, "the time in UTC")
    return ended(r)


@faults({"position": ("position", "Asia/Tokyo", ""), "status": ("status", "America/New_York", STATUS), "delete": ("delete", "Asia/Tokyo", "")})
def time_in_zone_of_role(d, how):
    """The role's own TimeZone counts, before the database's."""
    mode, zone, sql = how
    outbox, role, source = _limited(sql + "alter table outbox alter created_at type timestamp;", mode=mode)
    outbox.sql(f"alter database {outbox.name} set timezone = 'Europe/Paris'; alter role {role} set timezone = '{zone}'")
    outbox.pg.sql("insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', 'k', 'T', '{}')", dbname=outbox.name, user=role)
    when = outbox.value(f"select to_char(created_at at time zone '{zone}' at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') from outbox")
    path = config(d, pipeline(source))
    saw = looked(path)
    check(f"is read as {zone}" in saw.text, saw.text)
    r = once(path)
    check_equal(lines(r)[0]["created_at"][:26], when, "the time in UTC")
    return ended(r)


# --- 24: domains over domains ---

@faults({"bytea": ("bytea", r"'\x00ff41'", "payload_base64", "AP9B"), "jsonb": ("jsonb", "'{\"a\": 1}'", "payload", {"a": 1})})
def domains(d, how):
    base, value, field, want = how
    outbox = _own(sql=f"create domain d1 as {base}; create domain d2 as d1; create domain d3 as d2;"
                      "create domain j1 as jsonb; create domain j2 as j1; create domain w1 as timestamp; create domain w2 as w1;",
                  headers="j2", created_at="w2")
    outbox.sql(f"alter table own drop payload, add payload d3; insert into own (payload, headers) values ({value}, '{{\"h\": \"v\"}}')")
    outbox.sql(f"alter database {outbox.name} set timezone = 'Asia/Tokyo'")
    r = once(config(d, pipeline(outbox.source(mode="delete", table="own", order_by="n"))))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    event = lines(r)[0]
    check_equal((event[field], event["headers"]["h"]), (want, "v"), "payload and headers")
    return ended(r)


# --- 49: rows that the server cannot give ---

ASCII = "create database {name} encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'"


@faults({f"{mode}_{where}": (mode, where) for mode in ("position", "status", "delete") for where in ("payload", "aggregatetype", "headers")})
def bytes_of_no_encoding(d, how):
    """A row whose bytes are no UTF-8 in a database that has no encoding is poison; its neighbours pass."""
    mode, where = how
    outbox = PostgresShop()
    outbox.name += "ascii"
    outbox.pg.sql(ASCII.format(name=outbox.name))
    outbox.sql(SCHEMA + (STATUS if mode == "status" else ""))
    outbox.sql("alter table outbox alter payload type text, alter headers type text")
    outbox.insert(20)
    bad = outbox.insert(1)
    outbox.insert(20)
    outbox.sql(rf"update outbox set {where} = E'{{\"bad\": \"\xff\xfe\"}}' where id = '{bad[0]}'")
    r = once(config(d, pipeline(outbox.source(mode=mode), topic="events", poison="skip")))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    check_equal(ids(r), [i for i in outbox.ids if i not in bad], "its neighbours")
    dead = outbox.sql("select event_id, convert_from(payload, 'UTF8'), reason from commitrelay.dead_letters")
    check_equal([row[0] for row in dead], bad, "dead letters")
    check(where != "payload" or "\\377\\376" in dead[0][1], f"the payload is kept: {dead[0][1]}")
    return Saw(0, dead[0][2])


@fault
def unreadable_row_stops(d):
    """With stop the row is named, and what is before it was sent; mended, all passes."""
    outbox = PostgresShop()
    outbox.name += "ascii"
    outbox.pg.sql(ASCII.format(name=outbox.name))
    outbox.sql(SCHEMA + "alter table outbox alter payload type text;")
    outbox.insert(5)
    bad = outbox.insert(1)
    outbox.insert(5)
    outbox.sql(rf"update outbox set payload = E'\xff' where id = '{bad[0]}'")
    path = config(d, pipeline(outbox.source()))
    r = daemon(path)
    r.wait_log(f"state blocked: event {bad[0]}")
    check_equal(ids(r), outbox.ids[:5], "what was sent")
    outbox.sql(f"update outbox set payload = '{{}}' where id = '{bad[0]}'")
    check_equal(start(["resume", "-c", path]).wait_exit(20), 0, "exit code of resume")
    return all_came_once(r, outbox.ids)


# To read it as jsonb is XX000: "unknown type of jsonb container". It is large, so that it is measured before it is asked for.
NO_JSONB = "decode('00000070', 'hex') || decode(repeat('00', 5000), 'hex')"


def _as_type(oid):
    return f"update pg_attribute set atttypid = {oid} where attrelid = 'outbox'::regclass and attname = 'payload'"


@faults({"stop": 75, "skip": 0})
def unreadable_in_turn(d, code):
    """Small rows and large ones that raise XX000 in turn, one a page, in delete mode: what stands before the first bad one is in a complete
    file. With skip all that can be read is, and each bad row stays and is told once."""
    outbox = PostgresShop("alter table outbox alter payload set storage external")
    good, bad = [], []
    for _ in range(10):
        good += outbox.insert()
        outbox.sql(_as_type("'bytea'::regtype"))
        bad += [x[0] for x in outbox.sql("insert into outbox (aggregatetype, aggregateid, type, payload) "
                                         f"values ('order', 'k', 'T', {NO_JSONB}) returning id::text")]
        outbox.sql(_as_type("'jsonb'::regtype"))
    sink = {"type": "file", "dir": f"{d}/out", "rotate": {"interval": "1h"}}
    path = config(d, pipeline(outbox.source(mode="delete", batch_size=1), sink, poison="stop" if code else "skip"))
    r = once(path)
    saw = ended(r)
    want, told = (good[:1], bad[:1]) if code else (good, bad)
    check_equal(file_ids(f"{d}/out"), want, f"what is in complete files\n{r.log}")
    for b in bad:  # with stop the state names it once more
        check_equal(r.log.count(f"event {b}"), (b in told) * (2 if code else 1), f"how often it is told of {b}\n{r.log}")
    check_equal(outbox.value("select count(*) from outbox"), 20 - len(want), "rows that are left")
    check(r.log.count("\n") < 50, f"the log is long\n{r.log}")
    check(" retry in " not in r.log, f"it had to begin anew\n{r.log}")
    return saw


# --- 24: what a trigger of the application does ---

@faults({"status": ("status", "update"), "delete": ("delete", "delete")})
def trigger_of_the_application(d, how):
    """It finds its tables by the role's own search_path, and an error in it is said to be its own."""
    mode, event = how
    outbox = PostgresShop((STATUS if mode == "status" else "") + f"""
        create table audit (what text);
        create function note() returns trigger language plpgsql as $$ begin insert into audit values ('{event}'); return null; end $$;
        create trigger note after {event} on outbox for each row execute function note();
    """)
    r = daemon(config(d, pipeline(outbox.source(mode=mode))))
    outbox.insert(3)
    wait_for(lambda: outbox.value("select count(*) from audit") == 3, 20, "the trigger to note three marks")
    outbox.sql("alter table audit rename to gone")
    outbox.insert(3)
    r.wait_log("state blocked.*raised in a trigger or function")
    outbox.sql("alter table gone rename to audit")
    return all_came_once(r, outbox.ids)


@fault
def code_of_the_application(d):
    """A code of the application's own is no bug of the relay."""
    outbox = PostgresShop(STATUS + """
        create function no() returns trigger language plpgsql as $$ begin raise exception 'not today' using errcode = 'ZX001'; end $$;
        create trigger no before update on outbox for each row execute function no();
    """)
    outbox.insert(1)
    return ended(once(config(d, pipeline(outbox.source(mode="status")))))


# --- 35: what role and database set ---

@fault
def settings_of_the_role(d):
    """The session sets what it needs itself: it keeps its lock, and reads and marks all the same."""
    outbox, role, source = _limited(STATUS, mode="status")
    for setting in ("idle_session_timeout = '200ms'", "idle_in_transaction_session_timeout = '200ms'", "lock_timeout = '1ms'",
                    "row_security = on", "client_encoding = 'LATIN1'", "default_transaction_isolation = 'serializable'",
                    "default_transaction_deferrable = on", "bytea_output = 'escape'", "extra_float_digits = -10"):
        outbox.sql(f"alter role {role} set {setting}")
    r = daemon(config(d, pipeline(source)))
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids)
    pids = "select array_agg(pid order by pid) from pg_stat_activity where application_name = 'commitrelay p' and datname = current_database()"
    before = outbox.value(pids)
    polls = outbox.value("select xact_commit from pg_stat_database where datname = current_database()")
    wait_for(lambda: outbox.value("select xact_commit from pg_stat_database where datname = current_database()") > polls + 30, 20, "some polls")
    check_equal(outbox.value(pids), before, "the relay's sessions")
    outbox.insert(3)
    return all_came_once(r, outbox.ids)


@fault
def read_only_role(d):
    """It is the role's default and not the server that is read-only."""
    outbox, role, source = _limited()
    outbox.sql(f"alter role {role} set default_transaction_read_only = on")
    r = daemon(config(d, pipeline(source)))
    r.wait_log("state retrying.*default_transaction_read_only is on for the role")
    check("name the primary" not in r.log, "nothing is said of another server")
    outbox.sql(f"alter role {role} reset default_transaction_read_only")
    outbox.insert(3)
    return all_came_once(r, outbox.ids)


# --- 11, 37: a server that floods ---

class Flood:
    """What looks like a server: it lets everybody in, and answers the first statement (or the login) with `piece` again and again."""

    def __init__(self, piece, rest=0.0, at_login=False):
        self.piece, self.rest, self.at_login = piece, rest, at_login
        self.sent = self.let_in = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, s):
        with contextlib.suppress(OSError), s:
            while s.recv(65536)[4:8] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):  # TLS or GSS wanted
                s.sendall(b"N")
            self.let_in += 1
            s.sendall(message(b"R", b"\0\0\0\0") + parameter("server_version", "15.0") + parameter("client_encoding", "UTF8"))
            if not self.at_login:
                s.sendall(message(b"K", b"\0" * 8) + message(b"Z", b"I"))
                s.recv(65536)
            for i in itertools.count():
                s.sendall(self.piece(i))
                self.sent += 1
                time.sleep(self.rest)

    def close(self):
        self.listener.close()


def message(kind, body):
    return kind + struct.pack(">I", len(body) + 4) + body


def parameter(name, value):
    return message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


NOTICE = message(b"N", b"SNOTICE\0VNOTICE\0C00000\0Mno answer\0\0")
ROWS = message(b"D", struct.pack(">hI", 1, 8000) + b"x" * 8000) * 100
HEAD = message(b"T", struct.pack(">h", 1) + b"c\0" + struct.pack(">IhIhih", 0, 0, 25, -1, -1, 0))

FLOODS = {"slow_notices": lambda: Flood(lambda i: NOTICE, rest=0.2),
          "notices": lambda: Flood(lambda i: NOTICE * 1000),
          "rows": lambda: Flood(lambda i: (HEAD if i == 0 else b"") + ROWS),
          "results": lambda: Flood(lambda i: message(b"C", b"SET\0") * 1000),
          "parameters": lambda: Flood(lambda i: b"".join(parameter(f"p{i}_{n}", "x" * 4000) for n in range(100))),
          "notifications": lambda: Flood(lambda i: message(b"A", b"\0\0\0\1chan\0" + b"x" * 7900 + b"\0") * 100),
          "login": lambda: Flood(lambda i: b"".join(parameter(f"p{i}_{n}", "x" * 4000) for n in range(100)), at_login=True)}


@faults(FLOODS)
def server_floods(d, flood):
    """Bytes are no answer: the wait ends, memory is bounded, and the relay stops when it is asked to."""
    server = flood()
    r = daemon(config(d, pipeline({"type": "outbox_postgres", "url": f"postgresql://relay@127.0.0.1:{server.port}/x?sslmode=disable",
                                   "connect_timeout": "2s", "read_timeout": "500ms"})))
    r.wait_log("state retrying", 60)
    check(r.rss < 256 * 1024, f"{r.rss} KiB of memory")
    saw = alive(r)
    server.close()
    return saw


NEVER = "1h"


@faults({**FLOODS, "then_silent": lambda: Flood(lambda i: NOTICE, rest=3600)})
def stopped_in_a_flood(d, flood):
    """SIGTERM alone ends it: it waits for no time limit that it has, for no other word of the server, and asks it nothing more."""
    server = flood()
    source = {"type": "outbox_postgres", "url": f"postgresql://relay@127.0.0.1:{server.port}/x?sslmode=disable", "connect_timeout": NEVER,
              "read_timeout": NEVER}
    r = daemon(config(d, pipeline(source, drain_timeout=NEVER, retry={"initial": NEVER, "max": NEVER}, breaker={"open_for": NEVER})))
    wait_for(lambda: r.running and server.sent, 20, "the flood to begin")
    let_in = server.let_in
    saw = alive(r)
    check_equal(server.let_in, let_in, "logins before and behind SIGTERM")
    server.close()
    return saw


@fault
def notifications_flood(d):
    """480 MB of notifications, sent by somebody without any right to the table, are taken and dropped."""
    outbox = PostgresShop()
    r = daemon(config(d, pipeline(outbox.source(notify_channel="chan"))))
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids)
    outbox.sql("select count(pg_notify('chan', repeat('x', 7900) || i)) from generate_series(1, 60000) i")
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids, 60)
    wait_for(lambda: outbox.value("select pg_notification_queue_usage()") < 0.01, 60, "the queue to be emptied")
    check(r.rss < 128 * 1024, f"{r.rss} KiB of memory")
    return all_came_once(r, outbox.ids)


# --- 49: headers that are JSON null ---

@fault
def null_headers(d):
    outbox = PostgresShop()
    outbox.insert(2)
    outbox.sql("update outbox set headers = 'null'")
    r = once(config(d, pipeline(outbox.source())))
    each_once(ids(r), outbox.ids)
    check_equal([e["headers"] for e in lines(r)], [{}, {}], "headers")
    shop = SqliteShop(d)
    shop.insert(2)
    shop.script("update outbox set headers = ' null '")
    other = once(config(d, pipeline(shop.source())))
    check_equal([e["headers"] for e in lines(other)], [{}, {}], "headers from SQLite")
    return ended(r)


# --- 26: partitions that come with rows ---

PARTED = """
create table parted (seq bigint generated always as identity, xid xid8 not null default pg_current_xact_id(), id uuid default gen_random_uuid(),
    aggregatetype text default 'order', aggregateid text default 'k', type text default 'T', payload jsonb default '{{}}', headers jsonb,
    created_at timestamptz default now(), primary key (seq)) partition by range (seq);
create index on parted (xid, seq);
create table low partition of parted for values from (1) to (1000);
create table old (like parted including defaults including indexes);
"""


@faults({"running": True, "stopped": False})
def partition_attached(d, running):
    """Rows that a new partition brings along are told of; made new they are sent, and nothing else is sent again."""
    outbox = PostgresShop(PARTED.replace("{{}}", "{}"), table="parted")
    path = config(d, pipeline(outbox.source(table="parted")))
    r = daemon(path)
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids)
    old = [x[0] for x in outbox.sql("insert into old (seq, payload) select i, '{}' from generate_series(2001, 2005) i returning id::text")]
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids)
    outbox.wait_saved(6)
    first = []
    if not running:
        first, _ = ids(r), alive(r)
    outbox.sql("alter table parted attach partition old for values from (2000) to (3000);"
               "create table fresh partition of parted for values from (3000) to (4000)")
    if not running:
        check("partition old" in looked(path).text.replace('"', "").replace("public.", ""), "check tells of it")
        r = daemon(path)
    r.wait_log("partition public.old was attached", 40)
    check("fresh" not in r.log, "the empty one is no news")
    outbox.sql("update old set xid = pg_current_xact_id()")
    wait_ids(lambda: ids(r), old)
    saw = alive(r)
    each_once(first + ids(r), outbox.ids + old)
    return saw


# --- 44: a topic that forgets old messages ---

@faults({"deletes": ({"retention.ms": "3600000"}, 78), "appends": ({"retention.ms": "3600000", "message.timestamp.type": "LogAppendTime"}, 0),
         "compacts": ({"retention.ms": "3600000", "cleanup.policy": "compact"}, 0),
         "refuses": ({"message.timestamp.before.max.ms": "3600000"}, 78)})
def topic_forgets(d, how):
    """check compares what the topic keeps with the oldest event that waits, in every source and mode; `timestamp: now` is the way out."""
    settings, code = how
    case = faults_kafka.Case(d, config_=settings)
    case.shop.insert(1)
    case.shop.script("update outbox set created_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 hours')")
    outbox = PostgresShop(STATUS)
    outbox.insert(1)
    outbox.sql("update outbox set created_at = now() - interval '2 hours'")
    outbox.insert(1)
    saw = None
    for source in (case.shop.source(), case.shop.source(mode="delete"), *(outbox.source(mode=m) for m in ("position", "status", "delete"))):
        saw = looked(config(d, pipeline(source, sink=case.sink(), topic=case.topic)))
        check_equal(saw.code, code, f"exit code of check\n{saw.text}")
        now = looked(config(d, pipeline(source, sink=case.sink(), topic=case.topic, route={"timestamp": "now"})))
        check_equal(now.code, 0, f"exit code of check with timestamp: now\n{now.text}")
        for allowed, may in ((case.topic, code != 0), ("other", False)):
            one_of = looked(config(d, pipeline(source, sink=case.sink(), topic="t{aggregatetype}", route={"allow_topics": [allowed]})))
            check_equal((one_of.code, "the oldest event that waits is" in one_of.text), (0, may), f"check of a template\n{one_of.text}")
    return saw


# --- 24, 27: what a replay cannot send again ---

def _replay(d, source, shop, *words, spoil="", mode_only=False):
    path = config(d, pipeline(source))
    shop.insert(3)
    if not mode_only:
        check_equal(once(path).poll(), 0, "the first run")
    if spoil:
        shop.sql(spoil) if isinstance(shop, PostgresShop) else shop.script(spoil)
    r = start(["replay", "-c", path, *(words or ("--from-position", "1"))])
    r.wait_exit(60)
    check_equal(r.stdout, "", "what it sent")
    return ended(r)


@fault
def replay_without_created_at(d):
    shop = PostgresShop("alter table outbox drop column created_at")
    return _replay(d, shop.source(), shop, "--from-time", "1h")


@fault
def replay_without_seq(d):
    shop = PostgresShop(STATUS + "alter table outbox drop column seq; alter table outbox add primary key (id);"
                                 " alter table outbox add n bigint generated always as identity")
    return _replay(d, shop.source(mode="status", order_by="n"), shop)


@faults({"postgres": PostgresShop, "sqlite": SqliteShop})
def replay_of_deleted(d, kind):
    shop = kind() if kind is PostgresShop else kind(d)
    return _replay(d, shop.source(mode="delete"), shop, mode_only=True)


@faults({"postgres": PostgresShop, "sqlite": SqliteShop})
def replay_of_removed(d, kind):
    shop = kind() if kind is PostgresShop else kind(d)
    return _replay(d, shop.source(), shop, spoil="delete from outbox where seq < 3")


# --- prune ---

def _pruned(path):
    r = start(["prune", "-c", path, "--older-than", "0s"])
    r.wait_exit(60)
    return ended(r)


@faults({"no_time": ("alter table outbox drop column created_at", {}), "text": ("alter table outbox alter column created_at type text", {}),
         "mapped": ("", {"columns": {"created_at": "payload"}}),
         "trigger": (KEEP.format(event="delete"), {})})
def prune_refused(d, how):
    """A table whose rows have no age, or keep coming back: nothing is removed."""
    spoil, source = how
    outbox = PostgresShop()
    outbox.insert(3)
    once(config(d, pipeline(outbox.source())))
    if spoil:
        outbox.sql(spoil)
    saw = _pruned(config(d, pipeline(outbox.source(**source))))
    check_equal(outbox.value("select count(*) from outbox"), 3, "rows that are left")
    return saw


@fault
def prune_refused_sqlite(d):
    outbox = SqliteShop(d)
    outbox.insert(3)
    path = config(d, pipeline(outbox.source()))
    once(path)
    outbox.script("alter table outbox rename created_at to born")
    return _pruned(path)


@fault
def prune_waits_for_lock(d):
    """In bounds: a schema change that is under way does not meet a prune that waits for ever."""
    outbox = PostgresShop()
    outbox.insert(3)
    path = config(d, pipeline(outbox.source()))
    once(path)
    with contextlib.closing(outbox.connect()) as c, c.cursor() as cur:
        cur.execute("lock table outbox in share mode")
        return _pruned(path)


@fault
def prune_of_another_cluster(d):
    """A position that another cluster saved shows nothing as delivered here."""
    outbox = PostgresShop()
    outbox.insert(3)
    path = config(d, pipeline(outbox.source()))
    once(path)
    outbox.sql("update commitrelay.positions set system_identifier = 42")
    saw = _pruned(path)
    check_equal(outbox.value("select count(*) from outbox"), 3, "rows that are left")
    return saw
