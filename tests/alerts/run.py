#!/usr/bin/env python3
"""The alerts and the board that are shipped, in a real Prometheus that scrapes a real engine and API while hosts die.

Every expression of both is asked, and every metric in them has to be there, unless only a broker, a monitor or a fault
can make it: those have to be named in the sources.
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
import urllib.request

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.append(os.path.join(HERE, "..", "client"))

from checks import Checks
from region import Region, free_port

RULES = os.path.join(ROOT, "packaging", "prometheus", "tachi.rules.yml")
UNIT_TESTS = os.path.join(ROOT, "packaging", "prometheus", "tachi.rules.test.yml")
BOARD = os.path.join(ROOT, "packaging", "grafana", "tachi.json")
DOCS = os.path.join(ROOT, "docs")

# What this run has no source of.
ELSEWHERE = ("tachi_monitor_", "tachi_bus_")
METRIC = re.compile(r"\btachi_[a-z_]+")


class Prometheus:
    """Scrapes the API and the engine of one process each second, and has the shipped rules."""

    def __init__(self, target):
        self.work = tempfile.mkdtemp(prefix="tachi-prometheus-")
        self.port = free_port()
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [RULES],
            "scrape_configs": [{"job_name": "tachi", "static_configs": [{"targets": [target]}]}]}
        path = os.path.join(self.work, "prometheus.yml")
        with open(path, "w", encoding="utf-8") as f:
            yaml.safe_dump(configuration, f)
        self.log = os.path.join(self.work, "log")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                ["prometheus", "--config.file=" + path, "--storage.tsdb.path=" + os.path.join(self.work, "data"),
                 "--web.listen-address=127.0.0.1:%d" % self.port], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def get(self, path, **query):
        url = "http://127.0.0.1:%d/api/v1/%s?%s" % (self.port, path, urllib.parse.urlencode(query))
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return json.loads(error.read())

    def firing(self):
        return sorted({alert["labels"]["alertname"] for alert in self.get("alerts")["data"]["alerts"] if alert["state"] == "firing"})

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        shutil.rmtree(self.work)


def until(what, ask, seconds=40):
    deadline = time.monotonic() + seconds
    while True:
        try:
            got = ask()
        except (OSError, ValueError):  # Prometheus answers in plain text while it starts
            got = None
        if got:
            return got
        if time.monotonic() > deadline:
            raise RuntimeError("waited %s s for %s" % (seconds, what))
        time.sleep(0.2)


def rules():
    with open(RULES, encoding="utf-8") as f:
        return [rule for group in yaml.safe_load(f)["groups"] for rule in group["rules"]]


def panels():
    with open(BOARD, encoding="utf-8") as f:
        return [panel for panel in json.load(f)["panels"] if panel["type"] != "row"]


def promtool(check):
    for name, words in (("check", ["check", "rules", RULES]), ("unit tests", ["test", "rules", UNIT_TESTS])):
        ran = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
        check.that("promtool: %s" % name, ran.returncode == 0, ran.stdout + ran.stderr)
    with open(UNIT_TESTS, encoding="utf-8") as f:
        tested = {test["name"] for test in yaml.safe_load(f)["tests"]}
    check.equal("alerts without a unit test", sorted({rule["alert"] for rule in rules()} - tested), [])


def pages(check):
    """What an alert tells a person to read and to type is there."""
    missing = [rule["alert"] for rule in rules() if not os.path.exists(os.path.join(ROOT, rule["annotations"]["runbook"]))]
    check.equal("alerts whose page is missing", missing, [])
    bare = [rule["alert"] for rule in rules() if {"summary", "description", "command", "runbook"} - set(rule["annotations"])]
    check.equal("alerts that do not say what to do", bare, [])
    check.equal("alerts that wake nobody and can wait for nobody",
                [rule["alert"] for rule in rules() if rule["labels"]["severity"] not in ("page", "ticket")], [])


def commands(check, tachi):
    """Each command that an alert names is one."""
    for command in sorted({rule["annotations"]["command"] for rule in rules()}):
        for one in command.split("; "):
            words = one.split()
            if words[0] == "tachi":
                plain = [word for word in words[1:] if not word.startswith("-") and word not in ("held", "failed")]
                ran = subprocess.run([tachi, *plain, "--help"], capture_output=True, text=True, check=False)
                options = [word for word in words if word.startswith("--") and word not in ran.stdout]
                check.that("%s is a command" % one, ran.returncode == 0 and not options, ran.stdout + ran.stderr)


def sources():
    found = set()
    for top in ("src", "engine", "api", "monitors", "clients"):
        for folder, _, files in os.walk(os.path.join(ROOT, top)):
            for name in files:
                if name.endswith(".rs"):
                    with open(os.path.join(folder, name), encoding="utf-8") as f:
                        found.update(METRIC.findall(f.read()))
    return found


class Run:
    def __init__(self, region, prometheus, check):
        self.region, self.prometheus, self.check = region, prometheus, check
        self.names = sorted(host["name"] for host in region.admin("GET", "/hosts"))
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": "admin", "domain": {"name": "Default"}, "password": region.password}}},
            "scope": {"project": {"name": "admin", "domain": {"name": "Default"}}}}}
        request = urllib.request.Request(region.auth["auth_url"] + "/auth/tokens", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.token = answer.headers["X-Subject-Token"]

    def call(self, method, path, body):
        request = urllib.request.Request(self.region.api + path, json.dumps(body).encode(), {
            "X-Auth-Token": self.token, "Content-Type": "application/json", "OpenStack-API-Version": "instance-ha 1.3"}, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def dies(self, host):
        self.region.admin("POST", "/hosts/%s/power" % host, {"on": False})
        self.call("POST", "/v1/notifications", {"notification": {
            "type": "COMPUTE_HOST", "hostname": host, "generated_time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()),
            "payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "UNKNOWN"}}})

    def value(self, expression):
        result = self.prometheus.get("query", query=expression)["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def a_host_is_recovered_and_nobody_is_woken(self):
        segment = self.call("POST", "/v1/segments", {"segment": {
            "name": "rack", "recovery_method": "auto", "service_type": "COMPUTE"}})["segment"]["uuid"]
        for name in self.names:
            self.call("POST", "/v1/segments/%s/hosts" % segment, {"host": {"name": name, "type": "COMPUTE", "control_attributes": "SSH"}})
        self.region.admin("POST", "/servers", {"count": 3, "host": self.names[0], "name": "guest", "metadata": {"HA_Enabled": "True"}})
        until("a first scrape", lambda: self.value("tachi_engines_alive") == 1)
        self.dies(self.names[0])
        until("three moves that have ended", lambda: self.value('sum(tachi_engine_moves_total{status="succeeded"})') == 3)
        until("the recovery's end", lambda: self.value('sum(tachi_engine_recoveries_ended_total{kind="host",status="finished"})') == 1)
        until("a self-test of the devices", lambda: self.value("min(tachi_fence_device_up)") == 1, 60)
        self.check.equal("a recovery that goes well fires nothing", self.prometheus.firing(), [])

    def a_storm_wakes_a_person(self):
        for name in self.names[1:]:
            self.dies(name)
        self.check.that("recoveries that are held fire", until(
            "TachiWaitsForPerson", lambda: "TachiWaitsForPerson" in self.prometheus.firing()))

    def every_expression_finds_its_metrics(self):
        there = set(self.prometheus.get("label/__name__/values")["data"])
        written = sources()
        asked = [(rule["alert"], rule["expr"]) for rule in rules()]
        asked += [(panel["title"], target["expr"].replace("$__rate_interval", "1m")) for panel in panels() for target in panel["targets"]]
        for name, expression in asked:
            answer = self.prometheus.get("query", query=expression)
            wanted = set(METRIC.findall(expression))
            missing = [metric for metric in wanted if metric not in there and not (
                metric.startswith(ELSEWHERE) and re.sub("_(bucket|sum|count)$", "", metric) in written)]
            self.check.that("%s: Prometheus answers, and knows %s" % (name, ", ".join(sorted(wanted))),
                            answer["status"] == "success" and wanted and not missing, (answer.get("error"), missing))
        empty = [panel["title"] for panel in panels() if not any(
            self.prometheus.get("query", query=target["expr"].replace("$__rate_interval", "1m"))["data"]["result"]
            or any(word in target["expr"] for word in ELSEWHERE) for target in panel["targets"])]
        self.check.equal("panels that show nothing after two failures", empty, [])

    STEPS = (a_host_is_recovered_and_nobody_is_woken, a_storm_wakes_a_person, every_expression_finds_its_metrics)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the binary under test")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    check = Checks()
    promtool(check)
    pages(check)
    commands(check, os.path.abspath(args.tachi))
    region = Region(args.tachi, arguments=("--hosts", "5"), options=[("fencing", "self_test_interval", 10)])
    prometheus = None
    try:
        prometheus = Prometheus(region.api.removeprefix("http://"))
        run = Run(region, prometheus, check)
        for step in Run.STEPS:
            try:
                step(run)
            except Exception:
                check.that("%s goes through" % step.__name__, False, traceback.format_exc(limit=4))
    finally:
        if prometheus:
            prometheus.stop()
        region.stop()
    if check.failed:
        said = [line for line in region.service_output().splitlines() if "status: 20" not in line]
        print("---- tachi serve said, at last:\n" + "\n".join(said[-30:]))
    region.remove()
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
