#!/usr/bin/env python3
"""Samples `tachi api` with perf under the load of one of the benchmark's rows, and prints where the CPU went."""
import argparse
import os
import re
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "client"))

import database
from bench import HOSTS, IN_FLIGHT, SEGMENTS, token_of
from load import wrk
from region import Region


def report(record, sort):
    """(percent, name) of every line, the largest first."""
    done = subprocess.run(["perf", "report", "--stdio", "--no-children", "--call-graph", "none", "--percent-limit", "0",
                           "--sort", sort, "--input", record], capture_output=True, text=True, check=False)
    lines = re.findall(r"^ *([0-9.]+)% +(\S.*?) *(?:- +- *)?$", done.stdout, re.MULTILINE)
    return [(float(percent), name) for percent, name in lines]


def crate(symbol):
    """The crate a Rust symbol belongs to: of `<A as B>::c` that of A. The kernel and C by their kind."""
    if symbol.startswith("[k]"):
        return "the kernel"
    path = re.sub(r"^\[\.\] *[<&*(\[]*(?:dyn |mut |impl )?", "", symbol)
    return path.split("::")[0] if "::" in path else "C (allocator, copying, SQLite)"


def by_crate(symbols):
    shares = {}
    for percent, name in symbols:
        shares[crate(name)] = shares.get(crate(name), 0.0) + percent
    return sorted(((percent, name) for name, percent in shares.items()), reverse=True)


def show(what, rows, count):
    print("\nshare of the CPU, by %s:" % what)
    for percent, name in rows[:count]:
        print("  %6.2f %%  %s" % (percent, name[:120]))


def cpu(pid):
    """Seconds of CPU a process has used so far."""
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processes(wanted):
    """The pids of all processes whose name begins with one of `wanted`, by name."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/comm" % pid, encoding="utf-8") as f:
                name = f.read().strip()
        except OSError:
            continue
        if name.startswith(wanted):
            found.setdefault(name, []).append(int(pid))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--mariadb", help="URL of an administrator; without it ours is on SQLite")
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--record", required=True, help="where perf's record goes")
    parser.add_argument("--path", default="/v1/segments", help="what is asked for")
    parser.add_argument("--post", action="store_true", help="POST notifications instead")
    args = parser.parse_args()
    if args.mariadb:
        db = database.MariaDb(args.mariadb, "profile")
    else:
        db = database.Sqlite(args.record + ".sqlite")
    region = Region(args.tachi, "api", options=[("database", "connection", db.url)], arguments=("--hosts", str(HOSTS)))
    try:
        database.segments(db, SEGMENTS)
        database.hosts(db, HOSTS, SEGMENTS)
        token, url = token_of(region), region.api + args.path
        if args.post:
            url = region.api + "/v1/notifications"
        script = {"script": "notify.lua", "scratch": args.record + ".lua", "HOSTS": HOSTS} if args.post else {}
        wrk(url, token, IN_FLIGHT, 2, **script, **({"RUN": 1} if args.post else {}))
        beside = processes(("mariadbd", "postgres")) if args.mariadb else {}
        api = region.server.pid
        before = {pid: cpu(pid) for pids in [*beside.values(), [api]] for pid in pids}
        # A clock instead of a hardware counter: virtual machines often have none.
        perf = subprocess.Popen(["perf", "record", "--quiet", "--event", "cpu-clock", "--freq", "499", "--output", args.record,
                                 "--pid", str(region.server.pid), "--", "sleep", str(args.seconds)],
                                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        measured = wrk(url, token, IN_FLIGHT, args.seconds, **script, **({"RUN": 2} if args.post else {}))
        used = {pid: cpu(pid) - was for pid, was in before.items()}
        said = perf.communicate(timeout=60)[1]
    finally:
        region.stop()
        region.remove()
        if not args.mariadb:
            for end in ("", "-wal", "-shm"):
                if os.path.exists(db.path + end):
                    os.remove(db.path + end)
    print("%s %s: %s" % ("POST" if args.post else "GET", url.removeprefix(region.api), measured))
    print("CPU seconds: tachi api %.1f%s" % (used[api], "".join(
        ", %s %.1f" % (name, sum(used[pid] for pid in pids)) for name, pids in beside.items())))
    symbols = report(args.record, "symbol")
    if not symbols:
        print("perf has nothing to show:\n" + said)
        return 1
    show("object", report(args.record, "dso"), 6)
    show("crate", by_crate(symbols), 20)
    show("function", symbols, 40)
    return 0


if __name__ == "__main__":
    sys.exit(main())
