"""The unit agent: unpacks a packed charm and runs its `dispatch` for hooks and actions, as Juju does. Needs no library."""

import json
import os
import pathlib
import shutil
import subprocess
import zipfile

import tools


class HookFailed(Exception):
    pass


class Agent:
    """One unit. `model` is what Juju would know; it is changed by tests and by the charm's calls."""

    def __init__(self, folder: pathlib.Path, unit: str, address: str, python: str | None = None):
        self.folder = folder
        self.charm_dir = folder / "charm"
        self.file = folder / "model.json"
        self.python = python
        self.links = folder / "bin"
        self.links.mkdir(parents=True)
        tool = pathlib.Path(tools.__file__).resolve()
        for name in tools.TOOLS:
            (self.links / name).symlink_to(tool)
        self.model = {
            "unit": unit, "leader": True, "config": {}, "relations": [], "networks": {"": address}, "secrets": {},
            "resources": {}, "statuses": [["unknown", ""]], "ports": [], "version": "", "leader_settings": {}, "log": [],
            "calls": [], "action": {"params": {}, "results": {}, "failed": None},
        }  # fmt: skip
        self.options: dict[str, object] = {}

    # --- the model ---

    def relate(self, endpoint: str, app: str, units: dict[str, dict[str, str]], app_data: dict[str, str] | None = None) -> dict:
        found = {
            "id": len(self.model["relations"]) + 1, "endpoint": endpoint, "app": app, "units": units,
            "app_data": app_data or {}, "local": {"private-address": self.model["networks"][""]},
        }  # fmt: skip
        self.model["relations"].append(found)
        return found

    def relation(self, endpoint: str) -> dict:
        return next(one for one in self.model["relations"] if one["endpoint"] == endpoint)

    @property
    def status(self) -> list[str]:
        return self.model["statuses"][-1]

    # --- the charm ---

    def deploy(self, charm: pathlib.Path) -> None:
        """A refresh puts the new files in place of the old ones and leaves what the charm wrote itself."""
        kept = self.charm_dir / ".unit-state.db"
        state = kept.read_bytes() if kept.exists() else None
        shutil.rmtree(self.charm_dir, ignore_errors=True)
        with zipfile.ZipFile(charm) as archive:
            archive.extractall(self.charm_dir)  # noqa: S202
            for info in archive.infolist():
                (self.charm_dir / info.filename).chmod(info.external_attr >> 16 & 0o777)
        if state is not None:
            kept.write_bytes(state)
        self.meta = self._yaml("metadata.yaml")
        self.defaults = {name: option["default"] for name, option in self._yaml("config.yaml")["options"].items() if "default" in option}

    def _yaml(self, name: str) -> dict:
        code = "import json,sys,yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"
        said = subprocess.run(
            ["python3", "-c", code, str(self.charm_dir / name)], check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(self.charm_dir / "venv")},
        )  # fmt: skip
        return json.loads(said.stdout)

    def fire(self, hook: str, relation: dict | None = None, unit: str | None = None) -> list[str]:
        """Runs a hook; the unit's status afterwards."""
        return self._dispatch({"JUJU_DISPATCH_PATH": f"hooks/{hook}", "JUJU_HOOK_NAME": hook}, relation, unit)

    def act(self, action: str, **params: object) -> dict:
        """Runs an action: its results, with `failed`."""
        self.model["action"] = {
            "params": {key.replace("_", "-"): value for key, value in params.items()},
            "results": {},
            "failed": None,
        }
        self._dispatch({"JUJU_DISPATCH_PATH": f"actions/{action}", "JUJU_ACTION_NAME": action, "JUJU_ACTION_UUID": "1"})
        return {**self.model["action"]["results"], "failed": self.model["action"]["failed"]}

    def _dispatch(self, more: dict[str, str], relation: dict | None = None, unit: str | None = None) -> list[str]:
        self.model["config"] = {**self.defaults, **self.options}
        self.file.write_text(json.dumps(self.model))
        environment = {
            "PATH": f"{self.links}:{os.environ['PATH']}", "HOME": "/root", "LANG": "C.UTF-8", "TACHI_JUJU_MODEL": str(self.file),
            "JUJU_CHARM_DIR": str(self.charm_dir), "CHARM_DIR": str(self.charm_dir), "JUJU_UNIT_NAME": self.model["unit"],
            "JUJU_MODEL_NAME": "test", "JUJU_MODEL_UUID": "00000000-0000-0000-0000-000000000000", "JUJU_VERSION": "3.6.1", **more,
        }  # fmt: skip
        if relation:
            environment |= {
                "JUJU_RELATION": relation["endpoint"], "JUJU_RELATION_ID": f"{relation['endpoint']}:{relation['id']}",
                "JUJU_REMOTE_APP": relation["app"],
            }  # fmt: skip
            if unit:
                environment["JUJU_REMOTE_UNIT"] = unit
        command = ["./dispatch"]
        if self.python:
            # Another Python than the machine's: what `dispatch` says, with that one.
            command = [self.python, "src/charm.py"]
            environment |= {"PYTHONPATH": "lib:venv", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=self.charm_dir, env=environment, capture_output=True, text=True, check=False)
        self.model = json.loads(self.file.read_text())
        if done.returncode:
            raise HookFailed(
                f"{more['JUJU_DISPATCH_PATH']} exited {done.returncode}:\n{done.stdout}{done.stderr}\n" + "\n".join(self.model["log"][-20:])
            )
        return self.status
