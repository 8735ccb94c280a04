#!/usr/bin/python3
"""The verdict over what a relay sent: the writers' own truth against what an independent reader found.

Run by itself it proves that it sees each kind of fault.
"""
import hashlib
import sys
from collections import namedtuple

Truth = namedtuple("Truth", "id k n i sha")
Truth.__doc__ = "A committed event: its id, key, place (n, i) among the events of the key, and the SHA-256 of its payload in hex."
Arrival = namedtuple("Arrival", "where key id payload")
Arrival.__doc__ = "A message as found: the partition or stream it lay in; key and id are text, payload is bytes."


class Verdict:
    """lost, phantom, misordered and altered are lists of what is wrong; duplicates is a number."""

    def __init__(self, committed, delivered, duplicates, lost, phantom, misordered, altered):
        self.committed, self.delivered, self.duplicates = committed, delivered, duplicates
        self.lost, self.phantom, self.misordered, self.altered = lost, phantom, misordered, altered

    def faults(self, max_duplicates=0):
        """What is wrong, in words; empty when everything is as promised."""
        out = [f"{len(which)} {name}, for example {which[0]}" for name, which in
               (("lost", self.lost), ("phantom", self.phantom), ("misordered", self.misordered), ("altered", self.altered)) if which]
        if self.duplicates > max_duplicates:
            out.append(f"{self.duplicates} duplicates, at most {max_duplicates} can be explained")
        if not self.committed:
            out.append("nothing was committed, which shows nothing")
        return out

    def __str__(self):
        return (f"committed {self.committed}, delivered {self.delivered}, lost {len(self.lost)}, phantom {len(self.phantom)}, "
                f"misordered {len(self.misordered)}, duplicates {self.duplicates}")


def judge(truth, arrivals):
    """arrivals: in order of arrival within each `where`. A message sent again must carry the same bytes, key and place."""
    want = {t.id: t for t in truth}
    seen, phantom, altered, duplicates = {}, [], [], 0
    newest, home, misordered = {}, {}, []
    for a in arrivals:
        t = want.get(a.id)
        if t is None:
            phantom.append(a)
            continue
        if a.key != t.k or hashlib.sha256(a.payload).hexdigest() != t.sha:
            altered.append((t, a.key, a.payload[:80]))
        if home.setdefault(a.key, a.where) != a.where:
            misordered.append((t, f"in {a.where}, but its key is in {home[a.key]}"))
        if a.id in seen:
            duplicates += 1
            continue
        seen[a.id] = a
        if (t.n, t.i) <= newest.get(t.k, (0, 0)):
            misordered.append((t, f"after {newest[t.k]}"))
        else:
            newest[t.k] = (t.n, t.i)
    return Verdict(len(want), len(seen), duplicates, [t for t in truth if t.id not in seen], phantom, misordered, altered)


def _case(name, arrivals, truth, **want):
    v = judge(truth, arrivals)
    got = {k: getattr(v, k) if k == "duplicates" else len(getattr(v, k)) for k in ("lost", "phantom", "misordered", "altered", "duplicates")}
    expected = {**dict.fromkeys(got, 0), **want}
    if got != expected:
        sys.exit(f"judge, {name}: found {got}, want {expected}")
    if bool(v.faults()) != bool(want):
        sys.exit(f"judge, {name}: faults() says {v.faults()}")


def selftest():
    payload = {(k, n, i): f"{k} {n} {i}".encode() for k in "ab" for n in (1, 2, 3) for i in (1, 2)}
    truth = [Truth(f"{k}{n}{i}", k, n, i, hashlib.sha256(p).hexdigest()) for (k, n, i), p in payload.items()]
    good = [Arrival(ord(t.k), t.k, t.id, payload[t[1:4]]) for t in truth]
    _case("all is well", good, truth)
    _case("keys may interleave", sorted(good, key=lambda a: a.id[1:]), truth)
    _case("one is lost", good[:-1], truth, lost=1)
    _case("one in the middle is lost", good[:3] + good[4:], truth, lost=1)
    _case("one was never committed", good + [Arrival(1, "a", "a00", b"a 0 0")], truth, phantom=1)
    _case("two of a key change places", [good[1], good[0], *good[2:]], truth, misordered=1)
    _case("a whole transaction comes late", good[2:4] + good[0:2] + good[4:], truth, misordered=2)
    _case("other bytes", [good[0]._replace(payload=b"?"), *good[1:]], truth, altered=1)
    _case("another key", [good[0]._replace(key="b", where=ord("b")), *good[1:]], truth, altered=1)
    _case("a key in two partitions", [*good[:-1], good[-1]._replace(where=7)], truth, misordered=1)
    _case("sent twice", good + good[-2:], truth, duplicates=2)
    _case("sent twice, with other bytes", good + [good[-1]._replace(payload=b"")], truth, duplicates=1, altered=1)
    _case("rewound: the old order again", good[:4] + good[2:], truth, duplicates=2)
    v = judge(truth, good + good[-2:])
    if v.faults(2) or not v.faults(1):
        sys.exit("judge: the bound on duplicates does not hold")
    if not judge([], []).faults():
        sys.exit("judge: nothing at all passes")


if __name__ == "__main__":
    selftest()
    print("judge: sees each kind of fault")
