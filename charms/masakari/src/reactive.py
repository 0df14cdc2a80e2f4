"""Remains of the reactive charm on a unit, and the state that it needs if it returns."""

import logging
import secrets
import string

from tachi_charm.machine import Machine
from tachi_charm.memory import Memory

log = logging.getLogger(__name__)
# Masakari's own API ran inside Apache, which had the port that Tachi's API takes.
VHOSTS = (
    "/etc/apache2/sites-enabled/masakari-api.conf",
    "/etc/apache2/sites-enabled/openstack_https_frontend.conf",
    "/etc/apache2/sites-available/openstack_https_frontend.conf",
)
# Removed in the same transaction that installs ours. Some contain the same files in /usr/bin.
PACKAGES = ("masakari-api", "masakari-engine", "masakari-common", "python3-masakari")
RESTORED_PACKAGES = ("masakari-api", "masakari-engine", "python3-sqlalchemy-utils")
_STATISTICS = "reactive.states.haproxy.stat.password"


def present(machine: Machine) -> list[str]:
    """Returns the installed packages of Masakari."""
    return [name for name in PACKAGES if machine.installed(name)]


def step_aside(machine: Machine) -> bool:
    """Stops services that cannot run beside ours. Masakari's engine stops first: two engines must never decide about
    one host."""
    found = present(machine)
    if found:
        log.info("stopping the services of %s", ", ".join(found))
        machine.stop("masakari-engine")
        machine.stop("masakari-api")
    removed = [machine.remove(file) for file in VHOSTS]
    if any(removed):
        machine.stop("apache2", mask=False)
    return bool(found) or any(removed)


def statistics_password(memory: Memory) -> str:
    """Returns the password in haproxy.cfg, which the reactive charm keeps too."""
    password = memory.get(_STATISTICS)
    if not isinstance(password, str) or not password:
        password = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))
        memory.set(_STATISTICS, password)
    return password
