#!/usr/bin/env python3
"""How each cost grows with the hosts: a region of 10, 100 and 1,000 hypervisors with 50 instances each, five engines, MariaDB or Galera.

At rest first, for a minute; then a fifth of the hosts, one row, loses its power at once, is reported, held as a domain that was lost as a whole,
and approved by one command. Nova takes up so many evacuations a second as `--rate` says. Of several servers, the nodes of a Galera cluster,
the API has the first, and each engine the next.
"""
import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from database import MariaDb
from engine import Scene, Watch
from report import Report

DOMAIN = "row:r1"
# A fifth of the hosts is more than may be lost without a person. Devices are tested as often as by default by who watches, here by each engine.
OPTIONS = [("fencing", "segment_fraction_percent", 10), ("fencing", "global_fraction_percent", 10), ("fencing", "self_test_interval", 40)]


class Wide(Scene):
    """A region of so many hosts whose journal is in MariaDB."""

    def __init__(self, args, hosts):
        servers = args.mariadb.split(",")
        self.db = MariaDb(servers[0], "hosts_%d" % hosts)
        self.nodes = [self.db.url_on(server) for server in servers]
        self.folder = tempfile.mkdtemp(prefix="tachi-hosts-")
        conf, self.domains = os.path.join(self.folder, "db.conf"), os.path.join(self.folder, "domains")
        with open(conf, "w", encoding="utf-8") as f:
            f.write("[database]\nconnection = %s\n" % self.db.url)
        with open(self.domains, "w", encoding="utf-8"):
            pass
        subprocess.run([args.tachi, "db", "sync", "--config-file", conf], check=True, capture_output=True, timeout=120)
        options = [("database", "connection", self.db.url), ("fencing", "storm_failure_domains_file", self.domains), *OPTIONS]
        super().__init__(args.tachi, hosts, engines=args.engines, rebuild=args.rebuild, rate=args.rate, options=options)

    def configured(self, number):
        conf = os.path.join(self.folder, "engine-%d.conf" % number)
        with open(conf, "w", encoding="utf-8") as f:
            f.write("[database]\nconnection = %s\n" % self.nodes[number % len(self.nodes)])
        return ["--config-file", conf]

    def rows(self, sql, *values):
        assert not values
        return [line.split("\t") for line in self.db.run(sql).splitlines()]

    def unfinished(self):
        return int(super().unfinished())

    def work_done(self):
        """Transactions and statements of the whole server, and Nova's requests, up to now."""
        names = ("Com_commit", "Com_select", "Questions", "Handler_commit")
        told = dict(row for row in self.rows("SHOW GLOBAL STATUS WHERE Variable_name IN ('%s')" % "','".join(names)))
        counts = self.requests()["counts"]
        return {"commits": int(told["Com_commit"]), "statements": int(told["Questions"]),
                "requests": sum(number for route, number in counts.items() if "/compute/" in route),
                "placement": sum(number for route, number in counts.items() if "/placement" in route)}

    def processes(self):
        pids = {"engine %d" % number: engine.pid for number, engine in enumerate(self.engines)}
        return {**pids, "api": self.region.server.pid, "sandbox": self.region.process.pid}


class Span:
    """What everything cost between two moments."""

    def __init__(self, scene):
        self.scene, self.before, self.watch = scene, scene.work_done(), Watch(scene.processes())
        self.watch.start()

    def end(self):
        self.watch.finish()
        after, seconds, engines = self.scene.work_done(), self.watch.seconds, [name for name in self.watch.used if name.startswith("engine")]
        told = {name: after[name] - self.before[name] for name in after}
        return {"seconds": round(seconds, 1), "engines_cpu": round(sum(self.watch.used[name] for name in engines), 2),
                "busiest": round(max(self.watch.cores(name) for name in engines), 4),
                "engine_memory": round(max(self.watch.most_memory[name] for name in engines), 1),
                "api_cpu": round(self.watch.used["api"], 2), "api_memory": round(self.watch.most_memory["api"], 1), **told}


def all_tested(scene):
    """Whether every fence device has been tested: until then each engine tests as many as it can, one after the other."""
    _, said = tachi(scene, "status", "-f", "json")
    return said.startswith("{") and not {one["code"] for one in json.loads(said)["findings"]} & {"FENCE_NOT_TESTED", "NO_ENGINE"}


def at_rest(scene, seconds):
    scene.wait(lambda: all_tested(scene), "a test of every fence device", 120, 2)
    time.sleep(20)  # The engines have seen the region once.
    span = Span(scene)
    time.sleep(seconds)
    return span.end()


def tachi(scene, *words):
    done = subprocess.run([scene.region.binary, *words, *scene.region.config_files()], env=scene.region.environment,
                          capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def held(scene, dead):
    """Whether each of them waits for an approval of the whole row: what was held for another reason before is told of it within seconds."""
    code, said = tachi(scene, "recovery", "list", "--state", "held", "-f", "json")
    return code == 0 and sum(DOMAIN in (one["message"] or "") for one in json.loads(said)) >= len(dead)


def row_lost(scene, dead, servers, rate):
    span, began = Span(scene), time.time()
    scene.fail(dead)
    scene.report(dead)
    reported = time.time() - began
    scene.wait(lambda: held(scene, dead), "a hold of every recovery for the row", 120, 0.5)
    all_held = time.time() - began
    code, said = tachi(scene, "recovery", "approve", "--domain", DOMAIN, "--yes", "--reason", "benchmark")
    if code:
        raise SystemExit("the approval failed: " + said)
    approved = time.time()
    scene.wait(lambda: not scene.unfinished(), "the end of the recoveries", 60 + 4 * len(servers) / rate, 0.5)
    ended = time.time()
    told = span.end()
    told.update(reported=round(reported, 2), held=round(all_held, 2), back=round(ended - approved, 2),
                lost=len(scene.lost(servers)), double_runs=scene.region.admin("GET", "/ledger")["double_runs"])
    return told


def measure(args, report, hosts):
    scene = Wide(args, hosts)
    try:
        dead = scene.hosts[:max(1, hosts // 5)]
        with open(scene.domains, "w", encoding="utf-8") as f:
            f.write("%s = %s\n" % (DOMAIN, " ".join(dead)))
        for host in scene.hosts:
            scene.region.admin("POST", "/servers", {"host": host, "count": args.each})
        print("%d hosts, %d instances, %d engines" % (hosts, hosts * args.each, args.engines), flush=True)
        rest = at_rest(scene, args.rest)
        print("at rest: %s" % rest, flush=True)
        on_them = [server["id"] for server in scene.region.admin("GET", "/servers") if server["host"] in set(dead)]
        began = time.monotonic()
        code, _ = tachi(scene, "status", "-f", "json")
        status = time.monotonic() - began
        lost = row_lost(scene, dead, on_them, args.rate)
        lost.update(hosts=len(dead), instances=len(on_them))
        print("a row lost: %s" % lost, flush=True)
        report.keep("hosts_%d" % hosts, {"instances": hosts * args.each, "engines": args.engines, "rate": args.rate, "status": round(status, 2),
                                         "status_exit": code, "rest": rest, "row": lost})
        name = "%d hosts: " % hosts
        report.below(name + "cores of the busiest engine at rest", rest["busiest"], "", 0.02)
        report.below("  Nova's requests a minute at rest", 60 * rest["requests"] / rest["seconds"], "", 60 + hosts / 5)
        report.below("  a row of %d lost: all back after the approval" % len(dead), lost["back"], "s",
                     round(1.1 * len(on_them) / args.rate + args.rebuild + 15, 1), "%d instances, %.1f s at Nova's rate" % (
                         len(on_them), len(on_them) / args.rate + args.rebuild))
        report.below("  processor time of all engines, per instance", 1000 * lost["engines_cpu"] / len(on_them), "ms", 25,
                     "busiest engine %.2f cores" % lost["busiest"])
        report.below("  statements per instance", lost["statements"] / len(on_them), "", 75,
                     "%.0f transactions a second" % (lost["commits"] / lost["seconds"]))
        report.below("  most memory of an engine", max(rest["engine_memory"], lost["engine_memory"]), "MiB", 256)
        report.below("  Nova's requests per instance", lost["requests"] / len(on_them), "", 6)
        report.none("  instances not back", lost["lost"])
        report.none("  instances that ran twice", lost["double_runs"])
    finally:
        scene.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the binary")
    parser.add_argument("--mariadb", required=True, help="the URL of a server's administrator, or those of a cluster's nodes, with commas")
    parser.add_argument("--hosts", default="10,100,1000")
    parser.add_argument("--each", type=int, default=50, help="instances on each host")
    parser.add_argument("--engines", type=int, default=5)
    parser.add_argument("--rate", type=float, default=60.0, help="evacuations Nova takes up a second")
    parser.add_argument("--rebuild", type=float, default=2.0)
    parser.add_argument("--rest", type=float, default=60.0, help="seconds at rest")
    parser.add_argument("--json", help="write the figures here")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    for hosts in args.hosts.split(","):
        before = len(report.rows)
        try:
            measure(args, report, int(hosts))
        finally:
            print(report.table(before), flush=True)
    about = {"when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cores": os.cpu_count(),
             "machine": platform.machine(), "database": "Galera, %d nodes" % (args.mariadb.count(",") + 1) if "," in args.mariadb else "MariaDB", "load_average": os.getloadavg()[0]}
    if args.json:
        report.write(args.json, about)
    reached, missed = report.counts()
    print("%d passed, %d failed" % (reached, missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
