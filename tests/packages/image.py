"""image.py BUILD: the image starts, relays and is found healthy as it is meant to run: as another user than root, with a read-only root."""
import json
import os
import re
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import proc  # noqa: E402
from support.proc import check, check_equal  # noqa: E402

from machine import out  # noqa: E402

# As a cluster starts it, with a volume for the state; then what the Dockerfile calls healthy, before and while the relay runs.
SCRIPT = """
id -u
source=sqlite:/var/lib/commitrelay/shop.db
commitrelay init --source $source
commitrelay emit --source $source --count 2
if HEALTHY; then echo "healthy without a relay"; exit 1; fi
commitrelay run -c /etc/commitrelay/relay.yaml &
until HEALTHY; do sleep 0.1; done
until [ -e /var/lib/commitrelay/out/*-00000000000000000002.jsonl ]; do sleep 0.1; done
kill $!
wait $!
echo relayed
"""
CONFIG = """
pipelines:
  - name: orders
    source: {type: outbox_sqlite, path: /var/lib/commitrelay/shop.db}
    sink: {type: file, dir: /var/lib/commitrelay/out}
"""


def podman(store, *command):
    """crun refuses a machine that has both kinds of cgroups; it needs none of them here, so it does not see the second."""
    words = ["podman", "--root", store / "store", "--runroot", store / "run", "--storage-driver", "vfs", *command]
    return out("unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh", *words)


def main():
    check_equal(os.geteuid(), 0, "the user's number: buildah needs root")
    to, store = proc.tempdir("packages"), proc.tempdir("store")
    made = to / out(proc.ROOT / "tools/package", "image", "--to", to).strip().removeprefix("./")
    print(f"{made.name}: {made.stat().st_size} bytes")
    podman(store, "load", "-i", made)
    name = podman(store, "images", "--format", "{{.Repository}}:{{.Tag}}").split()[0]
    limits = ["--network", "none", "--cgroups", "disabled", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
    check("commitrelay " in podman(store, "run", "--rm", "--read-only", *limits, name, "version"), "the image's own command")
    (store / "relay.yaml").write_text(CONFIG)
    healthy = re.search(r"^HEALTHCHECK .*CMD (\[.*\])$", (proc.ROOT / "Dockerfile").read_text(), re.M)[1]
    script = SCRIPT.replace("HEALTHY", shlex.join(json.loads(healthy)) + " >/dev/null")
    said = podman(store, "run", "--rm", "--read-only", *limits, "-v", "state:/var/lib/commitrelay", "-v", f"{store}/relay.yaml:/etc/commitrelay/relay.yaml:ro",
                  "--entrypoint", "sh", name, "-euc", script)
    check(said.startswith("10001\n") and "\nrelayed\n" in said, f"what it said: {said}")


main()
