#!/usr/bin/env python3
"""Keeps the registers of docs/ true, such as docs/design/protocol-tests.md (R1-R36): the column of tests is made of the tests there
are, by the numbers in their names. Without an option it says what is wrong; `--write` renews the columns."""

import argparse
import pathlib
import re
import subprocess
import sys
import tomllib

REPO = pathlib.Path(__file__).resolve().parents[2]
# Each page, with what it numbers and how many there are.
REGISTERS = {
    "docs/design/engine-defects.md": {"EW": 37},
    "docs/design/fencing-tests.md": {"I": 10, "ROW": 14},
    "docs/design/hostile-world.md": {"T": 9, "C": 19, "F": 16},
    "docs/design/monitor-defects.md": {"MW": 27},
    "docs/design/protocol-tests.md": {"R": 36},
}
# fn ew09_r02_... / def test_r19_...: every number at the beginning of a name counts.
TEST = re.compile(r"\b(?:fn|def)\s+((?:test_|slow_)*(?:(?:ew|i|mw|row|r|t|c|f)\d+_)+\w*)\s*\(")
NUMBER = re.compile(r"(ew|i|mw|row|r|t|c|f)(\d+)_")


def tests() -> dict[str, list[str]]:
    """Number, such as EW9, to the names of its tests."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.rs", "*.py"],
        cwd=REPO, check=True, capture_output=True,
    ).stdout.decode()
    found: dict[str, set[str]] = {}
    for name in filter(None, listed.split("\0")):
        path = REPO / name
        if not path.is_file():
            continue
        for test in TEST.findall(path.read_text()):
            head = re.sub(r"^(?:test_|slow_)+", "", test)
            while number := NUMBER.match(head):
                found.setdefault(f"{number[1].upper()}{int(number[2])}", set()).add(test)
                head = head[number.end():]
    return {number: sorted(names) for number, names in found.items()}


def mutations() -> dict[str, list[str]]:
    """Rule to the names of the mutations that take it out."""
    found: dict[str, list[str]] = {}
    for one in tomllib.loads((REPO / "tests/mutations/mutations.toml").read_text())["mutation"]:
        found.setdefault(one["rule"], []).append(one["name"] + (" (unseen)" if "unseen" in one else ""))
    ports = (REPO / "tests/simulation/mutate.rs").read_text()
    for name, rule in re.findall(r'^    \(?\s*"([\w-]+)",\s*"((?:R|EW|I)\d+)"', ports, re.M):
        found.setdefault(rule, []).append(f"{name} (port)")
    for name, rule in re.findall(r'^        "([\w-]+)",\n\s*"((?:R|EW|I)\d+)"', ports, re.M):
        found.setdefault(rule, []).append(f"{name} (port)")
    return found


def renewed(text: str, counts: dict[str, int], wrong: list[str]) -> str:
    have, taken = tests(), mutations()
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
                wrong.append(f"{number}: {other} is not there")
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
    parser.add_argument("--write", action="store_true", help="renew the columns")
    asked = parser.parse_args()
    failed = 0
    for name, counts in REGISTERS.items():
        path, wrong = REPO / name, []
        text = path.read_text()
        new = renewed(text, counts, wrong)
        if new != text and asked.write:
            path.write_text(new)
        elif new != text:
            wrong.append("the tests it lists are not those there are: tests/lib/register.py --write")
        for line in wrong:
            print(f"{name}: {line}")
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
