"""What a table, its triggers, its policies and the role's settings can do to a relay of an outbox."""
from faults_postgres import STATUS, Outbox
from faults_support import (Shop, admin, alive, all_came_once, config, daemon, each_once, ended, fault, faults, file_ids, ids, looked, metric,
                            once, page, pipeline, start, wait_for, wait_ids)
from support.proc import check, check_equal

# --- 24: row level security ---

POLICY = """
alter table outbox enable row level security;
create policy own on outbox for select to {role} using (aggregateid = 'a');
"""


def _limited(sql="", **source):
    """An outbox, and a source that reads it as a role that owns nothing and is no superuser."""
    outbox = Outbox(sql)
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
    outbox = Outbox(STATUS if mode == "status" else "")
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


@faults({"ignored": "create trigger keep before delete on outbox begin select raise(ignore); end;",
         "undone": "create trigger keep after delete on outbox begin insert into outbox (seq, id, aggregatetype, aggregateid, type, payload) "
                   "values (old.seq, old.id, old.aggregatetype, old.aggregateid, old.type, old.payload); end;"})
def sqlite_mark_without_effect(d, trigger):
    """Delete mode of SQLite: a row that a trigger keeps is not sent again."""
    shop, address = Shop(d), admin()
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
