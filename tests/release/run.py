#!/usr/bin/env python3
"""packaging/release with programs that stand for ours, without images and charms: what is in the folder, its sums, the SBOM, the licences; the
same bytes twice; apt takes the packages from it, and by their signature only; and what it refuses."""
import argparse
import fnmatch
import importlib
import json
import os
import re
import shutil
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
    wanted |= {"Packages", "Packages.gz", "Release"} | {"repodata/" + name for name in ("repomd.xml", *("%s.xml.gz" % kind for kind in (
        "primary", "filelists", "other")))}
    found = {os.path.relpath(os.path.join(place, name), out) for place, _, names in os.walk(out) for name in names} - {"SHA256SUMS"}
    check("what is named is there, and nothing else", found == wanted, found ^ wanted)
    done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=out, capture_output=True, text=True, check=False)
    check("the sums are right", done.returncode == 0, done.stdout + done.stderr)
    check("and of everything", {line.split()[1] for line in read(out, "SHA256SUMS").splitlines()} == found)
    check("the notes are the changelog's", len(read(out, "NOTES.md").splitlines()) > 3 and read(out, "NOTES.md").startswith("# Tachi " + version))
    told = re.findall(r"`([^`]+)`", "".join(line.split("|")[1] for line in read(out, "NOTES.md").split("## Files")[1].splitlines() if line.startswith("| `")))
    untold = [name for name in found - {"NOTES.md"} if not any(fnmatch.fnmatch(name, pattern) for pattern in told)]
    check("and name each file", told and not untold, untold)
    with tarfile.open(os.path.join(out, "tachi-%s-linux-arm64.tar.gz" % version)) as archive:
        shown = {entry.name: (entry.mode, entry.mtime, entry.uid) for entry in archive}
    check("the binaries can be started, and contain no time and no user of this machine",
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
    check("build dependencies are marked", [scopes.get(name) for name in ("sqlite", "tokio", "cc", "tokio-macros")] ==
          ["required", "required", "excluded", "excluded"], scopes)
    linked = {"%s %s" % key for key, one in parts.items() if one["scope"] == "required" and "purl" in one and one["name"] != "sqlite"}
    listed = set()
    for binary in ("tachi", "tachi-monitor"):
        text = read(out, "third-party-arm64-%s.txt" % binary)
        listed |= set(re.findall(r"^(\S+ \d[^ :]*): ", text.split("=" * 100)[0], re.M))
        check("the licences of %s have their texts" % binary, "Permission is hereby granted, free of charge" in text and "Apache License" in text)
    check("the licences are of all that is linked, and of nothing else", listed == linked, sorted(listed ^ linked))


def apt(out, work, name, option):
    """Whether apt takes the repository in `out` and a package of it, in a root of its own."""
    root = os.path.join(work, "apt-" + name)
    for folder in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/trusted.gpg.d", "got"):
        os.makedirs(os.path.join(root, folder))
    for path, text in (("status", ""), ("etc/sources.list", "deb [%s] file:%s ./\n" % (option, out))):
        with open(os.path.join(root, path), "w", encoding="utf-8") as f:
            f.write(text)
    words = ["-o", "Dir::State=%s/state" % root, "-o", "Dir::State::status=%s/status" % root, "-o", "Dir::Cache=%s/cache" % root,
             "-o", "Dir::Etc=%s/etc" % root, "-o", "APT::Architecture=arm64", "-o", "APT::Sandbox::User=root"]
    done = [subprocess.run(["apt-get", *words, *verb], cwd=os.path.join(root, "got"), capture_output=True, text=True, check=False)
            for verb in (["update", "-o", "APT::Update::Error-Mode=any"], ["download", "tachi", "tachi-monitors"])]
    return [one.returncode == 0 for one in done] == [True, True] and len(os.listdir(os.path.join(root, "got"))) == 2, done


def key_of(work, name):
    """A key that lives as long as the test; gives its home and the public key in a file."""
    home = os.path.join(work, "gnupg-" + name)
    os.mkdir(home, 0o700)
    env = {**os.environ, "GNUPGHOME": home}
    subprocess.run(["gpg", "--batch", "--passphrase", "", "--quick-generate-key", name + "@example.org", "ed25519", "sign", "never"],
                   env=env, capture_output=True, check=True)
    path = os.path.join(work, name + ".gpg")
    subprocess.run(["gpg", "--batch", "--output", path, "--export"], env=env, capture_output=True, check=True)
    return home, path


def signed(work, unsigned, binaries):
    out = os.path.join(work, "signed")
    home, public = key_of(work, "ours")
    _, other = key_of(work, "another")
    words = ["--binaries", binaries, "--arch", "arm64", "--uncommitted"]
    done = release(out, *words, "--sign", "nobody@example.org", env={"GNUPGHOME": home})
    check("a missing key is reported first", done.returncode == 1 and "cannot sign with nobody@example.org" in done.stderr and
          not os.path.exists(out), done.stderr)
    try:
        done = release(out, *words, "--sign", "ours@example.org", env={"GNUPGHOME": home})
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env={**os.environ, "GNUPGHOME": home}, check=False)
    check("with a key the release is signed", done.returncode == 0, done.stdout + done.stderr)
    if done.returncode:
        return
    for file in ("SHA256SUMS", "repodata/repomd.xml"):
        for ring, good in ((public, True), (other, False)):
            done = subprocess.run(["gpgv", "--keyring", ring, os.path.join(out, file + ".asc"), os.path.join(out, file)],
                                  capture_output=True, text=True, check=False)
            check("%s: %s" % (file, "the signature is by the key" if good else "another key is refused"), (done.returncode == 0) == good, done.stderr)
    done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=out, capture_output=True, text=True, check=False)
    check("the sums are right, of what signs too", done.returncode == 0 and "InRelease: OK" in done.stdout, done.stdout + done.stderr)
    check("the public key is there", "BEGIN PGP PUBLIC KEY" in read(out, "tachi.asc"))
    for name, option, folder, good in (("signed", "signed-by=" + public, out, True), ("another-key", "signed-by=" + other, out, False),
                                       ("unsigned", "signed-by=" + public, unsigned, False), ("trusted", "trusted=yes", unsigned, True)):
        taken, why = apt(folder, work, name, option)
        check("apt %s the repository (%s)" % ("takes" if good else "refuses", name), taken == good, why)
    shutil.copytree(out, os.path.join(work, "changed"))
    with open(os.path.join(work, "changed", "Packages"), "a", encoding="utf-8") as f:
        f.write("\nPackage: evil\nVersion: 1\nArchitecture: all\n")
    os.remove(os.path.join(work, "changed", "Packages.gz"))
    taken, why = apt(os.path.join(work, "changed"), work, "changed", "signed-by=" + public)
    check("apt refuses a changed list", not taken, why)


def refused(out, work, binaries):
    before = read(out, "SHA256SUMS")
    done = release(out, "--binaries", binaries, "--arch", "arm64", "--uncommitted")
    check("a folder that is there is left alone", done.returncode == 1 and "is there already" in done.stderr and
          read(out, "SHA256SUMS") == before, done.stderr)
    other = os.path.join(work, "other")
    done = release(other, "--binaries", binaries, "--uncommitted")
    check("an architecture without binaries is reported", done.returncode == 1 and "no binaries for amd64" in done.stderr, done.stderr)
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
            signed(work, outs[0], binaries)
            refused(outs[0], work, binaries)
    print("%d passed, %d failed" % (len(PASSED), len(FAILED)))
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
