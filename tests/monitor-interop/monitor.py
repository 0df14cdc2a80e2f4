"""One of our monitors as a process, and a spool that was written before it started."""
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
import zlib

from region import free_port


def line(value):
    """A line of the spool: checksum, blank, JSON."""
    text = json.dumps(value, separators=(",", ":"))
    return "%08x %s\n" % (zlib.crc32(text.encode()), text)


def notification(kind, hostname, generated, payload):
    return json.dumps({"notification": {"type": kind, "hostname": hostname, "generated_time": generated, "payload": payload}})


class Monitor:
    def __init__(self, binary, work, api, process_list=(), hostname="compute-001", more=None, kind="process"):
        self.binary, self.work, self.process, self.port, self.kind = binary, work, None, free_port(), kind
        os.makedirs(work, exist_ok=True)
        self.list, self.conf, self.log = (os.path.join(work, name) for name in ("process_list.yaml", "monitor.conf", "log"))
        self.write_list(process_list)
        sections = {"DEFAULT": {"hostname": hostname, "debug": "true"}, "api": api,
                    "process": {"process_list_path": self.list, "check_interval": "1", "restart_retries": "1", "restart_interval": "0"},
                    "monitor": {"state_path": work, "%s_listen" % kind: "127.0.0.1:%d" % self.port, "retry_min": "0.05", "retry_max": "0.5"}}
        for section, options in (more or {}).items():
            sections.setdefault(section, {}).update(options)
        with open(self.conf, "w", encoding="utf-8") as f:
            for section, options in sections.items():
                f.write("[%s]\n%s" % (section, "".join("%s = %s\n" % pair for pair in options.items())))

    def write_list(self, entries):
        keys = ("start_command", "pre_start_command", "post_start_command", "restart_command", "pre_restart_command",
                "post_restart_command")
        whole = [{**{key: "" for key in keys}, "run_as_root": False, **entry} for entry in entries]
        with open(self.list + ".new", "w", encoding="utf-8") as f:
            json.dump(whole, f)
        os.rename(self.list + ".new", self.list)

    def spool(self, notifications):
        """As if they had been reported before; (subject, body, header) each."""
        folder = os.path.join(self.work, "process", "spool")
        os.makedirs(folder, exist_ok=True)
        at = {"wall": int(time.time() * 1e6), "up": 0, "boot": "before"}
        with open(os.path.join(folder, "queue"), "a", encoding="utf-8") as f:
            for seq, (subject, body, header) in enumerate(notifications, 1):
                f.write(line({"put": {"seq": seq, "at": at, "subject": subject, "body": body,
                                      **({"header": header} if header else {})}}))

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen([self.binary, self.kind, "--config-file", self.conf], cwd=self.work,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                            env={"PATH": os.environ["PATH"], "NO_COLOR": "1"})
        return self

    def run(self, *words):
        return subprocess.run([self.binary, *words, "--config-file", self.conf], capture_output=True, text=True, timeout=60,
                              check=False, env={"PATH": os.environ["PATH"]})

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """The exit code after SIGTERM."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode if self.process else None

    def get(self, path):
        """Status and body of its health listener; None while it does not listen."""
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.port, path), timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return None, ""

    def metric(self, name):
        found = re.search(r"^%s ([0-9.e+-]+)$" % re.escape(name), self.get("/metrics")[1], re.M)
        return float(found.group(1)) if found else None

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def rss_kib(self):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until(what, ask, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        got = ask()
        if got:
            return got
        if time.monotonic() > deadline:
            raise RuntimeError("waited %s s for %s" % (seconds, what))
        time.sleep(0.05)
