"""What the binaries are made of, as cargo resolves it for an architecture: crates, and the licences that come with them."""
import functools
import json
import os
import re
import subprocess

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUST = {"amd64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
# The file names under which crates bring their licences.
LICENCE = re.compile(r"(un)?licen[cs]e|copying|copyright|notice", re.I)


@functools.cache
def metadata(arch):
    done = subprocess.run(["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", RUST[arch]],
                          cwd=REPO, check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError("cargo metadata: " + done.stderr.strip())
    return json.loads(done.stdout)


class Graph:
    """The crates of some binaries. `linked` are in them; `needed` is also what builds those: build scripts and macros."""

    def __init__(self, arch, binaries):
        found = metadata(arch)
        self.packages = {package["id"]: package for package in found["packages"]}
        self.roots = [one["id"] for one in found["packages"] if one["id"] in set(found["workspace_members"]) and one["name"] in binaries]
        self.edges = {node["id"]: [(one["pkg"], {kind["kind"] for kind in one["dep_kinds"]}) for one in node["deps"]]
                      for node in found["resolve"]["nodes"]}
        self.linked = self.reached({None}, through_macros=False)
        self.needed = self.reached({None, "build"}, through_macros=True)

    def is_macro(self, name):
        return any("proc-macro" in target["kind"] for target in self.packages[name]["targets"])

    def reached(self, kinds, through_macros):
        seen, open_ones = set(), list(self.roots)
        while open_ones:
            one = open_ones.pop()
            if one in seen or not through_macros and self.is_macro(one):
                continue
            seen.add(one)
            open_ones += self.dependencies(one, kinds)
        return seen

    def dependencies(self, name, kinds=frozenset({None, "build"})):
        return sorted({other for other, found in self.edges[name] if found & kinds})


def expression(package):
    """The licence by SPDX; `A/B` is an old spelling of `A OR B`."""
    return re.sub(r"\s*/\s*", " OR ", package["license"] or "see its text")


def sqlite(package):
    """The version of the SQLite that libsqlite3-sys brings and links in."""
    path = os.path.join(os.path.dirname(package["manifest_path"]), "sqlite3", "sqlite3.h")
    with open(path, encoding="utf-8") as f:
        return re.search(r'^#define SQLITE_VERSION\s+"([0-9.]+)"', f.read(), re.M).group(1)


@functools.cache
def licences(arch, binary):
    """A text: what is linked in and under which licences, and every text of a licence, once."""
    graph = Graph(arch, {binary})
    crates = sorted((graph.packages[name] for name in graph.linked if graph.packages[name]["source"]),
                    key=lambda one: (one["name"], one["version"]))
    lines = ["%s contains the standard library of Rust (MIT OR Apache-2.0)%s, and these crates:" % (
        binary, ", SQLite (public domain)" if any(crate["name"] == "libsqlite3-sys" for crate in crates) else ""), ""]
    texts = {}
    for crate in crates:
        lines.append("%s %s: %s" % (crate["name"], crate["version"], expression(crate)))
        folder = os.path.dirname(crate["manifest_path"])
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if LICENCE.match(name) and not name.endswith((".rs", ".tmpl")) and os.path.isfile(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    text = "\n".join(line.rstrip() for line in f.read().splitlines()).strip("\n")
                texts.setdefault(text, []).append("%s %s" % (crate["name"], crate["version"]))
    for text, owners in texts.items():
        lines += ["", "=" * 100, "Of " + ", ".join(dict.fromkeys(owners)) + ":", "", text]
    return "\n".join(lines) + "\n"
