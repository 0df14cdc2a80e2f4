"""The service under test: `tachi api`, or Masakari's own API beside it, on the same configuration."""
import http.client
import os
import subprocess

from region import Process, free_port

HERE = os.path.dirname(os.path.abspath(__file__))


class Service:
    """One process that answers the Instance-HA API."""

    upstream = False

    def __init__(self, region, database, folder, more=""):
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.folder = os.path.join(folder, "api-%d" % self.port)
        os.mkdir(self.folder)
        self.conf = os.path.join(self.folder, "service.conf")
        self.policy = os.path.join(self.folder, "policy.yaml")
        own = ("[DEFAULT]\nstate_path = %s\nmasakari_api_listen = 127.0.0.1\nmasakari_api_listen_port = %d\n"
               "notification_delay_max = 0\n[database]\nconnection = %s\n[oslo_policy]\npolicy_file = %s\n") % (
            self.folder, self.port, database.url, self.policy)
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(own + more)
        with open(self.policy, "w", encoding="utf-8") as f:
            f.write("{}\n")
        self.base_conf = os.path.join(region.folder, "tachi.conf")
        self.process = self.start()
        try:
            self.process.wait(self.healthy, "answer to /healthcheck")
        except BaseException:
            self.process.stop()
            raise

    def start(self):
        return Process([os.environ["TACHI"], "api", "--config-file", self.base_conf, "--config-file", self.conf],
                       os.path.join(self.folder, "api.log"))

    def healthy(self):
        try:
            connection = http.client.HTTPConnection(*self.address, timeout=10)
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status in (200, 503)
        except OSError:
            return False

    def stop(self):
        self.process.stop()


class Upstream(Service):
    """Masakari's API with an engine that does nothing."""

    upstream = True

    def start(self):
        with open(self.conf, "a", encoding="utf-8") as f:
            f.write("\n[DEFAULT]\ntransport_url = fake://\n[taskflow]\nconnection = sqlite://\n"
                    "[oslo_messaging_notifications]\ndriver = noop\n")
        venv = os.environ["TACHI_UPSTREAM_VENV"]
        files = ["--config-file", self.base_conf, "--config-file", self.conf]
        subprocess.run([os.path.join(venv, "bin", "masakari-manage"), *files, "db", "sync"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return Process([os.path.join(venv, "bin", "python"), os.path.join(HERE, "upstream_api.py"),
                        str(self.port), os.path.join(venv, "etc", "masakari", "api-paste.ini"), self.base_conf, self.conf],
                       os.path.join(self.folder, "api.log"))


def service_class():
    return Upstream if os.environ.get("TACHI_CONFORMANCE_TARGET") == "upstream" else Service
