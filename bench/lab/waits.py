#!/usr/bin/env python3
"""Who works and who waits: for each thread of some processes, how long it ran, was ready and had no processor, and slept.

    waits.py SECONDS NAME=PID [NAME=PID...]      # the processes and their descendants, over the next seconds

`run`, `ready` and `sleep` are per cent of the time between the two looks. A drain in which a thread runs and is ready all the time is
bound by that thread; one in which all sleep waits in turns; one in which many are ready wants more processors. Needs no rights but those
to read /proc of the processes (the kernel counts this for every thread: /proc/PID/task/TID/schedstat).
"""
import os
import sys
import time


def children(tree, root):
    todo, out = [root], []
    while todo:
        p = todo.pop()
        out.append(p)
        todo += [c for c, parent in tree.items() if parent == p]
    return out


def parents():
    """pid -> parent of every process."""
    out = {}
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            s = open(f"/proc/{p}/stat").read()
            out[int(p)] = int(s[s.rindex(")") + 2:].split()[1])
        except (OSError, ValueError):
            pass
    return out


def look(roots):
    """(name, tid) -> (the thread's own name, ns run, ns ready, times it was put on a processor); and under None the time in ns."""
    tree, out = parents(), {None: time.monotonic_ns()}
    for name, root in roots.items():
        for pid in children(tree, root):
            try:
                for tid in os.listdir(f"/proc/{pid}/task"):
                    at = f"/proc/{pid}/task/{tid}/"
                    run, ready, times = map(int, open(at + "schedstat").read().split())
                    out[name, int(tid)] = (open(at + "comm").read().strip(), run, ready, times)
            except OSError:  # it has ended
                pass
    return out


def compare(before, after, least=1.0):
    """What the threads did between two looks, the busiest first; those that ran less than `least` per cent are left out."""
    ns, rows = after[None] - before[None], []
    for key, (comm, run, ready, times) in ((k, v) for k, v in after.items() if k):
        old = before.get(key, (comm, 0, 0, 0))  # a thread that began meanwhile
        share = [round((now - then) * 100 / ns, 1) for now, then in ((run, old[1]), (ready, old[2]))]
        rows.append(dict(of=key[0], thread=comm, run=share[0], ready=share[1], sleep=round(100 - sum(share), 1),
                         switches_per_s=round((times - old[3]) * 1e9 / ns)))
    return sorted((r for r in rows if r["run"] >= least), key=lambda r: -r["run"])


def show(rows, file=sys.stdout):
    for r in rows:
        print("%-7s %-16s run %5.1f %%  ready %5.1f %%  sleep %5.1f %%  %7d switches/s"
              % (r["of"], r["thread"], r["run"], r["ready"], r["sleep"], r["switches_per_s"]), file=file)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    given = {name: int(pid) for name, pid in (a.split("=") for a in sys.argv[2:])}
    first = look(given)
    time.sleep(float(sys.argv[1]))
    show(compare(first, look(given)))
