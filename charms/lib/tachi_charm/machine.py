"""All operations on the machine: files, packages, services, commands. Tests replace this class."""

import grp
import json
import os
import pathlib
import pwd
import socket
import stat
import subprocess
import tempfile
import time

from tachi_charm.problem import Failed

APT = [
    "apt-get",
    "--assume-yes",
    "--no-install-recommends",
    "--allow-downgrades",
    "--option=DPkg::Lock::Timeout=300",
    "--option=Dpkg::Options::=--force-confdef",
    # Keeps changes of the operator and the charm in /etc.
    "--option=Dpkg::Options::=--force-confold",
]


class Machine:
    """The machine of this unit."""

    # --- files ---

    def path(self, name: str) -> pathlib.Path:
        return pathlib.Path(name)

    def read_bytes(self, name: str) -> bytes | None:
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            return None

    def read(self, name: str) -> str | None:
        content = self.read_bytes(name)
        return None if content is None else content.decode()

    def own(self, fd: int, user: str, group: str) -> None:
        try:
            wanted = (pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
        except KeyError as e:
            raise Failed(f"unknown user or group in {user}:{group}: {e}") from e
        found = os.fstat(fd)
        # Services watch their files, and a change of owner triggers them too.
        if (found.st_uid, found.st_gid) != wanted:
            os.fchown(fd, *wanted)

    def write(self, name: str, content: str | bytes, mode: int = 0o640, user: str = "root", group: str = "root") -> bool:
        """Writes a file atomically and returns true if it changed. Corrects owner and mode in any case."""
        path = self.path(name)
        content = content.encode() if isinstance(content, str) else content
        if self.read_bytes(name) == content and not path.is_symlink():
            fd = os.open(path, os.O_RDONLY)
            try:
                self.own(fd, user, group)
                if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
                    os.fchmod(fd, mode)
            finally:
                os.close(fd)
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(fd, "wb") as file:
                self.own(fd, user, group)
                os.fchmod(fd, mode)
                file.write(content)
                file.flush()
                os.fsync(fd)
            os.replace(temporary, path)
        except BaseException:
            pathlib.Path(temporary).unlink(missing_ok=True)
            raise
        return True

    def remove(self, name: str) -> bool:
        path = self.path(name)
        if not (path.exists() or path.is_symlink()):
            return False
        path.unlink()
        return True

    def names(self, name: str) -> list[str]:
        path = self.path(name)
        return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []

    # --- commands ---

    def run(self, command: list[str], check: bool = True, timeout: int = 1800) -> subprocess.CompletedProcess:
        """Runs a command. Arguments are visible in the process list and the log, so they must not contain secrets."""
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        # Programs must not use the charm's own libraries.
        environment.pop("PYTHONPATH", None)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
        except FileNotFoundError as e:
            if check:
                raise Failed(f"{command[0]} is not installed") from e
            return subprocess.CompletedProcess(command, 127, "", f"{command[0]} is not installed")
        except subprocess.TimeoutExpired as e:
            raise Failed(f"`{' '.join(command)}` did not finish within {timeout} s") from e
        if check and done.returncode:
            output = "\n".join((done.stderr or done.stdout).strip().splitlines()[-10:])
            raise Failed(f"`{' '.join(command)}` exited {done.returncode}: {output}")
        return done

    # --- packages ---

    def apt(self, *arguments: str) -> None:
        self.run([*APT, *arguments])

    def installed(self, package: str) -> str | None:
        """Returns the installed version."""
        done = self.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package], check=False)
        status, _, version = done.stdout.strip().partition(" ")
        return version if done.returncode == 0 and status == "installed" else None

    def candidate(self, package: str) -> str | None:
        """Returns the version that apt would install."""
        for line in self.run(["apt-cache", "policy", package], check=False).stdout.splitlines():
            key, _, value = line.strip().partition(": ")
            if key == "Candidate" and value != "(none)":
                return value
        return None

    def architecture(self) -> str:
        return self.run(["dpkg", "--print-architecture"]).stdout.strip()

    def deb(self, file: pathlib.Path) -> dict[str, str]:
        output = self.run(["dpkg-deb", "-f", str(file), "Package", "Version", "Architecture"]).stdout
        return dict(line.split(": ", 1) for line in output.splitlines() if ": " in line)

    # --- services ---

    def systemctl(self, *arguments: str) -> bool:
        return self.run(["systemctl", *arguments], check=False).returncode == 0

    def running(self, unit: str) -> bool:
        return self.systemctl("is-active", "--quiet", unit)

    def enabled(self, unit: str) -> bool:
        return self.systemctl("is-enabled", "--quiet", unit)

    def start(self, unit: str) -> bool:
        """Starts a unit, now and at each boot, and removes the mask of a pause."""
        self.systemctl("unmask", unit)
        self.systemctl("enable", unit)
        return self.running(unit) or self.systemctl("start", unit)

    def stop(self, unit: str, mask: bool = True) -> bool:
        """Stops a unit, and keeps it stopped at the next boot."""
        self.systemctl("stop", unit)
        self.systemctl("disable", unit)
        if mask:
            self.systemctl("mask", unit)
        return not self.running(unit)

    # --- facts ---

    def fqdn(self) -> str:
        return socket.getfqdn()

    def cpus(self) -> int:
        return os.cpu_count() or 1

    def in_container(self) -> bool:
        return self.run(["systemd-detect-virt", "--container", "--quiet"], check=False).returncode == 0

    def networks(self) -> list[tuple[str, str]]:
        """Returns (interface, address/prefix) of this machine, without loopback and link-local addresses."""
        done = self.run(["ip", "-json", "address"], check=False)
        if done.returncode:
            return []
        return [
            (link["ifname"], f"{address['local']}/{address['prefixlen']}")
            for link in json.loads(done.stdout)
            for address in link.get("addr_info", [])
            if address.get("scope") == "global"
        ]

    def listens(self, port: int, patience: float = 0) -> bool:
        """Returns true if the port accepts connections. Waits up to `patience` seconds for a service that was just
        started."""
        until = time.monotonic() + patience
        while True:
            for address in ("127.0.0.1", "::1"):
                try:
                    socket.create_connection((address, port), timeout=2).close()
                    return True
                except OSError:
                    pass
            if time.monotonic() >= until:
                return False
            time.sleep(0.2)

    def leader_set(self, key: str, value: str) -> None:
        """Stores a leader setting, which the reactive charms use; ops does not support them."""
        self.run(["leader-set", f"{key}={value}"])
