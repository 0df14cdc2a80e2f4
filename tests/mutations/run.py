#!/usr/bin/env python3
"""Shows that the simulation bites: takes one rule after another out of a scratch copy of the decision core and the driver, and
runs the simulation until it notices. One build, one switch per mutation. The table goes to standard output, PASSED and FAILED counts
to the file named by --results."""

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
        if any(name.startswith(f"{crate}/") for crate in CRATES):
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


def build(copy: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "RUSTFLAGS": "--cap-lints allow"}
    built = subprocess.run(
        ["cargo", "test", "--release", "--locked", "-p", "tachi-tests", "--test", "simulation", "--no-run"],
        cwd=copy, env=environment, capture_output=True, text=True,
    )
    found = re.search(r"Executable .*\((.*simulation-[0-9a-f]+)\)", built.stderr)
    if built.returncode or not found:
        sys.exit(f"the mutated sources do not build:\n{built.stderr[-6000:]}")
    return copy / found.group(1) if not found.group(1).startswith("/") else pathlib.Path(found.group(1))


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
    parser.add_argument("--check", action="store_true", help="only whether every mutation has its place")
    parser.add_argument("--results", type=pathlib.Path)
    asked = parser.parse_args()
    mutations = tomllib.loads((REPO / "tests/mutations/mutations.toml").read_text())["mutation"]
    names = [one["name"] for one in mutations]
    if len(set(names)) != len(names):
        sys.exit("two mutations have the same name")
    copy = asked.scratch / "sources"
    copy.mkdir(parents=True, exist_ok=True)
    mirror(copy)
    lost = mutate(mutations, copy)
    passed, failed = 0, 0
    for line in lost:
        print(f"FAILED  has lost its place: {line}")
        failed += 1
    if not asked.check:
        binary = build(copy, asked.scratch / "target")
        seed, what, took = run(binary, "", min(asked.seeds, 3_000))
        if seed is not None:
            sys.exit(f"the simulation fails without any mutation: SIM_SEED={seed}: {what}")
        gone = {line.split(":")[0] for line in lost}
        chosen = [name for name in asked.only.split(",") if name]
        for one in mutations:
            name = one["name"]
            if name in gone or (chosen and name not in chosen):
                continue
            seed, what, took = run(binary, name, asked.seeds)
            if seed is None and "unseen" in one:
                print(f"unseen  {one['rule']:5} {name}: {one['unseen']}")
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
