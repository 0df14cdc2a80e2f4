"""Our devices against what they are for: real ipmitool and ipmi_sim, Redfish of sushy-tools, Debian's fence agents, and
the simulated MAAS. Names say which row of the matrix of device behaviours a test is about.

    run.py --tachi BINARY --probe BINARY --venv FOLDER

Prints a line a test, a table of the times of each device, and `N passed, M failed`.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import traceback
import urllib.request

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "client"))

from simulators import PASSWORD, USER, Bmc, Certificate, Redfish, free_port, read, wait, write
from stack import Stack

# Pairs of (poll interval, time-out) of each kind of device, in seconds, as the engine uses them.
LIMITS = {"ipmi": (1, 30), "redfish": (2, 60), "maas": (1, 150), "exec": (2, 60)}


class Probe:
    """Devices at the end of a pipe; remembers all that was said, to look for secrets in it."""

    def __init__(self, binary, log):
        self.log = log
        self.errors = open(log + ".err", "ab")
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def ask(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        with open(self.log, "a", encoding="utf-8") as f:
            f.write(line)
        assert line, "the probe has ended"
        return json.loads(line)

    def open(self, name, **device):
        answer = self.ask(open=name, **device)
        assert "ok" in answer, answer
        return answer["ok"]

    def do(self, what, device, host="c1", plug=None):
        return self.ask(do=what, device=device, host=host, plug=plug)

    def power(self, device, host="c1", plug=None):
        answer = self.do("read", device, host, plug)
        assert "ok" in answer, answer
        return answer["ok"]["power"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.errors.close()


class Watch(threading.Thread):
    """Looks at the command lines and environments of everything that runs, for the password."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.looks, self.ended, self.children = set(), 0, threading.Event(), set()

    def run(self):
        secret = PASSWORD.encode()
        while not self.ended.wait(0.002):
            self.looks += 1
            for pid in os.listdir("/proc"):
                if not pid.isdigit() or int(pid) == os.getpid():
                    continue
                for name in ("cmdline", "environ"):
                    try:
                        with open("/proc/%s/%s" % (pid, name), "rb") as f:
                            text = f.read()
                    except OSError:
                        continue
                    if name == "cmdline":
                        for tool in (b"ipmitool", b"fence_"):
                            if tool in text and b"/usr/bin/timeout" not in text:
                                self.children.add(tool)
                    if secret in text:
                        self.seen.add((name, text.split(b"\0")[0].decode(errors="replace")))

    def stop(self):
        self.ended.set()
        self.join()


def fault(answer):
    assert "fault" in answer, "no fault: %s" % answer
    return answer["fault"]


class Tests:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.probe = Probe(args.probe, os.path.join(work, "probe.log"))
        self.times, self.stoppable = {}, []

    # ---- what there is to speak to

    def start(self):
        self.bmc = self.keep(Bmc("bmc1", self.work))
        self.second = self.keep(Bmc("bmc2", self.work))
        self.slow = self.keep(Bmc("bmc3", self.work))
        self.certificate, self.other = Certificate(self.work, "service"), Certificate(self.work, "other")
        self.redfish = self.keep(Redfish("redfish", self.work, self.args.venv, 1))
        self.chassis = self.keep(Redfish("chassis", self.work, self.args.venv, 3, self.certificate))
        self.region = Stack(self.args.tachi, arguments=("--hosts", "6"))
        self.stoppable.append(self.region)
        devices = tomllib.loads(read(os.path.join(self.region.work, "fencing.toml")))["device"]
        self.maas_url = next(device["endpoint"] for device in devices if device["name"] == "bmc")
        self.maas_key = read(os.path.join(self.region.work, "maas.key")).strip()

    def keep(self, thing):
        self.stoppable.append(thing)
        return thing

    def stop(self):
        for thing in reversed(self.stoppable):
            thing.stop()
        self.region.remove()
        self.probe.stop()

    # ---- helpers

    def fence(self, device, kind, host="c1", plug=None, probe=None):
        """Off as the engine does it: a command, and readings until two in a row say off. Seconds, or None."""
        probe = probe or self.probe
        poll, limit = LIMITS[kind]
        begun, offs = time.monotonic(), 0
        answer = probe.do("off", device, host, plug)
        assert "ok" in answer, answer
        while time.monotonic() - begun < limit:
            offs = offs + 1 if probe.power(device, host, plug) == "off" else 0
            if offs == 2:
                return time.monotonic() - begun
            time.sleep(poll)
        return None

    def timed(self, device, kind, host="c1", plug=None):
        """Reads once, fences, and notes both times for the table."""
        answer = self.probe.do("read", device, host, plug)
        assert answer["ok"]["power"] == "on", answer
        took = self.fence(device, kind, host, plug)
        assert took is not None, "%s was not off in time" % device
        self.times.setdefault(device, []).append((answer["seconds"], took))

    def agent(self, name, host, **more):
        return dict(type="exec", agent=name, password=PASSWORD, params=dict(
            {"ip": "127.0.0.1", "username": USER}, **{k: str(v) for k, v in more.items()}))

    def ipmilan(self, bmc, **more):
        return self.agent("fence_ipmilan", bmc.name, lanplus=1, cipher=3, privlvl="operator", ipport=bmc.port, **more)

    def bmc_of(self, host, **settings):
        self.region.admin("POST", "/hosts/%s/bmc" % host, settings)

    # ---- IPMI

    # Covers ROW1.
    def test_ipmi_already_off_is_read_and_nothing_is_sent(self):
        self.probe.open("ipmi", **self.bmc.device())
        self.bmc.machine("0", "honest")
        assert [self.probe.power("ipmi") for _ in range(2)] == ["off", "off"]
        assert self.bmc.journal() == []

    # Covers ROW2.
    def test_ipmi_off_at_once_and_after_11_seconds(self):
        for mode, least in (("honest", 0), ("slow=11000", 11)):
            self.bmc.machine("1", mode)
            self.timed("ipmi", "ipmi")
            assert self.times["ipmi"][-1][1] >= least, self.times["ipmi"]
            assert self.bmc.journal() == ["power 0"]

    # Covers ROW3.
    def test_ipmi_a_bmc_that_takes_the_command_and_does_nothing_is_never_off(self):
        self.bmc.machine("1", "ignore")
        answer = self.probe.do("off", "ipmi")
        assert "ok" in answer, "the BMC says yes: %s" % answer
        assert [self.probe.power("ipmi") for _ in range(5)] == ["on"] * 5
        assert self.bmc.journal() == ["power 0"]

    # Covers ROW4.
    def test_ipmi_off_and_on_again_is_seen(self):
        self.bmc.machine("1", "bounce=1500")
        self.probe.do("off", "ipmi")
        assert self.probe.power("ipmi") == "off"
        wait("the machine to be on again", lambda: self.probe.power("ipmi") == "on")

    # Covers ROW5.
    def test_ipmi_a_wrong_password_is_permanent_and_reported(self):
        self.probe.open("wrong", **dict(self.bmc.device(), password="another-one"))
        self.probe.open("nobody", **dict(self.bmc.device(), user="nobody"))
        self.bmc.machine("1", "honest")
        for device, part in (("wrong", "password is wrong"), ("nobody", "unknown user")):
            for what in ("read", "off"):
                said = fault(self.probe.do(what, device))
                assert (said["class"], said["maybe_done"]) == ("permanent", False), said
                assert part in said["text"], said
        assert self.bmc.journal() == []

    # Covers ROW6.
    def test_ipmi_nobody_there_is_transient(self):
        import socket
        self.probe.open("gone", **dict(self.bmc.device(), port=free_port(socket.SOCK_DGRAM)))
        for what in ("read", "off"):
            answer = self.probe.do(what, "gone")
            said = fault(answer)
            assert (said["class"], said["maybe_done"]) == ("transient", False), said
            assert answer["seconds"] < 8, answer
        self.times["ipmi: no device"] = [(answer["seconds"], None)]

    # Covers ROW14.
    def test_ipmi_a_bmc_that_hangs_is_left_in_time_and_no_tool_stays_behind(self):
        self.probe.open("hangs", **self.second.device(call_timeout_ms=1500))
        self.second.process.freeze()
        try:
            answer = self.probe.do("off", "hangs")
            said = fault(answer)
            assert said["class"] == "transient" and said["maybe_done"], said
            assert answer["seconds"] < 3, answer
            wait("no ipmitool", lambda: not running("-p\0%d\0" % self.second.port))
        finally:
            self.second.process.thaw()
        wait("the BMC to answer", lambda: "ok" in self.probe.do("read", "hangs"))

    def test_ipmi_a_cipher_suite_the_bmc_does_not_know_is_permanent_and_told(self):
        self.probe.open("suite17", **dict(self.bmc.device(), cipher_suite=17))
        said = fault(self.probe.do("read", "suite17"))
        assert said["class"] == "permanent" and "cipher_suite" in said["text"], said

    def test_ipmi_power_on_works_and_the_self_test_tells_the_latency(self):
        self.bmc.machine("0", "honest")
        assert "ok" in self.probe.do("on", "ipmi")
        checked = self.probe.do("check", "ipmi")["ok"]
        assert checked["reading"]["power"] == "on" and 0 < checked["latency"] < 5, checked

    # Covers T9.
    def test_ipmi_names_the_machine_that_it_switches(self):
        self.bmc.machine("1", "honest")
        self.probe.open("ipmi t9", **self.bmc.device())
        read, checked = self.probe.do("read", "ipmi t9")["ok"], self.probe.do("check", "ipmi t9")["ok"]
        assert read["machine"] == checked["reading"]["machine"] == "guid=" + dashed(self.bmc.guid), (read, checked)

    # Covers T9.
    def test_a_swapped_bmc_is_neither_believed_nor_switched_until_an_operator_confirms_it(self):
        Foreign(self.args, self.work).run()

    # ---- Redfish

    # Covers T9.
    def test_redfish_names_the_machine_that_it_switches(self):
        self.probe.open("chassis t9", **self.chassis.device(ca_file=self.certificate.authority))
        for host, uuid in self.chassis.systems.items():
            machine = self.probe.do("read", "chassis t9", plug=uuid)["ok"]["machine"]
            assert "uuid=" + uuid in machine.split(), (host, machine)

    # Covers ROW2.
    def test_redfish_off_after_1_to_11_seconds(self):
        self.probe.open("redfish", **self.redfish.device())
        self.timed("redfish", "redfish")

    # Covers ROW1.
    def test_redfish_already_off_is_read_and_nothing_is_sent(self):
        before = len(read(self.redfish.process.log))
        assert [self.probe.power("redfish") for _ in range(2)] == ["off", "off"]
        wait("the log", lambda: read(self.redfish.process.log)[before:].count("GET ") >= 2, 5)
        assert "POST" not in read(self.redfish.process.log)[before:]

    # Covers ROW4.
    def test_redfish_off_and_on_again_is_seen(self):
        assert "ok" in self.probe.do("on", "redfish")
        wait("the system to be on", lambda: self.probe.power("redfish") == "on")

    # Covers ROW5.
    def test_redfish_a_wrong_password_is_permanent_and_asked_once(self):
        self.probe.open("redfish-wrong", **self.redfish.device(password="another-one"))
        for what in ("read", "off"):
            before = read(self.redfish.process.log).count(" 401 ")
            said = fault(self.probe.do(what, "redfish-wrong"))
            assert (said["class"], said["maybe_done"], said["status"]) == ("permanent", False, 401), said
            wait("the log", lambda: read(self.redfish.process.log).count(" 401 ") == before + 1, 5)

    # Covers ROW6.
    def test_redfish_nobody_there_is_transient(self):
        self.probe.open("redfish-gone", **self.redfish.device(url="http://127.0.0.1:%d" % free_port()))
        said = fault(self.probe.do("off", "redfish-gone"))
        assert (said["class"], said["maybe_done"]) == ("transient", False), said

    # Covers ROW14.
    def test_redfish_a_service_that_hangs_is_left_in_time(self):
        self.probe.open("redfish-hangs", **self.redfish.device(call_timeout_ms=1000))
        self.redfish.process.freeze()
        try:
            answer = self.probe.do("read", "redfish-hangs")
            said = fault(answer)
            assert said["class"] == "transient" and answer["seconds"] < 2.5, answer
        finally:
            self.redfish.process.thaw()
        wait("the service to answer", lambda: "ok" in self.probe.do("read", "redfish-hangs"))

    def test_redfish_one_of_several_systems_is_named_and_never_guessed(self):
        self.probe.open("chassis", **self.chassis.device(ca_file=self.certificate.authority))
        said = fault(self.probe.do("off", "chassis"))
        assert said["class"] == "permanent" and "3 systems" in said["text"], said
        said = fault(self.probe.do("off", "chassis", plug="c9"))
        assert said["class"] == "permanent", said
        uuid = self.chassis.systems["c2"]
        before = read(self.chassis.process.log).count("POST ")
        assert self.fence("chassis", "redfish", "c2", uuid) is not None
        assert read(self.chassis.process.log).count("POST ") == before + 1
        others = [self.probe.power("chassis", host, self.chassis.systems[host]) for host in ("c1", "c3")]
        assert others == ["on", "on"], others

    def test_redfish_a_name_is_followed_to_the_same_host(self):
        # The emulator answers a system's name with 307 to its UUID.
        answer = self.probe.do("read", "chassis", "c3", "/redfish/v1/Systems/c3")
        assert answer["ok"]["power"] == "on", answer

    def test_redfish_whom_to_trust_is_kept_to(self):
        pin = self.certificate.fingerprint
        plug = self.chassis.systems["c1"]
        for name, trust, good in (("pinned", {"fingerprint": pin}, True),
                                  ("pinned wrongly", {"fingerprint": self.other.fingerprint}, False),
                                  ("signed", {"ca_file": self.certificate.authority}, True),
                                  ("signed by another", {"ca_file": self.other.authority}, False),
                                  ("by the system", {}, False)):
            self.probe.open(name, **self.chassis.device(**trust))
            answer = self.probe.do("read", name, plug=plug)
            if good:
                assert answer["ok"]["power"] == "on", (name, answer)
            else:
                said = fault(answer)
                assert said["class"] == "permanent" and "check ca_file, or pin" in said["text"], (name, said)

    def test_redfish_a_service_without_sessions_says_so(self):
        self.probe.open("sessions", **self.redfish.device(session=True))
        said = fault(self.probe.do("read", "sessions"))
        assert said["class"] == "permanent" and said["status"] in (401, 404, 405), said

    # Covers ROW2.
    def test_redfish_over_https(self):
        self.probe.open("redfish, https", **self.chassis.device(fingerprint=self.certificate.fingerprint))
        self.timed("redfish, https", "redfish", "c1", self.chassis.systems["c1"])

    # ---- MAAS

    # Covers ROW2.
    def test_maas_off_at_once(self):
        self.probe.open("maas", type="maas", url=self.maas_url, password=self.maas_key)
        self.timed("maas", "maas", "compute-001")

    # Covers ROW1.
    def test_maas_already_off_is_read_and_nothing_is_sent(self):
        assert [self.probe.power("maas", "compute-001") for _ in range(2)] == ["off", "off"]

    # Covers ROW2.
    def test_maas_off_in_the_end_after_unknown_and_on(self):
        self.bmc_of("compute-002", query={"mode": "script", "states": ["on", "on", "unknown", "error", "off", "on"]})
        assert self.probe.power("maas", "compute-002") == "on"
        assert self.fence("maas", "maas", "compute-002") is not None

    # Covers ROW3.
    def test_maas_a_machine_that_ignores_the_command_is_never_off(self):
        self.bmc_of("compute-003", command={"mode": "ignored"})
        assert "ok" in self.probe.do("off", "maas", "compute-003")
        assert [self.probe.power("maas", "compute-003") for _ in range(5)] == ["on"] * 5

    # Covers ROW3.
    def test_maas_null_is_permanent(self):
        self.bmc_of("compute-003", command={"mode": "null"})
        said = fault(self.probe.do("off", "maas", "compute-003"))
        assert (said["class"], said["maybe_done"]) == ("permanent", False), said

    # Covers ROW4.
    def test_maas_off_and_on_again_is_seen(self):
        self.bmc_of("compute-004", query={"mode": "script", "states": ["off", "on"]})
        assert [self.probe.power("maas", "compute-004") for _ in range(2)] == ["off", "on"]

    # Covers ROW5.
    def test_maas_a_wrong_key_is_permanent(self):
        self.probe.open("maas-wrong", type="maas", url=self.maas_url, password="no:such:key")
        said = fault(self.probe.do("off", "maas-wrong", "compute-004"))
        assert (said["class"], said["maybe_done"], said["status"]) == ("permanent", False, 401), said

    # Covers ROW6.
    def test_maas_nobody_there_and_no_power_controller_are_transient(self):
        self.probe.open("maas-gone", type="maas", url="http://127.0.0.1:%d/MAAS" % free_port(), password=self.maas_key)
        said = fault(self.probe.do("off", "maas-gone", "compute-004"))
        assert (said["class"], said["maybe_done"]) == ("transient", False), said
        self.bmc_of("compute-005", powered=False)
        said = fault(self.probe.do("read", "maas", "compute-005"))
        assert (said["class"], said["status"]) == ("transient", 503), said

    # Covers ROW14.
    def test_maas_a_query_that_hangs_is_left_in_time(self):
        self.probe.open("maas-hangs", type="maas", url=self.maas_url, password=self.maas_key, call_timeout_ms=1000)
        self.bmc_of("compute-006", query={"mode": "hangs"})
        answer = self.probe.do("read", "maas-hangs", "compute-006")
        assert fault(answer)["class"] == "transient" and answer["seconds"] < 3, answer

    # Covers T9.
    def test_maas_names_the_machine_that_it_switches(self):
        self.probe.open("maas t9", type="maas", url=self.maas_url, password=self.maas_key)
        machines = [self.probe.do("read", "maas t9", host)["ok"]["machine"] for host in ("compute-001", "compute-004")]
        assert all("system=" in machine and "uuid=" in machine for machine in machines), machines
        assert len(set(machines)) == 2, machines

    def test_maas_is_not_asked_to_power_on_what_may_run(self):
        said = fault(self.probe.do("on", "maas", "compute-004"))
        assert said["class"] == "conflict" and "cycle" in said["text"], said
        assert "ok" in self.probe.do("on", "maas", "compute-001")
        wait("the machine to be on", lambda: self.probe.power("maas", "compute-001") == "on")

    # ---- Debian's fence agents

    # Covers ROW2.
    def test_exec_fence_ipmilan(self):
        self.bmc.machine("1", "honest")
        self.probe.open("exec fence_ipmilan", **self.ipmilan(self.bmc))
        self.timed("exec fence_ipmilan", "exec")
        assert self.bmc.journal()[0] == "power 0"

    # Covers ROW1.
    def test_exec_fence_ipmilan_already_off(self):
        self.bmc.machine("0", "honest")
        assert [self.probe.power("exec fence_ipmilan") for _ in range(2)] == ["off", "off"]
        assert self.bmc.journal() == []

    # Covers ROW3.
    def test_exec_fence_ipmilan_reports_its_failure(self):
        self.bmc.machine("1", "ignore")
        self.probe.open("agent, quick", **self.ipmilan(self.bmc, power_timeout=3))
        said = fault(self.probe.do("off", "agent, quick"))
        assert said["class"] == "transient" and "Timed out waiting to power OFF" in said["text"], said
        assert self.probe.power("agent, quick") == "on"

    # Covers ROW5.
    def test_exec_fence_ipmilan_a_wrong_password_is_no_reading(self):
        self.probe.open("agent, wrong", **dict(self.ipmilan(self.bmc), password="another-one"))
        said = fault(self.probe.do("read", "agent, wrong"))
        assert said["class"] in ("permanent", "transient") and not said["maybe_done"], said

    # Covers ROW6.
    def test_exec_fence_ipmilan_nobody_there_is_no_reading(self):
        import socket
        device = self.ipmilan(self.bmc)
        device["params"]["ipport"] = str(free_port(socket.SOCK_DGRAM))
        self.probe.open("agent, gone", **device)
        assert fault(self.probe.do("read", "agent, gone"))["class"] == "transient"

    # Covers ROW14.
    def test_exec_an_agent_that_hangs_is_killed_with_the_tool_it_runs(self):
        self.probe.open("agent, hangs", call_timeout_ms=2500, **self.ipmilan(self.second, power_timeout=600))
        self.second.process.freeze()
        try:
            answer = self.probe.do("off", "agent, hangs")
            assert fault(answer)["maybe_done"] and answer["seconds"] < 4, answer
            wait("no agent and no tool", lambda: not running("-p\0%d\0" % self.second.port) and not running("fence_ipmilan"))
        finally:
            self.second.process.thaw()

    # Covers ROW2.
    def test_exec_fence_redfish(self):
        host = "c3"
        device = self.agent("fence_redfish", host, ipport=self.chassis.port, systems_uri="/redfish/v1/Systems/" + self.chassis.systems[host],
                            ssl_insecure=1)
        self.probe.open("exec fence_redfish", **device)
        self.timed("exec fence_redfish", "exec", host)

    def test_exec_the_self_test_names_an_agent_that_shows_its_password(self):
        self.bmc.machine("1", "honest")
        warnings = self.probe.do("check", "exec fence_ipmilan")["ok"]["warnings"]
        assert any("exposes the password" in warning for warning in warnings), warnings

    # ---- we as an agent

    def ours(self, action, host=None, argv=None, **more):
        link = os.path.join(self.work, "fence_maas")
        if not os.path.exists(link):
            os.symlink(os.path.abspath(self.args.tachi), link)
        lines = ["action=" + action, "url=" + self.maas_url, "password=" + self.maas_key, "stonith_status_sleep=1"]
        lines += ["plug=" + host] if host else []
        lines += ["%s=%s" % pair for pair in more.items()]
        done = subprocess.run([link, *(argv or ())], input="" if argv else "\n".join(lines) + "\n", capture_output=True,
                              text=True, timeout=60, check=False)
        assert self.maas_key.split(":")[2] not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    def test_agent_metadata_are_those_pacemaker_takes(self):
        code, text, _ = self.ours("", argv=["--action=metadata"])
        assert code == 0
        path = os.path.join(self.work, "metadata.xml")
        write(path, text)
        done = subprocess.run(["xmllint", "--noout", "--relaxng", "/usr/share/cluster/relaxng/metadata.rng", path],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def test_agent_exit_codes_are_those_of_the_contract(self):
        self.bmc_of("compute-004", query={"mode": "truth"})
        wait("the machine to be on", lambda: self.probe.power("maas", "compute-004") == "on")
        for action, host, code, said in (
                ("status", "compute-004", 0, "Status: ON"), ("off", "compute-004", 0, "Success: Powered OFF"),
                ("status", "compute-004", 2, "Status: OFF"), ("off", "compute-004", 0, "Success: Already OFF"),
                ("on", "compute-004", 0, "Success: Powered ON"), ("reboot", "compute-004", 0, "Success: Rebooted"),
                ("status", "nobody", 1, ""), ("off", "nobody", 1, ""), ("monitor", None, 0, ""),
                ("monitor", "compute-004", 0, ""), ("monitor", "nobody", 1, ""), ("validate-all", None, 0, ""),
                ("list", None, 0, "compute-001,"), ("list-status", None, 0, "compute-001,")):
            got, out, err = self.ours(action, host)
            assert got == code and out.startswith(said), (action, host, got, out, err)

    def test_agent_off_is_not_said_of_a_machine_that_lies(self):
        for answer in ({"mode": "says", "state": "on"}, {"mode": "says", "state": "unknown"}, {"mode": "fails", "status": 503}):
            self.bmc_of("compute-003", query=answer, command={"mode": "ignored"})
            code, out, err = self.ours("off", "compute-003", power_timeout=3)
            assert code == 1 and "Success" not in out, (answer, code, out)
            assert "Timed out waiting to power OFF" in err, err

    def test_agent_one_off_reading_is_not_enough(self):
        self.bmc_of("compute-003", query={"mode": "script", "states": ["off", "on", "off", "on", "off", "on", "on", "on", "on"]})
        code, out, err = self.ours("off", "compute-003", power_timeout=3)
        assert code == 1, (out, err)

    # ---- MAAS's own client

    def test_maas_simulator_is_one_to_maas_own_client(self):
        done = subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmaas_check.py"),
                               self.maas_url, "compute-001"], input=self.maas_key, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        print("        " + done.stdout.strip())


class Foreign:
    """A region whose first two hosts have BMCs of their own, and an engine that fences by them."""

    HOST, OTHER = "compute-001", "compute-002"

    def __init__(self, args, work):
        self.one = Bmc("foreign1", work, "b123456789abcdefa123456789abcde1")
        self.two = Bmc("foreign2", work, "b123456789abcdefa123456789abcde2")
        self.stack = Stack(args.tachi, arguments=("--hosts", "4"))

    def run(self):
        try:
            self.learnt()
            self.swapped()
            self.refused()
            self.confirmed()
        except BaseException:
            print(self.stack.output()[-4000:])
            raise
        finally:
            self.stack.stop()
            self.one.stop()
            self.two.stop()
            self.stack.remove()

    def api(self, method, path, body=None):
        auth = self.stack.clouds[self.stack.cloud]["auth"]
        domain = {"name": "Default"}
        login = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": auth["username"], "domain": domain, "password": auth["password"]}}},
            "scope": {"project": {"name": auth["project_name"], "domain": domain}}}}
        request = urllib.request.Request(auth["auth_url"].rstrip("/") + "/auth/tokens", json.dumps(login).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            token = answer.headers["X-Subject-Token"]
        request = urllib.request.Request(
            self.stack.instance_ha_url() + path, None if body is None else json.dumps(body).encode(),
            {"X-Auth-Token": token, "Content-Type": "application/json", "OpenStack-API-Version": "instance-ha 1.3"}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def checked(self):
        code, said = self.stack.tachi("fence", "check", self.HOST, self.OTHER, "-f", "json")
        line = next(line for line in said.splitlines() if line.startswith("{"))
        return code, {device["host"]: device for device in json.loads(line)["devices"]}

    def learnt(self):
        password, devices = os.path.join(self.stack.work, "bmc"), os.path.join(self.stack.work, "fencing.toml")
        write(password, PASSWORD + "\n")
        text = ""
        for host, bmc in ((self.HOST, self.one), (self.OTHER, self.two)):
            text += ('[[device]]\nname = "bmc-%s"\ntype = "ipmi"\nendpoint = "127.0.0.1:%d"\nusername = "%s"\n'
                     'credential = "file:%s"\ncipher_suite = 3\ntimeout = 8\npoll = 1\n\n' % (host, bmc.port, USER, password))
        for host in (self.HOST, self.OTHER):
            text += '[[hosts]]\nmatch = "%s"\nlevels = [["bmc-%s"]]\n\n' % (host, host)
        write(devices + ".new", text)
        os.rename(devices + ".new", devices)
        self.stack.wait(lambda: "fence devices reloaded" in self.stack.output(), "the devices' file to be read")
        segment = self.api("POST", "/segments", {"segment": {
            "name": "s", "recovery_method": "auto", "service_type": "COMPUTE"}})["segment"]["uuid"]
        for host in ["compute-%03d" % number for number in range(1, 5)]:
            self.api("POST", "/segments/%s/hosts" % segment, {"host": {
                "name": host, "type": "COMPUTE", "control_attributes": "SSH"}})
        self.guest = self.stack.admin("POST", "/servers", {
            "count": 1, "host": self.HOST, "name": "guest", "metadata": {"HA_Enabled": "True"}})["ids"][0]
        code, seen = self.checked()
        assert code == 0, seen
        for host, bmc in ((self.HOST, self.one), (self.OTHER, self.two)):
            machine = seen[host]["machine"]
            assert machine["expected"] == machine["answers"] == "guid=" + dashed(bmc.guid), machine
            assert machine["since"] and machine["said_by"] is None, machine

    def swapped(self):
        self.one.swap(self.two)
        # The machine that answers for the first host now is off.
        self.two.machine("0", "honest")
        code, seen = self.checked()
        assert code == 1 and "another machine" in seen[self.HOST]["fault"], seen
        code, said = self.stack.tachi("status")
        assert "bmc-%s answers for another machine" % self.HOST in said, said
        code, said = self.stack.tachi("fence", "off", self.HOST, "--yes", "--reason", "test")
        assert code != 0 and "another machine" in said, said

    def notification(self):
        return self.api("GET", "/notifications/" + self.reported)["notification"]

    def place(self):
        return next(row for row in self.stack.admin("GET", "/servers") if row["id"] == self.guest)["host"]

    def refused(self):
        # It is isolated, and its guest keeps running.
        self.stack.admin("POST", "/hosts/%s/link" % self.HOST, {"up": False})
        self.stack.wait(lambda: not self.stack.admin("GET", "/hosts/" + self.HOST)["up"], "Nova to miss the host")
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        self.reported = self.api("POST", "/notifications", {"notification": {
            "type": "COMPUTE_HOST", "hostname": self.HOST, "generated_time": at,
            "payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}})["notification"]["notification_uuid"]
        message = self.stack.wait(lambda: (self.notification()["message"] or "").startswith("on hold") and self.notification()["message"],
                                  "the recovery to wait for an operator", 60)
        for part in ("bmc-" + self.HOST, "expected guid=" + dashed(self.one.guid), "guid=%s answers" % dashed(self.two.guid),
                     "tachi fence trust " + self.HOST):
            assert part in message, message
        assert self.one.journal() == self.two.journal() == [], "something was switched"
        assert self.place() == self.HOST, self.place()

    def confirmed(self):
        self.stack.admin("POST", "/hosts/%s/power" % self.HOST, {"on": False})
        code, said = self.stack.tachi("fence", "trust", self.HOST, "--yes", "--reason", "new board")
        assert code == 0 and "was guid=" + dashed(self.one.guid) in said and "is guid=" + dashed(self.two.guid) in said, said
        # Each process of a machine writes a log of its own.
        logs = [name for name in os.listdir(self.stack.work) if name.startswith("fencing-audit")]
        audit = [json.loads(line) for name in logs for line in read(os.path.join(self.stack.work, name)).splitlines()]
        lines = [line for line in audit if line.get("action") == "confirm_machine"]
        assert [line["phase"] for line in lines] == ["intent", "outcome"] and "new board" in lines[0]["operator"], lines
        code, listed = self.stack.tachi("recovery", "list", "-f", "json")
        recovery = next(row for row in json.loads(listed.splitlines()[0]) if row["host"] == self.HOST)
        code, said = self.stack.tachi("recovery", "approve", recovery["recovery"], "--yes", "--reason", "the machine is right")
        assert code == 0, said
        self.stack.wait(lambda: self.notification()["status"] == "finished", "the recovery to end", 60)
        assert self.place() != self.HOST
        assert self.stack.admin("GET", "/ledger")["double_runs"] == 0
        assert self.one.journal() == self.two.journal() == [], "what was off was switched"


def dashed(guid):
    return "-".join((guid[:8], guid[8:12], guid[12:16], guid[16:20], guid[20:]))


def running(part):
    """Whether anything runs whose command line has this in it."""
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            try:
                with open("/proc/%s/cmdline" % pid, encoding="utf-8", errors="replace") as f:
                    if part in f.read():
                        return True
            except OSError:
                continue
    return False


def late(args, work, bmc, outcome):
    """Row 2, 45 s: what takes longer than the level's time-out is not off in time. Beside the other tests."""
    probe = Probe(args.probe, os.path.join(work, "probe-late.log"))
    tests = Tests.__new__(Tests)
    tests.probe, tests.times = probe, {}
    try:
        probe.open("ipmi", **bmc.device())
        bmc.machine("1", "slow=45000")
        took = tests.fence("ipmi", "ipmi", probe=probe)
        assert took is None, "off after %s s" % took
        wait("off in the end", lambda: probe.power("ipmi") == "off", 30)
        assert bmc.journal() == ["power 0"]
        outcome.append(None)
    except Exception:
        outcome.append(traceback.format_exc(limit=3))
    finally:
        probe.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("tachi", "probe", "venv"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--only", default="", help="tests whose name has this in it")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = tempfile.mkdtemp(prefix="tachi-fencers-")
    tests = Tests(args, work)
    passed, failed = 0, 0

    def report(name, problem, took=0.0):
        nonlocal passed, failed
        if problem is None:
            passed += 1
            print("ok      %-70s %5.1f s" % (name, took), flush=True)
        else:
            failed += 1
            print("FAILED  %s\n        %s" % (name, problem.replace("\n", "\n        ")), flush=True)

    try:
        tests.start()
        watch, outcome = Watch(), []
        # The BMC of the agents shows the password by the agent's own doing; ours are looked at without it.
        slow = threading.Thread(target=late, args=(args, work, tests.slow, outcome), daemon=True)
        slow.start()
        names = [name for name in vars(Tests) if name.startswith("test_") and args.only in name]
        first_agent = next((name for name in names if "exec" in name), None)
        watch.start()
        for name in names:
            if name == first_agent:
                watch.stop()
            begun = time.monotonic()
            try:
                getattr(tests, name)()
                report(name[5:], None, time.monotonic() - begun)
            except Exception:
                report(name[5:], traceback.format_exc(limit=4))
        if not watch.ended.is_set():
            watch.stop()
        slow.join(120)
        report("ipmi_off_after_45_seconds_is_not_in_time", outcome[0] if outcome else "it never ended")
        said = "".join(read(os.path.join(work, name)) for name in os.listdir(work) if name.startswith("probe"))
        problem = None
        if PASSWORD in said or tests.maas_key.split(":")[2] in said:
            problem = "a secret was said"
        elif watch.seen:
            problem = "the password was seen in %s" % sorted(watch.seen)
        elif not args.only and (watch.looks < 100 or b"ipmitool" not in watch.children or len(said) < 2000):
            problem = "%d looks at %s, %d characters: nothing was looked at" % (watch.looks, watch.children, len(said))
        report("no_secret_in_any_command_line_environment_or_answer", problem)
        print("\n%-28s %12s %26s" % ("device", "a reading", "off to the second reading"))
        for device, rows in tests.times.items():
            for reading, off in rows:
                print("%-28s %10.3f s %26s" % (device, reading, "" if off is None else "%.1f s" % off))
    finally:
        tests.stop()
        shutil.rmtree(work, ignore_errors=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
