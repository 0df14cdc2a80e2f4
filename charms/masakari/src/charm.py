#!/usr/bin/env python3
"""The charm of API and engine."""

import hashlib
import logging

import cluster
import issuing
import operator_actions
import ops
import reactive
import settings
import strictness
from tachi_charm import base, certificates, fencing, hacluster, haproxy, memory, relations
from tachi_charm.addresses import ENDPOINTS, Addresses, bracketed
from tachi_charm.packages import RESTORED
from tachi_charm.problem import Failed, Problem

log = logging.getLogger(__name__)
TACHI, MASAKARI = "tachi", "masakari"
HAPROXY, API, ENGINE = "haproxy", "masakari-api", "masakari-engine"
SYNCED = "tachi-db-synced"
UNFENCED = "tachi-unfenced-hosts"
REFUSED = "tachi-refused-monitors"
HAPROXY_FILE = "/etc/haproxy/haproxy.cfg"


class MasakariCharm(base.Charm):
    """Publishes its requests, and runs haproxy, API and engine once database, bus and Keystone have answered."""

    package = TACHI
    instead_of = reactive.PACKAGES
    required_relations = ("shared-db", "amqp", "identity-service")

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.addresses = Addresses(self.model, self.machine, self.app.name)
        for action, handler in (
            (self.on.openstack_upgrade_action, self._on_openstack_upgrade),
            (self.on.package_upgrade_action, self._on_package_upgrade),
            (self.on.preflight_action, self._on_preflight),
            (self.on.fence_check_action, self._on_fence_check),
            (self.on.restore_upstream_packages_action, self._on_restore),
        ):
            framework.observe(action, handler)

    # --- data of relations ---

    def complete(self, relation: str) -> bool:
        found = self.relation(relation)
        if found is None:
            return False
        if relation == "shared-db":
            return relations.database(found, self.unit) is not None
        if relation == "amqp":
            return relations.broker(found) is not None
        return relations.identity(found) is not None

    def given(self) -> settings.Given | None:
        found = [self.relation(name) for name in self.required_relations]
        if None in found:
            return None
        database = relations.database(found[0], self.unit)
        broker = relations.broker(found[1])
        identity = relations.identity(found[2])
        if database is None or broker is None or identity is None:
            return None
        return settings.Given(database, broker, identity)

    def certificate(self) -> certificates.Certificate | None:
        return certificates.configured(self.config) or certificates.received(self.relation("certificates"), self.unit)

    # --- requests ---

    def publish(self, tls: bool) -> None:
        """Publishes the requests of all relations. Unchanged ones are not written, so that no hook runs needlessly."""
        peers = self.relation("cluster")
        if peers:
            engine = MASAKARI if self.restored else TACHI if self.packages().installed() else "none"
            cluster.publish(peers, self.unit, self.addresses, engine, self._replaced())
        if found := self.relation("shared-db"):
            relations.request_database(found, self.unit, self.addresses, settings.NAME)
        if found := self.relation("amqp"):
            relations.request_broker(found, self.unit, self.addresses, settings.NAME)
        together = self.relation("ha")
        if together:
            hacluster.publish(together, self.unit, self.addresses, settings.NAME)
        clustered = hacluster.clustered(together)
        if found := self.relation("certificates"):
            names = [self.addresses.local()]
            for endpoint in ENDPOINTS:
                names += [self.addresses.own(endpoint), self.addresses.endpoint(endpoint, clustered)]
            certificates.request(found, self.unit, self.machine.fqdn(), [*names, *self.addresses.vips()])
        if found := self.relation("identity-service"):
            scheme = "https" if tls else "http"
            urls = {
                endpoint: f"{scheme}://{bracketed(self.addresses.endpoint(endpoint, clustered))}:{settings.PORT}/v1/%(tenant_id)s"
                for endpoint in ENDPOINTS
            }
            # The role of the limited monitor user exists once Keystone has answered this request.
            relations.request_identity(found, self.unit, settings.NAME, str(self.config["region"]), urls, settings.MONITOR_ROLE)

    # --- reconciliation ---

    def reconcile(self, event: ops.EventBase) -> None:
        if self.restored:
            if not isinstance(event, ops.UpgradeCharmEvent):
                self._go_on_restored()
                return
            self.memory.set(RESTORED, False)
            strictness.remember(self.memory)
        self._install(event)
        if isinstance(event, ops.InstallEvent):
            # Juju shows no relation data yet.
            return
        certificate = self.certificate()
        self.publish(certificate is not None)
        self.unit.set_ports(settings.PORT)
        given = self.given()
        found = certificates.authorities(self.relation("certificates"), self.config, given and given.identity.ca)
        trusted = certificates.trust(self.machine, self.app.name, found)
        fences = self._fences()
        if given is None:
            return
        changed = self._render(given, certificate, any(found.values()), fences)
        if self._sync(given):
            # The database turns out to be Masakari's only now.
            self.publish(certificate is not None)
            changed |= self._render(given, certificate, any(found.values()), fences)
        self._run(changed or trusted)
        if self.unit.is_leader():
            self.memory.set(REFUSED, issuing.issue(self, given.identity.data))

    def _install(self, event: ops.EventBase) -> None:
        packages = self.packages()
        have = packages.installed()
        strictness.looked(self.memory, bool(have) or reactive.present(self.machine))
        if not have:
            self.maintain("Installing packages")
            reactive.step_aside(self.machine)
            if not self.machine.installed(HAPROXY):
                self.machine.apt("update")
                self.machine.apt("install", HAPROXY, "ca-certificates")
            # Its package must not start it: the engine may run only when all peers have Tachi.
            self.machine.systemctl("mask", ENGINE)
        upgrade = not self.config["action-managed-upgrade"] and (
            isinstance(event, ops.UpgradeCharmEvent | ops.InstallEvent | ops.ConfigChangedEvent)
        )
        if packages.ensure(upgrade):
            log.info("installed tachi %s (before: %s)", packages.installed(), have or "none")
            self.memory.set(SYNCED, None)
            if not self.memory.paused:
                self.machine.systemctl("unmask", API)
        if isinstance(event, ops.UpgradeCharmEvent):
            # The schema is updated regardless of what an earlier charm has done.
            self.memory.set(SYNCED, None)
        if version := packages.installed():
            self.unit.set_workload_version(version)

    def _fences(self) -> bool:
        if fencing.install(self.machine, self.model, settings.GROUP, settings.FILE) and self.machine.running(ENGINE):
            # It reloads a changed file by itself, but changed secrets only on request.
            self.machine.systemctl("reload", ENGINE)
        return self.machine.read(fencing.FILE) is not None

    def _render(self, given: settings.Given, certificate, private_ca: bool, fences: bool) -> bool:
        """Writes all files; returns true if one changed that API and engine read only at start."""
        changed = settings.database_files(self.machine, given.database)
        changed |= settings.broker_files(self.machine, given.broker, self.app.name)
        renewed = False
        for name, text, mode in (
            ("api.crt", certificate and certificate.certificate, 0o644),
            ("api.key", certificate and certificate.key, 0o640),
        ):
            file = f"{settings.TLS}/{name}"
            if text:
                renewed |= self.machine.write(file, text, mode, "root", settings.GROUP)
            else:
                changed |= self.machine.remove(file)
        strict = strictness.chosen(self.config, self._replaced())
        text = settings.rendered(
            self.config, given, self.app.name, self.machine.cpus(), certificate is not None, private_ca, fences, strict
        )
        changed |= self.machine.write(settings.FILE, text, 0o640, "root", settings.GROUP)
        self.machine.write(settings.POLICY, settings.POLICY_TEXT, 0o640, "root", settings.GROUP)
        if renewed and not changed and self.machine.running(API):
            self.machine.systemctl("reload", API)
        self._render_haproxy(certificate is not None)
        return changed

    def _render_haproxy(self, tls: bool) -> None:
        timeouts = {name: self.config.get(f"haproxy-{name}-timeout") for name in haproxy.TIMEOUTS}
        text = haproxy.rendered(
            settings.NAME,
            settings.PORT,
            settings.API_PORT,
            cluster.frontends(self.relation("cluster"), self.unit, self.addresses),
            self.addresses.local(),
            tls,
            timeouts,
            reactive.statistics_password(self.memory),
            self.machine.path("/proc/net/if_inet6").exists(),
        )
        if self.machine.write(HAPROXY_FILE, text, 0o640, "root", HAPROXY) and self.machine.running(HAPROXY):
            self.machine.systemctl("reload-or-restart", HAPROXY)

    def _sync(self, given: settings.Given) -> bool:
        """Updates the schema, on the leader and once per database and version. Returns true if the database was
        Masakari's."""
        url = given.database.url(settings.NAME, settings.NAME, settings.TLS)
        mark = hashlib.sha256(f"{self.packages().installed()} {url}".encode()).hexdigest()
        if not self.unit.is_leader() or self.memory.get(SYNCED) == mark:
            return False
        self.maintain("Updating the database schema")
        done = self.machine.run(["masakari-manage", "--config-file", settings.FILE, "db", "sync"])
        # If the reactive charm returns, it need not repeat this.
        self.machine.leader_set("db-sync-done", "True")
        self.memory.set(SYNCED, mark)
        return "took over a Masakari database" in done.stdout + done.stderr and strictness.remember(self.memory)

    def _replaced(self) -> bool:
        return strictness.replaces(self.memory, self.relation("cluster"))

    # --- services ---

    def _waits_for(self) -> list[str]:
        """Returns the peers that may still run an engine of Masakari. A running engine was permitted earlier, and
        continues."""
        if self.machine.running(ENGINE):
            return []
        return cluster.without(self.relation("cluster"), TACHI)

    def _run(self, changed: bool) -> None:
        if self.memory.paused:
            return
        for service in self.services():
            if changed and service != HAPROXY and self.machine.running(service):
                self.machine.systemctl("restart", service)
            elif not self.machine.start(service):
                log.error("failed to start %s", service)

    def services(self) -> list[str]:
        """Pacemaker has haproxy when there is a cluster; the engine waits for the peers."""
        if self.restored:
            return []
        with_cluster = self.relation("ha") is not None
        found = [API] if with_cluster else [HAPROXY, API]
        return found if self._waits_for() else [*found, ENGINE]

    def last_check(self) -> ops.StatusBase | None:
        if self.restored:
            waits = cluster.without(self.relation("cluster"), MASAKARI)
            if waits:
                return ops.BlockedStatus(f"Masakari's packages are restored; its engine waits for {', '.join(waits)}")
            return ops.BlockedStatus("Masakari's packages are restored: refresh to the upstream charm")
        # haproxy accepts connections even without a backend.
        ports = [settings.API_PORT] if self.relation("ha") else [settings.PORT, settings.API_PORT]
        closed = [str(port) for port in ports if not self.machine.listens(port, patience=10)]
        if closed:
            return ops.BlockedStatus(f"Ports which should be open, but are not: {', '.join(closed)}")
        if waits := self._waits_for():
            return ops.WaitingStatus(f"The engine waits until Tachi is on {', '.join(sorted(waits))}")
        notes = [base.READY]
        if unfenced := self.memory.get(UNFENCED):
            named = ", ".join(unfenced[:5]) + (f" and {len(unfenced) - 5} more" if len(unfenced) > 5 else "")
            notes.append(f"nothing can fence {named}")
        if self.unit.is_leader() and (refused := self.memory.get(REFUSED)):
            notes.append("; ".join(refused[:3]) + (f" and {len(refused) - 3} more monitors" if len(refused) > 3 else ""))
        if loose := strictness.loose(self.config, self._replaced()):
            notes.append(f"accepts reports like Masakari; to tighten, set {' '.join(loose)}")
        return ops.ActiveStatus("; ".join(notes))

    # --- actions ---

    def _on_openstack_upgrade(self, event: ops.ActionEvent) -> None:
        if not self.config["action-managed-upgrade"]:
            event.set_results({"outcome": "action-managed-upgrade config is False, skipped upgrade"})
            return
        try:
            packages = self.packages()
            packages.refresh()
            if not packages.newer():
                event.set_results({"outcome": "no upgrade available"})
                return
            self.maintain("Running openstack upgrade")
            packages.ensure(upgrade=True)
            self.memory.set(SYNCED, None)
        except Problem as problem:
            event.fail(problem.message)
            return
        self._on_any(event)
        if not self.memory.paused:
            for service in (API, ENGINE):
                if self.machine.running(service):
                    self.machine.systemctl("restart", service)
        event.set_results({"outcome": "success, upgrade completed"})

    def _on_package_upgrade(self, event: ops.ActionEvent) -> None:
        try:
            packages = self.packages()
            packages.refresh()
            if packages.installed() and packages.newer():
                event.set_results({"outcome": "upgrade skipped because an openstack upgrade is available"})
                return
            self.maintain("Running package upgrade")
            self.machine.apt("update")
            self.machine.apt("dist-upgrade")
        except Problem as problem:
            event.fail(problem.message)
            return
        self._on_any(event)
        event.set_results({"outcome": "success, upgrade completed"})

    def _on_preflight(self, event: ops.ActionEvent) -> None:
        operator_actions.preflight(self, event)

    def _on_fence_check(self, event: ops.ActionEvent) -> None:
        operator_actions.fence_check(self, event, str(event.params.get("hosts") or "").split())

    def remember_unfenced(self, hosts: list[str]) -> None:
        self.memory.set(UNFENCED, hosts)

    # --- the way back ---

    def _on_restore(self, event: ops.ActionEvent) -> None:
        if not event.params["i-really-mean-it"]:
            event.fail("this would remove Tachi from the unit; confirm with i-really-mean-it=true")
            return
        packages = self.packages()
        try:
            # Ours stop first, and Masakari's must not start by itself: see _go_on_restored.
            self.maintain("Restoring Masakari's packages")
            self.memory.set(RESTORED, True)
            for service in (ENGINE, API):
                self.machine.stop(service)
            packages.restore(reactive.RESTORED_PACKAGES)
        except (Problem, Failed) as e:
            # Nothing was installed, so the unit continues with its packages.
            self.memory.set(RESTORED, False)
            self._on_any(event)
            event.fail(f"nothing was changed: {e}")
            return
        # Masakari's API runs inside Apache, and the upstream charm writes its vhost.
        for service in ("apache2", API):
            self.machine.systemctl("unmask", service)
        self._on_any(event)
        event.set_results({"outcome": "restored; when all units are restored, refresh to the upstream charm"})

    def _go_on_restored(self) -> None:
        self.publish(self.certificate() is not None)
        if self.memory.paused or cluster.without(self.relation("cluster"), MASAKARI):
            return
        self.machine.start(ENGINE)

    def keystone_address(self) -> tuple[str, int] | None:
        """Returns the server whose certificate preflight checks."""
        given = self.given()
        if given is None or given.identity.data["auth_protocol"] != "https":
            return None
        return (given.identity.data["auth_host"], int(given.identity.data["auth_port"]))


if __name__ == "__main__":
    with memory.remembering():
        ops.main(MasakariCharm)
