"""library.py BUILD: what libcommitrelay-inbox exports, what cmake --install makes of it, and the example that is built with that alone."""
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.proc import check, check_equal  # noqa: E402

BUILD = Path(sys.argv[1])
HEADER = (proc.ROOT / "inbox/commitrelay_inbox.h").read_text()
FUNCTIONS = set(re.findall(r"CR_INBOX_API [^;]*?(cr_\w+)\(", HEADER))
VERSION = re.search(r'CR_INBOX_VERSION "([\d.]+)"', HEADER)[1]
SANITIZED = re.search(r"^COMMITRELAY_SANITIZE:\w+=.", (BUILD / "CMakeCache.txt").read_text(), re.M)


def out(*command, **more):
    r = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **more)
    check(r.returncode == 0, f"{command}: {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout


def symbols(*options):
    """Names by their kind, as nm tells them."""
    return [(kind, name) for kind, name in re.findall(r"([A-Za-z]) (\S+)$", out("nm", *options), re.M)]


def exports(lib):
    check_equal(len(FUNCTIONS), 4, "functions of the header")
    got = {name for kind, name in symbols("-D", "--defined-only", lib / "libcommitrelay-inbox.so") if kind != "A"}
    check_equal(got, {f"{name}@@CR_INBOX_1" for name in FUNCTIONS}, "what the shared library exports")
    theirs = {name for _, name in symbols("-g", "--defined-only", lib / "libcommitrelay-inbox.a") if not name.startswith("cr_inbox_")}
    if not SANITIZED:
        check_equal(theirs, set(), "names of the static library that are not its own")
        wanted = {name.split("@")[0] for _, name in symbols("-D", "--undefined-only", lib / "libcommitrelay-inbox.so")}
        check_equal(wanted & {"malloc", "calloc", "realloc", "strdup", "strndup", "asprintf", "__vasprintf_chk"}, set(), "what allocates")
    check(f"libcommitrelay-inbox.so.{VERSION.split('.')[0]}]" in out("readelf", "-d", lib / "libcommitrelay-inbox.so"), "the soname")


def install(prefix):
    for part in ("inbox", "inbox-dev"):
        out("cmake", "--install", BUILD, "--prefix", prefix, "--component", part)
        files = {re.sub(r"^lib/\S*?-linux-gnu\w*/", "lib/", str(p.relative_to(prefix))) for p in prefix.rglob("*") if not p.is_dir()}
        if part == "inbox":
            check_equal(files, {"lib/libcommitrelay-inbox.so." + v for v in (VERSION, VERSION.split(".")[0])}, "the runtime part")
    man = {f"share/man/man3/{name}.3" for name in FUNCTIONS | {"commitrelay_inbox"}}
    rest = {f for f in files if not f.startswith(("lib/libcommitrelay-inbox.so", "share/doc/"))}
    check_equal(rest, {"include/commitrelay_inbox.h", "lib/libcommitrelay-inbox.a", "lib/pkgconfig/commitrelay-inbox.pc"} | man, "files")
    page = (proc.ROOT / "inbox/commitrelay_inbox.3").read_text()
    check(all(re.search(rf"{name}\(", page) for name in FUNCTIONS), "the manual lacks a function")
    return next(prefix.rglob("libcommitrelay-inbox.so")).parent


def run_example(command, env, dir):
    db = dir / "shop.db"
    db.unlink(missing_ok=True)
    c = sqlite3.connect(db)
    c.executescript((proc.ROOT / "schema/sqlite/inbox.sql").read_text() + "create table total (n); insert into total values (0);")
    said = out(*command, db, input="e-1 5\ne-2 7\ne-1 5\n", env=env)
    check_equal(said, "e-1: handled\ne-2: handled\ne-1: seen before\n", "the example")
    check_equal(c.execute("select n from total").fetchall(), [(12,)], "the sum")
    c.close()


def examples(prefix, lib):
    env = {**os.environ, "PKG_CONFIG_PATH": str(lib / "pkgconfig"), "LD_LIBRARY_PATH": str(lib)}
    strict = ["cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    flags = out("pkg-config", "--cflags", "--libs", "commitrelay-inbox", "sqlite3", env=env).split()
    check_equal(out("pkg-config", "--modversion", "commitrelay-inbox", env=env).strip(), VERSION, "the version of the .pc file")
    source = next(prefix.rglob("claim_sqlite.c"))
    out(*strict, source, "-o", prefix / "shared", *flags, env=env)
    run_example([prefix / "shared"], env, prefix)
    check(str(lib) in out("ldd", prefix / "shared", env=env), "the example does not take the installed library")
    out("cc", source, "-o", prefix / "static", f"-I{prefix}/include", lib / "libcommitrelay-inbox.a", "-lsqlite3", env=env)
    run_example([prefix / "static"], os.environ, prefix)
    check("commitrelay" not in (needs := out("ldd", prefix / "static")) and "libpq" not in needs, "the static example needs more than SQLite")
    for compiler in (["c++", "-x", "c++", "-std=c++17"], ["cc", "-x", "c", "-std=c99"]):
        out(*compiler, "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{prefix}/include", "-", "-o", prefix / "version", *flags, env=env,
            input='#include <commitrelay_inbox.h>\n#include <stdio.h>\nint main(void) { return puts(cr_inbox_version()) < 0; }\n')
        check_equal(out(prefix / "version", env=env).strip(), VERSION, "the version that runs")


def main():
    prefix = proc.tempdir("prefix")
    lib = install(prefix)
    exports(lib)
    if not SANITIZED:
        examples(prefix, lib)


main()
