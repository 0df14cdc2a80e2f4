"""The fence devices: written from Juju secrets to files that the engine reads.

`fencing-config` holds `fencing.toml`; each other key of it becomes a file beside it that the TOML may name.
`maas-credentials` holds `apikey`. With `maas-url` it becomes the device `maas`.
"""

import re

import ops

from tachi_charm.machine import Machine
from tachi_charm.problem import Problem

FOLDER = "/etc/masakari"
FILE = f"{FOLDER}/fencing.toml"
CANDIDATE = f"{FOLDER}/.fencing.candidate.toml"
SECRETS = f"{FOLDER}/fencing"
MAAS_KEY = "maas-apikey"
_NAMED = re.compile(r'^\s*name\s*=\s*["\']maas["\']', re.M)


def content(model: ops.Model, option: str) -> dict[str, str] | None:
    """Returns the content of the secret that an option refers to. Errors contain no part of the secret."""
    secret_id = model.config.get(option)
    if not secret_id:
        return None
    try:
        return model.get_secret(id=str(secret_id)).get_content(refresh=True)
    except (ops.ModelError, ops.SecretNotFoundError) as e:
        raise Problem(f"the secret of option {option} cannot be read: `juju grant-secret {secret_id} {model.app.name}`") from e


def wanted(model: ops.Model) -> tuple[str | None, dict[str, str]]:
    """Returns the text of the devices' file, and the files that it may refer to."""
    configured = content(model, "fencing-config")
    maas = content(model, "maas-credentials")
    url = str(model.config.get("maas-url") or "").strip()
    if bool(url) != bool(maas):
        unset = "maas-credentials" if url else "maas-url"
        raise Problem(f"options maas-url and maas-credentials belong together; {unset} is unset")
    files: dict[str, str] = {}
    text = None
    if configured is not None:
        files = {key: value for key, value in configured.items() if key not in ("fencing-toml", "fencing.toml")}
        text = configured.get("fencing-toml") or configured.get("fencing.toml")
        if not text:
            raise Problem("the secret of option fencing-config has no key `fencing-toml` with the devices' file")
    if maas is not None:
        key = (maas.get("apikey") or "").strip()
        if key.count(":") != 2 or not all(key.split(":")):
            raise Problem("the secret of option maas-credentials needs the key `apikey` with MAAS's consumer:token:secret")
        if not re.fullmatch(r"https?://[^\s\"'\\]+", url):
            raise Problem(f"option maas-url: {url!r} is not an address such as https://maas.example:5443/MAAS")
        files[MAAS_KEY] = key
        if text is None or not _NAMED.search(text):
            device = f'[[device]]\nname = "maas"\ntype = "maas"\nendpoint = "{url}"\ncredential = "file:{SECRETS}/{MAAS_KEY}"\n'
            # An operator who sets http:// accepts that the network can read the key; hacluster accepts it too.
            device += "allow_http = true\n" if url.startswith("http://") else ""
            text = f"{text.rstrip()}\n\n{device}" if text else device
    return text, files


def install(machine: Machine, model: ops.Model, group: str, config: str) -> bool:
    """Writes the files and returns true if one changed. If the engine would refuse the devices' file, the old one
    remains."""
    text, files = wanted(model)
    changed = False
    for name, value in files.items():
        # Juju's keys contain no slash; a name that leads elsewhere is refused nevertheless.
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
            raise Problem(f"the secret of option fencing-config: {name!r} is not a valid file name")
        changed |= machine.write(f"{SECRETS}/{name}", value, 0o440, "root", group)
    if text is None:
        changed |= machine.remove(FILE)
    elif machine.read(FILE) != text:
        _check(machine, text, group, config)
        changed |= machine.write(FILE, text, 0o440, "root", group)
    for name in machine.names(SECRETS):
        if name not in files:
            changed |= machine.remove(f"{SECRETS}/{name}")
    return changed


def _check(machine: Machine, text: str, group: str, config: str) -> None:
    """Checks a devices' file with the engine's own parser."""
    conf = f"{FOLDER}/.fencing.candidate.conf"
    try:
        machine.write(CANDIDATE, text, 0o440, "root", group)
        machine.write(conf, f"[fencing]\ndevices_file = {CANDIDATE}\n", 0o440, "root", group)
        result = machine.run(["tachi", "fence", "test", "--config-file", config, "--config-file", conf], check=False)
        if result.returncode == 127:
            raise Problem("fencing waits for the package tachi", "waiting")
        if result.returncode:
            reason = " ".join((result.stderr or result.stdout or "no reason given").split())
            raise Problem(f"the fence devices are invalid: {reason}".replace(CANDIDATE, "fencing-toml"))
    finally:
        machine.remove(CANDIDATE)
        machine.remove(conf)
