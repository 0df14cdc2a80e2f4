"""Each charm's own modules have short names, so a test run loads the charm that it asks for and no other."""

import dataclasses
import importlib
import pathlib
import sys

import pytest
import yaml
from ops import testing
from tachi_charm.memory import remembering

from fakes import FakeMachine

CHARMS = pathlib.Path(__file__).resolve().parents[2] / "charms"


class Bench:
    """A charm, its machine, and a state that a test changes step by step."""

    def __init__(self, name: str, root: pathlib.Path):
        self.charm_root = root / "charm"
        self.charm_root.mkdir()
        self.machine = FakeMachine(root / "machine")
        self.machine.root.mkdir()
        source = str(CHARMS / name / "src")
        for module, found in list(sys.modules.items()):
            if (getattr(found, "__file__", None) or "").startswith(str(CHARMS)) and "/src/" in found.__file__:
                del sys.modules[module]
        sys.path[:] = [source, *(place for place in sys.path if not place.endswith("/src"))]
        module = importlib.import_module("charm")
        found = next(
            value
            for value in vars(module).values()
            if isinstance(value, type) and value.__module__ == "charm" and hasattr(value, "make_machine")
        )
        machine = self.machine
        self.charm = type(found.__name__, (found,), {"make_machine": staticmethod(lambda: machine)})
        spec = yaml.safe_load((CHARMS / name / "charmcraft.yaml").read_text())
        self.spec = spec
        self.context = testing.Context(
            self.charm,
            meta={key: value for key, value in spec.items() if key not in ("config", "actions", "parts", "platforms", "type")},
            config=spec.get("config"),
            actions=spec.get("actions"),
            charm_root=self.charm_root,
            app_name=name,
            unit_id=0,
        )
        self.on = self.context.on

    def run(self, event, state):
        """A charm gets an empty file for a resource that was not attached."""
        self.machine.commands.clear()
        if not state.resources and "resources" in self.spec:
            empty = self.charm_root / "empty"
            empty.touch()
            state = dataclasses.replace(state, resources={testing.Resource(name="tachi-debs", path=empty)})
        with remembering(self.charm_root):
            return self.context.run(event, state)

    def read(self, name: str) -> str | None:
        return self.machine.read(name)


@pytest.fixture
def bench(tmp_path):
    return lambda name: Bench(name, tmp_path)


def pytest_terminal_summary(terminalreporter):
    """What tests/run counts."""
    failed = sum(len(terminalreporter.stats.get(kind, [])) for kind in ("failed", "error"))
    terminalreporter.write_line(f"{len(terminalreporter.stats.get('passed', []))} passed, {failed} failed")
