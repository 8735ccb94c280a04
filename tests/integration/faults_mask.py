"""Masking: what is masked is nowhere any more, not in messages, files, dead letters or the log; what cannot be masked goes nowhere."""
import hashlib
import hmac
import json

from support import proc
from support.arrivals import ids, lines, wait_ids
from support.bad_input import alive, ended, fault, faults, looked
from support.proc import check, check_equal, wait_for
from support.relaying import config, daemon, once, pipeline, write
from support.shop import PostgresShop, SqliteShop, StreamShop

EMAIL, CARD = "ann@example.org", "4242424242421234"
SECRETS = (EMAIL, CARD, "Baker Street")
# What is not masked keeps every digit; jsonb would sort and space the members, and SQLite keeps the text.
PAYLOAD = json.dumps({"n": 1, "customer": {"email": EMAIL, "card": CARD, "street": "Baker Street 1", "vip": True}})
RULES = [{"field": "payload.customer.email", "with": "sha256"}, {"field": "payload.customer.card", "with": "last4"},
         {"field": "payload.customer.street", "with": "drop"}, {"field": "payload.customer.vip", "with": None}]  # as YAML reads `null`
MASKED = {"n": 1, "customer": {"email": hashlib.sha256(EMAIL.encode()).hexdigest(), "card": "****1234", "vip": None}}


def _masked(p, rules=None):
    return {**p, "mask": rules or RULES}


def _unseen(*texts):
    for text in texts:
        for secret in SECRETS:
            check(secret not in text, f"{secret} is to be seen:\n{text[-3000:]}")


def _sqlite(d):
    shop = SqliteShop(d)
    return shop, shop.source, False


def _postgres(d):
    shop = PostgresShop()
    return shop, shop.source, False


def _stream(d):
    """Its dead letters are in a file of the store's own, in which nothing else is."""
    shop = StreamShop()
    check_equal(once(config(d, pipeline(shop.source()))).poll(), 0, "exit code of the run that makes the slot")
    return shop, shop.source, True


OUTBOXES = {"sqlite": _sqlite, "postgres": _postgres, "cdc": _stream}


def _payloads(r):
    """SQLite has JSON in a text column."""
    return [json.loads(e["payload"]) if isinstance(e["payload"], str) else e["payload"] for e in lines(r)]


@faults(OUTBOXES)
def masked(d, make):
    shop, source, _ = make(d)
    shop.insert(2, payload=PAYLOAD)
    shop.insert(1, payload='{"n": 2}')
    r = once(config(d, _masked(pipeline(source()))))
    check_equal(_payloads(r), [MASKED, MASKED, {"n": 2}], "payloads")
    _unseen(r.stdout, r.log)
    return ended(r)


@fault
def masked_text(d):
    """Of a text column every byte that is not masked stays as it is."""
    shop = SqliteShop(d)
    shop.insert(1, payload='{ "z":1.50e+3,"customer": {"email":"' + EMAIL + '" }, "big":12345678901234567890.10}')
    r = once(config(d, _masked(pipeline(shop.source()))))
    want = '{ "z":1.50e+3,"customer": {"email":"' + MASKED["customer"]["email"] + '" }, "big":12345678901234567890.10}'
    check_equal([e["payload"] for e in lines(r)], [want], "payload")
    return ended(r)


@fault
def masked_with_key(d):
    """The same value gives the same text, and only who has the key can compute it; the key is nowhere."""
    shop = SqliteShop(d)
    shop.insert(2, payload=PAYLOAD)
    key = write(d, "a key that nobody knows\n", "key")
    key.chmod(0o600)
    rules = [*RULES[1:], {"field": "payload.customer.email", "with": "hmac", "key_file": str(key)}]
    r = once(config(d, _masked(pipeline(shop.source()), rules)))
    want = hmac.new(b"a key that nobody knows", EMAIL.encode(), "sha256").hexdigest()
    check_equal([p["customer"]["email"] for p in _payloads(r)], [want, want], "emails")
    _unseen(r.stdout, r.log)
    check("nobody knows" not in r.log + r.stdout, f"the key is shown: {r.log}")
    return ended(r)


@faults({"jsonl": {"format": "jsonl"}, "delimited": {"format": "delimited", "columns": ["id", "payload", "headers"]}})
def masked_files(d, how):
    shop = SqliteShop(d)
    shop.script(f"insert into outbox (id, aggregatetype, aggregateid, type, payload, headers) "
                f"values ('a', 'order', 'k', 'T', '{PAYLOAD}', '{{\"ip\": \"{EMAIL}\", \"x\": \"y\"}}')")
    sink = {"type": "file", "dir": str(d / "out"), **how}
    r = once(config(d, _masked(pipeline(shop.source(), sink), [*RULES, {"field": "headers.ip", "with": "redact"}])))
    text = "".join(f.read_text() for f in (d / "out").iterdir() if f.is_file())
    check("***" in text and "1234" in text, f"the files: {text}")
    _unseen(text, r.log)
    return ended(r)


def _store(d):
    return (d / "store.db").read_bytes().decode(errors="replace")


def _letter(path):
    """All that is kept of the only dead letter."""
    letters = json.loads(proc.run(["dead-letters", "list", "-c", path, "--json"]).stdout)
    return str(letters) + proc.run(["dead-letters", "show", "-c", path, str(letters["dead_letters"][0]["id"])]).stdout


@faults(OUTBOXES)
def masked_dead_letter(d, make):
    """It is the masked event that is kept."""
    shop, source, in_store = make(d)
    shop.insert(1, payload=PAYLOAD, topic="a/b")
    shop.insert(1, payload=PAYLOAD)
    path = config(d, _masked(pipeline(source(), topic="{aggregatetype}", poison="skip")))
    r = once(path)
    check_equal(len(ids(r)), 1, f"events: {r.log}")
    letter = _letter(path)
    check("****1234" in letter, f"the dead letter: {letter}")
    _unseen(letter, r.log, r.stdout, *([_store(d)] if in_store else []))
    return ended(r)


@fault
def masked_dead_letter_of_source(d):
    """Its source has found it to be poison before it is masked."""
    shop = SqliteShop(d)
    shop.script(f"insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('', 'order', 'k', 'T', '{PAYLOAD}')")
    path = config(d, _masked(pipeline(shop.source(), poison="skip")))
    r = once(path)
    letter = _letter(path)
    check("****1234" in letter, f"the dead letter: {letter}")
    _unseen(letter, r.log, r.stdout)
    return ended(r)


NO_JSON = "alter table outbox alter payload type text"


def _text_postgres(_):
    return PostgresShop(NO_JSON)


@faults({"sqlite": (SqliteShop, "position"), "sqlite_delete": (SqliteShop, "delete"), "position": (_text_postgres, "position"),
         "delete": (_text_postgres, "delete")})
def unmaskable(d, how):
    """What cannot be masked is withheld, from its dead letter too; the row keeps it. The others come."""
    make, mode = how
    shop = make(d)
    shop.insert(1, payload=PAYLOAD)
    bad = shop.insert(1, payload=f"{EMAIL} lives in Baker Street")
    shop.insert(1, payload=PAYLOAD)
    path = config(d, _masked(pipeline(shop.source(mode=mode), poison="skip")))
    r = once(path)
    check_equal(ids(r), [i for i in shop.ids if i not in bad], f"what came: {r.log}")
    check_equal(shop.value(f"select count(*) from outbox where id = '{bad[0]}'"), 1, "the row")
    letter = _letter(path)
    check(bad[0] in letter, f"the dead letter: {letter}")
    again = once(path)
    check_equal(ids(again), [], "another run")
    _unseen(r.log, r.stdout, letter, again.log)
    return ended(r)


@fault
def unmaskable_in_the_stream(d):
    """Nobody else has it, so it is not passed."""
    shop = StreamShop(NO_JSON)
    path = config(d, _masked(pipeline(shop.source(), poison="skip")))
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    shop.insert(1, payload=PAYLOAD)
    shop.insert(1, payload=f"{EMAIL} lives in Baker Street")
    r = once(path)
    check_equal(ids(r), shop.ids[:1], "what came")
    _unseen(r.log, r.stdout, _store(d))
    return ended(r)


@fault
def mask_matches_nothing(d):
    shop = SqliteShop(d)
    r = daemon(config(d, _masked(pipeline(shop.source()), [*RULES, {"field": "payload.customer.emial", "with": "drop"}])))
    shop.insert(1000, payload=PAYLOAD)
    wait_ids(lambda: ids(r), shop.ids)
    r.wait_log("has matched nothing")
    check_equal(r.log.count("has matched nothing"), 1, "warnings")
    return alive(r)


# --- table changes ---

CUSTOMERS = "create table customers (id bigint primary key, email text, card bigint default 5, street text)"
COLUMNS = [{"field": "customers.email", "with": "sha256"}, {"field": "public.customers.card", "with": "last4"},
           {"field": "customers.street", "with": "drop"}]
ROW = {"id": 1, "email": MASKED["customer"]["email"], "card": "****1234"}


def _changes(d, shop, rules, snapshot="never", **encode):
    source = {k: v for k, v in shop.source(snapshot=snapshot).items() if k not in ("as", "table")}
    return config(d, {**_masked(pipeline(source), rules), "encode": encode or {"format": "flat"}})


def _streaming(d, rules, sql=CUSTOMERS, full=True, **encode):
    shop = StreamShop(sql + ("; alter table customers replica identity full" if full else ""), table="customers")
    path = _changes(d, shop, rules, **encode)
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    return shop, path


INSERT = f"insert into customers values (1, '{EMAIL}', {CARD}, 'Baker Street 1')"


@faults({"flat": "flat", "debezium": "debezium"})
def masked_changes(d, fmt):
    """Before and after; a number becomes a text, a null stays one, a column that is dropped is not there."""
    shop, path = _streaming(d, COLUMNS, format=fmt)
    for text in (INSERT, "update customers set street = 'none'", "update customers set card = null, id = 2", "delete from customers"):
        shop.sql(text)
    r = once(path)
    rows = [p for p in (e["payload"] for e in lines(r)) if p]
    _unseen(r.stdout, r.log)
    if fmt == "debezium":
        check_equal([(p["op"], p["before"], p["after"]) for p in rows],
                    [("c", None, ROW), ("u", ROW, ROW), ("d", ROW, None), ("c", None, {**ROW, "id": 2, "card": None}),
                     ("d", {**ROW, "id": 2, "card": None}, None)], "rows")
    else:
        check_equal([{k: v for k, v in p.items() if k in ("id", "email", "card", "street")} for p in rows],
                    [ROW, ROW, {**ROW, "id": 2, "card": None}, {**ROW, "id": 2, "card": None}], "rows")
    return ended(r)


@faults({"flat": "flat", "debezium": "debezium"})
def masked_snapshot(d, fmt):
    """Rows that were there before the stream."""
    shop = StreamShop(f"{CUSTOMERS}; {INSERT}", table="customers")
    r = once(_changes(d, shop, COLUMNS, snapshot="initial", format=fmt))
    _unseen(r.stdout, r.log)
    return ended(r)


@faults({"flat": "flat", "debezium": "debezium"})
def masked_key(d, fmt):
    """A masked key is the same one everywhere, also as the old one of a row that changed it."""
    table = "create table customers (email text primary key, n int)"
    shop, path = _streaming(d, COLUMNS[:1], table, full=False, format=fmt)
    for text in (f"insert into customers values ('{EMAIL}', 1)", "update customers set n = 2", "update customers set email = 'b'",
                 "delete from customers"):
        shop.sql(text)
    r = once(path)
    keys = [json.loads(e["key"])["email"] if isinstance(e["key"], str) else e["key"]["email"] for e in lines(r)]
    b = hashlib.sha256(b"b").hexdigest()
    check_equal(sorted(set(keys)), sorted({ROW["email"], b}), "keys")
    _unseen(r.stdout, r.log)
    return ended(r)


@fault
def masked_column_renamed(d):
    """Under its new name it would be sent as it is: the pipeline waits instead."""
    shop, path = _streaming(d, COLUMNS)
    r = daemon(path)
    shop.sql(INSERT)
    wait_for(lambda: len(lines(r)) == 1, 20, "the first row")
    shop.sql("alter table customers rename email to mail")
    shop.sql(INSERT.replace("(1,", "(2,"))
    r.wait_log("state blocked")
    _unseen(r.stdout, r.log)
    return alive(r)


def _start(rules, look=lambda path: ended(once(path))):
    return lambda d: look(_changes(d, StreamShop(CUSTOMERS, table="customers"), rules))


def _outbox(rules, **more):
    def run(d):
        return ended(once(config(d, {**_masked(pipeline(SqliteShop(d).source()), rules), **more})))
    return run


def _key_file(mode):
    def run(d):
        key = write(d, "k\n", "key")
        key.chmod(mode)
        return _outbox([{"field": "payload.a", "with": "hmac", "key_file": str(key)}])(d)
    return run


def _key_of_masked_column(d):
    p = pipeline({"type": "cdc_postgres", "url": "postgresql://h/d"}, topic="t", route={"key": "{email}"})
    return ended(once(config(d, {**_masked(p, COLUMNS), "encode": {"format": "flat"}})))


@faults({"column": _start([{"field": "customers.emial", "with": "drop"}]),
         "column_check": _start([{"field": "customers.emial", "with": "drop"}], looked),
         "key": _start([{"field": "customers.id", "with": "drop"}]),
         "route": _key_of_masked_column,
         "outbox": _outbox([{"field": "customers.email", "with": "drop"}]),
         "array": _outbox([{"field": "payload.items[].price", "with": "drop"}]),
         "twice": _outbox([{"field": "payload.a", "with": "drop"}, {"field": "payload.a.b", "with": "null"}]),
         "word": _outbox([{"field": "payload.a", "with": "sha1"}]),
         "no_key": _outbox([{"field": "payload.a", "with": "hmac"}]),
         "needless_key": _outbox([{"field": "payload.a", "with": "drop", "key": "k"}]),
         "key_file": _key_file(0o666),
         "key_file_read": _key_file(0o644),
         "header": _outbox([{"field": "payload.a", "with": "drop"}], encode={"headers": [{"column": "payload", "as": "p"}]})})
def mask_refused(d, run):
    return run(d)
