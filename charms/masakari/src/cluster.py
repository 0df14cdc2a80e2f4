"""Data that the units of the application share: addresses for haproxy, and the engine of each unit."""

import ipaddress

import ops
import strictness
from tachi_charm import databag
from tachi_charm.addresses import ENDPOINTS, Addresses
from tachi_charm.haproxy import Frontend

ENGINE = "engine"


def publish(relation: ops.Relation, unit: ops.Unit, addresses: Addresses, engine: str, replaced: bool) -> None:
    values: dict[str, str | None] = {
        f"{binding}-address": addresses.own(endpoint) for endpoint, (binding, _, _) in ENDPOINTS.items()
    }
    databag.publish(relation.data[unit], {**values, ENGINE: engine, strictness.REPLACES: "yes" if replaced else None})


def without(relation: ops.Relation | None, engine: str) -> list[str]:
    """Returns the other units that have not published this engine."""
    if relation is None:
        return []
    return [unit.name for unit in databag.remote_units(relation) if relation.data[unit].get(ENGINE) != engine]


def frontends(relation: ops.Relation | None, unit: ops.Unit, addresses: Addresses) -> list[Frontend]:
    """One for each address of this unit, with the addresses of its peers in the same network."""
    own = {"private": addresses.local()}
    own |= {binding: addresses.own(endpoint) for endpoint, (binding, _, _) in ENDPOINTS.items()}
    found: dict[str, Frontend] = {}
    for key, address in own.items():
        network = addresses.prefix(address)
        single = ipaddress.ip_network(address)
        frontend = found.setdefault(address, Frontend(address, str(network or single), {unit.name.replace("/", "-"): address}))
        for peer in databag.remote_units(relation) if relation else []:
            data = relation.data[peer] if relation else {}
            published = data.get(f"{key}-address") or (data.get("ingress-address") if key == "private" else None)
            if published:
                frontend.backends[peer.name.replace("/", "-")] = published
    return [found[address] for address in sorted(found, key=lambda text: (":" in text, ipaddress.ip_address(text)))]
