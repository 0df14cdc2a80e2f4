"""The kit (a private libvirtd and its guests), and our monitors beside it."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "lib"))
from ports import free_port

NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"


def until(what, ask, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        got = ask()
        if got:
            return got
        if time.monotonic() > deadline:
            raise RuntimeError("waited %s s for %s" % (seconds, what))
        time.sleep(0.02)


class Kit:
    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="tlv.")
        self.environment = dict(os.environ, FIXTURE_DIR=self.root)
        self("up", timeout=120)
        self.socket = os.path.join(self.root, "libvirt", "sock", "libvirt-sock")

    def __call__(self, *words, timeout=60, **environment):
        done = subprocess.run([os.path.join(HERE, "kit.sh"), *words], env=dict(self.environment, **environment), text=True,
                              capture_output=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise RuntimeError("kit.sh %s: %s" % (" ".join(words), done.stderr.strip()))
        return done.stdout.strip()

    def uri(self, driver="qemu:///system", read_only=True):
        scheme, path = driver.split(":///")
        return "%s+unix:///%s?socket=%s%s" % (scheme, path, self.socket, "-ro" if read_only else "")

    def virsh(self, script, driver):
        """Many commands in one process."""
        done = subprocess.run(["virsh", "-q", "-c", self.uri(driver, False)], input=script, text=True, capture_output=True,
                              timeout=120, check=False)
        if "error:" in done.stdout + done.stderr:
            raise RuntimeError("virsh: " + (done.stdout + done.stderr)[-500:])

    def gave_up(self, name):
        """Whether libvirt itself has noticed that the process of a guest is gone; by a question, not by an event."""
        done = subprocess.run(["virsh", "-q", "-c", self.uri(), "domstate", name], text=True, capture_output=True, timeout=30,
                              check=False)
        return done.stdout.strip() in ("shut off", "crashed") or "failed to get domain" in done.stderr

    def down(self):
        self("down", "--purge")


class Monitor:
    """A process of ours."""

    def __init__(self, binary, kind, folder, api, uri, options=()):
        self.binary, self.kind, self.folder = binary, kind, folder
        os.makedirs(folder, exist_ok=True)
        self.port = free_port()
        self.conf = os.path.join(folder, "masakarimonitors.conf")
        auth = getattr(api, "auth", None) or {
            "auth_url": "http://127.0.0.1:%d/identity" % api.port, "username": "m", "password": "p"}
        sections = {
            "DEFAULT": {"hostname": "compute-001"},
            "api": {"auth_type": "password", "project_name": "service", "user_domain_name": "Default", "region": "RegionOne",
                    "project_domain_name": "Default", **auth},
            "libvirt": {"connection_uri": uri},
            "monitor": {"state_path": os.path.join(folder, "state"), kind + "_listen": "127.0.0.1:%d" % self.port},
        }
        for section, name, value in options:
            sections.setdefault(section, {})[name] = value
        with open(self.conf, "w", encoding="utf-8") as f:
            for section, pairs in sections.items():
                f.write("[%s]\n%s" % (section, "".join("%s = %s\n" % pair for pair in pairs.items())))
        self.process = None

    def start(self, path=None):
        """`path`: where it looks for programs first."""
        env = dict(os.environ, PATH=path + ":" + os.environ["PATH"]) if path else None
        with open(os.path.join(self.folder, "log"), "ab") as out:
            self.process = subprocess.Popen([self.binary, self.kind, "--config-file", self.conf], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=subprocess.STDOUT, env=env)
        return self

    def health(self):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/healthz" % self.port, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)
        except OSError:
            return None

    def part(self, name):
        """What is wrong with a part; an empty text when it is well, nothing when the monitor does not answer."""
        health = self.health()
        return None if health is None else health["parts"].get(name, "")

    def waiting(self):
        """Returns the number of reports without an answer, which the monitor keeps."""
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.port, timeout=5) as answer:
            text = answer.read().decode()
        return float(re.search(r"^tachi_monitor_spool_reports ([0-9.e+-]+)$", text, re.M).group(1))

    def listening(self, seconds=20):
        """Waits until it has looked at all guests."""
        until("the monitor to hear libvirtd\n" + self.log()[-800:], lambda: "all guests were compared" in self.log(), seconds)
        return self

    def log(self):
        try:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return None if self.process is None else self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def rss(self):
        """Returns its resident memory, in MiB."""
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024

    def pss(self):
        """MiB, with each page that several processes use counted for its share."""
        with open("/proc/%d/smaps_rollup" % self.process.pid, encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("Pss:")) / 1024

    def cpu(self):
        """Seconds of a core so far."""
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
