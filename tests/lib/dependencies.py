#!/usr/bin/env python3
"""Licences, sources and banned crates of the dependency graph, read from `cargo metadata`.

deny.toml says the same to cargo-deny, which takes minutes to build and needs the advisory database; this needs
neither. The lists below and deny.toml are compared, so that they cannot drift apart. Advisories are looked up in a
checkout of their database, TACHI_ADVISORIES=FOLDER or what cargo-deny has fetched, else in the dated list that is kept here.
"""
import glob
import json
import os
import re
import subprocess
import sys
import tomllib

import advisories

ROOT = sys.argv[1]


def metadata():
    out = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return json.loads(out.stdout)


def satisfied(expression, allowed):
    """Returns true if the allowed licences satisfy an SPDX expression. `A/B` is the old spelling of `A OR B`."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    at = 0

    def either():
        nonlocal at
        value = both()
        while at < len(tokens) and tokens[at] == "OR":
            at += 1
            value = both() or value
        return value

    def both():
        nonlocal at
        value = one()
        while at < len(tokens) and tokens[at] == "AND":
            at += 1
            value = one() and value
        return value

    def one():
        nonlocal at
        token = tokens[at]
        at += 1
        if token == "(":
            value = either()
            at += 1
            return value
        if at + 1 < len(tokens) and tokens[at] == "WITH":
            token = "%s WITH %s" % (token, tokens[at + 1])
            at += 2
        return token in allowed

    return either()


def self_test(allowed):
    """Tests the evaluator with expressions that it must refuse, because a checker that accepts everything would look the same."""
    table = [
        ("MIT", True), ("GPL-3.0-only", False), ("GPL-3.0-only OR MIT", True), ("MIT AND GPL-3.0-only", False),
        ("MIT/Apache-2.0", True), ("(MIT OR GPL-2.0-only) AND AGPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception" in allowed),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
    ]
    return ["licence evaluator: %s" % text for text, want in table if satisfied(text, allowed) != want]


def main():
    with open(ROOT + "/deny.toml", "rb") as f:
        deny = tomllib.load(f)
    allowed = set(deny["licenses"]["allow"])
    exceptions = {e["crate"]: set(e["allow"]) for e in deny["licenses"].get("exceptions", [])}
    banned = {e["crate"] for e in deny["bans"]["deny"]}
    must_be_banned = {"openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "unsafe-libyaml", "serde_yml", "rc2", "des"}

    graph = metadata()
    packages = {p["id"]: p for p in graph["packages"]}
    linked = {n["id"] for n in graph["resolve"]["nodes"]}
    checks = [
        ("the licence evaluator", self_test(allowed)),
        ("deny.toml bans a second TLS stack and what was given up", sorted(must_be_banned - banned)),
        ("licences", []), ("sources", []), ("banned crates", []),
    ]
    licences, sources, bans = (found for _, found in checks[2:])
    for package in sorted((packages[i] for i in linked), key=lambda p: p["name"]):
        label = "%s %s" % (package["name"], package["version"])
        source = package["source"]
        if source is not None and source != "registry+https://github.com/rust-lang/crates.io-index":
            sources.append("%s comes from %s" % (label, source))
        licence = package["license"]
        if not licence:
            licences.append("%s has no licence" % label)
        elif not satisfied(licence, allowed | exceptions.get(package["name"], set())):
            licences.append("%s: %s" % (label, licence))
        if package["name"] in banned:
            bans.append(label)

    fetched = sorted(glob.glob(os.path.expanduser("~/.cargo/advisory-db*/*/crates")))
    database = os.environ.get("TACHI_ADVISORIES") or (os.path.dirname(fetched[-1]) if fetched else None)
    found, date, note = advisories.check(ROOT, database)
    checks.append(("advisories, from the list of %s" % date, found))

    failed = 0
    for name, problems in checks:
        print("%-7s %s" % ("FAILED" if problems else "ok", name))
        for problem in problems:
            print("        " + problem)
        failed += bool(problems)
    if note:
        print("note    " + note)
    print("%d crates read" % len(linked))
    return len(checks) - failed, failed


if __name__ == "__main__":
    good, bad = main()
    results = os.environ.get("TACHI_TEST_RESULTS")
    if results:
        with open(results, "a", encoding="utf-8") as f:
            f.write("%d %d\n" % (good, bad))
    sys.exit(1 if bad else 0)
