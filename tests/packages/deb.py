"""deb.py BUILD: the Debian packages are built without an error of lintian, hold what they should, and work in a fresh Debian.

The fresh Debian is made by debootstrap, so this must be root. In it docs/INSTALL.md is followed; what systemd would start is started by hand,
as its user and from its unit's own line.
"""
import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.proc import check, check_equal  # noqa: E402

import install_page  # noqa: E402

SECTION = "Debian package"
LIB = "usr/lib/ARCH"
CONTENTS = {
    "commitrelay": {
        "usr/bin/commitrelay", "etc/commitrelay/relay.yaml", "lib/systemd/system/commitrelay.service", "lib/systemd/system/commitrelay@.service",
        "usr/lib/sysusers.d/commitrelay.conf", "usr/lib/tmpfiles.d/commitrelay.conf", "usr/share/man/man1/commitrelay.1.gz",
        "usr/share/man/man5/commitrelay.yaml.5.gz", "usr/share/bash-completion/completions/commitrelay",
        "usr/share/zsh/vendor-completions/_commitrelay", "usr/share/fish/vendor_completions.d/commitrelay.fish"},
    "libcommitrelay-inbox1": {f"{LIB}/libcommitrelay-inbox.so.1", f"{LIB}/libcommitrelay-inbox.so.VERSION"},
    "libcommitrelay-inbox-dev": {
        "usr/include/commitrelay_inbox.h", f"{LIB}/libcommitrelay-inbox.a", f"{LIB}/libcommitrelay-inbox.so",
        f"{LIB}/pkgconfig/commitrelay-inbox.pc"} | {f"usr/share/man/man3/{name}.3.gz" for name in (
            "commitrelay_inbox", "cr_inbox_claim_pg", "cr_inbox_claim_sqlite", "cr_inbox_error", "cr_inbox_version")},
}


def out(*command, **more):
    r = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **more)
    check(r.returncode == 0, f"{command}: {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout + r.stderr


def make():
    to = proc.tempdir("packages")
    began = time.monotonic()
    print(out(proc.ROOT / "tools/package", "deb", "--to", to))
    print(f"built in {time.monotonic() - began:.0f} s")
    made = {p.name.split("_")[0]: p for p in to.iterdir()}
    check_equal(set(made), set(CONTENTS), "packages")
    return made


def contents(made):
    for name, wanted in CONTENTS.items():
        files = {line.split(None, 5)[5].split(" -> ")[0].removeprefix("./") for line in out("dpkg-deb", "-c", made[name]).splitlines() if line[0] != "d"}
        files = {re.sub(r"^usr/lib/\w+-linux-gnu\w*/", f"{LIB}/", f) for f in files}
        files = {re.sub(r"(inbox\.so\.)\d+\.\d+\.\d+$", r"\1VERSION", f) for f in files}
        check_equal({f for f in files if not f.startswith(("usr/share/doc/", "usr/share/commitrelay/", "usr/share/lintian/"))}, wanted, f"files of {name}")
    check("libpq5" in out("dpkg-deb", "-f", made["commitrelay"], "Depends"), "commitrelay does not depend on libpq5")
    control = proc.tempdir("control")
    out("dpkg-deb", "-e", made["commitrelay"], control)
    check_equal((control / "conffiles").read_text(), "/etc/commitrelay/relay.yaml\n", "configuration files")
    scripts = (control / "postinst").read_text()
    check(scripts.index("systemd-sysusers") < scripts.index("systemd-tmpfiles"), f"the user is not made before its folders: {scripts}")


@contextlib.contextmanager
def fresh_debian():
    root = proc.tempdir("debian")
    mirror = out("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm").split()[0]
    print(out("debootstrap", "--variant=minbase", "bookworm", root, mirror)[-200:])
    out("mount", "-t", "proc", "proc", root / "proc")
    try:
        yield root
    finally:
        out("umount", root / "proc")


def follow(root, made):
    (root / "root" / made.name).write_bytes(made.read_bytes())
    script, _ = install_page.section(SECTION)
    began = time.monotonic()
    said = out("chroot", root, "bash", "-euo", "pipefail", "-c", f"cd /root; {script}", env={
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"})
    install_page.judge(SECTION, said)
    unit = (root / "lib/systemd/system/commitrelay.service").read_text()
    start = re.search(r"^ExecStart=(.*)$", unit, re.M)[1]
    print(out("chroot", root, "runuser", "-u", "commitrelay", "--", "env", "STATE_DIRECTORY=/var/lib/commitrelay", *start.split(), "--until-idle"))
    events = "".join(p.read_text() for p in (root / "var/lib/commitrelay/out").rglob("*.jsonl"))
    check_equal(len(events.splitlines()), 1, f"first event: {events}")
    took = time.monotonic() - began
    print(f"from nothing to the first event: {took:.0f} s")
    check((root / "etc/systemd/system/multi-user.target.wants/commitrelay.service").is_symlink(), "the unit is not enabled")
    state = (root / "etc/commitrelay/relay.yaml").stat()
    check_equal(state.st_uid, 0, "the owner of the configuration")


def remove(root):
    out("chroot", root, "apt-get", "purge", "-y", "commitrelay", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})
    check(not (root / "usr/bin/commitrelay").exists() and not (root / "etc/commitrelay/relay.yaml").exists(), "purge left something")
    check((root / "var/lib/commitrelay/shop.db").exists(), "purge took data")


def main():
    made = make()
    contents(made)
    check_equal(os.geteuid(), 0, "the user's number: debootstrap needs root")
    with fresh_debian() as root:
        follow(root, made["commitrelay"])
        remove(root)


main()
