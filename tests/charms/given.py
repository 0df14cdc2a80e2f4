"""Relations as their charms fill them."""

import base64
import json

from ops import testing

KEYSTONE = {
    "service_host": "10.0.0.3",
    "service_port": "5000",
    "service_protocol": "http",
    "auth_host": "10.0.0.3",
    "auth_port": "35357",
    "auth_protocol": "http",
    "service_username": "masakari",
    "service_password": "kpw",
    "service_tenant": "services",
    "service_tenant_id": "1" * 32,
    "service_domain": "service_domain",
    "api_version": "3",
}


def database(unit="masakari/0", **more):
    data = {"db_host": "10.0.0.1", "password": "dbpw", "allowed_units": f"masakari/7 {unit}", **more}
    return testing.Relation("shared-db", remote_app_name="mysql-router", remote_units_data={0: data})


def amqp(password="mqpw", **more):
    units = {
        number: {"password": password, "private-address": f"10.0.0.{address}", "ha_queues": "True", **more}
        for number, address in ((0, 12), (1, 9))
    }
    return testing.Relation("amqp", remote_app_name="rabbitmq-server", remote_units_data=units)


def keystone(**more):
    return testing.Relation("identity-service", remote_app_name="keystone", remote_units_data={0: {**KEYSTONE, **more}})


def hacluster(**data):
    return testing.SubordinateRelation("ha", remote_app_name="hacluster", remote_unit_data=data)


def peers(**engines):
    """peers(u1="tachi", u2=None): other units, and what they say of their engine."""
    data = {}
    for name, engine in engines.items():
        number = int(name[1:])
        data[number] = {
            "ingress-address": f"10.0.0.{20 + number}",
            "public-address": f"10.0.0.{20 + number}",
            "internal-address": f"10.1.0.{20 + number}",
            "admin-address": f"10.2.0.{20 + number}",
        } | ({"engine": engine} if engine else {})
    return testing.PeerRelation("cluster", peers_data=data)


def networks():
    return {
        testing.Network("juju-info", [testing.BindAddress([testing.Address("10.0.0.11")])]),
        testing.Network("public", [testing.BindAddress([testing.Address("10.0.0.11")])]),
        testing.Network("internal", [testing.BindAddress([testing.Address("10.1.0.11")])]),
        testing.Network("admin", [testing.BindAddress([testing.Address("10.2.0.11")])]),
    }


def vault(unit="masakari_0", **more):
    data = {
        "ca": "-----BEGIN CERTIFICATE-----\nCA\n-----END CERTIFICATE-----",
        "chain": "-----BEGIN CERTIFICATE-----\nCHAIN\n-----END CERTIFICATE-----",
        f"{unit}.server.cert": "-----BEGIN CERTIFICATE-----\nUNIT\n-----END CERTIFICATE-----",
        f"{unit}.server.key": "-----BEGIN RSA PRIVATE KEY-----\nKEY\n-----END RSA PRIVATE KEY-----",
        **more,
    }
    return testing.Relation("certificates", remote_app_name="vault", remote_units_data={0: data})


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def told(state, relation) -> dict[str, str]:
    """What our unit has published, without what Juju puts there."""
    juju = ("egress-subnets", "ingress-address", "private-address")
    data = state.get_relation(relation.id).local_unit_data
    return {
        key: value for key, value in data.items() if key not in juju or relation.endpoint == "amqp" and key == "private-address"
    }


def cluster_resources(state, relation) -> dict[str, object]:
    return {key[5:]: json.loads(value) for key, value in told(state, relation).items() if key.startswith("json_")}
