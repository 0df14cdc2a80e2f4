"""BMCs and Redfish services on this machine, each stopped by its pid."""
import base64
import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "lib"))
from ports import free_port

USER, PASSWORD = "fencer", "s3cret-of-fixture"


def wait(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("no %s within %s s" % (what, seconds))
        time.sleep(0.05)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def write(path, text, mode=0o600):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as f:
        f.write(text)


class Process:
    """A program that runs until stopped."""

    def __init__(self, name, words, folder):
        self.name, self.log = name, os.path.join(folder, name + ".log")
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def alive(self):
        if self.process.poll() is not None:
            raise AssertionError("%s ended with %s:\n%s" % (self.name, self.process.returncode, read(self.log)))
        return True

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Bmc:
    """One ipmi_sim with one machine behind it."""

    def __init__(self, name, work, guid="a123456789abcdefa123456789abcdef", chassis=None):
        """`chassis`: the program that switches the machine, in place of chassis.sh."""
        self.name, self.folder, self.guid = name, os.path.join(work, name), guid
        self.chassis = chassis or "%s %s" % (os.path.join(HERE, "chassis.sh"), self.folder)
        os.makedirs(os.path.join(self.folder, "state"))
        self.machine("1", "honest")
        self.start(free_port(socket.SOCK_DGRAM))

    def start(self, port):
        self.port, name = port, self.name
        lan, emu = os.path.join(self.folder, "lan.conf"), os.path.join(self.folder, "bmc.emu")
        write(lan, '\n'.join([
            'name "%s"' % name, "set_working_mc 0x20", "startlan 1", "addr 127.0.0.1 %d" % self.port, "priv_limit admin",
            *("allowed_auths_%s none md2 md5 straight" % level for level in ("callback", "user", "operator", "admin")),
            "guid " + self.guid, "endlan",
            'chassis_control "%s 0x20"' % self.chassis,
            'user 2 true "%s" "%s" admin 10 none md2 md5 straight' % (USER, PASSWORD), ""]))
        write(emu, "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n"
                   "sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n")
        self.process = Process(name, ["ipmi_sim", "-c", lan, "-f", emu, "-s", os.path.join(self.folder, "state"), "-n"], self.folder)
        wait(name, self._listens)

    def swap(self, other):
        """Each answers under the other's address from now on, as with two mixed-up cables."""
        self.stop()
        other.stop()
        ours, theirs = self.port, other.port
        self.start(theirs)
        other.start(ours)

    def _listens(self):
        """ipmi_sim has bound its port: seen in the kernel's table, so that no session is spent on it."""
        self.process.alive()
        return "0100007F:%04X " % self.port in read("/proc/net/udp")

    def machine(self, power, mode):
        for name in ("due", "journal"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                os.remove(path)
        write(os.path.join(self.folder, "power"), power + "\n")
        write(os.path.join(self.folder, "mode"), mode + "\n")

    def journal(self):
        return read(os.path.join(self.folder, "journal")).split("\n")[:-1]

    def device(self, **more):
        return dict(type="ipmi", host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, cipher_suite=3, **more)

    def stop(self):
        self.process.stop()


class Redfish:
    """One sushy-emulator with made-up systems, over HTTP or HTTPS."""

    def __init__(self, name, work, venv, systems, tls=None):
        self.name, self.folder = name, os.path.join(work, name)
        os.makedirs(os.path.join(self.folder, "state"))
        import bcrypt  # of the environment this runs in
        self.port = free_port()
        users = os.path.join(self.folder, "users")
        write(users, "%s:%s\n" % (USER, bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()))
        self.systems = {"c%d" % i: "00000000-0000-4000-8000-00000000%04d" % i for i in range(1, systems + 1)}
        machines = [dict(uuid=uuid, name=host, power_state="On", external_notifier=False,
                         nics=[dict(mac="00:5c:52:31:3a:%02x" % i, ip="192.0.2.%d" % i)])
                    for i, (host, uuid) in enumerate(self.systems.items())]
        conf = os.path.join(self.folder, "emulator.conf")
        write(conf, "".join("SUSHY_EMULATOR_%s = %r\n" % pair for pair in (
            ("LISTEN_IP", "127.0.0.1"), ("LISTEN_PORT", self.port), ("FAKE_DRIVER", True), ("AUTH_FILE", users),
            ("STATE_DIR", os.path.join(self.folder, "state")), ("FAKE_SYSTEMS", machines))))
        words = [os.path.join(venv, "bin", "sushy-emulator"), "--config", conf]
        self.tls = tls
        if tls:
            words += ["--ssl-certificate", tls.certificate, "--ssl-key", tls.key]
        self.url = "http%s://127.0.0.1:%d" % ("s" if tls else "", self.port)
        self.process = Process(name, words, self.folder)
        wait(name, self._answers)

    def request(self, path, body=None):
        context = ssl.create_default_context(cafile=self.tls.authority) if self.tls else None
        login = base64.b64encode(("%s:%s" % (USER, PASSWORD)).encode()).decode()
        request = urllib.request.Request(self.url + path, body, {"Authorization": "Basic " + login,
                                                                  "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.read()

    def _answers(self):
        self.process.alive()
        try:
            return self.request("/redfish/v1/")
        except OSError:
            return False

    def device(self, **more):
        return dict(dict(type="redfish", url=self.url, user=USER, password=PASSWORD), **more)

    def stop(self):
        self.process.stop()


class Certificate:
    """An authority, and a certificate of it for 127.0.0.1. (A certificate that signs itself is one of an authority to
    OpenSSL, and is not taken for a server's by stricter libraries: those are pinned.)"""

    def __init__(self, work, name):
        self.authority, authority_key = os.path.join(work, name + "-ca.pem"), os.path.join(work, name + "-ca.key")
        self.certificate, self.key = os.path.join(work, name + ".pem"), os.path.join(work, name + ".key")
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        self._run(*new, "-subj", "/CN=%s authority" % name, "-keyout", authority_key, "-out", self.authority)
        self._run(*new, "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
                  "-CA", self.authority, "-CAkey", authority_key, "-keyout", self.key, "-out", self.certificate)
        der = ssl.PEM_cert_to_DER_cert(read(self.certificate))
        self.fingerprint = hashlib.sha256(der).hexdigest()

    @staticmethod
    def _run(*words):
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
