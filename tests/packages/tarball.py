"""tarball.py BUILD: what tools/package makes of a build starts, and relays, where only libc6 is installed."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.proc import check, check_equal  # noqa: E402

import install_page  # noqa: E402

BUILD = Path(sys.argv[1])
LARGEST = 20 * 1000 * 1000
RELAY = "/opt/commitrelay/bin/commitrelay"
VERSION = re.search(r"^project\(commitrelay VERSION ([\d.]+)", (proc.ROOT / "CMakeLists.txt").read_text(), re.M)[1]


def out(*command, **more):
    r = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **more)
    check(r.returncode == 0, f"{command}: {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout


def only_libc(root):
    """The files of the package libc6, and nothing else: not even a shell."""
    for name in ("lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for path in map(Path, out("dpkg-query", "-L", "libc6").split("\n")):
        at = root / str(path).lstrip("/")
        if path.is_symlink() and not path.is_dir():
            at.parent.mkdir(parents=True, exist_ok=True)
            at.symlink_to(os.readlink(path))
        elif path.is_file():
            at.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, at)
            shutil.copymode(path, at)
    for name in ("tmp", "proc"):
        (root / name).mkdir()


def in_root(root, *command):
    """With /proc, where the loader asks what $ORIGIN is. Who is not root may do it in a user namespace."""
    more = [] if os.geteuid() == 0 else ["--map-root-user"]
    return out("unshare", *more, "--mount", "--pid", "--fork", f"--mount-proc={root}/proc", "chroot", root, *command,
               env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def make():
    to = proc.tempdir("packages")
    said = out(proc.ROOT / "tools/package", "tarball", "--build", BUILD, "--to", to)
    check_equal([p.name for p in to.iterdir()], [said.strip().removeprefix("./")], "what lies there")
    made = next(to.iterdir())
    check(re.fullmatch(rf"commitrelay-{VERSION}-linux-\w+\.tar\.zst", made.name), f"the name {made.name}")
    check(made.stat().st_size < LARGEST, f"{made.stat().st_size} bytes")
    print(f"{made.name}: {made.stat().st_size} bytes")
    return made


def contents(top):
    for file in ("bin/commitrelay", "LICENSE", "share/man/man1/commitrelay.1", "lib/systemd/system/commitrelay.service", "share/doc/commitrelay/INSTALL.md"):
        check((top / file).is_file(), f"{file} is not there")
    libraries = sorted(p.name for p in (top / "lib").glob("*.so*"))
    check(any(n.startswith("libpq.so") for n in libraries), f"libraries: {libraries}")
    check(not [n for n in libraries if re.match(r"lib(c|m|pthread|resolv)\.so|ld-", n)], f"parts of libc: {libraries}")
    for file in [top / "bin/commitrelay", *(top / "lib").glob("*.so*")]:
        check(re.search(r"RUNPATH.*\[\$ORIGIN/\.\./lib\]", out("readelf", "-d", file)), f"the RUNPATH of {file.name}")
    check((top / "share/doc/commitrelay/licenses/libpq5").is_file(), "no license of libpq")


def follow_the_page(made):
    """With folders of our own in the place of /opt and /usr/local."""
    place = proc.tempdir("place")
    for name in ("opt", "bin"):
        (place / name).mkdir()
    script, _ = install_page.section("Tarball")
    script = script.replace("/usr/local/bin", f"{place}/bin").replace("/opt", f"{place}/opt")
    said = out("bash", "-euo", "pipefail", "-c", script, cwd=made.parent, env={**os.environ, "PATH": f"{place}/bin:{os.environ['PATH']}"})
    install_page.judge("Tarball", said)


def relays(root):
    """To the end, also of consume: it ends a thread by pthread_cancel, for which libc loads libgcc_s."""
    check(f"commitrelay {VERSION}\n" in in_root(root, RELAY, "version"), "the version")
    source = ("--source", "sqlite:/tmp/shop.db")
    in_root(root, RELAY, "init", *source)
    in_root(root, RELAY, "emit", *source, "--count", "3")
    in_root(root, RELAY, "run", *source, "--sink", "file:/tmp/events", "--until-idle")
    events = "".join(p.read_text() for p in (root / "tmp/events").glob("*.jsonl"))
    check_equal(len(events.splitlines()), 3, f"events: {events}")
    in_root(root, RELAY, "consume", "--from", "file:/tmp/events", "--inbox", "sqlite:/tmp/shop.db", "--consumer", "c", "--until-idle",
            "--exec", "--", RELAY, "version")


def main():
    made = make()
    root = proc.tempdir("root")
    only_libc(root)
    (root / "opt").mkdir()
    out("tar", "--zstd", "-xf", made, "-C", root / "opt", "--no-same-owner")
    top = next((root / "opt").iterdir())
    check_equal(top.name, made.name.removesuffix(".tar.zst"), "the folder in it")
    contents(top)
    top.rename(root / "opt/commitrelay")
    relays(root)
    follow_the_page(made)


main()
