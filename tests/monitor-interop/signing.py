"""Heartbeats of monitors: one that is killed, frozen or blind is reported to operators."""
import json
import os
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from monitor import until


class Consul:
    """An agent that sees all hosts, or none answers for it."""

    def __init__(self, names):
        consul = self
        self.names, self.away = names, False

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                members = [{"Name": name, "Addr": "10.0.0.1", "Port": 8301, "Tags": {"dc": "dc1", "role": "node"}, "Status": 1}
                           for name in consul.names]
                data = json.dumps(members).encode()
                self.send_response(500 if consul.away else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Operator:
    """Types commands on the region's controller."""

    def __init__(self, binary, region):
        self.binary, self.region = binary, region

    def type(self, *words):
        return subprocess.run([self.binary, *words, *self.region.config_files()], capture_output=True, text=True, timeout=60, check=False)

    def monitors(self):
        listed = json.loads(self.type("monitor", "list", "-f", "json").stdout)
        return {(one["host"], one["kind"]): one for one in listed}

    def findings(self):
        """Hosts by code."""
        situation = json.loads(self.type("status", "-f", "json").stdout)
        return {found["code"]: found["subjects"] for found in situation["findings"]}


def signing(interop, api, region):
    """Killed, frozen, blind, taken away."""
    check, operator = interop.check, Operator(interop.args.tachi, region)
    names = ["compute-%03d" % n for n in range(1, 11)]
    check.that("no heartbeat yet: monitors are not assessed", "monitors" in json.loads(
        operator.type("status", "-f", "json").stdout)["not_assessed"])
    consul = Consul(names)
    interop.running.append(consul)
    nova = os.path.join(region.work, "nova-compute.conf")
    with open(nova, "w", encoding="utf-8") as f:
        f.write("[DEFAULT]\nresume_guests_state_on_host_boot = true\n")
    host = interop.monitor("host-monitor", api, kind="host", more={
        "monitor": {"nova_config_files": nova},
        "host": {"monitoring_driver": "consul", "monitoring_interval": "1"},
        "consul": {"agent_manage": consul.address, "agent_tenant": consul.address, "agent_storage": consul.address}}).start()
    process = interop.monitor("process-monitor", api, hostname="compute-002").start()
    both = {("compute-001", "host"), ("compute-002", "process")}
    until("both to sign", lambda: both <= set(operator.monitors()))
    signed = operator.monitors()
    check.equal("they are well", {signed[one]["grade"] for one in both}, {"ok"})
    check.that("the host monitor reports the hosts that it watches", signed["compute-001", "host"]["watches"] >= 9, signed)
    found = operator.findings()
    check.equal("who watches it is not known of its own host alone", found.get("MONITOR_UNKNOWN"), ["compute-001"])
    # What fails once on a busy machine is trouble until its next try succeeds.
    until("nothing else to be found of monitors",
          lambda: not {"HOST_NOT_WATCHED", "MONITOR_SILENT", "MONITOR_PART"} & set(operator.findings()))
    # What only its host knows: guests that start by themselves would run beside those that were moved.
    until("the doctor to know the setting of guests", lambda: "GUESTS_RESUME" in operator.findings())
    told = operator.type("doctor", "guests-resume", "--check")
    check.that("doctor reports guests that start by themselves, with the source of the setting",
               told.returncode == 2 and "compute-001" in told.stdout and "nova-compute.conf" in told.stdout, told)
    explained = operator.type("show", "compute-003").stdout
    check.that("explain shows that it is watched", "running monitors watch it" in explained, explained)

    # It does not reach the cluster: it says so itself.
    consul.away = True
    until("it to report that it is blind", lambda: operator.findings().get("HOST_NOT_WATCHED"))
    found = operator.findings()
    check.equal("a blind monitor watches no host", found["HOST_NOT_WATCHED"], names[1:])
    check.equal("and has trouble", found["MONITOR_PART"], ["compute-001"])
    check.equal("status --check fails", operator.type("status", "--check").returncode, 2)
    consul.away = False
    until("it to see again", lambda: "HOST_NOT_WATCHED" not in operator.findings())

    # Frozen, and killed: neither can say anything.
    process.process.send_signal(signal.SIGSTOP)
    host.kill()
    until("both to be silent, within a minute", lambda: {operator.monitors()[one]["grade"] for one in both} == {"err"}, 60)
    check.equal("status --check fails within a minute", operator.type("status", "--check").returncode, 2)
    found = operator.findings()
    silent = operator.monitors()
    check.equal("a frozen and a killed monitor are silent", {silent[one]["grade"] for one in both}, {"err"})
    check.that("and found", "MONITOR_SILENT" in found, found)
    check.equal("no monitor watches the others", found.get("HOST_NOT_WATCHED"), names[1:])
    shown = operator.type("status", "compute-003").stdout
    check.that("status of a host says so", "HOST_NOT_WATCHED" in shown and "masakari-host-monitor" in shown, shown)
    process.process.send_signal(signal.SIGCONT)
    until("it to sign again", lambda: operator.monitors()["compute-002", "process"]["grade"] == "ok")

    # Taken away on purpose.
    done = operator.type("monitor", "forget", "compute-001", "host")
    check.that("one that was taken away is forgotten", done.returncode == 0 and "is removed" in done.stdout, done.stdout + done.stderr)
    check.that("and not told any more", ("compute-001", "host") not in operator.monitors())
    done = operator.type("monitor", "forget", "compute-001", "host")
    check.that("what never signed cannot be forgotten", done.returncode == 1 and "tachi monitor list" in done.stderr, done.stderr)
    check.equal("the monitor ends well", process.stop(), 0)
