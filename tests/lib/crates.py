#!/usr/bin/env python3
"""Third-party crates as they were built, kept between clones.

    crates.py restore TARGET    before the first build: copies them into a target folder that has none
    crates.py keep TARGET       after a build: copies them out, where they are not kept yet

They are kept in $CACHE/crates/KEY, where KEY is made of what their build depends on: Cargo.lock, the toolchain, the profiles and
features of the root Cargo.toml, RUSTFLAGS. Where none of that key are kept, those kept last are taken: most of them are the same. Crates of
the workspace and of paths below it are never kept: their fingerprint has the clone's path. Cargo itself judges what it finds there, by its own
fingerprints, so a wrong copy costs a build and nothing else.
"""
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

FOLDERS = (".fingerprint", "build", "deps")
# Number of combinations of lock file, toolchain and profile to keep; older ones are deleted.
KEPT = 3


def key(repo):
    digest = hashlib.sha256()
    for name in ("Cargo.lock", "Cargo.toml"):
        with open(os.path.join(repo, name), "rb") as file:
            digest.update(file.read())
    digest.update(subprocess.check_output(["rustc", "-vV"]))
    for name in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"):
        digest.update(("%s=%s\n" % (name, os.environ.get(name, ""))).encode())
    return digest.hexdigest()[:20]


def local_names(repo):
    """Returns the names of packages and targets with sources in the clone, in the form that file names start with."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    packages = json.loads(subprocess.check_output(command, cwd=repo, stderr=subprocess.DEVNULL))["packages"]
    names = set()
    for package in packages:
        if package["source"] is None:
            names.add(package["name"])
            names.add(package["name"].replace("-", "_"))
            for target in package["targets"]:
                names.add(target["name"])
                names.add(target["name"].replace("-", "_"))
    return names


def is_local(entry, names):
    """NAME-HASH, libNAME-HASH.rlib, NAME-HASH.d ..."""
    if ".rcgu." in entry:
        return True
    stem = entry.split(".", 1)[0].rsplit("-", 1)[0]
    return stem in names or (stem.startswith("lib") and stem[3:] in names)


def copy(source, target, names):
    count = 0
    for folder in FOLDERS:
        os.makedirs(os.path.join(target, folder), exist_ok=True)
        try:
            entries = os.listdir(os.path.join(source, folder))
        except FileNotFoundError:
            continue
        for entry in entries:
            if is_local(entry, names):
                continue
            from_, to = os.path.join(source, folder, entry), os.path.join(target, folder, entry)
            if os.path.exists(to):
                continue
            if os.path.isdir(from_):
                shutil.copytree(from_, to, symlinks=True)
            else:
                shutil.copy2(from_, to)
            count += 1
    return count


def kept(crates):
    """Returns the folders, the most recently used one last."""
    found = [entry for entry in os.scandir(crates) if entry.is_dir() and not entry.name.endswith(".making")]
    return [entry.path for entry in sorted(found, key=lambda entry: entry.stat().st_mtime)]


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("restore", "keep"):
        sys.exit(__doc__)
    word, target = sys.argv[1], os.path.join(sys.argv[2], "debug")
    repo = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    crates = os.path.join(os.environ["CACHE"], "crates")
    os.makedirs(crates, exist_ok=True)
    place = os.path.join(crates, key(repo))
    began = time.monotonic()
    with open(os.path.join(crates, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if word == "restore":
            if os.path.isdir(os.path.join(target, "deps")):
                return
            if not os.path.isdir(place):
                others = kept(crates)
                if not others:
                    print("no third-party crates are cached; building them")
                    return
                place = others[-1]
                print("no third-party crates of this lock file and toolchain are cached; building the missing ones")
            os.utime(place)
            count = copy(place, target, frozenset())
            print("third-party crates restored from %s (%d files, %.0f s)" % (place, count, time.monotonic() - began))
            return
        names = local_names(repo)
        making = place + ".making"
        shutil.rmtree(making, ignore_errors=True)
        if os.path.isdir(place):
            copy(target, place, names)
        else:
            copy(target, making, names)
            os.rename(making, place)
        for old in kept(crates)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        print("third-party crates are kept in %s (%.0f s)" % (place, time.monotonic() - began))


if __name__ == "__main__":
    main()
