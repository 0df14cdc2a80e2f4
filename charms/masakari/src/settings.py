"""masakari.conf, from the options and the data of the relations."""

import dataclasses
import math
from collections.abc import Mapping

import ops
from tachi_charm import certificates, fencing, ini
from tachi_charm.machine import Machine
from tachi_charm.relations import Broker, Database, Identity

NAME = "masakari"
GROUP = "masakari"
FOLDER = "/etc/masakari"
FILE = f"{FOLDER}/masakari.conf"
PASTE = f"{FOLDER}/api-paste.ini"
POLICY = f"{FOLDER}/policy.d/50-tachi-monitor.yaml"
TLS = f"{FOLDER}/ssl"
# The public port; haproxy and the API use ports below it in steps of ten, as in the reactive charm.
PORT = 15868
API_PORT = PORT - 10
MONITOR_ROLE = "masakari_monitor"
POLICY_TEXT = f"""\
# Written by the charm masakari. Manual changes are overwritten.
# Monitors with the option monitor-role={MONITOR_ROLE} may only report failures.
"os_masakari_api:notifications:create": "rule:admin_api or role:{MONITOR_ROLE}"
"""


@dataclasses.dataclass(frozen=True)
class Given:
    """The data of the three relations."""

    database: Database
    broker: Broker
    identity: Identity


def rabbit_ca(application: str) -> str:
    return f"/var/lib/charm/{application}/rabbit-client-ca.pem"


def workers(config: ops.ConfigData, cpus: int) -> int:
    multiplier = config.get("worker-multiplier")
    if multiplier is None:
        return min(2 * cpus, 4)
    return max(1, math.floor(float(multiplier) * cpus))


def rendered(
    config: ops.ConfigData,
    given: Given,
    application: str,
    cpus: int,
    tls: bool,
    private_ca: bool,
    fences: bool,
    strict: Mapping[str, str],
) -> str:
    identity, broker, keystone = given.identity.data, given.broker, given.identity
    database = given.database.url(NAME, NAME, TLS)
    bundle = certificates.BUNDLE if private_ca else None
    endpoint = "internalURL" if config["use-internal-endpoints"] else "publicURL"
    sections = {
        "DEFAULT": {
            "enabled_apis": "masakari_api",
            "debug": config["debug"],
            "use_syslog": config["use-syslog"] or None,
            "auth_strategy": "keystone",
            "notification_driver": "taskflow_driver",
            "masakari_api_listen": "0.0.0.0",  # noqa: S104 (haproxy of every peer connects to it)
            "masakari_api_listen_port": API_PORT,
            "masakari_api_workers": workers(config, cpus),
            "use_ssl": True if tls else None,
            "os_region_name": config.get("region") or None,
            "transport_url": broker.url(NAME, NAME),
            "os_user_domain_name": keystone.domain,
            "os_project_domain_name": keystone.domain,
            "nova_catalog_admin_info": f"compute:nova:{endpoint}",
            "nova_ca_certificates_file": bundle,
            "os_privileged_user_name": identity["service_username"],
            "os_privileged_user_password": identity["service_password"],
            "os_privileged_user_tenant": identity["service_tenant"],
            "os_privileged_user_auth_url": f"{keystone.service_url}/v3",
            "wait_period_after_service_update": config["evacuation-delay"],
            "notifications_expired_interval": config.get("notification-expiration") or None,
            "check_expired_notifications_interval": config.get("check-expired-interval") or None,
        },
        "wsgi": {
            "api_paste_config": PASTE,
            "ssl_cert_file": f"{TLS}/api.crt" if tls else None,
            "ssl_key_file": f"{TLS}/api.key" if tls else None,
        },
        "taskflow": {"connection": database},
        "keystone_authtoken": {
            "www_authenticate_uri": keystone.service_url,
            "auth_url": keystone.auth_url,
            "auth_type": "password",
            "project_domain_name": keystone.domain,
            "user_domain_name": keystone.domain,
            "project_name": identity["service_tenant"],
            "username": identity["service_username"],
            "password": identity["service_password"],
            "service_type": identity.get("service_type") or "instance-ha",
            "cafile": bundle,
        },
        "database": {"connection": database},
        "oslo_messaging_rabbit": {
            "rabbit_ha_queues": True if broker.mirrored else None,
            "ssl": True if broker.tls else None,
            "ssl_ca_file": rabbit_ca(application) if broker.tls and broker.ca else None,
        },
        "host_failure": {"evacuate_all_instances": config["evacuate-all-instances"]},
        "api": {"reporter_binding": strict["reporter-binding"]},
        "fencing": {
            "normal_without_evidence": strict["normal-without-evidence"],
            "devices_file": fencing.FILE if fences else None,
        },
    }
    return ini.rendered(NAME, sections)


def database_files(machine: Machine, database: Database) -> bool:
    changed = False
    for name, text, mode in (("ca", database.ca, 0o644), ("cert", database.certificate, 0o644), ("key", database.key, 0o640)):
        file = f"{TLS}/db-client.{name}"
        changed |= machine.write(file, text, mode, "root", GROUP) if text else machine.remove(file)
    return changed


def broker_files(machine: Machine, broker: Broker, application: str) -> bool:
    if broker.tls and broker.ca:
        return machine.write(rabbit_ca(application), broker.ca, 0o644)
    return machine.remove(rabbit_ca(application))
