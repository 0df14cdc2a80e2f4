#!/usr/bin/env python3
"""The whole way of a failure in one table: a host of a real Pacemaker cluster loses its power, and its instances are back.

The cluster watches its remotes as the charms set it up, and then so that it notices sooner. Then Masakari has its turn. Nova is the simulated
one.
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


def seconds_of(args, way, more=()):
    """From the loss of power to each step."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "seconds.json")
        words = [sys.executable, CHAIN, "--tachi", args.tachi, "--monitor", args.monitor, "--timings", way, "--silent", "--json", path, *more]
        done = subprocess.run(words, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode != 0:
            raise SystemExit("%s\n%s" % (done.stdout, done.stderr))
        with open(path, encoding="utf-8") as f:
            return json.load(f)


def told(seconds):
    return ", ".join("%s %.1f s" % one for one in seconds.items())


def after_the_fence(seconds):
    """What is not the cluster's: when it notices depends on when it has looked last."""
    order = list(seconds)
    return seconds[order[-1]] - seconds[order[0]]


def measure(args, report, way):
    seconds = seconds_of(args, way)
    report.keep(way, seconds)
    report.below(WAYS[way] + ": power lost to the last instance back", seconds["last instance back"], "s", 90, told(seconds))
    report.below("  of these ours, from the fence to the last instance", after_the_fence(seconds), "s", 15)
    print(report.table(len(report.rows) - 2), flush=True)
    return seconds


def masakari(args, report, ours):
    """Its own API, engine and monitors from PyPI, in the same sitting and under the same cluster."""
    seconds = seconds_of(args, "charms", ["--masakari", args.masakari, "--masakari-monitors", args.masakari_monitors])
    report.keep("masakari", seconds)
    theirs, mine = after_the_fence(seconds), after_the_fence(ours)
    report.below("Masakari 22.0.0 as its charms set it up, the same Pacemaker: from the fence to the last instance ours takes of its time",
                 mine / theirs, "", 0.2, "%.1f s of %.1f s; with Masakari %s" % (mine, theirs, told(seconds)))
    print(report.table(len(report.rows) - 1), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the binary")
    parser.add_argument("--monitor", required=True, help="that of the monitors")
    parser.add_argument("--masakari", required=True, help="the environment with Masakari's service")
    parser.add_argument("--masakari-monitors", required=True, help="that with its monitors")
    parser.add_argument("--json", help="write the figures here")
    args = parser.parse_args()
    report = Report()
    ours = {way: measure(args, report, way) for way in WAYS}
    masakari(args, report, ours["charms"])
    about = {"when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cores": os.cpu_count(),
             "machine": platform.machine(), "database": "SQLite", "load_average": os.getloadavg()[0]}
    if args.json:
        report.write(args.json, about)
    reached, missed = report.counts()
    print("%d passed, %d failed" % (reached, missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
