"""A network link that a test can pull: both ends are in network namespaces of its own."""
import os
import subprocess
import sys

from .proc import check

MARK = "COMMITRELAY_TEST_NAMESPACE"


def in_own_namespace():
    """Starts the test again in a network namespace of its own, where it may make links; an ordinary user may do that, too."""
    if os.environ.get(MARK):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    user = [] if os.getuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    os.execvpe("unshare", ["unshare", *user, "--net", sys.executable, *sys.argv], {**os.environ, MARK: "1"})


class Link:
    """A second namespace and a link to it. What is started with the words `before` is there, and reaches a server of this test at NEAR.

    A pulled link swallows what is sent: no end is told, as when somebody pulls a cable.
    """

    NEAR, FAR = "10.123.0.1", "10.123.0.2"

    def __init__(self):
        self._holder = subprocess.Popen(["unshare", "--net", "/bin/sh", "-c", "ip link set lo up && echo up && read -r end"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        check(self._holder.stdout.readline() == "up\n", "cannot make a network namespace; are user namespaces allowed?")
        self.before = ["nsenter", f"--target={self._holder.pid}", "--net"]
        self._ip("link", "add", "name", "near", "type", "veth", "peer", "name", "far", "netns", str(self._holder.pid))
        self._ip("addr", "add", f"{self.NEAR}/30", "dev", "near")
        self._ip("addr", "add", f"{self.FAR}/30", "dev", "far", there=True)
        self._ip("link", "set", "far", "up", there=True)
        self.mend()

    def _ip(self, *words, there=False):
        subprocess.run([*(self.before if there else []), "ip", *words], check=True)

    def pull(self):
        self._ip("link", "set", "near", "down")

    def mend(self):
        self._ip("link", "set", "near", "up")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._holder.communicate()
