"""The runner of a test that is made of cases: all are run, whatever fails, each with something of its own to work with."""
import shutil
import sys
import traceback

from . import proc
from .relaying import clean_up

_cases = []


def case(fn):
    _cases.append(fn)
    return fn


def main(make, rooted=()):
    """Runs the cases, or those that the command line names. Each gets what make() gives: a directory, or what has one as its `dir`.

    rooted: the cases that this user may not run, because they act as another user; it is said that they were left out.
    """
    only, failed = sys.argv[1:], []
    for fn in _cases:
        if only and fn.__name__ not in only:
            continue
        if fn in rooted:
            print(f"root {fn.__name__}: needs root, left out", flush=True)
            continue
        own = make()
        try:
            fn(own)
            print(f"ok   {fn.__name__}", flush=True)
        except Exception:  # pylint: disable=broad-except; the others shall still run
            failed.append(fn.__name__)
            print(f"FAIL {fn.__name__}: {traceback.format_exc()}\n{proc.tails(6, 4)}", flush=True)
        clean_up()
        shutil.rmtree(getattr(own, "dir", own), ignore_errors=True)
    sys.exit(f"{len(failed)} failed" if failed else 0)
