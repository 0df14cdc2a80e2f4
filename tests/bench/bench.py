#!/usr/bin/env python3
"""Measures `tachi api` and the `masakari` API from PyPI beside each other, and holds ours against its targets.

Both validate tokens with the same (simulated) Keystone and keep their data on the same MariaDB server; the peer also has the
RabbitMQ it cannot be without. One runs at a time. No engine of either runs: what is measured is the API.
"""
import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import threading
import urllib.request

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "client"))

import database
from freshness import Caller, Freshness
from load import wrk
from peer import Peer
from region import Region, free_port
from report import Report

SEGMENTS, HOSTS = 100, 200
NOTIFICATIONS, MOVES_EACH = 100_000, 10
IN_FLIGHT = 16


def token_of(region):
    auth = region.auth
    domain = {"name": auth["user_domain_name"]}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": auth["username"], "domain": domain, "password": auth["password"]}}},
        "scope": {"project": {"name": auth["project_name"], "domain": domain}}}}
    request = urllib.request.Request(auth["auth_url"] + "/auth/tokens", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["X-Subject-Token"]


def memory(pid):
    """VmRSS and VmHWM in MiB."""
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        found = dict(line.split(":", 1) for line in f if line.startswith("Vm"))
    return tuple(int(found[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))


class Bench:
    def __init__(self, args, scratch):
        self.args, self.report, self.runs = args, Report(), 0
        self.scratch = os.path.join(scratch, "script.lua")

    def say(self, what, measured):
        print("%-44s %s" % (what, measured), flush=True)
        self.report.keep(what, measured.json())

    def segments(self, who, url, token, seconds):
        """The list that is measured is looked at first: a fast wrong answer is no answer."""
        got = Caller(url, token).call("GET", "/v1/segments")
        if len(got["segments"]) != SEGMENTS:
            raise SystemExit("%s lists %d segments, not %d" % (who, len(got["segments"]), SEGMENTS))
        # Other separators or escapes make another length; half of ours is far above any error's body.
        body = len(json.dumps(got)) // 2
        wrk(url + "/v1/segments", token, IN_FLIGHT, self.args.warm)
        measured = wrk(url + "/v1/segments", token, IN_FLIGHT, seconds, body=body)
        self.say("GET /v1/segments, " + who, measured)
        return measured

    def notify(self, who, url, token, db, seconds, hosts=HOSTS):
        """Accepted ones are counted in the database as well."""
        def run(seconds):
            self.runs += 1
            return wrk(url + "/v1/notifications", token, IN_FLIGHT, seconds, "notify.lua", scratch=self.scratch, HOSTS=hosts,
                       RUN=self.runs)
        run(self.args.warm)
        before = int(db.run("SELECT COUNT(*) FROM notifications"))
        measured = run(seconds)
        rows = int(db.run("SELECT COUNT(*) FROM notifications")) - before
        self.say("POST /v1/notifications, " + who, measured)
        # wrk leaves up to one request per connection unanswered when its time is up, after the warm-up and at the end.
        if not measured.good <= rows <= measured.good + 2 * IN_FLIGHT:
            raise SystemExit("%s accepted %d notifications, and %d are in the database" % (who, measured.good, rows))
        return measured

    def peer(self, region, token, server):
        db = database.MariaDb(server, "masakari")
        peer = Peer(self.args.peer, os.path.join(region.work, "masakari"), region, db, self.args.rabbit)
        peer.configure(free_port())
        peer.make_schema()
        database.segments(db, SEGMENTS)
        database.hosts(db, HOSTS, SEGMENTS)
        measured = {}
        for name, start in (("defaults", peer.start_defaults), ("best", peer.start_best)):
            start(free_port())
            try:
                who = "masakari, " + name
                measured[name] = (self.segments(who, peer.url, token, self.args.seconds),
                                  self.notify(who, peer.url, token, db, self.args.seconds))
                rss = sum(memory(pid)[0] for pid in family(peer.process.pid))
                self.report.keep("RSS of %s, MiB" % who, round(rss, 1))
            finally:
                peer.stop()
        return measured

    def ours(self, region, token, db, other):
        database.segments(db, SEGMENTS)
        database.hosts(db, HOSTS, SEGMENTS)
        get = self.segments("tachi", region.api, token, self.args.seconds)
        fresh = Freshness(region.api, (region.api, other), token, database.SEGMENT + "%012d" % 1)
        beside = wrk_beside(lambda: wrk(region.api + "/v1/segments", token, IN_FLIGHT, self.args.seconds))
        fresh.run(self.args.seconds)
        beside.join()
        if fresh.problems:
            raise SystemExit("the check of freshness broke off: %s" % fresh.problems)
        self.report.keep("freshness", {"writes": fresh.writes, "reads": fresh.reads, "stale": fresh.stale[:20]})
        post = self.notify("tachi", region.api, token, db, self.args.seconds)
        # One by one, and the other way round: each report leaves the service something to do, which slows the next.
        one = [self.notify("tachi, of one host", region.api, token, db, self.args.seconds, hosts=1) for _ in range(2)]
        many = [post, self.notify("tachi, of many again", region.api, token, db, self.args.seconds)]
        return get, post, (one, many), fresh

    def large(self, region, token, db):
        count, each = self.args.notifications, MOVES_EACH
        db.run("DELETE FROM notifications; DELETE FROM vmoves")
        database.notifications(db, count, HOSTS)
        database.vmoves(db, count * each, each)
        db.analyse()
        rows = Caller(region.api, token).call("GET", "/v1/notifications/%s%012d/vmoves" % (database.NOTIFICATION, count // 2))
        if len(rows["vmoves"]) != each:
            raise SystemExit("a notification has %d moves, not %d" % (len(rows["vmoves"]), each))
        url = region.api + "/v1/notifications"
        measures = (
            ("vmoves of one notification, 16 in flight", lambda s: wrk(url, token, IN_FLIGHT, s, "moves.lua", body=each * 200,
                                                                       scratch=self.scratch, ROWS=count)),
            ("first page of 100 notifications, 16 in flight", lambda s: wrk(url + "?limit=100", token, IN_FLIGHT, s,
                                                                            body=100 * 200)),
            ("first page without limit (1000), 1 in flight", lambda s: wrk(url, token, 1, s, body=1000 * 200)),
        )
        result = []
        for name, run in measures:
            run(self.args.warm)
            measured = run(self.args.seconds)
            self.say(name, measured)
            result.append((name, measured))
        return result

    def all(self, region, db, other):
        report, token = self.report, token_of(region)
        busy = os.getloadavg()[0]
        if busy > 0.3 * os.cpu_count():
            print("!!! the machine is busy (load average %.1f): these figures say little" % busy, flush=True)
        peers = None if self.args.no_peer else self.peer(region, token, self.args.mariadb)
        get, post, (one, many), fresh = self.ours(region, token, db, other)
        resident, peak = memory(region.server.pid)
        large = self.large(region, token, db)
        after, after_peak = memory(region.server.pid)
        if peers:
            (get_def, post_def), (get_best, post_best) = peers["defaults"], peers["best"]
            for what, ours, default, best, targets in (
                    ("GET /v1/segments", get, get_def, get_best, (20, 5)),
                    ("POST /v1/notifications", post, post_def, post_best, (50, 20))):
                for name, theirs, factor in (("its defaults", default, targets[0]), ("its best", best, targets[1])):
                    ratio = ours.per_second / theirs.per_second if theirs.per_second else 0.0
                    report.at_least("%s, times masakari with %s" % (what, name), ratio, "x", factor,
                                    "%.1f/s against %.1f/s" % (ours.per_second, theirs.per_second))
        report.below("GET /v1/segments, p99", get.p99, "ms", 30, "p50 %.2f ms" % get.p50)
        report.below("POST /v1/notifications, p99", post.p99, "ms", 50, "p50 %.2f ms" % post.p50)
        of_one, of_many = (sum(each.per_second for each in both) / 2 for both in (one, many))
        report.at_least("POST /v1/notifications of one host, part of those of many", of_one / of_many, "", 0.9,
                        "%.1f/s against %.1f/s" % (of_one, of_many))
        report.none("GET /v1/segments, answers that were no list", get.refused + get.broken + (not get.whole))
        report.none("POST /v1/notifications, refused or broken", post.refused + post.broken)
        report.none("answers older than the last committed write", len(fresh.stale),
                    "%d reads beside %d writes, half of them by another process" % (fresh.reads, fresh.writes))
        report.at_least("writes, and reads beside them, that this was looked at with", min(fresh.writes, fresh.reads), "", 50)
        report.below("RSS of tachi api after the load", resident, "MiB", 40, "peak %.1f" % peak)
        for name, measured in large:
            report.below("%s, p99" % name, measured.p99, "ms", 50, "%.1f/s, p50 %.2f ms" % (measured.per_second, measured.p50))
            report.none("%s, refused or broken" % name, measured.refused + measured.broken + (not measured.whole))
        report.below("RSS of tachi api after the large lists", after, "MiB", 40, "peak %.1f" % after_peak)


def family(pid):
    """The process and its children."""
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="utf-8") as f:
        return [pid] + [int(child) for child in f.read().split()]


def wrk_beside(run):
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def second_api(region):
    """Another process of the API on the same database, as behind a load balancer."""
    port = free_port()
    conf = os.path.join(region.work, "second.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write("[DEFAULT]\nmasakari_api_listen_port = %d\n" % port)
    process = region._start(["api", *region.config_files(), "--config-file", conf], os.path.join(region.work, "second.log"))
    url = "http://127.0.0.1:%d" % port

    def healthy():
        if process.poll() is not None:
            raise SystemExit("the second tachi api ended with %s" % process.returncode)
        try:
            with urllib.request.urlopen(url + "/healthcheck", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    region.wait(healthy, "second API")
    return process, url


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="a release build")
    parser.add_argument("--peer", help="the virtual environment with masakari and uwsgi")
    parser.add_argument("--mariadb", help="URL of an administrator: mysql://user:password@host:port/")
    parser.add_argument("--rabbit", help="URL of a RabbitMQ: rabbit://user:password@host:port/")
    parser.add_argument("--sqlite", action="store_true", help="ours on SQLite, to try the harness without MariaDB")
    parser.add_argument("--no-peer", action="store_true", help="measure ours alone; nothing is compared")
    parser.add_argument("--seconds", type=int, default=20, help="of each measurement")
    parser.add_argument("--warm", type=int, default=3, help="seconds of load before each measurement")
    parser.add_argument("--notifications", type=int, default=NOTIFICATIONS, help="of the large database, ten vmoves each")
    parser.add_argument("--json", help="write the figures here")
    args = parser.parse_args()
    if not args.no_peer and not (args.peer and args.mariadb and args.rabbit):
        parser.error("--peer, --mariadb and --rabbit belong together; or --no-peer")
    if not args.sqlite and not args.mariadb:
        parser.error("--mariadb, or --sqlite to try the harness")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scratch = tempfile.mkdtemp(prefix="tachi-bench-")
    if args.sqlite:
        db = database.Sqlite(os.path.join(scratch, "tachi.sqlite"))
    else:
        db = database.MariaDb(args.mariadb, "tachi")
    bench = Bench(args, scratch)
    second, region = None, None
    try:
        region = Region(args.tachi, "api", options=[("database", "connection", db.url)], arguments=("--hosts", str(HOSTS)))
        second, other = second_api(region)
        bench.all(region, db, other)
    finally:
        if second:
            second.terminate()
            second.wait(30)
        if region:
            region.stop()
            region.remove()
        shutil.rmtree(scratch, ignore_errors=True)
    about = {"when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cores": os.cpu_count(),
             "machine": platform.machine(), "database": "SQLite" if args.sqlite else "MariaDB", "in_flight": IN_FLIGHT,
             "seconds": args.seconds, "load_average": os.getloadavg()[0]}
    print("\n" + bench.report.table())
    if args.json:
        bench.report.write(args.json, about)
        print("\nfigures: " + args.json)
    reached, missed = bench.report.counts()
    print("%d passed, %d failed" % (reached, missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
