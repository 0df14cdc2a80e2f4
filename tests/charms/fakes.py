"""A machine in a folder: it records commands, and has packages and services that follow them."""

import pathlib
import subprocess

from tachi_charm.machine import Machine
from tachi_charm.problem import Failed


class FakeMachine(Machine):
    """Commands are answered from `answers`, by what they begin with; else they succeed and say nothing."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.commands: list[str] = []
        self.packages: dict[str, str] = {}
        self.candidates: dict[str, str] = {
            "haproxy": "2.8",
            "masakari-api": "17.0",
            "masakari-engine": "17.0",
            "python3-sqlalchemy-utils": "1",
        }
        self.units: dict[str, str] = {}
        self.masked: set[str] = set()
        self.at_boot: set[str] = set()
        self.broken: set[str] = set()
        self.ports: set[int] = {15868, 15858}
        self.answers: dict[str, tuple[int, str, str]] = {}
        self.leader: dict[str, str] = {}
        self.modes: dict[str, tuple[int, str, str]] = {}
        self.interfaces = [("eth0", "10.0.0.11/24"), ("eth1", "10.1.0.11/24"), ("eth2", "10.2.0.11/24")]

    def path(self, name: str) -> pathlib.Path:
        return self.root / name.lstrip("/")

    def own(self, fd: int, user: str, group: str) -> None:
        pass

    def write(self, name, content, mode=0o640, user="root", group="root"):
        self.modes[name] = (mode, user, group)
        return super().write(name, content, mode, user, group)

    def run(self, command, check=True, timeout=1800):
        line = " ".join(command)
        self.commands.append(line)
        for begin, (code, out, err) in self.answers.items():
            if line.startswith(begin):
                if check and code:
                    raise Failed(f"`{line}` exited {code}: {err}")
                return subprocess.CompletedProcess(command, code, out, err)
        if command[0] == "dpkg-deb":
            name, version, arch = pathlib.Path(command[2]).stem.split("_")
            said = f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\n"
            return subprocess.CompletedProcess(command, 0, said, "")
        return subprocess.CompletedProcess(command, 0, "", "")

    def apt(self, *arguments):
        self.commands.append("apt " + " ".join(arguments))
        if arguments[0] != "install":
            return
        for name in arguments[1:]:
            if name.endswith("-"):
                self.packages.pop(name[:-1], None)
            elif name.endswith(".deb"):
                package, version, _ = pathlib.Path(name).stem.split("_")
                self.packages[package] = version
            else:
                self.packages[name] = self.candidates.get(name, "1")

    def installed(self, package):
        return self.packages.get(package)

    def candidate(self, package):
        return self.candidates.get(package)

    def architecture(self):
        return "amd64"

    def systemctl(self, *arguments):
        self.commands.append("systemctl " + " ".join(arguments))
        verb, unit = arguments[0], arguments[-1]
        if verb == "mask":
            self.masked.add(unit)
        elif verb in ("enable", "disable"):
            (self.at_boot.add if verb == "enable" else self.at_boot.discard)(unit)
        elif verb == "unmask":
            self.masked.discard(unit)
        elif verb in ("start", "restart", "reload-or-restart"):
            if unit in self.masked or unit in self.broken:
                return False
            self.units[unit] = "active"
        elif verb == "stop":
            self.units.pop(unit, None)
        elif verb == "is-active":
            return unit in self.units
        return True

    def running(self, unit):
        return unit in self.units

    def enabled(self, unit):
        return unit in self.at_boot

    def fqdn(self):
        return "juju-1-lxd-0.maas"

    def cpus(self):
        return 8

    def networks(self):
        return list(self.interfaces)

    def listens(self, port, patience=0):
        return port in self.ports

    def leader_set(self, key, value):
        self.leader[key] = value

    def did(self, *begins: str) -> list[str]:
        return [line for line in self.commands if line.startswith(begins)]
