"""A simulated region with an API, and engines as processes of their own that only the broker connects to the API."""
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request

from broker import wait
from region import Region, free_port

SECONDS = 2.0


class Engine:
    """One `tachi engine` with a folder of its own, so that no socket wakes it."""

    def __init__(self, field, name, options=(), words=(), url=None):
        self.name, self.log = name, os.path.join(field.region.work, name + ".log")
        folder = os.path.join(field.region.work, name)
        os.makedirs(folder, exist_ok=True)
        self.metrics = free_port()
        conf = os.path.join(folder, "engine.conf")
        url = url or field.url
        lines = [("DEFAULT", "host", name), ("DEFAULT", "state_path", folder), ("DEFAULT", "transport_url", url),
                 ("engine", "metrics_listen", "127.0.0.1:%d" % self.metrics), *field.shared, *options]
        with open(conf, "w", encoding="utf-8") as f:
            for section, option, value in lines:
                f.write("[%s]\n%s = %s\n" % (section, option, value))
        tachi_conf = os.path.join(field.region.work, "tachi.conf")
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                [field.region.binary, "engine", "--config-file", tachi_conf, "--config-file", conf, *words],
                cwd=folder, env=field.region.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def until_said(self, text, seconds=30):
        def look():
            if text in self.said():
                return True
            if self.process.poll() is not None:
                raise SystemExit("%s ended with %s:\n%s" % (self.name, self.process.returncode, self.said()))
            return False
        try:
            return wait(look, "%r in the log of %s" % (text, self.name), seconds)
        except TimeoutError as error:
            raise SystemExit("%s:\n%s" % (error, self.said()[-4000:]))

    def numbers(self, name):
        """Lines of its metrics that begin with `name`."""
        url = "http://127.0.0.1:%d/metrics" % self.metrics
        with urllib.request.urlopen(url, timeout=5) as answer:
            text = answer.read().decode()
        return [line for line in text.splitlines() if line.startswith(name)]

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class Field:
    @staticmethod
    def make_region(*more):
        return RegionOfBroker(*more)

    def __init__(self, binary, url, sweep=SECONDS, hosts=6, database=None, options=()):
        self.url, self.engines = url, []
        self.shared = [("recovery", "sweep_interval", sweep)]
        if database:
            self.shared.append(("database", "connection", database))
        mine = [("DEFAULT", "transport_url", url), ("healthcheck", "backends", "disable_by_file,broker"),
                ("healthcheck", "detailed", "true"), *self.shared, *options]
        self.region = self.make_region(binary, mine, hosts)
        if not database:
            self.shared.append(("database", "connection", "sqlite:///" + self.region.database))
        self.token = self._token()
        self.count = 0

    def engine(self, name, until="engine starts", **more):
        engine = Engine(self, name, **more)
        self.engines.append(engine)
        if until:
            engine.until_said(until)
        return engine

    def _token(self):
        auth = self.region.auth
        domain = {"name": auth.get("user_domain_name", "Default")}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": auth["username"], "domain": domain, "password": auth["password"]}}},
            "scope": {"project": {"name": auth["project_name"], "domain": domain}}}}
        request = urllib.request.Request(auth["auth_url"].rstrip("/") + "/auth/tokens", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers["X-Subject-Token"]

    def call(self, method, path, body=None, api=None, seconds=30):
        """Status and body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request((api or self.region.api) + "/v1" + path, data, {
            "X-Auth-Token": self.token, "Content-Type": "application/json", "OpenStack-API-Version": "instance-ha 1.3"},
            method=method)
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def protect(self, api=None):
        """A segment with every host of the region."""
        body = {"segment": {"name": "all", "recovery_method": "auto", "service_type": "COMPUTE"}}
        status, made = self.call("POST", "/segments", body, api)
        if status != 201:
            raise SystemExit("no segment: %s %s" % (status, made))
        self.segment = made["segment"]["uuid"]
        self.hosts = [host["name"] for host in self.region.admin("GET", "/hosts")]
        for name in self.hosts:
            body = {"host": {"name": name, "type": "COMPUTE", "control_attributes": "SSH"}}
            status, made = self.call("POST", "/segments/%s/hosts" % self.segment, body, api)
            if status != 201:
                raise SystemExit("no host %s: %s %s" % (name, status, made))

    def report(self, api=None, seconds=30):
        """A process that nobody has reported before; gives the notification and the seconds the POST took."""
        self.count += 1
        host = self.hosts[self.count % len(self.hosts)]
        body = {"notification": {"type": "PROCESS", "hostname": host, "generated_time": stamp(),
                                 "payload": {"event": "STARTED", "process_name": "process-%d" % self.count}}}
        return self._post(body, api, seconds)

    def report_host(self, host, api=None):
        body = {"notification": {"type": "COMPUTE_HOST", "hostname": host, "generated_time": stamp(), "payload": {
            "event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"}}}
        return self._post(body, api, 30)

    def _post(self, body, api, seconds):
        began = time.monotonic()
        status, said = self.call("POST", "/notifications", body, api, seconds)
        if status != 202:
            raise SystemExit("the notification was not accepted: %s %s" % (status, said))
        return said["notification"]["notification_uuid"], time.monotonic() - began

    def status(self, notification):
        return self.call("GET", "/notifications/" + notification)[1]["notification"]["status"]

    def begun(self, notification, seconds=20):
        """Seconds until somebody has begun to work on it."""
        began = time.monotonic()
        wait(lambda: self.status(notification) != "new", "beginning of %s" % notification, seconds, 0.02)
        return time.monotonic() - began

    def ended(self, notification, seconds=60):
        return wait(lambda: self.status(notification) in ("finished", "failed", "ignored") and self.status(notification),
                    "end of %s" % notification, seconds)

    def operator(self, *words):
        """What a command of the operator says, on the configuration of the API."""
        done = subprocess.run([self.region.binary, *words, *self.region.config_files()], cwd=self.region.work,
                              env=self.region.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        if done.returncode != 0:
            raise SystemExit("tachi %s: %s\n%s%s" % (words, done.returncode, done.stdout, done.stderr))
        return done.stdout

    def health(self):
        try:
            with urllib.request.urlopen(self.region.api + "/healthcheck", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self):
        for engine in self.engines:
            engine.stop()
        self.region.stop()
        self.region.remove()


class RegionOfBroker(Region):
    """The API's health is the broker's too, which is not what we wait for."""

    def __init__(self, binary, options, hosts):
        super().__init__(binary, service="api", options=options, arguments=("--hosts", str(hosts)))

    @property
    def database(self):
        return os.path.join(self.work, "tachi.sqlite")

    def _healthy(self):
        if self.server.poll() is not None:
            raise SystemExit("tachi %s ended with %s:\n%s" % (self.service, self.server.returncode, self.service_output()))
        try:
            with urllib.request.urlopen(self.api + "/", timeout=5) as answer:
                return answer.status < 400
        except OSError as error:
            return isinstance(error, urllib.error.HTTPError) and error.code == 300


def stamp():
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
