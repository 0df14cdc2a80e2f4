"""The resources of the API units' cluster: the VIPs and haproxy (interface hacluster).

Names, parameters and even blanks are those that the reactive charm publishes, so that a refresh changes nothing in the
cluster.
"""

import hashlib
import ipaddress
import json

import ops

from tachi_charm import databag
from tachi_charm.addresses import ENDPOINTS, Addresses

META = 'migration-threshold="INFINITY" failure-timeout="5s"'
CORE = ("resources", "resource_params", "groups", "clones", "init_services", "delete_resources")
PORT = "4440"


def clustered(relation: ops.Relation | None) -> bool:
    if relation is None:
        return False
    return any(relation.data[unit].get("clustered", "").lower() in ("yes", "true") for unit in databag.remote_units(relation))


def _parameters(**parts: str) -> str:
    return "".join(f"  {name} {value}" for name, value in parts.items())


def _vip_name(service: str, vip: str, interface: str | None, taken: set[str]) -> str:
    digest = hashlib.sha1(vip.encode(), usedforsecurity=False).hexdigest()[:7]
    if ":" in vip:
        names = [f"res_{service}_{interface}_ipv6addr_vip"]
    elif interface:
        names = [f"res_{service}_{interface}_vip"]
    else:
        names = []
    # Two VIPs of one interface would share a name.
    names.append(f"res_{service}_{digest}_vip")
    return next((name for name in names if name not in taken), names[-1])


def wanted(service: str, addresses: Addresses, old: dict[str, object]) -> dict[str, object]:
    """Returns the wanted resources, and the earlier ones to delete."""
    config = addresses.config
    resources: dict[str, str] = {}
    parameters: dict[str, str] = {}
    delete: set[str] = set()
    vips: list[str] = []
    for vip in addresses.vips():
        found = addresses.interface(vip)
        interface = None if found else str(config["vip_iface"])
        name = _vip_name(service, vip, interface, set(resources))
        six = ipaddress.ip_address(vip).version == 6
        resources[name] = "ocf:heartbeat:IPv6addr" if six else "ocf:heartbeat:IPaddr2"
        text = f'{"ipv6addr" if six else "ip"}="{vip}"'
        if interface:
            text += f' nic="{interface}" cidr_netmask="{config["vip_cidr"]}"'
        else:
            # The name in releases before names by digest.
            delete.add(f"res_{service}_{found}_vip")
        parameters[name] = _parameters(params=text, meta=META, op='monitor timeout="20s" interval="10s" depth="0"')
        vips.append(name)
    haproxy = f"res_{service}_haproxy"
    resources[haproxy] = "lsb:haproxy"
    parameters[haproxy] = _parameters(meta=META, op='monitor interval="5s"')
    groups = {f"grp_{service}_vips": " ".join(sorted(vips))} if vips else {}
    if config.get("dns-ha"):
        names = []
        for endpoint, (_, _, option) in ENDPOINTS.items():
            if host := config.get(option):
                name = f"res_{service}_{endpoint}_hostname"
                resources[name] = "ocf:maas:dns"
                parameters[name] = _parameters(params=f' fqdn="{host}" ip_address="{addresses.own(endpoint)}"')
                names.append(name)
        if names:
            groups[f"grp_{service}_hostnames"] = " ".join(sorted(names))
    before = old.get("resources") or {}
    if isinstance(before, dict):
        delete |= {name for name in before if name.startswith(f"res_{service}_")}
    delete |= set(old.get("delete_resources") or [])  # type: ignore[arg-type]
    return {
        "resources": resources,
        "resource_params": parameters,
        "groups": groups,
        "clones": {f"cl_{haproxy}": haproxy},
        "init_services": ["haproxy"],
        "delete_resources": sorted(delete - set(resources)),
    }


def publish(relation: ops.Relation, unit: ops.Unit, addresses: Addresses, service: str) -> None:
    databag_ = relation.data[unit]
    old = {}
    for key in CORE:
        try:
            old[key] = json.loads(databag_.get(f"json_{key}", "null"))
        except ValueError:
            old[key] = None
    values: dict[str, str | None] = {"corosync_bindiface": str(addresses.config["vip_iface"]), "corosync_mcastport": PORT}
    for key, value in wanted(service, addresses, old).items():
        if value or f"json_{key}" in databag_:
            values[f"json_{key}"] = json.dumps(value, sort_keys=True)
    databag.publish(databag_, values)
