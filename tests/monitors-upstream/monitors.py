#!/usr/bin/env python3
"""The unmodified masakari-monitors send what they see to `tachi serve`, with a token of the simulated Keystone.

The process monitor and the host monitor are the packages' own processes. They run in a UTS namespace in which this machine
has a hypervisor's name, and what they look at is given to them: `ps` shows no daemon, `cibadmin` prints a cluster.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

import hosts
from checks import Checks
from proxy import Proxy
from region import CLOUD, Region
from sdk_calls import connect

CIB = """<cib have-quorum="1" epoch="7" num_updates="%d" admin_epoch="0">
  <configuration><resources/></configuration>
  <status>
    <node_state id="1" uname="compute-001" in_ccm="true" crmd="online" join="member" expected="member"/>
    <node_state id="2" uname="compute-002" in_ccm="%s" crmd="%s" join="%s" expected="member"/>
  </status>
</cib>
"""


class Monitors:
    def __init__(self, args, region, proxy, checks):
        self.bin = os.path.join(args.monitors, "bin")
        self.region, self.proxy, self.check, self.started = region, proxy, checks, []
        self.ha = connect(region.clouds_yaml, CLOUD, "1.3")
        self.path = os.path.join(region.work, "bin")
        os.mkdir(self.path)
        self.cib = os.path.join(region.work, "cib.xml")
        self.cluster(up=True)
        self.tool("cibadmin", "cat '%s'" % self.cib)
        self.tool("ps", "echo 'root 1 0 0 00:00 ? 00:00:00 /sbin/init'")

    def tool(self, name, line):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n%s\n" % line)
        os.chmod(path, 0o755)

    def cluster(self, up):
        with open(self.cib + ".new", "w", encoding="utf-8") as f:
            f.write(CIB % ((1, "true", "online", "member") if up else (2, "false", "offline", "down")))
        os.rename(self.cib + ".new", self.cib)

    # --------------------------------------------------------------------------------- configuration and processes

    def login(self, host):
        """One user for the monitors of all hosts."""
        auth = self.region.auth
        return {"auth_type": "password", "auth_url": auth["auth_url"], "username": "masakari-monitor",
                "password": auth["password"], "project_name": "service", "user_domain_name": "Default", "project_domain_name": "Default",
                "region": "RegionOne"}

    def shared(self, **domains):
        """One account with Keystone's admin role for the monitors of all hosts, as clouds have it that were made for Masakari."""
        auth = self.region.auth
        return {"auth_type": "password", "auth_url": auth["auth_url"], "username": auth["username"], "password": auth["password"],
                "project_name": "service", "region": "RegionOne", "api_interface": "internal", **domains}

    def configuration(self, name, more, retries=3, host="compute-001", login=None):
        """What an operator writes into masakarimonitors.conf. The user may do nothing but create notifications."""
        sections = {
            "DEFAULT": {"tempdir": self.region.work, "debug": "true", "log_file": os.path.join(self.region.work, name + ".log")},
            "api": login or self.login(host),
            "callback": {"retry_max": str(retries), "retry_interval": "1"},
            "masakarimonitors_privileged": {"helper_command": os.path.join(self.bin, "privsep-helper")},
            **more,
        }
        path = os.path.join(self.region.work, name + ".conf")
        with open(path, "w", encoding="utf-8") as f:
            for section, options in sections.items():
                f.write("[%s]\n%s" % (section, "".join("%s = %s\n" % pair for pair in options.items())))
        return path

    def monitor(self, name, host, conf, account=None, **more):
        """A monitor's own process on a machine that calls itself `host`; `account`: in a pod with this service account."""
        environment = dict(self.region.environment, PATH=self.path + ":" + self.bin + ":" + os.environ["PATH"],
                           PYTHONWARNINGS="ignore", **more)
        script = 'hostname "$1"; shift; exec "$@"'
        if account:
            place = "/run/secrets/kubernetes.io/serviceaccount"
            script = "mount -t tmpfs none /run && mkdir -p %s && cp '%s'/* %s && %s" % (place, account, place, script)
        with open(os.path.join(self.region.work, name + ".out"), "ab") as out:
            process = subprocess.Popen(
                ["unshare", "--uts", "--mount", "sh", "-c", script, "sh", host, os.path.join(self.bin, "masakari-" + name), "--config-file",
                 conf], env=environment, cwd=self.region.work, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=False)
        self.started.append((name, process))
        return process

    def stop(self):
        for name, process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.started = []

    def log(self, name):
        try:
            with open(os.path.join(self.region.work, name + ".log"), encoding="utf-8") as f:
                return f.read()
        except OSError:
            return ""

    def said(self):
        text = ""
        for name in sorted(os.listdir(self.region.work)):
            if name.endswith((".out", "monitor.log", "events.log")) or name[:-4] in ("remotes", "unknown", "consul", "kubernetes"):
                with open(os.path.join(self.region.work, name), encoding="utf-8", errors="replace") as f:
                    text += "---- %s, its end:\n%s\n" % (name, f.read()[-1200:])
        return text

    # --------------------------------------------------------------------------------- looking

    def until(self, what, ask, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            got = ask()
            if got:
                return got
            for name, process in self.started:
                if process.poll() is not None:
                    raise RuntimeError("%s ended with %s while waiting for %s" % (name, process.returncode, what))
            if time.monotonic() > deadline:
                raise RuntimeError("waited %s s for %s" % (seconds, what))
            time.sleep(0.2)

    def of_type(self, kind):
        return list(self.ha.notifications(type=kind, sort_key="id", sort_dir="asc"))

    def ended(self, uuid, seconds=60):
        return self.until("notification %s to end" % uuid, lambda: next(
            (n for n in [self.ha.get_notification(uuid)] if n.status not in ("new", "running")), None), seconds)

    def posts(self):
        return [r for r in self.proxy.take() if r.method == "POST" and r.path.endswith("/notifications")]

    # --------------------------------------------------------------------------------- what they send

    def prepare(self):
        self.segment = self.ha.create_segment(name="monitored", recovery_method="auto", service_type="COMPUTE")
        self.hosts = {}
        # Ten, so that two lost ones are no quarter of all: of more the engine holds, as it should.
        for name in sorted(h["name"] for h in self.region.admin("GET", "/hosts")):
            self.hosts[name] = self.ha.create_host(self.segment.uuid, name=name, type="COMPUTE", control_attributes="SSH")
        self.guest = self.region.admin("POST", "/servers", {
            "count": 1, "host": "compute-003", "name": "guest", "metadata": {"HA_Enabled": "True"}})["ids"][0]
        self.lost = self.region.admin("POST", "/servers", {"count": 3, "host": "compute-002", "name": "lost"})["ids"]

    def sender(self, name, retries, login=None):
        """The instance monitor's sender, and a function that passes it an event and returns the reports that reached the API."""
        conf = self.configuration(name, {}, retries, "compute-003", login)
        with open(os.path.join(self.region.work, name + ".out"), "ab") as out:
            process = subprocess.Popen(
                [os.path.join(self.bin, "python"), os.path.join(HERE, "instance_events.py"), "--config-file", conf],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=self.region.work,
                env=dict(self.region.environment, PYTHONWARNINGS="ignore"), stderr=out)
        self.started.append((name, process))

        def send(**changes):
            event = {"event": "LIFECYCLE", "detail": "STOPPED_FAILED", "instance": self.guest, "host": "compute-003",
                     "time": "2026-03-04T05:06:07.250000", **changes}
            self.proxy.take()
            process.stdin.write(json.dumps(event) + "\n")
            process.stdin.flush()
            if not process.stdout.readline():
                raise RuntimeError("the sender ended with %s" % process.wait(10))
            return self.posts()

        return process, send

    def instance_events(self):
        """VM notifications, and what the sender makes of each answer (Q15)."""
        process, send = self.sender("events", 3)
        sent = send()
        self.check.equal("VM: one POST, accepted", [r.status for r in sent], [202])
        self.check.equal("VM: without a version header", sent[0].version, None)
        self.check.equal("VM: the body", sent[0].json(), {"notification": {
            "type": "VM", "hostname": "compute-003", "generated_time": "2026-03-04T05:06:07.250000", "payload": {
                "event": "LIFECYCLE", "instance_uuid": self.guest, "vir_domain_event": "STOPPED_FAILED"}}})
        stored = self.of_type("VM")
        self.check.that("VM: it is stored as sent", len(stored) == 1 and stored[0].source_host_uuid == self.hosts["compute-003"].uuid
                        and stored[0].generated_time.startswith("2026-03-04T05:06:07") and stored[0].payload["instance_uuid"]
                        == self.guest, stored)
        self.check.equal("VM: the engine acts on it", self.ended(stored[0].notification_uuid).status, "finished")
        self.check.equal("409 is final: the same event again is sent once", [r.status for r in send()], [409])
        self.check.equal("400 is final: an unknown host is sent once", [r.status for r in send(host="no-such")], [400])
        self.check.equal("a time without a fraction is accepted", [r.status for r in send(
            time="2026-03-04T05:16:07", detail="SUSPENDED_PAUSED")], [202])
        for n, status in enumerate((503, 500, 404, 429)):
            self.proxy.refuse("POST", "/notifications", status, status)
            sent = send(time="2026-03-04T06:%02d:00" % (10 * n), event="REBOOT", detail="UNKNOWN")
            self.check.equal("%d is tried again until it is accepted" % status, [r.status for r in sent], [status, status, 202])
        self.proxy.refuse("POST", "/notifications", *[503] * 4)
        sent = send(time="2026-03-04T07:00:00", event="WATCHDOG", detail="NONE")
        self.check.equal("it gives up after retry_max", [r.status for r in sent], [503] * 4)
        self.region.admin("DELETE", "/tokens")
        sent = send(time="2026-03-04T07:10:00", event="WATCHDOG", detail="NONE")
        self.check.equal("a new client works", [r.status for r in sent], [202])
        self.check.equal("every accepted one is there once", len(self.of_type("VM")), 7)
        process.stdin.close()
        self.check.equal("the sender ends well", process.wait(20), 0)
        self.started.remove(("events", process))

    def restart(self):
        """The API is stopped and comes back while a notification is on its way."""
        process, send = self.sender("patient", 120)
        self.check.equal("SIGTERM ends tachi serve with 0", self.region.stop_service(), 0)
        self.proxy.when("POST", 2, self.region.start_service)
        sent = send(time="2026-03-04T08:00:00", event="REBOOT", detail="UNKNOWN")
        statuses = [r.status for r in sent]
        self.check.that("a notification outlasts a restart of the API", statuses[-1:] == [202] and set(statuses[:-1]) == {502},
                        statuses)
        self.check.equal("it is there once", len([n for n in self.of_type("VM") if n.generated_time.startswith(
            "2026-03-04T08:00:00")]), 1)
        process.stdin.close()
        process.wait(20)
        self.started.remove(("patient", process))

    def adopted(self):
        """[api] as the charms and kolla write it still works with each value of `reporter_binding`."""
        for n, (whose, domains) in enumerate({
                "charms": {"user_domain_name": "Default", "project_domain_name": "Default"},
                "kolla": {"user_domain_id": "default", "project_domain_id": "default"}}.items()):
            process, send = self.sender(whose, 3, self.shared(**domains))
            for host in ("compute-003", "compute-004"):
                sent = send(time="2026-03-04T09:%d0:0%s" % (n, host[-1]), event="REBOOT", detail="UNKNOWN", host=host)
                self.check.equal("shared account of %s: VM of %s is accepted" % (whose, host), [r.status for r in sent], [202])
            process.stdin.close()
            self.check.equal("shared account of %s: the sender ends well" % whose, process.wait(20), 0)
            self.started.remove((whose, process))

    def others_are_refused(self):
        """What the monitors' user may not do."""
        token = self.token("masakari-monitor", "service")
        request = urllib.request.Request(self.proxy.url + "/v1/segments", headers={"X-Auth-Token": token})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        self.check.equal("the monitors' user may create notifications and nothing else", status, 403)

    def token(self, user, project):
        domain = {"name": "Default"}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": user, "domain": domain, "password": self.region.password}}},
            "scope": {"project": {"name": project, "domain": domain}}}}
        request = urllib.request.Request(self.region.auth["auth_url"] + "/auth/tokens", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers["X-Subject-Token"]

    def process_monitor(self):
        daemons = ("/usr/bin/nova-compute", "/usr/sbin/libvirtd")
        listed = os.path.join(self.region.work, "process_list.yaml")
        with open(listed, "w", encoding="utf-8") as f:
            yaml.safe_dump([{
                "process_name": daemon, "start_command": "true", "pre_start_command": None, "post_start_command": None,
                "restart_command": "false", "pre_restart_command": None, "post_restart_command": None, "run_as_root": False,
            } for daemon in daemons], f)
        conf = self.configuration("processmonitor", {"process": {
            "check_interval": "1", "restart_retries": "1", "restart_interval": "0", "api_retry_max": "12",
            "api_retry_interval": "1", "process_list_path": listed}})
        self.proxy.take()
        self.proxy.refuse("POST", "/notifications", 503)
        self.monitor("processmonitor", "compute-001", conf)
        found = self.until("the process monitor's notifications", lambda: (
            lambda rows: rows if len(rows) >= 2 else None)(self.of_type("PROCESS")))
        sent = self.posts()
        self.check.equal("PROCESS: 503 first, then accepted, then the next one", [r.status for r in sent], [503, 202, 202])
        self.check.equal("PROCESS: the payloads", [r.json()["notification"]["payload"] for r in sent[1:]], [
            {"event": "STOPPED", "process_name": name} for name in ("nova-compute", "libvirtd")])
        self.check.equal("PROCESS: without a version header", {r.version for r in sent}, {None})
        self.check.equal("PROCESS: the engine acts on them", [self.ended(n.notification_uuid).status for n in found],
                         ["finished", "finished"])
        host = self.ha.get_host(self.hosts["compute-001"].uuid, self.segment.uuid)
        self.check.equal("PROCESS: without nova-compute the host is in maintenance", host.on_maintenance, True)
        self.check.equal("PROCESS: a process that fails to restart is reported once", len(self.of_type("PROCESS")), 2)
        self.stop()

    def host_monitor(self):
        conf = self.configuration("hostmonitor", {"host": {
            "monitoring_interval": "1", "pacemaker_node_type": "remote", "disable_ipmi_check": "true", "api_retry_max": "12",
            "api_retry_interval": "1"}})
        self.proxy.take()
        log = os.path.join(self.region.work, "hostmonitor.log")
        self.monitor("hostmonitor", "compute-001", conf)

        def knows():
            try:
                with open(log, encoding="utf-8") as f:
                    return "'compute-002' is 'online'" in f.read()
            except OSError:
                return False

        self.until("the host monitor to have seen the cluster", knows)
        self.check.equal("COMPUTE_HOST: nothing is sent while all are up", self.posts(), [])
        self.region.admin("POST", "/hosts/compute-002/power", {"on": False})
        self.cluster(up=False)
        found = self.until("the host monitor's notification", lambda: self.of_type("COMPUTE_HOST"))[0]
        sent = self.posts()
        self.check.equal("COMPUTE_HOST: one POST, accepted", [r.status for r in sent], [202])
        body = sent[0].json()["notification"]
        self.check.that("COMPUTE_HOST: the body", body["hostname"] == "compute-002" and body["payload"] == {
            "event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"} and sent[0].version is None, body)
        ended = self.ended(found.notification_uuid, 90)
        self.check.equal("COMPUTE_HOST: the host is recovered", ended.status, "finished")
        moves = list(self.ha.vmoves(found.notification_uuid))
        self.check.equal("COMPUTE_HOST: every instance has moved", sorted((m.server_id, m.status) for m in moves),
                         sorted((lost, "succeeded") for lost in self.lost))
        self.check.equal("COMPUTE_HOST: nothing ran twice", self.region.admin("GET", "/ledger")["double_runs"], 0)
        self.stop()

    STEPS = (prepare, instance_events, restart, adopted, others_are_refused, process_monitor, host_monitor, *hosts.STEPS)


class Bound(Monitors):
    """The same with `reporter_binding = enforce`: each host has the application credential that `tachi setup monitors` made."""

    def __init__(self, args, region, proxy, checks):
        super().__init__(args, region, proxy, checks)
        self.out = os.path.join(region.work, "monitors")
        hosts = [word for h in region.admin("GET", "/hosts") for word in ("--host", h["name"])]
        subprocess.run([os.path.abspath(args.tachi), "setup", "monitors", "--out", self.out, *hosts, *region.config_files()],
                       check=True, timeout=60, env=region.environment)

    def login(self, host):
        with open(os.path.join(self.out, host + ".conf"), encoding="utf-8") as f:
            return dict(line.strip().split(" = ", 1) for line in f if " = " in line)

    # Covers T5.
    def test_bound_instance_events(self):
        process, send = self.sender("events", 3)
        self.check.equal("bound: VM of its own host", [r.status for r in send()], [202])
        self.check.equal("bound: VM of another host is refused and given up", [r.status for r in send(host="compute-004")][-1:], [403])
        process.stdin.close()
        self.check.equal("bound: the sender ends well", process.wait(20), 0)
        self.started.remove(("events", process))

    STEPS = (Monitors.prepare, test_bound_instance_events, Monitors.adopted, Monitors.process_monitor, Monitors.host_monitor)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the binary under test")
    parser.add_argument("--monitors", required=True, help="the environment with masakari-monitors")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks = Checks()
    with tempfile.NamedTemporaryFile("w", prefix="tachi-policy-", suffix=".yaml") as policy:
        policy.write('"os_masakari_api:notifications:create": "rule:admin_api or role:masakari_monitor"\n')
        policy.flush()
        for kind, binding in ((Monitors, "warn"), (Bound, "enforce")):
            print("---- reporter_binding = %s" % binding, flush=True)
            run(kind, args, checks, Region(args.tachi, arguments=("--hosts", "10"), options=[
                ("oslo_policy", "policy_file", policy.name), ("api", "reporter_binding", binding)]))
    return checks.end()


def run(kind, args, checks, region):
    proxy = monitors = None
    before = len(checks.failed)
    try:
        proxy = Proxy(region.api)
        region.catalog(proxy.url + "/v1/$(tenant_id)s")
        monitors = kind(args, region, proxy, checks)
        for step in kind.STEPS:
            try:
                step(monitors)
            except Exception:
                checks.that("%s goes through" % step.__name__, False, traceback.format_exc(limit=4) + monitors.said())
                monitors.stop()
    finally:
        if monitors:
            monitors.stop()
        code = region.stop()
        if proxy:
            proxy.stop()
    checks.equal("SIGTERM ends tachi serve with 0", code, 0)
    if len(checks.failed) > before:
        said = [line for line in region.service_output().splitlines() if "status=200" not in line]
        print("---- tachi serve said, at last:\n" + "\n".join(said[-40:]))
    region.remove()


if __name__ == "__main__":
    sys.exit(main())
