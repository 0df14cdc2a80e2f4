"""How a hypervisor dies and comes back, per target."""
import os
import subprocess

from nova_http import wait_until


class Real:
    """The minicloud: a host is its nova-compute process."""

    def __init__(self, cloud):
        self.cloud = cloud
        here = os.path.dirname(os.path.abspath(__file__))
        self.script = os.path.join(here, "..", "..", "devstack", "minicloud", "compute.sh")

    def _run(self, verb, host):
        subprocess.run([self.script, verb, host], check=True, timeout=60, stdout=subprocess.DEVNULL)

    def kill(self, host):
        self._run("kill", host)

    def start(self, host):
        self._run("start", host)


class Sandbox:
    """`tachi sandbox`: the plug is an admin endpoint beside its Nova."""

    def __init__(self, cloud):
        self.cloud = cloud
        root = cloud.auth["auth_url"].split("/identity")[0]
        self.admin = root + "/admin"

    def _power(self, host, on):
        answer = self.cloud.http.post(
            "%s/hosts/%s/power" % (self.admin, host), json={"on": on}, timeout=30,
            headers={"X-Sandbox-Key": self.cloud.auth["password"]})
        answer.raise_for_status()

    def kill(self, host):
        self._power(host, False)

    def start(self, host):
        self._power(host, True)


def heal(cloud, adapter, hosts):
    """All of `hosts` up, enabled and not forced down. Enabled last: Nova tells Placement that a host is enabled only when
    it takes the service for up; otherwise the scheduler passes the host over for up to a minute."""
    for host in hosts:
        adapter.start(host)
    for host in hosts:
        wait_until("forced_down of %s to be lifted" % host,
                   lambda host=host: cloud.put_service(host, {"forced_down": False}).status_code == 200, 90)
    for host in hosts:
        wait_until("%s to be up" % host, lambda host=host: cloud.service(host)["state"] == "up", 90)
        if cloud.service(host)["status"] != "enabled":
            cloud.put_service(host, {"status": "enabled"})
