"""A simulated region and `tachi serve` (or `api`) beside it with an ordinary configuration, each stopped by its pid."""
import os
import subprocess
import sys
import tempfile
import urllib.request

from stack import Stack

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ports import free_port

CLOUD = "tachi-sandbox"
UNITS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "systemd")


def heap_of(service):
    """What the package's unit of a service sets for its allocator; nothing for what has no unit."""
    unit = os.path.join(UNITS, "masakari-%s.service" % service)
    if not os.path.exists(unit):
        return {}
    with open(unit, encoding="utf-8") as f:
        words = [word for line in f if line.startswith("Environment=") for word in line.strip().removeprefix("Environment=").split()]
    return dict(word.split("=", 1) for word in words if word.startswith("MALLOC_"))


class Region(Stack):
    """`tachi sandbox`, and one Tachi service configured by its tachi.conf and by `options` (section, name, value)."""

    def __init__(self, binary, service="serve", options=(), arguments=("--hosts", "4"), environment=()):
        self.binary, self.cloud, self.service = os.path.abspath(binary), CLOUD, service
        self.work = tempfile.mkdtemp(prefix="tachi-region-")
        self.log = os.path.join(self.work, "sandbox.log")
        self.service_log = os.path.join(self.work, service + ".log")
        self.clouds_yaml = os.path.join(self.work, "clouds.yaml")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        self.environment.update(HOME=self.work, XDG_STATE_HOME=self.work, XDG_CONFIG_HOME=self.work, NO_COLOR="1")
        self.environment.update(environment)
        self.server = None
        self.process = self._start(["sandbox", "--clouds", self.clouds_yaml, "--state-dir", self.work, *arguments], self.log)
        try:
            self.clouds = self.wait(self._clouds, "a clouds.yaml")
            self.auth = self.clouds[CLOUD]["auth"]
            self.password = self.auth["password"]
            self.root = self.auth["auth_url"].split("/identity")[0]
            self.port = free_port()
            self.api = "http://127.0.0.1:%d" % self.port
            self.override = os.path.join(self.work, "override.conf")
            self.options = [("DEFAULT", "masakari_api_listen_port", self.port), *options]
            with open(self.override, "w", encoding="utf-8") as f:
                for section, name, value in self.options:
                    f.write("[%s]\n%s = %s\n" % (section, name, value))
            self.catalog(self.api + "/v1/$(tenant_id)s")
            self.start_service()
        except BaseException:
            self.stop()
            raise

    def _start(self, words, log):
        with open(log, "ab") as out:
            return subprocess.Popen([self.binary, *words], cwd=self.work, env={**self.environment, **heap_of(words[0])}, stdin=subprocess.DEVNULL,
                                    stdout=out, stderr=subprocess.STDOUT)

    def config_files(self):
        return ["--config-file", os.path.join(self.work, "tachi.conf"), "--config-file", self.override]

    def start_service(self):
        self.server = self._start([self.service, *self.config_files()], self.service_log)
        self.wait(self._healthy, "healthy API")

    def _healthy(self):
        if self.server.poll() is not None:
            raise SystemExit("tachi %s ended with %s:\n%s" % (self.service, self.server.returncode, self.service_output()))
        try:
            with urllib.request.urlopen(self.api + "/healthcheck", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def service_output(self):
        try:
            with open(self.service_log, encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def catalog(self, url, name="masakari"):
        """The catalog's entry for `instance-ha`; `$(tenant_id)s` becomes the token's project."""
        self.admin("POST", "/endpoints", {"type": "instance-ha", "name": name, "url": url})

    def stop_service(self):
        """The exit code of the service after SIGTERM."""
        code = None
        if self.server:
            sandbox, self.process = self.process, self.server
            try:
                code = super().stop()
            finally:
                self.process, self.server = sandbox, None
        return code

    def stop(self):
        code = self.stop_service()
        super().stop()
        return code
