#!/usr/bin/env python3
"""An operator's day with the unmodified `openstack` command against `tachi serve --sandbox`.

A segment is made, a hypervisor dies and is recovered, is repaired and put back; along the way everything an operator may
get wrong is tried as well. Every command and its output is checked.
"""
import argparse
import datetime
import json
import os
import re
import signal
import sys
import time
import traceback

from checks import Checks
from cli import Cli, CommandFailed
from quick import QuickCli
from stack import Stack

SEGMENT = "walk"
UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
STOPPED = json.dumps({"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"})


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


class Walk:
    def __init__(self, cli, stack, checks):
        self.cli, self.stack, self.check = cli, stack, checks
        self.member = stack.cloud + "-demo" if stack.cloud + "-demo" in stack.clouds else None

    # -------------------------------------------------------------------------------------------- looking around

    def look(self):
        services, images, flavors, segments, notifications = self.cli.together(
            ("compute", "service", "list", "--service", "nova-compute"), ("image", "list"), ("flavor", "list"),
            ("segment", "list"), ("notification", "list"))
        self.hosts = sorted(s["Host"] for s in services)[:4]
        self.check.that("four hypervisors are up", len(self.hosts) == 4 and all(
            s["State"] == "up" and s["Status"] == "enabled" for s in services), services)
        self.check.equal("no segment yet", segments, [])
        self.check.equal("no notification yet", notifications, [])
        self.image, self.flavor = images[0]["Name"], flavors[0]["Name"]
        versions = self.cli.json("versions", "show", "--service", "instance-ha")
        self.check.that("the API's versions are found", any(
            v["Max Microversion"] == "1.3" and v["Min Microversion"] == "1.0" for v in versions), versions)

    # -------------------------------------------------------------------------------------------- segments and hosts

    def segment(self):
        made = self.cli.json("segment", "create", SEGMENT, "auto", "COMPUTE", "--description", "first")
        self.segment_id = made["uuid"]
        self.check.that("segment create", UUID.match(made["uuid"]) and made["name"] == SEGMENT
                        and made["recovery_method"] == "auto" and made["service_type"] == "COMPUTE"
                        and made["description"] == "first" and made["is_enabled"] is True, made)
        listed, shown, by_id = self.cli.together(
            ("segment", "list"), ("segment", "show", SEGMENT), ("segment", "show", made["uuid"]))
        self.check.equal("segment list", [s["uuid"] for s in listed], [made["uuid"]])
        self.check.that("segment show by name and by uuid agree", shown == by_id == made, (shown, by_id, made))
        changed = self.cli.json("segment", "update", SEGMENT, "--description", "second", "--recovery_method", "auto_priority")
        self.check.equal("segment update", [changed["description"], changed["recovery_method"]], ["second", "auto_priority"])
        changed = self.cli.json("segment", "update", made["uuid"], "--recovery_method", "auto")
        self.check.that("segment update by uuid leaves the rest", changed["description"] == "second"
                        and changed["recovery_method"] == "auto" and changed["updated_at"], changed)
        table = self.cli.ok("segment", "list")
        self.check.that("segment list as a table", "| uuid" in table and SEGMENT in table, table)

    def add_hosts(self):
        for host in self.hosts:
            made = self.cli.json("segment", "host", "create", host, "COMPUTE", "SSH", SEGMENT)
            self.check.that("segment host create " + host, UUID.match(made["uuid"]) and made["name"] == host
                            and made["type"] == "COMPUTE" and made["control_attributes"] == "SSH"
                            and made["reserved"] is False and made["on_maintenance"] is False
                            and made["failover_segment_id"] == self.segment_id, made)
        first = self.hosts[0]
        listed, shown = self.cli.together(
            ("segment", "host", "list", SEGMENT), ("segment", "host", "show", SEGMENT, first))
        self.check.equal("segment host list", sorted(h["name"] for h in listed), self.hosts)
        self.host_ids = {h["name"]: h["uuid"] for h in listed}
        self.check.equal("segment host show", [shown["name"], shown["uuid"]], [first, self.host_ids[first]])
        for value in (True, False):
            got = self.cli.json("segment", "host", "update", "--reserved", str(value), SEGMENT, first)
            self.check.equal("segment host update --reserved %s" % value, got["reserved"], value)
        filtered = self.cli.json("segment", "host", "list", SEGMENT, "--filters", "reserved=True")
        self.check.equal("no host is reserved", filtered, [])

    def wrong_input(self):
        run, refused = self.cli.run, self.check.refused
        first = self.hosts[0]
        refused("unknown segment", run("segment", "show", "no-such"), "no-such")
        refused("unknown segment by uuid", run("segment", "show", "00000000-0000-4000-8000-000000000000"))
        refused("update of an unknown segment", run("segment", "update", "no-such", "--name", "x"))
        refused("segment name in use", run("segment", "create", SEGMENT, "auto", "COMPUTE"), "409")
        refused("unknown recovery method", run("segment", "create", "other", "by-hand", "COMPUTE"), "invalid choice")
        refused("empty segment name", run("segment", "create", "", "auto", "COMPUTE"), "400")
        refused("host Nova does not know", run("segment", "host", "create", "no-such", "COMPUTE", "SSH", SEGMENT), "400")
        refused("host in use", run("segment", "host", "create", first, "COMPUTE", "SSH", SEGMENT), "409")
        refused("unknown host", run("segment", "host", "show", SEGMENT, "no-such"))
        refused("host in an unknown segment", run("segment", "host", "list", "no-such"))
        refused("unknown notification", run("notification", "show", "00000000-0000-4000-8000-000000000000"))
        refused("moves of an unknown notification", run(
            "notification", "vmove", "list", "00000000-0000-4000-8000-000000000000"))
        create = ("notification", "create")
        refused("notification for an unknown host", run(*create, "COMPUTE_HOST", "no-such", now(), STOPPED), "400")
        refused("notification with a wrong payload", run(*create, "COMPUTE_HOST", first, now(), '{"event": "NAPPING"}'), "400")
        refused("notification with a wrong time", run(*create, "COMPUTE_HOST", first, "yesterday", STOPPED), "400")
        gone = run("segment", "delete", "no-such")
        self.check.that("delete of an unknown segment says so", "Segment deleted" not in gone.out and gone.out.strip(), gone)
        if self.member:
            for words in (("segment", "list"), ("segment", "create", "mine", "auto", "COMPUTE"), ("notification", "list")):
                refused("%s without the admin role" % " ".join(words), run(*words, cloud=self.member), "403")
        listed = self.cli.json("notification", "list")
        self.check.equal("none of this left a notification", listed, [])

    def pages(self):
        for name in ("b-second", "a-third"):
            self.cli.json("segment", "create", name, "auto", "COMPUTE")
        plain, by_one, sorted_by_name = self.cli.together(
            ("segment", "list"), ("segment", "list", "--limit", "1"), ("segment", "list", "--sort", "name:asc"))
        self.check.equal("three segments", len(plain), 3)
        self.check.equal("--limit is a page size: all pages are read", sorted(s["name"] for s in by_one),
                         sorted(s["name"] for s in plain))
        self.check.equal("--sort name:asc", [s["name"] for s in sorted_by_name], ["a-third", "b-second", SEGMENT])
        out = self.cli.ok("segment", "delete", "b-second", "a-third")
        self.check.equal("segment delete of two", out.split(), "Segment deleted: b-second Segment deleted: a-third".split())

    # -------------------------------------------------------------------------------------------- the failure

    def boot(self, name, host):
        self.cli.json("server", "create", "--image", self.image, "--flavor", self.flavor, "--nic", "none",
                      "--availability-zone", "nova:" + host, name)
        return self.cli.until("%s to be ACTIVE" % name, ("server", "show", name), lambda s: s["status"] == "ACTIVE")

    def servers(self):
        victim = self.hosts[0]
        for name in ("walk-ha", "walk-plain", "walk-stopped"):
            got = self.boot(name, victim)
            self.check.equal("server create %s on %s" % (name, victim), got["OS-EXT-SRV-ATTR:host"], victim)
        self.cli.ok("server", "set", "--property", "HA_Enabled=True", "walk-ha")
        got = self.cli.json("server", "show", "walk-ha")
        self.check.equal("server set --property HA_Enabled=True", got["properties"], {"HA_Enabled": "True"})
        self.cli.ok("server", "stop", "walk-stopped")
        self.cli.until("walk-stopped to be SHUTOFF", ("server", "show", "walk-stopped"), lambda s: s["status"] == "SHUTOFF")
        listed = self.cli.json("server", "list", "--all-projects", "--host", victim)
        self.ours = {s["Name"]: s["ID"] for s in listed if s["Name"].startswith("walk-")}
        self.on_victim = {s["ID"] for s in listed}
        self.check.equal("server list --host", sorted(self.ours), ["walk-ha", "walk-plain", "walk-stopped"])

    def failure(self):
        victim = self.hosts[0]
        self.stack.admin("POST", "/hosts/%s/power" % victim, {"on": False})
        generated = now()
        posted = self.cli.json("notification", "create", "COMPUTE_HOST", victim, generated, STOPPED)
        self.posted = time.monotonic()
        self.notification = posted["notification_uuid"]
        self.check.that("notification create", UUID.match(self.notification) and posted["type"] == "COMPUTE_HOST"
                        and posted["source_host_uuid"] == self.host_ids[victim]
                        and posted["status"] in ("new", "running", "finished"), posted)
        again = self.cli.run("notification", "create", "COMPUTE_HOST", victim, generated, STOPPED)
        self.check.refused("the same notification again", again, "409")
        busy = self.cli.run("segment", "delete", SEGMENT)
        self.check.that("a segment in use is not deleted", "Segment deleted" not in busy.out and "409" in busy.out, busy)
        busy = self.cli.run("segment", "host", "delete", SEGMENT, victim)
        self.check.that("nor is its host", "Host deleted" not in busy.out and "409" in busy.out + busy.err, busy)
        shown = self.cli.until("the notification to end", ("notification", "show", self.notification),
                               lambda n: n["status"] in ("finished", "failed", "error", "ignored"), 90)
        self.check.equal("notification show: finished", shown["status"], "finished")
        self.check.that("notification show: its steps are told", shown.get("recovery_workflow_details"), shown)
        self.check.that("the payload is given back", "OFFLINE" in str(shown["payload"]), shown["payload"])
        listed, finished, other = self.cli.together(
            ("notification", "list"), ("notification", "list", "--filters", "status=finished;type=COMPUTE_HOST"),
            ("notification", "list", "--filters", "type=VM"))
        self.check.equal("notification list", [n["notification_uuid"] for n in listed], [self.notification])
        self.check.equal("notification list --filters", [n["notification_uuid"] for n in finished], [self.notification])
        self.check.equal("notification list of another type", other, [])

    def moves(self):
        moves = self.cli.json("notification", "vmove", "list", self.notification)
        self.check.equal("notification vmove list: every server of the host", {m["server_id"] for m in moves}, self.on_victim)
        self.check.equal("all succeeded", {m["status"] for m in moves}, {"succeeded"})
        self.check.equal("all from the dead host", {m["source_host"] for m in moves}, {self.hosts[0]})
        ha = next(m for m in moves if m["server_id"] == self.ours["walk-ha"])
        shown = self.cli.json("notification", "vmove", "show", self.notification, ha["uuid"])
        self.check.that("notification vmove show", shown["server_name"] == "walk-ha" and shown["type"] == "evacuation"
                        and shown["start_time"] and shown["end_time"] and shown["dest_host"] in self.hosts[1:], shown)
        unknown = self.cli.run("notification", "vmove", "show", self.notification, "00000000-0000-4000-8000-000000000000")
        self.check.refused("unknown vmove", unknown)
        for name, status in (("walk-ha", "ACTIVE"), ("walk-plain", "ACTIVE"), ("walk-stopped", "SHUTOFF")):
            got = self.cli.json("server", "show", name)
            dest = next(m["dest_host"] for m in moves if m["server_id"] == got["id"])
            self.check.that("%s is %s where the vmove says" % (name, status), got["status"] == status
                            and got["OS-EXT-SRV-ATTR:host"] == dest != self.hosts[0] and not got.get("locked"), got)
        ledger = self.stack.admin("GET", "/ledger")
        self.check.equal("the ledger: nothing ran twice", ledger["double_runs"], 0)

    def aftermath(self):
        victim = self.hosts[0]
        service, host = self.service(), self.cli.json("segment", "host", "show", SEGMENT, victim)
        self.check.equal("compute service list: the host", [service["Status"], service["State"], service["Forced Down"]],
                         ["disabled", "down", True])
        self.check.that("the reason says who did it", service["Disabled Reason"], service)
        self.check.equal("segment host show: on_maintenance", host["on_maintenance"], True)
        again = self.cli.run("notification", "create", "COMPUTE_HOST", victim, now(), STOPPED)
        self.check.refused("another notification for the host just recovered", again, "409")

    def service(self):
        found = self.cli.json("compute", "service", "list", "--service", "nova-compute", "--long", "--host", self.hosts[0])
        return found[0]

    # -------------------------------------------------------------------------------------------- the repair

    def repair(self):
        victim = self.hosts[0]
        self.stack.admin("POST", "/hosts/%s/power" % victim, {"on": True})
        words = ("compute", "service", "list", "--service", "nova-compute", "--long", "--host", victim)
        got = self.cli.until("forced_down to be cleared by the engine", words, lambda s: s[0]["Forced Down"] is False, 90)
        self.check.equal("forced_down is cleared, the service stays disabled", got[0]["Status"], "disabled")
        self.cli.until("the service to be up", words, lambda s: s[0]["State"] == "up", 60)
        self.cli.ok("compute", "service", "set", "--enable", victim, "nova-compute")
        host = self.cli.json("segment", "host", "update", "--on_maintenance", "False", SEGMENT, victim)
        self.check.equal("segment host update --on_maintenance False", host["on_maintenance"], False)
        service = self.service()
        self.check.equal("the host is back", [service["Status"], service["State"], service["Forced Down"]],
                         ["enabled", "up", False])
        got = self.boot("walk-back", victim)
        self.check.equal("a server boots on it", got["OS-EXT-SRV-ATTR:host"], victim)

    def instance_failure(self):
        payload = json.dumps({"event": "LIFECYCLE", "vir_domain_event": "STOPPED_FAILED",
                              "instance_uuid": self.ours["walk-ha"]})
        host = self.cli.json("server", "show", "walk-ha")["OS-EXT-SRV-ATTR:host"]
        posted = self.cli.json("notification", "create", "VM", host, now(), payload)
        shown = self.cli.until("the VM notification to end", ("notification", "show", posted["notification_uuid"]),
                               lambda n: n["status"] in ("finished", "failed", "error", "ignored"), 60)
        self.check.equal("a VM notification is finished", shown["status"], "finished")
        got = self.cli.json("server", "show", "walk-ha")
        self.check.that("its server runs", got["status"] == "ACTIVE" and not got.get("locked"), got)
        moves = self.cli.run("notification", "vmove", "list", posted["notification_uuid"])
        self.check.refused("it has no moves, and the API says so", moves, "400", "without vm moves")

    # -------------------------------------------------------------------------------------------- a held recovery

    def held(self):
        """The second host of four within minutes, and its power controller lies: nothing moves before somebody says so."""
        victim = self.hosts[1]
        self.stack.admin("POST", "/hosts/%s/bmc" % victim, {"command": {"mode": "ignored"}})
        self.stack.admin("POST", "/hosts/%s/link" % victim, {"up": False})
        posted = self.cli.json("notification", "create", "COMPUTE_HOST", victim, now(), STOPPED)
        words = ("notification", "show", posted["notification_uuid"])
        # Why it waits stands where the client shows it.
        shown = self.cli.until("the recovery to be held", words,
                               lambda n: "2 of the segment's 4 hosts are out of service at once" in str(n.get("recovery_workflow_details")), 60)
        self.check.equal("a held recovery is running", shown["status"], "running")
        moves = self.cli.json("notification", "vmove", "list", posted["notification_uuid"])
        self.check.equal("nothing is moved", moves, [])
        code, out = self.stack.tachi("recovery", "list", "-f", "json")
        listed = json.loads(out) if code == 0 else []
        mine = [r for r in listed if r["notification"] == posted["notification_uuid"]]
        self.check.that("tachi recovery list says why", mine and mine[0]["message"].startswith("on hold: "), (code, out))
        code, out = self.stack.tachi("recovery", "approve", "00000000-0000-4000-8000-000000000000", "--yes", "--reason", "x")
        self.check.that("an unknown recovery cannot be approved", code == 1 and "no recovery has the id" in out, (code, out))
        self.stack.admin("POST", "/hosts/%s/bmc" % victim, {"command": {"mode": "works"}})
        code, out = self.stack.tachi("recovery", "approve", mine[0]["recovery"], "--yes", "--reason", "x")
        self.check.that("tachi recovery approve", code == 0, (code, out))
        shown = self.cli.until("the approved recovery to end", words, lambda n: n["status"] != "running", 60)
        self.check.equal("it finishes", shown["status"], "finished")
        self.check.equal("the ledger: still nothing ran twice", self.stack.admin("GET", "/ledger")["double_runs"], 0)

    def clear(self):
        for name in ("walk-ha", "walk-plain", "walk-stopped", "walk-back"):
            self.cli.ok("server", "delete", "--wait", name)
        gone = self.cli.run("segment", "host", "delete", SEGMENT, "no-such")
        self.check.that("delete of an unknown host says so", "Host deleted" not in gone.out, gone)
        for host in self.hosts[:3]:
            self.cli.ok("segment", "host", "delete", SEGMENT, host)
        left = self.cli.json("segment", "host", "list", SEGMENT)
        self.check.equal("segment host delete", [h["name"] for h in left], self.hosts[3:])
        out = self.cli.ok("segment", "delete", SEGMENT)
        self.check.equal("segment delete, with its last host", out.strip(), "Segment deleted: " + SEGMENT)
        segments, notifications = self.cli.together(("segment", "list"), ("notification", "list"))
        self.check.equal("no segment is left", segments, [])
        self.check.equal("the notifications stay", len(notifications), 3)

    STEPS = (look, segment, add_hosts, wrong_input, pages, servers, failure, moves, aftermath, repair, instance_failure, held, clear)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the binary under test")
    parser.add_argument("--openstack", required=True, help="the unmodified client")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    checks = Checks()
    # A rebuild takes long enough for an operator to get in the way of a recovery.
    stack = Stack(os.path.abspath(args.tachi), arguments=("--hosts", "4", "--rebuild-seconds", "8"))
    try:
        # The first step runs the command itself, the others its code in forked processes: its start-up is most of its time.
        first = Cli(args.openstack, stack.clouds_yaml, stack.cloud)
        walk = Walk(first, stack, checks)
        checks.that("a user without the admin role is there to try with", walk.member, sorted(stack.clouds))
        for step in Walk.STEPS:
            try:
                step(walk)
                if walk.cli is first:
                    walk.cli = QuickCli(stack.clouds_yaml, stack.cloud, (("notification", "list"), ("server", "list")))
            except CommandFailed as error:
                checks.that("step %s goes through" % step.__name__, False, error)
                break
            except Exception:
                checks.that("step %s goes through" % step.__name__, False, traceback.format_exc())
                break
        for cli in {first, walk.cli}:
            print("%d commands, %.1f s in the client" % (cli.calls, cli.seconds))
    finally:
        code = stack.stop()
    checks.equal("SIGTERM ends tachi serve with 0", code, 0)
    if checks.failed:
        print("---- tachi serve --sandbox said, at last:\n" + stack.output()[-6000:])
    stack.remove()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
