#!/usr/bin/env python3
"""packaging/release with programs that stand for ours, without images and charms: what is in the folder, its sums, the SBOM, the licences; the
same bytes twice; and what it refuses."""
import argparse
import fnmatch
import importlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PASSED, FAILED = [], []


def check(name, good, why=""):
    (PASSED if good else FAILED).append(name)
    print("%s %s%s" % ("ok     " if good else "FAILED ", name, "" if good else "\n%s" % why), flush=True)


def stubs(work):
    """This machine's `true`, and the same with the header of a program for arm64."""
    with open("/bin/true", "rb") as f:
        data = bytearray(f.read())
    data[18:20] = (183).to_bytes(2, "little")
    folder = os.path.join(work, "binaries")
    os.mkdir(folder)
    for name in ("tachi", "tachi-monitor"):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
    return folder


def release(out, *words, **more):
    command = [os.path.join(REPO, "packaging/release"), "--without", "images", "--without", "charms", "--glibc", "2.999", "--out", out, *words]
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1790000000", **more.pop("env", {})}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=env, **more)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def folder(out, version):
    """What is in it, and that the sums are of all of it."""
    wanted = {"tachi_%s-1_arm64.deb", "tachi-monitors_%s-1_arm64.deb", "tachi-%s-1.aarch64.rpm", "tachi-monitors-%s-1.aarch64.rpm",
              "tachi-%s-linux-arm64.tar.gz", "tachi-%s-source.tar.gz", "tachi-%s.cdx.json"}
    wanted = {name % version for name in wanted} | {"third-party-arm64-tachi.txt", "third-party-arm64-tachi-monitor.txt", "NOTES.md"}
    found = set(os.listdir(out)) - {"SHA256SUMS"}
    check("what is named is there, and nothing else", found == wanted, found ^ wanted)
    done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=out, capture_output=True, text=True, check=False)
    check("the sums are right", done.returncode == 0, done.stdout + done.stderr)
    check("and of everything", {line.split()[1] for line in read(out, "SHA256SUMS").splitlines()} == found)
    check("the notes are the changelog's", len(read(out, "NOTES.md").splitlines()) > 3 and read(out, "NOTES.md").startswith("# Tachi " + version))
    told = re.findall(r"`([^`]+)`", "".join(line.split("|")[1] for line in read(out, "NOTES.md").split("## Files")[1].splitlines() if line.startswith("| `")))
    untold = [name for name in found - {"NOTES.md"} if not any(fnmatch.fnmatch(name, pattern) for pattern in told)]
    check("and tell what each file is", told and not untold, untold)
    with tarfile.open(os.path.join(out, "tachi-%s-linux-arm64.tar.gz" % version)) as archive:
        shown = {entry.name: (entry.mode, entry.mtime, entry.uid) for entry in archive}
    check("the binaries can be started, and tell no time and no user of this machine",
          all(shown.get("tachi-%s/%s" % (version, name)) == (0o755, 1790000000, 0) for name in ("tachi", "tachi-monitor")), shown)


def bill(out, version):
    told = json.loads(read(out, "tachi-%s.cdx.json" % version))
    parts = {(one["name"], one["version"]): one for one in told["components"]}
    names = {name for name, _ in parts}
    with open(os.path.join(REPO, "Cargo.lock"), "rb") as f:
        locked = tomllib.load(f)["package"]
    check("every part is a crate of Cargo.lock, or SQLite", set(parts) - {(one["name"], one["version"]) for one in locked} ==
          {(name, version) for name, version in parts if name == "sqlite"})
    wrong = [one["name"] for one in locked if (one["name"], one["version"]) in parts and one.get("checksum") and
             parts[(one["name"], one["version"])]["hashes"] != [{"alg": "SHA-256", "content": one["checksum"]}]]
    check("with its sum", not wrong, wrong)
    check("both binaries are in it, TLS and the database, and SQLite inside it", {"tachi", "tachi-monitor", "rustls", "ring", "sqlite"} <= names)
    check("what only tests use is not", not {"proptest", "tachi-tests"} & names, names)
    scopes = {one["name"]: one["scope"] for one in told["components"]}
    check("what only builds is told apart", [scopes.get(name) for name in ("sqlite", "tokio", "cc", "tokio-macros")] ==
          ["required", "required", "excluded", "excluded"], scopes)
    linked = {"%s %s" % key for key, one in parts.items() if one["scope"] == "required" and "purl" in one and one["name"] != "sqlite"}
    listed = set()
    for binary in ("tachi", "tachi-monitor"):
        text = read(out, "third-party-arm64-%s.txt" % binary)
        listed |= set(re.findall(r"^(\S+ \d[^ :]*): ", text.split("=" * 100)[0], re.M))
        check("the licences of %s have their texts" % binary, "Permission is hereby granted, free of charge" in text and "Apache License" in text)
    check("the licences are of all that is linked, and of nothing else", listed == linked, sorted(listed ^ linked))


def refused(out, work, binaries):
    before = read(out, "SHA256SUMS")
    done = release(out, "--binaries", binaries, "--arch", "arm64", "--uncommitted")
    check("a folder that is there is left alone", done.returncode == 1 and "is there already" in done.stderr and
          read(out, "SHA256SUMS") == before, done.stderr)
    other = os.path.join(work, "other")
    done = release(other, "--binaries", binaries, "--uncommitted")
    check("an architecture without binaries is told of", done.returncode == 1 and "no binaries for amd64" in done.stderr, done.stderr)
    done = release(other, "--binaries", binaries, "--arch", "arm64", env={"GIT_INDEX_FILE": os.path.join(work, "no-index")})
    check("a tree with changes is refused", done.returncode == 1 and "not committed" in done.stderr, done.stderr)
    check("and nothing half done is left", not [name for name in os.listdir(work) if name.startswith("other")], os.listdir(work))


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    sys.path.insert(0, os.path.join(REPO, "packaging/lib"))
    version = importlib.import_module("versions").version()
    with tempfile.TemporaryDirectory(prefix="tachi-release.") as work:
        binaries = stubs(work)
        outs = [os.path.join(work, name) for name in ("first", "second")]
        for out, mask, zone in ((outs[0], 0o022, "UTC"), (outs[1], 0o077, "Asia/Tokyo")):
            done = release(out, "--binaries", binaries, "--arch", "arm64", "--uncommitted", env={"TZ": zone},
                           preexec_fn=lambda m=mask: os.umask(m))
            check("packaging/release makes a release", done.returncode == 0, done.stdout + done.stderr)
            if done.returncode:
                break
        else:
            check("the same bytes twice", read(outs[0], "SHA256SUMS") == read(outs[1], "SHA256SUMS"),
                  read(outs[0], "SHA256SUMS") + read(outs[1], "SHA256SUMS"))
            folder(outs[0], version)
            bill(outs[0], version)
            refused(outs[0], work, binaries)
    print("%d passed, %d failed" % (len(PASSED), len(FAILED)))
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
