"""Access to the data of relations."""

import base64

import ops

from tachi_charm.problem import Problem


def remote_units(relation: ops.Relation) -> list[ops.Unit]:
    return sorted(relation.units, key=lambda unit: (unit.name.split("/")[0], int(unit.name.split("/")[1])))


def first(relation: ops.Relation, *required: str) -> dict[str, str] | None:
    """Returns the data of the first remote unit that has all required keys. It never mixes the data of two units, because
    their passwords may differ for a moment."""
    for unit in remote_units(relation):
        data = dict(relation.data[unit])
        if all(given(data.get(key)) for key in required):
            return data
    return None


def given(value: str | None) -> bool:
    """True for a set value. Older charms write None and __null__ as texts."""
    return value not in (None, "", "None", "__null__")


def decoded(value: str | None, what: str) -> str | None:
    """Decodes a text that was sent in base64."""
    if not given(value):
        return None
    try:
        return base64.b64decode(value or "", validate=False).decode()
    except ValueError as e:
        raise Problem(f"{what} is not text in base64") from e


def publish(databag: ops.RelationDataContent, values: dict[str, str | None]) -> None:
    """Writes only changed values, because each write triggers hooks on the other side."""
    for key, value in values.items():
        if value is None:
            if key in databag:
                del databag[key]
        elif databag.get(key) != value:
            databag[key] = value
