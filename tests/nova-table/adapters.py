"""How a hypervisor dies and comes back, per target."""
import os
import subprocess
import time

from nova_http import Failed, wait_until


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

    def restart(self, host):
        """nova-compute, not the host."""
        self._run("crash", host)
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

    def restart(self, host):
        self.kill(host)
        self.start(host)


def lift(cloud, adapter, host, seconds=300):
    """Lifts forced_down. nova-compute closes one evacuation of each instance at a start, one by one, so an instance that was
    asked for twice takes two starts before Nova allows it. It is started again when it closes nothing any more."""
    end, before, since = time.monotonic() + seconds, None, time.monotonic()
    while cloud.put_service(host, {"forced_down": False}).status_code != 200:
        left = len(cloud.migrations("migration_type=evacuation&status=done&source_compute=" + host))
        if left != before:
            before, since = left, time.monotonic()
        elif time.monotonic() - since > 30:
            adapter.restart(host)
            since = time.monotonic()
        if time.monotonic() > end:
            raise Failed("forced_down of %s is refused after %d s: %d evacuations are done and not closed" % (host, seconds, left))
        time.sleep(0.5)


def heal(cloud, adapter, hosts):
    """All of `hosts` up, enabled and not forced down. Enabled last: Nova tells Placement that a host is enabled only when
    it takes the service for up; otherwise the scheduler passes the host over for up to a minute."""
    for host in hosts:
        adapter.start(host)
    for host in hosts:
        lift(cloud, adapter, host)
    for host in hosts:
        wait_until("%s to be up" % host, lambda host=host: cloud.service(host)["state"] == "up", 90)
        if cloud.service(host)["status"] != "enabled":
            cloud.put_service(host, {"status": "enabled"})
