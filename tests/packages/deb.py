"""deb.py BUILD: the Debian packages are built without an error of lintian, hold what they should, and work in a fresh Debian.

The fresh Debian is made by debootstrap, so this must be root. Its systemd is started, and docs/INSTALL.md is followed in it.
"""
import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.proc import check, check_equal  # noqa: E402

import install_page  # noqa: E402
import machine  # noqa: E402
from machine import out  # noqa: E402

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


def library(made):
    """An example of the development package compiles against what it holds, and needs the library by its soname."""
    root = proc.tempdir("library")
    for name in ("libcommitrelay-inbox1", "libcommitrelay-inbox-dev"):
        out("dpkg-deb", "-x", made[name], root)
    flags = out("pkg-config", "--cflags", "--libs", next(root.rglob("commitrelay-inbox.pc"))).split()
    example = next(root.rglob("examples/claim_sqlite.c"))
    out("cc", "-Wall", "-Werror", example, *flags, "-lsqlite3", "-o", root / "example")
    check("[libcommitrelay-inbox.so.1]" in out("readelf", "-d", root / "example"), "the example does not need the library")
    folder = next(root.rglob("libcommitrelay-inbox.so.1")).parent
    check(str(folder) in out("ldd", root / "example", env={"LD_LIBRARY_PATH": str(folder), "PATH": "/usr/bin:/bin"}), "the library is not found")


def follow(fresh, made):
    """From the package to the first event."""
    (fresh.root / "root" / made.name).write_bytes(made.read_bytes())
    script, _ = install_page.section(SECTION)
    began = time.monotonic()
    install_page.judge(SECTION, fresh.shell(f"cd /root; {script}"))
    proc.wait_for(lambda: event_files(fresh.root / "var/lib/commitrelay/out"), 60, "the first event")
    print(f"from the package to the first event: {time.monotonic() - began:.0f} s")
    fresh.run("systemd-analyze", "verify", "--man=no", "commitrelay.service", "commitrelay@shop.service")
    check("1 running" in fresh.run("systemctl", "show", "-p", "StatusText", "commitrelay"), "the unit's status")
    check_equal(fresh.run("systemctl", "is-enabled", "commitrelay"), "enabled\n", "the unit")
    file = (fresh.root / "etc/commitrelay/relay.yaml").stat()
    check_equal((file.st_uid, file.st_mode & 0o7777), (0, 0o640), "owner and mode of the configuration")


def event_files(folder):
    return list(folder.glob("*.jsonl"))


def reload(fresh):
    """A file with a mistake: systemctl says so, the reason is in the journal, and the relay goes on."""
    pid = fresh.run("systemctl", "show", "-p", "MainPID", "commitrelay")
    fresh.shell("systemctl reload commitrelay; echo nonsense: 1 >> /etc/commitrelay/relay.yaml")
    fresh.run("systemctl", "reload", "commitrelay", code=1)
    check("unknown key `nonsense`" in fresh.run("journalctl", "-u", "commitrelay"), "the journal does not say what is wrong")
    check_equal(fresh.run("systemctl", "show", "-p", "MainPID", "commitrelay"), pid, "the relay's process")
    fresh.shell("sed -i '$d' /etc/commitrelay/relay.yaml; systemctl reload commitrelay")


def killed(fresh):
    """It comes again by itself; one that ends with 78 does not."""
    before = fresh.run("systemctl", "show", "-p", "MainPID", "commitrelay")
    fresh.run("systemctl", "kill", "-s", "KILL", "commitrelay")
    proc.wait_for(lambda: "active" in fresh.run("systemctl", "show", "-p", "ActiveState", "commitrelay").split("=")[1].split()
                  and fresh.run("systemctl", "show", "-p", "MainPID", "commitrelay") != before, 60, "the relay is started again")
    fresh.shell("echo 'pipelines: []' > /etc/commitrelay/bad.yaml; chgrp commitrelay /etc/commitrelay/bad.yaml; ! systemctl start commitrelay@bad")
    check_equal(fresh.run("systemctl", "show", "-p", "ActiveState,ExecMainStatus", "commitrelay@bad").split(), ["ExecMainStatus=78", "ActiveState=failed"],
                "a relay whose configuration is wrong, which is not started again")


def second_relay(fresh):
    """commitrelay@shop has a state directory of its own."""
    fresh.shell("""
        sed 's|/var/lib/commitrelay/|/var/lib/commitrelay/shop/|g' /etc/commitrelay/relay.yaml > /etc/commitrelay/shop.yaml
        chgrp commitrelay /etc/commitrelay/shop.yaml
        install -d -o commitrelay -g commitrelay /var/lib/commitrelay/shop /var/lib/commitrelay/shop/out
        runuser -u commitrelay -- commitrelay init --source sqlite:/var/lib/commitrelay/shop/shop.db
        systemctl start commitrelay@shop
        runuser -u commitrelay -- commitrelay emit --source sqlite:/var/lib/commitrelay/shop/shop.db --count 1""")
    proc.wait_for(lambda: event_files(fresh.root / "var/lib/commitrelay/shop/out"), 60, "an event of commitrelay@shop")
    check((fresh.root / "var/lib/commitrelay/shop/commitrelay.sock").is_socket(), "the socket of commitrelay@shop is elsewhere")
    check_equal(len(event_files(fresh.root / "var/lib/commitrelay/out")), 1, "files of the first relay")
    fresh.run("systemctl", "stop", "commitrelay@shop")


def remove(fresh):
    fresh.run("apt-get", "purge", "-y", "commitrelay")
    root = fresh.root
    check(not (root / "usr/bin/commitrelay").exists() and not (root / "etc/commitrelay/relay.yaml").exists(), "purge left something")
    check((root / "var/lib/commitrelay/shop.db").exists(), "purge took data")
    check(not (root / "var/lib/commitrelay/commitrelay.sock").exists(), "a relay is still there")


def main():
    made = make()
    contents(made)
    library(made)
    check_equal(os.geteuid(), 0, "the user's number: debootstrap needs root")
    with machine.fresh_debian() as fresh:
        follow(fresh, made["commitrelay"])
        reload(fresh)
        killed(fresh)
        second_relay(fresh)
        remove(fresh)


main()
