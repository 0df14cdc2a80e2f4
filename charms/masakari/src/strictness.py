"""How much API and engine ask of a report: as Masakari did where it ran before, more where it never has."""

import ops
from tachi_charm import databag
from tachi_charm.memory import Memory
from tachi_charm.problem import Problem

# By option: on a new deployment, in place of Masakari, and what else may be written.
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
    """That Masakari was here; true if that is news."""
    news = not memory.get(_REMEMBERED)
    memory.set(_REMEMBERED, True)
    return news


def replaces(memory: Memory, peers: ops.Relation | None) -> bool:
    """Whether Masakari ran here before. One unit that knows it tells all others, and none forgets it: a unit that is added
    later must not be stricter than the rest."""
    if any(peers.data[unit].get(REPLACES) == "yes" for unit in (databag.remote_units(peers) if peers else [])):
        memory.set(_REMEMBERED, True)
    return bool(memory.get(_REMEMBERED))


def chosen(config: ops.ConfigData, replaced: bool) -> dict[str, str]:
    """What is written for each option; an empty one is chosen by what ran before."""
    found = {}
    for option, words in CHOICES.items():
        word = str(config.get(option) or "").strip().lower() or words[replaced]
        if word not in words:
            raise Problem(f"option {option}: {word!r} is none of {', '.join(words)}")
        found[option] = word
    return found


def loose(config: ops.ConfigData, replaced: bool) -> list[str]:
    """What an operator has still to decide, as the option to set."""
    return [f"{option}={words[0]}" for option, words in CHOICES.items() if replaced and not config.get(option)]
