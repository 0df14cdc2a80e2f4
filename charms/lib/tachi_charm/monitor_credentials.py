"""Interface tachi-monitor-credentials: a monitor publishes its host, and gets an application credential bound to that host.

A unit publishes `host` in its own databag. The API's application publishes in its databag, by unit name, the host of
the unit
and the secret that only this unit may read.
"""

import dataclasses
import json

import ops

from tachi_charm import databag

ENDPOINT = "monitor-credentials"


@dataclasses.dataclass(frozen=True)
class Entry:
    """The entry of the API's application for one unit."""

    host: str
    secret: str


@dataclasses.dataclass(frozen=True)
class Bound:
    """An application credential for one host."""

    auth_url: str
    id: str
    secret: str


def request(relation: ops.Relation, unit: ops.Unit, host: str) -> None:
    databag.publish(relation.data[unit], {"host": host})


def entry(data: ops.RelationDataContent, unit: str) -> Entry | None:
    try:
        published = json.loads(data.get(unit) or "null")
        return Entry(str(published["host"]), str(published["secret"])) if published else None
    except (ValueError, TypeError, KeyError):
        return None


def granted(model: ops.Model, relation: ops.Relation, unit: ops.Unit, host: str) -> Bound | None:
    """Returns the credential; `None` if it is missing or belongs to another host."""
    published = entry(relation.data[relation.app], unit.name) if relation.app else None
    if published is None or published.host != host:
        return None
    try:
        content = model.get_secret(id=published.secret).get_content(refresh=True)
    except (ops.ModelError, ops.SecretNotFoundError):
        return None
    if not all(content.get(key) for key in ("auth-url", "credential-id", "credential-secret")):
        return None
    return Bound(content["auth-url"], content["credential-id"], content["credential-secret"])
