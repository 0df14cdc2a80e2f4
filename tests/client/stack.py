"""Starts `tachi serve --sandbox` for a test and stops it by pid."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

import yaml


class Stack:
    """One `tachi serve --sandbox` with a scratch directory of its own."""

    def __init__(self, binary, cloud="tachi-sandbox", arguments=()):
        self.binary, self.cloud = binary, cloud
        self.work = tempfile.mkdtemp(prefix="tachi-client-")
        self.log = os.path.join(self.work, "serve.log")
        environment = dict(os.environ, HOME=self.work, XDG_STATE_HOME=self.work, XDG_CONFIG_HOME=self.work, NO_COLOR="1")
        for name in list(environment):
            if name.startswith("OS_"):
                del environment[name]
        self.clouds_yaml = os.path.join(self.work, "clouds.yaml")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [binary, "serve", "--sandbox", "--bare", "--clouds", self.clouds_yaml, "--state-dir", self.work, *arguments],
                cwd=self.work, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        try:
            self.clouds = self.wait(self._clouds, "a clouds.yaml")
            auth = self.clouds[cloud]["auth"]
            self.password = auth["password"]
            self.root = auth["auth_url"].split("/identity")[0]
            self.wait(self._ready, "the API to be in the catalog and healthy")
        except BaseException:
            self.stop()
            raise

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait(self, condition, what, seconds=30):
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if self.process.poll() is not None:
                raise SystemExit("tachi serve --sandbox ended with %s:\n%s" % (self.process.returncode, self.output()))
            if time.monotonic() > deadline:
                raise SystemExit("no %s within %s s:\n%s" % (what, seconds, self.output()))
            time.sleep(0.1)

    def _clouds(self):
        try:
            with open(self.clouds_yaml, encoding="utf-8") as f:
                clouds = yaml.safe_load(f)["clouds"]
        except (OSError, TypeError, KeyError, yaml.YAMLError):
            return None
        return clouds if self.cloud in clouds else None

    def _ready(self):
        url = self.instance_ha_url()
        if not url:
            return False
        parts = url.split("/")
        try:
            with urllib.request.urlopen("/".join(parts[:3]) + "/healthcheck", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def instance_ha_url(self):
        auth = self.clouds[self.cloud]["auth"]
        domain = {"name": auth.get("user_domain_name", "Default")}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": auth["username"], "domain": domain, "password": auth["password"]}}},
            "scope": {"project": {"name": auth["project_name"], "domain": domain}}}}
        request = urllib.request.Request(
            auth["auth_url"].rstrip("/") + "/auth/tokens", json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                catalog = json.load(answer)["token"]["catalog"]
        except OSError:
            return None
        return next((e["url"] for s in catalog if s["type"] == "instance-ha" for e in s["endpoints"]), None)

    def admin(self, method, path, body=None):
        """A call of the sandbox's admin endpoint."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + "/admin" + path, data, {
            "Content-Type": "application/json", "X-Sandbox-Key": self.password}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def tachi(self, *words):
        """A command of the operator on the same configuration: exit code, and all it says."""
        done = subprocess.run([self.binary, *words, "--config-file", os.path.join(self.work, "tachi.conf")],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=30, check=False)
        return done.returncode, done.stdout

    def stop(self):
        """SIGTERM drains; whatever is left after ten seconds is killed. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def remove(self):
        shutil.rmtree(self.work, ignore_errors=True)
