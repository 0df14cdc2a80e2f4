#!/usr/bin/env python3
"""openstack-helm's chart `masakari`, rendered by Helm itself (its library, from PyPI) with packaging/openstack-helm/values.yaml. usage:
helm.py CHECKOUT [--write], of a checkout of openstack-helm. What comes out is kept in rendered-openstack-helm.json, against which run.py holds
our values in every run; --write makes it anew, and is needed after a change of values.yaml."""
import argparse
import base64
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import helm_python as helm
import yaml

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
KEPT = HERE / "rendered-openstack-helm.json"
VALUES = REPO / "packaging/openstack-helm/values.yaml"
WORKLOADS = ("DaemonSet", "Deployment", "Job")
FILES = ("masakari.conf", "masakarimonitors.conf", "masakari_sudoers")


def container(one):
    """What of it decides whether our program runs."""
    security = one.get("securityContext", {})
    return {"image": one["image"], "command": one.get("command"), "user": security.get("runAsUser"),
            "escalation": security.get("allowPrivilegeEscalation"),
            "mounts": sorted(mount["mountPath"] for mount in one.get("volumeMounts", []))}


def workload(found):
    pod = found["spec"]["template"]["spec"]
    return {"kind": found["kind"], "grace": pod.get("terminationGracePeriodSeconds"),
            "containers": {one["name"]: container(one) for one in pod["containers"]}}


def rendered(chart, values):
    """The workloads by name, and our configuration as it is mounted."""
    documents = [one for text in chart.render(values, name="masakari", namespace="openstack").values() for one in yaml.safe_load_all(text) if one]
    secrets = {name: base64.b64decode(data).decode() for one in documents if one["metadata"]["name"] == "masakari-etc"
               for name, data in one["data"].items() if name in FILES}
    # Made of chance each time.
    secrets["masakari.conf"] = "".join("memcache_secret_key = x\n" if line.startswith("memcache_secret_key") else line
                                       for line in secrets["masakari.conf"].splitlines(keepends=True))
    return {one["metadata"]["name"]: workload(one) for one in documents if one["kind"] in WORKLOADS}, secrets


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    values = yaml.safe_load(VALUES.read_text())
    commit = subprocess.run(["git", "-C", asked.checkout, "log", "-1", "--format=%h of %cs"], capture_output=True, text=True, check=False)
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work) / "masakari"
        shutil.copytree(asked.checkout / "masakari", folder)
        # What `helm dependency build` does.
        shutil.copytree(asked.checkout / "helm-toolkit", folder / "charts/helm-toolkit")
        with helm.Chart.load(str(folder)) as chart:
            default, _ = rendered(chart, {})
            workloads, files = rendered(chart, values)
    images = {one["image"] for found in workloads.values() for one in found["containers"].values()}
    # The jobs that make users, endpoints and queues run nothing of ours.
    ours = {name: found for name, found in workloads.items() if any("masakari" in one["image"] for one in found["containers"].values())}
    made = {"chart": commit.stdout.strip() or "unknown", "helm": helm.helm_sdk_version(), "values": values, "default": sorted(default),
            "images": sorted(images), "workloads": ours, "files": files}
    if asked.write:
        KEPT.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
        return 0
    kept = json.loads(KEPT.read_text())
    wrong = [part for part in ("values", "default", "images", "workloads", "files") if made[part] != kept[part]]
    for part in wrong:
        print("%s of chart %s: %s" % (part, made["chart"], json.dumps(made[part], indent=1, sort_keys=True)))
    print("Helm %s renders the chart %s %s" % (made["helm"], made["chart"], "differently: " + ", ".join(wrong) if wrong else "as kept"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
