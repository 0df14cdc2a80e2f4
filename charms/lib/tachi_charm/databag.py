"""What the other side of a relation says."""

import base64

import ops

from tachi_charm.problem import Problem


def remote_units(relation: ops.Relation) -> list[ops.Unit]:
    return sorted(relation.units, key=lambda unit: (unit.name.split("/")[0], int(unit.name.split("/")[1])))


def first(relation: ops.Relation, *required: str) -> dict[str, str] | None:
    """The data of the first remote unit that has all that is required. Data of two units is never mixed: they may be at
    different passwords for a moment."""
    for unit in remote_units(relation):
        data = dict(relation.data[unit])
        if all(given(data.get(key)) for key in required):
            return data
    return None


def given(value: str | None) -> bool:
    """Older charms write None and __null__ as texts."""
    return value not in (None, "", "None", "__null__")


def decoded(value: str | None, what: str) -> str | None:
    """Text that was sent in base64."""
    if not given(value):
        return None
    try:
        return base64.b64decode(value or "", validate=False).decode()
    except ValueError as e:
        raise Problem(f"{what} is not text in base64") from e


def publish(databag: ops.RelationDataContent, values: dict[str, str | None]) -> None:
    """Only what changed: each write wakes the other side up."""
    for key, value in values.items():
        if value is None:
            if key in databag:
                del databag[key]
        elif databag.get(key) != value:
            databag[key] = value
