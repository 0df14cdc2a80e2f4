"""Selection of this unit's addresses and VIPs by endpoint."""

import ipaddress
import logging

import ops

from tachi_charm.machine import Machine
from tachi_charm.problem import Problem

log = logging.getLogger(__name__)
# Endpoint of the catalog: its binding, and the options that override binding and address.
ENDPOINTS = {
    "public": ("public", "os-public-network", "os-public-hostname"),
    "int": ("internal", "os-internal-network", "os-internal-hostname"),
    "admin": ("admin", "os-admin-network", "os-admin-hostname"),
}


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def network(option: str, value: str):
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError as e:
        raise Problem(f"option {option}: {value!r} is not a network such as 192.0.2.0/24") from e


class Addresses:
    """The addresses of this unit. Each query to Juju runs once per hook."""

    def __init__(self, model: ops.Model, machine: Machine, application: str):
        self.model = model
        self.config = model.config
        self.machine = machine
        self.application = application
        self._networks: list[tuple[str, str]] | None = None

    def binding(self, name: str) -> str | None:
        """Returns this unit's address in the space of an endpoint."""
        try:
            found = self.model.get_binding(name)
            address = found.network.bind_address if found else None
        except (ops.ModelError, KeyError):
            return None
        return str(address) if address else None

    def ingress(self, relation: ops.Relation) -> str:
        """Returns this unit's address as the other side sees it."""
        found = self.model.get_binding(relation)
        address = found and (found.network.ingress_address or found.network.bind_address)
        return str(address or self.local())

    def local(self) -> str:
        for name in ("juju-info", "cluster"):
            if address := self.binding(name):
                return address
        raise Problem("Juju has no address of this unit yet", "waiting")

    def networks(self) -> list[tuple[str, str]]:
        if self._networks is None:
            self._networks = self.machine.networks()
        return self._networks

    def within(self, option: str, value: str) -> str | None:
        """Returns this machine's address in a network."""
        wanted = network(option, value)
        for _, interface in self.networks():
            if ipaddress.ip_interface(interface).ip in wanted:
                return str(ipaddress.ip_interface(interface).ip)
        return None

    def own(self, endpoint: str) -> str:
        """Returns this unit's own address for an endpoint, ignoring VIP and host name."""
        binding, option, _ = ENDPOINTS[endpoint]
        if value := self.config.get(option):
            return self.within(option, str(value)) or self.local()
        return self.binding(binding) or self.local()

    def vips(self) -> list[str]:
        vips = str(self.config.get("vip") or "").split()
        for vip in vips:
            try:
                ipaddress.ip_address(vip)
            except ValueError as e:
                raise Problem(f"option vip: {vip!r} is not an IP address; separate several by blanks") from e
        if vips and self.config.get("dns-ha"):
            raise Problem("options vip and dns-ha exclude each other")
        return vips

    def interface(self, vip: str) -> str | None:
        """Returns the interface whose network contains the VIP."""
        for name, address in self.networks():
            if ipaddress.ip_address(vip) in ipaddress.ip_interface(address).network:
                return name
        return None

    def prefix(self, address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
        for _, interface in self.networks():
            if ipaddress.ip_interface(interface).ip == ipaddress.ip_address(address):
                return ipaddress.ip_interface(interface).network
        return None

    def endpoint(self, endpoint: str, clustered: bool) -> str:
        """Returns the address of an endpoint in the catalog."""
        binding, option, override = ENDPOINTS[endpoint]
        if host := self.config.get(override):
            return str(host).replace("{service_name}", self.application)
        vips = self.vips()
        if not (clustered and vips):
            return self.own(endpoint)
        if value := self.config.get(option):
            wanted = network(option, str(value))
        else:
            address = self.binding(binding)
            wanted = self.prefix(address) if address else None
        for vip in vips:
            if wanted and ipaddress.ip_address(vip) in wanted:
                return vip
        if len(vips) > 1:
            log.warning("no VIP is in the network of the endpoint %s (%s); using %s", binding, wanted, vips[0])
        return vips[0]
