#!/usr/bin/env python3
"""The English of the code and of the operators' pages: comments that open with a relative clause, words that have a plain equivalent,
type names that are participles or question words, names that the field's terms have replaced, log messages that are not constants.

    tests/lib/english.py          fails on places that english.toml does not allow, and on unused exceptions
    tests/lib/english.py --list   prints each place, allowed or not

english.toml has the words with their equivalents, and the exceptions with reasons.
"""
import argparse
import os
import re
import subprocess
import sys
import tomllib

from sources import ROOT, is_test, read

OPENINGS = {"What", "Whether", "How", "Where", "Why", "Which", "Who", "Whose", "As", "So", "That", "Its", "It", "Whatever", "Whoever",
            "Nobody", "Nothing"}
NAME = re.compile(r"\s*(?:pub(?:\([a-z ]+\))? )?(?:struct|enum|trait|type|union)\s+([A-Za-z_]\w*)")
DEFINED = re.compile(r"\b(?:struct|enum|trait|type|fn|mod|const|static)\s+(\w+)|^\s*(?:pub(?:\([^)]*\))?\s+)?(\w+)\s*:\s"
                     r"|^\s*([A-Z]\w+)\s*[,({]|\blet (?:mut )?(\w+)\b")
LOG = re.compile(r"\btracing::(?:error|warn|info|debug|trace)!\s*\(")


def tracked(*patterns):
    return subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def openings(path, text):
    """Yields doc comments that open with a relative clause instead of a sentence."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        word = re.match(r"\s*//[/!] ([A-Za-z]+)", line)
        if word and not inside and word.group(1) in OPENINGS:
            yield f"{path}:{number}", word.group(1), line.strip()
        inside = bool(re.match(r"\s*//[/!]\s*\S", line))


def replaced(path, text, words):
    for number, line in enumerate(text.splitlines(), 1):
        for found in words.findall(line):
            yield f"{path}:{number}", found.lower(), line.strip()


def names(path, text, rule):
    for number, line in enumerate(text.splitlines(), 1):
        found = NAME.match(line)
        if found and found.group(1) not in rule["nouns"] and (
                found.group(1) in rule["words"] or re.fullmatch("[A-Z][a-z]+(ed|ing)", found.group(1))):
            yield f"{path}:{number}", found.group(1), line.strip()


def identifiers(path, text, old):
    """Yields definitions under a name that was replaced by the field's term."""
    for number, line in enumerate(text.split("#[cfg(test)]\nmod tests")[0].splitlines(), 1):
        if not line.lstrip().startswith("//"):
            for name in (name for found in DEFINED.findall(line) for name in found if name in old):
                yield f"{path}:{number}", name, line.strip()


def logs(path, text):
    """Yields log messages with an interpolated value."""
    for start in LOG.finditer(text):
        depth, at, quoted = 1, start.end(), False
        while depth and at < len(text):
            if quoted:
                if text[at] == "\\":
                    at += 1
                elif text[at] == '"':
                    quoted = False
            elif text[at] == '"':
                quoted = True
            else:
                depth += (text[at] in "([{") - (text[at] in ")]}")
            at += 1
        messages = re.findall(r'"((?:\\.|[^"\\])*)"', text[start.end():at])
        if messages and re.search(r"(?<!\{)\{[^{]", messages[-1]):
            yield f"{path}:{text.count(chr(10), 0, start.start()) + 1}", messages[-1], text[start.start():at]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="prints each place, allowed or not")
    args = parser.parse_args()
    with open(os.path.join(ROOT, "tests", "lib", "english.toml"), "rb") as f:
        rules = tomllib.load(f)
    words = re.compile(r"\b(" + "|".join(rules["words"]) + r")\b", re.I)
    code = [path for path in tracked("*.rs") if not is_test(path)]
    pages = [path for path in tracked("README.md", "docs/*.md", "docs/**/*.md") if not re.match(r"docs/(adr|design|reference)/|docs/api\.md", path)]
    found = []
    for path in code:
        text = read(path)
        found += [("opening", *one) for one in openings(path, text)]
        found += [("word", *one) for one in replaced(path, text, words)]
        found += [("name", *one) for one in names(path, text, rules["names"])]
        found += [("identifier", *one) for one in identifiers(path, text, rules["identifiers"]["old"])]
        found += [("log", *one) for one in logs(path, text)]
    for path in pages:
        found += [("word", *one) for one in replaced(path, read(path), words)]
    allowed = [(one["kind"], one["in"], one["text"]) for one in rules["allow"]]
    used, wrong = set(), 0
    for kind, place, what, line in found:
        path = place.rsplit(":", 1)[0]
        exceptions = [one for one in allowed if one[0] == kind and re.fullmatch(one[1], path) and one[2] in (what, "*")]
        used.update(exceptions)
        if not exceptions or args.list:
            print(f"{'allowed' if exceptions else 'FOUND'} {kind} {what!r} {place}: {' '.join(line.split())[:140]}")
        wrong += not exceptions
    for one in allowed:
        if one not in used:
            print(f"not needed any more: the exception {one}")
            wrong += 1
    if wrong:
        print(f"{wrong} places; english.toml has the plain words, and the exceptions with their reasons")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
