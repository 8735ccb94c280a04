#!/usr/bin/env python3
"""Measures any relay: how fast it drains a backlog, and how late its events come.

    relay.py drain   [--events N] [--per-tx R] [--runs K]    commit N rows while the relay is down, then time the drain
    relay.py latency [--rate R] [--seconds S] [--rows B]     write at a steady rate, read what comes out of the topic

Environment (env.sh has the defaults): LAB_DIR PGHOST PGPORT PGUSER PGDATABASE BROKERS TOPIC PARTITIONS and
    RELAY_CMD    starts the relay in the foreground (shell); it must end on SIGTERM
    RELAY_RESET  optional, run before every measurement when the relay is down: drop slots, state files (shell)
    SCHEMA_SQL   SQL file that makes the table and its filler (default: sql/outbox.sql)
    FILL_SQL     fills the backlog, %(n)d rows, %(per_tx)d a transaction (default: CALL outbox_fill(...))
    PRIME_SQL    one row, sent and awaited before the backlog is written, so that the relay has its slot and position;
                 PRIME=0 leaves that step out (a polling relay needs none)
    EVENTS_PER_ROW  messages per row, if not 1
    INSERT_SQL   latwriter's statement, $1 = aggregate id, $2 = JSON payload
Prints one JSON line a run: rates are events a second, CPU is in seconds, memory in KiB.
"""
import argparse, json, os, signal, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")
E = os.environ
LAB = E.setdefault("LAB_DIR", os.path.join(HERE, ".lab"))
for k, v in dict(PGHOST="127.0.0.1", PGPORT="15432", PGUSER="postgres", PGDATABASE="lab", BROKERS="127.0.0.1:19092",
                 TOPIC="lab.order", PARTITIONS="4").items():
    E.setdefault(k, v)
BIN = os.path.join(LAB, "bin")


def sql(text, quiet=True):
    return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", text], check=True, text=True,
                          capture_output=True).stdout.strip()


def tree():
    """pid -> (parent, cpu ticks incl. reaped children, peak rss KiB) of every process."""
    out = {}
    for p in os.listdir("/proc"):
        if not p.isdigit():
            continue
        try:
            s = open(f"/proc/{p}/stat").read()
            f = s[s.rindex(")") + 2:].split()
            hwm = [int(l.split()[1]) for l in open(f"/proc/{p}/status") if l.startswith("VmHWM")]
            out[int(p)] = (int(f[1]), sum(map(int, f[11:15])), hwm[0] if hwm else 0)
        except (OSError, ValueError):
            pass
    return out


def usage(root, t=None):
    """CPU seconds and the largest sum of peak RSS of root and all its descendants."""
    t = t or tree()
    todo, cpu, rss = [root], 0, 0
    while todo:
        p = todo.pop()
        if p in t:
            cpu, rss = cpu + t[p][1], rss + t[p][2]
            todo += [c for c, v in t.items() if v[0] == p]
    return cpu / TICK, rss


def server_pids():
    pm = None
    try:
        pm = int(open(sql("SHOW data_directory") + "/postmaster.pid").readline())
    except OSError:
        pass
    try:
        kf = int(open(os.path.join(LAB, "kafka", "pid")).read())
    except OSError:
        kf = None
    return pm, kf


def start_relay(log):
    return subprocess.Popen(E["RELAY_CMD"], shell=True, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def session(sid):
    """The live processes of a session."""
    out = []
    for p in os.listdir("/proc"):
        try:
            f = open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()
            if int(f[3]) == sid and f[0] != "Z":
                out.append(int(p))
        except (OSError, ValueError, IndexError):
            pass
    return out


def signal_all(sid, sig):
    for pid in session(sid):
        try:
            os.kill(pid, sig)
        except OSError:
            pass


def stop_relay(p, patience=30):
    """SIGTERM, then SIGKILL to what is left; returns the seconds it took."""
    t0 = time.time()
    signal_all(p.pid, signal.SIGTERM)
    while session(p.pid) and time.time() - t0 < patience:
        time.sleep(.05)
    signal_all(p.pid, signal.SIGKILL)
    p.wait()
    return round(time.time() - t0, 2)


def hwm(n, timeout, base=0):
    return subprocess.Popen([f"{BIN}/hwm", E["BROKERS"], E["TOPIC"], str(n), str(timeout), str(base)], stdout=subprocess.PIPE, text=True)


def prepare(log):
    if E.get("RELAY_RESET"):
        subprocess.run(E["RELAY_RESET"], shell=True, stdout=log, stderr=log)
    subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", E.get("SCHEMA_SQL", f"{HERE}/sql/outbox.sql")],
                   check=True, stdout=log, stderr=log)
    if E.get("RELAY_PREPARE"):
        subprocess.run(E["RELAY_PREPARE"], shell=True, stdout=log, stderr=log)
    subprocess.run([f"{BIN}/topic", E["BROKERS"], E["TOPIC"], E["PARTITIONS"]], check=True)


PRIME_SQL = E.get("PRIME_SQL", "INSERT INTO outbox(aggregatetype,aggregateid,type,payload) VALUES('order','order-0','OrderCreated','{\"seq\":0,\"ts_us\":0}')")


def prime(log):
    """Start the relay, see one event through, stop it: now it owns its slot and its position."""
    if E.get("PRIME", "1") == "0":
        return 0, None
    h, p, t0 = hwm(1, 90), start_relay(log), time.time()
    end = time.time() + 80
    while h.poll() is None and time.time() < end and p.poll() is None:
        sql(PRIME_SQL)  # repeated until it comes: a slot made a moment later does not see earlier rows
        try:
            h.wait(2)
        except subprocess.TimeoutExpired:
            pass
    took = time.time() - t0
    if h.poll() is None:
        h.kill()
    time.sleep(float(E.get("PRIME_SETTLE", "2")))
    stop_relay(p)
    time.sleep(.5)
    out = subprocess.run([f"{BIN}/hwm", E["BROKERS"], E["TOPIC"], "1", "5"], capture_output=True, text=True).stdout
    n = json.loads(out)["count"]
    if not n:
        raise SystemExit(f"no event came while priming; see {LAB}/relay.log")
    return n, round(took, 2)


def drain(a):
    for run in range(a.runs):
        with open(os.path.join(LAB, "relay.log"), "w") as log:
            prepare(log)
            n0, cold = prime(log)
            n = n0 + int(a.events * float(E.get("EVENTS_PER_ROW", "1")))
            t = time.time()
            env = dict(E, PGOPTIONS="-c synchronous_commit=off")
            subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c",
                            E.get("FILL_SQL", "CALL outbox_fill(%(n)d,%(per_tx)d)") % dict(n=a.events, per_tx=a.per_tx)], check=True, env=env)
            filled = time.time() - t
            sql("CHECKPOINT"), sql("VACUUM ANALYZE " + E.get("TABLE", "outbox"))
            time.sleep(1)
            pm, kf = server_pids()
            t = tree()
            pg0, k0 = usage(pm, t)[0], usage(kf, t)[0]
            h = hwm(n, a.timeout, n0)
            t0 = time.time()
            p = start_relay(log)
            while h.poll() is None:
                if p.poll() is not None:
                    h.terminate()
                    h.wait()
                    raise SystemExit(f"the relay ended by itself with status {p.returncode}; see {LAB}/relay.log")
                time.sleep(.05)
            r = json.loads(h.stdout.read())
            t = tree()
            cpu, rss = usage(p.pid, t)
            pg1, k1 = usage(pm, t)[0], usage(kf, t)[0]
            alive = p.poll() is None
            stopped = stop_relay(p)
            ev = r["count"] - n0
            res = dict(kind="drain", name=a.name, run=run, events=ev, wanted=n - n0, per_tx=a.per_tx, fill_s=round(filled, 1),
                       prime_s=cold, first_event_s=round(r["t_first_us"] / 1e6 - t0, 3),
                       total_s=round(r["t_last_us"] / 1e6 - t0, 3), rate_10_90=r["rate_10_90"],
                       rate_total=round(ev / (r["t_last_us"] / 1e6 - t0)), relay_cpu_s=round(cpu, 2),
                       relay_cpu_s_per_1M=round(cpu * 1e6 / max(ev, 1), 2), relay_peak_rss_kib=rss,
                       pg_cpu_s_per_1M=round((pg1 - pg0) * 1e6 / max(ev, 1), 2), kafka_cpu_s_per_1M=round((k1 - k0) * 1e6 / max(ev, 1), 2),
                       relay_alive=alive, stop_s=stopped)
            print(json.dumps(res), flush=True)
            if E.get("RELAY_RESET"):
                subprocess.run(E["RELAY_RESET"], shell=True, stdout=log, stderr=log)


def latency(a):
    acks = os.path.join(LAB, "acks.bin")
    for run in range(a.runs):
        with open(os.path.join(LAB, "relay.log"), "w") as log:
            prepare(log)
            n0, cold = prime(log)
            p = start_relay(log)
            h = hwm(n0 + 1, 90)
            while h.poll() is None and p.poll() is None:
                sql(PRIME_SQL)
                try:
                    h.wait(2)
                except subprocess.TimeoutExpired:
                    pass
            if p.poll() is not None:
                raise SystemExit(f"the relay ended by itself with status {p.returncode}; see {LAB}/relay.log")
            w = [f"{BIN}/latwriter", acks, str(a.rate), str(a.warmup), str(a.conns), str(a.rows)]
            subprocess.run(w, check=True, capture_output=True)
            time.sleep(3)
            c = subprocess.Popen([f"{BIN}/latcons", E["BROKERS"], E["TOPIC"], acks, str(a.idle)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
            c.stderr.readline()
            pm, kf = server_pids()
            t = tree()
            b = [usage(x, t)[0] for x in (p.pid, pm, kf)]
            w[3] = str(a.seconds)
            wr = json.loads(subprocess.run(w, check=True, capture_output=True, text=True).stdout)
            t = tree()
            e = [usage(x, t)[0] for x in (p.pid, pm, kf)]
            rss = usage(p.pid, t)[1]
            r = json.loads(c.communicate()[0])
            stop_relay(p)
            n = a.rate * a.seconds
            res = dict(kind="latency", name=a.name, run=run, rate=a.rate, rows_per_tx=a.rows, conns=a.conns, seconds=a.seconds,
                       written_rate=wr["rate"], tx_late=wr["tx_late_100ms"], **r, relay_cpu_pct=round((e[0] - b[0]) * 100 / a.seconds, 1),
                       relay_cpu_s_per_1M=round((e[0] - b[0]) * 1e6 / n, 1), pg_cpu_pct=round((e[1] - b[1]) * 100 / a.seconds, 1),
                       kafka_cpu_pct=round((e[2] - b[2]) * 100 / a.seconds, 1), relay_peak_rss_kib=rss)
            print(json.dumps(res), flush=True)
            if E.get("RELAY_RESET"):
                subprocess.run(E["RELAY_RESET"], shell=True, stdout=log, stderr=log)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sp = ap.add_subparsers(dest="what", required=True)
    d = sp.add_parser("drain")
    d.add_argument("--events", type=int, default=500000)
    d.add_argument("--per-tx", type=int, default=100)
    d.add_argument("--timeout", type=int, default=300)
    l = sp.add_parser("latency")
    l.add_argument("--rate", type=float, default=1000)
    l.add_argument("--seconds", type=int, default=30)
    l.add_argument("--warmup", type=int, default=10)
    l.add_argument("--conns", type=int, default=4)
    l.add_argument("--rows", type=int, default=1)
    l.add_argument("--idle", type=int, default=5)
    for s in (d, l):
        s.add_argument("--runs", type=int, default=1)
        s.add_argument("--name", default=E.get("NAME", "relay"))
    a = ap.parse_args()
    {"drain": drain, "latency": latency}[a.what](a)


if __name__ == "__main__":
    main()
