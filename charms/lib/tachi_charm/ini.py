"""Configuration files as oslo.config reads them."""

from collections.abc import Mapping
from typing import Any

from tachi_charm.problem import Problem


def escaped(value: Any) -> str:
    """`$` begins a reference to another option, and a line's end begins another option."""
    text = str(value)
    if "\n" in text or "\r" in text:
        raise Problem("a value for the configuration file has a line break in it; nothing was written")
    return text.replace("$", "$$")


def rendered(charm: str, sections: Mapping[str, Mapping[str, Any]]) -> str:
    """None leaves an option out. The order is the one given, so that equal input gives equal bytes."""
    lines = [f"# Written by the charm {charm}: what is changed here by hand is lost.", ""]
    for section, options in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {escaped(value)}" for name, value in options.items() if value is not None]
        lines.append("")
    return "\n".join(lines)
