#!/usr/bin/env python3
"""The instance monitor beside a real libvirtd with real guests: its reports, their times, and the effects of failures.

Prints what it measured and, at last, `N passed, M failed`.
"""
import argparse
import collections
import datetime
import json
import os
import signal
import subprocess
import sys
import shutil
import tempfile
import time
import traceback
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from checks import Checks
from api import Api
from compute import Compute
from events import Events
from guests import NOVA, Kit, Monitor, until
from wire import Wire

FAILED = "LIFECYCLE/STOPPED_FAILED"
# Guest, its end, the reports by default, the reports with compat_all_events (reboots: at least one).
CAUSES = (
    ("killed", "halt", "kill", [FAILED], [FAILED]),
    ("crashed", "halt", "kill SEGV", [FAILED], [FAILED]),
    ("ended", "halt", "kill TERM", [], ["LIFECYCLE/STOPPED_SHUTDOWN"]),
    ("destroyed", "halt", "destroy", [], ["LIFECYCLE/STOPPED_DESTROYED"]),
    ("off", "self-poweroff", None, [], ["LIFECYCLE/STOPPED_SHUTDOWN"]),
    ("panicked", "panic", None, [FAILED], [FAILED]),
    ("rebooting", "reboot", None, [], ["REBOOT/UNKNOWN"]),
    ("wd-pause", "watchdog-pause", None, [], ["LIFECYCLE/SUSPENDED_WATCHDOG", "WATCHDOG/WATCHDOG_PAUSE"]),
    ("wd-off", "watchdog-poweroff", None, [FAILED], [FAILED, "WATCHDOG/WATCHDOG_POWEROFF"]),
    ("wd-reset", "watchdog-reset", None, [], ["REBOOT/UNKNOWN", "WATCHDOG/WATCHDOG_RESET"]),
    ("wd-none", "watchdog-none", None, [], ["WATCHDOG/WATCHDOG_NONE"]),
    ("disk-told", "ioerror-report", None, ["IO_ERROR/IO_ERROR_REPORT"], ["IO_ERROR/IO_ERROR_REPORT", "IO_ERROR_REASON/UNKNOWN"]),
    ("disk-full", "ioerror-stop", None, [], ["IO_ERROR/IO_ERROR_PAUSE", "IO_ERROR_REASON/UNKNOWN", "LIFECYCLE/SUSPENDED_IOERROR"]),
    ("foreign", "halt", "kill", [], []),
)
TEST = "test:///default"


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Run:
    def __init__(self, binary, check, packaged=False, seconds=600):
        self.packaged, self.seconds = packaged, seconds
        self.binary, self.check = binary, check
        self.work = tempfile.mkdtemp(prefix="tachi-libvirt-")
        self.kit = Kit()
        self.running, self.apis, self.numbers = [], [], []

    def api(self):
        self.apis.append(Api())
        return self.apis[-1]

    def monitor(self, name, api, uri=None, options=(), kind="instance"):
        made = Monitor(self.binary, kind, os.path.join(self.work, name), api, uri or self.kit.uri(), options)
        self.running.append(made)
        return made

    def end(self):
        for monitor in self.running:
            monitor.stop()
        for api in self.apis:
            api.stop()
        self.kit.down()
        if not self.check.failed:
            shutil.rmtree(self.work, ignore_errors=True)

    def told(self, text):
        self.numbers.append(text)
        print("        " + text, flush=True)

    # ------------------------------------------------------------------------------------------ every kind of guest

    def every_kind(self):
        """The report of each cause: MW12, MW14, and upstream's names against the real daemon."""
        some, everything = self.api(), self.api()
        default = self.monitor("default", some).start().listening()
        compat = self.monitor("compat", everything, options=[("instance", "compat_all_events", "true")]).start().listening()
        uuids = {}
        for name, kind, act, _, _ in CAUSES:
            more = ["--foreign"] if name == "foreign" else []
            # Time enough to learn its UUID before it acts.
            uuids[name] = self.kit("domain", name, kind, *more, "--uuid", str(uuid.uuid4()), GUEST_DELAY_MS="1500")
            if act == "destroy":
                self.kit("destroy", name)
            elif act:
                word, *sig = act.split()
                self.kit(word, name, *sig)
        wanted = {name: (sorted(few), sorted(many)) for name, _, _, few, many in CAUSES}
        for name, (few, many) in wanted.items():
            def is_there(name=name, many=many):
                return set(many) <= set(everything.words(uuids[name]))
            try:
                until("events of %s" % name, is_there, 20)
            except RuntimeError:
                pass
            got = sorted(set(everything.words(uuids[name])) if "REBOOT/UNKNOWN" in many else everything.words(uuids[name]))
            self.check.equal("compat_all_events, %s: %s" % (name, ", ".join(many) or "nothing"), got, many)
        for name, (few, _) in wanted.items():
            self.check.equal("by default, %s: %s" % (name, ", ".join(few) or "nothing"), sorted(some.words(uuids[name])), few)
        self.kit("destroy", "rebooting")
        at, body = some.bodies()[0]
        self.check.equal("the body has upstream's keys in upstream's order", [list(body), list(body["payload"])],
                         [["type", "hostname", "generated_time", "payload"], ["event", "instance_uuid", "vir_domain_event"]])
        seen = datetime.datetime.fromisoformat(body["generated_time"] + "+00:00").timestamp()
        self.check.that("generated_time is that of the event", 0 <= at - seen < 2, (at, seen))
        self.check.equal("the default monitor is well", default.part("libvirt"), "")
        self.check.equal("SIGTERM ends it with 0", [default.stop(), compat.stop()], [0, 0])

    # ------------------------------------------------------------------------------------------ gaps

    def gaps(self):
        """MW5, MW6: a guest that dies while libvirtd is down is reported once, the monitor stays up, events arrive again."""
        api = self.api()
        monitor = self.monitor("gaps", api).start().listening()
        pid = monitor.process.pid
        persistent = self.kit("domain", "persistent", "halt")
        transient = self.kit("domain", "transient", "halt", "--transient")
        alive = self.kit("domain", "alive", "halt")
        until("the inventory", lambda: alive in self.inventory(monitor))
        self.kit("stop-daemon")
        until("the loss", lambda: monitor.part("libvirt"), 10)
        self.kit("kill", "persistent")
        self.kit("kill", "transient")
        self.kit("start-daemon")
        until("what died in the gap", lambda: len(api.bodies()) >= 2, 10)
        self.kit("kill", "alive")
        until("events to flow again", lambda: api.words(alive), 10)
        told = collections.Counter(n["payload"]["instance_uuid"] for _, n in api.bodies())
        self.check.equal("killed while libvirtd was down: each told once", told, {persistent: 1, transient: 1, alive: 1})
        self.check.equal("all as %s" % FAILED, set(api.words()), {FAILED})
        self.check.equal("it is the same process", monitor.process.poll() is None and monitor.process.pid, pid)
        # The same, but the monitor is killed as well.
        second = self.kit("domain", "second", "halt")
        until("the inventory", lambda: second in self.inventory(monitor))
        # One that dies between the API's answer and its note of that answer has to report it again: the answer is unknown.
        until("every answer to be noted", lambda: monitor.waiting() == 0)
        monitor.kill()
        self.kit("kill", "second")
        until("its end", lambda: "shut" in self.kit("virsh", "domstate", "second"))
        monitor.start()
        until("what died while the monitor was dead", lambda: api.words(second), 15)
        until("every answer to be noted", lambda: monitor.waiting() == 0)
        monitor.kill()
        monitor.start()
        third = self.kit("domain", "third", "halt")
        self.kit("kill", "third")
        until("the next one", lambda: api.words(third), 15)
        self.check.equal("killed while the monitor was dead: reported once", api.words(second), [FAILED])
        self.check.equal("nothing else was reported", len(api.bodies()), 5)
        monitor.stop()

    @staticmethod
    def inventory(monitor, life="up"):
        try:
            with open(os.path.join(monitor.folder, "state", "instance", "guests.json"), encoding="utf-8") as f:
                return {uuid for uuid, guest in json.load(f)["guests"].items() if guest["life"] == life}
        except OSError:
            return set()

    # ------------------------------------------------------------------------------------------ a frozen daemon

    def frozen(self):
        """MW4: a daemon that accepts and answers nothing is detected; events in between are reported when it thaws."""
        api = self.api()
        monitor = self.monitor("frozen", api).start().listening()
        guest = self.kit("domain", "shivering", "halt")
        until("the inventory", lambda: guest in self.inventory(monitor))
        begun = datetime.datetime.now()
        self.kit("freeze")
        until("the silence to be noticed", lambda: monitor.part("libvirt"), 20)
        silent = (datetime.datetime.now() - begun).total_seconds()
        self.told("a frozen libvirtd is noticed after %.1f s" % silent)
        self.check.that("a frozen libvirtd is noticed within 10 s", silent < 10, silent)
        self.kit("kill", "shivering")
        self.kit("thaw")
        until("what died meanwhile", lambda: api.words(guest), 20)
        until("it to be well", lambda: monitor.part("libvirt") == "", 10)
        other = self.kit("domain", "warm", "halt")
        until("the new guest in the inventory, by an event", lambda: other in self.inventory(monitor))
        begun = time.monotonic()
        self.kit("kill", "warm")
        # libvirt's own notice takes as long as the machine is busy, and that is not the monitor's.
        until("libvirt itself to notice the death", lambda: self.kit.gave_up("warm"), 120)
        noticed = time.monotonic()
        until("events to flow again", lambda: api.words(other), 10)
        self.told("after the thaw libvirt notices a death after %.1f s, and it is reported %.1f s later" % (
            noticed - begun, max(0.0, time.monotonic() - noticed)))
        self.check.that("after a freeze deaths are reported from events, not from a new list",
                        monitor.log().count("all guests were compared") == 2, monitor.log()[-1500:])
        self.check.equal("each reported once", api.words(), [FAILED, FAILED])
        monitor.stop()

    # ------------------------------------------------------------------------------------------ many guests

    def define(self, count, keep):
        """Domains of libvirt's test driver, of Nova's making; they last while a client is connected."""
        names = {}
        script = []
        for n in range(count):
            name, made = "instance-%08x" % (n + 1), str(uuid.UUID(int=(0x7e57 << 112) | (4 << 76) | (8 << 60) | (keep << 32) | n))
            names[made] = name
            path = os.path.join(self.work, name + ".xml")
            with open(path, "w", encoding="utf-8") as f:
                f.write("<domain type='test'><name>%s</name><uuid>%s</uuid><metadata><nova:instance xmlns:nova='%s'/></metadata>"
                        "<memory>8192</memory><os><type>hvm</type></os></domain>" % (name, made, NOVA))
            script += ["define " + path, "start " + name]
        self.kit.virsh("\n".join(script) + "\n", TEST)
        return names

    def latency(self):
        """200 guests: from libvirt's event to the API's acceptance."""
        api = self.api()
        monitor = self.monitor("latency", api, self.kit.uri(TEST)).start().listening()
        names = self.define(200, 1)
        until("the inventory", lambda: set(names) <= self.inventory(monitor))
        wire, happened = Wire(self.kit.socket, TEST), {}
        for n, (made, name) in enumerate(names.items()):
            # libvirtd queues the event before it answers this call; counted from before the call, so that nothing is left out.
            happened[made] = time.time()
            wire.crash(name, made)
            # One after the other, so that each is alone.
            until("guest %d to be reported" % n, lambda made=made: api.words(made), 10)
        wire.close()
        accepted = {n["payload"]["instance_uuid"]: at for at, n in api.bodies()}
        took = [1000 * (accepted[made] - happened[made]) for made in names]
        self.told("libvirt's event to notification accepted, %d guests: median %.0f ms, p99 %.0f ms, worst %.0f ms" % (
            len(took), percentile(took, 0.5), percentile(took, 0.99), max(took)))
        # The figure is for a machine that has nothing else to do; beside other parts this tells when something waits for a timer.
        most = 200 if self.packaged else 2000
        self.check.that("p99 from libvirt's event to acceptance is below %d ms" % most, percentile(took, 0.99) < most, took)
        self.check.equal("each reported once", collections.Counter(api.words()), {FAILED: 200})
        monitor.stop()

    def storm(self):
        """MW3, MW11, MW23: 1,000 deaths in a second while the API is away; the monitor is killed; then the API is back."""
        api = self.api()
        monitor = self.monitor("storm", api, self.kit.uri(TEST)).start().listening()
        names = self.define(1000, 2)
        until("the inventory", lambda: set(names) <= self.inventory(monitor))
        before = monitor.rss()
        api.stop()
        begun = datetime.datetime.now()
        wire = Wire(self.kit.socket, TEST)
        for made, name in names.items():
            wire.crash(name, made)
        took = (datetime.datetime.now() - begun).total_seconds()
        until("every death to be on disk", lambda: set(names) <= self.inventory(monitor, "dead"), 60)
        kept = (datetime.datetime.now() - begun).total_seconds()
        after = monitor.rss()
        self.told("1,000 deaths in %.1f s, all on disk after %.1f s; RSS %.1f MiB before, %.1f MiB after" % (took, kept, before, after))
        self.check.that("memory grew by less than 5 MiB", after - before < 5, (before, after))
        # The connection stays open, to keep the test driver's guests while the monitor is dead.
        try:
            monitor.kill()
            api.start()
            begun = datetime.datetime.now()
            monitor.start()
            until("all to be delivered", lambda: len(api.bodies()) >= 1000, 120)
            took = (datetime.datetime.now() - begun).total_seconds()
            self.told("1,000 notifications accepted %.1f s after the API was back" % took)
            until("the last to be noted", lambda: monitor.health() and monitor.health()["healthy"], 20)
            told = collections.Counter(n["payload"]["instance_uuid"] for _, n in api.bodies())
            self.check.equal("none is lost", set(names) - set(told), set())
            self.check.equal("none is told twice", {made: times for made, times in told.items() if times > 1}, {})
            # What is left to do of a thousand deaths is no idleness: a monitor that is busy all the time is so in the third window too.
            for _ in range(3):
                idle = monitor.cpu()
                subprocess.run(["sleep", "10"], check=True)
                share = 100 * (monitor.cpu() - idle) / 10
                if share < 0.1:
                    break
            self.told("after the storm: RSS %.1f MiB, idle CPU %.2f %% of a core" % (monitor.rss(), share))
            self.check.that("idle CPU is below 1 % of a core", share < 1, share)
            if self.packaged:
                self.check.that("idle CPU is below 0.1 % of a core", share < 0.1, share)
                self.check.that("RSS is under 10 MiB after 1,000 deaths", monitor.rss() < 10, monitor.rss())
        finally:
            wire.close()
        monitor.stop()

    # ------------------------------------------------------------------------------------------ guest agents

    def agents(self):
        """MW19: a real guest agent answers, hangs, comes back and hangs again: reported twice; a guest that never answered is not."""
        api = self.api()
        folder = os.environ.get("TACHI_TEST_AGENT") or os.path.join(self.work, "agent")
        made = subprocess.run([os.path.join(HERE, "agent.sh"), folder], text=True, capture_output=True, check=False)
        if made.returncode:
            raise RuntimeError("agent.sh: " + made.stdout[-500:] + made.stderr[-500:])
        monitor = self.monitor("agents", api, self.kit.uri(read_only=False), kind="introspective", options=[
            ("introspectiveinstancemonitor", "guest_monitoring_interval", "1"),
            ("introspectiveinstancemonitor", "guest_monitoring_timeout", "1")]).start()
        name = "instance-0000a6e1"
        guest = self.kit("domain", name, "linux", AGENT_DIR=folder)
        self.kit("domain", "instance-0000a6e2", "halt", "--agent")
        memory = os.path.join(monitor.folder, "state", "introspective", "guests.json")

        def mood():
            try:
                with open(memory, encoding="utf-8") as f:
                    return json.load(f)["guests"].get(guest, [0, None])[1]
            except OSError:
                return None

        until("the agent to answer", lambda: mood() == "answers", 120)
        for times in (1, 2):
            begun = datetime.datetime.now()
            self.kit("freeze", name)
            until("the hang to be reported", lambda times=times: len(api.bodies()) >= times, 60)
            self.told("a hang is reported after %.1f s (interval 1 s, threshold 3)" % (datetime.datetime.now() - begun).total_seconds())
            self.kit("thaw", name)
            until("it to answer again", lambda: mood() == "answers", 60)
        self.check.equal("a guest that hangs twice is reported twice", api.words(), ["QEMU_GUEST_AGENT_ERROR/STOPPED_FAILED"] * 2)
        self.check.equal("and it is that guest", {n["payload"]["instance_uuid"] for _, n in api.bodies()}, {guest})
        self.told("introspective monitor: RSS %.1f MiB" % monitor.rss())
        if self.packaged:
            self.check.that("RSS of the introspective monitor is under 10 MiB", monitor.rss() < 10, monitor.rss())
        self.check.equal("SIGTERM ends it with 0", monitor.stop(), 0)
        self.kit("destroy", name)

    # ------------------------------------------------------------------------------------------ all of them

    def together(self):
        """MW23: all four monitors of one compute, each with something to watch, in so much memory."""
        api = self.api()
        for number in range(3):
            self.kit("domain", "beside-%d" % number, "halt")
        compute = self.compute(api)
        before = compute.cpu()
        subprocess.run(["sleep", "20"], check=True)
        share = 100 * (compute.cpu() - before) / 20
        self.told("all four monitors: %s; %.2f %% of a core" % (compute.memory(), share))
        self.check.equal("all four are well at the end", compute.unwell(), [])
        if self.packaged:
            self.check.that("all four together take less than 0.4 % of a core", share < 0.4, share)
            self.fits(compute)
        for number in range(3):
            self.kit("destroy", "beside-%d" % number)

    def compute(self, api, options=()):
        made = Compute(self.binary, os.path.join(self.work, "compute"), self.kit, api, options)
        self.running.extend(made.monitors)
        return made.start()

    def fits(self, compute):
        self.check.that("all four monitors fit into 25 MiB", compute.pss() < 25, compute.memory())
        self.check.that("each alone into 10 MiB", compute.largest() < 10, compute.memory())

    # ------------------------------------------------------------------------------------------ ten minutes of events

    def endure(self):
        """MW23: all four monitors of one compute, with something happening to each every few seconds, for ten minutes."""
        api = self.api()
        events = Events(self.kit, os.path.join(self.work, "compute"))
        compute = self.compute(api, events.options())
        events.compute = compute
        self.told("before the events: " + compute.memory())
        try:
            self.count_events(api, events, compute)
        finally:
            # First: what ends is started again by the monitor.
            for monitor in compute.monitors:
                monitor.stop()
            events.end()

    def count_events(self, api, events, compute):
        count = events.run(self.seconds)
        # What was killed last is given up some seconds later.
        least = {"VM": count["guests killed"] + count["agents hung"], "PROCESS": count["processes given up"]}
        until("all of it to be reported", lambda: collections.Counter(n["type"] for _, n in api.bodies()) >= collections.Counter(least), 30)
        # That a process runs again is told, too.
        told = collections.Counter(n["type"] for _, n in api.bodies() if n["payload"]["event"] != "STARTED")
        agents = api.words().count("QEMU_GUEST_AGENT_ERROR/STOPPED_FAILED")
        self.told("%d s of events: %s; accepted %s; afterwards %s" % (self.seconds, dict(count), dict(told), compute.memory()))
        self.check.equal("all four are well at the end", compute.unwell(), [])
        self.check.equal("each guest that died was told once", told["VM"] - agents, count["guests killed"])
        self.check.equal("each agent that hung was reported once", agents, count["agents hung"])
        self.check.equal("each process that was given up was told once", told["PROCESS"], count["processes given up"])
        self.check.that("there was something of each", all(count[what] for what in count) and len(count) == 5, dict(count))
        if self.packaged:
            self.fits(compute)

    # ------------------------------------------------------------------------------------------ check

    def check_command(self):
        """`tachi-monitor check` reports an unreachable libvirt."""
        api = self.api()
        monitor = self.monitor("check", api)
        guest = self.kit("domain", "looked-at", "halt")

        def finding():
            done = subprocess.run([self.binary, "check", "--config-file", monitor.conf, "-f", "json", "instance"], text=True,
                                  capture_output=True, timeout=60, check=False)
            return [f for f in json.loads(done.stdout)["findings"] if f["part"] == "instance"]

        good = finding()
        self.check.that("check finds libvirt and its guests", good[0]["told"] == "good" and "of them Nova's" in good[0]["text"], good)
        self.check.that("check shows the time to a report", any(f.get("worst_seconds") for f in good), good)
        self.kit("stop-daemon")
        gone = finding()
        self.check.that("check reports that libvirt does not answer", gone[0]["told"] == "wrong" and "libvirt-sock" in gone[0]["text"], gone)
        self.kit("start-daemon")
        self.kit("destroy", "looked-at")
        self.check.that("a guest was there to be counted", guest)

    STEPS = (every_kind, gaps, frozen, latency, storm, agents, together, check_command)
    LONG = (endure,)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--monitor", required=True, help="tachi-monitor, the binary under test")
    parser.add_argument("--only", help="one step")
    parser.add_argument("--packaged", action="store_true", help="the binary is built as packages bring it: its memory counts")
    parser.add_argument("--long", action="store_true", help="the steps that take minutes, in place of the others")
    parser.add_argument("--seconds", type=int, default=600, help="duration of a long step (600)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    check = Checks()
    run = Run(os.path.abspath(args.monitor), check, args.packaged, args.seconds)
    try:
        for step in Run.LONG if args.long else Run.STEPS:
            if args.only and step.__name__ != args.only:
                continue
            print("---- %s: %s" % (step.__name__, (step.__doc__ or "").split("\n", maxsplit=1)[0]), flush=True)
            try:
                step(run)
            except Exception:
                logs = "".join("---- %s: %s\n" % (m.folder, m.log()[-1500:]) for m in run.running[-2:])
                check.that("%s goes through" % step.__name__, False, traceback.format_exc(limit=4) + logs)
            for monitor in run.running:
                monitor.stop()
    finally:
        run.end()
    for line in run.numbers:
        print("measured: " + line)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
