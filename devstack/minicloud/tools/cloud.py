#!/usr/bin/env python3
"""Client side of the minicloud: boot, fail, notify, show, heal. Talks plain HTTP to keystone, nova and the HA API."""
import argparse
import asyncio
import datetime
import glob
import json
import os
import subprocess
import sys
import time
import uuid

import aiohttp
import yaml

RUN = os.environ["MC_RUN"]
DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMPUTE_MV = "2.95"


class Cloud:
    def __init__(self, name="devstack-admin"):
        self.a = yaml.safe_load(open(os.environ.get("OS_CLIENT_CONFIG_FILE", RUN + "/clouds.yaml")))["clouds"][name]["auth"]

    async def __aenter__(self):
        self.s = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64), timeout=aiohttp.ClientTimeout(total=300))
        await self.login()
        return self

    async def __aexit__(self, *x):
        await self.s.close()

    async def login(self):
        a = self.a
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": a["username"], "domain": {"name": "Default"}, "password": a["password"]}}},
            "scope": {"project": {"name": a["project_name"], "domain": {"name": "Default"}}}}}
        async with self.s.post(a["auth_url"] + "/auth/tokens", json=body) as r:
            assert r.status == 201, await r.text()
            self.token = r.headers["X-Subject-Token"]
            cat = (await r.json())["token"]["catalog"]
        self.ep = {c["type"]: next(e["url"] for e in c["endpoints"] if e["interface"] == "public")
                   for c in cat if c["endpoints"]}

    async def call(self, svc, method, path, body=None, mv=None, ok=(200, 201, 202, 204), raw=False):
        h = {"X-Auth-Token": self.token}
        if svc == "compute":
            h["OpenStack-API-Version"] = "compute " + (mv or COMPUTE_MV)
        elif svc == "instance-ha":
            h["OpenStack-API-Version"] = "instance-ha " + (mv or "1.2")
        for attempt in range(3):
            try:
                async with self.s.request(method, self.ep[svc].rstrip("/") + path, json=body, headers=h) as r:
                    text = await r.text()
                    try:
                        js = json.loads(text) if text else None
                    except ValueError:
                        js = text
                    if raw:
                        return r.status, js
                    if r.status not in ok:
                        raise RuntimeError("%s %s %s -> %s %s" % (svc, method, path, r.status, text[:400]))
                    return js
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if attempt == 2 or method != "GET":
                    raise

    def nova(self, *a, **k):
        return self.call("compute", *a, **k)

    def ha(self, *a, **k):
        return self.call("instance-ha", *a, **k)

    async def servers(self, host=None, detail=True):
        q = "?all_tenants=1&limit=1000" + ("&host=%s" % host if host else "")
        out, marker = [], None
        while True:
            page = (await self.nova("GET", "/servers/detail" + q + ("&marker=" + marker if marker else "")))["servers"]
            out += page
            if len(page) < 1000:
                return out
            marker = page[-1]["id"]

    async def services(self):
        return (await self.nova("GET", "/os-services?binary=nova-compute"))["services"]

    async def service(self, host):
        return next(s for s in await self.services() if s["host"] == host)

    async def set_service(self, host, **body):
        s = await self.service(host)
        await self.nova("PUT", "/os-services/" + s["id"], body)


def log(*a):
    print(time.strftime("%H:%M:%S"), *a, file=sys.stderr, flush=True)


async def until(what, cond, timeout, every=0.5):
    end = time.time() + timeout
    while time.time() < end:
        v = await cond()
        if v:
            return v
        await asyncio.sleep(every)
    raise RuntimeError("timed out: " + what)


async def ids(c):
    img = (await c.call("image", "GET", "/v2/images?name=cirros"))["images"][0]["id"]
    fl = next(f["id"] for f in (await c.nova("GET", "/flavors"))["flavors"] if f["name"] == "m1.tiny")
    return img, fl


async def boot(c, host, count, ha=None, name=None):
    """COUNT servers on HOST; returns their ids once ACTIVE."""
    img, fl = await ids(c)
    before = {s["id"] for s in await c.servers()}
    left = count
    while left > 0:
        n = min(left, 50)
        srv = {"name": name or "vm-%s-%s" % (host, uuid.uuid4().hex[:4]), "imageRef": img, "flavorRef": fl,
               "networks": "none", "host": host, "min_count": n, "max_count": n}
        if ha is not None:
            srv["metadata"] = {"HA_Enabled": "True" if ha else "False"}
        await c.nova("POST", "/servers", {"server": srv})
        left -= n

    async def ready():
        ss = [s for s in await c.servers() if s["id"] not in before]
        bad = [s for s in ss if s["status"] == "ERROR"]
        if bad:
            raise RuntimeError("server in ERROR: %s" % bad[0].get("fault"))
        return [s["id"] for s in ss] if len(ss) >= count and all(s["status"] == "ACTIVE" for s in ss) else None
    return await until("servers ACTIVE", ready, 600, 1)


async def wipe_servers(c):
    ss = await c.servers()
    for i in range(0, len(ss), 20):
        await asyncio.gather(*[_force_delete(c, s) for s in ss[i:i + 20]])

    async def gone():
        return not await c.servers()
    await until("servers gone", gone, 300, 1)


async def _force_delete(c, s):
    if s.get("locked"):
        await c.nova("POST", "/servers/%s/action" % s["id"], {"unlock": None}, raw=True)
    await c.nova("DELETE", "/servers/" + s["id"], raw=True)


async def wipe_segments(c, prefix=""):
    for s in (await c.ha("GET", "/segments"))["segments"]:
        if s["name"].startswith(prefix):
            st, js = await c.ha("DELETE", "/segments/" + s["uuid"], raw=True)
            if st not in (204, 404):
                log("segment %s not deleted: %s %s" % (s["name"], st, js))


async def segment(c, name, method, hosts, reserved=()):
    s = (await c.ha("POST", "/segments", {"segment": {"name": name, "recovery_method": method, "service_type": "COMPUTE"}}))["segment"]
    out = {}
    for h in hosts:
        out[h] = (await c.ha("POST", "/segments/%s/hosts" % s["uuid"], {"host": {
            "name": h, "type": "COMPUTE", "control_attributes": "SSH", "reserved": h in reserved}}))["host"]["uuid"]
    return s["uuid"], out


def notification(host, type_="COMPUTE_HOST", payload=None):
    return {"notification": {
        "type": type_, "hostname": host,
        "generated_time": datetime.datetime.utcnow().replace(microsecond=0).isoformat(),
        "payload": payload or {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}}


async def notify(c, host, type_="COMPUTE_HOST", payload=None):
    t = time.time()
    st, js = await c.ha("POST", "/notifications", notification(host, type_, payload), raw=True)
    return st, js, time.time() - t


def compute_ctl(act, host):
    subprocess.run([DIR + "/compute.sh", act, host], check=True)


async def heal(c):
    """All computes running, up, enabled, not forced down."""
    confs = sorted(os.path.basename(p)[:-5] for p in glob.glob(RUN + "/conf/nova/compute-*.conf"))
    ss = await c.services()
    known = {s["host"] for s in ss}
    confs = [h for h in confs if h in known]
    for h in confs:
        compute_ctl("start", h)
    for s in ss:
        if s.get("forced_down"):
            # nova refuses (400) while evacuations from the host wait for its nova-compute to restart
            st, js = await c.nova("PUT", "/os-services/" + s["id"], {"forced_down": False}, raw=True)
            if st == 400:
                compute_ctl("stop", s["host"])
                compute_ctl("start", s["host"])

                async def forced_up():
                    return (await c.nova("PUT", "/os-services/" + s["id"], {"forced_down": False}, raw=True))[0] == 200
                await until("force up " + s["host"], forced_up, 90, 1)

    async def up():
        return all(s["state"] == "up" for s in await c.services() if s["host"] in confs)
    await until("computes up", up, 120, 1)
    # Only now: Nova tells Placement that a host is enabled only when it takes the service for up.
    for s in await c.services():
        if s["status"] != "enabled":
            await c.nova("PUT", "/os-services/" + s["id"], {"status": "enabled"})
    return confs


async def amain():
    p = argparse.ArgumentParser()
    sp = p.add_subparsers(dest="cmd", required=True)
    a = sp.add_parser("boot")
    a.add_argument("host")
    a.add_argument("count", type=int)
    a.add_argument("--ha", action="store_true")
    a = sp.add_parser("notify")
    a.add_argument("host")
    a.add_argument("--wait", type=float, default=0)
    a = sp.add_parser("wipe")
    a = sp.add_parser("heal")
    a = sp.add_parser("token")
    a = sp.add_parser("show")
    a = sp.add_parser("segment")
    a.add_argument("name")
    a.add_argument("method")
    a.add_argument("hosts", nargs="+")
    a.add_argument("--reserved", nargs="*", default=[])
    a = sp.add_parser("evacuate")
    a.add_argument("server")
    a.add_argument("--target")
    args = p.parse_args()
    async with Cloud() as c:
        if args.cmd == "boot":
            t = time.time()
            got = await boot(c, args.host, args.count, True if args.ha else None)
            print("\n".join(got))
            log("%d servers ACTIVE on %s in %.1f s" % (len(got), args.host, time.time() - t))
        elif args.cmd == "notify":
            st, js, dt = await notify(c, args.host)
            print(st, json.dumps(js), "%.0f ms" % (dt * 1e3))
            if st != 202:
                sys.exit(1)
            if args.wait:
                nid = js["notification"]["notification_uuid"]

                async def done():
                    n = (await c.ha("GET", "/notifications/" + nid, mv="1.0"))["notification"]
                    return n["status"] if n["status"] in ("finished", "failed", "ignored", "error") else None
                print(await until("notification", done, args.wait))
        elif args.cmd == "wipe":
            await wipe_servers(c)
            try:
                await wipe_segments(c)
            except aiohttp.ClientConnectionError:
                log("no instance-ha service answers: segments left alone")
        elif args.cmd == "heal":
            print(await heal(c))
        elif args.cmd == "token":
            print(c.token)
            print(c.ep.get("instance-ha"))
        elif args.cmd == "segment":
            print(await segment(c, args.name, args.method, args.hosts, args.reserved))
        elif args.cmd == "evacuate":
            body = {"evacuate": {"host": args.target} if args.target else {}}
            print(await c.nova("POST", "/servers/%s/action" % args.server, body, raw=True))
        elif args.cmd == "show":
            for s in await c.services():
                print(s["host"], s["status"], s["state"], "forced_down" if s.get("forced_down") else "", s.get("disabled_reason") or "")
            by = {}
            for s in await c.servers():
                k = (s["OS-EXT-SRV-ATTR:host"], s["status"], s["OS-EXT-STS:task_state"], s["locked"])
                by[k] = by.get(k, 0) + 1
            for k, v in sorted(by.items(), key=str):
                print(v, "servers: host %s status %s task %s locked %s" % k)
            if "instance-ha" in c.ep:
                try:
                    st, n = await c.ha("GET", "/notifications?limit=10&sort_key=id&sort_dir=desc", raw=True)
                except aiohttp.ClientConnectionError:
                    return log("no instance-ha service answers at", c.ep["instance-ha"])
                for x in (n or {}).get("notifications", [])[:10] if st == 200 else []:
                    print(x["type"], x["notification_uuid"], x["status"], x["payload"])


asyncio.run(amain())
