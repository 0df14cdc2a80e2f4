#!/usr/bin/env python3
"""Masakari's own instance monitor, as it ships, and ours on one real libvirtd with real guests: each reports each event once, neither
disturbs the other, the guests or what the other one keeps. Root: see tests/libvirt/kit.sh. Last line: `N passed, M failed`.
"""
import argparse
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("libvirt", "client"):
    sys.path.append(os.path.join(HERE, "..", folder))

from api import Api
from checks import Checks
from guests import Kit, Monitor, until

FAILED = "LIFECYCLE/STOPPED_FAILED"
# How a guest ends, by a verb of the kit's.
CAUSES = ("kill", "destroy")


class Upstream:
    """`masakari-instancemonitor` from PyPI, with the distribution's Python bindings of libvirt."""

    def __init__(self, environment, bindings, folder, api, uri):
        self.folder, self.process = folder, None
        os.makedirs(os.path.join(folder, "tmp"))
        self.conf, self.log_file = os.path.join(folder, "masakarimonitors.conf"), os.path.join(folder, "log")
        self.command = [os.path.join(environment, "bin", "masakari-instancemonitor"), "--config-file", self.conf]
        self.environment = dict(os.environ, PYTHONPATH=bindings, PYTHONWARNINGS="ignore", PATH=os.path.join(environment, "bin")
                                + ":" + os.environ["PATH"])
        sections = {
            "DEFAULT": {"tempdir": os.path.join(folder, "tmp"), "debug": "true", "log_file": self.log_file, "hostname": "compute-001"},
            "api": {"auth_type": "password", "auth_url": "http://127.0.0.1:%d/identity" % api.port, "username": "m", "password": "p",
                    "project_name": "service", "user_domain_name": "Default", "project_domain_name": "Default",
                    "region": "RegionOne"},
            "callback": {"retry_max": "3", "retry_interval": "1"},
            "libvirt": {"connection_uri": uri},
        }
        with open(self.conf, "w", encoding="utf-8") as file:
            for section, options in sections.items():
                file.write("[%s]\n%s" % (section, "".join("%s = %s\n" % pair for pair in options.items())))

    def start(self):
        with open(os.path.join(self.folder, "out"), "ab") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                            env=self.environment, start_new_session=True)
        return self

    def log(self):
        text = ""
        for name in (self.log_file, os.path.join(self.folder, "out")):
            if os.path.exists(name):
                with open(name, encoding="utf-8", errors="replace") as file:
                    text += file.read()
        return text

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Beside:
    def __init__(self, args, check):
        self.check, self.kit = check, Kit()
        self.work = tempfile.mkdtemp(prefix="tachi-beside-")
        self.theirs_told, self.ours_told = Api(), Api()
        self.upstream = Upstream(args.monitors, args.bindings, os.path.join(self.work, "upstream"), self.theirs_told, self.kit.uri())
        self.ours = Monitor(os.path.abspath(args.monitor), "instance", os.path.join(self.work, "ours"), self.ours_told, self.kit.uri())

    def end(self):
        self.ours.stop()
        self.upstream.stop()
        for api in (self.theirs_told, self.ours_told):
            api.stop()
        self.kit.down()
        if not self.check.failed:
            shutil.rmtree(self.work, ignore_errors=True)

    def guest(self, act):
        """One that has come and gone; its UUID."""
        name = "instance-" + uuid.uuid4().hex[:8]
        made = self.kit("domain", name, "halt")
        self.kit(act, name)
        return made

    def living(self):
        """Everything that libvirt reports about the untouched guest, and its process."""
        return self.kit("virsh", "dumpxml", "alive"), self.kit("pid", "alive")

    def kept(self, folder):
        return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)

    def told(self, api, guest, wanted):
        """Returns the reports about a guest, after a wait that is long enough for unwanted ones."""
        try:
            until("an event", lambda: len(api.words(guest)) >= len(wanted), 20)
        except RuntimeError:
            pass
        time.sleep(0.5)
        return api.words(guest)

    # Covers F15.
    def test_beside_masakaris_instance_monitor(self):
        self.kit("domain", "alive", "halt")
        self.upstream.start()

        def hears():
            probe = self.guest("kill")
            try:
                return until("it", lambda: self.theirs_told.words(probe), 2)
            except RuntimeError:
                if self.upstream.process.poll() is not None:
                    raise RuntimeError("masakari-instancemonitor has ended: " + self.upstream.log()[-1500:]) from None
                return None

        until("Masakari's monitor to get libvirtd's events: " + self.upstream.log()[-500:], hears, 60)
        alone = {cause: sorted(self.told(self.theirs_told, self.guest(cause), [FAILED])) for cause in CAUSES}
        self.check.that("alone, Masakari's reports each kind of end once", all(len(words) == 1 for words in alone.values()), alone)
        before = self.living()
        theirs_keep = self.kept(self.upstream.folder)

        self.ours.start().listening()
        for cause in CAUSES:
            guest = self.guest(cause)
            wanted = [FAILED] if cause == "kill" else []
            self.check.equal("beside ours Masakari's reports the same as alone (%s)" % cause,
                             sorted(self.told(self.theirs_told, guest, alone[cause])), alone[cause])
            self.check.equal("ours reports it as before (%s)" % cause, self.told(self.ours_told, guest, wanted), wanted)
        self.both("of ten at once, each reports each once", [self.guest("kill") for _ in range(10)])

        self.check.that("Masakari's has met no error", "Traceback" not in self.upstream.log(), self.upstream.log()[-1500:])
        self.kit("restart-daemon")
        # Masakari's looks every second whether it is still connected, and pauses for three.
        time.sleep(6)
        until("ours to be well again", lambda: self.ours.part("libvirt") == "", 20)
        self.both("after a restart of libvirtd each reports once", [self.guest("kill")])

        self.ours.stop()
        alone_again = self.guest("kill")
        self.check.equal("with ours stopped Masakari's still reports", self.told(self.theirs_told, alone_again, [FAILED]), [FAILED])
        self.ours.start().listening()
        self.both("ours is started again beside it", [self.guest("kill")])
        self.check.equal("Masakari's keeps the files it kept", self.kept(self.upstream.folder), theirs_keep)
        self.check.equal("Masakari's still runs", self.upstream.process.poll(), None)
        ours_keep = self.kept(os.path.join(self.work, "ours"))
        self.upstream.stop()
        self.check.equal("with Masakari's stopped ours still reports", self.told(self.ours_told, self.guest("kill"), [FAILED]), [FAILED])
        self.check.equal("ours keeps the files it kept", self.kept(os.path.join(self.work, "ours")), ours_keep)
        self.check.equal("the untouched guest has not changed", self.living(), before)

    def both(self, name, guests):
        got = [(self.told(self.theirs_told, guest, [FAILED]), self.told(self.ours_told, guest, [FAILED])) for guest in guests]
        self.check.equal(name, got, [([FAILED], [FAILED])] * len(guests))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--monitor", required=True, help="tachi-monitor, the binary under test")
    parser.add_argument("--monitors", required=True, help="the Python environment with masakari-monitors")
    parser.add_argument("--libvirt", default="/usr/lib/python3/dist-packages", help="where libvirt's Python bindings are")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    check = Checks()
    # The bindings alone, and nothing else that the distribution has for Python.
    args.bindings = tempfile.mkdtemp(prefix="tachi-bindings-")
    for file in glob.glob(os.path.join(args.libvirt, "libvirt*")):
        os.symlink(file, os.path.join(args.bindings, os.path.basename(file)))
    beside = Beside(args, check)
    try:
        beside.test_beside_masakaris_instance_monitor()
    except Exception:
        check.that("it goes through", False, traceback.format_exc(limit=4) + beside.upstream.log()[-1500:] + beside.ours.log()[-1500:])
    finally:
        beside.end()
        shutil.rmtree(args.bindings)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
