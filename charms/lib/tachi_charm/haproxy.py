"""haproxy.cfg: balances the port of the catalog over the API units.

The arithmetic of ports is that of the reactive charm, so that old and new units of one application balance each other while
they are refreshed: haproxy has the port, the API listens ten below, with TLS or without.
"""

import dataclasses

STATISTICS = 8888
TIMEOUTS = {"queue": 9000, "connect": 9000, "client": 90000, "server": 90000}


@dataclasses.dataclass(frozen=True)
class Frontend:
    """An address of this unit, its network, and the backends in that network."""

    address: str
    network: str
    backends: dict[str, str]


def rendered(
    service: str,
    port: int,
    backend_port: int,
    frontends: list[Frontend],
    default: str,
    tls: bool,
    timeouts: dict[str, int | None],
    password: str,
    ipv6: bool,
) -> str:
    lines = [
        "# Written by the charm masakari. Manual changes are overwritten.",
        "global",
        "    log /dev/log local0",
        "    log /dev/log local1 notice",
        "    maxconn 20000",
        # The limit of open files in a container may be too low for maxconn; haproxy then still starts.
        "    no strict-limits",
        "    user haproxy",
        "    group haproxy",
        "    spread-checks 0",
        "    stats socket /var/run/haproxy/admin.sock mode 600 level admin",
        "    stats timeout 2m",
        "",
        "defaults",
        "    log global",
        "    mode tcp",
        "    option tcplog",
        "    option dontlognull",
        "    retries 3",
    ]
    lines += [f"    timeout {name} {timeouts.get(name) or usual}" for name, usual in TIMEOUTS.items()]
    lines += [
        "",
        "listen stats",
        f"    bind 127.0.0.1:{STATISTICS}",
        "    mode http",
        "    stats enable",
        "    stats hide-version",
        "    stats realm Haproxy\\ Statistics",
        "    stats uri /",
        f"    stats auth admin:{password}",
        "",
        f"frontend tcp-in_{service}",
        f"    bind *:{port}",
    ]
    if ipv6:
        lines.append(f"    bind :::{port} v6only")
    for frontend in frontends:
        lines += [
            f"    acl net_{frontend.address} dst {frontend.network}",
            f"    use_backend {service}_{frontend.address} if net_{frontend.address}",
        ]
    lines.append(f"    default_backend {service}_{default}")
    for frontend in frontends:
        lines += ["", f"backend {service}_{frontend.address}", "    balance leastconn"]
        lines += [
            f"    server {unit} {address}:{backend_port} check{' check-ssl verify none' if tls else ''}"
            for unit, address in sorted(frontend.backends.items())
        ]
    return "\n".join(lines) + "\n"
