"""Requests to database, message bus and Keystone, and their answers."""

import dataclasses
import ipaddress
from urllib.parse import quote

import ops

from tachi_charm import databag
from tachi_charm.addresses import Addresses, bracketed


@dataclasses.dataclass(frozen=True)
class Database:
    """Interface mysql-shared."""

    host: str
    port: str | None
    password: str
    ca: str | None
    certificate: str | None
    key: str | None

    def url(self, user: str, name: str, folder: str) -> str:
        where = bracketed(self.host) + (f":{self.port}" if self.port else "")
        query = f"?ssl_ca={folder}/db-client.ca" if self.ca else ""
        if self.ca and self.certificate and self.key:
            query += f"&ssl_cert={folder}/db-client.cert&ssl_key={folder}/db-client.key"
        return f"mysql+pymysql://{user}:{quote(self.password, safe='')}@{where}/{name}{query}"


def request_database(relation: ops.Relation, unit: ops.Unit, addresses: Addresses, name: str) -> None:
    hostname = addresses.ingress(relation)
    offered = databag.first(relation, "access-network")
    if offered:
        hostname = addresses.within("access-network", offered["access-network"]) or hostname
    databag.publish(relation.data[unit], {"database": name, "username": name, "hostname": hostname})


def database(relation: ops.Relation, unit: ops.Unit) -> Database | None:
    data = databag.first(relation, "db_host", "password", "allowed_units")
    if not data or unit.name not in data["allowed_units"].split():
        return None
    if data.get("cluster-series-upgrading", "").lower() == "true":
        return None
    return Database(
        data["db_host"],
        data.get("db_port"),
        data["password"],
        databag.decoded(data.get("ssl_ca"), "shared-db: ssl_ca"),
        databag.decoded(data.get("ssl_cert"), "shared-db: ssl_cert"),
        databag.decoded(data.get("ssl_key"), "shared-db: ssl_key"),
    )


@dataclasses.dataclass(frozen=True)
class Broker:
    """Interface rabbitmq."""

    hosts: tuple[str, ...]
    port: str
    password: str
    tls: bool
    ca: str | None
    mirrored: bool

    def url(self, user: str, vhost: str) -> str:
        password = quote(self.password, safe="")
        return f"rabbit://{','.join(f'{user}:{password}@{bracketed(host)}:{self.port}' for host in self.hosts)}/{vhost}"


def request_broker(relation: ops.Relation, unit: ops.Unit, addresses: Addresses, name: str) -> None:
    databag.publish(relation.data[unit], {"username": name, "vhost": name, "private-address": addresses.ingress(relation)})


def broker(relation: ops.Relation) -> Broker | None:
    data = databag.first(relation, "password")
    if not data:
        return None
    units = [relation.data[unit] for unit in databag.remote_units(relation)]
    ready = [unit for unit in units if unit.get("password") == data["password"]]
    if databag.given(data.get("vip")) and data.get("ha-vip-only", "").lower() == "true":
        hosts = {data["vip"]}
    else:
        hosts = {unit.get("private-address") or unit.get("ingress-address") or unit.get("hostname") for unit in ready}
    found = sorted((host for host in hosts if host), key=_by_address)
    if not found:
        return None
    tls = databag.given(data.get("ssl_port"))
    return Broker(
        tuple(found),
        data["ssl_port"] if tls else "5672",
        data["password"],
        tls,
        databag.decoded(data.get("ssl_ca"), "amqp: ssl_ca"),
        data.get("ha_queues", "").lower() == "true",
    )


def _by_address(host: str) -> tuple[int, int, str]:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return (9, 0, host)
    return (address.version, int(address), host)


# Keystone's application databag has other names than its units' databags.
_RENAMED = {
    "service_username": "service-user-name",
    "service_tenant": "service-project-name",
    "service_tenant_id": "service-project-id",
    "service_domain": "service-domain-name",
    "service_domain_id": "service-domain-id",
}
_REQUIRED = (
    "service_host",
    "service_port",
    "service_protocol",
    "auth_host",
    "auth_port",
    "auth_protocol",
    "service_username",
    "service_password",
    "service_tenant",
)
_IDENTITY = (*_REQUIRED, "service_domain", "service_domain_id", "service_type", "ca_cert", "region", "api_version")


@dataclasses.dataclass(frozen=True)
class Identity:
    """Interface keystone."""

    data: dict[str, str]

    @property
    def service_url(self) -> str:
        return _url(self.data, "service")

    @property
    def auth_url(self) -> str:
        return _url(self.data, "auth")

    @property
    def domain(self) -> str:
        return self.data.get("service_domain") or "default"

    @property
    def ca(self) -> str | None:
        return databag.decoded(self.data.get("ca_cert"), "identity-service: ca_cert")


def _url(data: dict[str, str], which: str) -> str:
    return f"{data[which + '_protocol']}://{bracketed(data[which + '_host'])}:{data[which + '_port']}"


def request_identity(
    relation: ops.Relation, unit: ops.Unit, service: str, region: str, urls: dict[str, str], roles: str | None
) -> None:
    databag.publish(
        relation.data[unit],
        {
            "service": service,
            "region": region,
            "public_url": urls["public"],
            "internal_url": urls["int"],
            "admin_url": urls["admin"],
            "requested_roles": roles,
        },
    )


def identity(relation: ops.Relation) -> Identity | None:
    published = dict(relation.data[relation.app]) if relation.app else {}
    data = {key: published.get(_RENAMED.get(key, key.replace("_", "-")), "") for key in _IDENTITY}
    if not all(databag.given(data[key]) for key in _REQUIRED):
        data = databag.first(relation, *_REQUIRED) or {}
    return Identity({key: value for key, value in data.items() if databag.given(value)}) if data else None


_CREDENTIALS = ("auth_host", "auth_port", "auth_protocol", "credentials_username", "credentials_password", "credentials_project")


@dataclasses.dataclass(frozen=True)
class Credentials:
    """Interface keystone-credentials."""

    data: dict[str, str]

    @property
    def auth_url(self) -> str:
        return _url(self.data, "auth")


def request_credentials(relation: ops.Relation, unit: ops.Unit, user: str, project: str, role: str | None) -> None:
    databag.publish(relation.data[unit], {"username": user, "project": project, "requested_grants": role})


def credentials(relation: ops.Relation) -> Credentials | None:
    data = databag.first(relation, *_CREDENTIALS)
    return Credentials({key: value for key, value in data.items() if databag.given(value)}) if data else None
