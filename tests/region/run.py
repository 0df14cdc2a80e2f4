#!/usr/bin/env python3
"""Hosts of a real region fail, and Tachi's engine, API and host monitors recover them; what came of it is read from the guests' disks.

Runs in the controllers' network (region.sh in). Each case boots two guests on a host and one on another, breaks the first, and ends with ledger.py.
"""
import argparse
import os
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("client", "nova-table", "fencers", "pacemaker", "real-cloud"):
    sys.path.append(os.path.join(HERE, "..", folder))

import ledger
import table
from checks import Checks
from field import Field
from ha import ENDED, Ha
from nova_http import Cloud, Failed, wait_until
from simulators import PASSWORD, USER, Bmc
from sitting import Tachi

KIT = os.path.join(HERE, "..", "pacemaker", "cluster.sh")


class Machines(Field):
    """The machines of a region that is up."""

    def __init__(self, root, work, monitor, auth):
        self.work, self.monitor, self.bridges, self.more = work, monitor, {}, ""
        self.env = dict(os.environ, FIXTURE_DIR=os.path.join(root, "f"))
        self.controls = ["ctl1", "ctl2", "ctl3"]
        self.api = {"auth": auth["auth_url"], "user": "masakari", "password": auth["password"], "project": "service",
                    "region": "RegionOne"}

    def pids(self, node):
        """All processes of a machine, as this one numbers them."""
        with open(os.path.join(self.env["FIXTURE_DIR"], "cluster", "proc", "node-" + node), encoding="ascii") as file:
            holder = int(file.read().split()[0])
        space = os.readlink("/proc/%d/ns/pid_for_children" % holder)
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    if os.readlink("/proc/%s/ns/pid" % name) == space:
                        found.append(int(name))
                except OSError:
                    pass
        return found

    def off_since(self, node):
        """When its BMC had switched it off."""
        with open(os.path.join(self.env["FIXTURE_DIR"], "power.log"), encoding="ascii") as file:
            return [float(line.split()[0]) for line in file if line.split()[1:] == [node, "off"]][-1]


class Region:
    def __init__(self, args, checks):
        self.args, self.checks, self.root = args, checks, args.root
        self.work = os.path.join(self.root, "work-%d" % os.getpid())
        os.makedirs(self.work)
        self.shared = os.path.join(self.root, "shared")
        self.cloud = Cloud(args.clouds, "devstack-admin")
        self.ha = Ha(self.cloud)
        self.machines = Machines(self.root, self.work, args.monitor, self.cloud.auth)
        self.hosts = sorted(s["host"] for s in self.cloud.get("/os-services?binary=nova-compute")["services"])
        self.stoppable = []

    # ---- what runs beside the region

    def start(self):
        os.environ["FIXTURE_DIR"] = self.machines.env["FIXTURE_DIR"]
        self.bmcs, self.pdus = {}, {}
        for number, host in enumerate(self.hosts, 1):
            for kind, controllers in enumerate((self.bmcs, self.pdus)):
                name = ("bmc-" if kind == 0 else "pdu-") + host
                controllers[host] = Bmc(name, self.work, "a123456789abcdefa123456789%02x%04x" % (kind + 1, number),
                                        "%s %s %s %s" % (os.path.join(HERE, "chassis.sh"), KIT, host, name))
                self.stoppable.append(controllers[host])
        tachi = Tachi(self.args.tachi, [self.args.config_file, self.configure()], self.work)
        subprocess.run([self.args.tachi, "db", "sync", *tachi.configuration], check=True, timeout=120,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stoppable.append(tachi)
        tachi.start("api")
        tachi.start("engine")
        self.tachi = tachi
        wait_until("the API", self.answers, 60)
        for segment in self.ha.call("GET", "/segments")["segments"]:
            self.ha.call("DELETE", "/segments/" + segment["uuid"])
        self.segment, self.ids = self.ha.segment("region", self.hosts)
        for node in self.machines.controls:
            self.machines.bridge(node, lost=5, remotes="true")
        wait_until("the host monitors", lambda: all(map(self.machines.watching, self.machines.controls)), 60)
        self.images()
        self.seen = os.path.join(self.work, "witness")
        self.witness = subprocess.Popen([sys.executable, os.path.join(HERE, "ledger.py"), "watch", self.shared, self.seen])

    def answers(self):
        try:
            return self.ha.call("GET", "/segments")
        except (Failed, OSError):
            return None

    def configure(self):
        folder = os.path.join(self.work, "etc")
        os.makedirs(folder)
        secret = os.path.join(folder, "bmc.password")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o400), "w", encoding="ascii") as file:
            file.write(PASSWORD)
        devices = os.path.join(folder, "fencing.toml")
        with open(os.open(devices, os.O_WRONLY | os.O_CREAT, 0o640), "w", encoding="ascii") as file:
            for bmc in [*self.bmcs.values(), *self.pdus.values()]:
                file.write('[[device]]\nname = "%s"\ntype = "ipmi"\nendpoint = "127.0.0.1:%d"\nusername = "%s"\ncredential = "file:%s"\n'
                           "cipher_suite = 3\n\n" % (bmc.name, bmc.port, USER, secret))
            for host in self.bmcs:
                file.write('[[hosts]]\nmatch = "%s"\nlevels = [["bmc-%s"], ["pdu-%s"]]\n\n' % (host, host, host))
        override = os.path.join(folder, "tachi.conf")
        with open(override, "w", encoding="ascii") as file:
            # The guards against storms would ask a person: each of three hosts is a third of all, and the cases break one after the other
            # within minutes, in a region that is minutes old.
            file.write("[DEFAULT]\nstate_path = %s\n[fencing]\nmode = engine\ndevices_file = %s\nsegment_fraction_percent = 100\n"
                       "global_fraction_percent = 100\nstorm_startup_grace = 0\n" % (self.work, devices))
        return override

    def images(self):
        """The guest's kernel, what it starts, and an empty disk; a flavor for it."""
        known = {image["name"]: image["id"] for image in self.cloud.call("image", "GET", "/v2/images?status=active").json()["images"]}
        more = {}
        for name, key, form in (("vmlinuz", "kernel_id", "aki"), ("initrd", "ramdisk_id", "ari"), ("disk", None, "raw")):
            if name not in known:
                made = self.cloud.call("image", "POST", "/v2/images", dict(
                    {"name": name, "disk_format": form, "container_format": form if key else "bare", "visibility": "public"},
                    **more if key is None else {}))
                known[name] = made.json()["id"]
                with open(os.path.join(self.args.guest, name), "rb") as file:
                    answer = self.cloud.http.put("%s/v2/images/%s/file" % (self.cloud.endpoints["image"], known[name]), data=file, headers={
                        "X-Auth-Token": self.cloud.token, "Content-Type": "application/octet-stream"}, timeout=120)
                if answer.status_code != 204:
                    raise Failed("image %s: %s %s" % (name, answer.status_code, answer.text[:300]))
            if key:
                more.update({key: known[name], "os_command_line": "console=ttyS0 quiet panic=-1"})
        self.image = known["disk"]
        found = [f["id"] for f in self.cloud.get("/flavors")["flavors"] if f["name"] == "ledger"]
        self.flavor = found[0] if found else self.cloud.nova("POST", "/flavors", {"flavor": {
            "name": "ledger", "vcpus": 1, "ram": 128, "disk": 1}}).json()["flavor"]["id"]

    def stop(self):
        for node in list(self.machines.bridges):
            self.machines.kill_bridge(node)
        if hasattr(self, "witness"):
            self.witness.terminate()
            self.witness.wait()
        for thing in reversed(self.stoppable):
            thing.stop()

    # ---- guests

    def disk(self, server):
        return os.path.join(self.shared, server, "disk")

    def boots(self, server, boots, records=20):
        """Whether its ledger shows that boot, and so many records of it."""
        found, _ = ledger.read(self.disk(server))
        return len([record for record in found if record.boot == boots]) >= records

    def verdict(self, server, boots, off):
        return ledger.judge(self.disk(server), ledger.witnessed(self.seen, server), boots, off)

    # ---- faults; each returns when the host was off, if it was so at once

    def power(self):
        # Without power nobody closes a connection.
        self.machines.kit("cut", self.victim)
        self.machines.kit("kill", self.victim)
        return time.time()

    def cut(self):
        self.machines.kit("cut", self.victim)

    def hang(self):
        for pid in self.machines.pids(self.victim):
            os.kill(pid, signal.SIGSTOP)

    def ignored(self):
        """The cut, and the host's BMC accepts commands and ignores them: the second level has to switch the host off."""
        with open(self.ignores(), "w", encoding="ascii"):
            pass
        self.machines.kit("cut", self.victim)

    def ignores(self):
        return os.path.join(self.machines.env["FIXTURE_DIR"], "ignores-bmc-" + self.victim)

    # ---- a case

    def case(self, name, what, fault):
        # Another host each time: what a case leaves behind on a host does not meet the next one there.
        turn = list(CASES).index(name)
        self.victim, self.other = self.hosts[turn % len(self.hosts)], self.hosts[(turn + 1) % len(self.hosts)]
        servers = {host: [self.cloud.boot(self.image, self.flavor, "%s-%d" % (name, n), host, False) for n in range(count)]
                   for host, count in ((self.victim, 2), (self.other, 1))}
        victims, all_servers = servers[self.victim], servers[self.victim] + servers[self.other]
        for server in all_servers:
            self.cloud.status(server, "ACTIVE", 180)
        for server in all_servers:
            wait_until("the ledger of %s" % server, lambda server=server: self.boots(server, 1), 120, 0.5)
        known = {n["notification_uuid"] for n in self.ha.call("GET", "/notifications")["notifications"]}
        began = time.time()
        off = fault(self)
        told = wait_until("a notification", lambda: [n for n in self.ha.call("GET", "/notifications")["notifications"]
                                                     if n["notification_uuid"] not in known], 120, 0.5)[0]
        reported = time.time()
        ended = wait_until("the end of the recovery", lambda: self.ended(told["notification_uuid"]), 300, 0.5)
        self.checks.equal(name + ": the recovery is finished", ended["status"], "finished")
        for server in victims:
            wait_until("the second boot of %s" % server, lambda server=server: self.boots(server, 2), 120, 0.5)
        off = off or self.machines.off_since(self.victim)
        print("measured  %s: reported after %.1f s, off after %.1f s, recovery finished after %.1f s" % (
            name, reported - began, off - began, time.time() - began), flush=True)
        moved = {s["id"]: (s["status"], s["OS-EXT-SRV-ATTR:host"]) for s in self.cloud.servers("limit=100")}
        self.checks.that(name + ": both guests are ACTIVE elsewhere",
                         all(moved[s][0] == "ACTIVE" and moved[s][1] != self.victim for s in victims), moved)
        self.back()
        # Whatever a host does when it is back, its former guests go on.
        counts = {server: len(ledger.read(self.disk(server))[0]) for server in all_servers}
        for server in all_servers:
            wait_until("%s to go on" % server, lambda server=server: len(ledger.read(self.disk(server))[0]) > counts[server] + 20, 60, 0.5)
        time.sleep(1)  # the witness looks every 50 ms
        verdicts = {server: self.verdict(server, 2 if server in victims else 1, off if server in victims else None)
                    for server in all_servers}
        for number, server in enumerate(victims, 1):
            self.checks.that("%s: guest %d: no two writers, no lost write, two boots, nothing written after its host was off" % (name, number),
                             ledger.good(verdicts[server]), verdicts[server])
        if fault in (Region.cut, Region.ignored):
            last = [max(at for at, record in ledger.witnessed(self.seen, server) if record.boot == 1) for server in victims]
            self.checks.that(name + ": its guests went on writing until the host was off", min(last) > off - 2, [off - at for at in last])
        self.checks.that(name + ": the guest of another host was left alone", ledger.good(verdicts[servers[self.other][0]]),
                         verdicts[servers[self.other][0]])
        if self.args.table:
            table.write(self.args.table, name, what, [verdicts[server] for server in victims])
        print("measured  %s: down for %s s" % (name, ", ".join(str(gap) for s in victims for gap in verdicts[s]["downtime"])), flush=True)
        for server in all_servers:
            self.cloud.delete(server)
        for server in all_servers:
            self.cloud.gone(server, 120)

    def ended(self, uuid):
        shown = self.ha.notification(uuid)
        return shown if shown["status"] in ENDED else None

    def back(self):
        """The host is repaired and switched on by its BMC, as an operator does it."""
        self.machines.kit("heal", self.victim)
        if os.path.exists(self.ignores()):
            os.unlink(self.ignores())
        subprocess.run(["ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-p", str(self.bmcs[self.victim].port), "-U", USER, "-E",
                        "chassis", "power", "on"], env=dict(os.environ, IPMI_PASSWORD=PASSWORD), check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        wait_until("the engine to clear forced_down", lambda: not self.cloud.service(self.victim)["forced_down"], 180, 1)
        wait_until("%s to be up" % self.victim, lambda: self.cloud.service(self.victim)["state"] == "up", 120, 1)
        self.cloud.put_service(self.victim, {"status": "enabled"})
        wait_until("%s to be protected again" % self.victim, self.protect, 120, 1)

    def protect(self):
        try:
            self.ha.call("PUT", "/segments/%s/hosts/%s" % (self.segment, self.ids[self.victim]), {"host": {"on_maintenance": False}})
        except Failed as refused:
            if ": 409 " not in str(refused):
                raise
            return False
        return True


CASES = {
    "power": ("the host loses its power", Region.power),
    "cut": ("the host's network is cut, its guests go on writing", Region.cut),
    "ignored": ("the network is cut, and the BMC accepts commands and ignores them", Region.ignored),
    "hang": ("all of the host hangs (SIGSTOP)", Region.hang),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("root", "clouds", "config-file", "tachi", "monitor", "guest"):
        parser.add_argument("--" + name, required=True, metavar="PATH")
    parser.add_argument("--table", metavar="PAGE", help="the page whose table gets a row for each case")
    parser.add_argument("cases", nargs="+", choices=sorted(CASES), metavar="CASE")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks, region = Checks(), None
    try:
        region = Region(args, checks)
        region.start()
        for name in args.cases:
            what, fault = CASES[name]
            region.case(name, what, fault)
    except Exception as error:
        checks.that("the cases go through", False, error if isinstance(error, Failed) else traceback.format_exc())
    finally:
        if region:
            region.stop()
            if checks.failed:
                for log in ("engine", "api"):
                    print("---- %s, its end:\n%s" % (log, "\n".join(region.tachi.log(log).splitlines()[-30:])))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
