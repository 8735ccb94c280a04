"""The part of `kustomize build` that deploy/kubernetes uses, and the pods' files as kubelet lays them out.

Where kubectl is installed, the test compares both. Names get no hash here.
"""
import os
import time
from pathlib import Path

import yaml

KNOWN = {"apiVersion", "kind", "resources", "configMapGenerator", "patches"}


def load(path):
    return [d for d in yaml.safe_load_all(Path(path).read_text()) if d]


def name_of(r):
    return r["kind"], r["metadata"]["name"]


def merge(into, patch):
    """A strategic merge, without lists: none of the patches has one."""
    for k, v in patch.items():
        if v is None:
            into.pop(k, None)
        elif isinstance(v, dict) and isinstance(into.get(k), dict):
            merge(into[k], v)
        else:
            assert not isinstance(v, list), f"{k}: a list in a patch"
            into[k] = v


def build(folder):
    """{(kind, name): resource}"""
    folder, out = Path(folder), {}
    k, = load(folder / "kustomization.yaml")
    unknown = set(k) - KNOWN
    assert not unknown, f"{folder}: this test does not know {unknown}"
    for r in k["resources"]:
        path = folder / r
        out |= build(path) if path.is_dir() else {name_of(d): d for d in load(path)}
    for g in k.get("configMapGenerator", []):
        name = ("ConfigMap", g["name"])
        assert (g.get("behavior") == "replace") == (name in out), f"{folder}: behavior of {g['name']}"
        out[name] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": g["name"]},
                     "data": {f: (folder / f).read_text() for f in g["files"]}}
    for p in k.get("patches", []):
        for d in load(folder / p["path"]):
            target = name_of(d)
            if d.pop("$patch", None) == "delete":
                del out[target]
            else:
                merge(out[target], d)
    return out


def mounted(d, name, files, mode, group):
    """A volume of a ConfigMap or Secret, as kubelet makes it: root's files, of the pod's group, behind two symbolic links."""
    top = Path(d) / name
    real = top / time.strftime("..%Y_%m_%d_%H_%M_%S.000000001")
    real.mkdir(parents=True)
    for f, text in files.items():
        path = real / f
        path.write_text(text)
        path.chmod(mode)
        if os.getuid() == 0:
            os.chown(path, 0, group)
    (top / "..data").symlink_to(real.name)
    for f in files:
        (top / f).symlink_to(f"..data/{f}")
    return top
