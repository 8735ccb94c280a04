"""The fault points of the program (core/base/fault.h): which there are, and who says where they are reached."""
import re
import subprocess

from guarantees import GUARANTEES
from sides import SOURCES
from sink_sides import SINKS
from support import proc
from support.proc import check


def program_points():
    """The fault points that the program has: core/base/fault.h."""
    r = subprocess.run(["readelf", "-p", "fault_points", proc.BIN], capture_output=True, text=True, check=True)
    points = set(re.findall(r"^ +\[ *[0-9a-f]+\] +(\w+)$", r.stdout, re.M))
    check(points, f"{proc.BIN} has no fault points: it was built without COMMITRELAY_FAULTS")
    return points


COMMON = {"feed_after_put", "settle_after_save"}
DECLARED = COMMON.union(*(c.points for c in (*SOURCES.values(), *SINKS.values(), *GUARANTEES.values())))


def tested_elsewhere():
    """{point: test}: what other tests provoke, for it takes more than a load."""
    out, undeclared = {}, program_points() - DECLARED
    for path in sorted([*(proc.ROOT / "tests/unit").rglob("*.c"), *(proc.ROOT / "tests/integration").glob("*.py")]):
        words = set(re.findall(r"\w+", path.read_text()))
        out.update({p: path.name for p in undeclared & words})
    return out
