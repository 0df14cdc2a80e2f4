"""The private RabbitMQ of the test run, killed and started again; see tests/lib/rabbitmq.sh."""
import os
import signal
import socket
import subprocess
import time
from urllib.parse import urlsplit


class Broker:
    def __init__(self):
        self.url = os.environ["TACHI_TEST_RABBIT_URL"]
        self.script = os.environ["TACHI_TEST_RABBIT_START"]
        self.folder = os.path.dirname(self.script)
        self.tls_port = int(os.environ["TACHI_TEST_RABBIT_TLS_PORT"])
        self.port = urlsplit(self.url).port
        self.process = None

    def _pids(self):
        """Of the node itself, whoever has started it: it is the only one that lives in this folder."""
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open("/proc/%s/cmdline" % name, "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"beam.smp") and self.folder.encode() in words:
                yield int(name)

    def kill(self):
        """As a power cut: nothing is said and nothing is written."""
        for pid in list(self._pids()):
            os.kill(pid, signal.SIGKILL)
        self.wait(lambda: not list(self._pids()) and not self.answers(), "the broker to be dead")
        if self.process:
            self.process.wait(30)

    def start(self):
        with open(os.path.join(self.folder, "log", "again"), "ab") as out:
            self.process = subprocess.Popen([self.script], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self.wait(self.answers, "the broker to answer", 90)

    def stop(self):
        """What was started here; the first one is the shell's."""
        if self.process and self.process.poll() is None:
            self.kill()

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                s.settimeout(2)
                s.sendall(b"AMQP\0\0\x09\x01")
                return s.recv(1) == b"\x01"
        except OSError:
            return False

    def control(self, *words):
        done = subprocess.run([self.script, "ctl", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=90, check=False)
        if done.returncode != 0:
            raise SystemExit("rabbitmqctl %s:\n%s%s" % (" ".join(words), done.stdout, done.stderr))
        return done.stdout

    @staticmethod
    def wait(condition, what, seconds=30):
        return wait(condition, what, seconds)


def wait(condition, what, seconds=30, every=0.05):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError("no %s within %s s" % (what, seconds))
        time.sleep(every)


class Silent:
    """A broker that takes connections and never says anything."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)
        self.url = "rabbit://guest:guest@127.0.0.1:%d/" % self.socket.getsockname()[1]

    def close(self):
        self.socket.close()
