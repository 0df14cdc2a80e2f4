#!/usr/bin/env python3
"""Hosts of a real Nova die and are recovered by the `tachi api` and `tachi engine` that are running (see run.sh)."""
import argparse
import os
import signal
import sys
import time
import traceback

for folder in ("nova-table", "client"):
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", folder))

from adapters import Real, heal
from checks import Checks
from ha import ENDED, Ha, boot, explain, remove
from nova_http import Cloud, Failed, wait_until


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
