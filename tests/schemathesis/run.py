#!/usr/bin/env python3
"""Drives the API by its own OpenAPI document: schemathesis against `tachi serve` beside a simulated region."""
import argparse
import collections
import datetime
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "client"))

from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: E402

from checks import Checks  # noqa: E402
from region import Region  # noqa: E402

# Everything schemathesis can check, without what schemathesis.toml switches off.
CHECKS = "all"
HOSTS, PROTECTED, SPARE, EMPTY = 40, 8, 4, 4
# Its stream lasts for minutes, and the tester reads each answer to its end.
STREAM = "listenToEvents"
# What the scene has no occasion for: no host was drained and returned to service (tests/blackbox/drains.rs), no recovery has
# failed, nobody is set aside, and no monitor was taken away (tests/blackbox/remote_maintenance.rs).
REFUSED = {"POST /operator/v1/hosts/{hostname}/giveback": "409", "POST /operator/v1/recoveries/{recovery}/retry": "409",
           "POST /operator/v1/reporters/{reporter}/lift": "404", "DELETE /operator/v1/monitors/{hostname}/{kind}": "404"}


class Synchronised(Region):
    """A region whose database has its tables before the service starts."""

    def start_service(self):
        done = subprocess.run([self.binary, "db", "sync", *self.config_files()], cwd=self.work, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit("tachi db sync ended with %s:\n%s" % (done.returncode, done.stdout))
        super().start_service()


def call(method, url, token=None, body=None):
    """Status, headers and JSON."""
    headers = {"Content-Type": "application/json", "OpenStack-API-Version": "instance-ha 1.3"}
    if token:
        headers["X-Auth-Token"] = token
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, answer.headers, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, error.headers, None


def token_of(stack):
    auth = stack.clouds[stack.cloud]["auth"]
    domain = {"name": auth.get("user_domain_name", "Default")}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": auth["username"], "domain": domain, "password": auth["password"]}}},
        "scope": {"project": {"name": auth["project_name"], "domain": domain}}}}
    status, headers, _ = call("POST", auth["auth_url"].rstrip("/") + "/auth/tokens", body=body)
    if status != 201:
        raise SystemExit("no token: %s" % status)
    return headers["X-Subject-Token"]


def must(wanted, method, url, token, body=None):
    status, _, answer = call(method, url, token, body)
    if status != wanted:
        raise SystemExit("%s %s: %s" % (method, url, status))
    return answer


def scene(stack, base, token):
    """A segment, a host of it that has died and was recovered, hosts that something can be told about, and hosts that may go."""
    hosts = ["compute-%03d" % n for n in range(1, HOSTS + 1)]
    dead, protected = hosts[0], hosts[1:PROTECTED + 1]
    spare, empty = hosts[PROTECTED + 1:][:SPARE], hosts[PROTECTED + SPARE + 1:][:EMPTY]
    free = hosts[PROTECTED + SPARE + EMPTY + 1:]
    segment = must(201, "POST", base + "/v1/segments", token, {"segment": {
        "name": "scene", "recovery_method": "auto", "service_type": "COMPUTE"}})["segment"]["uuid"]
    rows = {"segment": segment, "alias": "segments", "id": "v1.0"}
    uuids = []
    for host in [dead] + protected:
        made = must(201, "POST", base + "/v1/segments/%s/hosts" % segment, token, {"host": {
            "name": host, "type": "COMPUTE", "control_attributes": "SSH"}})
        uuids.append(made["host"]["uuid"])
    rows["host"] = uuids[0]
    # In a segment in which nothing is recovered or drained, or nothing could be deleted.
    calm, drained = (must(201, "POST", base + "/v1/segments", token, {"segment": {
        "name": name, "recovery_method": "auto", "service_type": "COMPUTE"}})["segment"]["uuid"] for name in ("calm", "drained"))
    deletable = [{"segment": calm, "host": must(201, "POST", base + "/v1/segments/%s/hosts" % calm, token, {"host": {
        "name": host, "type": "COMPUTE", "control_attributes": "SSH"}})["host"]["uuid"]} for host in spare]
    for host in empty:
        must(201, "POST", base + "/v1/segments/%s/hosts" % drained, token, {"host": {
            "name": host, "type": "COMPUTE", "control_attributes": "SSH"}})
    stack.admin("POST", "/servers", {"count": 3, "host": dead, "name": "lost"})
    stack.admin("POST", "/hosts/%s/power" % dead, {"on": False})
    rows["notification"] = must(202, "POST", base + "/v1/notifications", token, {"notification": {
        "type": "COMPUTE_HOST", "hostname": dead, "generated_time": moment(),
        "payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}},
    )["notification"]["notification_uuid"]
    # One that is said again is answered as one that has just been said.
    operator = base + "/operator/v1"
    rows["recovery"] = must(200, "GET", operator + "/recoveries", token)["recoveries"][0]["recovery"]
    must(202, "POST", operator + "/words", token, {"word": {"word": "approve", "recovery": rows["recovery"]}})
    notification = base + "/v1/notifications/" + rows["notification"]
    stack.wait(lambda: must(200, "GET", notification, token)["notification"]["status"] == "finished", "recovery", 60)
    moved = must(200, "GET", notification + "/vmoves", token)["vmoves"][0]
    rows["vmove"], rows["instance"], rows["hostname"] = moved["uuid"], moved["instance_uuid"], protected[0]
    explained = operator + "/instances/%s/explanation" % rows["instance"]
    stack.wait(lambda: call("GET", explained, token)[0] == 200, "the instances to be listed", 60)
    return {"rows": rows, "hosts": uuids, "protected": protected, "free": free, "empty": empty,
            "segments": [segment, calm, drained], "deletable": deletable}


def moment():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


def run(checks, arguments, stack):
    base = stack.api
    token = token_of(stack)
    status, headers, document = call("GET", base + "/openapi.json")
    checks.equal("the document is served without a token", (status, headers["Content-Type"]), (200, "application/json"))
    with open(arguments.kept, encoding="utf-8") as f:
        checks.that("the document served is the one kept in docs/", json.load(f) == document)
    errors = [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]
    checks.equal("the document is valid OpenAPI 3.1", errors, [])

    report, seen = os.path.join(stack.work, "report.xml"), os.path.join(stack.work, "seen.json")
    environment = dict(os.environ, SCHEMATHESIS_HOOKS="hooks", PYTHONPATH=HERE, NO_COLOR="1", COLUMNS="160",
                       TACHI_SCENE=json.dumps(scene(stack, base, token)), TACHI_SEEN=seen)
    command = [arguments.schemathesis, "--config-file", os.path.join(HERE, "schemathesis.toml"), "run", base + "/openapi.json",
               "--url", base, "--checks", CHECKS, "--max-examples", str(arguments.examples), "--seed", str(arguments.seed),
               "--header", "X-Auth-Token: " + token,
               "--exclude-operation-id", STREAM, "--report", "junit", "--report-junit-path", report]
    if arguments.only:
        command += ["--include-operation-id", arguments.only]
    done = subprocess.run(command, cwd=stack.work, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    wrong = {}
    tried = 0
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        tried += 1
        problems = [(p.get("message") or "") + (p.text or "") for p in case if p.tag in ("failure", "error")]
        if problems:
            wrong[case.get("name")] = problems
    for name, problems in wrong.items():
        checks.that(name, False, "\n".join(problems)[:3000])
    checks.that("operations without a finding: %d" % (tried - len(wrong)), not wrong)
    with open(seen, encoding="utf-8") as f:
        answered(checks, document, json.load(f), arguments.only)
    stream_begins(checks, base, token)
    checks.equal("schemathesis agrees", done.returncode, 0)
    log = stack.service_output()
    for word in ("panicked", "request failed"):
        checks.that("the log has no %r" % word, word not in log, "\n".join(
            line for line in log.splitlines() if word in line)[:3000])


def answered(checks, document, seen, only):
    """A run in which something never went well has tried too little to say anything about it."""
    statuses = collections.defaultdict(dict)
    for name, count in seen.items():
        operation, status = name.split()
        statuses[operation][status] = count
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters" or (only and operation["operationId"] != only):
                continue
            if path == "/openapi.json":
                continue  # The tester has read it, and leaves it alone.
            if operation["operationId"] == STREAM:
                continue
            got = statuses[operation["operationId"]]
            # The first answer described is the one when all goes well, and 405 is what a refused route is there for.
            wanted = "405" if operation["tags"] == ["refused"] else min(operation["responses"])
            wanted = REFUSED.get("%s %s" % (method.upper(), path), wanted)
            text = ", ".join("%s: %s" % pair for pair in sorted(got.items()))
            checks.that("%s %s was done: %s" % (method.upper(), path, text), wanted in got, "never %s" % wanted)
    print("%d requests" % sum(seen.values()))


def stream_begins(checks, base, token):
    """What the tester leaves out: the type that the document promises, and the first event, which comes at once."""
    request = urllib.request.Request(base + "/operator/v1/events", headers={"X-Auth-Token": token})
    with urllib.request.urlopen(request, timeout=10) as answer:
        checks.equal("the stream's type", answer.headers.get_content_type(), "text/event-stream")
        lines = [answer.readline().decode().strip() for _ in range(2)]
    checks.equal("the stream's first event", lines[0], "event: situation")
    checks.that("the first event contains a grade", "grade" in json.loads(lines[1].removeprefix("data: ")), lines[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--schemathesis", required=True)
    parser.add_argument("--kept", required=True, help="docs/openapi.json")
    parser.add_argument("--examples", type=int, default=20, help="cases of each operation in the random phases")
    parser.add_argument("--seed", type=int, default=0, help="what the cases are drawn from")
    parser.add_argument("--only", help="an operationId")
    parser.add_argument("--connection", help="an empty database; without one it is SQLite")
    arguments = parser.parse_args()
    checks = Checks()
    options = [("database", "connection", arguments.connection)] if arguments.connection else []
    stack = Synchronised(arguments.tachi, options=options, arguments=("--hosts", str(HOSTS)))
    try:
        run(checks, arguments, stack)
    finally:
        code = stack.stop()
    checks.equal("the service ends with 0", code, 0)
    stack.remove()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
