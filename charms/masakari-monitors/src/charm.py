#!/usr/bin/env python3
"""The charm of the monitors."""

import json
import logging

import ops
import settings
import yaml
from tachi_charm import base, certificates, memory, monitor_credentials, relations
from tachi_charm.packages import RESTORED
from tachi_charm.problem import Failed, Problem

log = logging.getLogger(__name__)
HOST, INSTANCE, PROCESS = "masakari-host-monitor", "masakari-instance-monitor", "masakari-process-monitor"
BOOT_GUARD = "tachi-boot-guard.service"
# These let the process monitor, which is not root, restart units. polkit of 22.04 reads no JavaScript; its form names no units.
POLKIT = {
    "rules": "/etc/polkit-1/rules.d/49-tachi-process-monitor.rules",
    "pkla": "/etc/polkit-1/localauthority/50-local.d/49-tachi-process-monitor.pkla",
}
# Removed in the same transaction that installs ours; some contain the same files in /usr/bin.
UPSTREAM = (
    HOST,
    INSTANCE,
    PROCESS,
    "masakari-introspective-instance-monitor",
    "masakari-monitors-common",
    "python3-masakari-monitors",
)


class MasakariMonitorsCharm(base.Charm):
    """Runs the monitors once Keystone has created their user."""

    package = "tachi-monitors"
    instead_of = UPSTREAM

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        for action, handler in (
            (self.on.check_action, self._on_check),
            (self.on.restore_upstream_packages_action, self._on_restore),
        ):
            framework.observe(action, handler)

    @property
    def required_relations(self) -> tuple[str, ...]:
        """Returns the credentials of Keystone's charm, until the API's charm has issued one for this host."""
        return () if self.bound() else ("identity-credentials",)

    def bound(self) -> monitor_credentials.Bound | None:
        found = self.relation(monitor_credentials.ENDPOINT)
        return monitor_credentials.granted(self.model, found, self.unit, self.machine.fqdn()) if found else None

    def complete(self, relation: str) -> bool:
        found = self.relation(relation)
        return found is not None and relations.credentials(found) is not None

    def services(self) -> list[str]:
        if self.restored:
            return []
        return [HOST, INSTANCE, PROCESS] if self.config.get("process-list") else [HOST, INSTANCE]

    def reconcile(self, event: ops.EventBase) -> None:
        if self.restored:
            if not isinstance(event, ops.UpgradeCharmEvent):
                return
            self.memory.set(RESTORED, False)
        self._install(event)
        if isinstance(event, ops.InstallEvent):
            return
        if found := self.relation("identity-credentials"):
            relations.request_credentials(
                found, self.unit, settings.user(self.config), settings.PROJECT, settings.role(self.config)
            )
        if found := self.relation(monitor_credentials.ENDPOINT):
            monitor_credentials.request(found, self.unit, self.machine.fqdn())
        authorities = certificates.authorities(self.relation("certificates"), self.config, None)
        changed = certificates.trust(self.machine, self.app.name, authorities)
        changed |= self._processes()
        self._boot_guard()
        keystone = self.relation("identity-credentials")
        given = self.bound() or (relations.credentials(keystone) if keystone else None)
        if given is None:
            return
        text = settings.rendered(self.config, given, self.machine.fqdn(), any(authorities.values()))
        changed |= self.machine.write(settings.FILE, text, 0o640, "root", settings.GROUP)
        self._run(changed)

    def _install(self, event: ops.EventBase) -> None:
        packages = self.packages()
        have = packages.installed()
        if not have:
            self.maintain("Installing packages")
        if packages.ensure(isinstance(event, ops.UpgradeCharmEvent | ops.InstallEvent | ops.ConfigChangedEvent)):
            log.info("installed tachi-monitors %s (before: %s)", packages.installed(), have or "none")
        if version := packages.installed():
            self.unit.set_workload_version(version)

    def _processes(self) -> bool:
        text = str(self.config.get("process-list") or "")
        if not text:
            # The package contains an example, which must not become the configuration.
            if self.machine.running(PROCESS) or self.machine.enabled(PROCESS):
                self.machine.stop(PROCESS, mask=False)
            self._polkit(None)
            return False
        try:
            parsed = yaml.safe_load(text)
        except yaml.YAMLError as e:
            raise Problem(f"option process-list is not valid YAML: {' '.join(str(e).split())}") from e
        if not isinstance(parsed, list) or not all(isinstance(one, dict) and one.get("process_name") for one in parsed):
            raise Problem("option process-list is not a list of processes, each with a process_name")
        changed = self.machine.write(settings.PROCESSES, text.rstrip("\n") + "\n", 0o640, "root", settings.GROUP)
        self._polkit("pkla" if '"22.04"' in (self.machine.read("/etc/os-release") or "") else "rules")
        return changed

    def _polkit(self, wanted: str | None) -> None:
        """Writes the polkit rule; there is none without a list, or if the list starts no units."""
        for form, file in POLKIT.items():
            command = ["tachi-monitor", "init", "polkit", "--process-list", settings.PROCESSES, "--form", form]
            made = self.machine.run(command, check=False) if form == wanted else None
            if made and made.returncode == 0:
                self.machine.write(file, made.stdout, 0o644)
            else:
                self.machine.remove(file)

    def _boot_guard(self) -> None:
        """Enables the boot guard for the next boot: starting it now has no effect, and stopping it would stop
        nova-compute."""
        wanted = bool(self.config["boot-guard"])
        if wanted != self.machine.enabled(BOOT_GUARD):
            self.machine.systemctl("enable" if wanted else "disable", BOOT_GUARD)

    def _run(self, changed: bool) -> None:
        if self.memory.paused:
            return
        for service in self.services():
            if changed and self.machine.running(service):
                self.machine.systemctl("restart", service)
            elif not self.machine.start(service):
                log.error("failed to start %s", service)

    def last_check(self) -> ops.StatusBase | None:
        if self.restored:
            return ops.BlockedStatus("Masakari's packages are restored: refresh to the upstream charm")
        return None

    # --- actions ---

    def _on_check(self, event: ops.ActionEvent) -> None:
        if self.machine.read(settings.FILE) is None:
            event.fail("this unit has no masakarimonitors.conf yet; it needs identity-credentials first")
            return
        names = {HOST: "host", INSTANCE: "instance", PROCESS: "process"}
        command = ["tachi-monitor", "check", "--config-file", settings.FILE, "-f", "json"]
        done = self.machine.run([*command, *(names[service] for service in self.services())], check=False)
        try:
            found = json.loads(done.stdout)
        except ValueError:
            event.set_results({"report": (done.stderr or done.stdout).strip()})
            event.fail("the check could not run; see report")
            return
        wrong = [one["part"] for one in found.get("findings", []) if one.get("told") == "wrong"]
        outcome = "good" if found["good"] else "wrong"
        event.set_results({"report": done.stdout.strip(), "wrong": ",".join(wrong), "outcome": outcome})
        if not found["good"]:
            event.fail(f"failures would not be detected or reported: {', '.join(wrong) or 'see report'}")

    def _on_restore(self, event: ops.ActionEvent) -> None:
        if not event.params["i-really-mean-it"]:
            event.fail("this would remove Tachi from the unit; confirm with i-really-mean-it=true")
            return
        try:
            self.maintain("Restoring Masakari's packages")
            for service in self.services():
                self.machine.stop(service, mask=False)
            self.packages().restore((HOST, INSTANCE))
        except (Problem, Failed) as e:
            self._on_any(event)
            event.fail(f"nothing was changed: {e}")
            return
        self.memory.set(RESTORED, True)
        if not self.memory.paused:
            for service in (HOST, INSTANCE):
                self.machine.start(service)
        event.set_results({"outcome": "restored; refresh to the upstream charm"})


if __name__ == "__main__":
    with memory.remembering():
        ops.main(MasakariMonitorsCharm)
