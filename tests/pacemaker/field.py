"""The cluster of cluster.sh, a recorder in its network, and one bridge per node."""
import datetime
import grp
import json
import os
import pwd
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KIT = os.path.join(HERE, "cluster.sh")
API = "10.88.0.1"
PORT = 15868

# How the cluster watches a remote: as the charms set it up, and so that it notices sooner.
CHARMS = {"REMOTE_MONITOR": "30s", "REMOTE_TIMEOUT": "20s", "REMOTE_RECONNECT": "60s"}
TUNED = {"REMOTE_MONITOR": "5s", "REMOTE_TIMEOUT": "15s", "REMOTE_RECONNECT": "5s"}

CONF = """[DEFAULT]
hostname = {node}
[api]
auth_url = {auth}
username = {user}
password = {password}
project_name = {project}
user_domain_name = Default
project_domain_name = Default
region = {region}
[monitor]
state_path = {state}
retry_max = 2
[host]
disable_ipmi_check = true
restrict_to_remotes = {remotes}
started_after = 5
report_lost_after = {lost}
takeover_delay = 3
standby_interval = 5
power_fence_agents = fence_fixture
"""


def wait(condition, what, seconds=60.0, pause=0.05):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("no %s within %s s" % (what, seconds))
        time.sleep(pause)


class Field:
    """Nodes are `ctl1..3` and `cmp1..2`."""

    def __init__(self, monitor, work, prefix, computes=2, alerts=True, api=None, timings=TUNED):
        self.monitor = monitor
        self.work = work
        self.bridges = {}
        self.alerts = alerts
        self.api = api or {"auth": "http://%s:%d/v3" % (API, PORT), "user": "u", "password": "p", "project": "services",
                           "region": "RegionOne"}
        self.env = dict(os.environ, FIXTURE_DIR=os.path.join(work, "f"), FIXTURE_PREFIX=prefix, COMPUTES=str(computes),
                        **timings, FIXTURE_TTL=os.environ.get("FIXTURE_TTL", "3600"))
        if alerts:
            agent = os.path.join(work, "tachi-pacemaker-alert")
            os.symlink(os.path.abspath(monitor), agent)
            self.env["ALERT_AGENT"] = agent
        os.makedirs(self.env["FIXTURE_DIR"], exist_ok=True)
        self.computes = ["cmp%d" % (i + 1) for i in range(computes)]
        self.controls = ["ctl1", "ctl2", "ctl3"]
        self.recorder = None
        self.more = ""
        self.kit("up", seconds=240)

    def kit(self, *args, seconds=60, check=True):
        done = subprocess.run([KIT, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=seconds, check=False)
        if check and done.returncode != 0:
            raise AssertionError("cluster.sh %s: %d: %s%s" % (" ".join(args), done.returncode, done.stdout, done.stderr))
        return done.stdout

    def record(self):
        folder = os.path.join(self.work, "api")
        os.makedirs(folder, exist_ok=True)
        nodes = os.path.join(self.env["FIXTURE_DIR"], "cluster", "proc")
        self.recorder = self.spawn("lan", [sys.executable, os.path.join(HERE, "recorder.py"), API, str(PORT), folder, nodes],
                                   os.path.join(self.work, "recorder.log"))

    def spawn(self, node, command, log):
        with open(log, "ab") as out:
            return subprocess.Popen([KIT, "exec", node, *command], env=dict(self.env, EXEC_TIMEOUT="0"), stdin=subprocess.DEVNULL,
                                    stdout=out, stderr=out, start_new_session=True)

    def posts(self):
        try:
            with open(os.path.join(self.work, "api", "posts"), encoding="utf-8") as file:
                return [json.loads(line) for line in file.read().splitlines()]
        except FileNotFoundError:
            return []

    def accepted(self):
        return [post for post in self.posts() if post["code"] == 202]

    def away(self, away):
        path = os.path.join(self.work, "api", "away")
        if away:
            with open(path, "w", encoding="ascii"):
                pass
        else:
            os.unlink(path)

    # --- bridges

    def config(self, node):
        return os.path.join(self.work, node + ".conf")

    def bridge(self, node, lost=20, remotes="false"):
        state = os.path.join(self.work, "state-" + node)
        os.makedirs(state, exist_ok=True)
        # As the unit runs it: no root, only the group that may speak to Pacemaker.
        user, group = pwd.getpwnam("daemon").pw_uid, grp.getgrnam("haclient").gr_gid
        os.chown(state, user, group)
        self.kit("exec", node, "install", "-d", "-o", str(user), "-g", str(group), "-m", "755", "/run/tachi-monitor/host")
        with open(self.config(node), "w", encoding="utf-8") as file:
            file.write(CONF.format(node=node, state=state, lost=lost, remotes=remotes, **self.api) + self.more)
        log = os.path.join(self.work, "bridge-%s.log" % node)
        become = ["setpriv", "--reuid", str(user), "--regid", str(group), "--clear-groups"]
        self.bridges[node] = self.spawn(node, become + [self.monitor, "host", "--config-file", self.config(node)], log)

    def bridge_pids(self, node):
        """Its processes as this machine numbers them."""
        pids = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open("/proc/%s/cmdline" % name, "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words and words[0].decode(errors="replace") == self.monitor and self.config(node).encode() in words:
                pids.append(int(name))
        return pids

    def kill_bridge(self, node, how=signal.SIGKILL):
        for pid in self.bridge_pids(node):
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass
        process = self.bridges.pop(node, None)
        if not process:
            return
        if how == signal.SIGKILL:
            # Its nsenter and timeout too: nsenter stops itself when its child is stopped and would then never tell of
            # the child's death, and a bridge of a moment ago may not have the monitor's name yet.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait(30)

    def watching(self, node):
        """It has looked and found the cluster well."""
        try:
            with open(os.path.join(self.work, "state-" + node, "host", "pacemaker.json"), encoding="utf-8") as file:
                return all(past.get("verdict") for past in json.load(file)["history"]["nodes"].values())
        except (OSError, ValueError):
            return False

    def told(self, bridge, node):
        """Returns the last report about a node that the bridge on another one knows."""
        try:
            with open(os.path.join(self.work, "state-" + bridge, "host", "pacemaker.json"), encoding="utf-8") as file:
                return json.load(file)["ledger"]["nodes"].get(node, {}).get("said")
        except (OSError, ValueError):
            return None

    def seconds_of_cpu(self, node):
        """What the bridge on a node has used, and what the programs that it ran have."""
        own, programs = 0.0, 0.0
        for pid in self.bridge_pids(node):
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
                ticks = file.read().rpartition(") ")[2].split()[11:15]
            own += sum(map(int, ticks[:2])) / os.sysconf("SC_CLK_TCK")
            programs += sum(map(int, ticks[2:])) / os.sysconf("SC_CLK_TCK")
        return own, programs

    # --- the cluster

    def fenced_at(self, node, since):
        """Returns the time when the switch had turned the node off, as the fence agent reported it to Pacemaker."""
        path = os.path.join(self.env["FIXTURE_DIR"], "cluster", "fence", "log")
        if not os.path.exists(path):
            return None
        with open(path, encoding="ascii") as file:
            for line in file:
                at, action, target, outcome = line.split()
                at = parse(at)
                if at > since and target == node and action in ("off", "reboot") and outcome == "done":
                    return at
        return None

    def mon(self, node=None):
        for one in [node] if node else self.controls:
            text = self.kit("exec", one, "crm_mon", "--output-as=xml", check=False)
            if "<pacemaker-result" in text:
                return text
        return ""

    def dc(self):
        found = re.search(r'<current_dc present="true"[^>]* name="([^"]*)"', self.mon())
        return found.group(1) if found else None

    def all_up(self):
        return subprocess.run([KIT, "status"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              check=False, timeout=60).returncode == 0

    def back(self, node, seconds=120):
        self.kit("start", node)
        self.kit("wait", node, "up", str(seconds), seconds=seconds + 30)

    def stop(self):
        for node in list(self.bridges):
            self.kill_bridge(node)
        if self.recorder:
            os.killpg(self.recorder.pid, signal.SIGTERM)
            self.recorder.wait(10)
        self.kit("down", "--purge", seconds=120, check=False)


def parse(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
