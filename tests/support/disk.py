"""A disk that is small, full, or read-only."""
import os
import subprocess
from pathlib import Path

from . import proc
from .proc import check, wait_for


class Disk:
    """A small file system of its own, mounted in a namespace that a process of ours holds; so an ordinary user can make one, too.

    path: where the relay sees it, if it is started with the words `before`; seen: where this test does.
    """

    def __init__(self, path, options):
        path.mkdir()
        private = ["/usr/bin/unshare", *([] if os.getuid() == 0 else ["--user", "--map-root-user"]), "--mount"]
        self._holder = subprocess.Popen([*private, "/bin/sh", "-c", 'mount -t tmpfs -o "$1" none "$2" && echo mounted && read -r end', "sh",
                                         options, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        check(self._holder.stdout.readline() == "mounted\n", "cannot mount a tmpfs in a namespace; are user namespaces allowed?")
        enter = ["/usr/bin/nsenter", f"--target={self._holder.pid}", "--mount", f"--wd={path.parent}"]
        self._enter, itself = enter, []
        if os.getuid() != 0:
            self._enter = [*enter, "--user", "--preserve-credentials"]  # as root, or mount(8) would refuse
            itself = ["/usr/bin/unshare", "--user", f"--map-user={os.getuid()}", f"--map-group={os.getgid()}"]
        self.before = [*self._enter, *itself, proc.BIN]
        self.path, self.seen = path, Path(f"/proc/{self._holder.pid}/root{path}")

    def remount(self, options):
        # With source and type, or mount(8) takes over a uid that the namespace does not know.
        subprocess.run([*self._enter, "mount", "-t", "tmpfs", "-o", f"remount,{options}", "none", str(self.path)], check=True,
                       stderr=subprocess.DEVNULL)

    def fill(self):
        """Not a page more fits, until it is mounted again with a larger size."""
        def full():
            at = os.statvfs(self.seen)
            self.remount(f"size={(at.f_blocks - at.f_bfree) * at.f_frsize}")
            return True
        wait_for(full, 10, "the disk to be full", ignore=(subprocess.CalledProcessError,))  # something was written meanwhile

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._holder.communicate()
