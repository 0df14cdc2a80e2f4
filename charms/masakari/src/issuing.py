"""Application credentials for the monitors, one for each unit, bound to the host that the unit published first.

A compromised unit must not get the credential of another host, so the first published host counts: a unit keeps its host, and a
host its unit as long as that unit exists. The next unit on that host gets a new credential, and the old one is revoked.
"""

from __future__ import annotations

import configparser
import json
import logging
import re
import shutil
from typing import TYPE_CHECKING

import ops
import settings
from tachi_charm import databag
from tachi_charm.monitor_credentials import ENDPOINT, Entry, entry

if TYPE_CHECKING:
    from charm import MasakariCharm

log = logging.getLogger(__name__)
# Readable by root only, and removed at the end of the hook.
FOLDER = "/run/tachi-charm/monitors"
# Keystone's charm creates a user masakari-monitors in the same domain.
USER = "masakari-monitors-by-host"
HOST = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


class Wanted:
    """The units that get a credential, and the refused ones with the reason."""

    def __init__(self, charm: MasakariCharm):
        self.new: dict[str, tuple[ops.Relation, ops.Unit]] = {}
        self.refused: list[str] = []
        self.left: dict[str, tuple[ops.Relation, str]] = {}
        held: dict[str, str] = {}
        asking = []
        for relation in charm.model.relations[ENDPOINT]:
            if not relation.active:
                continue
            units = {unit.name: unit for unit in databag.remote_units(relation)}
            for name in relation.data[charm.app]:
                if published := entry(relation.data[charm.app], name):
                    if name in units:
                        held[published.host] = name
                    else:
                        self.left[published.host] = (relation, name)
            asking += [(relation, unit) for unit in units.values()]
        for relation, unit in asking:
            host = relation.data[unit].get("host", "")
            has = entry(relation.data[charm.app], unit.name)
            if not host or has and has.host == host:
                continue
            if not HOST.fullmatch(host):
                self.refused.append(f"{unit.name} has published no valid host name")
            elif has:
                self.refused.append(f"{unit.name} is on {has.host}, but claims {host}")
            elif host in held:
                self.refused.append(f"{unit.name} claims {host}, which belongs to {held[host]}")
            else:
                held[host] = unit.name
                self.new[host] = (relation, unit)


def issue(charm: MasakariCharm, identity: dict[str, str]) -> list[str]:
    """Creates the wanted credentials and returns messages for the operator."""
    wanted = Wanted(charm)
    if not wanted.new:
        return wanted.refused
    folder = charm.machine.path(FOLDER)
    command = ["tachi", "setup", "monitors", "--config-file", settings.FILE, "--out", str(folder), "--renew"]
    command += ["--user", USER, "--role", settings.MONITOR_ROLE, "--project", identity["service_tenant"]]
    command += ["--domain", identity.get("service_domain_id") or "default"]
    for host in wanted.new:
        command += ["--host", host]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        done = charm.machine.run(command, check=False, timeout=300)
        for host, (relation, unit) in wanted.new.items():
            content = _made(charm.machine.read(f"{FOLDER}/{host}.conf"))
            if content is None:
                output = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
                wanted.refused.append(f"no credential for {host}: {output[-1][:200]}")
                continue
            if left := wanted.left.get(host):
                _withdraw(charm, *left)
            secret = charm.app.add_secret(content, description=f"the monitors of {host}")
            secret.grant(relation, unit=unit)
            published = {"host": host, "secret": secret.id}
            relation.data[charm.app][unit.name] = json.dumps(published)
            log.info("%s has an application credential for %s", unit.name, host)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return wanted.refused


def _made(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    api = parser["api"]
    return {
        "auth-url": api["auth_url"],
        "credential-id": api["application_credential_id"],
        "credential-secret": api["application_credential_secret"],
    }


def _withdraw(charm: MasakariCharm, relation: ops.Relation, unit: str) -> None:
    published: Entry | None = entry(relation.data[charm.app], unit)
    del relation.data[charm.app][unit]
    if published:
        try:
            charm.model.get_secret(id=published.secret).remove_all_revisions()
        except (ops.ModelError, ops.SecretNotFoundError):
            log.info("the secret of %s no longer exists", unit)
