#!/usr/bin/env python3
"""Hosts of a real Nova die while something else goes wrong too: engines killed, two of everything, a broker or Nova's API away,
one reserved host for two. Starts `tachi api` and two `tachi engine`s itself (see run.sh). Each case counts what Nova shows in
the end: every server on another host, ACTIVE, not locked, with one evacuation record."""
import datetime
import os
import re
import signal
import statistics
import sys
import time
from collections import Counter

from sitting import Sitting, arguments, minicloud, sit

# After it: sitting.py says where these are.
from ha import ENDED, boot, explain
from nova_http import Failed, wait_until


class Requests:
    """What others than the test asked of Nova and Keystone since it was made, by their own logs."""

    def __init__(self, run, own_user):
        self.own = own_user
        self.files = [os.path.join(run, "logs", name) for name in ("nova-api.log", "keystone.log")]
        self.begin = [os.path.getsize(file) for file in self.files]

    def lines(self, which):
        with open(self.files[which], encoding="utf-8", errors="replace") as f:
            f.seek(self.begin[which])
            return f.read().splitlines()

    def nova(self):
        return [line for line in self.lines(0) if "requestlog" in line and self.own not in line]

    def kinds(self):
        """What was asked for, without ids and parameters, the most frequent first."""
        asked = (re.search(r'"([A-Z]+ [^" ?]*)', line) for line in self.nova())
        return Counter(re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", one.group(1)) for one in asked if one).most_common()

    def disabled(self):
        """The wall time at which a service was last disabled: where a bare loop begins."""
        asked = [line for line in self.nova() if '"PUT /v2.1/os-services/' in line]
        return datetime.datetime.fromisoformat(" ".join(asked[-1].split()[:2])).timestamp()

    def logins(self):
        return [line for line in self.lines(1) if "POST /v3/auth/tokens" in line]


class Trouble(Sitting):
    def wait_back(self, servers, victim, notification, at_least=None, seconds=300):
        """Seconds until that many are back; ends with the notification as well."""
        start, wanted = time.monotonic(), len(servers) if at_least is None else at_least
        wait_until("%d servers to leave %s" % (wanted, victim), lambda: len(self.back(servers, victim)) >= wanted
                   or self.ha.notification(notification)["status"] in ENDED[1:], seconds, 0.3)
        return time.monotonic() - start

    def spread(self, label, servers, victim, start):
        """When how many ran again, by the hypervisors' own lists: what users lose is the sum. Seconds by server."""
        back = self.hypervisors.began(servers, victim, start)
        at = list(back.values())
        print("measured  %s: the first back after %.1f s, the median %.1f, the mean %.1f, the last %.1f" % (
            label, min(at), statistics.median(at), statistics.mean(at), max(at)), flush=True)
        return back

    def ended(self, notification, seconds=120):
        wait_until("the notification to end", lambda: self.ha.notification(notification)["status"] in ENDED, seconds)
        return self.ha.notification(notification)

    def exactly_once(self, label, servers, victim, notification, dest=None, lost=()):
        """`lost`: states of earlier records that a broker which has died may leave beside the one that is done."""
        shown = self.ended(notification)
        good = self.checks.equal(label + ": the notification is finished", shown["status"], "finished")
        now = self.mine(servers)
        wrong = [(s["id"], s["status"], s["OS-EXT-SRV-ATTR:host"]) for s in now.values() if s["status"] != "ACTIVE"
                 or s["OS-EXT-SRV-ATTR:host"] == victim or dest not in (None, s["OS-EXT-SRV-ATTR:host"])]
        good &= self.checks.that(label + ": all are ACTIVE on %s" % (dest or "other hosts"),
                                 len(now) == len(servers) and not wrong, wrong)
        good &= self.checks.equal(label + ": none is left locked", [s["id"] for s in now.values() if s["locked"]], [])
        records = self.records(servers, victim)
        good &= self.checks.that(label + ": each has exactly one record that is done", len(records) == len(servers)
                                 and all([s for s in statuses if s not in lost] == ["done"] for statuses in records.values()), records)
        if not good:
            explain(self.cloud, self.ha, notification, servers, victim, {})

    # The cases.

    def bare_loop(self, count):
        """What a script with one token and nothing else needs, the measure for everything else: seconds by server."""
        victim = self.hosts[0]
        servers = boot(self.cloud, victim, count)
        self.die(victim)
        self.cloud.put_service(victim, {"status": "disabled", "forced_down": True})
        start, wall = time.monotonic(), time.time()
        for server in sorted(servers):
            answer = self.cloud.evacuate(server)
            if answer.status_code != 200:
                raise Failed("evacuate %s: %s %s" % (server, answer.status_code, answer.text[:300]))
        # Who looks at the servers themselves is in Nova's way: 50 of them take one of its cores for a third of a second.
        left = "/servers?all_tenants=1&limit=1000&host=" + victim
        wait_until("all to have left", lambda: not self.cloud.get(left)["servers"], 300, 1)
        wait_until("all to be back", lambda: len(self.back(servers, victim)) == count, 300, 1)
        print("measured  a bare loop of %d evacuate calls: Nova shows all back after %.1f s" % (
            count, time.monotonic() - start), flush=True)
        back = self.spread("a bare loop", servers, victim, wall)
        self.clean([], servers)
        return back

    def plain(self, count, method="auto", limit=None):
        """One host dies; two engines are up; the same report is given to both (a wake-up reaches every engine)."""
        label = "%d servers, %s" % (count, method)
        victim, reserved = self.hosts[1], self.hosts[-1:] if method != "auto" else ()
        segment = self.segment(method, reserved)
        servers = boot(self.cloud, victim, count)
        for host in reserved:
            self.cloud.put_service(host, {"status": "disabled", "disabled_reason": "kept in reserve"})
        self.die(victim)
        asked = Requests(self.args.run, self.args.own_user)
        start, wall = time.monotonic(), time.time()
        notification = self.ha.stopped(victim)
        # Each is tracked to its end: this counts until the last one is unlocked, and asks our API alone.
        wait_until("the notification to end", lambda: self.ha.notification(notification)["status"] in ENDED, 600, 0.2)
        seconds = time.monotonic() - start
        nova, logins = asked.nova(), asked.logins()
        dest = reserved[0] if method in ("reserved_host", "rh_priority") else None
        self.exactly_once(label, servers, victim, notification, dest)
        print("measured  %s: all back %.1f s after the POST; %d Nova requests (%.1f per instance), %d logins" % (
            label, seconds, len(nova), len(nova) / count, len(logins)), flush=True)
        self.spread(label, servers, victim, wall)
        for kind, number in asked.kinds():
            print("          %4d %s" % (number, kind), flush=True)
        if dest:
            host = self.ha.host(segment[0], segment[1][dest])
            self.checks.equal(label + ": the reserved host is no more reserved", host["reserved"], False)
            self.checks.equal(label + ": the reserved host is enabled", self.cloud.service(dest)["status"], "enabled")
        if limit:
            self.checks.that("%s: in %.1f s at most" % (label, limit), seconds <= limit, "%.1f s" % seconds)
            self.checks.that(label + ": at most 4 Nova requests per instance", len(nova) <= 4 * count, len(nova))
            self.checks.that(label + ": no login of its own in mid-recovery", len(logins) <= 2, logins)
        self.clean([segment], servers)
        return seconds

    def killed_engine(self, count, alone):
        """The engine that works is killed in the middle. Alone: nobody else is there until it is started again."""
        label = "engine killed in the middle%s" % (", no other there" if alone else "")
        victim, segment = self.hosts[2], self.segment()
        servers = boot(self.cloud, victim, count)
        self.die(victim)
        if alone:
            self.tachi.kill("engine-2")
        notification = self.ha.stopped(victim)
        self.wait_back(servers, victim, notification, count // 4)
        owner = "engine-1" if alone else max(("engine-1", "engine-2"), key=lambda name: self.tachi.log(name).count(victim))
        self.tachi.kill(owner)
        at_kill = len(self.back(servers, victim))
        start = time.monotonic()
        if alone:
            self.tachi.start("engine", owner)
        self.wait_back(servers, victim, notification)
        print("measured  %s: %d of %d were back; all back %.1f s later" % (
            label, at_kill, count, time.monotonic() - start), flush=True)
        self.exactly_once(label, servers, victim, notification)
        for name in ("engine-1", "engine-2"):
            if name not in self.tachi.running:
                self.tachi.start("engine", name)
        self.clean([segment], servers)

    def broker_away(self, count):
        """RabbitMQ is down while the report comes: the answer comes as ever, and the recovery goes on when Nova has it back."""
        label = "RabbitMQ away"
        victim, segment = self.hosts[1], self.segment()
        servers = boot(self.cloud, victim, count)
        self.die(victim)
        minicloud("rabbit.sh", "stop")
        try:
            start = time.monotonic()
            notification = self.ha.stopped(victim)
            posted = time.monotonic() - start
            wait_until("the notification to be worked on", lambda: self.ha.notification(notification)["status"] == "running", 10)
            begun = time.monotonic() - start
        finally:
            minicloud("rabbit.sh", "start")
        self.checks.that(label + ": the POST is answered within 1 s", posted < 1, "%.2f s" % posted)
        self.checks.that(label + ": recovery begins within 4 s", begun < 4, "%.2f s" % begun)
        self.wait_back(servers, victim, notification, seconds=600)
        print("measured  %s: POST answered in %.2f s, running after %.2f s, all back %.1f s after the POST" % (
            label, posted, begun, time.monotonic() - start), flush=True)
        self.exactly_once(label, servers, victim, notification, lost=("accepted", "error", "failed"))
        self.clean([segment], servers)

    def nova_away(self, count, seconds=60):
        """Nova's API takes requests and does not answer for a minute, in the middle."""
        label = "nova-api frozen for %d s" % seconds
        victim, segment = self.hosts[2], self.segment()
        servers = boot(self.cloud, victim, count)
        self.die(victim)
        notification = self.ha.stopped(victim)
        self.wait_back(servers, victim, notification, 2)
        with open(os.path.join(self.args.run, "pids", "nova-api.pid"), encoding="ascii") as f:
            group = int(f.read())
        os.killpg(group, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.killpg(group, signal.SIGCONT)
        start = time.monotonic()
        self.wait_back(servers, victim, notification, seconds=600)
        print("measured  %s: all back %.1f s after it answered again" % (label, time.monotonic() - start), flush=True)
        self.exactly_once(label, servers, victim, notification)
        self.clean([segment], servers)

    def reserve_taken(self, host):
        """How often a recovery has made an ordinary host of it, as the engines say. Nova's scheduler may use it from then on."""
        return sum(self.tachi.log(name).count("reserved host %s has taken" % host) for name in ("engine-1", "engine-2"))

    def two_hosts_one_reserved(self, count):
        """Exactly one of two gets the reserved host; the other ends with a reason, its servers untouched, or falls back."""
        for method in ("reserved_host", "rh_priority"):
            label = "two hosts, one reserved, " + method
            reserved, victims = self.hosts[-1], self.hosts[:2]
            segment = self.segment(method, (reserved,))
            servers = {victim: boot(self.cloud, victim, count) for victim in victims}
            for victim in victims:
                self.plug.kill(victim)
            for victim in victims:
                wait_until("%s to be down" % victim, lambda victim=victim: self.cloud.service(victim)["state"] == "down", 60)
            taken_before = self.reserve_taken(reserved)
            notes = {victim: self.ha.stopped(victim) for victim in victims}
            shown = {victim: self.ended(note, 600) for victim, note in notes.items()}
            taken = self.reserve_taken(reserved) - taken_before
            got = {victim: sum(s["OS-EXT-SRV-ATTR:host"] == reserved for s in self.mine(servers[victim]).values())
                   for victim in victims}
            print("measured  %s: on the reserved host %s; %s" % (label, got, {
                victim: (s["status"], s.get("message")) for victim, s in shown.items()}), flush=True)
            self.checks.equal(label + ": one recovery has taken the reserved host", taken, 1)
            if method == "reserved_host":
                self.checks.that(label + ": and has it for itself", sorted(count_ > 0 for count_ in got.values()) == [False, True], got)
            for victim in victims:
                locked = [s["id"] for s in self.mine(servers[victim]).values() if s["locked"]]
                self.checks.equal("%s: none of %s is left locked" % (label, victim), locked, [])
                if got[victim] or method == "rh_priority":
                    self.exactly_once("%s, %s" % (label, victim), servers[victim], victim, notes[victim])
                else:
                    self.checks.equal(label + ": the other ends failed", shown[victim]["status"], "failed")
                    self.checks.that(label + ": and says why", "reserved" in (shown[victim].get("message") or ""), shown[victim])
                    self.checks.equal(label + ": and moves nothing", self.records(servers[victim], victim), {})
            self.clean([segment], servers[victims[0]] | servers[victims[1]])

    def against_the_loop(self, count, seconds):
        """At most 1.3 times the loop of this sitting; and `seconds`, where Nova is as quick as where those were set: 0.3 s an
        instance in a bare loop."""
        loop = max(self.bare_loop(count).values())
        as_quick = loop <= 0.3 * count
        if not as_quick:
            print("measured  %.1f s an instance in the loop, on a machine where the target of %.0f s was set it is 0.3: "
                  "what counts here is 1.3 times the loop" % (loop / count, seconds), flush=True)
        took = self.plain(count, limit=min(seconds, 1.3 * loop) if as_quick else 1.3 * loop)
        print("measured  that is %.2f times the loop" % (took / loop), flush=True)

    def downtime(self, count):
        """What users lose, of `count` servers, a quarter of them marked HA_Enabled: the mean is back well before the last, the
        first about as soon as a server that is alone, the last no later than in the loop, the marked before the others."""
        label = "downtime of %d" % count
        alone = min(self.moved(1, ())[0].values())
        loop = max(self.bare_loop(count).values())
        back, marked, disabled = self.moved(count, range(0, count, 4))
        if len(back) != count:
            return
        at, median = list(back.values()), statistics.median(back.values())
        mean, last = statistics.mean(at), max(at)
        # The loop begins with a host that is disabled already.
        moving = last - disabled
        ha = [back[server] for server in marked]
        rest = [back[server] for server in back if server not in marked]
        print("measured  %s: a server alone %.1f s; mean %.2f of the last; the last %.2f times the loop, counted from when the service was "
              "disabled (%.1f s)" % (label, alone, mean / last, moving / loop, disabled), flush=True)
        print("measured  %s: HA_Enabled %.1f to %.1f s (mean %.1f), the rest mean %.1f" % (
            label, min(ha), max(ha), statistics.mean(ha), statistics.mean(rest)), flush=True)
        most = 0.75 if count <= 10 else 0.6
        self.checks.that("%s: the mean is at most %.2f of the last" % (label, most), mean <= most * last, (mean, last))
        self.checks.that(label + ": the first is back in 1.5 times what one alone takes", min(at) <= 1.5 * alone, (min(at), alone))
        self.checks.that(label + ": the last is no later than in 1.1 loops", moving <= 1.1 * loop, (moving, loop))
        self.checks.that(label + ": all HA_Enabled are back before the median", max(ha) <= median, (sorted(ha), median))

    def moved(self, count, marks):
        """Recovers a host with that many, those at the places `marks` marked HA_Enabled: seconds by server, who is marked, and
        after how many seconds the host's service was disabled."""
        victim, segment = self.hosts[1], self.segment()
        servers = boot(self.cloud, victim, count)
        marked = {sorted(servers)[place] for place in marks}
        for server in marked:
            self.cloud.nova("POST", "/servers/%s/metadata" % server, {"metadata": {"HA_Enabled": "True"}})
        self.die(victim)
        asked, wall = Requests(self.args.run, self.args.own_user), time.time()
        notification = self.ha.stopped(victim)
        wait_until("the notification to end", lambda: self.ha.notification(notification)["status"] in ENDED, 600, 0.2)
        nova, logins, disabled = asked.nova(), asked.logins(), asked.disabled() - wall
        label = "%d servers" % count
        self.exactly_once(label, servers, victim, notification)
        back = self.spread(label, servers, victim, wall)
        print("measured  %s: %d Nova requests (%.1f per instance), %d logins" % (label, len(nova), len(nova) / count, len(logins)),
              flush=True)
        for kind, number in asked.kinds():
            print("          %4d %s" % (number, kind), flush=True)
        self.clean([segment], servers)
        return back, marked, disabled

    def begin_all(self):
        self.start_tachi()


def cases(trouble):
    return {
        "speed": lambda: trouble.against_the_loop(50, 20.0),
        "auto": lambda: trouble.plain(10),
        "reserved_host": lambda: trouble.plain(10, "reserved_host"),
        "auto_priority": lambda: trouble.plain(10, "auto_priority"),
        "rh_priority": lambda: trouble.plain(50, "rh_priority"),
        "killed": lambda: trouble.killed_engine(20, alone=False),
        "killed-alone": lambda: trouble.killed_engine(20, alone=True),
        "broker": lambda: trouble.broker_away(10),
        "nova": lambda: trouble.nova_away(20),
        "two-hosts": lambda: trouble.two_hosts_one_reserved(10),
        "200": lambda: trouble.against_the_loop(200, 80.0),
        **{"downtime-%d" % count: lambda count=count: trouble.downtime(count) for count in (10, 40, 200)},
    }


if __name__ == "__main__":
    sys.exit(sit(arguments(__doc__), Trouble, cases))
