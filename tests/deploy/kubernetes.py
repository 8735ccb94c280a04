#!/usr/bin/python3
"""deploy/kubernetes: each object is one of the API, they fit each other and the relay, and the relay takes its files as kubelet mounts them.

kubernetes.py [CASE...]
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from deploy.kustomize import build, load, mounted  # noqa: E402
from support import proc  # noqa: E402
from support.cases import case, main  # noqa: E402
from support.proc import check, check_equal, run, wait_for  # noqa: E402
from support.relaying import SETPRIV, config, page, pipeline, start  # noqa: E402
from support.shop import SqliteShop  # noqa: E402

HERE = proc.ROOT / "deploy/kubernetes"
# The oldest that the providers still run, and the newest that the package knows.
VERSIONS = ["1.28", "1.31", "1.34", "1.37"]
USER = 10001  # runAsUser, runAsGroup and fsGroup of the pods
# What a ServiceMonitor may have, of what is used here: monitoring.coreos.com/v1, from the reference of the Prometheus operator.
SERVICE_MONITOR = {"jobLabel": str, "selector": {"matchLabels": dict}, "endpoints": [{"port": str, "path": str, "interval": str}]}


def api():
    """The package kubernetes-validate: the API's schemas, and a validator that is not ours."""
    sys.path.insert(0, str(proc.downloaded("kubernetes-validate-1.37.0")))
    import kubernetes_validate  # pylint: disable=import-outside-toplevel,import-error
    return kubernetes_validate


def both():
    return {name: build(HERE / name) for name in ("base", "volume")}


def one(objects, kind):
    found = [o for (k, _), o in objects.items() if k == kind]
    check_equal(len(found), 1, f"how many {kind}")
    return found[0]


def workload(objects):
    return one(objects, "Deployment" if ("Deployment", "commitrelay") in objects else "StatefulSet")


def shaped(value, shape, where):
    if isinstance(shape, dict):
        check(set(value) <= set(shape), f"{where}: {set(value) - set(shape)} is not of the API")
        for k in value:
            shaped(value[k], shape[k], f"{where}.{k}")
    elif isinstance(shape, list):
        for v in value:
            shaped(v, shape[0], where)
    else:
        check(isinstance(value, shape), f"{where} is no {shape.__name__}")


# --- the API ---

@case
def every_object_is_one_of_the_api(_):
    k8s = api()
    for name, objects in both().items():
        for (kind, _), o in objects.items():
            if kind == "ServiceMonitor":
                shaped(o["spec"], SERVICE_MONITOR, f"{name} {kind}")
                continue
            for version in VERSIONS:
                k8s.validate(o, version, strict=True)
    wrong = workload(build(HERE / "base"))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    try:
        k8s.validate(wrong, VERSIONS[-1], strict=True)
    except k8s.ValidationError:
        return
    proc.fail("a misspelt key passes")


@case
def kubectl_builds_the_same(_):
    if not shutil.which("kubectl"):
        print("     no kubectl here: left out")
        return
    for name, objects in both().items():
        text = subprocess.run(["kubectl", "kustomize", HERE / name], capture_output=True, text=True, check=True).stdout
        text = re.sub(r"commitrelay-config-[a-z0-9]{10}\b", "commitrelay-config", text)
        theirs = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(text)}
        check_equal(sorted(theirs), sorted(objects), f"objects of {name}")
        for key, o in objects.items():
            check_equal(theirs[key], o, f"{name} {key}")


# --- they fit each other ---

@case
def they_fit_each_other(_):
    for name, objects in both().items():
        w = workload(objects)
        pod, labels = w["spec"]["template"]["spec"], w["spec"]["template"]["metadata"]["labels"]
        c, = pod["containers"]
        port, = c["ports"]
        for kind, path in {"Service": ["selector"], "PodDisruptionBudget": ["selector", "matchLabels"], "NetworkPolicy": ["podSelector", "matchLabels"]}.items():
            chosen = one(objects, kind)["spec"]
            for step in path:
                chosen = chosen[step]
            check(chosen.items() <= labels.items(), f"{name}: {kind} chooses {chosen}, the pods are {labels}")
        check(w["spec"]["selector"]["matchLabels"].items() <= labels.items(), f"{name}: the pods are not its own")
        service, monitor = one(objects, "Service"), one(objects, "ServiceMonitor")["spec"]
        check(monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items(), f"{name}: the ServiceMonitor does not find the Service")
        check_equal([e["port"] for e in monitor["endpoints"]], [service["spec"]["ports"][0]["name"]], f"{name}: the port that is watched")
        check_equal(service["metadata"]["labels"][monitor["jobLabel"]], "commitrelay", f"{name}: the job, as the rules have it")
        check_equal(service["spec"]["ports"][0]["targetPort"], port["name"], f"{name}: the Service's port")
        allowed = [p["port"] for rule in one(objects, "NetworkPolicy")["spec"]["ingress"] for p in rule["ports"]]
        check_equal(allowed, [port["containerPort"]], f"{name}: the port that may be asked")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            check_equal(c[probe]["httpGet"]["port"], port["name"], f"{name}: {probe}")
        volumes = {v["name"] for v in pod["volumes"]} | {v["metadata"]["name"] for v in w["spec"].get("volumeClaimTemplates", [])}
        check_equal({m["name"] for m in c["volumeMounts"]}, volumes, f"{name}: volumes")
        check_equal(pod["serviceAccountName"], one(objects, "ServiceAccount")["metadata"]["name"], f"{name}: the account")
        s, ps = c["securityContext"], pod["securityContext"]
        check(s["readOnlyRootFilesystem"] and not s["allowPrivilegeEscalation"] and s["capabilities"] == {"drop": ["ALL"]} and ps["runAsNonRoot"], f"{name}: rights")
        check_equal((ps["runAsUser"], ps["runAsGroup"], ps["fsGroup"]), (USER, USER, USER), f"{name}: the user")
        conf = yaml.safe_load(one(objects, "ConfigMap")["data"]["relay.yaml"])
        check_equal(conf["admin"]["listen"], f"0.0.0.0:{port['containerPort']}", f"{name}: admin.listen")
        drains = [int(p["delivery"]["drain_timeout"].rstrip("s")) for p in conf["pipelines"]]
        check(max(drains) < pod["terminationGracePeriodSeconds"], f"{name}: SIGKILL comes before the relay has drained")
        mounts = {m["mountPath"] for m in c["volumeMounts"]}
        check({e["value"] for e in c["env"]} == {"/etc/commitrelay/relay.yaml", "/var/lib/commitrelay"} and
              {"/etc/commitrelay", "/var/lib/commitrelay", "/run/secrets/commitrelay"} == mounts, f"{name}: where the relay looks")
    pdb = [one(o, "PodDisruptionBudget")["spec"] for o in both().values()]
    check_equal([(p.get("minAvailable"), p.get("maxUnavailable")) for p in pdb], [(1, None), (None, 1)], "what may be away")


# --- the relay in such a pod ---

class Pod:
    """The files of a pod in the place of its mounts, the relay as its user. secrets: file -> text."""

    def __init__(self, d, folder, secrets, conf=None):
        self.dir = Path(d)
        objects = build(HERE / folder)
        c, = workload(objects)["spec"]["template"]["spec"]["containers"]
        secret, = [v["secret"] for v in workload(objects)["spec"]["template"]["spec"]["volumes"] if "secret" in v]
        self.state = self.dir / "state"
        self.state.mkdir(parents=True)
        self.paths = {"/run/secrets/commitrelay": mounted(d, "secrets", secrets, secret["defaultMode"], USER), "/var/lib/commitrelay": self.state}
        text = one(objects, "ConfigMap")["data"]["relay.yaml"] if conf is None else conf
        for path, real in self.paths.items():
            text = text.replace(path, str(real))
        self.config = mounted(d, "etc", {"relay.yaml": text}, 0o644, USER) / "relay.yaml"
        self.env = {"COMMITRELAY_CONFIG": str(self.config), "STATE_DIRECTORY": str(self.state)}
        self.args, self.before = c["args"], []
        if os.getuid() == 0:
            os.chown(self.state, 0, USER)
            self.state.chmod(0o2775)  # as fsGroup makes a volume
            self.before = [SETPRIV, "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--no-new-privs"]

    def run(self, *args, code=0):
        if self.before:
            return run([*self.before[1:], proc.BIN, *args], env=self.env, cwd=self.dir, code=code, binary=self.before[0])
        return run(args, env=self.env, cwd=self.dir, code=code)

    def start(self):
        return start(self.args, env=self.env, cwd=self.dir, before=[*self.before, proc.BIN] if self.before else None)


URL = "postgresql://relay:hunter2@db.shop.svc/shop"


@case
def files_as_kubelet_mounts_them(d):
    """Behind symbolic links, of root, readable for the pod's group: they are taken, without a warning."""
    base = Pod(d / "base", "base", {"source-url": URL, "store-url": URL, "kafka-password": "secret\n"})
    said = base.run("check").log
    volume = Pod(d / "volume", "volume", {"source-url": URL, "hmac-key": "0123456789abcdef0123456789abcdef\n"})
    said += volume.run("check").log
    check("warn" not in said, f"a warning: {said}")
    for path in base.paths["/run/secrets/commitrelay"].iterdir():
        if path.is_symlink() and path.is_file():
            check_equal((oct(path.stat().st_mode & 0o777), path.lstat().st_mode & 0o170000), ("0o640", 0o120000), f"{path}")
    os.chmod(base.paths["/run/secrets/commitrelay"] / "source-url", 0o646)
    check("world-writable" in base.run("check", code=78).log, "a file that anyone may replace is taken")


@case
def a_volume_of_the_pods_group(d):
    """Its top is writable for the group (fsGroup). Store, audit log, socket and batch files are made there, and found again after a restart."""
    shop = SqliteShop(d)
    shop.insert(5)
    if os.getuid() == 0:
        for path in (d, *d.iterdir()):
            os.chown(path, USER, USER)
    address = f"127.0.0.1:{proc.free_port()}"
    text = config(d, {**pipeline(shop.source(), {"type": "file", "dir": "/var/lib/commitrelay/orders", "hmac_key_file": "/run/secrets/commitrelay/hmac-key",
                                                 "rotate": {"interval": "100ms"}}, name="orders")},
                  store={"url": "sqlite:commitrelay.db"}, admin={"listen": address}, audit={"path": "audit.log"}, log={"format": "ecs"}).read_text()
    pod = Pod(d, "volume", {"hmac-key": "0123456789abcdef0123456789abcdef"}, conf=text)
    for turn in (5, 10):
        relay = pod.start()
        wait_for(lambda n=turn: sum(p.read_text().count("\n") for p in (pod.state / "orders").glob("*.jsonl")) == n, 20, f"{turn} events in files")
        for probe in ("healthz", "readyz", "metrics"):
            check_equal(page(address, probe)[0], 200, probe)
        check("running" in pod.run("status").stdout, "a command in the pod does not find the relay")
        check_equal(relay.stop(), 0, f"exit code: {relay.log}")
        check('"log.level":"warn"' not in relay.log, f"a warning: {relay.log}")
        shop.insert(5)
    check((pod.state / "audit.log").exists(), "no audit log")
    check_equal(workload(build(HERE / "volume"))["spec"]["template"]["spec"]["securityContext"]["fsGroupChangePolicy"], "OnRootMismatch", "what kubelet does at a restart")
    private = pod.state / "orders/.commitrelay"
    private.chmod(0o2770)  # as it would be with the policy Always
    relay = pod.start()
    check_equal(relay.wait_exit(), 78, "exit code with a private folder that others may write")
    check("is writable for others" in relay.log, f"no reason: {relay.log}")


main(lambda: proc.tempdir("kubernetes"))
