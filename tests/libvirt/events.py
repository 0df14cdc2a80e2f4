"""What happens on a compute, over and over: guests and processes die, agents hang, the cluster says this and that."""
import collections
import json
import os
import signal
import subprocess
import time

from compute import RECORDED, entry
from guests import until

GUESTS = 3
LINUX = "instance-0000e17d"
WORKER, LOST = "tachi-worker-%d" % os.getpid(), "tachi-lost-%d" % os.getpid()


class Events:
    def __init__(self, kit, folder):
        self.kit, self.compute, self.count = kit, None, collections.Counter()
        os.makedirs(folder, exist_ok=True)
        self.pids = os.path.join(folder, "pids")
        self.scripts = {}
        for name in (WORKER, LOST):
            self.scripts[name] = os.path.join(folder, "start-%s.sh" % name)
            with open(self.scripts[name], "w", encoding="ascii") as f:
                f.write("#!/bin/bash\n(exec -a %s sleep 3600) </dev/null >/dev/null 2>&1 &\necho $! >'%s-%s'\n" % (
                    name, self.pids, name))
            os.chmod(self.scripts[name], 0o755)
        with open(os.path.join(folder, "process_list.yaml"), "w", encoding="ascii") as f:
            f.write(entry(WORKER, self.scripts[WORKER], self.scripts[WORKER]) + entry(LOST, self.scripts[LOST], "false"))
        self.states = sorted(name[:-len(".cib.xml")] for name in os.listdir(RECORDED) if name.endswith(".cib.xml"))
        agent = os.environ.get("TACHI_TEST_AGENT") or os.path.join(folder, "agent")
        subprocess.run([os.path.join(os.path.dirname(os.path.abspath(__file__)), "agent.sh"), agent], check=True, capture_output=True)
        for number in range(GUESTS):
            kit("domain", "victim-%d" % number, "halt")
        self.linux, self.hangs = kit("domain", LINUX, "linux", AGENT_DIR=agent), False

    @staticmethod
    def options():
        return [("process", "check_interval", "1"), ("process", "restart_retries", "1"), ("process", "restart_interval", "0"),
                ("introspectiveinstancemonitor", "guest_monitoring_interval", "1"),
                ("introspectiveinstancemonitor", "guest_monitoring_timeout", "1")]

    def run(self, seconds):
        """One of everything every second or so, for so long; how much of what has happened."""
        begun, turn = time.monotonic(), 0
        until("the agent to answer", lambda: self.mood() == "answers", 120)
        while time.monotonic() - begun < seconds:
            turn += 1
            victim = "victim-%d" % (turn % GUESTS)
            self.kit("kill", victim)
            self.count["guests killed"] += 1
            self.compute.cluster(self.states[turn % len(self.states)])
            self.count["states of the cluster"] += 1
            self.kill(WORKER)
            self.count["processes killed"] += 1
            if turn % 5 == 0:
                self.lose()
            if turn % 10 == 5:
                self.hang()
            until("%s to be down" % victim, lambda name=victim: "shut" in self.kit("virsh", "domstate", name))
            self.kit("virsh", "start", victim)
            time.sleep(0.5)
        if self.hangs:
            self.hang(end=True)
        self.compute.cluster("001-all-up")
        until("everything to be well again", lambda: not self.compute.unwell(), 60)
        until("every report to be delivered", lambda: not any(m.waiting() for m in self.compute.monitors), 60)
        return self.count

    def lose(self):
        """A process that its restart command does not bring back: reported, then started by an operator."""
        if self.kill(LOST):
            self.count["processes given up"] += 1
        else:
            subprocess.run([self.scripts[LOST]], check=True)

    def hang(self, end=False):
        """The guest hangs, and goes on in a later turn, once that was told."""
        if not self.hangs:
            self.kit("freeze", LINUX)
            self.hangs = True
        elif end or self.mood() == "told":
            until("the hang to be reported", lambda: self.mood() == "told", 60)
            self.kit("thaw", LINUX)
            self.count["agents hung"] += 1
            until("the agent to answer again", lambda: self.mood() == "answers", 60)
            self.hangs = False

    def mood(self):
        introspective = self.compute.monitors[-1]
        try:
            with open(os.path.join(introspective.folder, "state", "introspective", "guests.json"), encoding="utf-8") as f:
                return json.load(f)["guests"].get(self.linux, [0, None])[1]
        except OSError:
            return None

    def kill(self, name):
        """Whether it was there."""
        try:
            with open("%s-%s" % (self.pids, name), encoding="ascii") as f:
                os.kill(int(f.read()), signal.SIGKILL)
        except (OSError, ValueError):
            return False
        return True

    def end(self):
        for name in (WORKER, LOST):
            self.kill(name)
