"""The cases of run.py. Each boots guests on hosts of its own order, breaks something, and ends with the checker's verdict on every guest."""
import concurrent.futures
import os
import signal
import time

import ledger
import table
from nova_http import wait_until
from testbed import Region

# Records that a guest has to write before it counts as running on: two seconds; and while nothing may happen: fifteen.
RUNNING, QUIET = 20, 150


class Case:
    """A case: the guests on three hosts, of which `hosts[0]` is broken first."""

    def __init__(self, region, checks, name):
        self.region, self.checks, self.name = region, checks, name
        self.cloud, self.machines = region.cloud, region.machines
        self.what, self.how = CASES[name]
        # Another host first each time: what a case leaves behind on a host does not meet the next one there.
        turn = list(CASES).index(name) % len(region.hosts)
        self.hosts = region.hosts[turn:] + region.hosts[:turn]
        self.servers, self.known, self.since = {}, set(), 0

    def run(self):
        began = time.monotonic()
        self.how(self)
        for server in self.all():
            self.cloud.delete(server)
        for server in self.all():
            self.cloud.gone(server, 120)
        self.measured("the case took %.0f s" % (time.monotonic() - began))

    def measured(self, text):
        print("measured  %s: %s" % (self.name, text), flush=True)

    def that(self, what, condition, detail=""):
        return self.checks.that("%s: %s" % (self.name, what), condition, detail)

    # ---- guests

    def boot(self, *counts):
        """Boots so many guests on the first host, the second and so on; they write before the case goes on."""
        self.servers = {host: [self.cloud.boot(self.region.image, self.region.flavor, "%s-%s-%d" % (self.name, host, n), host, False)
                               for n in range(count)] for host, count in zip(self.hosts, counts)}
        for server in self.all():
            self.cloud.status(server, "ACTIVE", 180)
        for server in self.all():
            wait_until("the ledger of %s" % server, lambda server=server: self.region.boots(server, 1), 120, 0.5)
        self.known, self.since = {n["notification_uuid"] for n in self.region.notifications()}, time.time()

    def all(self):
        return [server for servers in self.servers.values() for server in servers]

    def on(self, *hosts):
        return [server for host in hosts for server in self.servers[host]]

    def go_on(self, records=RUNNING):
        """Every guest writes so many records more."""
        counts = {server: self.region.records(server) for server in self.all()}
        for server in self.all():
            wait_until("%s to write on" % server, lambda server=server: self.region.records(server) >= counts[server] + records,
                       40 + records / 2, 0.5)

    def second_boots(self, servers):
        for server in servers:
            wait_until("the second boot of %s" % server, lambda server=server: self.region.boots(server, 2), 180, 0.5)

    def places(self):
        """Status and host of each guest in Nova."""
        found = {s["id"]: (s["status"], s["OS-EXT-SRV-ATTR:host"]) for s in self.cloud.servers("limit=100")}
        return {server: found.get(server) for server in self.all()}

    def stayed(self):
        return all(place == ("ACTIVE", host) for host in self.servers for place in [self.places()[s] for s in self.servers[host]])

    def judge(self, boots, off=None):
        """The checker's verdict on every guest, `boots` of a guest that is not there is 1; and the case's row in the table.

        The row has the guests that something was done to, or those of the first host.
        """
        time.sleep(1)  # the witness looks every 50 ms
        off = off or {}
        verdicts = {server: self.region.verdict(server, boots.get(server, 1), off.get(server)) for server in self.all()}
        touched = list(boots) or self.servers[self.hosts[0]]
        for number, server in enumerate(touched, 1):
            self.that("guest %d: no two writers, no lost write, %s" % (number, "two boots, nothing written after its host or itself was off"
                      if server in off else "no other boot"), ledger.good(verdicts[server]), verdicts[server])
        for server in self.all():
            if server not in touched:
                self.that("a guest that nothing was done to was left alone", ledger.good(verdicts[server]), verdicts[server])
        if self.region.args.table:
            table.write(self.region.args.table, self.name, self.what, [verdicts[server] for server in touched])
        gaps = [gap for server in touched for gap in verdicts[server]["downtime"]]
        self.measured("down for %s s; longest pause of a running guest %.1f s" % (
            ", ".join(map(str, gaps)) or "0", max(verdict["pause"] for verdict in verdicts.values())))
        return verdicts

    # ---- what Tachi has been told, and what came of it

    def new(self, wanted=lambda one: True):
        return [n for n in self.region.notifications() if n["notification_uuid"] not in self.known and wanted(n)]

    def reported(self, host):
        """The notification that the host is down."""
        return wait_until("a notification about %s" % host, lambda: self.new(
            lambda one: one["type"] == "COMPUTE_HOST" and one["source_host_uuid"] == self.region.ids[host]), 120, 0.5)[0]["notification_uuid"]

    def finished(self, notification):
        ended = wait_until("the end of the recovery", lambda: self.region.ended(notification), 300, 0.5)
        self.checks.equal(self.name + ": the recovery is finished", ended["status"], "finished")

    def fenced_only(self, *hosts):
        off = {node for at, node in self.machines.switched_off() if at > self.since} - set(hosts)
        self.that("no %shost was switched off" % ("other " if hosts else ""), not off, off)

    def nothing_recovered(self):
        new = self.new()
        self.that("nothing was reported and nothing was recovered", not new, new)
        evacuations = [one for server in self.all() for one in self.cloud.evacuations(server)]
        self.that("no guest was evacuated, and each is ACTIVE on its host", self.stayed() and not evacuations, (self.places(), evacuations))
        self.fenced_only()

    def recover(self, fault, count=1, meanwhile=None):
        """Hosts fail at once, so many of the first; returns when each was off once their guests run elsewhere."""
        failing, began = self.hosts[:count], time.time()
        with concurrent.futures.ThreadPoolExecutor(count) as hands:
            off = dict(zip(failing, hands.map(lambda host: fault(self.region, host), failing)))
        told = [self.reported(host) for host in failing]
        reported = time.time()
        if meanwhile:
            meanwhile(self)
        for one in told:
            self.finished(one)
        ended = time.time()
        self.second_boots(self.on(*failing))
        off = {host: off[host] or self.machines.off_since(host) for host in failing}
        self.measured("reported after %.1f s, off after %.1f s, recovery finished after %.1f s" % (
            reported - began, max(off.values()) - began, ended - began))
        places = self.places()
        self.that("the guests are ACTIVE elsewhere",
                  all(places[s][0] == "ACTIVE" and places[s][1] not in failing for s in self.on(*failing)), places)
        return off

    def conclude(self, off):
        """Returns the verdict after a recovery."""
        self.go_on()
        self.fenced_only(*off)
        return self.judge({server: 2 for server in self.on(*off)}, {server: off[host] for host in off for server in self.servers[host]})


# ---- a host fails

def host_fails(fault, counts=(2, 1), failing=1, meanwhile=None):
    def how(case):
        case.boot(*counts)
        off = case.recover(fault, failing, meanwhile)
        for host in off:
            case.region.back(host)
        # Whatever a host does when it is back, its former guests go on.
        case.conclude(off)
        if fault in (Region.cut, Region.cut_with_ignoring_bmc):
            since = off[case.hosts[0]]
            last = [max(at for at, record in case.region.seen_of(server) if record.boot == 1) for server in case.on(case.hosts[0])]
            case.that("its guests went on writing until the host was off", min(last) > since - 2, [since - at for at in last])
    return how


def evacuating(case):
    """The evacuations in Nova, once one was asked for."""
    return wait_until("an evacuation", lambda: [one for server in case.on(case.hosts[0]) for one in case.cloud.evacuations(server)], 120, 0.1)


def engine_killed(case):
    found = evacuating(case)
    case.region.tachi.kill("engine")
    case.that("the engine was killed while an evacuation was in progress",
              any(one["status"] not in ("done", "completed") for one in found), found)
    time.sleep(5)  # so long there is no engine
    case.region.tachi.start("engine")


def database_restarted(case):
    began = time.time()
    case.region.fixture("database", "stop")
    case.region.fixture("database", "start")
    case.measured("MariaDB was away for %.1f s" % (time.time() - began))


def broker_cut(case):
    case.region.fixture("broker", "cut")
    try:
        time.sleep(20)  # so long is it cut
    finally:
        case.region.fixture("broker", "heal")


# ---- something on a host fails

def guest_killed(case):
    case.boot(2, 1)
    host = case.hosts[0]
    server = case.servers[host][0]
    at = case.machines.kill(host, signal.SIGKILL, "-uuid", server)
    told = wait_until("a notification about the guest", case.new, 60, 0.2)
    reported = time.time()
    case.checks.equal(case.name + ": the instance monitor reports the guest", (told[0]["type"], told[0]["payload"].get("instance_uuid")),
                      ("VM", server))
    case.finished(told[0]["notification_uuid"])
    case.measured("reported after %.1f s, recovery finished after %.1f s" % (reported - at, time.time() - at))
    case.second_boots([server])
    case.go_on(QUIET)
    case.checks.equal(case.name + ": there is one notification", len(case.new()), 1)
    case.that("each guest is ACTIVE on its host", case.stayed(), case.places())
    case.judge({server: 2}, {server: at})
    case.fenced_only()


def libvirtd_restarted(case):
    case.boot(2, 1)
    host = case.hosts[0]

    def well():
        service = case.cloud.service(host)
        return service["state"] == "up" and service["status"] == "enabled"

    for how, records in ((signal.SIGTERM, 0), (signal.SIGKILL, 100)):
        case.machines.kill(host, how, "libvirtd")
        if records:
            case.go_on(records)
        case.machines.script(host, "libvirt")
        wait_until("nova-compute to have libvirt again", well, 180, 0.5)
        case.go_on(QUIET)
    case.nothing_recovered()
    case.judge({})


def nova_compute_killed(case):
    case.boot(2, 1)
    host = case.hosts[0]
    case.machines.script(host, "monitor", "process")
    wait_until("the process monitor", lambda: host in case.region.monitors("process"), 60, 0.5)
    case.machines.flag(host, "compute-broken", True)
    at = case.machines.kill(host, signal.SIGKILL, "nova-compute")
    wait_until("Nova to show it down", lambda: case.cloud.service(host)["state"] == "down", 60, 0.5)
    down = time.time()
    case.go_on(100)
    case.nothing_recovered()
    case.machines.flag(host, "compute-broken", False)
    wait_until("the process monitor to have started it", lambda: case.cloud.service(host)["state"] == "up", 180, 0.5)
    case.measured("Nova showed it down after %.1f s, and up again after %.1f s" % (down - at, time.time() - at))
    case.go_on(QUIET)
    case.nothing_recovered()
    service = case.cloud.service(host)
    case.that("its service is enabled and not forced down", service["status"] == "enabled" and not service["forced_down"], service)
    case.judge({})


# ---- a host comes back, and a host is drained

def returns(case):
    """The host is on again after its recovery, its guests' autostart on for one and off for the other; nobody but the operator who purges
    its queue does anything about it."""
    region, machines, host = case.region, case.machines, case.hosts[0]

    def refusals():
        return machines.qemu_log(host).count("Is another process using the image")

    region.restart_engine("[host_failure]", "enable_after_return = true", "enable_after_return_stable = 10")
    machines.flag(host, "boot-guard", True)
    case.boot(2, 1)
    machines.kit("exec", host, "virsh", "autostart", case.servers[host][0])
    off = case.recover(Region.lose_power)
    before = refusals()
    region.power_on(host)
    on = time.time()
    wait_until("the boot guard to wait for the queue", lambda: "WAITS" in machines.text(host, "boot-guard.out"), 120, 0.5)
    wait_until("libvirt to have tried", lambda: refusals() > before, 60, 0.5)
    case.go_on(QUIET)
    running = machines.kit("exec", host, "virsh", "list", "--name").split()
    case.that("no guest runs on the host that is back", not running, running)
    case.that("nova-compute does not run while the boot guard waits", not machines.processes(host, "nova-compute"))
    case.that("libvirt tried to start one guest, and QEMU's image lock refused it", refusals() == before + 1, refusals() - before)
    region.fixture("queue", "compute." + host)
    for pid in machines.processes(host, "boot-guard"):
        os.kill(pid, signal.SIGUSR1)
    wait_until("the host to be in service by itself", lambda: region.in_service(host), 240, 1)
    case.measured("in service %.1f s after its power was on" % (time.time() - on))
    case.go_on(QUIET)
    left = machines.kit("exec", host, "virsh", "list", "--all", "--name").split()
    case.that("nova-compute has removed the old copies from libvirt", not left, left)
    case.conclude(off)
    machines.flag(host, "boot-guard", False)
    region.restart_engine()


def drain(case):
    """Live migrations away from the host and back, while the guests write."""
    case.boot(2, 1)
    region, host = case.region, case.hosts[0]
    guests = case.servers[host]

    def command(*words):
        began = time.time()
        code, text = region.command("host", *words, "--reason", "test", "--yes", seconds=420)
        case.that("`tachi host %s` ends well" % words[0], code == 0, text)
        case.measured("`tachi host %s` took %.1f s" % (words[0], time.time() - began))

    command("drain", host, "--for", "10m", "--limit", "5m")
    places = case.places()
    case.that("both guests are ACTIVE elsewhere, and the host is disabled",
              all(places[s][0] == "ACTIVE" and places[s][1] != host for s in guests)
              and case.cloud.service(host)["status"] == "disabled", (places, case.cloud.service(host)))
    downtimes = [case.machines.downtime(places[s][1], s) for s in guests]
    case.go_on(QUIET)
    command("undrain", host)
    case.that("each guest is ACTIVE on its host again", case.stayed(), case.places())
    downtimes += [case.machines.downtime(host, s) for s in guests]
    case.go_on(QUIET)
    verdicts = case.judge({server: 1 for server in guests})
    pause = max(verdicts[server]["pause"] for server in guests)
    case.measured("libvirt's downtime of the migrations: %s s" % ", ".join("%.2f" % one for one in downtimes))
    # The witness looks every 50 ms, a guest writes every 100, and both share two processors with all that runs.
    case.that("no guest paused for longer than a migration's downtime and a second", pause < max(downtimes) + 1, (pause, downtimes))
    new = case.new(lambda one: one["payload"].get("event") not in ("DRAIN", "GIVEBACK"))
    case.that("nothing was reported and nothing was recovered", not new, new)
    case.fenced_only()


CASES = {
    "power": ("the host loses its power", host_fails(Region.lose_power)),
    "cut": ("the host's network is cut, its guests go on writing", host_fails(Region.cut)),
    "ignored": ("the network is cut, and the BMC accepts commands and ignores them", host_fails(Region.cut_with_ignoring_bmc)),
    "hang": ("all of the host hangs (SIGSTOP)", host_fails(Region.hang)),
    "guest-killed": ("a guest's QEMU is killed", guest_killed),
    "libvirtd-restarted": ("libvirtd is restarted, then killed and away for 10 s", libvirtd_restarted),
    "nova-compute-killed": ("nova-compute is killed and cannot start for longer than `service_down_time`", nova_compute_killed),
    "two-hosts": ("two hosts lose their power at once", host_fails(Region.lose_power, (2, 2, 1), 2)),
    "engine-killed": ("the host loses its power, and the engine is killed in an evacuation; the next one starts 5 s later",
                      host_fails(Region.lose_power, meanwhile=engine_killed)),
    "database-restarted": ("the host loses its power, and MariaDB is restarted in the recovery",
                           host_fails(Region.lose_power, meanwhile=database_restarted)),
    "broker-cut": ("the host loses its power, and RabbitMQ is cut off for 20 s in the recovery",
                   host_fails(Region.lose_power, meanwhile=broker_cut)),
    "return": ("the host loses its power and comes back, with autostart of one guest on and of the other off", returns),
    "drain": ("the host is drained, and its guests are given back: live migrations", drain),
}
