#!/usr/bin/env python3
"""The whole way of a crashed guest: a real QEMU is killed; libvirtd, the instance monitor, our API and engine; Nova (simulated) is
asked to restart the instance. Prints what each stretch took and, at last, `N passed, M failed`.
"""
import argparse
import datetime
import os
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from checks import Checks
from guests import Kit, Monitor, until
from region import CLOUD, Region
from sdk_calls import connect

GUESTS = 10
HOST = "compute-001"
# What the simulated Nova takes to stop an instance, in milliseconds: that is its time, not ours.
STOP = 100


class Credentials:
    """How the monitor reaches the API: through the region's Keystone and its catalog."""

    def __init__(self, region):
        self.auth = {"auth_url": region.auth["auth_url"], "username": "masakari-monitor", "password": region.password}


def chain(check, region, kit, binary):
    ha = connect(region.clouds_yaml, CLOUD, "1.3")
    region.admin("POST", "/settings", {"action_millis": STOP})
    segment = ha.create_segment(name="chain", recovery_method="auto", service_type="COMPUTE")
    for host in sorted(h["name"] for h in region.admin("GET", "/hosts")):
        ha.create_host(segment.uuid, name=host, type="COMPUTE", control_attributes="SSH")
    servers = region.admin("POST", "/servers", {"count": GUESTS, "host": HOST, "name": "guest", "metadata": {"HA_Enabled": "True"}})["ids"]
    for n, server in enumerate(servers):
        kit("domain", "instance-%08x" % n, "halt", "--uuid", server)
    monitor = Monitor(binary, "instance", os.path.join(region.work, "monitor"), Credentials(region), kit.uri()).start().listening()
    rows = []
    try:
        for n, server in enumerate(servers):
            rows.append(one(region, ha, kit, "instance-%08x" % n, server))
            print("        guest %2d: killed, seen after %3.0f ms, Nova asked to stop it after %3.0f ms, to start it after %4.0f ms" % (
                n, *rows[-1]), flush=True)
        check.equal("one notification each", len(list(ha.notifications(type="VM"))), GUESTS)
        until("every recovery to end", lambda: {n.status for n in ha.notifications(type="VM")} == {"finished"}, 60)
        check.that("every recovery is finished", True)
        states = {s["id"]: s for s in region.admin("GET", "/servers")}
        wrong = {made: state for made, state in states.items() if made in servers and not str(state).count("active")}
        check.equal("every instance is active", wrong, {})
        check.equal("nothing ran twice", region.admin("GET", "/ledger")["double_runs"], 0)
    except Exception:
        print("---- the monitor:\n%s" % monitor.log()[-1500:])
        raise
    finally:
        code = monitor.stop()
    worst = [max(row[stretch] for row in rows) for stretch in range(3)]
    print("measured: %d guests, worst: seen by the monitor after %.0f ms, restart begun (Nova asked to stop) after %.0f ms, asked to start after "
          "%.0f ms, of which Nova's stop takes %.0f ms" % (len(rows), *worst, STOP))
    check.that("from the crash to Nova's being asked for the restart: below 1 s", worst[1] < 1000, rows)
    check.equal("SIGTERM ends the monitor with 0", code, 0)


def one(region, ha, kit, name, server):
    """Milliseconds from the kill: seen by the monitor, Nova asked for the first time (to stop what it believes to run), to start."""
    region.admin("POST", "/servers/%s/crash" % server)
    region.admin("DELETE", "/requests")
    pid = int(kit("pid", name))
    killed = time.time()
    os.kill(pid, signal.SIGKILL)
    asked = started = None

    def actions():
        journal = region.admin("GET", "/requests?journal=true")["journal"]
        return [r["route"].rsplit("#", 1)[1] for r in journal if server in r["target"] and "/action#" in r["route"]]

    while started is None:
        now = actions()
        if asked is None and now:
            asked = time.time()
        if any("start" in action for action in now):
            started = time.time()
        if time.time() - killed > 30:
            raise RuntimeError("no restart was asked for within 30 s; Nova was asked %s" % now)
        time.sleep(0.01)
    told = next(n for n in ha.notifications(type="VM") if n.payload["instance_uuid"] == server)
    utc = datetime.timezone.utc
    seen = datetime.datetime.fromisoformat(told.generated_time).replace(tzinfo=utc).timestamp()
    return [1000 * (at - killed) for at in (seen, asked, started)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--monitor", required=True)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    check, kit, region = Checks(), None, None
    policy = tempfile.NamedTemporaryFile("w", prefix="tachi-policy-", suffix=".yaml")
    policy.write('"os_masakari_api:notifications:create": "rule:admin_api or role:masakari_monitor"\n')
    policy.flush()
    try:
        kit = Kit()
        region = Region(args.tachi, arguments=("--hosts", "4"), options=[("oslo_policy", "policy_file", policy.name)])
        chain(check, region, kit, os.path.abspath(args.monitor))
    except Exception:
        check.that("the chain goes through", False, traceback.format_exc(limit=4))
    finally:
        if region:
            code = region.stop()
            check.equal("SIGTERM ends tachi serve with 0", code, 0)
            if check.failed:
                print("---- tachi serve said, at last:\n" + "\n".join(region.service_output().splitlines()[-30:]))
            region.remove()
        if kit:
            kit.down()
        policy.close()
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
