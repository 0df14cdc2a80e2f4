#!/usr/bin/env python3
"""Somebody watches a region in `tachi mon`, in a terminal of tmux: a host dies, a freeze is said by key, the terminal comes back as it was."""
import argparse
import datetime
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from checks import Checks

EVIL = "<script>\u001b[2J日本"
BEFORE = "this was here before"


class Cloud:
    """`tachi serve --sandbox`, stopped by its pid."""

    def __init__(self, binary, work):
        self.binary, self.work = binary, work
        self.log = os.path.join(work, "serve.log")
        self.conf = os.path.join(work, "state", "tachi.conf")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [binary, "serve", "--sandbox", "--bare", "--hosts", "4", "--instances", "8", "--rebuild-seconds", "0.2", "--state-dir", os.path.join(work, "state"),
                 "--clouds", os.path.join(work, "clouds.yaml")], cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        text = wait(lambda: (lambda t: t if "ready;" in t else None)(self.said()), 30) or ""
        if not text:
            raise SystemExit("the sandbox did not start:\n" + self.said())
        with open(os.path.join(work, "clouds.yaml"), encoding="utf-8") as f:
            clouds = f.read()
        self.password = re.search(r'password: "(\S+)"', clouds)[1]
        self.keystone = re.search(r"auth_url: (\S+)", clouds)[1]
        self.api = re.search(r"instance-ha (\S+)", text)[1]
        self.admin = re.search(r"^admin +(\S+)", text, re.M)[1]
        self.token = self._token()

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def _token(self):
        domain = {"name": "Default"}
        user = {"name": "admin", "domain": domain, "password": self.password}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": {"name": "admin", "domain": domain}}}}
        return self.ask("POST", self.keystone + "/auth/tokens", body, {}, "X-Subject-Token")

    @staticmethod
    def ask(method, url, body, headers, header=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers[header] if header else json.loads(answer.read() or b"null")

    def sandbox(self, path, body):
        return self.ask("POST", self.admin + path, body, {"X-Sandbox-Key": self.password})

    def ha(self, path, body):
        return self.ask("POST", self.api + path, body, {"X-Auth-Token": self.token})

    def protect(self):
        segment = self.ha("/segments", {"segment": {"name": "S1", "recovery_method": "auto", "service_type": "COMPUTE"}})["segment"]["uuid"]
        for number in range(1, 5):
            name = "compute-%03d" % number
            self.ha("/segments/%s/hosts" % segment, {"host": {"name": name, "type": "COMPUTE", "control_attributes": "SSH"}})

    def kill(self, host):
        self.sandbox("/hosts/%s/power" % host, {"on": False})
        at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
        payload = {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}
        self.ha("/notifications", {"notification": {"type": "COMPUTE_HOST", "hostname": host, "generated_time": at, "payload": payload}})

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class SlowKeystone(http.server.BaseHTTPRequestHandler):
    """Forwards each request to the sandbox's Keystone, long after a command would show what it waits for."""

    keystone, delay, asked = "", 1.5, 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        time.sleep(self.delay)
        request = urllib.request.Request(self.keystone + self.path, body, {"Content-Type": "application/json"}, method="POST")
        try:
            answer = urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            content, token = answer.read(), answer.headers["X-Subject-Token"]
            self.send_response(answer.status)
        if token:
            self.send_header("X-Subject-Token", token)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        SlowKeystone.asked += 1

    def log_message(self, *_):
        pass


class Terminal:
    """A terminal with a user. The server of tmux is our own, by its socket, and is stopped by it."""

    def __init__(self, work, width, height):
        self.socket, self.stopped = os.path.join(work, "tmux"), False
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "TMUX", "NO_COLOR"))}
        environment.update(TERM="xterm-256color", PS1="$ ", LC_ALL="C.UTF-8")
        self.environment = environment
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "bash --norc --noprofile")

    def _tmux(self, *words):
        return subprocess.run(["tmux", "-u", "-S", self.socket, *words], env=self.environment, check=True, capture_output=True, text=True).stdout

    def screen(self):
        return self._tmux("capture-pane", "-p")

    def type(self, text):
        self._tmux("send-keys", "-l", text)

    def press(self, *keys):
        self._tmux("send-keys", *keys)

    def resize(self, width, height):
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def alternate(self):
        return self._tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").strip()

    def stop(self):
        if not self.stopped:
            self._tmux("kill-server")
        self.stopped = True


def wait(until, seconds):
    end = time.monotonic() + seconds
    while True:
        found = until()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.05)


def runs(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
            return f.read().rsplit(") ", 1)[1][0] not in "ZX"
    except FileNotFoundError:
        return False


class Walk:
    def __init__(self, binary, work, checks, frame):
        self.binary, self.work, self.check, self.frame = binary, work, checks, frame
        self.cloud = Cloud(binary, work)
        self.terminal = Terminal(work, 100, 30)

    def shows(self, name, pattern, seconds=10):
        began = time.monotonic()
        found = wait(lambda: re.search(pattern, self.terminal.screen()), seconds)
        took = time.monotonic() - began
        self.check.that("%s (%.1f s)" % (name, took), found, self.terminal.screen())
        return took

    def start(self, *options):
        self.terminal.type("%s mon --config-file %s %s\n" % (self.binary, self.cloud.conf, " ".join(options)))

    def given_back(self, how):
        back = wait(lambda: self.terminal.alternate() == "0 1" and BEFORE in self.terminal.screen(), 5)
        self.check.that("%s gives the terminal back: screen, cursor" % how, back, (self.terminal.alternate(), self.terminal.screen()))
        self.terminal.type("stty -a | tr ';' '\\n' | grep -ow 'icanon\\|-icanon\\|echo\\|-echo' | tr '\\n' ' '; echo\n")
        self.shows("%s leaves lines and echo as they were" % how, r"(?m)^icanon echo", 5)
        self.terminal.type("clear; echo %s\n" % BEFORE)
        self.shows("one types on after %s" % how, r"(?m)^" + BEFORE, 5)

    def choose(self, host):
        """By the filter: the order of the rows is by how bad it is, and changes."""
        self.terminal.type("/" + host)
        self.terminal.press("Enter", "Home", "Escape")
        # An escape with the next key right behind it would be another key.
        self.shows("%s is chosen" % host, r"\A(?!(.*\n)*.*filter \")(.*\n)*>" + host, 3)

    def run(self):
        self.cloud.sandbox("/servers", {"count": 1, "host": "compute-002", "name": EVIL})
        self.cloud.protect()
        self.terminal.type("echo %s\n" % BEFORE)
        self.start()
        self.shows("the overview comes up", r"compute-001 .*● up")
        self.shows("with the engine and what it says of Nova", r"● engines 1/1 .*● nova")

        self.cloud.kill("compute-003")
        self.shows("a host that dies is seen within 2 s", r"compute-003 +R", 2)
        self.shows("and its recovery to its end, with the last steps", r"compute-003 +R\.M.*\n(.*\n)*.*last steps", 30)
        self.check.that("the host that needs something stands first", re.search(r"compute-003 (.*\n)+.*compute-001 ", self.terminal.screen()), self.terminal.screen())
        self.choose("compute-003")
        self.terminal.press("h")
        self.shows("and opened", r"── ?host compute-003|host compute-003 ─")
        self.terminal.press("Escape")
        self.shows("and closed", r">compute-003", 3)

        self.terminal.press("Tab")
        self.shows("a finding is chosen", r"(?m)^>[!✗?·]", 3)
        self.terminal.press("Enter")
        self.shows("and opened", r"─ finding [A-Z_]+ .*\n(.*\n)*.*see docs/findings/", 5)
        self.terminal.press("Escape")
        self.shows("and closed", r"(?m)^>[!✗?·]", 3)
        self.terminal.press("Escape")
        self.shows("and the hosts are chosen from again", r"(?m)^>compute-", 3)
        self.choose("compute-002")
        self.terminal.press("f")
        self.shows("a freeze shows its command", r"tachi freeze host --for=2h --reason= .*")
        self.terminal.press("Enter")
        self.terminal.type("new firmware")
        self.terminal.press("Enter")
        self.shows("which runs", r"compute-002 is frozen until (.*\n)*.*● done", 20)
        self.terminal.press("Enter")
        self.shows("and what it did is seen", r"compute-002 +\.F", 5)

        # The second host of four: a guard holds it.
        self.cloud.kill("compute-004")
        self.shows("a recovery that is held is seen", r"compute-004 +R.*on hold", 30)
        self.choose("compute-004")
        self.terminal.press("a")
        self.shows("approving shows its command", r"tachi recovery approve [0-9a-f-]+ --yes --reason=")
        self.terminal.type("compute-003")
        self.terminal.press("Enter")
        self.terminal.type("seen without power")
        self.terminal.press("Enter")
        self.shows("and wants the name of the host", r"does not match compute-004")
        self.terminal.press(*["BSpace"] * 11)
        self.terminal.type("compute-004")
        self.terminal.press("Enter", "Enter")
        self.shows("approved by key", r"approve of (.*\n)*.*● done", 20)
        self.terminal.press("Enter")
        self.shows("it continues to its end", r"compute-004 +R\.M.*HOST_NOT_BACK", 60)

        self.terminal.type(":")
        self.terminal.type("show compute-001 --if-fails")
        self.shows("a command is typed", r"tachi show compute-001 --if-fails")
        self.terminal.press("Enter")
        self.shows("and what it says is shown", r"if compute-001 failed now(.*\n)*.*● done", 10)
        self.terminal.press("Enter")
        self.choose("compute-001")
        self.terminal.press("d")
        self.shows("a drain shows its command", r"tachi host drain --for=2h --reason= --yes --no-follow ")
        self.terminal.press("Escape")

        self.terminal.resize(80, 24)
        self.shows("a smaller terminal is redrawn", r"compute-001 (.*\n)*.*q quit", 5)
        self.check.that("within its width", max(map(len, self.terminal.screen().splitlines())) <= 80, self.terminal.screen())
        self.terminal.resize(120, 30)
        if self.frame:
            time.sleep(1.5)
            with open(self.frame, "w", encoding="utf-8") as f:
                f.write(self.terminal.screen())
        self.terminal.press("q")
        self.given_back("q")

        self.start("--read-only")
        self.shows("read-only says so", r"READ-ONLY")
        self.terminal.press("C-c")
        self.given_back("Ctrl-C")
        self.start()
        self.shows("the overview comes up again", r"compute-001 .*● up")
        pid = self.child()
        self.check.that("mon runs", pid, pid)
        os.kill(pid, 15)
        self.given_back("SIGTERM")

        self.slow()
        self.start()
        self.shows("the overview comes up for the last time", r"compute-001 .*● up")
        pid = self.child()
        self.terminal.stop()
        self.check.that("it ends with its terminal", pid and wait(lambda: not runs(pid), 5), pid)

        once = [self.binary, "mon", "--config-file", self.cloud.conf, "--once"]
        done = subprocess.run(once, capture_output=True, text=True, timeout=30)
        self.check.that("--once prints one frame", done.returncode == 0 and "compute-001" in done.stdout and "\x1b" not in done.stdout, done)
        done = subprocess.run(once[:-1], capture_output=True, text=True, timeout=30)
        self.check.that("without a terminal it says what to do", done.returncode == 2 and "--once" in done.stderr, done)

    def slow(self):
        """What a command waits for is shown on standard error, and would be written over the screen."""
        SlowKeystone.keystone = self.cloud.keystone.removesuffix("/v3")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowKeystone)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open(os.path.join(self.work, "clouds.yaml"), encoding="utf-8") as f:
            clouds = f.read()
        path = os.path.join(self.work, "slow.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(clouds.replace(self.cloud.keystone, "http://127.0.0.1:%d/v3" % server.server_address[1]))
        self.terminal.type("OS_CLIENT_CONFIG_FILE=%s %s mon --os-cloud tachi-sandbox\n" % (path, self.binary))
        self.shows("the overview comes up although Keystone is slow", r"compute-001 .*● up", 20)
        screen = self.terminal.screen()
        self.check.that("no notice is written over it", SlowKeystone.asked and screen.startswith("tachi mon") and "waiting for" not in screen, screen)
        self.terminal.press("q")
        self.given_back("q")
        server.shutdown()
        server.server_close()

    def child(self):
        """The process that the shell in the terminal has started."""
        shell = int(self.terminal._tmux("display-message", "-p", "#{pane_pid}"))
        with open("/proc/%d/task/%d/children" % (shell, shell), encoding="utf-8") as f:
            children = f.read().split()
        return int(children[0]) if children else None

    def stop(self):
        self.terminal.stop()
        self.cloud.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--frame", help="a file for the screen after a host has died")
    arguments = parser.parse_args()
    checks = Checks()
    work = tempfile.mkdtemp(prefix="tachi-mon-")
    walk = Walk(os.path.abspath(arguments.tachi), work, checks, arguments.frame)
    try:
        walk.run()
    finally:
        walk.stop()
        shutil.rmtree(work)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
