#!/usr/bin/env python3
"""The night of docs/three-in-the-morning.md, walked again: what is typed there is typed at a simulated region, and what comes back has to be what the page shows."""
import argparse
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from checks import Checks

PAGE = os.path.join(HERE, "..", "..", "docs", "three-in-the-morning.md")

# What differs from night to night, and what the page shows in its place; in this order.
SAME = [
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "2026-11-23 03:05:00+00:00"),
    (r"\d\d:\d\d:\d\d, Nova read", "03:05:00, Nova read"),
    (r"\b\d+(\.\d+)? (s|min|h) ago", "2 min ago"),
    (r"(  [0-9](?: \(room [0-9]\))? +)[0-9a-f]{8} (?=compute-001 \[)", r"\g<1>00000002 "),
    (r"; for \d+(\.\d+)? (s|min)\b", "; for 2 min"),
    (r"\bafter \d+\.\d s", "after 5.0 s"),
    (r"\b\d+\.\d s after", "5.0 s after"),
    (r"; \d+ s elapsed", "; 60 s elapsed"),
    (r'"(asked_ms|answered_at_us)":\d+', r'"\1":1'),
    (r", heartbeats up to \d+ s old", ""),
    (r"\bversion \d+\.\d+\.\d+", "version 1.0.0"),
    (r"\b(started elsewhere, by|requested for db-1 by) [^()]+ \(", r"\1 alice ("),
    (r"\|  +\d+\.\d \|", "|      5.6 |"),
    (r"[\w.-]+:\d+:[0-9a-f]{8}\b", "ctl-1:4711:0a1b2c3d"),
    (r"http://127\.0\.0\.1:\d+", "http://maas.example"),
    (r"\b\d+\.\d s\b", "5.0 s"),
    (r"max 5\.0 s, 5\.0 s in all", "max 5.0 s, 10.0 s in all"),
]


class Region:
    """`tachi serve --sandbox`, stopped by its pid."""

    def __init__(self, binary, work):
        self.binary, self.work = binary, work
        self.log = os.path.join(work, "serve.log")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        self.environment.update(TZ="UTC", NO_COLOR="1", SUDO_USER="", PATH=work + os.pathsep + os.environ["PATH"])
        os.symlink(os.path.abspath(binary), os.path.join(work, "tachi"))
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                ["tachi", "serve", "--sandbox", "--hosts", "5", "--instances", "0", "--rebuild-seconds", "0.5", "--state-dir", os.path.join(work, "state"), "--clouds", os.path.join(work, "clouds.yaml")],
                cwd=work, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        if not wait(lambda: "ready;" in self.said(), 30):
            raise SystemExit("the sandbox did not start:\n" + self.said())
        with open(os.path.join(work, "clouds.yaml"), encoding="utf-8") as f:
            clouds = f.read()
        self.password = re.search(r'password: "(\S+)"', clouds)[1]
        self.keystone = re.search(r"auth_url: (\S+)", clouds)[1]
        self.api = re.search(r"instance-ha (\S+)", self.said())[1]
        self.admin = re.search(r"^admin +(\S+)", self.said(), re.M)[1]
        self.token = self._token()

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def _token(self):
        domain = {"name": "Default"}
        user = {"name": "admin", "domain": domain, "password": self.password}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": {"name": "admin", "domain": domain}}}}
        return self._ask("POST", self.keystone + "/auth/tokens", body, {}, "X-Subject-Token")

    @staticmethod
    def _ask(method, url, body, headers, header=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers[header] if header else json.loads(answer.read() or b"null")

    def sandbox(self, path, body):
        try:
            return self._ask("POST", self.admin + path, body, {"X-Sandbox-Key": self.password})
        except urllib.error.HTTPError as error:
            raise SystemExit("%s: %s" % (path, error.read())) from error

    def type(self, line):
        """What comes back, and the exit code; standard error stands behind standard output."""
        words = line if " help " in line else line + " --config-file " + os.path.join(self.work, "state", "tachi.conf")
        done = subprocess.run(["bash", "-c", words], env=self.environment, cwd=self.work, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        return done.stdout + done.stderr, done.returncode

    def situation(self):
        text, _ = self.type("tachi status -f json")
        return json.loads(text)

    def codes(self):
        return {one["code"] for one in self.situation()["findings"]}

    def room_headroom(self):
        return self.situation()["segments"][0]["room_headroom"]

    def down(self):
        return self.situation()["instances"]["down"]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def wait(until, seconds):
    end = time.monotonic() + seconds
    while True:
        found = until()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.2)


class Same:
    """One night as every other: ids in the order in which they appear."""

    def __init__(self, work):
        self.work, self.ids = work, {}

    def of(self, text):
        text = text.replace(os.path.join(self.work, "state"), "/etc/tachi")
        text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", self._id, text)
        for pattern, same in SAME:
            text = re.sub(pattern, same, text)
        return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))

    def _id(self, found):
        return self.ids.setdefault(found[0], "%08d-aaaa-4aaa-8aaa-aaaaaaaaaaaa" % (len(self.ids) + 1))


class Night:
    """Does what the comments of the page say that happens away from the keyboard."""

    def __init__(self, region):
        self.region, self.ids = region, {}

    def evening(self):
        for name, host in (("db-1", 1), ("web-1", 1), ("web-2", 2)):
            body = {"host": "compute-%03d" % host, "name": name, "numbered": False, "metadata": {"HA_Enabled": "True"}}
            self.ids[name] = self.region.sandbox("/servers", body)["ids"][0]
        return wait(lambda: self.region.type("tachi status --check")[1] == 0 and self.region.room_headroom() == 4, 60)

    def alarm(self):
        self.region.sandbox("/servers/%s/half-move" % self.ids["db-1"], {"dest": "compute-004", "kind": "live-migration", "guest_at_dest": False})
        self.region.sandbox("/hosts/compute-002/bmc", {"query": {"mode": "fails", "status": 500}})
        self.region.sandbox("/hosts/compute-001/power", {"on": False})

        def rings():
            back = "1/2 instances back" in self.region.type("tachi recovery list")[0]
            # An engine looks at Nova and Placement every 15 s: by then it has seen web-1 where it is now, and that compute-001 is none
            # to choose any more.
            room = "it fits on 4 of 4 hosts" in self.region.type("tachi show db-1")[0] and self.region.room_headroom() == 3
            return back and room and {"MOVE_NEEDS_PERSON", "FENCE_LEVEL_FAILING"} <= self.region.codes() and self.region.down() == 1
        return wait(rings, 90)

    def db_is_back(self):
        def is_over():
            return "finished" in self.region.type("tachi recovery list --all -f value -c status")[0] and self.region.down() == 0
        return wait(is_over, 60)

    def bmc_is_reset(self):
        self.region.sandbox("/hosts/compute-002/bmc", {"query": {"mode": "truth"}})
        return True

    def switched_on(self):
        self.region.sandbox("/hosts/compute-001/power", {"on": True})
        return wait(lambda: self.region.type("tachi host return compute-001 --check")[1] == 0, 60)

    def watched_again(self):
        # For five minutes after the fence, the guards would hold the recovery of another host.
        return wait(lambda: self.region.type("tachi status --check")[1] == 0 and self.region.room_headroom() == 4, 400)


def walk(page, region, same, checks):
    """The page with what comes back tonight. A comment `<!-- then: NAME -->` is something that happens; a block ```console is typed."""
    night, told, lines = Night(region), [], iter(page.split("\n"))
    for line in lines:
        told.append(line)
        event = re.fullmatch(r"<!-- then: (\w+) -->", line)
        if event:
            checks.that("then: " + event[1].replace("_", " "), getattr(night, event[1])(), region.type("tachi status")[0])
        if line != "```console":
            continue
        for typed in [one for one in iter(lambda: next(lines), "```") if one.startswith("$ ")]:
            text, code = region.type(typed[2:].split("    # ")[0])
            told.append(typed)
            told.extend(same.of(text).split("\n"))
            if code:
                told.append("[exit %d]" % code)
        told.append("```")
    return "\n".join(told)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--write", action="store_true", help="write what came back into the page")
    arguments = parser.parse_args()
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="tachi-walk-") as work:
        region = Region(arguments.tachi, work)
        try:
            told = walk(page, region, Same(work), checks)
        finally:
            region.stop()
    if arguments.write:
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(told)
    else:
        diff = difflib.unified_diff(page.split("\n"), told.split("\n"), "docs/three-in-the-morning.md", "tonight", lineterm="")
        checks.that("what comes back is what the page shows", page == told, "\n".join(diff) + "\nif it is right: tests/walk/walk.py --write")
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
