"""A simulated region whose Instance-HA service is Masakari's or ours, piece by piece, at one address.

Masakari's API and engine are the ones from PyPI, ours the binaries. Both have the same MariaDB and the same RabbitMQ.
"""
import json
import os
import subprocess
import sys
import time
import urllib.error

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, folder) for folder in ("client", "bench", "rabbitmq", "monitor-interop")]

from broker import wait  # noqa: E402
from field import Field, RegionOfBroker, stamp  # noqa: E402
from monitor import Monitor, notification  # noqa: E402
from upstream_services import Upstream  # noqa: E402

# Both wait so long after a report that nothing proves; Masakari's own is three minutes.
PATIENCE = 3
# Of Masakari: how soon it looks for what it has left undone. Its own are two minutes and one.
LOOKS = {"process_unfinished_notifications_interval": "2", "retry_notification_new_status_interval": "1",
         "wait_period_after_service_update": str(PATIENCE), "host": "control-1"}
ENDS = ("finished", "failed", "ignored")


class Quiet(RegionOfBroker):
    """Our API is started when its time has come."""

    wanted = False

    def start_service(self):
        if self.wanted:
            super().start_service()


class Cloud(Field):
    make_region = Quiet

    def __init__(self, tachi, monitor, venv, broker, database, hosts):
        self.upstream = Upstream(venv, database, broker)
        self.upstream.make_database()
        # As an adopted configuration: nothing of fence devices, nothing of evidence.
        options = [("DEFAULT", "wait_period_after_service_update", PATIENCE), ("fencing", "mode", "external")]
        super().__init__(tachi, broker, hosts=hosts, database=database, options=options)
        self.options, self.monitor_binary = options, monitor
        self.upstream.use(self.region)
        # A host that is cut off is down for Nova after two seconds, and a rebuild takes a moment.
        self.region.admin("POST", "/settings", {"service_down_millis": 2000, "rebuild_millis": 800, "conductor_rate": 2.0})
        self.ours, self.count, self.dead, self.reports, self.monitors = None, 0, {}, {}, []

    # --- the pieces ---

    def start_their_api(self):
        self.upstream.start_api(self.region.port, **LOOKS)

    def stop_their_api(self):
        self.upstream.peer.stop()

    def start_their_engine(self):
        if self.upstream.peer.conf is None:
            raise SystemExit("Masakari's API comes first: it writes the configuration")
        self.upstream.start_engine()

    def stop_their_engine(self):
        self.upstream.stop_engine()

    def sync(self):
        return self.operator("db", "sync")

    def start_our_api(self):
        self.region.wanted = True
        self.region.start_service()

    def stop_our_api(self):
        self.region.stop_service()

    def start_our_engine(self):
        self.count += 1
        self.ours = self.engine("engine-%d" % self.count, options=self.options)

    def stop_our_engine(self):
        if self.ours:
            self.ours.stop()
        self.ours = None

    # --- what happens meanwhile ---

    def boot(self, each):
        for host in self.hosts:
            self.dead[host] = None
            body = {"host": host, "count": each, "metadata": {"HA_Enabled": "True"}}
            self.reports[host] = {"servers": self.region.admin("POST", "/servers", body)["ids"], "ids": []}

    def next_host(self):
        return next(host for host in self.hosts if self.dead[host] is None)

    def die(self, host):
        self.dead[host] = time.monotonic()
        self.region.admin("POST", "/hosts/%s/power" % host, {"on": False})

    def report_as_masakari(self, host):
        """As Masakari's monitor: again and again until somebody accepts it. True if it was accepted."""
        body = {"notification": {"type": "COMPUTE_HOST", "hostname": host, "generated_time": stamp(), "payload": {
            "event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"}}}
        try:
            status, said = self.call("POST", "/notifications", body)
        except (urllib.error.URLError, OSError):
            return False
        if status == 202:
            self.reports[host]["ids"].append(said["notification"]["notification_uuid"])
        elif status != 409 and status < 500:
            raise SystemExit("the report of %s: %s %s" % (host, status, said))
        return status in (202, 409)

    def report_as_ours(self, host):
        """Our own monitor has it in its spool, and goes on until it is delivered."""
        auth = self.region.auth
        api = {"auth_url": auth["auth_url"], "username": auth["username"], "password": auth["password"], "region": "RegionOne",
               "project_name": auth["project_name"], "user_domain_name": "Default", "project_domain_name": "Default"}
        monitor = Monitor(self.monitor_binary, os.path.join(self.region.work, "monitor-" + host), api)
        body = notification("COMPUTE_HOST", host, stamp(), {
            "event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"})
        monitor.spool([(host, body, None)])
        self.monitors.append(monitor.start())
        return monitor

    # --- what came of it ---

    def upgrade_check(self):
        """Exit code, and by the name of each check its result and details."""
        done = subprocess.run([self.region.binary, "doctor", "--upgrade", "-f", "json", *self.region.config_files()],
                              cwd=self.region.work, env=self.region.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)
        checks = json.loads(done.stdout)["checks"]
        return done.returncode, {one["check"]: (one["result"], one["details"] or "") for one in checks}

    def notifications(self):
        status, told = self.call("GET", "/notifications?limit=1000")
        if status != 200:
            raise SystemExit("no notifications: %s %s" % (status, told))
        return told["notifications"]

    def lost(self, host):
        """Its instances that do not run elsewhere."""
        shown = [self.region.admin("GET", "/servers/" + server)["server"] for server in self.reports[host]["servers"]]
        return [one for one in shown if self.dead.get(one["host"]) is not None]

    def doubles(self):
        return self.region.admin("GET", "/ledger")["doubles"]

    def said(self):
        text = self.upstream.peer.said() if self.upstream.peer else ""
        text += self.region.service_output()[-2000:]
        for engine in self.engines:
            text += "---- %s\n%s" % (engine.name, engine.said()[-3000:])
        for monitor in self.monitors:
            text += "---- monitor\n%s" % monitor.said()[-500:]
        return text

    def stop(self):
        for monitor in self.monitors:
            monitor.stop()
        super().stop()
        self.upstream.stop()


def until_ended(cloud, hosts, seconds=90):
    """Every host has a notification that came to its end, and none is open."""
    def look():
        found = cloud.notifications()
        ended = {one["source_host_uuid"] for one in found if one["status"] in ENDS}
        return len(ended) >= len(hosts) and all(one["status"] in ENDS for one in found) and found
    try:
        return wait(look, "an end of all notifications", seconds, 0.3)
    except TimeoutError:
        return cloud.notifications()


def dump(found):
    return json.dumps([{key: one[key] for key in ("notification_uuid", "status", "payload")} for one in found])[:3000]
