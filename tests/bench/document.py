#!/usr/bin/env python3
"""Writes what was measured into docs/design/benchmarks.md: each table between `<!-- NAME -->` and `<!-- end -->` is made from NAME.json, where there is one."""
import argparse
import json
import os
import re
import sys

PLACE = re.compile(r"(<!-- (bench[a-z-]*) -->\n).*?(<!-- end -->\n)", re.S)


def cell(value):
    return str(value).replace("|", "\\|").strip()


def table(measured):
    """The rows of a report, and where and when they were measured."""
    when = measured["when"][:16].replace("T", " ")
    lines = ["%s UTC, %d cores, %s, %s; load average before: %.1f:" % (
        when, measured["cores"], measured["machine"], measured["database"], measured.get("load_before", measured["load_average"])), "",
        "| what | measured | target | |", "|---|---|---|---|"]
    for row in measured["targets"]:
        reached = "" if row["reached"] else "**missed**"
        note = cell(row["note"])
        lines.append("| %s | %s | %s | %s |" % (
            cell(row["what"]), cell("%s %s" % (row["value"], row["unit"])), cell(row["target"]), ", ".join(filter(None, [reached, note]))))
    return "\n".join(lines) + "\n"


def written(document, folder):
    """The document with its tables made anew, and the names of those."""
    done = []

    def one(found):
        path = os.path.join(folder, found[2] + ".json")
        if not os.path.exists(path):
            return found[0]
        with open(path, encoding="utf-8") as f:
            done.append(found[2])
            return found[1] + table(json.load(f)) + found[3]
    return PLACE.sub(one, document), done


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="folder", required=True, help="where the benchmarks have left their figures")
    parser.add_argument("document")
    args = parser.parse_args()
    with open(args.document, encoding="utf-8") as f:
        before = f.read()
    after, done = written(before, args.folder)
    if not done:
        sys.exit("no figures in %s: run the benchmarks first" % args.folder)
    with open(args.document, "w", encoding="utf-8") as f:
        f.write(after)
    print("%s: %s" % (args.document, ", ".join(done)))


if __name__ == "__main__":
    main()
