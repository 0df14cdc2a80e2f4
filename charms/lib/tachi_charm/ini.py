"""Configuration files as oslo.config reads them."""

from collections.abc import Mapping
from typing import Any

from tachi_charm.problem import Problem


def escaped(value: Any) -> str:
    """Escapes a value: `$` starts a reference to another option, and a line break starts another option."""
    text = str(value)
    if "\n" in text or "\r" in text:
        raise Problem("a value for the configuration file contains a line break; nothing was written")
    return text.replace("$", "$$")


def rendered(charm: str, sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Renders the file. None omits an option. The order of the input is kept, so that equal input gives equal bytes."""
    lines = [f"# Written by the charm {charm}. Manual changes are overwritten.", ""]
    for section, options in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {escaped(value)}" for name, value in options.items() if value is not None]
        lines.append("")
    return "\n".join(lines)
