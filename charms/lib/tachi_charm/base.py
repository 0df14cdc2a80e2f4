"""Base of all charms of Tachi: reconciliation on every hook, status, pause and resume."""

import logging
import pathlib
from collections.abc import Callable

import ops

from tachi_charm.machine import Machine
from tachi_charm.memory import Memory
from tachi_charm.packages import RESTORED, Packages
from tachi_charm.problem import Problem

log = logging.getLogger(__name__)
PROBLEM = "tachi-problem"
READY = "Unit is ready"
PAUSED = "Paused. Use 'resume' action to resume normal service."


class Charm(ops.CharmBase):
    """A charm defines two things: `reconcile` sets the wanted state of the unit, and `state` returns its actual state."""

    # Tests replace it.
    make_machine: Callable[[], Machine] = Machine
    package = ""
    instead_of: tuple[str, ...] = ()
    # The status reports each one that is missing.
    required_relations: tuple[str, ...] = ()

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.machine = type(self).make_machine()
        self.memory = Memory.current or Memory(pathlib.Path(self.charm_dir))
        for event in self.on.events().values():
            kind = event.event_type
            if issubclass(kind, ops.LifecycleEvent | ops.CollectStatusEvent | ops.ActionEvent):
                continue
            # After these events the unit is gone, so nothing may be started.
            if not issubclass(kind, ops.RemoveEvent | ops.StopEvent):
                framework.observe(event, self._on_any)
        framework.observe(self.on.stop, self._on_stop)
        framework.observe(self.on.collect_unit_status, self._on_collect_status)
        for action, handler in (
            ("pause", self._on_pause),
            ("resume", self._on_resume),
            ("restart-services", self._on_restart_services),
        ):
            if action in self.meta.actions:
                framework.observe(getattr(self.on, f"{action.replace('-', '_')}_action"), handler)

    # --- definitions of each charm ---

    def reconcile(self, event: ops.EventBase) -> None:
        raise NotImplementedError

    def complete(self, relation: str) -> bool:
        """Returns true if the relation has all required data."""
        raise NotImplementedError

    def services(self) -> list[str]:
        """Returns the services that should run unless the unit is paused, in their start order."""
        raise NotImplementedError

    def last_check(self) -> ops.StatusBase | None:
        """Returns a problem of a unit whose services run, if there is one."""
        return None

    # --- hooks ---

    def _on_any(self, event: ops.EventBase) -> None:
        try:
            self.reconcile(event)
        except Problem as problem:
            log.error("%s", problem.message)
            self.memory.set(PROBLEM, [problem.kind, problem.message])
        else:
            self.memory.set(PROBLEM, None)

    def _on_stop(self, _: ops.StopEvent) -> None:
        """Stops all services, so that a removed unit makes no more decisions about hosts."""
        for service in reversed(self.services()):
            self.machine.stop(service, mask=False)

    def relation(self, name: str) -> ops.Relation | None:
        """Returns the relation of an endpoint; `None` while it is being broken, because its data no longer applies."""
        return next((relation for relation in self.model.relations[name] if relation.active), None)

    @property
    def restored(self) -> bool:
        """True after the distribution's packages were restored: the unit stays unchanged until another charm takes over."""
        return bool(self.memory.get(RESTORED))

    def packages(self) -> Packages:
        resource = None
        if "tachi-debs" in self.meta.resources:
            try:
                resource = pathlib.Path(self.model.resources.fetch("tachi-debs"))
            except (ops.ModelError, NameError):
                log.debug("no resource tachi-debs is attached")
        return Packages(
            self.machine,
            self.memory,
            pathlib.Path(self.charm_dir),
            self.package,
            self.instead_of,
            str(self.config.get("tachi-source") or ""),
            resource,
        )

    def maintain(self, what: str) -> None:
        self.unit.status = ops.MaintenanceStatus(what)

    # --- status ---

    def _on_collect_status(self, event: ops.CollectStatusEvent) -> None:
        try:
            event.add_status(self.state())
        except Problem as problem:
            event.add_status(status(problem.kind, problem.message))

    def state(self) -> ops.StatusBase:
        """Returns the first problem, in the order of the reactive charms."""
        if self.memory.paused:
            running = [service for service in self.services() if self.machine.running(service)]
            if running:
                return ops.BlockedStatus(f"Services should be paused but these services running: {', '.join(running)}")
            return ops.MaintenanceStatus(PAUSED)
        if problem := self.memory.get(PROBLEM):
            return status(*problem)
        return self._relations() or self._running() or self.last_check() or ops.ActiveStatus(READY)

    def _relations(self) -> ops.StatusBase | None:
        missing = [name for name in self.required_relations if self.relation(name) is None]
        incomplete = [name for name in self.required_relations if name not in missing and not self.complete(name)]
        problems = [
            f"'{name}' {'missing' if name in missing else 'incomplete'}"
            for name in self.required_relations
            if name in missing or name in incomplete
        ]
        if not problems:
            return None
        return status("blocked" if missing else "waiting", ", ".join(problems))

    def _running(self) -> ops.StatusBase | None:
        stopped = [service for service in self.services() if not self.machine.running(service)]
        if stopped:
            return ops.BlockedStatus(f"Services not running that should be: {', '.join(stopped)}")
        return None

    # --- actions that several charms have ---

    def _on_pause(self, event: ops.ActionEvent) -> None:
        """Pauses the unit. The flag is stored first: the next hook must not start a service that could not be
        stopped now."""
        self.memory.paused = True
        left = [service for service in reversed(self.services()) if not self.machine.stop(service)]
        if left:
            event.fail("Couldn't pause: " + "; ".join(f"{service} didn't pause cleanly." for service in left))

    def _on_resume(self, event: ops.ActionEvent) -> None:
        self.memory.paused = False
        left = [service for service in self.services() if not self.machine.start(service)]
        # Applies changes that arrived while the unit was paused.
        self._on_any(event)
        if left:
            event.fail("Couldn't resume: " + "; ".join(f"{service} didn't resume cleanly." for service in left))

    def _on_restart_services(self, event: ops.ActionEvent) -> None:
        if self.memory.paused:
            event.fail("the unit is paused; use the action resume")
            return
        failed = [service for service in self.services() if not self.machine.systemctl("restart", service)]
        if failed:
            event.fail(f"not restarted: {', '.join(failed)}")


def status(kind: str, message: str) -> ops.StatusBase:
    return ops.StatusBase.from_name(kind, message)
