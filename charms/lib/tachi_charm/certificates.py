"""The unit's certificate: from options, or from the relation `certificates`.

Two protocols share the interface's name. The machine charm vault uses the older one: it creates the key and sends it.
A provider of the newer one waits for a signing request and would never answer; the charm detects and reports that.
"""

import dataclasses
import json
import uuid

import ops

from tachi_charm import databag
from tachi_charm.machine import Machine
from tachi_charm.problem import Problem

AUTHORITIES = "/usr/local/share/ca-certificates"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@dataclasses.dataclass(frozen=True)
class Certificate:
    certificate: str
    key: str


def request(relation: ops.Relation, unit: ops.Unit, name: str, sans: list[str]) -> None:
    """Requests one certificate for all names of the unit."""
    data = relation.data[unit]
    databag.publish(
        data,
        {
            "unit_name": unit.name.replace("/", "_"),
            "common_name": name,
            "sans": json.dumps(sorted(set(sans))),
            "certificate_name": data.get("certificate_name") or str(uuid.uuid4()),
            # The additional requests of the reactive charm: our names include theirs.
            "cert_requests": None,
        },
    )


def _newer(relation: ops.Relation) -> bool:
    return bool(relation.app) and "certificates" in relation.data[relation.app]


def received(relation: ops.Relation | None, unit: ops.Unit) -> Certificate | None:
    if relation is None:
        return None
    if _newer(relation):
        raise Problem(
            "relation certificates: this provider needs signing requests, which are not supported; relate to vault, or set "
            "ssl_cert and ssl_key"
        )
    name = unit.name.replace("/", "_")
    data = databag.first(relation, f"{name}.server.cert", f"{name}.server.key")
    if not data:
        return None
    chain = data.get("chain", "")
    certificate = data[f"{name}.server.cert"].rstrip("\n") + "\n"
    if databag.given(chain):
        certificate += chain.rstrip("\n") + "\n"
    return Certificate(certificate, data[f"{name}.server.key"])


def configured(config: ops.ConfigData) -> Certificate | None:
    """Returns the certificate from the options, which override the relation."""
    if not (config.get("ssl_cert") or config.get("ssl_key")):
        return None
    if not (config.get("ssl_cert") and config.get("ssl_key")):
        raise Problem("options ssl_cert and ssl_key belong together; one of them is unset")
    certificate = databag.decoded(str(config["ssl_cert"]), "option ssl_cert")
    key = databag.decoded(str(config["ssl_key"]), "option ssl_key")
    for text, option in ((certificate, "ssl_cert"), (key, "ssl_key")):
        if not text or "-----BEGIN " not in text:
            raise Problem(f"option {option} is not PEM in base64")
    return Certificate(certificate or "", key or "")


def authorities(relation: ops.Relation | None, config: ops.ConfigData, keystone: str | None) -> dict[str, str | None]:
    """Returns the authorities that this machine must trust, by source."""
    sent = databag.first(relation, "ca") if relation is not None and not _newer(relation) else None
    found: dict[str, str | None] = {"": (sent or {}).get("ca"), "-chain": (sent or {}).get("chain"), "-keystone": keystone}
    if config.get("ssl_ca"):
        found[""] = databag.decoded(str(config["ssl_ca"]), "option ssl_ca")
    return {name: text if databag.given(text) else None for name, text in found.items()}


def trust(machine: Machine, application: str, found: dict[str, str | None]) -> bool:
    """Makes the machine trust the authorities; true if that changed."""
    changed = False
    for suffix, text in found.items():
        file = f"{AUTHORITIES}/{application}{suffix}.crt"
        if text:
            if "-----BEGIN CERTIFICATE-----" not in text:
                raise Problem(f"the authority for {file} is not a certificate in PEM")
            changed |= machine.write(file, text.rstrip("\n") + "\n", 0o644)
        else:
            changed |= machine.remove(file)
    if changed:
        machine.run(["update-ca-certificates", "--fresh"])
    return changed
