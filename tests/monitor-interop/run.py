#!/usr/bin/env python3
"""Our monitors as processes: against a stub beside upstream's own, against `tachi serve`, and against `masakari-api` from PyPI.

Reports are the process monitor's, and ones that a spool held when it started, so that every kind goes over the wire.
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("client", "bench"):
    sys.path.append(os.path.join(HERE, "..", folder))

# pylint: disable=wrong-import-position
from checks import Checks  # noqa: E402
from monitor import Monitor, notification, until  # noqa: E402
from peer import Peer  # noqa: E402
from proxy import Proxy  # noqa: E402
from region import CLOUD, Region, free_port  # noqa: E402
from sdk_calls import connect  # noqa: E402
from signing import signing  # noqa: E402
from stub import Stub  # noqa: E402

EVIDENCE = "X-Tachi-Fence-Evidence"
GONE = {"process_name": "/usr/bin/no-such-daemon", "restart_command": "false"}
MEMORY_KIB = 10 * 1024


def credentials(auth_url, password="secret", user="u"):
    return {"auth_url": auth_url, "username": user, "password": password, "project_name": "service",
            "user_domain_name": "Default", "project_domain_name": "Default", "region": "RegionOne"}


class Interop:
    def __init__(self, args, checks):
        self.args, self.check = args, checks
        self.work = tempfile.mkdtemp(prefix="tachi-interop-")
        self.running = []

    def monitor(self, name, api, **more):
        monitor = Monitor(self.args.monitor, os.path.join(self.work, name), api, **more)
        self.running.append(monitor)
        return monitor

    def end(self):
        for thing in reversed(self.running):
            thing.stop()
        self.running = []

    # ------------------------------------------------------------------------------------------ beside upstream's own

    def upstream(self, stub, name):
        """Upstream's process monitor, with a `ps` that shows nothing."""
        work = os.path.join(self.work, name)
        os.makedirs(os.path.join(work, "bin"))
        with open(os.path.join(work, "bin", "ps"), "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\necho 'root 1 0 0 00:00 ? 00:00:00 /sbin/init'\n")
        os.chmod(f.name, 0o755)
        theirs = os.path.join(self.args.monitors, "bin")
        ours = Monitor(self.args.monitor, work, credentials(stub.url), [{**GONE, "start_command": "true"}], more={
            "masakarimonitors_privileged": {"helper_command": os.path.join(theirs, "privsep-helper")}})
        path = ":".join((os.path.join(work, "bin"), theirs, os.environ["PATH"]))
        with open(ours.log, "ab") as out:
            return subprocess.Popen([os.path.join(theirs, "masakari-processmonitor"), "--config-file", ours.conf], cwd=work,
                                    stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                    env={"PATH": path, "PYTHONWARNINGS": "ignore", "HOME": work})

    def same_on_the_wire(self):
        """The same file of options and the same list of processes, read by both; what each sends."""
        stub = Stub()
        self.running.append(stub)
        process = self.upstream(stub, "theirs")
        try:
            theirs = until("upstream's notification", stub.taken)[0]
        finally:
            process.terminate()
            process.wait(20)
        before = len(stub.taken())
        self.monitor("ours", credentials(stub.url), process_list=[GONE]).start()
        ours = until("our notification", lambda: stub.taken()[before:])[0]
        self.check.equal("the path", ours[0], theirs[0])
        wire = ("x-auth-token", "content-type", "openstack-api-version", EVIDENCE.lower())
        headers = [sorted(name.lower() for name in sent[1] if name.lower() in wire) for sent in (ours, theirs)]
        self.check.equal("the headers: a token, the content type, no version", headers, [["content-type", "x-auth-token"]] * 2)
        self.check.equal("the content type", ours[1]["content-type" if "content-type" in ours[1] else "Content-Type"], theirs[1]["Content-Type"])

        def without_name_and_time(sent):
            body = json.loads(sent[2])["notification"]
            self.check.that("the time is written as Python writes it", re.fullmatch(
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", body["generated_time"]), body)
            return {**body, "generated_time": None, "hostname": None}

        self.check.equal("the body", without_name_and_time(ours), without_name_and_time(theirs))
        self.check.that("the hostname is the configured one", '"hostname": "compute-001"' in ours[2], ours[2])
        for who, sent in (("ours", ours), ("theirs", theirs)):
            self.check.equal("the JSON is written as json.dumps writes it: " + who, json.dumps(json.loads(sent[2])), sent[2])
        # Its keys come from a set, in an order that changes with each start: sorted, they are the same bytes.
        def in_order(text):
            return json.dumps(json.loads(text), sort_keys=True)

        same = in_order(ours[2].replace("compute-001", "H")), in_order(theirs[2].replace(os.uname().nodename, "H"))
        self.check.equal("byte for byte, but for the time and the order of keys", *(
            re.sub(r'"generated_time": "[^"]*"', "", text) for text in same))

    # ------------------------------------------------------------------------------------------ against tachi serve

    def region_up(self):
        # Read again when it changes, so it is there as long as this is.
        self.policy = policy = tempfile.NamedTemporaryFile("w", prefix="tachi-policy-", suffix=".yaml")
        policy.write('"os_masakari_api:notifications:create": "rule:admin_api or role:masakari_monitor"\n')
        policy.flush()
        region = Region(self.args.tachi, arguments=("--hosts", "10"), options=[
            ("oslo_policy", "policy_file", policy.name), ("process_failure", "non_essential_processes", "no-such-daemon")])
        self.running.append(region)
        proxy = Proxy(region.api)
        region.catalog(proxy.url + "/v1/$(tenant_id)s")
        ha = connect(region.clouds_yaml, CLOUD, "1.3")
        segment = ha.create_segment(name="monitored", recovery_method="auto", service_type="COMPUTE")
        for host in region.admin("GET", "/hosts"):
            ha.create_host(segment.uuid, name=host["name"], type="COMPUTE", control_attributes="SSH")
        return region, proxy, ha

    def against_tachi(self):
        region, proxy, ha = self.region_up()
        api = credentials(region.auth["auth_url"], region.auth["password"], "masakari-monitor")

        def stored(kind):
            return list(ha.notifications(type=kind))

        def posts():
            return [r.status for r in proxy.take() if r.method == "POST" and r.path.endswith("/notifications")]

        # The API away, the monitor killed, the API back: once.
        monitor = self.monitor("outage", api, process_list=[GONE])
        proxy.refuse("POST", "/notifications", *[503] * 1000)
        monitor.start()
        until("a refused report", lambda: monitor.metric('tachi_monitor_delivery_failures_total{class="away"}'))
        status, body = monitor.get("/healthz")
        self.check.that("/healthz says that the API is away", status == 503 and "503" in json.loads(body)["parts"]["api"], body)
        self.check.equal("the report that waits is counted", monitor.metric("tachi_monitor_spool_reports"), 1)
        for _ in range(3):
            monitor.kill()
            monitor.start()
            until("the monitor to try again", lambda: monitor.metric('tachi_monitor_delivery_failures_total{class="away"}'))
        proxy.refusals.clear()
        until("the report to arrive", lambda: stored("PROCESS"))
        until("the spool to be empty", lambda: monitor.metric("tachi_monitor_spool_reports") == 0)
        self.check.equal("killed three times while the API was away: one delivery", [
            n.payload["process_name"] for n in stored("PROCESS")], ["no-such-daemon"])
        self.check.equal("all is well again", until("health", lambda: monitor.get("/healthz")[0] == 200), True)
        time_of_first = stored("PROCESS")[0].generated_time
        self.check.that("with the time at which it was seen", time_of_first[:19] <= time.strftime(
            "%Y-%m-%dT%H:%M:%S", time.gmtime()), time_of_first)
        posts()
        # A revoked token, and a restarted monitor.
        region.admin("DELETE", "/tokens")
        self.check.equal("SIGTERM ends it with 0", monitor.stop(), 0)
        monitor.start()
        until("it to be ready", lambda: monitor.get("/healthz")[0] == 200)
        self.check.equal("what was reported is not reported again by the next start", posts(), [])
        # Rejected: the host is not registered. It is said, and holds up nothing.
        stranger = self.monitor("stranger", api, process_list=[GONE], hostname="no-such-host").start()
        until("a rejected report", lambda: stranger.metric('tachi_monitor_delivery_failures_total{class="rejected"}'))
        self.check.that("an unknown host is an error in the log", "ERROR" in stranger.said() and "rejects" in stranger.said(), stranger.said()[-800:])
        # A list that is broken leaves the last good one in force.
        with open(monitor.list, "w", encoding="utf-8") as f:
            f.write("- process_name: [\n")
        until("the list to be reported", lambda: "process list" in monitor.get("/healthz")[1])
        self.check.that("a broken list leaves the last good one in force", "last valid list" in monitor.get("/healthz")[1], monitor.get("/healthz"))
        stranger.stop()
        monitor.stop()
        signing(self, api, region)
        self.looks(monitor, region)
        self.restarts(api, stored)
        self.spooled(api, proxy)

    def looks(self, monitor, region):
        """tachi-monitor check."""
        done = monitor.run("check", "process", "-f", "json")
        found = {f["part"]: f for f in json.loads(done.stdout)["findings"]}
        self.check.that("check: the log-in works", found["log-in"]["told"] == "good", done.stdout)
        self.check.that("check: a user who may only report cannot list hosts, and check shows it", found["registration"]["told"] == "note", done.stdout)
        admin = credentials(region.auth["auth_url"], region.auth["password"], region.auth["username"])
        admin["project_name"] = region.auth["project_name"]
        good = Monitor(self.args.monitor, os.path.join(self.work, "good"), admin, [{"process_name": os.path.basename(sys.executable)}])
        done = good.run("check", "process")
        self.check.that("check: a registered host is found", "compute-001 is in segment monitored" in done.stdout and done.returncode == 0, done.stdout + done.stderr)
        self.check.that("check: the time to a report is shown", "at most" in done.stdout, done.stdout)
        wrong = Monitor(self.args.monitor, os.path.join(self.work, "wrong"), admin, [], hostname="compute-001.example.org")
        done = wrong.run("check", "process")
        self.check.that("check names the host that was meant", "compute-001 is: set [DEFAULT] hostname" in done.stdout and done.returncode == 1, done.stdout)
        with open(wrong.conf, "a", encoding="utf-8") as f:
            f.write("[host]\nmonitoring_interval = soon\n")
        done = wrong.run("process")
        lines = open(wrong.conf, encoding="utf-8").read().count("\n")
        self.check.that("a wrong value stops the start and names file, line and option", done.returncode == 2 and "%s:%d: [host] monitoring_interval" % (
            wrong.conf, lines) in done.stderr, done.stderr)

    def restarts(self, api, stored):
        """A real process is killed and restarted by its command."""
        name = "tachi-interop-%d" % os.getpid()
        pids = os.path.join(self.work, "pids")
        script = os.path.join(self.work, "start.sh")
        with open(script, "w", encoding="utf-8") as f:
            f.write("#!/bin/bash\necho noise >&2\n(exec -a %s sleep 600) </dev/null >/dev/null 2>&1 &\necho $! >>%s\n" % (name, pids))
        os.chmod(script, 0o755)
        before = len(stored("PROCESS"))
        entry = {"process_name": name, "start_command": script, "restart_command": script}
        monitor = self.monitor("restarts", api, process_list=[entry]).start()

        def started():
            try:
                with open(pids, encoding="ascii") as f:
                    return [int(line) for line in f]
            except OSError:
                return []

        try:
            until("the process to be started", lambda: len(started()) == 1 and monitor.metric('tachi_monitor_process_up{process="%s"}' % name) == 1)
            took = []
            for n in range(1, 4):
                killed = time.monotonic()
                os.kill(started()[-1], signal.SIGKILL)
                until("the process to be restarted", lambda: len(started()) == n + 1)
                took.append(time.monotonic() - killed)
                until("it to be seen", lambda: re.findall("is running again", monitor.said())[n - 1:])
            self.check.that("a process that is killed is restarted within 2 s of its end", max(took) < 2 + self.args.slow, took)
            print("        killed to restarted: %s s" % ", ".join("%.2f" % t for t in took))
            self.check.equal("and is not reported", len(stored("PROCESS")), before)
            self.check.equal("stopping the monitor ends well", monitor.stop(), 0)
            os.kill(started()[-1], 0)
            self.check.that("and leaves what it has started", True)
        finally:
            for pid in started():
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass

    def spooled(self, api, proxy):
        """A thousand reports of all kinds that waited when it started: in order, each once. Then memory and time."""
        many = []
        for n in range(1000):
            at = "2026-03-04T%02d:%02d:%02d" % (n // 3600, n // 60 % 60, n % 60)
            many.append(("VM/%d" % (n % 50), notification("VM", "compute-003", at, {
                "event": "REBOOT", "instance_uuid": str(uuid.uuid4()), "vir_domain_event": "UNKNOWN"}), None))
        monitor = self.monitor("many", api, process_list=[])
        monitor.spool(many)
        proxy.take()
        begin = time.monotonic()
        monitor.start()
        until("all to be delivered", lambda: monitor.metric("tachi_monitor_spool_reports") == 0 and monitor.metric(
            'tachi_monitor_reports_delivered_total{answer="accepted"}'), 300)
        took = time.monotonic() - begin
        sent = [r for r in proxy.take() if r.method == "POST" and r.path.endswith("/notifications")]
        self.check.equal("a thousand reports that waited are delivered, each once", (len(sent), {r.status for r in sent}), (1000, {202}))
        self.check.that("in their order, the bytes as they were kept", [r.body.decode() for r in sent] == [body for _, body, _ in many])
        cpu, wall = monitor.cpu_seconds(), time.monotonic()
        until("a while", lambda: time.monotonic() - wall > 10)
        idle = (monitor.cpu_seconds() - cpu) / (time.monotonic() - wall) * 100
        print("        1000 reports in %.1f s; RSS %d KiB; idle CPU %.2f %% of a core" % (took, monitor.rss_kib(), idle))
        if self.args.packaged:
            self.check.that("RSS is under 10 MiB after it", monitor.rss_kib() < MEMORY_KIB, monitor.rss_kib())

    # ------------------------------------------------------------------------------------------ against masakari-api

    def against_masakari(self):
        """Upstream's own API with a SQLite file: it takes every kind of report, and answers 409 to a known one."""
        region = Region(self.args.tachi, arguments=("--hosts", "4"))
        self.running.append(region)

        class Sqlite:
            url = "sqlite:///" + os.path.join(self.work, "masakari.sqlite")

        peer = Peer(self.args.upstream, os.path.join(self.work, "peer"), region, Sqlite, "fake://")
        self.running.append(peer)
        port = free_port()
        peer.configure(port, notification_delay_max="0")
        peer.make_schema()
        peer.start("masakari-api", "--config-file", peer.conf)
        proxy = Proxy(peer.url)
        region.catalog(proxy.url + "/v1/$(tenant_id)s")
        ha = connect(region.clouds_yaml, CLOUD, "1.3")
        segment = ha.create_segment(name="monitored", recovery_method="auto", service_type="COMPUTE")
        for host in ("compute-001", "compute-002"):
            ha.create_host(segment.uuid, name=host, type="COMPUTE", control_attributes="SSH")
        at = time.strftime("%Y-%m-%dT%H:%M:%S.123456", time.gmtime())
        vm = notification("VM", "compute-001", at, {"event": "LIFECYCLE", "instance_uuid": "b2d6a7c0-0000-4000-8000-000000000001",
                                                    "vir_domain_event": "STOPPED_FAILED"})
        host = notification("COMPUTE_HOST", "compute-002", at, {"event": "STOPPED", "cluster_status": "OFFLINE",
                                                                "host_status": "NORMAL"})
        stranger = notification("VM", "no-such", at, {"event": "LIFECYCLE", "instance_uuid": "u", "vir_domain_event": "STOPPED_FAILED"})
        user = credentials(region.auth["auth_url"], region.auth["password"], region.auth["username"])
        user["project_name"] = region.auth["project_name"]
        monitor = self.monitor("peer-monitor", user, process_list=[GONE], more={"monitor": {"rejected_max_age": "0"}})
        monitor.spool([("VM/1", vm, None), ("COMPUTE_HOST/compute-002", host, "e30="), ("VM/1", vm, None), ("VM/2", stranger, None)])
        monitor.start()
        until("masakari-api to have taken them", lambda: len(list(ha.notifications())) == 3)
        until("the spool to be empty", lambda: monitor.metric("tachi_monitor_spool_reports") == 0)
        sent = [r for r in proxy.take() if r.method == "POST" and r.path.endswith("/notifications")]
        by = sorted(r.status for r in sent)
        self.check.equal("masakari-api: three kinds accepted, one known, one rejected", by, [202, 202, 202, 400, 409])
        kinds = sorted(n.type for n in ha.notifications())
        self.check.equal("masakari-api: what it stored", kinds, ["COMPUTE_HOST", "PROCESS", "VM"])
        self.check.that("masakari-api: evidence in a header is no obstacle", [r for r in sent if EVIDENCE.lower() in r.headers], sent)
        self.check.that("what it rejects for good is dropped and said so", "dropping it" in monitor.said(), monitor.said()[-800:])
        self.check.equal("masakari-api: the monitor ends well", monitor.stop(), 0)

    STEPS = (same_on_the_wire, against_tachi, against_masakari)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the tachi binary")
    parser.add_argument("--monitor", required=True, help="the tachi-monitor binary")
    parser.add_argument("--monitors", required=True, help="the environment with masakari-monitors")
    parser.add_argument("--upstream", required=True, help="the environment with masakari")
    parser.add_argument("--packaged", action="store_true", help="the binary is built as packages bring it: its memory counts")
    parser.add_argument("--slow", type=float, default=3.0, help="seconds granted to a busy machine")
    parser.add_argument("--only", help="one step")
    args = parser.parse_args()
    for name in ("tachi", "monitor", "monitors", "upstream"):
        setattr(args, name, os.path.abspath(getattr(args, name)))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks = Checks()
    interop = Interop(args, checks)
    try:
        for step in Interop.STEPS:
            if args.only in (None, step.__name__):
                try:
                    step(interop)
                except Exception:
                    logs = "".join("---- %s:\n%s\n" % (m.work, m.said()[-2000:]) for m in interop.running if isinstance(m, Monitor))
                    checks.that("%s goes through" % step.__name__, False, traceback.format_exc(limit=4) + logs)
                finally:
                    interop.end()
    finally:
        shutil.rmtree(interop.work, ignore_errors=True)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
