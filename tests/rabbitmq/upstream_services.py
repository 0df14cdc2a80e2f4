"""Upstream's own API and engine from PyPI, beside our engine: the same database, the same broker, the same region."""
import json
import os
import signal
import subprocess
import tempfile

from peer import Peer
from region import free_port

PUBLISH = """
import sys, json, kombu
with kombu.Connection(sys.argv[1].replace("rabbit://", "amqp://")) as connection:
    exchange = kombu.Exchange("masakari", type="topic", passive=True)
    with connection.Producer(serializer=None) as producer:
        for body in json.load(sys.stdin):
            producer.publish(bytes.fromhex(body), exchange=exchange, routing_key="ha_engine",
                             content_type="application/json", content_encoding="utf-8")
"""


class Upstream:
    def __init__(self, venv, database, rabbit):
        self.venv, self.url, self.rabbit = venv, database, rabbit
        self.peer = self.engine = None
        self.work = tempfile.mkdtemp(prefix="tachi-upstream-")
        self.api = None

    def make_database(self):
        """By upstream's own migrations."""
        script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "upstream", "make.py")
        self._python(script, "--connection", self.url, "--create")

    def _python(self, *words, given=""):
        done = subprocess.run([os.path.join(self.venv, "bin", "python"), *words], cwd=self.work, input=given,
                              capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise SystemExit("%s:\n%s%s" % (words[0], done.stdout, done.stderr))

    def use(self, region):
        self.peer = Peer(self.venv, self.work, region, self, self.rabbit)

    def start_api(self, port=None, **more):
        self.peer.configure(port or free_port(), notification_delay_max="0", rpc_response_timeout="20", **more)
        self.peer.start("masakari-api", "--config-file", self.peer.conf)
        self.api = self.peer.url

    def start_engine(self):
        with open(os.path.join(self.work, "engine"), "ab") as out:
            self.engine = subprocess.Popen(
                [os.path.join(self.venv, "bin", "masakari-engine"), "--config-file", self.peer.conf], cwd=self.work,
                env=dict(os.environ, PYTHONWARNINGS="ignore"), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def stop_engine(self):
        if self.engine and self.engine.poll() is None:
            self.engine.send_signal(signal.SIGTERM)
            try:
                self.engine.wait(20)
            except subprocess.TimeoutExpired:
                self.engine.kill()
                self.engine.wait()

    def publish(self, *bodies):
        """Anything, where upstream's API puts its casts."""
        self._python("-c", PUBLISH, self.rabbit, given=json.dumps([body.hex() for body in bodies]))

    def stop(self):
        self.stop_engine()
        if self.peer:
            self.peer.stop()
