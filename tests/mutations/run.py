#!/usr/bin/env python3
"""Shows that the simulation and the unit tests fail if a rule is missing: takes one rule after another out of a scratch copy of the
decision core and the driver, and runs the simulation until it fails. A mutation that is too rare for it is `unseen`, and names the unit
test that has to fail. One build, one switch per mutation. The table goes to standard output, PASSED and FAILED counts to the file named
by --results."""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import tomllib

REPO = pathlib.Path(__file__).resolve().parents[2]
CRATES = [pathlib.Path("engine/domain/src"), pathlib.Path("engine/driver/src")]
SWITCH = """//! Which rule is taken out of this scratch copy.

/// Whether `name` is.
pub(crate) fn is(name: &str) -> bool {
    static WHICH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    WHICH.get_or_init(|| std::env::var("SIM_MUTANT").unwrap_or_default()) == name
}
"""


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO, check=True, capture_output=True,
    ).stdout
    return [name for name in listed.decode().split("\0") if name]


def mirror(copy: pathlib.Path) -> None:
    """Copies what has changed only, so that a second run builds little."""
    wanted = set()
    for name in tracked():
        source, target = REPO / name, copy / name
        if not source.is_file() or source.is_symlink():
            continue
        wanted.add(target)
        if name.endswith(".rs") and any(name.startswith(f"{crate}/") for crate in CRATES):
            continue
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for crate in CRATES:
        for old in (copy / crate).rglob("*.rs"):
            if old not in wanted and old.name != "mutant.rs":
                old.unlink()


def mutate(mutations: list[dict], copy: pathlib.Path) -> list[str]:
    """Writes both crates with every mutation behind its switch. Returns what could not be placed."""
    sources = {path.relative_to(REPO): path.read_text() for crate in CRATES for path in (REPO / crate).rglob("*.rs")}
    lost = []
    for one in mutations:
        for old, new in one["edits"]:
            places = [
                path for path, text in sources.items() if old in text and "tests" not in path.parts
                and path.name != "tests.rs"
            ]
            if len(places) != 1 or sources[places[0]].count(old) != 1:
                lost.append(f"{one['name']}: found in {[str(path) for path in places]}: {old!r}")
                continue
            switch = f'crate::mutant::is("{one["name"]}")'
            sources[places[0]] = sources[places[0]].replace(old, re.sub(r"\bMUT\b", lambda _: switch, new))
    for crate in CRATES:
        sources[crate / "lib.rs"] += "\nmod mutant;\n"
        sources[crate / "mutant.rs"] = SWITCH
    for path, text in sources.items():
        target = copy / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text() != text:
            target.write_text(text)
    return lost


SIMULATION = ["--release", "-p", "tachi-tests", "--test", "simulation"]
UNIT_TESTS = ["-p", "tachi-domain", "-p", "tachi-driver", "--lib"]


def build(copy: pathlib.Path, target: pathlib.Path, what: list[str]) -> list[pathlib.Path]:
    """Builds test programs of the copy, and returns their paths."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "RUSTFLAGS": "--cap-lints allow"}
    built = subprocess.run(
        ["cargo", "test", "--locked", "--no-run", *what], cwd=copy, env=environment, capture_output=True, text=True,
    )
    found = re.findall(r"Executable .*\((.*-[0-9a-f]+)\)", built.stderr)
    if built.returncode or not found:
        sys.exit(f"the mutated sources do not build:\n{built.stderr[-6000:]}")
    return [copy / path for path in found]


def unit_test(programs: list[pathlib.Path], mutation: dict) -> str | None:
    """Runs the unit test that an unseen mutation names, with and without the mutation. Returns what is wrong, if something is."""
    named = re.findall(r"\b(\w{10,})(?:\.\.\.)? (?:of the driver )?sees it", mutation["unseen"])
    if len(named) != 1:
        return "`unseen` has to end in the name of the unit test that sees it"
    endings = {}
    for mutant in ("", mutation["name"]):
        environment = {**os.environ, "SIM_MUTANT": mutant}
        runs = [subprocess.run([program, named[0]], env=environment, capture_output=True, text=True) for program in programs]
        if not any(re.search(r"running [1-9]", one.stdout) for one in runs):
            return f"there is no unit test {named[0]}"
        endings[mutant] = any(one.returncode for one in runs)
    if endings[""]:
        return f"{named[0]} fails without it too"
    return None if endings[mutation["name"]] else f"{named[0]} passes with it"


def run(binary: pathlib.Path, name: str, seeds: int) -> tuple[str | None, str, float]:
    """The first broken rule, its seed, and the seconds it took."""
    began = time.monotonic()
    environment = {**os.environ, "SIM_MUTANT": name, "SIM_SEEDS": str(seeds)}
    ended = subprocess.run(
        [str(binary), "--nocapture", "whole_recoveries"], env=environment, capture_output=True, text=True,
    )
    told = re.search(r"SIM_SEED=(\d+): (.*)", ended.stderr + ended.stdout)
    took = time.monotonic() - began
    if ended.returncode == 0 or not told:
        return None, "", took
    return told.group(1), told.group(2), took


def is_fine(binary: pathlib.Path, seed: str) -> bool:
    """Whether that seed breaks no rule by itself."""
    environment = {**os.environ, "SIM_SEED": seed}
    return subprocess.run([str(binary), "whole_recoveries"], env=environment, capture_output=True).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=pathlib.Path, required=True, help="where to copy and build")
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--units", action="store_true", help="only those that a unit test has to see")
    parser.add_argument("--check", action="store_true", help="only whether every mutation has its place")
    parser.add_argument("--results", type=pathlib.Path)
    asked = parser.parse_args()
    mutations = tomllib.loads((REPO / "tests/mutations/mutations.toml").read_text())["mutation"]
    names = [one["name"] for one in mutations]
    if len(set(names)) != len(names):
        sys.exit("two mutations have the same name")
    asked.scratch = asked.scratch.resolve()
    copy = asked.scratch / "sources"
    copy.mkdir(parents=True, exist_ok=True)
    mirror(copy)
    lost = mutate(mutations, copy)
    passed, failed = 0, 0
    for line in lost:
        print(f"FAILED  has lost its place: {line}")
        failed += 1
    if not asked.check:
        target = asked.scratch / "target"
        programs = build(copy, target, UNIT_TESTS)
        if not asked.units:
            [binary] = build(copy, target, SIMULATION)
            seed, what, took = run(binary, "", min(asked.seeds, 3_000))
            if seed is not None:
                sys.exit(f"the simulation fails without any mutation: SIM_SEED={seed}: {what}")
        gone = {line.split(":")[0] for line in lost}
        chosen = [name for name in asked.only.split(",") if name]
        for one in mutations:
            name = one["name"]
            if name in gone or (chosen and name not in chosen):
                continue
            wrong = unit_test(programs, one) if "unseen" in one else None
            if wrong or (asked.units and "unseen" in one):
                print(f"{'FAILED' if wrong else 'caught'}  {one['rule']:5} {name}: {wrong or one['unseen']}")
                failed, passed = failed + bool(wrong), passed + (not wrong)
                continue
            if asked.units:
                continue
            seed, what, took = run(binary, name, asked.seeds)
            if seed is None and "unseen" in one:
                print(f"caught  {one['rule']:5} {name}: {one['unseen']}")
                passed += 1
            elif seed is None:
                print(f"FAILED  {one['rule']:5} {name}: nothing noticed it in {asked.seeds} seeds ({took:.0f} s)")
                failed += 1
            elif "unseen" in one:
                print(f"FAILED  {one['rule']:5} {name}: is seen after all (seed {seed}: {what}): take `unseen` away")
                failed += 1
            elif not is_fine(binary, seed):
                print(f"FAILED  {one['rule']:5} {name}: seed {seed} fails without it too: {what}")
                failed += 1
            else:
                print(f"caught  {one['rule']:5} {name}: seed {seed} ({took:.1f} s): {what}")
                passed += 1
            sys.stdout.flush()
    print(f"{passed} caught, {failed} failed")
    if asked.results:
        with asked.results.open("a") as results:
            results.write(f"{passed} {failed}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
