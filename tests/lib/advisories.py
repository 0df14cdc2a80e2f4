#!/usr/bin/env python3
"""Advisories about the crates in Cargo.lock, by a checkout of RustSec's advisory database; cargo-deny does the same with a
database that it fetches itself. usage: advisories.py ROOT DATABASE

DATABASE is a folder with `crates/NAME/ID.md`. What is yanked is not looked at: that is in the registry's index only.
"""
import os
import re
import subprocess
import sys
import tomllib

ORDER = re.compile(r"^\s*(<=|>=|<|>|=|\^|~)?\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+\S*)?\s*$")


def version(text):
    """Comparable: numbers, then pre-releases before the release."""
    numbers, _, pre = text.split("+")[0].partition("-")
    parts = [int(part) if part.isdigit() else 0 for part in numbers.split(".")][:3]
    tail = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")) if pre else ()
    return tuple(parts + [0] * (3 - len(parts))), not pre, tail


def meets(one, requirement):
    """Whether a version meets a requirement as Cargo writes it: `>= 1.2, < 2`, `^0.3.1`, `1.4`."""
    for part in requirement.split(","):
        found = ORDER.match(part)
        if not found:
            raise ValueError("no version requirement: %r" % part)
        sign, *numbers, pre = found.groups()
        given = [int(number) for number in numbers if number is not None]
        low = version(".".join(map(str, given)) + ("-" + pre if pre else ""))
        if sign in (None, "^"):
            at = next((place for place, number in enumerate(given) if number), len(given) - 1)
            high = version(".".join(map(str, given[:at] + [given[at] + 1])))
            good = low <= one < high
        elif sign == "~":
            at = min(1, len(given) - 1)
            good = low <= one < version(".".join(map(str, given[:at] + [given[at] + 1])))
        else:
            good = {"<": one < low, "<=": one <= low, ">": one > low, ">=": one >= low, "=": one == low}[sign]
        if not good:
            return False
    return True


def advisory(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return tomllib.loads(text.split("```toml", 1)[1].split("```", 1)[0])


def against(database, name, have):
    """Every advisory about a version of a crate that is not withdrawn."""
    folder = os.path.join(database, "crates", name)
    for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        told = advisory(os.path.join(folder, file))
        versions = told.get("versions", {})
        safe = versions.get("patched", []) + versions.get("unaffected", [])
        if "withdrawn" in told["advisory"] or any(meets(have, one) for one in safe):
            continue
        yield told["advisory"]


def dated(database):
    try:
        out = subprocess.run(["git", "-C", database, "log", "-1", "--format=%cs"], check=True, capture_output=True, text=True)
        return out.stdout.strip() or "unknown"
    except (OSError, subprocess.CalledProcessError):
        newest = (advisory(os.path.join(at, file))["advisory"]["date"]
                  for at, _, files in os.walk(os.path.join(database, "crates")) for file in files if file.endswith(".md"))
        return "no earlier than %s" % max(map(str, newest), default="ever")


def self_test():
    table = [
        ("1.2.3", ">= 1.2.3", True), ("1.2.3", "> 1.2.3", False), ("1.2.3", "^1.2", True), ("2.0.0", "^1.2", False),
        ("0.3.1", "^0.3.0", True), ("0.4.0", "^0.3.0", False), ("0.0.3", "^0.0.3", True), ("0.0.4", "^0.0.3", False),
        ("1.9.0", ">= 1.2, < 1.9", False), ("1.8.9", ">= 1.2, < 1.9", True), ("1.2.0-rc.1", ">= 1.2.0", False),
        ("1.2.0-rc.10", "> 1.2.0-rc.9", True), ("1.2.9", "~1.2.3", True), ("1.3.0", "~1.2.3", False), ("1.4.7", "1.4", True),
    ]
    return ["%s against %s" % (have, want) for have, want, good in table if meets(version(have), want) != good]


def check(root, database):
    """What is wrong, and the date of the database."""
    wrong = self_test()
    if not os.path.isdir(os.path.join(database, "crates")):
        return wrong + ["%s holds no advisories: a checkout of the database has a folder `crates`" % database], "unknown"
    with open(os.path.join(root, "Cargo.lock"), "rb") as f:
        packages = tomllib.load(f)["package"]
    for package in packages:
        # What has no source is ours, a stand-in of a crate's name too.
        for told in against(database, package["name"], version(package["version"])) if "source" in package else []:
            kind = told.get("informational", "vulnerability")
            wrong.append("%s %s: %s (%s, %s)" % (package["name"], package["version"], told["id"], kind, told["date"]))
    return wrong, dated(database)


if __name__ == "__main__":
    found, date = check(sys.argv[1], sys.argv[2])
    print("\n".join(found + ["%d found; database of %s" % (len(found), date)]))
    sys.exit(1 if found else 0)
