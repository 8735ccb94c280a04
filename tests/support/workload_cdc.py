"""The load for change data capture: rows by the hundred with one LSN, messages without a table, and decoys that must not arrive.

The outbox is an application's own table with other names, published together with a table of no interest.
"""
import csv
import io
import uuid

from psycopg2.extras import execute_values

from .workload import KEYS, TABLES, Writer

TABLE = "shop.events"
COLUMNS = {"id": "event_id", "aggregatetype": "kind", "aggregateid": "entity", "type": "what", "payload": "body"}
PREFIX = "outbox"
COPY, SELECT, MESSAGE, DECOY = .008, .006, .15, .03
COPY_ROWS, SELECT_ROWS = (200, 300), (200, 500)

SCHEMA = f"""
create schema shop;
create table {TABLE} (event_id uuid primary key, made_in text not null default 'here', what text not null, entity varchar(80) not null,
                      kind text not null, body jsonb not null);
"""

# One statement makes rows and their truth: the server writes them in pages that share an LSN.
INSERT_SELECT = f"""
with e as (select gen_random_uuid() as id, i, %(n)s::bigint as n, %(k)s as k from generate_series(%(first)s, %(last)s) i),
     body as (select *, jsonb_build_object('i', i, 'k', k, 'n', n, 'id', id, 'pad', repeat(md5(i::text), i %% 5)) as body from e),
     rows as (insert into {TABLE} (event_id, kind, entity, what, body) select id, 'order', k, 'OrderChanged', body from body order by i)
insert into truth select id, k, n, i, encode(sha256(convert_to(body::text, 'UTF8')), 'hex') from body
"""


def copy(cur, table, rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    text.seek(0)
    cur.copy_expert(f"copy {table} from stdin with (format csv)", text)


def message(row):
    """The body of a logical message; the payload stands in it as it is, so that its bytes are known."""
    event_id, kind, k, what, payload = row
    return f'{{"id": "{event_id}", "aggregatetype": "{kind}", "aggregateid": "{k}", "type": "{what}", "payload": {payload}}}'


class CdcWriter(Writer):
    into = f"{TABLE} ({', '.join(COLUMNS.values())})"
    variety = ("committed", "rolled back", "savepoints", "late commits", "copies", "insert-selects", "messages", "decoys")
    messages, decoys = MESSAGE, DECOY

    def write_first(self, cur, k, n):
        rng, i = self.rng, 1
        how = rng.random()
        if how < COPY:
            self.count("copies")
            count = rng.randint(*COPY_ROWS)
            outbox, truth = self.events.make(k, n, i, count)
            copy(cur, self.into, outbox)
            copy(cur, "truth", truth)
            i += count
        elif how < COPY + SELECT:
            self.count("insert-selects")
            count = rng.randint(*SELECT_ROWS)
            cur.execute(INSERT_SELECT, {"n": n, "k": k, "first": i, "last": i + count - 1})
            i += count
        if rng.random() < self.decoys:
            self.decoy(cur, k)
        if rng.random() < self.messages:
            self.count("messages")
            outbox, truth = self.events.make(k, n, i, 1)
            cur.execute("select pg_logical_emit_message(true, %s, %s)", (PREFIX, message(outbox[0])))
            self.insert(cur, [], truth, True)
            i += 1
        return i

    def decoy(self, cur, k):
        """What is no event: a message outside the transaction, one of another prefix, a row that is changed or removed."""
        self.count("decoys")
        fresh = (str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), "order", k, "Decoy", "{}")
        cur.execute("select pg_logical_emit_message(false, %s, %s), pg_logical_emit_message(true, 'other', %s)",
                    (PREFIX, message(fresh), message(fresh)))
        cur.execute(f"update {TABLE} set made_in = 'there' where event_id in (select event_id from {TABLE} limit 1 for update skip locked)")
        cur.execute(f"delete from {TABLE} where event_id in (select event_id from {TABLE} limit 1 for update skip locked)")


class ChangesWriter(CdcWriter):
    """Each insert and each update is an event: the row has a new id then, and a new body. Neither messages nor deletes are events."""

    variety = ("committed", "rolled back", "savepoints", "late commits", "copies", "insert-selects", "updates")
    messages = decoys = 0.0

    def write_some(self, cur, k, n, i):
        """Behind its events it often changes the key's newest row, in some transactions twice."""
        super().write_some(cur, k, n, i)
        for place in (i + 100, i + 101):
            if self.rng.random() < .4:
                self.count("updates")
                outbox, truth = self.events.make(k, n, place, 1)
                cur.execute(f"update {TABLE} set event_id = %s, body = %s where nr = (select max(nr) from {TABLE} where entity = %s)",
                            (outbox[0][0], outbox[0][4], k))
                self.insert(cur, [], truth, True)


def prepare(pg, dbname, publication, changes=False):
    """A new database with the table, the keys and an empty truth; its conninfo. The publication is there, the slot is not.

    changes: the changes of the table are the events, not its rows; so its key is a number, which stays when a row is changed.
    """
    pg.createdb(dbname)
    pg.sql(TABLES + SCHEMA, dbname=dbname)
    if changes:
        pg.sql(f"alter table {TABLE} drop constraint events_pkey, add column nr bigint generated always as identity primary key;"
               f"create index on {TABLE} (entity, nr)", dbname=dbname)
    pg.sql("insert into agg select 'k' || lpad(g::text, 3, '0') from generate_series(0, %s) g", KEYS - 1, dbname=dbname)
    pg.sql(f"create publication {publication} for table {TABLE}" + ("" if changes else ", agg"), dbname=dbname)
    return pg.conninfo(dbname)


def source(conninfo, slot, publication, **more):
    return {"type": "cdc_postgres", "url": conninfo, "slot": slot, "publication": publication, "as": "outbox", "table": TABLE,
            "columns": COLUMNS, "messages": [PREFIX], "connect_timeout": "2s", "read_timeout": "5s", "heartbeat_interval": "1s", **more}


def bulk(cur, events, k, n, rows):
    """One COPY of many rows of one key, with their truth."""
    outbox, truth = events.make(k, n, 1, rows)
    copy(cur, CdcWriter.into, outbox)
    execute_values(cur, "insert into truth values %s", truth, page_size=5000)
