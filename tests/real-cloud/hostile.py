#!/usr/bin/env python3
"""A real Nova that fails after it has done the work, forgets what it was doing, hides a cell or loses its broker, while a host
of it is recovered (docs/design/hostile-world.md, by the numbers in the names). What counts is what the hypervisors ran, by their own
lists, and what Nova's evacuation records overlap; Tachi's word counts for nothing. See run.sh."""
import datetime
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter

from sitting import Sitting, arguments, minicloud, sit

# After it: sitting.py says where these are.
from adapters import heal
from between import Between
from checks import Checks
from ha import ENDED, boot, explain, remove
from naive import NaiveHa
from nova_http import Cloud, Failed, wait_until
from overlaps import LOST_AFTER, OVER, overlaps

CELL2 = ["compute-05", "compute-06"]
# A guest that began to run so recently, in seconds, is still being moved.
SETTLED = 50
# Where the broker was away, its destination writes to Nova only after it has connected again.
RECONNECTED = 150
TWICE = "no guest ran on two hosts, by the hypervisors' own lists"
OVERLAP = "no two evacuation records of an instance overlap"
ONCE = "each runs on one host, where Nova shows it, and none is locked"
HARM = (TWICE, OVERLAP, ONCE)


class Nobody:
    """In the place of `tachi`'s processes when the naive loop is tried."""

    running, log = {}, staticmethod(lambda _: "")

    def start(self, *_):
        pass

    def stop(self):
        pass


class Hostile(Sitting):
    # How long RabbitMQ takes to start here at least: it is away for no shorter than a case wants.
    broker_starts_in = 8

    def __init__(self, args, cloud, checks):
        super().__init__(args, cloud, checks)
        self.given_up = set()
        self.said, self.settled = [], SETTLED
        self.cells, self.failed_before = 1, 0
        self.found_out = Checks()
        if args.naive:
            self.tachi = Nobody()
            self.ha = NaiveHa(lambda: Cloud(args.clouds, args.cloud))

    # What is started, and how.

    def begin(self, *recovery, default=(), cells=1):
        """Tachi with these options of `[recovery]` and of `[DEFAULT]`, and nothing left of the case before."""
        if cells == 1:
            self.one_cell()
        self.given_up, self.said, self.settled = set(), [], SETTLED
        self.hypervisors.no_faults()
        with open(self.args.options, "w", encoding="utf-8") as file:
            file.write("\n".join(["[DEFAULT]", *default, "[recovery]", *recovery, ""]))
        if self.args.naive:
            return
        self.start_tachi()

    def put_right(self):
        self.hypervisors.no_faults()
        super().put_right()

    def after_case(self, name):
        self.tachi.stop()
        self.tachi.running = {}
        if self.args.naive:
            failed = self.checks.failed[self.failed_before:]
            self.failed_before = len(self.checks.failed)
            self.found_out.that("the naive loop is found out by " + name, [one for one in failed if one.endswith(HARM)], failed)

    def end_all(self):
        super().end_all()
        self.one_cell()
        if self.args.naive:
            self.checks = self.found_out
        self.nova_takes_down_after(10)

    def nova_takes_down_after(self, seconds):
        """Nova with that `service_down_time`."""
        with open(os.path.join(self.args.run, "conf", "nova", "nova.conf"), encoding="utf-8") as file:
            have = int(re.search(r"^service_down_time = (\d+)", file.read(), re.M)[1])
        if have != seconds:
            minicloud("nova.sh", "stop")
            minicloud("up.sh", "4", SERVICE_DOWN_TIME=str(seconds))
            heal(self.cloud, self.plug, self.hosts)

    def power_off(self, host):
        """The host is gone, and this is known at once: nobody waits until Nova has noticed."""
        self.plug.kill(host)
        return self.ha.stopped(host)

    # What a person does.

    def tachi_says(self, *words):
        answer = subprocess.run([self.args.tachi, *words, *self.tachi.configuration], capture_output=True, text=True, timeout=60)
        if answer.returncode:
            raise Failed("tachi %s: %s" % (" ".join(words), answer.stderr.strip()))
        return answer.stdout

    def waiting(self):
        """Those that need an operator, as an operator is told."""
        if self.args.naive:
            return []
        return [one for one in json.loads(self.tachi_says("instance", "list", "--waiting", "-f", "json"))
                if one["state"] != "needs an operator"]

    def went_to(self, server):
        """Where Nova's open records say that it goes."""
        return [r["dest_compute"] for r in self.cloud.evacuations(server) if r["status"] not in OVER and r["dest_compute"]]

    def may_be_judged(self, one):
        """What runs nowhere may lie in a queue, in Nova's API, or with a destination that waits for a lost answer, for a while."""
        old = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - datetime.timedelta(seconds=LOST_AFTER)
        server = one["instance"]
        return self.hypervisors.running(server) or all(
            datetime.datetime.fromisoformat(r["created_at"]) < old
            for r in self.cloud.evacuations(server) if r["status"] not in OVER)

    def look_and_say(self, one):
        """A person looks at the hypervisors, stops what Nova does not know to be there, and says so."""
        server = one["instance"]
        shown = self.cloud.server(server)["OS-EXT-SRV-ATTR:host"]
        places = sorted(set(one["may_run_on"]) | ({one["to"]} if one["to"] else set()))
        runs = self.hypervisors.running(server)
        if any(host != shown and self.hypervisors.runs_for(host, server) < self.settled for host in runs):
            # Its evacuation is alive after all: whoever stopped the guest now would leave it stopped, and Nova calls it ACTIVE.
            return
        self.said.append((server, places, runs, shown))
        for host in places or [None]:
            words = ["--not-running-on", host, "--yes"] if host else ["--not-running", "--yes"]
            if host in runs and shown == host:
                words = ["--running-on", host]
                # Nova leaves it so when the broker goes between the spawn and what is written of it.
                if self.cloud.server(server)["status"] == "ERROR":
                    self.cloud.act(server, "os-resetState", {"state": "active"})
            elif host in runs:
                self.hypervisors.stop_guest(host, server)
            open_now = {r["id"] for r in self.cloud.evacuations(server) if r["status"] not in OVER}
            try:
                self.tachi_says("instance", "resolve", server, *words, "--reason", "seen in the hypervisors' lists")
            except Failed as refused:
                # It has moved on since it was listed. Who waits still is listed again.
                print("        said nothing: %s" % refused, flush=True)
                return
            self.given_up |= open_now

    def end_with_a_person(self, label, servers, report, seconds):
        """The notification as it has ended; what waits for an operator and says so gets one."""
        begin, heard, unnamed = time.monotonic(), {}, {}
        if self.args.naive:
            # It may go on for ever, and nobody is asked.
            seconds = min(seconds, 120)

        def over():
            if self.ha.notification(report)["status"] in ENDED:
                return True
            for one in self.waiting():
                server, now = one["instance"], time.monotonic()
                # Once a minute at most: what was said has to be heard first.
                if server not in servers or now - heard.get(server, -60) < 60 or not self.may_be_judged(one):
                    continue
                # An engine that has just not seen yet where it goes has the same minute; nobody judges before.
                named = one["to"] or one["may_run_on"] or not self.went_to(server)
                if named or now - unnamed.setdefault(server, now) >= 60:
                    heard[server] = now
                    unnamed.pop(server, None)
                    self.checks.that("%s: %s waits, and says for what and where" % (label, server[:8]), one["known"] and named, one)
                    self.look_and_say(one)
            return False

        try:
            wait_until("the notification to end", over, seconds, 1)
        except Failed as error:
            self.checks.that(label + ": it ends, or waits for an operator and says so", False, error)
            explain(self.cloud, self.ha, report, servers, "", {})
        print("measured  %s: ended after %.0f s; %d times a person was asked%s" % (
            label, time.monotonic() - begin, len(self.said), ": %s" % self.said if self.said else ""), flush=True)
        return self.ha.notification(report)

    # What is to be true in the end.

    def harmless(self, label, servers, victim):
        twice = self.hypervisors.twice(servers)
        self.checks.equal(label + ": " + TWICE, twice, [])
        records = [r for r in self.cloud.migrations("migration_type=evacuation&limit=1000&source_compute=" + victim)
                   if r["instance_uuid"] in servers]
        self.checks.equal(label + ": " + OVERLAP, overlaps(records, self.given_up), [])
        return records

    def all_run(self, label, servers, victim):
        """Each runs exactly once, where Nova shows it."""
        wrong = []
        for one in self.mine(servers).values():
            place, runs = one["OS-EXT-SRV-ATTR:host"], self.hypervisors.running(one["id"])
            if one["status"] != "ACTIVE" or one["locked"] or place == victim or runs != [place]:
                wrong.append((one["id"], one["status"], one["OS-EXT-STS:task_state"], place, runs, one["locked"]))
        self.checks.equal(label + ": " + ONCE, wrong, [])

    # The cases.

    # Covers C1.
    def test_a_rebuild_that_fails_after_spawn(self, count=4):
        """The first spawn on each destination runs its guest and is recorded as failed."""
        label = "fails after spawn"
        self.begin("evacuation_retry_time = 20")
        victim, segment = self.hosts[0], self.segment()
        servers = boot(self.cloud, victim, count)
        for host in self.hosts[1:]:
            self.hypervisors.fault(host, "fail-after-spawn", 1)
        report = self.power_off(victim)
        shown = self.end_with_a_person(label, servers, report, 300)
        records = self.harmless(label, servers, victim)
        failed = {r["instance_uuid"] for r in records if r["status"] == "failed"}
        self.checks.that(label + ": Nova has recorded failures", failed, records)
        self.checks.equal(label + ": the notification", shown["status"], "finished")
        self.all_run(label, servers, victim)
        self.clean([segment], servers)

    # Covers C5.
    def test_a_destination_restarted_in_mid_rebuild(self, count=6):
        """nova-compute of each destination crashes in mid-rebuild and comes back; half of the guests run by then."""
        label = "destination restarted"
        self.begin("progress_timeout = 60")
        victim, segment = self.hosts[0], self.segment()
        servers = boot(self.cloud, victim, count)
        running = set(sorted(servers)[::2])
        for host in self.hosts[1:]:
            self.hypervisors.fault(host, "hold-before-spawn", " ".join(servers - running))
            self.hypervisors.fault(host, "hold-after-spawn", " ".join(running))
        report = self.power_off(victim)

        def at_work():
            return [r for r in self.cloud.migrations("migration_type=evacuation&limit=1000&source_compute=" + victim)
                    if r["instance_uuid"] in servers and r["status"] == "pre-migrating"]

        wait_until("the destinations to be at work", lambda: len(at_work()) == count
                   and all(self.hypervisors.running(server) for server in running), 60)
        hosts = sorted({r["dest_compute"] for r in at_work()})
        for host in hosts:
            minicloud("compute.sh", "crash", host)
        self.hypervisors.no_faults()
        for host in hosts:
            minicloud("compute.sh", "start", host)
        shown = self.end_with_a_person(label, servers, report, 700)
        self.harmless(label, servers, victim)
        if not self.args.naive:
            self.checks.that(label + ": a person was asked about each whose record stands still",
                             {one[0] for one in self.said} == servers, self.said)
        self.checks.equal(label + ": the notification", shown["status"], "finished")
        self.all_run(label, servers, victim)
        self.clean([segment], servers)

    # Covers C4.
    def test_a_cell_is_away_while_the_list_is_read(self, how, lists=1, seconds=0, count=3):
        """A cell's database is `gone` (killed), `hang`s (frozen) or `refuse`s (denies the login) exactly while each of the first
        `lists` lists of the dead host's instances is read, or from the first one on for so many seconds. Nova answers such a
        list with an empty one, not before the database goes on, and with 500."""
        label = "a cell's database: %s for %s" % (how, "%d s" % seconds if seconds else "%d lists" % lists)
        away, victim, one_at_a_time = [], CELL2[0], threading.Lock()

        def before(path):
            if not (re.search(r"/servers(/detail)?\?", path) and "host=" + victim in path):
                return None
            one_at_a_time.acquire()
            if len(away) >= lists:
                one_at_a_time.release()
                return None
            away.append(path)
            minicloud("cell2.sh", how)
            if seconds:
                one_at_a_time.release()
                return None
            return after

        def after():
            minicloud("cell2.sh", "back")
            one_at_a_time.release()

        self.second_cell()
        between = Between(re.match(r"https?://[^/]+", self.cloud.endpoints["compute"])[0], before)
        try:
            self.nova_is_called_at(between.url)
            self.begin(default=["nova_catalog_admin_info = compute:nova:internalURL"], cells=2)
            segment = self.segment(hosts=CELL2)
            servers = boot(self.cloud, victim, count)
            if self.args.naive:
                self.ha.nova = lambda: self.through(between.url)
            report = self.power_off(victim)
            wait_until("the list to be asked for", lambda: away, 60)
            if seconds:
                time.sleep(seconds)
                self.checks.that(label + ": it has not ended meanwhile",
                                 self.ha.notification(report)["status"] not in ENDED, self.ha.notification(report))
                minicloud("cell2.sh", "back")
            shown = self.end_with_a_person(label, servers, report, 240)
            if not seconds:
                print("measured  %s: %d lists were read so" % (label, len(away)), flush=True)
            self.harmless(label, servers, victim)
            self.checks.equal(label + ": the notification", shown["status"], "finished")
            self.all_run(label, servers, victim)
            self.clean([segment], servers, [victim])
        finally:
            between.stop()
            minicloud("cell2.sh", "back")

    def through(self, url):
        cloud = Cloud(self.args.clouds, self.args.cloud)
        cloud.endpoints["compute"] = re.sub(r"https?://[^/]+", url, cloud.endpoints["compute"])
        return cloud

    def second_cell(self):
        if self.cells == 2:
            return
        self.cells = 2
        minicloud("cell2.sh", "start", *CELL2)
        minicloud("up.sh", "4")
        for host in CELL2:
            wait_until("%s to be up" % host, lambda host=host: any(
                s["host"] == host and s["state"] == "up" for s in self.cloud.get("/os-services")["services"]), 60)
        minicloud("cell2.sh", "discover")

    def one_cell(self):
        if self.cells == 1:
            return
        self.cells = 1
        remove(self.cloud, [s["id"] for s in self.cloud.servers("limit=1000")])
        minicloud("cell2.sh", "stop", *CELL2)
        for service in self.cloud.get("/os-services")["services"]:
            if service["host"] in CELL2:
                self.cloud.nova("DELETE", "/os-services/" + service["id"])
        minicloud("cell2.sh", "remove", *CELL2)
        minicloud("up.sh", "4")

    def nova_is_called_at(self, url):
        """The internal endpoint of the catalog; the minicloud puts it right when it is started the next time."""
        for service in self.cloud.call("identity", "GET", "/services?type=compute").json()["services"]:
            for endpoint in self.cloud.call("identity", "GET", "/endpoints?interface=internal&service_id="
                                            + service["id"]).json()["endpoints"]:
                path = re.sub(r"https?://[^/]+", "", endpoint["url"])
                self.cloud.call("identity", "PATCH", "/endpoints/" + endpoint["id"], {"endpoint": {"url": url + path}})

    # Covers C14.
    def test_the_broker_away_in_the_midst(self, count, seconds, down_after):
        """RabbitMQ dies while so many evacuations are under way, and is back after so many seconds."""
        label = "broker away %d s, %d evacuations, service_down_time %d" % (seconds, count, down_after)
        self.nova_takes_down_after(down_after)
        self.begin("progress_timeout = 120")
        self.settled = RECONNECTED
        victim, segment = self.hosts[1], self.segment()
        servers = boot(self.cloud, victim, count)
        report = self.power_off(victim)
        wait_until("a third of the evacuations to be asked for",
                   lambda: len(self.records(servers, victim)) >= max(2, count // 3), 90, 0.1)
        # Before it goes: without a broker the calls that are held take up all of Nova's threads.
        under_way = [s for statuses in self.records(servers, victim).values() for s in statuses]
        gone = time.monotonic()
        minicloud("rabbit.sh", "crash")
        try:
            time.sleep(max(0, gone + seconds - self.broker_starts_in - time.monotonic()))
        finally:
            begun = time.monotonic()
            minicloud("rabbit.sh", "start")
            Hostile.broker_starts_in = min(Hostile.broker_starts_in, time.monotonic() - begun)
        print("measured  %s: it was away for %.0f s; records when it went: %s" % (
            label, time.monotonic() - gone, dict(Counter(under_way))), flush=True)
        shown = self.end_with_a_person(label, servers, report, 1200)
        records = self.harmless(label, servers, victim)
        print("measured  %s: %d records of %d instances, %d of them never picked up" % (
            label, len(records), count, sum(r["status"] == "accepted" and not r["dest_compute"] for r in records)), flush=True)
        self.checks.equal(label + ": the notification", shown["status"], "finished")
        self.all_run(label, servers, victim)
        self.clean([segment], servers)


def cases(hostile):
    found = {
        "c1": hostile.test_a_rebuild_that_fails_after_spawn,
        "c5": hostile.test_a_destination_restarted_in_mid_rebuild,
        "c4": lambda: hostile.test_a_cell_is_away_while_the_list_is_read("gone"),
        "c4-each": lambda: hostile.test_a_cell_is_away_while_the_list_is_read("gone", lists=5),
        "c4-20s": lambda: hostile.test_a_cell_is_away_while_the_list_is_read("gone", seconds=20),
        "c4-hang": lambda: hostile.test_a_cell_is_away_while_the_list_is_read("hang", seconds=75),
        "c4-refuse": lambda: hostile.test_a_cell_is_away_while_the_list_is_read("refuse"),
    }
    for down_after in (60, 80):
        for seconds in (12, 64, 70):
            for count in (10, 40):
                found["c14-%d-%d-%d" % (down_after, seconds, count)] = (
                    lambda c=count, s=seconds, d=down_after: hostile.test_the_broker_away_in_the_midst(c, s, d))
    return found


def main():
    parser = arguments(__doc__)
    parser.add_argument("--options", required=True, help="the last of these files, which each case writes")
    parser.add_argument("--naive", action="store_true", help="a naive loop in Tachi's place: each case has to find it out")
    return sit(parser, Hostile, cases)


if __name__ == "__main__":
    sys.exit(main())
