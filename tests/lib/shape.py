#!/usr/bin/env python3
"""The shape of the code: how long files are, how long and how wide the web board's script is, how many methods a type has, which modules of the domain import each other in circles,
whether the folders of the domain stand in an order, at every level, and whether one word stands for one thing: names of public types that
several files of the engine's crates share, files of one folder that differ by grammar alone, comments that say nothing.

    tests/lib/shape.py           compares with the limits in shape.toml; fails when one is passed, and when one can be lowered
    tests/lib/shape.py --show    what is longest, and each circle with the imports that close it

The limits only ever fall. A file that is not there yet may have what `[files]` and `[types]` allow to all.
"""
import argparse
import collections
import os
import re
import sys
import tomllib

from sources import ROOT, is_test, read

LIMITS = os.path.join(ROOT, "tests", "lib", "shape.toml")
DOMAIN = os.path.join(ROOT, "engine", "domain", "src")
TOPS = ("api", "clients", "db-migrations", "devstack", "engine", "monitors", "src", "tests")
SKIP = {"target", "minicloud", "testdata", "fixtures"}


def rust_files():
    for top in TOPS:
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = sorted(f for f in folders if f not in SKIP and not f.startswith("."))
            for name in sorted(names):
                if name.endswith(".rs"):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def script():
    """Returns the number of lines of the web board's script, and the width of its widest line. The script is served without a build."""
    folder = os.path.join("api", "src", "board", "files")
    lines = [line for name in sorted(os.listdir(os.path.join(ROOT, folder))) if name.endswith(".js")
             for line in read(os.path.join(folder, name)).splitlines()]
    return {"lines": len(lines), "width": max(map(len, lines), default=0)}


def bare(text):
    """Removes comments, strings and the tests at the end of a file, and keeps line numbers."""
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r'"(?:\\.|[^"\\])*"', lambda m: '"' + "\n" * m.group().count("\n") + '"', text, flags=re.S)
    cut = re.search(r"#\[cfg\(test\)\]\s*mod \w+ \{", text)
    return text[:cut.start()] if cut else text


def closing(text, start):
    depth = 0
    for at in range(start, len(text)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    return len(text)


IMPL = re.compile(r"^\s*(?:unsafe )?impl(?:<[^{]*?>)?\s+(?:[\w:<>, '&]+?\s+for\s+)?(?:&(?:'\w+ )?(?:mut )?)?([\w:]+)[^{;]*\{", re.M)


def methods():
    """Counts the functions in all impl blocks of each type of a crate."""
    count = collections.Counter()
    for path in rust_files():
        if is_test(path):
            continue
        text = bare(read(path))
        crate = path.split("/src/")[0]
        for found in IMPL.finditer(text):
            body = text[found.end() - 1:closing(text, found.end() - 1)]
            count[crate + " " + found.group(1).split("::")[-1]] += len(re.findall(r"^ {4,8}(?:pub(?:\([^)]*\))? )?(?:const )?(?:async )?fn ", body, re.M))
    return count


def module(path):
    name = os.path.relpath(path, DOMAIN)[:-3].replace(os.sep, "::")
    return "" if name == "lib" else name


def leaves(tree, prefix=()):
    """Returns the paths in a use tree."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        yield prefix + tuple(word.strip() for word in tree.split(" as ")[0].split("::") if word.strip())
        return
    prefix += tuple(word.strip() for word in tree[:brace].split("::") if word.strip())
    depth, begin = 0, brace + 1
    for at in range(brace + 1, len(tree)):
        if tree[at] == "{":
            depth += 1
        elif tree[at] == "}" and depth:
            depth -= 1
        elif depth == 0 and tree[at] in ",}":
            if tree[begin:at].strip():
                yield from leaves(tree[begin:at], prefix)
            begin = at + 1
            if tree[at] == "}":
                return


def imports():
    """Returns the imports between the modules of the domain."""
    paths = [os.path.join(ROOT, path) for path in rust_files() if path.startswith("engine/domain/src/") and not is_test(path)]
    known = {module(path) for path in paths}
    edges = collections.defaultdict(set)
    for path in paths:
        here = module(path)
        with open(path, encoding="utf-8") as f:
            text = bare(f.read())
        for found in re.finditer(r"\buse ((?:crate|super|self)\b[^;]*);", text):
            for words in leaves(found.group(1)):
                at = here.split("::") if here else []
                words = list(words)
                if words[0] == "crate":
                    at, words = [], words[1:]
                else:
                    while words and words[0] in ("super", "self"):
                        at = at[:-1] if words[0] == "super" else at
                        words = words[1:]
                full = at + words
                while full and "::".join(full) not in known:
                    full = full[:-1]
                target = "::".join(full)
                if target and target != here:
                    edges[here].add(target)
    return edges


def through_the_face():
    """Returns files of the domain that import a type through its re-export. Such an import looks like a dependency on the parent module."""
    for path in rust_files():
        if path.startswith("engine/domain/src/") and not is_test(path) and not path.endswith("/src/lib.rs"):
            text = re.sub(r"//[^\n]*", "", read(path))
            named = [words for found in re.finditer(r"\buse (crate\b[^;]*);", text) for words in leaves(found.group(1))]
            inline = re.findall(r"\bcrate::([A-Z]\w*)", text)
            for name in sorted({words[1] for words in named if len(words) > 1 and words[1][:1].isupper()} | set(inline)):
                yield "%s: crate::%s" % (path, name)


# Inflections, which do not make a different word.
ENDINGS = ("ing", "ed", "es", "s", "e")
# Database rows: sea-orm requires these names in each entity.
ENTITIES = "engine/store/src/entity/"


def stem(name):
    for ending in ENDINGS:
        if name.endswith(ending) and len(name) - len(ending) >= 3:
            return name[:-len(ending)]
    return name


def same_names():
    """Returns names of public types that several files of the engine's crates define."""
    places = collections.defaultdict(set)
    for path in rust_files():
        if path.startswith("engine/") and not is_test(path) and not path.startswith(ENTITIES):
            for found in re.finditer(r"^pub (?:struct|enum|trait|type) (\w+)", bare(read(path)), re.M):
                places[found.group(1)].add(path)
    return {name: sorted(paths) for name, paths in places.items() if len(paths) > 1}


def same_files():
    """Returns files of one folder whose names differ only by inflection, such as moves.rs and moving.rs."""
    stems = collections.defaultdict(list)
    for path in rust_files():
        if not is_test(path):
            folder, name = os.path.split(path)
            stems[folder, stem(name[:-3])].append(path)
    return sorted(paths for paths in stems.values() if len(paths) > 1)


def empty_comments():
    """Returns doc comments that only repeat the name of the item below."""
    for path in rust_files():
        for number, line in enumerate(read(path).split("\n"), 1):
            if re.match(r"\s*/// (Which|What|It|See (the module|the module's documentation|\[`?[\w:]+`?\]))\.$", line):
                yield "%s:%d" % (path, number)


def family(one, other):
    return one.startswith(other + "::") or other.startswith(one + "::")


def circles(edges):
    """Returns cycles of modules, ignoring imports between a parent and its own children."""
    graph = {one: {other for other in others if not family(one, other)} for one, others in edges.items()}
    return knots(graph), graph


def arrows_up(edges):
    """Returns the cycles of the modules of each folder, each module including its submodules."""
    parents = {""} | {"::".join(one.split("::")[:n]) for one in edges for n in range(1, one.count("::") + 1)}
    found = []
    for parent in sorted(parents):
        start = parent + "::" if parent else ""

        def child(one):
            return one[len(start):].split("::")[0] if one.startswith(start) and one != parent else None

        graph = collections.defaultdict(set)
        for one, others in edges.items():
            for other in others:
                if child(one) and child(other) and child(one) != child(other):
                    graph[child(one)].add(child(other))
        found += [(parent or "the crate", group) for group in knots(graph)]
    return found


def knots(graph):
    """Returns the strongly connected components with more than one node."""
    index, low, stack, on, found = {}, {}, [], set(), []

    def visit(one):
        index[one] = low[one] = len(index)
        stack.append(one)
        on.add(one)
        for other in sorted(graph.get(one, ())):
            if other not in index:
                visit(other)
                low[one] = min(low[one], low[other])
            elif other in on:
                low[one] = min(low[one], index[other])
        if low[one] == index[one]:
            group = []
            while True:
                last = stack.pop()
                on.discard(last)
                group.append(last)
                if last == one:
                    break
            if len(group) > 1:
                found.append(sorted(group))

    sys.setrecursionlimit(10_000)
    for one in sorted(graph):
        if one not in index:
            visit(one)
    return found


def measured():
    lines = {path: read(path).count("\n") for path in rust_files()}
    production = sorted(count for path, count in lines.items() if not is_test(path))
    counted = methods()
    edges = imports()
    groups, graph = circles(edges)
    return {
        "production": {path: count for path, count in lines.items() if not is_test(path)},
        "tests": {path: count for path, count in lines.items() if is_test(path)},
        "p90": production[len(production) * 9 // 10],
        "script": script(),
        "methods": counted,
        "circles": groups,
        "graph": graph,
        "arrows_up": arrows_up(edges),
        "through_the_face": list(through_the_face()),
        "same_names": same_names(),
        "same_files": same_files(),
        "empty_comments": list(empty_comments()),
        "total": sum(production),
        "total_tests": sum(count for path, count in lines.items() if is_test(path)),
    }


def compare(now, limits):
    """Returns exceeded limits, and limits that can be lowered."""
    wrong = []

    def each(kind, have, general, own):
        for name, count in sorted(have.items()):
            allowed = own.get(name, general)
            if count > allowed:
                wrong.append("%s %s: %d, limit %d" % (kind, name, count, allowed))
        for name, allowed in sorted(own.items()):
            if have.get(name, 0) <= general:
                wrong.append("%s %s is within the general limit; remove it from shape.toml" % (kind, name))
            elif have[name] < allowed * 0.95:
                wrong.append("%s %s: %d now; lower its limit of %d in shape.toml" % (kind, name, have[name], allowed))

    each("lines of", now["production"], limits["files"]["lines"], limits["files"].get("longer", {}))
    each("lines of", now["tests"], limits["files"]["test_lines"], limits["files"].get("longer_tests", {}))
    each("methods of", now["methods"], limits["types"]["methods"], limits["types"].get("larger", {}))
    if now["p90"] > limits["files"]["p90"]:
        wrong.append("p90 of file lengths is %d lines, limit %d" % (now["p90"], limits["files"]["p90"]))
    for what, allowed in sorted(limits["script"].items()):
        if now["script"][what] > allowed:
            wrong.append("%s of the board's script: %d, limit %d" % (what, now["script"][what], allowed))
    for parent, group in now["arrows_up"]:
        wrong.append("cyclic dependency in %s of engine/domain: %s" % (parent, ", ".join(group)))
    for where in now["through_the_face"]:
        wrong.append("%s: import it from the module that defines it" % where)
    words = limits["words"]
    for paths in now["same_files"]:
        if paths not in words["files"]:
            wrong.append("files whose names differ only by inflection: %s" % ", ".join(paths))
    for paths in words["files"]:
        if paths not in now["same_files"]:
            wrong.append("%s: no longer a pair; remove it from shape.toml" % ", ".join(paths))
    empty = now["empty_comments"]
    if len(empty) > words["empty_comments"]:
        wrong.append("%d comments only repeat a name, limit %d: %s" % (len(empty), words["empty_comments"], ", ".join(empty)))
    elif len(empty) < words["empty_comments"]:
        wrong.append("%d comments only repeat a name; lower the limit of %d in shape.toml" % (len(empty), words["empty_comments"]))
    shared = words["shared"]
    for name, paths in sorted(now["same_names"].items()):
        if len(paths) > shared.get(name, 1):
            wrong.append("%d public types of the engine have the name %s: %s" % (len(paths), name, ", ".join(paths)))
    for name, allowed in sorted(shared.items()):
        if len(now["same_names"].get(name, [])) < allowed:
            wrong.append("fewer than %d types have the name %s; lower the limit in shape.toml, or remove it" % (allowed, name))
    known = {tuple(group) for group in limits["domain"].get("circles", [])}
    for group in now["circles"]:
        if not any(set(group) <= set(old) for old in known):
            wrong.append("import cycle of modules in engine/domain: %s" % ", ".join(group))
    for old in known:
        if list(old) not in now["circles"]:
            wrong.append("the import cycle %s differs from shape.toml" % ", ".join(old))
    return wrong


def show(now):
    for kind in ("production", "tests"):
        print("%s: %d lines" % (kind, now["total" if kind == "production" else "total_tests"]))
        for path, count in sorted(now[kind].items(), key=lambda one: -one[1])[:15]:
            print("%6d  %s" % (count, path))
    print("p90 of production files: %d lines" % now["p90"])
    print("the board's script: %(lines)d lines, the widest has %(width)d characters" % now["script"])
    print("methods of a type")
    for name, count in now["methods"].most_common(15):
        print("%6d  %s" % (count, name))
    for group in now["circles"]:
        print("cycle of %d modules" % len(group))
        for one in group:
            print("        %s -> %s" % (one, ", ".join(sorted(now["graph"].get(one, set()) & set(group)))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print the values instead of comparing them")
    args = parser.parse_args()
    now = measured()
    if args.show:
        show(now)
        return 0
    with open(LIMITS, "rb") as f:
        wrong = compare(now, tomllib.load(f))
    for one in wrong:
        print(one)
    print("%d passed, %d failed" % (0 if wrong else 1, len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
