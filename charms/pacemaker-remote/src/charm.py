#!/usr/bin/env python3
"""The charm of pacemaker_remote."""

import base64
import hashlib
import json
import logging
import stat

import ops
from tachi_charm import base, databag, memory
from tachi_charm.addresses import Addresses
from tachi_charm.problem import Problem

log = logging.getLogger(__name__)
RELATION = "pacemaker-remote"
SERVICES = ["pacemaker_remote", "pcsd"]
PACKAGES = ["pacemaker-remote", "pcs", "resource-agents", "corosync"]
KEY = "/etc/pacemaker/authkey"
PORT = 3121
# The corosync package starts a one-node cluster from these files.
STRAY = ("/etc/corosync/corosync.conf",)
# The reactive charm's flag, kept in case that charm returns.
INSTALLED = "reactive.states.pacemaker-remote.installed"
STRAY_FOLDER = "/etc/corosync/uidgid.d"


class PacemakerRemoteCharm(base.Charm):
    """Publishes this host to the cluster, and writes the cluster's key."""

    required_relations = (RELATION,)

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.addresses = Addresses(self.model, self.machine, self.app.name)
        framework.observe(self.on.status_action, self._on_status)

    def services(self) -> list[str]:
        return SERVICES

    def complete(self, relation: str) -> bool:
        return self.machine.read_bytes(KEY) is not None

    def reconcile(self, event: ops.EventBase) -> None:
        self._install()
        if isinstance(event, ops.InstallEvent):
            return
        for relation in self.model.relations[RELATION]:
            if relation.active:
                databag.publish(relation.data[self.unit], self.published())
        key = self._key()
        if key is None:
            return
        # An unchanged key causes no restart; only owner and mode are corrected.
        if self.machine.write(KEY, key, 0o440, "hacluster", "haclient"):
            for service in SERVICES:
                self.machine.systemctl("restart", service)
        for service in SERVICES:
            if not self.machine.start(service):
                log.error("failed to start %s", service)

    def published(self) -> dict[str, str | None]:
        """Values are JSON, as the reactive charm's library writes them."""
        name = self.machine.fqdn()
        address = self.addresses.binding(RELATION) or self.addresses.local()
        return {
            "remote-hostname": json.dumps(name),
            "remote-ip": json.dumps(address),
            "stonith-hostname": json.dumps(name if self.config["enable-stonith"] else None),
            "enable-resources": json.dumps(bool(self.config["enable-resources"])),
        }

    def _install(self) -> None:
        missing = [name for name in PACKAGES if not self.machine.installed(name)]
        if missing:
            self.maintain("Installing packages")
            self.machine.apt("update")
            self.machine.apt("install", *missing)
        # Only once, after the installation of corosync: later such a file belongs to the operator.
        if not self.memory.has(INSTALLED):
            for file in (*STRAY, *(f"{STRAY_FOLDER}/{name}" for name in self.machine.names(STRAY_FOLDER))):
                self.machine.remove(file)
            self.machine.stop("corosync", mask=False)
            self.memory.set(INSTALLED, None)

    def _key(self) -> bytes | None:
        """The key of the cluster, as bytes. hacluster sends it raw, once, when this unit joins."""
        found = set()
        for relation in self.model.relations[RELATION]:
            for unit in databag.remote_units(relation) if relation.active else []:
                if databag.given(key := relation.data[unit].get("pacemaker-key")):
                    found.add(key.strip('"'))
        if len(found) > 1:
            raise Problem("the units of hacluster have different keys (option pacemaker_key); none was written")
        if not found:
            return None
        try:
            return base64.b64decode("".join(found.pop().split()), validate=True)
        except ValueError as e:
            raise Problem("the key that hacluster sends is not base64; it was not written") from e

    def _on_status(self, event: ops.ActionEvent) -> None:
        key = self.machine.read_bytes(KEY)
        connected = self.machine.run(["ss", "-Htn", "state", "established", f"( sport = :{PORT} )"], check=False).stdout
        results = {
            "name": self.machine.fqdn(),
            **{service.replace("_", "-"): "running" if self.machine.running(service) else "stopped" for service in SERVICES},
            "cluster": "connected" if connected.strip() else "not connected",
            # Sufficient to compare units, but useless to an attacker.
            "key": hashlib.sha256(key).hexdigest()[:12] if key else "none",
            "key-mode": oct(stat.S_IMODE(self.machine.path(KEY).stat().st_mode)) if key else "none",
        }
        for relation in self.model.relations[RELATION]:
            results["told"] = json.dumps({name: relation.data[self.unit].get(name) for name in self.published()})
        event.set_results(results)


if __name__ == "__main__":
    with memory.remembering():
        ops.main(PacemakerRemoteCharm)
