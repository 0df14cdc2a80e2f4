"""Sources and installation of Tachi's packages.

An apt line in `tachi-source` takes precedence, then the resource `tachi-debs`, then the debs inside the charm. The
packages of
Masakari are removed in the same transaction, never purged: their purge would remove data.
"""

import dataclasses
import pathlib
import tarfile

from tachi_charm.machine import Machine
from tachi_charm.memory import Memory
from tachi_charm.problem import Problem

LIST = "/etc/apt/sources.list.d/tachi.list"
KEY = "/etc/apt/keyrings/tachi.asc"
SOURCE = "tachi-source"
RESTORED = "tachi-restored"


@dataclasses.dataclass(frozen=True)
class Offer:
    """An installable version: by its name from apt's source, or from a file."""

    version: str
    target: str


class Packages:
    """A package of Tachi, and the distribution's packages that it replaces."""

    def __init__(
        self,
        machine: Machine,
        memory: Memory,
        charm_dir: pathlib.Path,
        package: str,
        instead_of: tuple[str, ...],
        source: str,
        resource: pathlib.Path | None,
    ):
        self.machine = machine
        self.memory = memory
        self.charm_dir = charm_dir
        self.package = package
        self.instead_of = instead_of
        self.source = source.strip()
        self.resource = resource

    def installed(self) -> str | None:
        return self.machine.installed(self.package)

    # --- available versions ---

    def _apt_source(self) -> bool:
        """Writes the apt source and returns true if it changed."""
        if not self.source:
            return self.machine.remove(LIST) | self.machine.remove(KEY)
        line, _, key = (part.strip() for part in self.source.partition("|"))
        if not line.startswith("deb ") or "\n" in line:
            raise Problem(
                "option tachi-source is not an apt line; write `deb URL SUITE COMPONENT`, optionally followed by | and an "
                "armoured key"
            )
        changed = False
        if key:
            if not key.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----"):
                raise Problem("option tachi-source: the text after | is not an armoured public key (key ids are not supported)")
            changed = self.machine.write(KEY, key + "\n", 0o644)
            if "signed-by=" not in line:
                options = line[4:].lstrip()
                rest = f" {options[1:]}" if options.startswith("[") else f"] {options}"
                line = f"deb [signed-by={KEY}{rest}"
        else:
            changed = self.machine.remove(KEY)
        return self.machine.write(LIST, line + "\n", 0o644) | changed

    def _files(self) -> list[pathlib.Path]:
        if self.resource and self.resource.exists() and self.resource.stat().st_size:
            return self._unpacked(self.resource)
        folder = self.charm_dir / "debs"
        return sorted(folder.glob("*.deb")) if folder.is_dir() else []

    def _unpacked(self, resource: pathlib.Path) -> list[pathlib.Path]:
        if not tarfile.is_tarfile(resource):
            return [resource]
        folder = self.machine.path("/var/lib/tachi-charm/debs")
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.deb"):
            old.unlink()
        with tarfile.open(resource) as archive:
            for member in archive:
                name = pathlib.PurePosixPath(member.name).name
                content = archive.extractfile(member) if member.isfile() and name.endswith(".deb") else None
                if content:
                    (folder / name).write_bytes(content.read())
        found = sorted(folder.glob("*.deb"))
        if not found:
            raise Problem("the resource tachi-debs contains no deb")
        return found

    def offer(self) -> Offer | None:
        """Returns the version that would be installed now. `refresh` activates a changed source."""
        if self.source:
            version = self.machine.candidate(self.package)
            return Offer(version, self.package) if version else None
        for file in self._files():
            fields = self.machine.deb(file)
            if fields.get("Package") == self.package and fields.get("Architecture") in ("all", self.machine.architecture()):
                return Offer(fields["Version"], str(file))
        return None

    def refresh(self) -> None:
        """Activates a changed source."""
        if self._apt_source() or (self.source and self.memory.get(SOURCE) != self.source):
            self.machine.apt("update")
            self.memory.set(SOURCE, self.source)

    # --- installing ---

    def newer(self) -> bool:
        offer = self.offer()
        return offer is not None and offer.version != self.installed()

    def ensure(self, upgrade: bool) -> bool:
        """Installs the package if it is missing, and with `upgrade` the available version. Returns true if it
        installed one."""
        self.refresh()
        have = self.installed()
        if have and not upgrade:
            return False
        offer = self.offer()
        if offer is None:
            if have:
                return False
            raise Problem(
                f"package {self.package} is not available: attach the resource tachi-debs, set tachi-source, "
                "or build the charm with debs"
            )
        if offer.version == have:
            return False
        gone = [f"{name}-" for name in self.instead_of if self.machine.installed(name)]
        if not self.source:
            # Its dependencies come from the distribution.
            self.machine.apt("update")
        self.machine.apt("install", offer.target, *gone)
        return True

    def restore(self, packages: tuple[str, ...]) -> None:
        """Replaces our package with the distribution's packages."""
        self.machine.apt("update")
        missing = [name for name in packages if not self.machine.candidate(name)]
        if missing:
            raise Problem(f"apt has no package {', '.join(missing)}: first add the source of the distribution's OpenStack")
        have = [f"{self.package}-"] if self.installed() else []
        self.machine.apt("install", *packages, *have)
