"""Endpoints, options and actions of the reactive charms, as bundles name them: each is here with its type and default."""

import pathlib

import pytest
import yaml

CHARMS = pathlib.Path(__file__).resolve().parents[2] / "charms"
SERVICE = {name: ("boolean", False) for name in ("debug", "verbose", "use-syslog", "use-internal-endpoints")}
SERVICE |= {name: ("string", None) for name in ("ssl_ca", "ssl_cert", "ssl_key")}
API = {
    **SERVICE,
    "action-managed-upgrade": ("boolean", False),
    "dns-ha": ("boolean", False),
    "evacuate-all-instances": ("boolean", True),
    "evacuation-delay": ("int", 60),
    "openstack-origin": ("string", "caracal"),
    "region": ("string", "RegionOne"),
    "vip": ("string", None),
    "vip_cidr": ("int", 24),
    "vip_iface": ("string", "eth0"),
    "worker-multiplier": ("float", None),
}
API |= {f"haproxy-{name}-timeout": ("int", None) for name in ("client", "connect", "queue", "server")}
API |= {name: ("int", None) for name in ("check-expired-interval", "notification-expiration")}
API |= {f"os-{name}-network": ("string", None) for name in ("admin", "data", "internal", "public")}
API |= {f"os-{name}-hostname": ("string", None) for name in ("admin", "internal", "public")}
SERVICE_ACTIONS = {"pause", "resume", "restart-services"}
UPSTREAM = {
    "masakari": {
        "options": API,
        "actions": SERVICE_ACTIONS | {"openstack-upgrade", "package-upgrade"},
        "requires": {
            "shared-db": {"interface": "mysql-shared"},
            "amqp": {"interface": "rabbitmq"},
            "identity-service": {"interface": "keystone"},
            "ha": {"interface": "hacluster", "scope": "container"},
            "certificates": {"interface": "tls-certificates"},
        },
        "peers": {"cluster": {"interface": "openstack-ha"}},
        "extra-bindings": {"public": None, "admin": None, "internal": None},
    },
    "masakari-monitors": {
        "options": {**SERVICE, "region": ("string", "RegionOne"), "config-flags": ("string", None)},
        "actions": SERVICE_ACTIONS,
        "requires": {
            "container": {"interface": "juju-info", "scope": "container"},
            "identity-credentials": {"interface": "keystone-credentials"},
            "certificates": {"interface": "tls-certificates"},
        },
    },
    "pacemaker-remote": {
        "options": {"enable-stonith": ("boolean", False), "enable-resources": ("boolean", True)},
        "actions": set(),
        "requires": {"juju-info": {"interface": "juju-info", "scope": "container"}},
        "provides": {"pacemaker-remote": {"interface": "pacemaker-remote"}},
    },
}


@pytest.mark.parametrize("charm", UPSTREAM)
def test_bundles_stay_as_they_are(charm):
    spec = yaml.safe_load((CHARMS / charm / "charmcraft.yaml").read_text())
    options = {name: (option["type"], option.get("default")) for name, option in spec["config"]["options"].items()}
    theirs = UPSTREAM[charm]
    assert {name: options.get(name) for name in theirs["options"]} == theirs["options"]
    # What is ours is optional: unset, or switched off.
    added = set(options) - set(theirs["options"])
    assert {name: options[name][1] for name in added if options[name][1] not in (None, "", False)} == {}
    assert theirs["actions"] <= set(spec["actions"])
    for kind in ("requires", "provides", "peers", "extra-bindings"):
        ours = {name: one for name, one in (spec.get(kind) or {}).items() if not (one or {}).get("optional")}
        assert ours == theirs.get(kind, {}), kind
    assert spec.get("subordinate", False) == (charm != "masakari")
    assert all(option.get("description") for option in spec["config"]["options"].values())
    assert all(action.get("description") for action in spec["actions"].values())
