#!/usr/bin/env python3
"""Advisories about the crates in Cargo.lock, by RustSec's advisory database; cargo-deny does the same with a copy that it
fetches itself. usage: advisories.py ROOT [DATABASE], or advisories.py --condense DATABASE

DATABASE is a folder with `crates/NAME/ID.md`. Without one what stands in advisories.json counts, which --condense makes of a
checkout and which has its date. What is yanked is not looked at: that is in the registry's index only.
"""
import datetime
import json
import os
import re
import subprocess
import sys
import tomllib

# Age in days from which a list is stale, and from which it is not usable.
OLD, TOO_OLD = 60, 365
KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "advisories.json")
ORDER = re.compile(r"^\s*(<=|>=|<|>|=|\^|~)?\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+\S*)?\s*$")


def version(text):
    """Returns a sortable version: numbers, with pre-releases before the release."""
    numbers, _, pre = text.split("+")[0].partition("-")
    parts = [int(part) if part.isdigit() else 0 for part in numbers.split(".")][:3]
    tail = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")) if pre else ()
    return tuple(parts + [0] * (3 - len(parts))), not pre, tail


def meets(one, requirement):
    """Returns true if a version meets a requirement in Cargo's form: `>= 1.2, < 2`, `^0.3.1`, `1.4`."""
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


def condensed(database):
    """Returns the date of a checkout, and the advisories of each crate with the safe versions."""
    told = {}
    for at, _, files in sorted(os.walk(os.path.join(database, "crates"))):
        for file in sorted(files):
            if not file.endswith(".md"):
                continue
            one = advisory(os.path.join(at, file))
            about, versions = one["advisory"], one.get("versions", {})
            if "withdrawn" not in about:
                safe = versions.get("patched", []) + versions.get("unaffected", [])
                kind = about.get("informational", "vulnerability")
                told.setdefault(about["package"], []).append([about["id"], kind, str(about["date"]), safe])
    dates = (one[2] for all_of in told.values() for one in all_of)
    return {"of": commit_date(database) or "no earlier than %s" % max(dates, default="ever"), "crates": told}


def commit_date(database):
    try:
        out = subprocess.run(["git", "-C", database, "log", "-1", "--format=%cs"], check=True, capture_output=True, text=True)
        return out.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def age(date, today):
    """Checks the age of a list: returns nothing, a note, or an error. A checkout without git has no date."""
    try:
        days = (today - datetime.date.fromisoformat(date)).days
    except ValueError:
        return None, None
    said = "the list of advisories is %d days old: git clone https://github.com/rustsec/advisory-db, tests/lib/advisories.py --condense advisory-db" % days
    return (None, said) if days > TOO_OLD else (said, None) if days > OLD else (None, None)


def self_test():
    today = datetime.date(2027, 1, 1)
    ages = {"2026-12-01": (False, False), "2026-08-21": (True, False), "2025-12-01": (False, True), "no earlier than 2026-01-01": (False, False)}
    wrong = ["a list of %s: %s" % (date, age(date, today)) for date, good in ages.items() if tuple(map(bool, age(date, today))) != good]
    table = [
        ("1.2.3", ">= 1.2.3", True), ("1.2.3", "> 1.2.3", False), ("1.2.3", "^1.2", True), ("2.0.0", "^1.2", False),
        ("0.3.1", "^0.3.0", True), ("0.4.0", "^0.3.0", False), ("0.0.3", "^0.0.3", True), ("0.0.4", "^0.0.3", False),
        ("1.9.0", ">= 1.2, < 1.9", False), ("1.8.9", ">= 1.2, < 1.9", True), ("1.2.0-rc.1", ">= 1.2.0", False),
        ("1.2.0-rc.10", "> 1.2.0-rc.9", True), ("1.2.9", "~1.2.3", True), ("1.3.0", "~1.2.3", False), ("1.4.7", "1.4", True),
    ]
    return wrong + ["%s against %s" % (have, want) for have, want, good in table if meets(version(have), want) != good]


def check(root, database=None):
    """Returns the problems, the date of the list, and a note about its age."""
    wrong = self_test()
    if database is None:
        with open(KEPT, encoding="utf-8") as f:
            known = json.load(f)
    else:
        known = condensed(database)
    if database is None and "RUSTSEC-2025-0023" not in (one[0] for one in known["crates"].get("tokio", [])):
        wrong.append("%s is incomplete" % KEPT)
    if not known["crates"]:
        return wrong + ["%s contains no advisories; a checkout of the database has a folder `crates`" % database], "unknown", None
    with open(os.path.join(root, "Cargo.lock"), "rb") as f:
        packages = tomllib.load(f)["package"]
    for package in packages:
        have = version(package["version"])
        # Packages without a source are ours, including stand-ins for other crates.
        for number, kind, date, safe in known["crates"].get(package["name"], []) if "source" in package else []:
            if not any(meets(have, one) for one in safe):
                wrong.append("%s %s: %s (%s, %s)" % (package["name"], package["version"], number, kind, date))
    note, too_old = age(known["of"], datetime.datetime.now(datetime.timezone.utc).date())
    return wrong + ([too_old] if too_old else []), known["of"], note


def keep(database):
    """Writes one line per crate, so that the diff of a newer list shows the new advisories."""
    known = condensed(database)
    crates = ",\n".join("%s: %s" % (json.dumps(name), json.dumps(told)) for name, told in sorted(known["crates"].items()))
    with open(KEPT, "w", encoding="utf-8") as f:
        f.write('{"of": %s,\n"from": "RustSec advisory-db, CC0-1.0",\n"crates": {\n%s\n}}\n' % (json.dumps(known["of"]), crates))


if __name__ == "__main__":
    if sys.argv[1] == "--condense":
        keep(sys.argv[2])
        sys.exit()
    found, date, note = check(*sys.argv[1:3])
    print("\n".join(found + ([note] if note else []) + ["%d found; database of %s" % (len(found), date)]))
    sys.exit(1 if found else 0)
