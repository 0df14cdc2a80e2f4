"""A failure from end to end: a real Pacemaker cluster loses a remote, a bridge reports it to our API, our engine asks the
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
        self.process = field.spawn("lan", self.command(state), self.log)
        self.token = None
        try:
            self.auth = wait(self.read, "clouds.yaml", 180)["auth"]
            self.root = self.auth["auth_url"].split("/identity")[0]
            self.url = wait(self.catalog, "the API in the catalog", 60, 0.5)
            wait(lambda: self.ask("GET", "/".join(self.url.split("/")[:3]) + "/healthcheck")[0] == 200, "a healthy API", 60, 0.5)
        except BaseException:
            self.stop()
            raise

    def command(self, state):
        return [self.tachi, "serve", "--sandbox", "--bare", "--listen", API, "--clouds", self.clouds, "--state-dir", state, "--hosts", "4"]

    def read(self):
        if self.process.poll() is not None:
            raise AssertionError("the region ended with %s" % self.process.returncode)
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


class MasakarisRegion(Region):
    """The same hosts under Masakari's own API and engine, with its monitors on the computes, as its charms set them up."""

    def __init__(self, field, tachi, upstream, monitors):
        self.upstream, self.monitors = upstream, monitors
        super().__init__(field, tachi)

    def command(self, state):
        return [os.path.join(HERE, "masakari-region.sh"), self.tachi, self.upstream, sys.executable, self.clouds]

    def monitor(self, node):
        """Masakari's host monitor on a remote. The cluster's names are not Nova's here, and there is no systemd to ask."""
        folder = os.path.join(self.field.work, "tools-" + node)
        os.makedirs(folder)
        for name, line in (("crm_mon", "/usr/sbin/crm_mon \"$@\" | sed 's/cmp\\([0-9]\\)/compute-00\\1/g'"),
                           ("systemctl", "case \"$*\" in *pacemaker_remote*) exit 0 ;; esac; exit 3")):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\n%s\n" % line)
            os.chmod(path, 0o755)
        conf = os.path.join(folder, "masakarimonitors.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write("""[DEFAULT]
hostname = {host}
debug = true
log_file = {log}
[api]
auth_type = password
auth_url = {auth_url}
username = {username}
password = {password}
project_name = {project_name}
user_domain_name = Default
project_domain_name = Default
region = RegionOne
[host]
restrict_to_remotes = true
disable_ipmi_check = true
[masakarimonitors_privileged]
helper_command = {bin}/privsep-helper
""".format(host=node.replace("cmp", "compute-00"), log=self.monitors_log(node), bin=os.path.join(self.monitors, "bin"), **self.auth))
        path = "PATH=%s:%s/bin:/usr/sbin:/usr/bin:/sbin:/bin" % (folder, self.monitors)
        self.field.spawn(node, ["env", path, "PYTHONWARNINGS=ignore", os.path.join(self.monitors, "bin", "masakari-hostmonitor"),
                                "--config-file", conf], self.monitors_log(node) + ".out")
        # It reports a change of the state that it has seen.
        wait(lambda: "is 'online'" in self.said(node), "a look of Masakari's monitor", 120, 0.5)

    def monitors_log(self, node):
        return os.path.join(self.field.work, "monitor-%s.log" % node)

    def said(self, node):
        try:
            with open(self.monitors_log(node), encoding="utf-8") as file:
                return file.read()
        except OSError:
            return ""

    def back(self):
        """How many instances run again on another host."""
        servers = self.admin("GET", "/servers")
        return sum((one["host"] != "compute-001", one["vm_state"], one["task_state"]) == (True, "active", None) for one in servers)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def protect(region):
    """A host with instances in a segment of four; the hosts' names by their ids."""
    region.admin("POST", "/servers", {"count": SERVERS, "host": "compute-001", "name": "vm"})
    segment = region.api("POST", "/segments", {"segment": {"name": "s", "recovery_method": "auto", "service_type": "COMPUTE"}})
    uuid = segment["segment"]["uuid"]
    hosts = {}
    for number in range(1, 5):
        host = region.api("POST", "/segments/%s/hosts" % uuid, {"host": {
            "name": "compute-%03d" % number, "type": "COMPUTE", "control_attributes": "SSH"}})["host"]
        hosts[host["uuid"]] = host["name"]
    return hosts


def pull(field, region, silent):
    """When the plug was pulled, and when the cluster had fenced the node."""
    began = time.time()
    if silent:
        # A host without power closes no connection.
        field.kit("cut", "cmp1")
    field.kit("kill", "cmp1")
    region.admin("POST", "/hosts/compute-001/power", {"on": False})
    return began, wait(lambda: field.fenced_at("cmp1", began), "fencing of cmp1", 120)


def masakaris_chain(field, region, checks, silent):
    """The same with Masakari, seen from outside: by its API and by what Nova shows, five times a second."""
    protect(region)
    for node in field.computes:
        region.monitor(node)
    began, fenced = pull(field, region, silent)
    at = {"noticed and fenced": fenced}
    wait(lambda: region.api("GET", "/notifications")["notifications"], "a notification of Masakari's monitor", 180, 0.2)
    at["reported"] = time.time()
    wait(region.back, "an instance", 300, 0.2)
    at["first instance back"] = time.time()
    wait(lambda: region.back() == SERVERS, "all instances", 300, 0.2)
    at["last instance back"] = time.time()
    checks.equal("no instance ran twice", region.admin("GET", "/ledger")["double_runs"], 0)
    found = {name: round(seconds - began, 1) for name, seconds in at.items()}
    print(", ".join("%s %.1f s" % one for one in found.items()))
    return found


def chain(field, region, checks, silent):
    hosts = protect(region)
    began, fenced = pull(field, region, silent)
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
    found = {"noticed and fenced": fenced, "reported": accepted, "confirmed off": moment(story["proofs"][0]["at"]),
             "first instance back": opened + down["first"], "last instance back": opened + down["last"]}
    found = {name: round(at - began, 1) for name, at in found.items()}
    print(", ".join("%s %.1f s" % one for one in found.items()))
    time.sleep(10)
    listed = region.api("GET", "/notifications")["notifications"]
    checks.equal("and nothing else was reported", len(listed), 1)
    return found


def ours(field, region, checks, silent):
    field.api = {"auth": region.auth["auth_url"], "user": region.auth["username"], "password": region.auth["password"],
                 "project": region.auth["project_name"], "region": "RegionOne"}
    field.more = "node_map = cmp1:compute-001,cmp2:compute-002\n"
    for node in field.controls + field.computes:
        field.bridge(node, remotes="true")
    wait(lambda: all(field.watching(node) for node in field.controls + field.computes), "watching bridges", 60)
    return chain(field, region, checks, silent)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--monitor", required=True)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--timings", choices=("charms", "tuned"), default="tuned", help="how the cluster watches remotes")
    parser.add_argument("--silent", action="store_true", help="the host falls silent; without it, its peers see their connections closed")
    parser.add_argument("--masakari", help="Masakari's API, engine and monitors in place of ours: the environment with its service")
    parser.add_argument("--masakari-monitors", help="that with its monitors")
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
        if given.masakari:
            region = MasakarisRegion(field, *map(os.path.abspath, (given.tachi, given.masakari, given.masakari_monitors)))
            found = masakaris_chain(field, region, checks, given.silent)
        else:
            region = Region(field, os.path.abspath(given.tachi))
            found = ours(field, region, checks, given.silent)
        if given.json:
            with open(given.json, "w", encoding="utf-8") as file:
                json.dump(found, file)
    except BaseException:
        for name in sorted(os.listdir(work)):
            if name.endswith((".log", ".out")):
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
