"""The simulated region that the service under test asks for tokens and compute hosts, and processes in general."""
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import yaml

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ports import free_port


class Process:
    """A child with its output in a file; stopped by its id."""

    def __init__(self, command, log, environment=None):
        self.log = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment)

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait(self, condition, what, seconds=60):
        """Asks until `condition()` is true; fails when the child is gone or time is up."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("no %s:\n%s" % (what, self.output()[-4000:]))
            time.sleep(0.02)

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Region:
    """`tachi sandbox` in a folder of its own."""

    def __init__(self, tachi, folder):
        self.folder = folder
        clouds = os.path.join(folder, "clouds.yaml")
        self.clouds_file = clouds
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        self.process = Process(
            [tachi, "sandbox", "--hosts", "8", "--clouds", clouds, "--state-dir", folder],
            os.path.join(folder, "sandbox.log"), environment)
        try:
            self.process.wait(lambda: "ready;" in self.process.output(), "simulated region")
            with open(clouds, encoding="utf-8") as f:
                self.clouds = yaml.safe_load(f)["clouds"]
            self.auth = self.clouds["tachi-sandbox"]["auth"]
            self.auth_url = self.auth["auth_url"]
            self.root = self.auth_url.split("/identity")[0]
            self.hosts = [host["name"] for host in self.admin("GET", "/hosts")]
        except BaseException:
            self.process.stop()
            raise
        with open(os.path.join(folder, "tachi.conf"), encoding="utf-8") as f:
            self.conf = f.read()

    def admin(self, method, path, body=None):
        """A call of the region's own interface: faults, catalog, tokens."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + "/admin" + path, data, {
            "Content-Type": "application/json", "X-Sandbox-Key": self.auth["password"]}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def strike(self, route, **effect):
        """A fault on every request whose route contains `route`, until `heal`."""
        self.admin("POST", "/faults", {"api": {"route": route, **effect}})

    def heal(self):
        self.admin("DELETE", "/faults")

    def register(self, url):
        """Puts the endpoint of the API into the catalog."""
        self.admin("POST", "/endpoints", {"type": "instance-ha", "name": "masakari", "url": url})

    def token(self, cloud="tachi-sandbox", scoped=True):
        """A token and its project's id."""
        auth = self.clouds[cloud]["auth"]
        domain = {"name": "Default"}
        user = {"name": auth["username"], "domain": domain, "password": auth["password"]}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        body["auth"]["scope"] = (
            {"project": {"name": auth["project_name"], "domain": domain}} if scoped else "unscoped")
        request = urllib.request.Request(self.auth_url + "/auth/tokens", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            document = json.loads(answer.read())["token"]
            return answer.headers["X-Subject-Token"], document.get("project", {}).get("id")

    def stop(self):
        self.process.stop()
