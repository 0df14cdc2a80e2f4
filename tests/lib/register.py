#!/usr/bin/env python3
"""Checks the registers in docs/, such as docs/design/protocol-tests.md (R1-R36): the column of tests lists the tests whose
comment has the number (`/// Covers R2, EW9.`). Without an option it reports errors; `--write` updates the columns."""

import argparse
import pathlib
import re
import subprocess
import sys
import tomllib

REPO = pathlib.Path(__file__).resolve().parents[2]
# Each page, with its prefixes and the count of numbers for each.
REGISTERS = {
    "docs/design/engine-defects.md": {"EW": 37},
    "docs/design/fencing-tests.md": {"I": 10, "ROW": 14},
    "docs/design/hostile-world.md": {"T": 9, "C": 19, "F": 16},
    "docs/design/monitor-defects.md": {"MW": 27},
    "docs/design/protocol-tests.md": {"R": 36},
}
NUMBER = r"(?:EW|I|MW|ROW|R|T|C|F)[1-9]\d*"
# `/// Covers R2, EW9.` in Rust and `# Covers R19.` in Python, above the test: attributes and other comments may be in between.
COVERS = re.compile(rf"^[ \t]*(?:///|#) Covers ({NUMBER}(?:, {NUMBER})*)\.\n((?:[ \t]*(?:///|#).*\n)*)(?:[ \t]*(?:pub )?(?:async )?(?:fn|def) (\w+))?", re.M)


def tests(wrong: list[str]) -> dict[str, list[str]]:
    """Returns the names of the tests by number, such as EW9."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.rs", "*.py"],
        cwd=REPO, check=True, capture_output=True,
    ).stdout.decode()
    known = {f"{prefix}{number}" for counts in REGISTERS.values() for prefix, count in counts.items() for number in range(1, count + 1)}
    found: dict[str, set[str]] = {}
    for name in filter(None, listed.split("\0")):
        path = REPO / name
        if not path.is_file() or path == pathlib.Path(__file__).resolve():
            continue
        text = path.read_text()
        for mark in COVERS.finditer(text):
            line = text.count("\n", 0, mark.start()) + 1
            if not mark[3]:
                wrong.append(f"{name}:{line}: no test follows \"Covers {mark[1]}.\"")
                continue
            for number in mark[1].split(", "):
                if number not in known:
                    wrong.append(f"{name}:{line}: {number} is not in any register")
                found.setdefault(number, set()).add(mark[3])
    return {number: sorted(names) for number, names in found.items()}


def mutations() -> dict[str, list[str]]:
    """Returns the names of the mutations that remove a rule, by rule."""
    found: dict[str, list[str]] = {}
    for one in tomllib.loads((REPO / "tests/mutations/mutations.toml").read_text())["mutation"]:
        found.setdefault(one["rule"], []).append(one["name"] + (" (unseen)" if "unseen" in one else ""))
    ports = (REPO / "tests/simulation/mutate.rs").read_text()
    for name, rule in re.findall(r'^    \(?\s*"([\w-]+)",\s*"((?:R|EW|I)\d+)"', ports, re.M):
        found.setdefault(rule, []).append(f"{name} (port)")
    for name, rule in re.findall(r'^        "([\w-]+)",\n\s*"((?:R|EW|I)\d+)"', ports, re.M):
        found.setdefault(rule, []).append(f"{name} (port)")
    return found


def renewed(text: str, counts: dict[str, int], have: dict[str, list[str]], wrong: list[str]) -> str:
    taken = mutations()
    wanted = {f"{prefix}{place}" for prefix, count in counts.items() for place in range(1, count + 1)}
    rows = {}
    lines = text.split("\n")
    for at, line in enumerate(lines):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] not in wanted:
            continue
        number = cells[0]
        if number in rows:
            wrong.append(f"{number} has two rows")
        rows[number] = at
        names = have.get(number, [])
        also = re.findall(r"`([^`]+)`", cells[2]) if len(cells) > 2 else []
        for other in also:
            place = REPO / other.split("::")[0]
            if not place.exists() or (
                "::" in other and other.split("::")[1] not in place.read_text()
            ):
                wrong.append(f"{number}: {other} does not exist")
        still_open = len(cells) > 2 and cells[2].startswith("open: ")
        if not names and not also and not still_open:
            wrong.append(f"{number} has no test")
        made = ", ".join(f"`{name}`" for name in names)
        if number in taken:
            made += ("; " if made else "") + "mutations: " + ", ".join(taken[number])
        lines[at] = f"| {number} | {cells[1]} | {cells[2] if len(cells) > 2 else ''} | {made} |"
    wrong += [f"{number} has no row" for number in sorted(wanted - rows.keys())]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="update the columns")
    asked = parser.parse_args()
    unread: list[str] = []
    have = tests(unread)
    for line in unread:
        print(line)
    failed = len(unread)
    for name, counts in REGISTERS.items():
        path, wrong = REPO / name, []
        text = path.read_text()
        new = renewed(text, counts, have, wrong)
        if new != text and asked.write:
            path.write_text(new)
        elif new != text:
            wrong.append("the listed tests are outdated; run tests/lib/register.py --write")
        for line in wrong:
            print(f"{name}: {line}")
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
