"""Bad configuration: refused with 78 and a text that names file, line, key and remedy, before anything is touched."""
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess

from support import proc
from support.arrivals import each_once, ids, wait_ids
from support.bad_input import Saw, all_came_once, ended, fault, faults
from support.certificates import certificates
from support.proc import check, check_equal, wait_for
from support.relaying import STRACE, admin, as_nobody, config, daemon, metric, once, page, pipeline, start, write
from support.shop import SqliteShop

BASE = "pipelines:\n  - name: p\n    source: {type: outbox_sqlite, path: shop.db}\n    sink: {type: stdout}\n"
KAFKA = "pipelines:\n  - name: p\n    source: {type: outbox_sqlite, path: shop.db}\n    sink: {type: kafka, brokers: 'h:1', properties: {%s}}\n"


EXACTLY = KAFKA.replace("properties: {%s}", "exactly_once: true, %s").replace("type: outbox_sqlite", "type: outbox_sqlite%s")


def pg(rest):
    return "pipelines:\n  - name: p\n    source: {type: outbox_postgres, url: 'postgresql://h/d', %s}\n    sink: {type: stdout}\n" % rest


TEXTS = {
    # 2
    "unknown_key": BASE + "    delivery: {max_in_flite: 5}\n",
    "unknown_top_key": "admn: {listen: 'unix:a'}\n" + BASE,
    "unknown_sink_key": BASE.replace("type: stdout", "type: file, dir: out, lingr_ms: 5"),
    "unknown_property": KAFKA % "lingr.ms: 5",
    "unknown_type": BASE.replace("stdout", "stdot"),
    "value_of_payload": BASE + "    encode: {value: avro}\n",
    "schemas_of_flat": BASE + "    encode: {format: flat, schemas: true}\n",
    "registry_url_of_ftp": BASE + "    encode: {registry: {url: 'ftp://h'}}\n",
    # 3
    "out_of_range": pg("batch_size: 0"),
    "negative": BASE + "    delivery: {attempts: -1}\n",
    "overflow": BASE + "    delivery: {max_in_flight: 99999999999999999999}\n",
    "wrong_type": BASE + "    delivery: {max_in_flight: many}\n",
    "map_for_scalar": BASE + "    delivery: {max_in_flight: {a: 1}}\n",
    "no_unit": BASE + "    delivery: {save_interval: 100}\n",
    "prune_unit": pg("prune: {older_than: 7}"),
    "prune_stream": pg("prune: {older_than: 7d}").replace("outbox_postgres", "cdc_postgres"),
    "duration_overflow": BASE + "    delivery: {save_interval: 99999999999999999999d}\n",
    "unknown_choice": BASE + "    delivery: {poison: drop}\n",
    "ratio": BASE + "    delivery: {breaker: {failure_ratio: nan}}\n",
    "broker_port": KAFKA.replace("h:1", "h:99999") % "",
    # 4
    "duplicate_key": BASE + "    delivery: {attempts: 1, attempts: 2}\n",
    "duplicate_section": "log: {level: info}\nlog: {level: warn}\n" + BASE,
    "duplicate_pipeline": BASE + BASE.split("\n", 1)[1],
    # 5
    "nul": BASE.encode() + b"    # \0\n",
    "invalid_utf8": BASE.encode() + b"    route: {topic: \"a\xff\xfeb\"}\n",
    "long_line": BASE + "# " + "x" * 10_000_000 + "\n",
    "empty_file": "",
    "not_yaml": "pipelines: [\n",
    "alias_bomb": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
                  "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\n",
    # 7
    "unset_variable": BASE.replace("shop.db", "'${COMMITRELAY_NOT_SET}'"),
    "malformed_variable": BASE.replace("shop.db", "'${COMMIT'"),
    "bare_variable": BASE.replace("shop.db", "${SHOP}"),
    "bare_variable_in_list": KAFKA.replace("'h:1'", "[${SHOP}]") % "",
    "leading_zero": pg("batch_size: 0100"),
    "leading_zero_duration": pg("poll_interval: 010ms"),
    # 8
    "table_64_bytes": pg("table: " + "t" * 64),
    "table_parts": pg("table: a.b.c"),
    # 9
    "acks_1": KAFKA % "acks: 1",
    "no_idempotence": KAFKA % "enable.idempotence: false",
    "message_timeout": KAFKA % "message.timeout.ms: 5000",
    "own_transactional_id": EXACTLY % ("", "properties: {transactional.id: mine}"),
    "own_transaction_timeout": EXACTLY % ("", "properties: {transaction.timeout.ms: 60000}"),
    "position_topic_name": EXACTLY % ("", "position_topic: 'a b'"),
    "transaction_timeout_short": EXACTLY % ("", "transaction_timeout: 5s"),
    "whole_without_transactions": KAFKA.replace("properties: {%s}", "whole_transactions: true"),
    "whole_of_rows": EXACTLY % ("", "whole_transactions: true"),
    "in_flight_6": KAFKA % "max.in.flight.requests.per.connection: 6",
}


@faults(TEXTS)
def refused(d, text):
    path = write(d, text)
    r = once(path, cwd=d)
    check(str(path) in r.log or "sink propert" in r.log or "brokers" in r.log or "librdkafka" in r.log or "table name" in r.log,
          f"the message names what is wrong: {r.log}")
    check("relay.yaml" not in os.listdir(d) or not (d / "shop.db").exists(), "nothing was made")
    return ended(r)


@fault
def file_missing(d):
    return ended(once(d / "none.yaml"))


@fault
def file_is_directory(d):
    return ended(once(d))


@fault
def file_is_fifo(d):
    """It is not waited for."""
    os.mkfifo(d / "fifo")
    r = start(["check", "-c", d / "fifo"])
    r.wait_exit()
    return ended(r)


@fault
def file_world_writable(d):
    path = write(d, BASE)
    path.chmod(0o666)
    return ended(once(path))


SECURE = {"rabbitmq": "url: 'amqps://localhost:1'", "amqp": "url: 'amqps://localhost:1'", "nats": "servers: 'tls://localhost:1'",
          "http": "url: 'https://localhost:1/'"}


@faults({kind: (kind, url) for kind, url in SECURE.items()})
def encrypted_key(d, sink):
    """On a terminal, where nobody is asked for the passphrase."""
    SqliteShop(d).insert(1)
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:hunter2", "-keyout", d / "key", "-out", d / "crt", "-subj", "/CN=relay"]
    subprocess.run(openssl, check=True, capture_output=True)
    path = write(d, BASE.replace("type: stdout", f"type: {sink[0]}, {sink[1]}, tls: {{cert_file: {d}/crt, key_file: {d}/key}}"))
    r = start(["-qec", shlex.join([proc.BIN, "run", "-c", str(path), "--until-idle"]), "/dev/null"], binary="/usr/bin/script", cwd=d)
    r.wait_exit(30)
    check("pass phrase" not in r.stdout, f"it asks: {r.stdout}")
    return ended(r)


@faults({"rabbitmq": "rabbitmq, url: 'amqps://localhost:%d', routing_key: q", "amqp": "amqp, url: 'amqps://localhost:%d', address: q",
         "http": "http, url: 'https://localhost:%d/x'"})
def certificate_expired(d, sink):
    """Of any server that speaks TLS: it comes before all else."""
    SqliteShop(d).insert(1)
    words = ["openssl", "s_server", "-accept", f"127.0.0.1:{(port := proc.free_port())}", "-cert", certificates() / "expired.crt", "-key",
             certificates() / "expired.key", "-quiet"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(lambda: socket.create_connection(("127.0.0.1", port)).close() is None, 20, "the server to listen")
            return ended(once(write(d, BASE.replace("type: stdout", f"type: {sink % port}, tls: {{ca_file: {certificates()}/ca.crt}}")), cwd=d))
        finally:
            server.kill()


@fault
def file_unreadable(d):
    path = write(d, BASE)
    path.chmod(0)
    return ended(once(path, before=as_nobody(d)))


def _relays(d, text):
    """A file that looks odd and is right."""
    shop = SqliteShop(d)
    shop.insert(3)
    r = once(write(d, text), cwd=d)
    check_equal(r.poll(), 0, "exit code")
    each_once(ids(r), shop.ids)
    return ended(r)


@faults({"bom": b"\xef\xbb\xbf" + BASE.encode(), "crlf": BASE.replace("\n", "\r\n").encode()})
def accepted(d, text):
    return _relays(d, text)


def _secret(d, mode, relay=once):
    secret = write(d, f"sqlite:{d}/store.db\n", "secret")
    secret.chmod(mode)
    SqliteShop(d)
    return relay(write(d, f"store: {{url_file: {secret}}}\n{BASE}"), cwd=d)


def _cdc(rest):
    return pg(rest).replace("outbox_postgres", "cdc_postgres")


def _two(source, sink="{type: stdout}", names=("a", "b")):
    return "pipelines:\n" + "".join(f"  - name: {n}\n    source: {source.replace('NAME', n)}\n    sink: {sink}\n" for n in names)


_SLOT = "{type: cdc_postgres, as: outbox, url: 'postgresql://NAME@h/d'%s}"
_EXACTLY = "{type: kafka, brokers: '%s', exactly_once: true%s}"
# Two pipelines that need what only one may have.
CLASHES = {
    "slot": _two(_SLOT % ", slot: same"),
    "slot_by_name": _two(_SLOT % "", names=("a-b", "a_b")),
    "transactional_id": _two("{type: outbox_sqlite, path: NAME.db}", _EXACTLY % ("h:1,i:1", ", transactional_id: same")),
    "position_topic": _two("{type: outbox_sqlite, path: NAME.db}", _EXACTLY % ("h:1", ", position_topic: same")),
    "rows": _two("{type: outbox_postgres, url: 'postgresql://NAME@h/d', mode: status}"),
    "rows_sqlite": _two("{type: outbox_sqlite, path: shop.db, mode: delete}"),
    "none_slot": _two(_SLOT % ""),
    "none_rows": _two("{type: outbox_sqlite, path: shop.db}"),
    "none_cluster": _two("{type: outbox_sqlite, path: NAME.db}", _EXACTLY % ("h:1", "")),
}


@faults(CLASHES)
def two_need_one(d, text):
    """`check` says so, and no relay starts."""
    SqliteShop(d)
    path = write(d, text)
    r = start(["check", "-c", path], cwd=d)
    r.wait_exit()
    if r.poll():
        check_equal(once(path, cwd=d).poll(), 78, "exit code of a relay")
    return ended(r)


@faults({"start_from": pg("start_from: 'garbage here'"),
         "start_from_status": pg("mode: status, start_from: now"),
         "start_from_sqlite": BASE.replace("shop.db", "shop.db, start_from: 'garbage here'"),
         "start_from_sqlite_delete": BASE.replace("shop.db", "shop.db, mode: delete, start_from: now"),
         "start_from_cdc": _cdc("start_from: 'garbage here'"),
         "channel": pg("notify_channel: " + 64 * "c"),
         "prune_delete": pg("mode: delete, prune: {older_than: 7d}"),
         "url_of_nothing": pg("mode: delete").replace("postgresql://h/d", "garbage"),
         "prune_delete_sqlite": BASE.replace("shop.db", "shop.db, mode: delete, prune: {older_than: 7d}"),
         **{p.replace(".", "_"): KAFKA % (f"{p}: x") for p in
            ("plugin.library.paths", "ssl.engine.location", "ssl.engine.id", "ssl.providers", "sasl.kerberos.kinit.cmd")}})
def check_says(d, text):
    """What a start would refuse is found by `check` without a server."""
    SqliteShop(d)
    r = start(["check", "-c", write(d, text)], cwd=d)
    r.wait_exit()
    return ended(r)


SINKS = {"rabbitmq": "type: rabbitmq, url: 'amqp://h', exchange: e, routing_key: '{aggregatetype}'", "amqp": "type: amqp, url: 'amqp://h', address: all",
         "nats": "type: nats, servers: 'nats://h', subject: 'all.{key}'", "redis": "type: redis, url: 'redis://h', stream: all",
         "http": "type: http, url: 'https://h/{topic},https://i/in'", "kafka": "type: kafka, brokers: 'h:1'", "file": "type: file, dir: out"}


@faults({**{k: (v, "dead") for k, v in SINKS.items() if k != "kafka"}, "kafka": (SINKS["kafka"], "events"), "elsewhere": (SINKS["kafka"], "dead"),
         "elsewhere_http": ("type: http, url: 'https://h/{topic}'", "dead")})
def copies_among_events(d, how):
    """Copies of dead letters would have no place of their own."""
    sink, topic = how
    SqliteShop(d)
    path = write(d, BASE.replace("type: stdout", sink) + f"    route: {{topic: events}}\n    delivery: {{dead_letter_topic: {topic}}}\n")
    r = start(["check", "-c", path], cwd=d)
    r.wait_exit()
    return ended(r)


@fault
def plugin_not_loaded(d):
    """The library of a plugin is not even opened."""
    shutil.copy(proc.BIN, d / "x.so")
    SqliteShop(d)
    path = write(d, KAFKA % f"plugin.library.paths: {d}/x.so")
    r = start(["-f", "-qq", "-e", "trace=openat", "-o", d / "trace", proc.BIN, "check", "-c", path], binary=STRACE, cwd=d)
    r.wait_exit()
    check("x.so" not in (d / "trace").read_text(), "the plugin was opened")
    return ended(r)


TORN = "postgresql://relay:XSECRETX/tail@127.0.0.1:1/shop"
ODD_PLACES = {
    "slash_in_password": pg("batch_size: 1").replace("postgresql://h/d", TORN),
    "number_first": pg("batch_size: 1").replace("postgresql://h/d", TORN.replace("XSECRETX", "12").replace("tail", "XSECRETX")),
    "url_as_file": "store: {url_file: 'postgresql://relay:XSECRETX@127.0.0.1/shop'}\n" + BASE,
    "url_as_path": BASE.replace("shop.db", "'postgresql://relay:XSECRETX@127.0.0.1/shop'"),
    "url_as_broker": KAFKA.replace("h:1", "kafka://u:XSECRETX@h") % "linger.ms: 5",
    "url_as_name": BASE.replace("name: p", "name: 'https://u:XSECRETX@h'"),
    "url_as_dir": BASE.replace("type: stdout", "type: file, dir: 'https://u:XSECRETX@h/x'"),
}


@faults(ODD_PLACES)
def secret_in_odd_place(d, text):
    """A password where none belongs: in no line of any command."""
    path = write(d, text)
    said = ""
    for args in (["check", "-c", path], ["check", "-c", path, "--connect"], ["status", "-c", path], ["status", "-c", path, "--json"],
                 ["position", "show", "-c", path], ["run", "-c", path, "--until-idle"]):
        r = start(args, cwd=d)
        r.wait_exit(45)
        check("XSECRETX" not in r.log + r.stdout, f"{args[0]} shows the secret:\n{r.log}{r.stdout}")
        said += r.log + r.stdout
    return Saw(r.poll(), said)


@fault
def secret_on_command_line(d):
    """A sink that is none, a source that is torn: refused without being shown."""
    SqliteShop(d)
    for args in (["tail", "--source", TORN], ["run", "--source", TORN, "--sink", "stdout:"], ["emit", "--source", TORN], ["init", "--source", TORN],
                 ["run", "--source", "sqlite:shop.db", "--sink", "https://u:XSECRETX@h"],
                 ["run", "--source", "https://u:XSECRETX@h", "--sink", "stdout:"],
                 ["run", "--source", "sqlite:shop.db", "--sink", "redis://u:XSECRETX@h"],
                 ["run", "--source", "sqlite:shop.db", "--sink", "kafka://u:XSECRETX@h"]):
        r = start(args, cwd=d)
        r.wait_exit(20)
        check("XSECRETX" not in r.log + r.stdout, f"{args[0]} shows the secret:\n{r.log}{r.stdout}")
        check_equal(r.poll(), 64, f"exit code of {' '.join(args)}")
    return ended(r)


@fault
def secret_world_writable(d):
    return ended(_secret(d, 0o666))


@fault
def secret_world_readable(d):
    return ended(_secret(d, 0o644))


@fault
def secret_missing(d):
    return ended(once(write(d, f"store: {{url_file: {d}/none}}\n{BASE}"), cwd=d))


@fault
def secret_of_another(d):
    secret = write(d, "sqlite:x\n", "secret")
    secret.chmod(0o600 if os.getuid() == 0 else 0)  # who is not root owns it
    return ended(once(write(d, f"store: {{url_file: {secret}}}\n{BASE}"), before=as_nobody(d)))


def _reload(d, spoil, said):
    """A daemon whose file is spoilt goes on relaying by the old one; mended, it obeys again."""
    shop, address = SqliteShop(d), admin()
    path = config(d, pipeline(shop.source()), admin={"listen": address})
    good = path.read_text()
    r = daemon(path)
    shop.insert(3)
    shop.wait_saved()
    spoil(path)
    r.signal(signal.SIGHUP)
    r.wait_log("reload refused")
    check(said in r.log, f"says why: {r.log}")
    check_equal(metric(address, "config_reload_failures_total"), 1.0, "refused reloads")
    check_equal(page(address, "readyz")[0], 200, "still ready")
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids, what="events after a refused reload")
    path.write_text(good)
    r.signal(signal.SIGHUP)
    r.wait_log("reloaded")
    shop.insert(3)
    return all_came_once(r, shop.ids)


@fault
def reload_broken(d):
    return _reload(d, lambda path: path.write_text(path.read_text().replace("retry", "retri")), "unknown key")


@fault
def reload_missing(d):
    return _reload(d, lambda path: path.unlink(), "No such file")


@fault
def reload_port_taken(d):
    """A reload is all or nothing: the new pipeline is not started either."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        return _reload(d, lambda path: config(d, *_two(path), admin={"listen": f"127.0.0.1:{port}"}), "in use")


def _two(path):
    p = json.loads(path.read_text())["pipelines"][0]
    return [p, {**p, "name": "second"}]
