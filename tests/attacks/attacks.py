#!/usr/bin/env python3
"""The attacks of somebody who has broken one hypervisor, against the real binary and a simulated region.

The attacker has what a monitor on that hypervisor has, and nothing else: the limited role, as a user whom all hosts share
or as the application credential of one host that `tachi setup monitors` has made. The names of the tests carry the numbers
of the attacks (T1 to T7).
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from checks import Checks
from region import Region

HOSTS = 10
BROKEN = "compute-001"
HALF_SENT = 1060
LIMIT = 20


class Keystone:
    """Tokens of the simulated Keystone."""

    def __init__(self, region):
        self.region, self.url = region, region.auth["auth_url"]

    def token(self, identity, scope=None):
        body = {"auth": {"identity": identity, **({"scope": scope} if scope else {})}}
        request = urllib.request.Request(self.url + "/auth/tokens", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers["X-Subject-Token"]

    def user(self, name, project="service"):
        domain = {"name": "Default"}
        return self.token({"methods": ["password"], "password": {"user": {
            "name": name, "domain": domain, "password": self.region.password}}}, {"project": {"name": project, "domain": domain}})

    def credential(self, file):
        """As a monitor reads it from its configuration."""
        with open(file, encoding="utf-8") as f:
            options = dict(line.strip().split(" = ", 1) for line in f if " = " in line)
        assert options["auth_type"] == "v3applicationcredential", options
        return self.token({"methods": ["application_credential"], "application_credential": {
            "id": options["application_credential_id"], "secret": options["application_credential_secret"]}})


class Attacker:
    def __init__(self, args, region, checks):
        self.tachi, self.region, self.check = os.path.abspath(args.tachi), region, checks
        self.keystone = Keystone(region)
        self.admin = self.keystone.user("admin", "admin")
        self.shared = self.keystone.user("masakari-monitor")
        self.names = sorted(h["name"] for h in region.admin("GET", "/hosts"))
        self.minute = 0

    # --------------------------------------------------------------------------------- what it can send

    def call(self, method, path, token, body=None, headers=()):
        request = urllib.request.Request(
            self.region.api + path, None if body is None else json.dumps(body).encode(),
            {"X-Auth-Token": token, "Content-Type": "application/json", "OpenStack-API-Version": "instance-ha 1.3", **dict(headers)},
            method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def post(self, token, kind, host, payload, at=None, headers=()):
        at = at or time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        return self.call("POST", "/v1/notifications", token, {"notification": {
            "type": kind, "hostname": host, "generated_time": at, "payload": payload}}, headers)

    def stopped(self, token, host, status="NORMAL", **more):
        return self.post(token, "COMPUTE_HOST", host, {
            "event": "STOPPED", "cluster_status": "OFFLINE", "host_status": status}, **more)

    def crashed(self, token, host, instance, **more):
        return self.post(token, "VM", host, {
            "event": "LIFECYCLE", "instance_uuid": instance, "vir_domain_event": "STOPPED_FAILED"}, **more)

    def process(self, token, host, name="nova-compute", **more):
        return self.post(token, "PROCESS", host, {"event": "STOPPED", "process_name": name}, **more)

    # --------------------------------------------------------------------------------- what can be seen

    def until(self, what, ask, seconds=30):
        deadline = time.monotonic() + seconds
        while True:
            got = ask()
            if got:
                return got
            if time.monotonic() > deadline:
                raise RuntimeError("waited %s s for %s" % (seconds, what))
            time.sleep(0.2)

    def ended(self, uuid, seconds=30):
        def look():
            shown = self.call("GET", "/v1/notifications/" + uuid, self.admin)[1]["notification"]
            return shown if shown["status"] not in ("new", "running") else None
        return self.until("notification %s to end" % uuid, look, seconds)

    def safe(self, name):
        ledger = self.region.admin("GET", "/ledger")
        self.check.equal(name + ": nothing ran twice", ledger["double_runs"], 0)

    def powered(self):
        return sorted(h["name"] for h in self.region.admin("GET", "/hosts") if h["power"])

    # --------------------------------------------------------------------------------- the steps

    def prepare(self, guests=("compute-002", "compute-003", "compute-004")):
        segment = self.call("POST", "/v1/segments", self.admin, {"segment": {
            "name": "attacked", "recovery_method": "auto", "service_type": "COMPUTE"}})[1]["segment"]["uuid"]
        for name in self.names:
            status, _ = self.call("POST", "/v1/segments/%s/hosts" % segment, self.admin, {"host": {
                "name": name, "type": "COMPUTE", "control_attributes": "SSH"}})
            assert status == 201, status
        self.guests = {}
        for name in guests:
            self.guests[name] = self.region.admin("POST", "/servers", {
                "count": 1, "host": name, "name": "guest", "metadata": {"HA_Enabled": "True"}})["ids"][0]

    def test_init_makes_a_credential_for_each_host(self):
        out = os.path.join(self.region.work, "monitors")
        words = [self.tachi, "setup", "monitors", "--out", out, *self.region.config_files()]

        def run(*more):
            return subprocess.run([*words, *more], capture_output=True, text=True, timeout=60, env=self.region.environment)

        dry = run("--dry-run")
        self.check.that("init: a dry run says what and makes nothing", dry.returncode == 0 and BROKEN in dry.stdout
                        and "would be created" in dry.stdout and not os.path.exists(out), dry)
        first = run()
        made = sorted(name for name in os.listdir(out) if name.endswith(".conf"))
        self.check.that("init: a file for each host", first.returncode == 0 and made == [n + ".conf" for n in self.names], first)
        modes = {oct(os.stat(os.path.join(out, name)).st_mode & 0o777) for name in made}
        self.check.equal("init: nobody else can read the secrets", modes, {"0o600"})
        again = run()
        self.check.that("init: once more changes nothing", again.returncode == 0 and again.stdout.count("exists already") == HOSTS, again)
        file = os.path.join(out, BROKEN + ".conf")
        old = self.keystone.credential(file)
        os.remove(file)
        lost = run()
        self.check.that("init: a lost secret is told of", lost.returncode == 1 and "--renew" in lost.stderr, lost)
        renewed = run("--renew", "--host", BROKEN)
        self.check.that("init: and renewed", renewed.returncode == 0 and os.path.exists(file), renewed)
        status, _ = self.call("GET", "/v1/segments", old)
        self.check.that("init: the old credential is good for nothing", status in (401, 403), status)
        self.own = self.keystone.credential(file)
        self.other = self.keystone.credential(os.path.join(out, "compute-009.conf"))
        status, _ = self.call("GET", "/v1/segments", self.own)
        self.check.equal("init: the credential can report and nothing else", status, 403)

    # Covers T1.
    def test_a_false_normal_moves_nothing(self):
        """nova-compute of a host is stopped, its guest runs, and the host is said to be off."""
        host = "compute-002"
        self.region.admin("POST", "/hosts/%s/agent" % host, {"running": False})
        status, told = self.stopped(self.own, host)
        self.check.equal("T1: the report of a bound host is taken", status, 202)
        self.check.equal("T1: and is a suspicion", told["notification"]["payload"]["host_status"], "UNKNOWN")
        evidence = {"X-Tachi-Fence-Evidence": "e30="}
        status, _ = self.stopped(self.shared, host, headers=evidence)
        self.check.that("T1: neither does the shared role's word count", status in (202, 403, 409), status)
        ended = self.ended(told["notification"]["notification_uuid"])
        self.check.equal("T1: nothing is done in mode external", ended["status"], "ignored")
        self.safe("T1")
        self.check.that("T1: every host has power", self.powered() == self.names, self.powered())
        self.region.admin("POST", "/hosts/%s/agent" % host, {"running": True})

    # Covers T3.
    def test_processes_of_others_are_not_reported(self):
        answers = {self.process(self.own, name)[0] for name in self.names if name != BROKEN}
        self.check.equal("T3: a host says nothing of the processes of others", answers, {403})

    # Covers T5.
    def test_instances_of_others_are_not_restarted(self):
        victim = self.guests["compute-003"]
        status, _ = self.crashed(self.own, "compute-003", victim)
        self.check.equal("T5: an instance of another host is not reported", status, 403)
        status, told = self.crashed(self.own, BROKEN, victim)
        if status == 202:
            ended = self.ended(told["notification"]["notification_uuid"])
            self.check.equal("T5: one that is said to be on its own host is looked up", ended["status"], "ignored")
        shown = self.region.admin("GET", "/servers/" + victim)
        self.check.that("T5: it runs where it ran", shown["server"]["host"] == "compute-003", shown)

    # Covers T5.
    def test_a_report_of_the_future_mutes_nobody(self):
        guest = self.region.admin("POST", "/servers", {
            "count": 1, "host": BROKEN, "name": "own", "metadata": {"HA_Enabled": "True"}})["ids"][0]
        status, told = self.crashed(self.own, BROKEN, guest, at="2099-01-01T00:00:00")
        self.check.equal("T5: a report of 2099 is taken", status, 202)
        self.ended(told["notification"]["notification_uuid"])
        # The window of duplicates is a second here.
        status = self.until("a real crash to be taken", lambda: self.crashed(self.own, BROKEN, guest)[0] == 202, 10)
        self.check.that("T5: and mutes nobody until then", status)

    # Covers T6.
    def test_half_sent_requests_keep_nobody_out(self):
        address = ("127.0.0.1", self.region.port)
        held = []
        try:
            for _ in range(HALF_SENT):
                one = socket.create_connection(address, timeout=5)
                one.sendall(b"POST /v1/notifications HTTP/1.1\r\nHost: x\r\nX-Auth")
                held.append(one)
            began = time.monotonic()
            with urllib.request.urlopen(self.region.api + "/healthcheck", timeout=20) as answer:
                status = answer.status
            took = time.monotonic() - began
            # A first packet that finds the kernel's queue full is sent again after a second.
            self.check.that("T6: /healthcheck answers within two seconds", status == 200 and took < 2, (status, took))
            began = time.monotonic()
            status, _ = self.process(self.other, "compute-009", "tachi-test")
            took = time.monotonic() - began
            self.check.that("T6: and so does a report", status == 202 and took < 2, (status, took))
        finally:
            for one in held:
                one.close()

    # Covers T7.
    def test_a_flood_refuses_its_own_reporter_only(self):
        answers = [self.process(self.own, BROKEN, "again")[0] for _ in range(3 * LIMIT)]
        self.check.that("T7: the flood is refused", 429 in answers, sorted(set(answers)))
        status, _ = self.process(self.other, "compute-009", "another")
        self.check.equal("T7: another reporter of the segment is heard", status, 202)
        status, _ = self.stopped(self.own, "compute-008", "UNKNOWN")
        self.check.equal("T7: and so is the first report of a stopped host", status, 202)

    def enforce(self):
        with open(self.region.override, "a", encoding="utf-8") as f:
            f.write("[api]\nreporter_binding = enforce\n")
        self.region.stop_service()
        self.region.start_service()

    # Covers T5.
    def test_with_binding_enforced_an_unbound_monitor_reports_nothing(self):
        for name, (status, told) in (
                ("VM", self.crashed(self.shared, "compute-004", self.guests["compute-004"])),
                ("PROCESS", self.process(self.shared, "compute-004")),
                ("COMPUTE_HOST", self.stopped(self.shared, "compute-004"))):
            self.check.that("enforce: the shared role may not report %s" % name, status == 403 and "tachi setup monitors"
                            in json.dumps(told), (status, told))
        status, _ = self.process(self.other, "compute-009", "enforced")
        self.check.equal("enforce: a bound monitor goes on", status, 202)
        status, _ = self.process(self.admin, "compute-007", "enforced")
        self.check.equal("enforce: a control node goes on", status, 202)
        self.safe("enforce")

    # --------------------------------------------------------------------------------- in mode engine

    def prepare_for_power(self):
        self.prepare(("compute-006",))
        out = os.path.join(self.region.work, "monitors")
        subprocess.run([self.tachi, "setup", "monitors", "--out", out, *self.region.config_files()], check=True,
                       capture_output=True, timeout=60, env=self.region.environment)
        self.bound = {name: self.keystone.credential(os.path.join(out, name + ".conf")) for name in self.names}

    def message(self, uuid):
        return self.call("GET", "/v1/notifications/" + uuid, self.admin)[1]["notification"].get("message") or self.waits(uuid)

    def waits(self, uuid):
        listed = subprocess.run([self.tachi, "recovery", "list", "-f", "json", *self.region.config_files()], check=True,
                                capture_output=True, text=True, timeout=30, env=self.region.environment)
        return next((row["message"] or "" for row in json.loads(listed.stdout) if row["notification"] == uuid), "")

    # Covers T2.
    def test_unknown_of_a_living_host_cuts_no_power(self):
        """Two broken hypervisors, with a credential each, report a third one, which lives."""
        host = "compute-005"
        status, told = self.stopped(self.bound[BROKEN], host, "UNKNOWN")
        self.check.equal("T2: a suspicion is taken", status, 202)
        uuid = told["notification"]["notification_uuid"]
        status, _ = self.stopped(self.bound["compute-009"], host, "UNKNOWN")
        self.check.equal("T2: a second one joins it", status, 409)
        said = self.until("the engine to say what it waits for", lambda: self.message(uuid))
        self.check.that("T2: Nova's word is waited for", "only one monitor" in said or "Nova shows it up" in said, said)
        self.check.that("T2: every host has power", self.powered() == self.names, self.powered())

    # Covers T3.
    def test_unbound_processes_disable_no_segment(self):
        """The shared role, which is bound to no host, says of every host that its nova-compute has failed."""
        answers = {name: self.process(self.shared, name) for name in self.powered()}
        self.check.that("T3: under warn they are taken", all(status == 202 for status, _ in answers.values()),
                        {name: told for name, (status, told) in answers.items() if status != 202})
        # What is not held or waits has been done by then.
        held = len(self.names) - 3
        self.until("the guard to speak", lambda: self.region.service_output().count("on hold: G12") >= held, 30)
        disabled = [h["name"] for h in self.region.admin("GET", "/hosts") if not h["enabled"]]
        self.check.that("T3: of ten services no more than a share is disabled", len(disabled) <= 3, disabled)

    # Covers T4.
    def test_false_reports_hold_up_no_real_death(self):
        """Four living hosts are said to be down, then a fifth dies."""
        for name in ("compute-002", "compute-003", "compute-004", "compute-007"):
            self.stopped(self.shared, name, "UNKNOWN")
        dead, guest = "compute-006", self.guests["compute-006"]
        self.region.admin("POST", "/hosts/%s/power" % dead, {"on": False})
        status, _ = self.stopped(self.admin, dead, "UNKNOWN")
        self.check.equal("T4: the real report is taken", status, 202)
        self.until("the guest of the dead host to run again", lambda: self.runs_elsewhere(guest, dead), 60)
        self.check.that("T4: a death is recovered whatever is said of others", True)
        alive = [name for name in self.names if name != dead]
        self.check.that("T4: and no living host has lost its power", self.powered() == alive, self.powered())
        self.safe("T4")

    def runs_elsewhere(self, guest, dead):
        server = self.region.admin("GET", "/servers/" + guest)["server"]
        return server["host"] != dead and server.get("status", "ACTIVE") == "ACTIVE"

    POWER = (prepare_for_power, test_unknown_of_a_living_host_cuts_no_power,
             test_false_reports_hold_up_no_real_death, test_unbound_processes_disable_no_segment)

    STEPS = (prepare, test_init_makes_a_credential_for_each_host, test_a_false_normal_moves_nothing,
             test_processes_of_others_are_not_reported, test_instances_of_others_are_not_restarted,
             test_a_report_of_the_future_mutes_nobody, test_half_sent_requests_keep_nobody_out,
             test_a_flood_refuses_its_own_reporter_only, enforce, test_with_binding_enforced_an_unbound_monitor_reports_nothing)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the binary under test")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    version = subprocess.run([args.tachi, "--version"], check=True, capture_output=True, text=True, timeout=30).stdout.strip()
    print("attacked: %s (%s)" % (os.path.abspath(args.tachi), version), flush=True)
    checks = Checks()
    with tempfile.NamedTemporaryFile("w", prefix="tachi-policy-", suffix=".yaml") as policy:
        policy.write('"os_masakari_api:notifications:create": "rule:admin_api or role:masakari_monitor"\n')
        policy.flush()
        common = [("oslo_policy", "policy_file", policy.name), ("DEFAULT", "duplicate_notification_detection_interval", 1)]
        hosts = ("--hosts", str(HOSTS))
        # What is reported of these leaves the host in use, so that its next report is accepted.
        spare = ("process_failure", "non_essential_processes", "tachi-test, again, another, enforced")
        run(args, checks, Attacker.STEPS, Region(args.tachi, arguments=hosts, options=[
            *common, spare, ("fencing", "mode", "external"), ("api", "notifications_per_segment", LIMIT)]))
        run(args, checks, Attacker.POWER, Region(args.tachi, arguments=hosts, options=[
            *common, ("fencing", "mode", "engine"), ("fencing", "storm_startup_grace", 0)]))
    return checks.end()


def run(args, checks, steps, region):
    code = None
    try:
        attacker = Attacker(args, region, checks)
        for step in steps:
            try:
                step(attacker)
            except Exception:
                checks.that("%s goes through" % step.__name__, False, traceback.format_exc(limit=4))
    finally:
        code = region.stop()
    checks.equal("SIGTERM ends tachi serve with 0", code, 0)
    if checks.failed:
        said = [line for line in region.service_output().splitlines() if "status=20" not in line]
        print("---- tachi serve said, at last:\n" + "\n".join(said[-60:]))
    region.remove()


if __name__ == "__main__":
    sys.exit(main())
