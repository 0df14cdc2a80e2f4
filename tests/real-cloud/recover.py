#!/usr/bin/env python3
"""Hosts of a real Nova die and are recovered by the `tachi api` and `tachi engine` that are running (see run.sh)."""
import argparse
import datetime
import os
import signal
import sys
import time
import traceback

for folder in ("nova-table", "client"):
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", folder))

from adapters import Real, heal
from checks import Checks
from nova_http import Cloud, Failed, wait_until

ENDED = ("finished", "failed", "error", "ignored")


class Ha:
    """The few calls a monitor and an operator make."""

    def __init__(self, cloud):
        self.cloud = cloud

    def call(self, method, path, body=None, wanted=(200, 201, 202, 204)):
        answer = self.cloud.call("instance-ha", method, path, body, headers={"OpenStack-API-Version": "instance-ha 1.3"})
        if answer.status_code not in wanted:
            raise Failed("%s %s: %s %s" % (method, path, answer.status_code, answer.text[:400]))
        return answer.json() if answer.text else None

    def segment(self, name, hosts):
        made = self.call("POST", "/segments", {"segment": {
            "name": name, "recovery_method": "auto", "service_type": "COMPUTE"}})["segment"]["uuid"]
        ids = {host: self.call("POST", "/segments/%s/hosts" % made, {"host": {
            "name": host, "type": "COMPUTE", "control_attributes": "SSH"}})["host"]["uuid"] for host in hosts}
        return made, ids

    def stopped(self, host):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        return self.call("POST", "/notifications", {"notification": {
            "type": "COMPUTE_HOST", "hostname": host, "generated_time": now,
            "payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}},
            (202,))["notification"]["notification_uuid"]

    def notification(self, uuid):
        return self.call("GET", "/notifications/" + uuid)["notification"]

    def vmoves(self, uuid):
        return self.call("GET", "/notifications/%s/vmoves?limit=1000" % uuid)["vmoves"]


def boot(cloud, host, count):
    image = cloud.call("image", "GET", "/v2/images").json()["images"][0]["id"]
    flavor = cloud.get("/flavors/detail")["flavors"][0]["id"]
    answer = cloud.nova("POST", "/servers", {"server": {
        "name": "recover", "imageRef": image, "flavorRef": flavor, "networks": "none", "min_count": count,
        "max_count": count, "availability_zone": "nova:" + host}})
    if answer.status_code != 202:
        raise Failed("boot: %s %s" % (answer.status_code, answer.text[:400]))
    found = wait_until("%d servers ACTIVE on %s" % (count, host), lambda: _all_active(cloud, host, count), 300, 1)
    return {s["id"] for s in found}


def _all_active(cloud, host, count):
    found = cloud.servers("host=" + host)
    return found if len(found) == count and all(s["status"] == "ACTIVE" for s in found) else None


def recover(cloud, ha, plug, checks, victim, ids, count, at_once):
    """One failure; returns the seconds from the POST to the first and the last server back."""
    label = "%d servers%s" % (count, ", reported at once" if at_once else "")
    servers = boot(cloud, victim, count)
    plug.kill(victim)
    if not at_once:
        wait_until("%s to be down" % victim, lambda: cloud.service(victim)["state"] == "down", 60)
    start = time.monotonic()
    notification = ha.stopped(victim)
    back = {}

    def all_back():
        for server in cloud.servers("limit=1000"):
            if (server["id"] in servers and server["id"] not in back and server["status"] == "ACTIVE"
                    and server["OS-EXT-STS:task_state"] is None and server["OS-EXT-SRV-ATTR:host"] != victim):
                back[server["id"]] = time.monotonic() - start
        return len(back) == len(servers) or ha.notification(notification)["status"] in ENDED[1:]

    try:
        wait_until("all servers to be back", all_back, 300)
        wait_until("the notification to end", lambda: ha.notification(notification)["status"] in ENDED, 60)
    except Failed:
        explain(cloud, ha, notification, servers, victim, back)
        raise
    ended = time.monotonic() - start
    shown = ha.notification(notification)
    checks.equal(label + ": the notification is finished", shown["status"], "finished")
    if shown["status"] != "finished":
        explain(cloud, ha, notification, servers, victim, back)
    now = {s["id"]: s for s in cloud.servers("limit=1000") if s["id"] in servers}
    wrong = [(s["id"], s["status"], s["OS-EXT-SRV-ATTR:host"]) for s in now.values()
             if s["status"] != "ACTIVE" or s["OS-EXT-SRV-ATTR:host"] == victim]
    checks.that(label + ": all are ACTIVE on other hosts", len(now) == count and not wrong, wrong)
    checks.equal(label + ": none is left locked", [s["id"] for s in now.values() if s["locked"]], [])
    records = {}
    for record in cloud.migrations("migration_type=evacuation&limit=1000&source_compute=" + victim):
        if record["instance_uuid"] in servers:
            records.setdefault(record["instance_uuid"], []).append(record["status"])
    checks.that(label + ": each has exactly one record, done", len(records) == count
                and all(statuses == ["done"] for statuses in records.values()), records)
    moves = ha.vmoves(notification)
    checks.that(label + ": each has one vmove, succeeded", sorted(m["instance_uuid"] for m in moves) == sorted(servers)
                and {m["status"] for m in moves} == {"succeeded"}, moves)
    service = cloud.service(victim)
    checks.equal(label + ": the host is disabled and forced down", [service["status"], service["forced_down"]],
                 ["disabled", True])
    print("measured  %s: first back %.1f s, last back %.1f s, notification finished %.1f s after the POST" % (
        label, min(back.values(), default=0), max(back.values(), default=0), ended), flush=True)

    plug.start(victim)
    cleared = wait_until("the engine to clear forced_down",
                         lambda: not cloud.service(victim)["forced_down"] or None, 90)
    checks.that(label + ": the engine clears forced_down once nova-compute is back", cleared)
    wait_until("%s to be up" % victim, lambda: cloud.service(victim)["state"] == "up", 60)
    cloud.put_service(victim, {"status": "enabled"})
    ha.call("PUT", "/segments/%s/hosts/%s" % ids, {"host": {"on_maintenance": False}})
    remove(cloud, servers)


def explain(cloud, ha, notification, servers, victim, back):
    """What there is to see when a recovery does not end well."""
    shown = ha.notification(notification)
    print("        notification %s: %s" % (shown["status"], shown.get("message")))
    print("        %d of %d servers back, the last after %.1f s" % (len(back), len(servers), max(back.values(), default=0)))
    records = {}
    for record in cloud.migrations("migration_type=evacuation&limit=1000&source_compute=" + victim):
        if record["instance_uuid"] in servers:
            records.setdefault(record["instance_uuid"], []).append(record["status"])
    moves = {m["instance_uuid"]: (m["status"], m["message"]) for m in ha.vmoves(notification)}
    for server in cloud.servers("limit=1000"):
        statuses = records.get(server["id"], [])
        if server["id"] in servers and (statuses != ["done"] or moves.get(server["id"], "?")[0] != "succeeded"):
            print("        %s: %s %s on %s, records %s, vmove %s" % (
                server["id"], server["status"], server["OS-EXT-STS:task_state"], server["OS-EXT-SRV-ATTR:host"],
                statuses, moves.get(server["id"])))


def remove(cloud, servers):
    for server in servers:
        cloud.delete(server)
    for server in servers:
        cloud.gone(server)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clouds", required=True, metavar="FILE")
    parser.add_argument("--cloud", required=True, metavar="NAME")
    parser.add_argument("--servers", type=int, nargs="+", default=[10, 50])
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cloud, checks = Cloud(args.clouds, args.cloud), Checks()
    plug, ha = Real(cloud), Ha(cloud)
    hosts = sorted(s["host"] for s in cloud.get("/os-services?binary=nova-compute")["services"])
    if cloud.servers("limit=1"):
        print("the cloud is not empty: `devstack/minicloud/cloud.sh wipe` first")
        print("0 passed, 1 failed")
        return 1
    try:
        heal(cloud, plug, hosts)
        segment, ids = ha.segment("real-cloud", hosts)
        runs = [(n, False) for n in args.servers] + [(args.servers[0], True)]
        for turn, (count, at_once) in enumerate(runs):
            # Another host each time: a second report of the same one within minutes counts as a duplicate.
            victim = hosts[turn % len(hosts)]
            recover(cloud, ha, plug, checks, victim, (segment, ids[victim]), count, at_once)
        ha.call("DELETE", "/segments/" + segment)
    except Exception as error:
        checks.that("the recoveries go through", False,
                    error if isinstance(error, Failed) else traceback.format_exc())
    finally:
        heal(cloud, plug, hosts)
        remove(cloud, [s["id"] for s in cloud.servers("limit=1000")])
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
