"""The whole way of a failure: a real Pacemaker cluster loses a remote, a bridge tells our API, our engine asks the
simulated Nova, and every instance of the host runs again, once.

The node of the cluster and the hypervisor of the sandbox are one machine: its plug is pulled in both.
"""
import argparse
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "client"), HERE]

import yaml  # noqa: E402
from checks import Checks  # noqa: E402
from field import API, CHARMS, KIT, TUNED, Field, wait  # noqa: E402

# Runs inside the cluster's network: one request, its answer as JSON.
ASK = """import json, sys, urllib.error, urllib.request
method, url, body, headers = json.loads(sys.stdin.read())
data = None if body is None else json.dumps(body).encode()
request = urllib.request.Request(url, data, dict(headers, **{"Content-Type": "application/json"}), method=method)
try:
    answer = urllib.request.urlopen(request, timeout=10)
except urllib.error.HTTPError as error:
    answer = error
text = answer.read().decode()
json.dump([answer.status, dict(answer.headers), json.loads(text) if text[:1] in "[{" and text else None], sys.stdout)
"""
SERVERS = 5


class Region:
    """`tachi serve --sandbox` in the network of the cluster."""

    def __init__(self, field, tachi):
        self.field = field
        self.clouds = os.path.join(field.work, "clouds.yaml")
        state = os.path.join(field.work, "tachi")
        self.tachi, self.conf = tachi, os.path.join(state, "tachi.conf")
        os.makedirs(state)
        self.log = os.path.join(field.work, "serve.log")
        self.process = field.spawn("lan", [tachi, "serve", "--sandbox", "--bare", "--listen", API, "--clouds", self.clouds,
                                           "--state-dir", state, "--hosts", "4"], self.log)
        self.token = None
        self.auth = wait(self.read, "clouds.yaml", 60)["auth"]
        self.root = self.auth["auth_url"].split("/identity")[0]
        self.url = wait(self.catalog, "the API in the catalog", 60, 0.5)
        wait(lambda: self.ask("GET", "/".join(self.url.split("/")[:3]) + "/healthcheck")[0] == 200, "a healthy API", 60, 0.5)

    def read(self):
        try:
            with open(self.clouds, encoding="utf-8") as file:
                return next(iter(yaml.safe_load(file)["clouds"].values()))
        except (OSError, TypeError, KeyError, yaml.YAMLError):
            return None

    def ask(self, method, url, body=None, headers=None):
        done = subprocess.run([KIT, "exec", "lan", sys.executable, "-c", ASK], env=self.field.env, text=True, timeout=60,
                              input=json.dumps([method, url, body, headers or {}]), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            return 0, {}, done.stderr
        return json.loads(done.stdout)

    def catalog(self):
        domain = {"name": "Default"}
        user = {"name": self.auth["username"], "domain": domain, "password": self.auth["password"]}
        scope = {"project": {"name": self.auth["project_name"], "domain": domain}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        status, headers, answer = self.ask("POST", self.auth["auth_url"].rstrip("/") + "/auth/tokens", body)
        if status != 201:
            return None
        self.token = {name.lower(): value for name, value in headers.items()}["x-subject-token"]
        ends = [end for entry in answer["token"]["catalog"] if entry["type"] == "instance-ha" for end in entry["endpoints"]]
        return ends[0]["url"] if ends else None

    def api(self, method, path, body=None):
        status, _, answer = self.ask(method, self.url + path, body, {"X-Auth-Token": self.token})
        if status not in (200, 201, 202, 204):
            raise AssertionError("%s %s: %s %s" % (method, path, status, answer))
        return answer

    def admin(self, method, path, body=None):
        status, _, answer = self.ask(method, self.root + "/admin" + path, body, {"X-Auth-Token": self.token})
        if status not in (200, 201, 202, 204):
            raise AssertionError("%s %s: %s %s" % (method, path, status, answer))
        return answer

    def accepted(self):
        """When it accepted the first notification, by its log: rows have whole seconds only."""
        with open(self.log, encoding="utf-8") as file:
            return moment(next(line.split()[0] for line in file if "notification accepted" in line))

    def story(self, host):
        """What `tachi recovery show` says of the recovery of a host."""
        words = [self.tachi, "recovery", "show", host, "-f", "json", "--config-file", self.conf]
        return json.loads(subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout)

    def stop(self):
        # `timeout` passes the signal on.
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def chain(field, region, checks, silent):
    region.admin("POST", "/servers", {"count": SERVERS, "host": "compute-001", "name": "vm"})
    segment = region.api("POST", "/segments", {"segment": {"name": "s", "recovery_method": "auto", "service_type": "COMPUTE"}})
    uuid = segment["segment"]["uuid"]
    hosts = {}
    for number in range(1, 5):
        host = region.api("POST", "/segments/%s/hosts" % uuid, {"host": {
            "name": "compute-%03d" % number, "type": "COMPUTE", "control_attributes": "SSH"}})["host"]
        hosts[host["uuid"]] = host["name"]
    began = time.time()
    if silent:
        # Without power nobody closes a connection.
        field.kit("cut", "cmp1")
    field.kit("kill", "cmp1")
    region.admin("POST", "/hosts/compute-001/power", {"on": False})
    fenced = wait(lambda: field.fenced_at("cmp1", began), "fencing of cmp1", 120)
    listed = wait(lambda: region.api("GET", "/notifications")["notifications"], "a notification", 30, 0.2)
    checks.equal("the notification is the bridge's", [(one["type"], hosts[one["source_host_uuid"]], one["payload"]["host_status"])
                                                      for one in listed], [("COMPUTE_HOST", "compute-001", "NORMAL")])
    accepted = region.accepted()

    def ended():
        one = region.api("GET", "/notifications/" + listed[0]["notification_uuid"])["notification"]
        return one["status"] not in ("new", "running") and one
    one = wait(ended, "end of the recovery", 120, 0.3)
    took = time.time() - began
    checks.equal("the recovery is finished", one["status"], "finished")
    ledger = region.admin("GET", "/ledger")
    checks.equal("no instance ran twice", ledger["double_runs"], 0)
    servers = region.admin("GET", "/servers")
    text = json.dumps(servers)
    checks.equal("all instances are there", len(servers), SERVERS)
    checks.that("none is on the dead host", "compute-001\"" not in json.dumps([one.get("host") for one in servers]), text[:2000])
    lost = region.admin("POST", "/ledger/lost", {"servers": [one["id"] for one in servers]})
    checks.equal("none is lost", lost["lost"], [])
    print("plug pulled -> fenced %.2f s -> accepted %.2f s after that -> all back %.2f s after the plug" % (
        fenced - began, accepted - fenced, took))
    story = region.story("compute-001")
    down = story["downtime"]
    opened = moment(story["opened_at"])
    found = {"noticed and fenced": fenced, "reported": accepted, "proven off": moment(story["proofs"][0]["at"]),
             "first instance back": opened + down["first"], "last instance back": opened + down["last"]}
    found = {name: round(at - began, 1) for name, at in found.items()}
    print(", ".join("%s %.1f s" % one for one in found.items()))
    time.sleep(10)
    listed = region.api("GET", "/notifications")["notifications"]
    checks.equal("and nothing else was told", len(listed), 1)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--monitor", required=True)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--timings", choices=("charms", "tuned"), default="tuned", help="how the cluster watches remotes")
    parser.add_argument("--silent", action="store_true", help="the host falls silent; without it, its peers see their connections closed")
    parser.add_argument("--json", help="write the seconds from the power's end here")
    given = parser.parse_args()
    work = tempfile.mkdtemp(prefix="tc.")
    os.chmod(work, 0o755)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    checks = Checks()
    field = Field(os.path.abspath(given.monitor), work, "tc%d" % (os.getpid() % 10000),
                  timings=CHARMS if given.timings == "charms" else TUNED)
    region = None
    try:
        region = Region(field, os.path.abspath(given.tachi))
        field.api = {"auth": region.auth["auth_url"], "user": region.auth["username"], "password": region.auth["password"],
                     "project": region.auth["project_name"], "region": "RegionOne"}
        field.more = "node_map = cmp1:compute-001,cmp2:compute-002\n"
        for node in field.controls + field.computes:
            field.bridge(node, remotes="true")
        wait(lambda: all(field.watching(node) for node in field.controls + field.computes), "watching bridges", 60)
        found = chain(field, region, checks, given.silent)
        if given.json:
            with open(given.json, "w", encoding="utf-8") as file:
                json.dump(found, file)
    except BaseException:
        for name in sorted(os.listdir(work)):
            if name.endswith(".log"):
                with open(os.path.join(work, name), encoding="utf-8", errors="replace") as file:
                    print("--- %s\n%s" % (name, "".join(file.readlines()[-25:])))
        raise
    finally:
        if region:
            region.stop()
        field.stop()
        shutil.rmtree(work, ignore_errors=True)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
