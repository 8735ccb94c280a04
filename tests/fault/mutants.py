#!/usr/bin/python3
"""A mutant is the relay with one promise broken: one of its files, with another text in one place. Each must turn crashcheck red.

    mutants.py generate FILE.mutant OUT.c       its source
    mutants.py run DIRECTORY [NAME...]          tries them; DIRECTORY holds the programs mutant_NAME
"""
import contextlib
import re
import sys
from collections import namedtuple
from pathlib import Path

from support import proc

FOLDER = Path(__file__).with_name("mutants")
Mutant = namedtuple("Mutant", "name about file trial sees edits")


def read(path):
    text = Path(path).read_text()
    head, *edits = re.split(r"^<<<<\n", text, flags=re.M)
    field = {name: re.search(rf"^{name} (.*)$", head, re.M)[1].split() for name in ("file", "trial", "sees")}
    return Mutant(Path(path).stem, head.splitlines()[0], field["file"][0], field["trial"], field["sees"],
                  [re.fullmatch(r"(.*?)^====\n(.*?)^>>>>\n?", e, re.M | re.S).groups() for e in edits])


def generate(path, out):
    """Each text must be there exactly once: who changes it, changes the mutant."""
    mutant = read(path)
    text = (proc.ROOT / mutant.file).read_text()
    for before, after in mutant.edits:
        before, after = before.rstrip("\n"), after.rstrip("\n")
        if text.count(before) != 1:
            sys.exit(f"{path}: {mutant.file} has this {text.count(before)} times, not once:\n{before}")
        text = text.replace(before, after)
    Path(out).write_text(f'#line 1 "{proc.ROOT / mutant.file}"\n{text}')


TRIES = 5  # faults fall at random: a mutant that one seed does not show is shown by another


def attempt(mutant, seed, server, broker):
    if mutant.trial[0] == "shards":
        from support.shards import ShardTrial  # pylint: disable=import-outside-toplevel
        return ShardTrial(mutant.trial[1], seed, server, broker, mutant.trial[2:]).attempt()
    from trial import Trial  # pylint: disable=import-outside-toplevel; a build needs no client of a server
    return Trial(tuple(mutant.trial[:3]), seed, server, broker, bulk=2000).attempt(mutant.trial[3:])


def shown(mutant, seed, server, broker):
    """What is wrong with it; None: nothing was seen."""
    for i in range(TRIES):
        row = attempt(mutant, seed + i, server, broker)
        if any(row[s] for s in mutant.sees):
            return "; ".join(row["wrong"])
    return None


@contextlib.contextmanager
def places(shards):
    if not shards:
        from trial import servers  # pylint: disable=import-outside-toplevel
        with servers() as both:
            yield both
        return
    from support.pg import Postgres  # pylint: disable=import-outside-toplevel
    from support.redis_server import Redis  # pylint: disable=import-outside-toplevel
    with Postgres(settings={"fsync": "off", "max_connections": 200}) as server, Redis() as place:
        yield server, place


def run(directory, names):
    """Each beside the relay as it is, which has to stay green. Those of shards are tried when they are named."""
    right, seed, bad = proc.BIN, proc.seed(), 0
    print(f"seed {seed}", flush=True)
    mutants = [m for m in map(read, sorted(FOLDER.glob("*.mutant"))) if (m.name in names if names else m.trial[0] != "shards")]
    with places(any(m.trial[0] == "shards" for m in mutants)) as (server, broker):
        for mutant in mutants:
            proc.BIN = right
            row = attempt(mutant, seed, server, broker)
            bad += bool(row["wrong"])
            print(f"{'FAIL' if row['wrong'] else 'ok  '} {mutant.name}: the relay as it is {'; '.join(row['wrong'])}", flush=True)
            proc.BIN = f"{directory}/mutant_{mutant.name}"
            told = shown(mutant, seed, server, broker)
            bad += told is None
            print(f"{'FAIL' if told is None else 'ok  '} {mutant.name}: {mutant.about} {f'not seen in {TRIES} tries' if told is None else told}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(generate(*sys.argv[2:]) if sys.argv[1] == "generate" else run(Path(sys.argv[2]).resolve(), sys.argv[3:]))
