"""A `tachi api` without a cloud, as a service manager runs it."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CONF = """[DEFAULT]
auth_strategy = noauth2
state_path = {work}
masakari_api_listen = 127.0.0.1
masakari_api_listen_port = {port}
os_privileged_user_auth_url = http://127.0.0.1:9/identity
os_privileged_user_name = nobody
os_privileged_user_password = {secret}
os_privileged_user_tenant = service
{default}
{more}
"""
# Becomes the service as a manager would start it: sockets are descriptors from 3 on, and the process ids are its own,
# which only the process itself knows beforehand.
BECOME = """import os, sys
if "LISTEN_FDS" in os.environ:
    os.dup2(int(sys.argv[1]), 3)
    os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
SECRET = "a-secret-that-nobody-may-see"


def wait(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("no %s within %s s" % (what, seconds))
        time.sleep(0.02)


class Service:
    """One process with a scratch directory; `watchdog` is the manager's limit in seconds."""

    def __init__(self, binary, default="", more="", inherit=False, watchdog=None, command="api"):
        self.work = tempfile.mkdtemp(prefix="tachi-service-")
        self.binary = binary
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(os.path.join(self.work, "notify"))
        self.notify.settimeout(20)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        if not inherit:
            self.listener.close()
        self.conf = os.path.join(self.work, "tachi.conf")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(CONF.format(work=self.work, port=1 if inherit else self.port, secret=SECRET, default=default, more=more))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OS_", "LISTEN_", "WATCHDOG_", "RUST_"))}
        environment.update(NOTIFY_SOCKET=self.notify.getsockname(), HOME=self.work, NO_COLOR="1")
        words = [binary, command, "--config-file", self.conf]
        if inherit or watchdog:
            words = [sys.executable, "-c", BECOME, str(self.listener.fileno()), *words]
        if watchdog:
            environment["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))
        if inherit:
            environment["LISTEN_FDS"] = "1"
        self.log = os.path.join(self.work, "log")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, pass_fds=[self.listener.fileno()] if inherit else [])
        self.told = []

    def __enter__(self):
        try:
            self.hear("READY=1")
        except AssertionError as error:
            self.end()
            raise AssertionError("%s\n%s" % (error, self.output())) from None
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.notify.close()
        self.listener.close()
        shutil.rmtree(self.work, ignore_errors=True)

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return re.sub(r"\x1b\[[0-9;]*m", "", f.read())

    def hear(self, word, seconds=20):
        """Waits until the service manager got `word`; returns the complete message."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError("the manager never heard %s, but %s" % (word, self.told))
            self.notify.settimeout(left)
            with contextlib.suppress(TimeoutError):
                message = self.notify.recv(4096).decode().splitlines()
                self.told.append(message)
                if word in message:
                    return message

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, head, body=b""):
        """One request on one connection; the whole answer."""
        with self.connect() as connection:
            connection.sendall(head.replace("\n", "\r\n").encode("latin-1") + body)
            return rest(connection)

    def get(self, path, *headers):
        lines = "".join(header + "\n" for header in headers)
        return self.send("GET %s HTTP/1.1\nHost: ha:15868\nConnection: close\n%s\n" % (path, lines))

    def signal(self, what):
        self.process.send_signal(what)

    def stopped(self, seconds=20):
        return self.process.wait(seconds)


def rest(connection):
    """What comes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).decode("latin-1")


TERM, HUP = signal.SIGTERM, signal.SIGHUP
