"""masakarimonitors.conf, from the options and Keystone's data."""

import re

import ops
from tachi_charm import certificates, ini
from tachi_charm.monitor_credentials import Bound
from tachi_charm.problem import Problem
from tachi_charm.relations import Credentials

GROUP = "masakarimonitors"
FILE = "/etc/masakarimonitors/masakarimonitors.conf"
PROCESSES = "/etc/masakarimonitors/process_list.yaml"
USER = "masakari-monitors"
PROJECT = "services"


def flags(config: ops.ConfigData) -> dict[str, str]:
    """`config-flags`: a comma separates two options only where a name and = follow, so values may have commas."""
    text = str(config.get("config-flags") or "").strip()
    found: dict[str, str] = {}
    for part in re.split(r",(?=\s*[A-Za-z0-9_-]+\s*=)", text) if text else []:
        name, equals, value = part.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_-]+", name.strip()):
            raise Problem(f"option config-flags: {part.strip()!r} is not name=value")
        found[name.strip()] = value.strip()
    return found


def role(config: ops.ConfigData) -> str | None:
    wanted = str(config.get("monitor-role") or "").strip()
    if wanted and not re.fullmatch(r"[A-Za-z0-9_-]+", wanted):
        raise Problem(f"option monitor-role: {wanted!r} is not a role name")
    return wanted or None


def user(config: ops.ConfigData) -> str:
    """Returns the user name. Keystone's charm never revokes roles, so a limited user is a separate one."""
    limited = role(config)
    return f"{USER}-{limited}" if limited else USER


def login(given: Bound | Credentials) -> dict[str, str | None]:
    if isinstance(given, Bound):
        return {
            "auth_type": "v3applicationcredential",
            "auth_url": given.auth_url,
            "application_credential_id": given.id,
            "application_credential_secret": given.secret,
        }
    data = given.data
    return {
        "auth_type": "password",
        "auth_url": given.auth_url,
        "project_name": data["credentials_project"],
        "project_domain_name": data.get("credentials_project_domain_name") or data.get("domain"),
        "project_domain_id": data.get("credentials_project_domain_id"),
        "user_domain_name": data.get("credentials_user_domain_name") or data.get("domain"),
        "user_domain_id": data.get("credentials_user_domain_id"),
        "username": data["credentials_username"],
        "password": data["credentials_password"],
    }


def rendered(config: ops.ConfigData, given: Bound | Credentials, hostname: str, private_ca: bool) -> str:
    sections = {
        "DEFAULT": {
            "debug": config["debug"],
            "use_syslog": config["use-syslog"] or None,
            # Nova, Pacemaker and the failover segment know the host by one name.
            "hostname": hostname,
            **flags(config),
        },
        "api": {
            "api_interface": "internal" if config["use-internal-endpoints"] else "public",
            **login(given),
            "region": config["region"],
            "cafile": certificates.BUNDLE if private_ca else None,
        },
        "callback": {},
        "cors": {},
        "healthcheck": {},
        "host": {
            "corosync_multicast_interfaces": "ens3",
            "corosync_multicast_ports": 5405,
            # Hypervisors are Pacemaker's remote nodes, and the units of masakari are not to be watched.
            "restrict_to_remotes": True,
            "disable_ipmi_check": True,
        },
        "introspectiveinstancemonitor": {},
        "libvirt": {},
        "oslo_middleware": {},
        "process": {"process_list_path": PROCESSES},
    }
    return ini.rendered("masakari-monitors", sections)
