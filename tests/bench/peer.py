"""The `masakari` API from PyPI: with its defaults, and at its best (uWSGI, two processes, no random delay)."""
import configparser
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request


class Peer:
    def __init__(self, venv, work, region, database, rabbit):
        self.venv, self.work, self.database, self.rabbit = venv, work, database, rabbit
        self.region, self.process = region, None
        os.makedirs(work, exist_ok=True)
        paste = os.path.join(venv, "etc", "masakari", "api-paste.ini")
        shutil.copy(paste, os.path.join(work, "api-paste.ini"))

    def configure(self, port, **more):
        """Keystone's and Nova's side is what `tachi sandbox` wrote for us, word for word."""
        ours = configparser.RawConfigParser(strict=False)
        ours.read(os.path.join(self.region.work, "tachi.conf"))
        theirs = configparser.RawConfigParser()
        for name, value in ours["DEFAULT"].items():
            if name.startswith("os_"):
                theirs["DEFAULT"][name] = value
        theirs["DEFAULT"].update({
            "masakari_api_listen": "127.0.0.1", "masakari_api_listen_port": str(port), "transport_url": self.rabbit,
            "auth_strategy": "keystone", "log_file": os.path.join(self.work, "masakari.log"), **more})
        theirs["keystone_authtoken"] = {name: value for name, value in ours["keystone_authtoken"].items()
                                        if name not in ours["DEFAULT"]}
        theirs["wsgi"] = {"api_paste_config": os.path.join(self.work, "api-paste.ini")}
        theirs["database"] = theirs["taskflow"] = {"connection": self.database.url}
        self.conf = os.path.join(self.work, "masakari.conf")
        with open(self.conf, "w", encoding="utf-8") as f:
            theirs.write(f)
        self.url = "http://127.0.0.1:%d" % port

    def _run(self, *words):
        done = subprocess.run([os.path.join(self.venv, "bin", words[0]), *words[1:]], cwd=self.work, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise SystemExit("%s failed:\n%s%s%s" % (" ".join(words), done.stdout, done.stderr, self.said()))

    def make_schema(self):
        self._run("masakari-manage", "--config-file", self.conf, "db", "sync")

    def start(self, *words):
        environment = dict(os.environ, OS_MASAKARI_CONFIG_DIR=self.work, PYTHONWARNINGS="ignore")
        with open(os.path.join(self.work, "out"), "ab") as out:
            self.process = subprocess.Popen([os.path.join(self.venv, "bin", words[0]), *words[1:]], cwd=self.work,
                                            env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SystemExit("%s did not come up:\n%s" % (words[0], self.said()))
            time.sleep(0.2)

    def _answers(self):
        try:
            with urllib.request.urlopen(self.url + "/", timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def said(self):
        text = ""
        for name in ("out", "masakari.log"):
            path = os.path.join(self.work, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    text += f.read()[-3000:]
        return text

    def start_defaults(self, port):
        self.configure(port)
        self.start("masakari-api", "--config-file", self.conf)

    def start_best(self, port):
        # Without coordination the random delay is all that its defaults have against duplicates; at its best it has neither.
        self.configure(port, notification_delay_max="0")
        # Of uWSGI's ways to speak HTTP this one was the fastest; it closes each connection, which wrk notes as a broken read.
        self.start("uwsgi", "--http-socket", "127.0.0.1:%d" % port, "--module", "masakari.wsgi.api:application", "--master",
                   "--processes", "2", "--enable-threads", "--lazy-apps", "--die-on-term", "--disable-logging", "--need-app",
                   "--listen", "64", "--pyargv", "--config-file " + self.conf)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
