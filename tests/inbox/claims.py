"""claims.py VERSION CLAIMS EXAMPLE: the inbox of `init --inbox` on a PostgreSQL of that version, by the library and by its example."""
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import pg, proc  # noqa: E402
from support.proc import check, check_equal  # noqa: E402


def example(server, program):
    server.sql("create table total (n bigint not null); insert into total values (0)", dbname="shop")
    server.sql("truncate inbox", dbname="shop")
    events = "e-1 5\ne-2 7\ne-1 5\n"
    for said in ("e-1: handled\ne-2: handled\ne-1: seen before\n", "e-1: seen before\ne-2: seen before\ne-1: seen before\n"):
        r = subprocess.run([program, server.conninfo("shop")], input=events, capture_output=True, text=True, check=False)
        check_equal((r.returncode, r.stdout, r.stderr), (0, said, ""), "the example")
    check_equal(server.sql("select n from total", dbname="shop"), [(12,)], "the sum")
    server.sql("drop function inbox_claim", dbname="shop")
    r = subprocess.run([program, server.conninfo("shop")], input=events, capture_output=True, text=True, check=False)
    check("inbox claim (42883)" in r.stderr and r.returncode == 1, f"the example without the function: {r}")


def prune(server):
    """Large enough for several steps, and old in the first and last pages; of one consumer, then of all."""
    server.sql("insert into inbox select c, repeat('x', 40) || n, now() - interval '10 days' * (n % 5) from unnest('{a,b}'::text[]) c,"
               " generate_series(1, 5000) n", dbname="shop")
    url = server.url("shop")

    def command(*more):
        return proc.run(["prune", "--source", url, "--inbox", "--older-than", "7d", "--pause", "0ms", "--batch", 1000, *more]).stdout
    check("would remove 8000 claims" in command("--dry-run"), "the dry run's number")
    check("removed 4000 claims of consumer a" in command("--consumer", "a"), "the number of one consumer")
    check("removed 4000 claims" in command(), "the number of the others")
    check_equal(server.sql("select consumer, count(*), max(now() - received_at) < interval '7 days' from inbox group by 1 order by 1",
                           dbname="shop"), [("a", 1000, True), ("b", 1000, True)], "what stayed")
    plan = server.sql("explain " + (proc.ROOT / "schema/sql/inbox_prune.sql").read_text().replace("$1", "0").replace("$2", "1")
                      .replace("$3", "0").replace("$4", "null"), dbname="shop")
    check("Tid Range Scan" in str(plan), f"a step reads more than its pages: {plan}")


def partitioned(server):
    """By consumer, of which the tables are pruned together."""
    server.sql("drop table if exists inbox cascade", dbname="shop")
    server.sql("create table inbox (consumer text, event_id text, received_at timestamptz not null default clock_timestamp(),"
               " primary key (consumer, event_id)) partition by list (consumer);"
               "create table inbox_a partition of inbox for values in ('a'); create table inbox_b partition of inbox default", dbname="shop")
    url = server.url("shop")
    proc.run(["init", "--source", url, "--inbox"])
    check_equal(server.sql("select inbox_claim('a', '1'), inbox_claim('a', '1'), inbox_claim('b', '1')", dbname="shop"),
                [(True, False, True)], "claims")
    server.sql("update inbox set received_at = now() - interval '8 days'", dbname="shop")
    check("removed 2 claims" in proc.run(["prune", "--source", url, "--inbox", "--older-than", "7d"]).stdout, "both partitions")


def main(version, claims, program):
    with pg.Postgres(version=int(version), settings={"fsync": "off"}) as server:
        server.createdb("shop")
        for _ in range(2):
            proc.run(["init", "--source", server.url("shop"), "--inbox"])
        server.sql("create table effects (n int)", dbname="shop")
        code = subprocess.run([claims], env={**os.environ, "COMMITRELAY_TEST_PG": server.conninfo("shop")}, check=False).returncode
        check_equal(code, 0, "the claims")
        example(server, program)
        server.sql("truncate inbox", dbname="shop")
        prune(server)
        partitioned(server)


main(*sys.argv[1:])
