"""Requirements of API and engine for reports: Masakari's where it ran before, stricter ones on a new deployment."""

import ops
from tachi_charm import databag
from tachi_charm.memory import Memory
from tachi_charm.problem import Problem

# By option: the value on a new deployment, the value after Masakari, and other valid values.
CHOICES = {"reporter-binding": ("enforce", "warn", "off"), "normal-without-evidence": ("refuse", "wait")}
REPLACES = "replaces-masakari"
_REMEMBERED = "tachi-replaces-masakari"
_FLAG = "reactive.states.charm.installed"


def looked(memory: Memory, present: bool) -> None:
    """On a unit's first hook, before anything is installed. `present`: packages of Masakari, or of an earlier charm of ours,
    which has not written down what it found."""
    if memory.get(_REMEMBERED) is None:
        memory.set(_REMEMBERED, present or memory.has(_FLAG))


def remember(memory: Memory) -> bool:
    """Records that Masakari ran here; returns true if that was unknown."""
    news = not memory.get(_REMEMBERED)
    memory.set(_REMEMBERED, True)
    return news


def replaces(memory: Memory, peers: ops.Relation | None) -> bool:
    """Returns true if Masakari ran here before. A unit that knows it informs all others, and the fact is permanent: a unit
    that is added later must not be stricter than the rest."""
    if any(peers.data[unit].get(REPLACES) == "yes" for unit in (databag.remote_units(peers) if peers else [])):
        memory.set(_REMEMBERED, True)
    return bool(memory.get(_REMEMBERED))


def chosen(config: ops.ConfigData, replaced: bool) -> dict[str, str]:
    """Returns the value of each option; an empty option gets the value for the deployment's history."""
    found = {}
    for option, words in CHOICES.items():
        word = str(config.get(option) or "").strip().lower() or words[replaced]
        if word not in words:
            raise Problem(f"option {option}: {word!r} is not one of {', '.join(words)}")
        found[option] = word
    return found


def loose(config: ops.ConfigData, replaced: bool) -> list[str]:
    """Returns the options that the operator has not decided yet."""
    return [f"{option}={words[0]}" for option, words in CHOICES.items() if replaced and not config.get(option)]
