"""The actions that check if a recovery would work."""

from __future__ import annotations

import json
import re
import socket
import ssl
from typing import TYPE_CHECKING

import settings

if TYPE_CHECKING:
    import ops
    from charm import MasakariCharm

_NO_CONFIG = "this unit has no masakari.conf yet; it needs shared-db, amqp and identity-service first"


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def unfenced(report: object) -> list[str]:
    """Returns the hosts without a level whose devices all report their power: a proof needs all devices of a level."""
    levels: dict[str, dict[int, bool]] = {}
    for row in report.get("devices", []) if isinstance(report, dict) else []:
        good = row["power"] in ("on", "off") and not row["fault"]
        of_host = levels.setdefault(row["host"], {})
        of_host[row["level"]] = of_host.get(row["level"], True) and good
    return sorted(host for host, of_host in levels.items() if not any(of_host.values()))


def _fence_check(charm: MasakariCharm, hosts: list[str]) -> tuple[int, list[str], str]:
    command = ["tachi", "fence", "test", "--config-file", settings.FILE, "-f", "json", *(hosts or ["--all"])]
    done = charm.machine.run(command, check=False)
    rows = _json(done.stdout)
    return done.returncode, unfenced(rows), done.stdout if rows is not None else (done.stderr or done.stdout)


def fence_check(charm: MasakariCharm, event: ops.ActionEvent, hosts: list[str]) -> None:
    if charm.machine.read(settings.FILE) is None:
        event.fail(_NO_CONFIG)
        return
    # A name is an argument of a command and must not become an option.
    wrong = [host for host in hosts if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", host)]
    if wrong:
        event.fail(f"invalid host name: {', '.join(wrong)}")
        return
    code, without, report = _fence_check(charm, hosts)
    if not hosts and _json(report) is not None:
        charm.remember_unfenced(without)
    event.set_results({"report": report.strip(), "unfenced": ",".join(without)})
    if code:
        event.fail(f"fencing would fail for {', '.join(without)}" if without else "fence devices have faults; see report")


def _authority(charm: MasakariCharm) -> str:
    """Checks that the CA file of API and engine trusts Keystone's certificate."""
    where = charm.keystone_address()
    if where is None:
        return "not checked: Keystone is used without TLS"
    try:
        with (
            socket.create_connection(where, timeout=10) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=where[0]),
        ):
            return "good"
    except (OSError, ssl.SSLError) as e:
        return f"failed: {e}"


def preflight(charm: MasakariCharm, event: ops.ActionEvent) -> None:
    if charm.machine.read(settings.FILE) is None:
        event.fail(_NO_CONFIG)
        return
    upgrade = charm.machine.run(["masakari-status", "--config-file", settings.FILE, "upgrade", "check"], check=False)
    authority = _authority(charm)
    code, without, report = _fence_check(charm, [])
    if _json(report) is not None:
        charm.remember_unfenced(without)
    wrong = []
    if upgrade.returncode not in (0, 1):
        wrong.append("the upgrade check has failures")
    if authority.startswith("failed"):
        wrong.append("Keystone's certificate is not trusted")
    if without:
        wrong.append(f"nothing can fence {', '.join(without)}")
    elif code:
        wrong.append("fencing is not set up, or devices have faults")
    event.set_results(
        {
            "upgrade-check": (upgrade.stdout or upgrade.stderr).strip(),
            "keystone-authority": authority,
            "fence-check": report.strip(),
            "unfenced": ",".join(without),
            "outcome": "; ".join(wrong) or "good",
        }
    )
    if wrong:
        event.fail("; ".join(wrong))
