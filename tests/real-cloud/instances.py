#!/usr/bin/env python3
"""Single instances on a real Nova: one that fails and does not start on its host is moved, one that policy has left on a dead host is
started when that returns, and one that its user stops is never down. Starts `tachi api` and two `tachi engine`s itself (see
run.sh). Where guests run is read from the hypervisors' own lists."""
import datetime
import json
import os
import subprocess
import sys

from sitting import Sitting, arguments, minicloud, sit

# After it: sitting.py says where these are.
from adapters import heal
from ha import ENDED
from nova_http import Failed, wait_until


class Instances(Sitting):
    def command(self, *words, codes=(0,)):
        """What a command prints, of the database of this sitting."""
        done = subprocess.run([self.args.tachi, *words, *self.tachi.configuration], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=300, text=True, check=False, env={**os.environ, "OS_CLOUD": ""})
        if done.returncode not in codes:
            raise Failed("tachi %s: exit code %d\n%s%s" % (" ".join(words), done.returncode, done.stdout, done.stderr))
        return done.stdout

    def one(self, host, marked):
        """The id of a new instance on that host."""
        image = self.cloud.call("image", "GET", "/v2/images").json()["images"][0]["id"]
        answer = self.cloud.nova("POST", "/servers", {"server": {
            "name": "instance", "imageRef": image, "flavorRef": self.cloud.get("/flavors/detail")["flavors"][0]["id"], "networks": "none",
            "availability_zone": "nova:" + host, "metadata": {"HA_Enabled": str(marked)}}})
        if answer.status_code != 202:
            raise Failed("boot: %s %s" % (answer.status_code, answer.text[:400]))
        server = answer.json()["server"]["id"]
        self.cloud.status(server, "ACTIVE")
        return server

    def failed(self, host, server):
        """The id of the notification of an instance monitor on that host."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        return self.ha.call("POST", "/notifications", {"notification": {
            "type": "VM", "hostname": host, "generated_time": now,
            "payload": {"event": "LIFECYCLE", "instance_uuid": server, "vir_domain_event": "STOPPED_FAILED"}}},
            (202,))["notification"]["notification_uuid"]

    def ended(self, label, notification, seconds):
        wait_until("the notification to end", lambda: self.ha.notification(notification)["status"] in ENDED, seconds, 0.5)
        shown = self.ha.notification(notification)
        print("measured  %s: %s: %s" % (label, shown["status"], shown.get("message")), flush=True)
        return shown["status"]

    def is_active(self, server, host=None):
        shown = self.mine([server])[server]
        return shown["status"] == "ACTIVE" and shown["OS-EXT-STS:task_state"] is None and host in (None, shown["OS-EXT-SRV-ATTR:host"])

    def down(self):
        return self.command("instance", "list", "--down", "-f", "json", codes=(0, 1))

    # The cases.

    def restart_moved(self):
        """Its host powers no guest on any more: it is moved, confirmed and started elsewhere."""
        host, segment = self.hosts[1], self.segment()
        server = self.one(host, True)
        self.hypervisors.fault(host, "fail-power-on")
        self.hypervisors.shut_down(host, server)
        notification = self.failed(host, server)
        wait_until("the instance to be down in what Tachi shows", lambda: server in self.down(), 60, 0.5)
        self.checks.equal("moved: the notification is finished", self.ended("restart, then move", notification, 900), "finished")
        on = self.hypervisors.powered_on(server)
        self.checks.that("moved: it runs on one other host", len(on) == 1 and on != [host], on)
        self.checks.that("moved: where Nova shows it, and is ACTIVE", bool(on) and self.is_active(server, on[0]), self.mine([server]))
        self.checks.equal("moved: nothing ever ran twice", self.hypervisors.twice({server}), [])
        wait_until("it to be down no more", lambda: server not in self.down(), 120, 1)
        self.hypervisors.no_faults()
        self.clean([segment], {server})

    def left_and_started(self):
        """Policy leaves it on a host that dies; it is started once the host is back and Nova has seen it shut down."""
        host, segment = self.hosts[1], self.segment()
        kept, moved = self.one(host, False), self.one(host, True)
        self.die(host)
        self.ended("one left by policy", self.ha.stopped(host), 300)
        self.checks.equal("left: it stays on its host", self.mine([kept])[kept]["OS-EXT-SRV-ATTR:host"], host)
        self.checks.that("left: the marked one is moved", self.is_active(moved) and self.hypervisors.powered_on(moved) != [host], moved)
        # The host boots: its domains are there, and shut off.
        self.hypervisors.shut_down(host, kept)
        heal(self.cloud, self.plug, [host])
        wait_until("Nova to have seen it shut down, and Tachi to have started it",
                   lambda: self.hypervisors.powered_on(kept) == [host] and self.is_active(kept, host), 600, 2)
        self.checks.equal("left: nothing ever ran twice", self.hypervisors.twice({kept, moved}), [])
        self.clean([segment], {kept, moved})

    def users_stop(self):
        """What a user has stopped is never down, and no report of it starts it."""
        host, segment = self.hosts[1], self.segment()
        server = self.one(host, True)
        answer = self.cloud.act(server, "os-stop")
        self.checks.equal("stopped: Nova accepts the stop", answer.status_code, 202)
        self.cloud.status(server, "SHUTOFF")
        self.ended("a user's stop, and a report of it", self.failed(host, server), 300)
        self.checks.that("stopped: it is not down", server not in self.down(), self.down())
        self.checks.equal("stopped: it is stopped still", self.mine([server])[server]["status"], "SHUTOFF")
        self.checks.equal("stopped: no guest of it runs", self.hypervisors.powered_on(server), [])
        self.clean([segment], {server})

    # Nova compares power states by itself here.

    def begin_all(self):
        self.nova(POWER_SYNC_INTERVAL="10")
        self.start_tachi()

    def end_all(self):
        super().end_all()
        self.hypervisors.no_faults()
        self.nova()

    def nova(self, **more):
        minicloud("nova.sh", "stop")
        minicloud("up.sh", "4", **more)
        heal(self.cloud, self.plug, self.hosts)


def cases(instances):
    return {
        "users-stop": instances.users_stop,
        "restart-moved": instances.restart_moved,
        "left-and-started": instances.left_and_started,
    }


if __name__ == "__main__":
    sys.exit(sit(arguments(__doc__), Instances, cases))
