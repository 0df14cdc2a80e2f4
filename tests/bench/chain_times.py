#!/usr/bin/env python3
"""The whole way of a failure in one table: a host of a real Pacemaker cluster loses its power, and its instances are back.

The cluster watches its remotes as the charms set it up, and then so that it notices sooner. Nova is the simulated one.
"""
import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile

from report import Report

HERE = os.path.dirname(os.path.abspath(__file__))
CHAIN = os.path.join(HERE, "..", "pacemaker", "chain.py")
WAYS = {"charms": "Pacemaker as the charms set it up (looks at a remote every 30 s, waits 20 s)",
        "tuned": "Pacemaker that looks every 5 s and waits 15 s"}


def measure(args, report, way):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "seconds.json")
        words = [sys.executable, CHAIN, "--tachi", args.tachi, "--monitor", args.monitor, "--timings", way, "--silent", "--json", path]
        done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise SystemExit("%s\n%s" % (done.stdout, done.stderr))
        with open(path, encoding="utf-8") as f:
            seconds = json.load(f)
    report.keep(way, seconds)
    order = list(seconds)
    note = ", ".join("%s %.1f s" % (name, seconds[name]) for name in order)
    report.below(WAYS[way] + ": power lost to the last instance back", seconds["last instance back"], "s", 90, note)
    report.below("  of these ours, from the fence to the last instance", seconds[order[-1]] - seconds[order[0]], "s", 15)
    print(report.table(len(report.rows) - 2), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the binary")
    parser.add_argument("--monitor", required=True, help="that of the monitors")
    parser.add_argument("--json", help="write the figures here")
    args = parser.parse_args()
    report = Report()
    for way in WAYS:
        measure(args, report, way)
    about = {"when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cores": os.cpu_count(),
             "machine": platform.machine(), "database": "SQLite", "load_average": os.getloadavg()[0]}
    if args.json:
        report.write(args.json, about)
    reached, missed = report.counts()
    print("%d passed, %d failed" % (reached, missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
