"""units.py BUILD: what cmake --install puts beside the executable, and systemd takes its units, users and folders."""
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.proc import check, check_equal  # noqa: E402

import install_page  # noqa: E402

BUILD = Path(sys.argv[1])
FILES = {
    "bin/commitrelay", "share/man/man1/commitrelay.1", "share/man/man5/commitrelay.yaml.5", "share/bash-completion/completions/commitrelay",
    "share/zsh/site-functions/_commitrelay", "share/fish/vendor_completions.d/commitrelay.fish", "lib/systemd/system/commitrelay.service",
    "lib/systemd/system/commitrelay@.service", "lib/sysusers.d/commitrelay.conf", "lib/tmpfiles.d/commitrelay.conf",
}


def out(*command, **more):
    r = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **more)
    check(r.returncode == 0, f"{command}: {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout + r.stderr


def install():
    prefix = proc.tempdir("prefix")
    out("cmake", "--install", BUILD, "--prefix", prefix, "--component", "Unspecified")
    files = {str(p.relative_to(prefix)) for p in prefix.rglob("*") if not p.is_dir()}
    rest = {f for f in files if not f.startswith(("share/doc/commitrelay/", "share/commitrelay/"))}
    check_equal(rest, FILES, "what is installed")
    check({"share/doc/commitrelay/OPERATIONS.md", "share/commitrelay/postgres/roles.sql"} <= files, f"no documents or SQL: {files}")
    return prefix


def settings(file):
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def units(prefix):
    """Verified where systemd finds the executable; a service's path is that of this installation."""
    system = prefix / "lib/systemd/system"
    one, many = system / "commitrelay.service", system / "commitrelay@.service"
    changed = [b for a, b in zip(settings(one), settings(many), strict=True) if a != b]
    check_equal(changed, ["Description=commitrelay: relays what a database has committed (%i)",
                          "ExecStart=commitrelay run -c /etc/commitrelay/%i.yaml", "ExecReload=commitrelay reload -c /etc/commitrelay/%i.yaml",
                          "StateDirectory=commitrelay/%i", "LogsDirectory=commitrelay/%i"], "what the template has of its own")
    for unit in (one, many):
        placed = proc.tempdir("units") / unit.name
        placed.write_text(re.sub(r"=commitrelay (run|reload)", rf"={prefix}/bin/commitrelay \1", unit.read_text()))
        name = str(placed).replace("@.", "@shop.")
        Path(name).write_text(placed.read_text())
        said = out("systemd-analyze", "verify", "--man=no", name)
        check_equal([line for line in said.splitlines() if "commitrelay" in line], [], f"what systemd-analyze says of {unit.name}")


def first_event(prefix):
    """The short form of what packages.deb does in a fresh Debian: the page, with this installation and folders of our own."""
    place = proc.tempdir("place")
    for name in ("etc/commitrelay", "var/lib/commitrelay"):
        (place / name).mkdir(parents=True)
    script, _ = install_page.section("Debian package")
    script = re.sub(r"/(etc|var/lib)/commitrelay", rf"{place}\g<0>", script).replace("-o commitrelay -g commitrelay ", "")
    asked = 'apt-get() { :; }; systemctl() { :; }; runuser() { shift 3; "$@"; }\n'
    config = place / "etc/commitrelay/relay.yaml"
    said = out("bash", "-euo", "pipefail", "-c", asked + script, env={
        **os.environ, "PATH": f"{prefix}/bin:{os.environ['PATH']}", "COMMITRELAY_CONFIG": str(config)})
    install_page.judge("Debian package", said)
    start = re.search(r"^ExecStart=commitrelay (.*)$", (prefix / "lib/systemd/system/commitrelay.service").read_text(), re.M)[1]
    words = start.replace("/etc/commitrelay/relay.yaml", str(config)).split()
    out(prefix / "bin/commitrelay", *words, "--until-idle", env={**os.environ, "STATE_DIRECTORY": str(place / "var/lib/commitrelay")})
    events = "".join(p.read_text() for p in (place / "var/lib/commitrelay/out").glob("*.jsonl"))
    check_equal(len(events.splitlines()), 1, f"first event: {events}")


def users_and_folders(prefix):
    """In a root of their own, so that this machine's users stay as they are."""
    root = proc.tempdir("root")
    (root / "etc/commitrelay").mkdir(parents=True)
    (root / "etc/commitrelay/shop.yaml").write_text("pipelines: []\n")
    for name in ("sysusers.d", "tmpfiles.d"):
        (root / "usr/lib" / name).mkdir(parents=True)
        (root / "usr/lib" / name / "commitrelay.conf").write_text((prefix / "lib" / name / "commitrelay.conf").read_text())
    out("systemd-sysusers", f"--root={root}")
    passwd = (root / "etc/passwd").read_text()
    check(re.search(r"^commitrelay:x:\d+:\d+:commitrelay:/var/lib/commitrelay:/usr/sbin/nologin$", passwd, re.M), f"the user: {passwd}")
    out("systemd-tmpfiles", "--create", f"--root={root}")
    group = int(re.search(r"^commitrelay:x:(\d+)", (root / "etc/group").read_text(), re.M)[1])
    for path, mode in ((root / "etc/commitrelay", 0o750), (root / "etc/commitrelay/shop.yaml", 0o640)):
        s = path.stat()
        check_equal((s.st_mode & 0o7777, s.st_uid, s.st_gid), (mode, 0, group), str(path))


def main():
    prefix = install()
    units(prefix)
    first_event(prefix)
    if os.geteuid() == 0:
        users_and_folders(prefix)
    else:
        print("users and folders: only as root")


main()
