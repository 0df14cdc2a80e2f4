#!/usr/bin/env python3
"""What operators plan and foresee, on a real Nova: hosts are drained by live migrations and given back to, and what the forecast
promises is held against what Nova then finds room for. Starts `tachi api` and two `tachi engine`s itself (see run.sh). Where guests
run is read from the hypervisors' own lists."""
import json
import os
import random
import subprocess
import sys

from sitting import Sitting, arguments, sit

# After it: sitting.py says where these are.
from ha import boot
from nova_http import Failed, wait_until

# Memory of a flavor, by its name. The fake hypervisor has 800,000 MB, so that three of the largest fill a host.
SIZES = {"planned-s": 60_000, "planned-m": 130_000, "planned-l": 250_000}


class Planned(Sitting):
    def command(self, *words, codes=(0,)):
        """What a command prints, of the database of this sitting."""
        done = subprocess.run([self.args.tachi, *words, *self.tachi.configuration], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=300, text=True, check=False, env={**os.environ, "OS_CLOUD": ""})
        if done.returncode not in codes:
            raise Failed("tachi %s: exit code %d\n%s%s" % (" ".join(words), done.returncode, done.stdout, done.stderr))
        return done.stdout

    def where(self, servers):
        return {server: self.hypervisors.running(server) for server in servers}

    def lock(self, server):
        answer = self.cloud.act(server, "lock", {"locked_reason": "its owner's"})
        if answer.status_code != 202:
            raise Failed("lock %s: %s" % (server, answer.status_code))

    def returned(self, host):
        """Work at the host is over."""
        self.command("thaw", "host", host, codes=(0, 1))
        self.command("host", "return", host, "--do", "--reason", "the work is done", "--yes")
        self.checks.equal("%s is enabled again" % host, self.cloud.service(host)["status"], "enabled")

    # The cases.

    def drain(self, count):
        """A host is emptied, frozen, returned to service, and given back to."""
        victim, segment = self.hosts[1], self.segment()
        servers = boot(self.cloud, victim, count)
        print(self.command("host", "drain", victim, "--for", "1h", "--reason", "firmware", "--yes"), flush=True)
        now = self.where(servers)
        self.checks.that("drain: each guest runs on one other host", all(len(on) == 1 and on != [victim] for on in now.values()), now)
        self.checks.equal("drain: nothing ever ran twice", self.hypervisors.twice(servers), [])
        self.checks.equal("drain: the host is disabled", self.cloud.service(victim)["status"], "disabled")
        frozen = json.loads(self.command("freeze", "list", "-f", "json"))
        self.checks.that("drain: and frozen", victim in json.dumps(frozen), frozen)
        self.checks.equal("drain: none is left locked", [s["id"] for s in self.mine(servers).values() if s["locked"]], [])
        self.returned(victim)
        # One that somebody has moved since stays where it is.
        moved = sorted(servers)[0]
        other = next(host for host in self.hosts if host not in (victim, *now[moved]))
        answer = self.cloud.act(moved, "os-migrateLive", {"host": other, "block_migration": "auto"})
        self.checks.equal("giveback: one is moved by somebody else", answer.status_code, 202)
        wait_until("it to be there", lambda: self.hypervisors.running(moved) == [other], 60)
        wait_until("it to be ACTIVE", lambda: self.mine([moved])[moved]["OS-EXT-STS:task_state"] is None, 60)
        print(self.command("host", "giveback", victim, "--yes"), flush=True)
        now = self.where(servers)
        self.checks.equal("giveback: the moved one stays", now[moved], [other])
        self.checks.that("giveback: all others are back", all(on == [victim] for server, on in now.items() if server != moved), now)
        self.checks.equal("giveback: nothing ever ran twice", self.hypervisors.twice(servers), [])
        self.clean([segment], servers)

    def drain_locked(self, count):
        """What its owner has locked stays, is named, and keeps the host from being frozen."""
        victim, segment = self.hosts[1], self.segment()
        servers = boot(self.cloud, victim, count)
        kept = sorted(servers)[0]
        self.lock(kept)
        said = self.command("host", "drain", victim, "--for", "1h", "--reason", "new disks", "--yes", codes=(1,))
        print(said, flush=True)
        now = self.where(servers)
        self.checks.equal("locked: it stays", now[kept], [victim])
        self.checks.that("locked: the others have left", all(on != [victim] for server, on in now.items() if server != kept), now)
        self.checks.that("locked: its lock is its owner's still", self.mine([kept])[kept]["locked"], kept)
        frozen = json.loads(self.command("freeze", "list", "-f", "json"))
        self.checks.that("locked: the host is not frozen", victim not in json.dumps(frozen), frozen)
        self.cloud.act(kept, "unlock")
        self.returned(victim)
        self.clean([segment], servers)

    def drain_dies(self, count):
        """The host dies while it is being drained: its recovery wins, and nothing runs twice."""
        victim, segment = self.hosts[1], self.segment()
        servers = boot(self.cloud, victim, count)
        self.command("host", "drain", victim, "--for", "1h", "--reason", "new fans", "--yes", "--no-follow", "--at-once", "1")
        wait_until("the first to have left", lambda: any(on != [victim] for on in self.where(servers).values()), 60, 0.1)
        self.die(victim)
        notification = self.ha.stopped(victim)
        wait_until("the recovery to end or to ask", lambda: self.ha.notification(notification)["status"] in ("finished", "failed")
                   or "needs" in (self.ha.notification(notification).get("message") or ""), 300, 0.5)
        waits = {row["instance"] for row in json.loads(self.command("instance", "list", "--waiting", "-f", "json"))}
        now = self.where(servers)
        left = [server for server, on in now.items() if on == [victim] or not on]
        print("measured  drain, then death: %d of %d run elsewhere, %d wait for an operator: %s" % (
            count - len(left), count, len(waits), self.ha.notification(notification).get("message")), flush=True)
        self.checks.that("death: whatever does not run elsewhere waits for an operator", set(left) <= waits, (left, waits))
        self.checks.equal("death: nothing ever ran twice", self.hypervisors.twice(servers), [])
        self.clean([segment], servers)

    def drain_arrivals(self, count):
        """A host is drained to which a recovery is bringing instances: it is frozen once they have come and left again."""
        victim, segment = self.hosts[1], self.segment()
        servers = boot(self.cloud, victim, count)
        self.die(victim)
        notification = self.ha.stopped(victim)

        def coming():
            rows = self.cloud.migrations("migration_type=evacuation&limit=1000&source_compute=" + victim)
            rows = [row for row in rows if row["instance_uuid"] in servers]
            return {row["dest_compute"] for row in rows if row["dest_compute"] and row["status"] not in ("done", "completed", "failed", "error")}
        wait_until("an instance to be on its way", coming, 120, 0.05)
        host = sorted(coming() or self.hosts[2:3])[0]
        print(self.command("host", "drain", host, "--for", "1h", "--reason", "firmware", "--yes"), flush=True)
        wait_until("the recovery to end", lambda: self.ha.notification(notification)["status"] == "finished", 300, 0.5)
        now = self.where(servers)
        self.checks.that("arrivals: each guest runs on one host, and none on the drained one",
                         all(len(on) == 1 and on[0] not in (victim, host) for on in now.values()), (host, now))
        self.checks.equal("arrivals: nothing ever ran twice", self.hypervisors.twice(servers), [])
        self.returned(host)
        self.clean([segment], servers)

    def flavors(self):
        known = {one["name"]: one["id"] for one in self.cloud.get("/flavors")["flavors"]}
        for name, memory in SIZES.items():
            if name not in known:
                answer = self.cloud.nova("POST", "/flavors", {"flavor": {
                    "name": name, "ram": memory, "vcpus": 1, "disk": 1, "id": name}})
                if answer.status_code != 200:
                    raise Failed("flavor %s: %s %s" % (name, answer.status_code, answer.text[:300]))
                known[name] = answer.json()["flavor"]["id"]
        return {name: known[name] for name in SIZES}

    def fill(self, flavors, plan):
        """`plan`: how many of which flavor on which host. Those that found room, by host."""
        image = self.cloud.call("image", "GET", "/v2/images").json()["images"][0]["id"]
        made = {}
        for host, name, number in plan:
            for _ in range(number):
                answer = self.cloud.nova("POST", "/servers", {"server": {
                    "name": name, "imageRef": image, "flavorRef": flavors[name], "networks": "none",
                    "availability_zone": "nova:" + host}})
                made[answer.json()["server"]["id"]] = host
        wait_until("all to be built or refused", lambda: all(
            s["status"] in ("ACTIVE", "ERROR") for s in self.mine(made).values()), 300, 1)
        refused = [s["id"] for s in self.mine(made).values() if s["status"] == "ERROR"]
        for server in refused:
            self.cloud.delete(server)
        for server in refused:
            self.cloud.gone(server)
        return {server: host for server, host in made.items() if server not in refused}

    def outcome(self, victim, there, others):
        """What the forecast says of it, as soon as it has seen what was built: Placement's numbers and Nova's, read after that."""
        begun = json.loads(self.command("forecast", "--lose", victim, "-f", "json"))["at"]

        def settled():
            told = json.loads(self.command("forecast", "--lose", victim, "-f", "json"))
            known = {one["lost"][0]: one["instances"] for segment in told["segments"] for one in segment["hosts"]}
            fresh = told["as_of"] and told["as_of"] > begun and not told["unread"]
            return told["lost"] if fresh and known.get(victim) == there and all(known.get(h, 0) == n for h, n in others.items()) else None
        return wait_until("the forecast of %s with %d instances" % (victim, there), settled, 180, 2)

    def forecast(self, rounds, seed=1):
        """Random regions lose a host. Where room was promised, every instance is back; what comes of the others is told: the
        forecast may say no where Nova finds room."""
        chance, flavors, told = random.Random(seed), self.flavors(), {}
        for turn in range(rounds):
            victim, segment = self.hosts[turn % len(self.hosts)], self.segment()
            # Every third is nearly full.
            full = 2 if turn % 3 == 2 else 1
            plan = [(host, name, chance.randint(0, 3 - rank) * (full if host != victim else 1))
                    for host in self.hosts for rank, name in enumerate(SIZES)]
            plan.append((victim, "planned-l", 1))
            servers = self.fill(flavors, plan)
            mine = {server for server, host in servers.items() if host == victim}
            count = {host: sum(1 for on in servers.values() if on == host) for host in self.hosts if host != victim}
            said = self.outcome(victim, len(mine), count)
            self.die(victim)
            notification = self.ha.stopped(victim)
            wait_until("the notification to end", lambda notification=notification:
                       self.ha.notification(notification)["status"] in ("finished", "failed", "error"), 300, 0.5)
            back = self.back(mine, victim)
            told.setdefault(said["room"], []).append(len(back) == len(mine))
            print("measured  region %d: %s lost with %d, beside it %s: forecast %s%s; %d back" % (
                turn, victim, len(mine), sorted(count.values()), said["room"],
                ", " + said["short_of"] if said["short_of"] else "", len(back)), flush=True)
            if said["room"] == "enough":
                self.checks.equal("region %d: what was promised is there" % turn, len(back), len(mine))
            self.checks.equal("region %d: nothing ever ran twice" % turn, self.hypervisors.twice(mine), [])
            self.clean([segment], servers)
            self.nobody_waits()
        print("measured  forecasts: %s" % ", ".join("%s %d, all back in %d" % (
            room, len(ends), sum(ends)) for room, ends in sorted(told.items())), flush=True)
        self.checks.that("forecast: at least one was promised, and one was not", "enough" in told and len(told) > 1, told)

    def nobody_waits(self):
        """What no host found room for is not to keep a later case's host from its work."""
        for row in json.loads(self.command("instance", "list", "--waiting", "-f", "json")):
            self.command("vmove", "recover", row["instance"], "--ignore", "--reason", "end of the test")
        wait_until("nobody to wait", lambda: not json.loads(self.command("instance", "list", "--waiting", "-f", "json")), 60)

    def begin_all(self):
        self.start_tachi()
        self.nobody_waits()

    def put_right(self):
        super().put_right()
        if self.tachi.running:
            self.forget_earlier_runs()
            self.nobody_waits()


def cases(planned):
    return {
        "drain": lambda: planned.drain(8),
        "drain-locked": lambda: planned.drain_locked(4),
        "drain-dies": lambda: planned.drain_dies(8),
        "drain-arrivals": lambda: planned.drain_arrivals(12),
        "forecast": lambda: planned.forecast(9),
    }


if __name__ == "__main__":
    sys.exit(sit(arguments(__doc__), Planned, cases))
