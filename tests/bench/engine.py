#!/usr/bin/env python3
"""Measures recoveries: real processes of `tachi api` and `tachi engine` against the simulated region over HTTP.

The guards against storms are lifted for the runs in which many hosts fail at once (segment_fraction_percent and
global_fraction_percent are 100, storm_cliff_percent too, storm_fences is 0): what is measured there is how fast an engine is, not whether it should.
"""
import argparse
import concurrent.futures
import datetime
import glob
import json
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from bench import memory, token_of
from freshness import Caller
from region import Region
from report import Report

TICKS = os.sysconf("SC_CLK_TCK")
LIFTED = [("fencing", "segment_fraction_percent", 100), ("fencing", "global_fraction_percent", 100),
          ("fencing", "storm_fences", 0), ("fencing", "storm_cliff_percent", 100)]


def cpu(pid):
    """Seconds of CPU a process has used."""
    with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
        fields = f.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


class Watch(threading.Thread):
    """Samples CPU and memory of processes until told to stop."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.over = pids, threading.Event()
        self.began, self.cpu_before = time.monotonic(), {name: cpu(pid) for name, pid in pids.items()}
        self.used, self.most_memory, self.seconds = {}, {name: 0.0 for name in pids}, 0.0

    def run(self):
        while not self.over.wait(1):
            self.sample()

    def sample(self):
        self.seconds = time.monotonic() - self.began
        for name, pid in self.pids.items():
            try:
                self.used[name] = cpu(pid) - self.cpu_before[name]
                self.most_memory[name] = max(self.most_memory[name], memory(pid)[1])
            except OSError:
                pass

    def finish(self):
        self.over.set()
        self.join()
        self.sample()

    def cores(self, name):
        return self.used[name] / self.seconds


class Scene:
    """A region, `tachi api`, some engines, and a segment with every host of the region."""

    def __init__(self, binary, hosts, engines=1, rebuild=2.0, rate=None, options=()):
        arguments = ["--hosts", str(hosts), "--rebuild-seconds", str(rebuild)]
        if rate:
            arguments += ["--evacuations-per-second", str(rate)]
        self.region = Region(binary, "api", options=options, arguments=arguments)
        self.engines = []
        try:
            for _ in range(engines):
                self.start_engine()
            self.caller = Caller(self.region.api, token_of(self.region))
            segment = {"name": "all", "recovery_method": "auto", "service_type": "COMPUTE"}
            self.segment = self.caller.call("POST", "/v1/segments", {"segment": segment})["segment"]["uuid"]
            self.hosts = [host["name"] for host in self.region.admin("GET", "/hosts")]
            for name in self.hosts:
                body = {"host": {"name": name, "type": "COMPUTE", "control_attributes": "SSH"}}
                self.caller.call("POST", "/v1/segments/%s/hosts" % self.segment, body)
        except BaseException:
            self.stop()
            raise

    def start_engine(self):
        number = len(self.engines)
        log = os.path.join(self.region.work, "engine-%d.log" % number)
        self.engines.append(self.region._start(["engine", *self.region.config_files(), *self.configured(number)], log))

    def configured(self, number):
        """What the engine of that number is started with besides."""
        del number
        return []

    def stop(self):
        for engine in self.engines:
            if engine.poll() is None:
                engine.send_signal(signal.SIGTERM)
        for engine in self.engines:
            try:
                engine.wait(15)
            except Exception:
                engine.kill()
                engine.wait()
        self.region.stop()
        if os.environ.get("TACHI_BENCH_KEEP"):
            print("kept: " + self.region.work, flush=True)
        else:
            self.region.remove()

    def boot(self, host, count):
        """The ids of the servers booted on a host."""
        before = {server["id"] for server in self.region.admin("GET", "/servers")}
        self.region.admin("POST", "/servers", {"host": host, "count": count, "metadata": {"HA_Enabled": "True"}})
        return [server["id"] for server in self.region.admin("GET", "/servers") if server["id"] not in before]

    def boot_many(self, hosts, count):
        for host in hosts:
            self.region.admin("POST", "/servers", {"host": host, "count": count, "metadata": {"HA_Enabled": "True"}})
        return [server["id"] for server in self.region.admin("GET", "/servers")]

    def fail(self, hosts):
        for host in hosts:
            self.region.admin("POST", "/hosts/%s/power" % host, {"on": False})

    def report(self, hosts):
        """Posts a notification for each host."""
        stopped = {"event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"}
        return self.post("COMPUTE_HOST", [(host, stopped) for host in hosts])

    def processes_fail(self, count):
        """Posts so many different failures of processes, over all hosts."""
        return self.post("PROCESS", [(self.hosts[number % len(self.hosts)], {"event": "STOPPED", "process_name": "p%d" % number})
                                     for number in range(count)])

    def post(self, kind, reports):
        """Posts sixteen at a time, as many monitors would."""
        token, local = token_of(self.region), threading.local()

        def one(report):
            host, payload = report
            if not hasattr(local, "caller"):
                local.caller = Caller(self.region.api, token)
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
            body = {"notification": {"type": kind, "hostname": host, "generated_time": now, "payload": payload}}
            return local.caller.call("POST", "/v1/notifications", body)["notification"]["notification_uuid"]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            return list(pool.map(one, reports))

    def lost(self, servers):
        return self.region.admin("POST", "/ledger/lost", {"servers": servers})["lost"]

    def requests(self):
        return self.region.admin("GET", "/requests?journal=true")

    def clock_offset(self):
        """Wall time at which the region's clock began."""
        self.region.admin("DELETE", "/requests")
        Caller(self.region.root, "x")
        before = time.time()
        token_of(self.region)
        entry = self.requests()["journal"][-1]
        return before - entry["at_seconds"]

    def rows(self, sql, *values):
        path = next(iter(glob.glob(os.path.join(self.region.work, "*.sqlite"))
                         + glob.glob(os.path.join(self.region.work, "*.db"))))
        with sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=30) as db:
            return db.execute(sql, values).fetchall()

    def proofs(self):
        """Host name to the wall time of its first proof."""
        found = self.rows("SELECT r.host_name, MIN(p.at) FROM recovery_proof p JOIN recovery r ON r.id = p.recovery_id"
                          " GROUP BY r.host_name")
        return {host: at / 1e6 for host, at in found}

    def unfinished(self):
        return self.rows("SELECT COUNT(*) FROM notifications WHERE status IN ('new', 'running', 'error')")[0][0]

    def wait(self, condition, what, seconds, pause=0.05):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit("no %s within %d s" % (what, seconds))
            for engine in self.engines:
                if engine.poll() not in (None, -signal.SIGKILL):
                    raise SystemExit("an engine has ended with %s" % engine.returncode)
            time.sleep(pause)


def first_calls(scene, servers_of, offset):
    """Host to the wall time of its first evacuate call."""
    host_of = {server: host for host, servers in servers_of.items() for server in servers}
    first = {}
    for entry in scene.requests()["journal"]:
        if entry["route"].endswith("#evacuate"):
            host = host_of[entry["target"].split("/servers/")[1].split("/")[0]]
            first.setdefault(host, entry["at_seconds"] + offset)
    return first


def proof_to_first_call(args, report):
    """20 hosts fail at once: from each proof to the first evacuate call of that host."""
    hosts, each = 20, 10
    scene = Scene(args.tachi, hosts + 10, rebuild=2, options=LIFTED)
    try:
        dead = scene.hosts[:hosts]
        servers = {host: scene.boot(host, each) for host in dead}
        offset = scene.clock_offset()
        scene.fail(dead)
        scene.report(dead)
        everything = [server for some in servers.values() for server in some]
        scene.wait(lambda: not scene.lost(everything), "end of 20 recoveries", 120, 0.2)
        proofs, calls = scene.proofs(), first_calls(scene, servers, offset)
        delays = [calls[host] - proofs[host] for host in dead]
        report.keep("proof_to_first_call", {"recoveries": hosts, "seconds": [round(delay, 4) for delay in sorted(delays)]})
        worst = "p50 %.2f s" % percentile(delays, 0.5)
        report.below("proof to first evacuate call, 20 recoveries, p99", percentile(delays, 0.99), "s", 1, worst)
        double(scene, report, "20 recoveries")
    finally:
        scene.stop()


def forty(args, report):
    """One host with 40 instances, each rebuilt in 20 seconds."""
    scene = Scene(args.tachi, 6, rebuild=20)
    try:
        dead = scene.hosts[0]
        servers = scene.boot(dead, 40)
        scene.fail([dead])
        scene.report([dead])
        # The region's guests run a tenth of the rebuild's time before Nova says so: back is what the recovery has seen to the end.
        scene.wait(lambda: not scene.unfinished() and not scene.lost(servers), "all 40 to be back", 120)
        took = time.time() - scene.proofs()[dead]
        report.keep("forty", {"seconds": round(took, 2)})
        report.below("40 instances, rebuild 20 s: all back after the proof", took, "s", 25)
        double(scene, report, "40 instances")
    finally:
        scene.stop()


def killed(args, report):
    """The engine that moves 40 instances is killed: until another has sent its first request to Nova."""
    delays = []
    for _ in range(args.kills):
        scene = Scene(args.tachi, 6, engines=2, rebuild=2, rate=4)
        try:
            dead = scene.hosts[0]
            servers = scene.boot(dead, 40)
            offset = scene.clock_offset()
            scene.fail([dead])
            scene.report([dead])

            def begun():
                return scene.region.admin("GET", "/requests")["counts"].get(
                    "POST /compute/v2.1/servers/{id}/action#evacuate", 0) >= 8
            scene.wait(begun, "eight evacuations", 60)
            owner = scene.rows("SELECT owner FROM recovery")[0][0]
            victim = next(engine for engine in scene.engines if ":%d:" % engine.pid in owner)
            at = time.time()
            victim.kill()
            victim.wait()
            time_of = [entry["at_seconds"] + offset for entry in scene.requests()["journal"]]
            last = max(time_of)
            scene.wait(lambda: scene.rows("SELECT owner FROM recovery")[0][0] not in (owner, None), "a new owner", 30, 0.02)
            later = []

            def again():
                later[:] = [entry["at_seconds"] + offset for entry in scene.requests()["journal"]
                            if entry["at_seconds"] + offset > max(last, at) + 0.05 and "/compute/" in entry["route"]]
                return later
            scene.wait(again, "another engine's call", 30, 0.02)
            delays.append(later[0] - at)
            scene.wait(lambda: not scene.lost(servers), "all 40 to be back", 180, 0.2)
            scene.wait(lambda: not scene.unfinished(), "the notification to end", 180, 0.2)
            double(scene, report, "engine killed")
        finally:
            scene.stop()
    report.keep("killed", {"seconds": [round(delay, 2) for delay in delays]})
    report.below("engine SIGKILL to another's first call, worst of %d" % len(delays), max(delays), "s", 5)


def storm(args, report):
    """Many hosts fail at once, and Nova takes up so many evacuations per second."""
    hosts, each, rate = (250, 40, 16.0) if args.full else (25, 40, 64.0)
    hosts, each, rate = args.hosts or hosts, args.each or each, args.rate or rate
    count = hosts * each
    spare = max(4, count // 100)
    scene = Scene(args.tachi, hosts + spare, rebuild=args.rebuild, rate=rate, options=LIFTED)
    try:
        dead = scene.hosts[:hosts]
        servers = scene.boot_many(dead, each)
        assert len(servers) == count, len(servers)
        print("%d instances on %d hosts are running" % (count, hosts), flush=True)
        offset = scene.clock_offset()
        pids = {"engine": scene.engines[0].pid, "api": scene.region.server.pid, "sandbox": scene.region.process.pid}
        watch = Watch(pids)
        watch.start()
        began = time.time()
        scene.fail(dead)
        scene.report(dead)
        print("all reported after %.1f s" % (time.time() - began), flush=True)
        ideal = count / rate
        told = [0.0]

        def done():
            if time.time() - told[0] > 10:
                told[0] = time.time()
                left = len(scene.lost(servers))
                print("%5.0f s: %d are not back yet; engine %.2f cores, %.0f MiB" % (
                    time.time() - began, left, watch.used.get("engine", 0) / max(watch.seconds, 1),
                    watch.most_memory["engine"]), flush=True)
                return left == 0
            return scene.region.admin("GET", "/ledger")["running"] >= count and not scene.lost(servers)
        scene.wait(done, "end of the storm", ideal * 3 + 120, 0.5)
        watch.finish()
        ended = time.time()
        calls = [entry for entry in scene.requests()["journal"] if entry["route"].endswith("#evacuate")]
        counts = scene.requests()["counts"]
        first = min(scene.proofs().values())
        took = ended - first - args.rebuild
        compute = sum(n for route, n in counts.items() if "/compute/" in route)
        tokens = counts.get("POST /identity/v3/auth/tokens", 0)
        lists = {name: sum(n for route, n in counts.items() if route.startswith("GET ") and name in route)
                 for name in ("os-migrations", "servers/detail", "os-services", "servers/{")}
        report.keep("storm", {
            "hosts": hosts, "instances": count, "rate": rate, "rebuild": args.rebuild, "seconds": round(took, 1),
            "ideal": round(ideal, 1), "engine_cores": round(watch.cores("engine"), 3),
            "engine_memory_mib": round(watch.most_memory["engine"], 1), "sandbox_cores": round(watch.cores("sandbox"), 3),
            "api_cores": round(watch.cores("api"), 3), "nova_requests": compute, "lists": lists, "tokens": tokens,
            "counts": counts, "first_to_last_call": round(calls[-1]["at_seconds"] - calls[0]["at_seconds"], 1)})
        name = "%d hosts, %d instances, Nova takes up %g/s" % (hosts, count, rate)
        report.below(name + ": seconds", took, "s", round(ideal * 1.1, 1), "%.1f at Nova's rate" % ideal)
        report.below("  engine, most memory", watch.most_memory["engine"], "MiB", 256)
        report.below("  engine, cores", watch.cores("engine"), "", 1)
        report.below("  requests to Nova per instance", compute / count, "", 6, str(lists))
        double(scene, report, "storm")
        again = (counts.get("POST /compute/v2.1/servers/{id}/action#evacuate", 0) - count) / count
        report.below("  evacuate calls beyond one each", again, "", 0.01)
    finally:
        scene.stop()
    del offset


def shown(scene, host):
    """What `tachi recovery show` says of how long the instances of a host were down."""
    words = [scene.region.binary, "recovery", "show", host, "--format", "json", *scene.region.config_files()]
    told = subprocess.run(words, env=scene.region.environment, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(told.stdout)["downtime"]


def one_host(args, rate, count):
    """A host with so many instances fails, a quarter of them marked: how long they were down, and Nova's requests."""
    scene = Scene(args.tachi, 6, rebuild=args.rebuild, rate=rate)
    try:
        dead = scene.hosts[0]
        marked = scene.boot(dead, max(1, count // 4))
        if count > len(marked):
            scene.region.admin("POST", "/servers", {"host": dead, "count": count - len(marked)})
        servers = [server["id"] for server in scene.region.admin("GET", "/servers")]
        scene.region.admin("DELETE", "/requests")
        scene.fail([dead])
        scene.report([dead])
        scene.wait(lambda: not scene.unfinished() and not scene.lost(servers), "all %d to be back" % count, 60 + 3 * count / rate)
        counts = scene.requests()["counts"]
        down = shown(scene, dead)
        assert down["back"] == count, down
        requests = sum(number for route, number in counts.items() if "/compute/" in route) / count
        return down, requests, scene.region.admin("GET", "/ledger")["double_runs"]
    finally:
        scene.stop()


def pace(args, report):
    """One host fails before Novas that take up from 1 to 200 evacuations a second: how long instances are down."""
    for rate, count in ((1, 24), (3, 40), (16, 40), (60, 200), (200, 400)):
        alone = one_host(args, rate, 1)[0]["first"]
        down, requests, doubles = one_host(args, rate, count)
        nova = count / rate + args.rebuild
        name = "%d instances, Nova takes up %g/s: " % (count, rate)
        report.keep("pace_%g" % rate, {"instances": count, "alone": alone, "nova": nova, "requests": round(requests, 2), **down})
        note = "first %.1f, median %.1f, p95 %.1f, HA_Enabled %.0f + the rest %.0f instance-seconds" % (
            down["first"], down["median"], down["p95"], down["ha_enabled"]["instance_seconds"], down["rest"]["instance_seconds"])
        # What a recovery does before it asks for the first, and what it takes to see the last, is in it, too.
        report.below(name + "last", down["last"], "s", round(1.1 * nova + 2, 1), note)
        report.below("  the first, beside a single one's %.2f s" % alone, down["first"], "s", round(1.5 * alone, 2))
        report.below("  the last that is HA_Enabled, beside the median", down["ha_enabled"]["last"], "s", down["median"] + 0.001)
        if count / rate > 4 * alone:
            report.below("  mean downtime, of the last one's", down["mean"] / down["last"], "", 0.6)
        report.below("  requests to Nova per instance", requests, "", 6)
        report.none("  instances that ran twice", doubles)


def flood(args, report):
    """Thousands of failed processes, reported before the engine starts: how many it ends in a second, and what it holds afterwards."""
    scene = Scene(args.tachi, 20, engines=0)
    try:
        before = len(scene.processes_fail(args.flood))
        began = time.monotonic()
        scene.start_engine()
        scene.wait(lambda: scene.unfinished() < before, "the first to end", 30, 0.02)
        first = time.monotonic()
        scene.wait(lambda: not scene.unfinished(), "all to end", 60 + before / 20, 0.05)
        ended = time.monotonic()
        pids = {"engine": scene.engines[0].pid, "api": scene.region.server.pid}
        peak = {name: memory(pid)[1] for name, pid in pids.items()}
        scene.wait(lambda: time.monotonic() > ended + 60, "a minute", 90, 1)
        rest = {name: memory(pid)[0] for name, pid in pids.items()}
        report.keep("flood", {"notifications": before, "seconds": round(ended - first, 2), "begun": round(first - began, 2), "peak": peak, "rest": rest})
        report.at_least("%d failed processes: ended a second" % before, before / (ended - first), "/s", 1000)
        for name in pids:
            report.below("  %s, memory a minute later" % name, rest[name], "MiB", 40, "peak %.0f" % peak[name])
    finally:
        scene.stop()


def double(scene, report, where):
    ledger = scene.region.admin("GET", "/ledger")
    report.none("  instances that ran twice, " + where, ledger["double_runs"])


SCENES = {"proof": proof_to_first_call, "forty": forty, "killed": killed, "storm": storm, "flood": flood, "pace": pace}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the binary")
    parser.add_argument("--full", action="store_true", help="the storm of 250 hosts, about eleven minutes")
    parser.add_argument("--only", help="some of " + ", ".join(SCENES))
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--flood", type=int, default=3000, help="failed processes of `flood`")
    parser.add_argument("--hosts", type=int, help="of the storm")
    parser.add_argument("--each", type=int, help="instances on each")
    parser.add_argument("--rate", type=float, help="evacuations Nova takes up per second")
    parser.add_argument("--rebuild", type=float, default=2.0, help="seconds a rebuild takes in `storm` and `pace`")
    parser.add_argument("--json", help="write the figures here")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    for name in (args.only.split(",") if args.only else SCENES):
        print("--- %s: %s" % (name, SCENES[name].__doc__), flush=True)
        before = len(report.rows)
        try:
            SCENES[name](args, report)
        finally:
            # As they come: who stops a long run keeps what it has measured.
            print(report.table(before), flush=True)
    about = {"when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cores": os.cpu_count(),
             "machine": platform.machine(), "database": "SQLite", "load_average": os.getloadavg()[0],
             "guards": "segment_fraction_percent, global_fraction_percent and storm_cliff_percent are 100 and storm_fences is 0 in `proof` and `storm`"}
    print("\n" + report.table())
    if args.json:
        report.write(args.json, about)
        print("\nfigures: " + args.json)
    reached, missed = report.counts()
    print("%d passed, %d failed" % (reached, missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
