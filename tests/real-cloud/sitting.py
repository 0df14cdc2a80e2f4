"""What a sitting on the minicloud shares: Tachi's processes, hosts that die and come back, what Nova shows of their servers,
and cases one after the other, each of which leaves the cloud as it found it."""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import traceback

for folder in ("nova-table", "client"):
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", folder))

from adapters import Real, heal
from checks import Checks
from ha import Ha, remove
from hypervisors import Hypervisors
from nova_http import Cloud, Failed, wait_until

MINICLOUD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "devstack", "minicloud")


def minicloud(script, *words, **more):
    """One of its scripts; `more` goes into its environment."""
    # A file and no pipe: what it starts keeps on writing.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run([os.path.join(MINICLOUD, script), *words], timeout=300, stdout=said, stderr=said,
                              env={**os.environ, **more}, check=False)
        if done.returncode:
            said.seek(0)
            raise Failed("%s: %d\n%s" % (" ".join((script, *words)), done.returncode, said.read().decode(errors="replace")[-1000:]))


class Tachi:
    """The processes under test."""

    def __init__(self, binary, configuration, work):
        self.binary, self.work, self.running = binary, work, {}
        self.configuration = [word for file in configuration for word in ("--config-file", file)]

    def start(self, verb, name=None):
        name = name or verb
        with open(os.path.join(self.work, name + ".log"), "ab") as log:
            self.running[name] = subprocess.Popen([self.binary, verb, *self.configuration], stdin=subprocess.DEVNULL,
                                                  stdout=log, stderr=log)

    def kill(self, name):
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def stop(self):
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        self.running.clear()

    def log(self, name):
        with open(os.path.join(self.work, name + ".log"), encoding="utf-8", errors="replace") as f:
            return f.read()


class Sitting:
    def __init__(self, args, cloud, checks):
        self.args, self.cloud, self.checks = args, cloud, checks
        self.tachi = Tachi(args.tachi, args.config_file, args.work)
        self.plug, self.ha = Real(cloud), Ha(cloud)
        self.hypervisors = Hypervisors(args.data)
        self.hosts = sorted(s["host"] for s in cloud.get("/os-services?binary=nova-compute")["services"])
        self.turn = 0

    def segment(self, method="auto", reserved=(), hosts=None):
        self.turn += 1
        return self.ha.segment("sitting-%d" % self.turn, hosts or self.hosts, method, reserved)

    def die(self, host):
        self.plug.kill(host)
        wait_until("%s to be down" % host, lambda: self.cloud.service(host)["state"] == "down", 60)

    def mine(self, servers):
        return {s["id"]: s for s in self.cloud.servers("limit=1000") if s["id"] in servers}

    def back(self, servers, victim):
        return {s["id"] for s in self.mine(servers).values() if s["status"] == "ACTIVE"
                and s["OS-EXT-STS:task_state"] is None and s["OS-EXT-SRV-ATTR:host"] != victim}

    def records(self, servers, victim):
        found = {}
        for record in self.cloud.migrations("migration_type=evacuation&limit=1000&source_compute=" + victim):
            if record["instance_uuid"] in servers:
                found.setdefault(record["instance_uuid"], []).append(record["status"])
        return found

    def clean(self, segments, servers, hosts=None):
        heal(self.cloud, self.plug, hosts or self.hosts)
        for segment, ids in segments:
            for host, uuid in ids.items():
                if self.ha.host(segment, uuid)["on_maintenance"]:
                    # A case that was broken off leaves a recovery, which ends once its servers are gone.
                    wait_until("%s to be free" % host, lambda uuid=uuid, segment=segment: self._protect(segment, uuid), 180, 1)
            self.ha.call("DELETE", "/segments/" + segment)
        remove(self.cloud, servers)

    def _protect(self, segment, uuid):
        try:
            self.ha.call("PUT", "/segments/%s/hosts/%s" % (segment, uuid), {"host": {"on_maintenance": False}})
        except Failed as refused:
            if ": 409 " not in str(refused):
                raise
            return False
        return True

    def forget_earlier_runs(self):
        """What a run that was cut off has left in the database."""
        for segment in self.ha.call("GET", "/segments?limit=1000")["segments"]:
            if segment["name"].startswith("sitting-"):
                hosts = self.ha.call("GET", "/segments/%s/hosts" % segment["uuid"])["hosts"]
                self.clean([(segment["uuid"], {host["name"]: host["uuid"] for host in hosts})], [])

    def start_tachi(self):
        """One API and two engines, that answer."""
        self.tachi.start("api")
        self.tachi.start("engine", "engine-1")
        self.tachi.start("engine", "engine-2")
        wait_until("the API to answer", self._answers, 60)
        self.forget_earlier_runs()

    def _answers(self):
        try:
            return self.cloud.call("instance-ha", "GET", "/segments").status_code == 200
        except OSError:
            return False

    def put_right(self):
        heal(self.cloud, self.plug, self.hosts)
        remove(self.cloud, [s["id"] for s in self.cloud.servers("limit=1000")])

    # What each kind of sitting does at its own moments.

    def begin_all(self):
        pass

    def after_case(self, name):
        pass

    def end_all(self):
        self.tachi.stop()

    def run(self, cases):
        heal(self.cloud, self.plug, self.hosts)
        try:
            self.begin_all()
            for name in self.args.only or cases:
                print("case      " + name, flush=True)
                try:
                    cases[name]()
                except Exception as error:
                    self.checks.that("case %s goes through" % name, False,
                                     error if isinstance(error, Failed) else traceback.format_exc())
                    self.put_right()
                finally:
                    self.after_case(name)
        finally:
            self.end_all()
            self.put_right()


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--clouds", required=True, metavar="FILE")
    parser.add_argument("--cloud", required=True, metavar="NAME")
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--config-file", action="append", required=True, help="of tachi; may be repeated")
    parser.add_argument("--run", required=True, help="the minicloud's run folder")
    parser.add_argument("--data", required=True, help="the minicloud's data folder")
    parser.add_argument("--work", required=True, help="where the logs go")
    parser.add_argument("--only", nargs="*", help="these cases only")
    return parser


def sit(parser, kind, cases):
    """`kind(args, cloud, checks)` is a Sitting; `cases(it)` are its cases by name. Returns the exit code."""
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cloud, checks = Cloud(args.clouds, args.cloud), Checks()
    args.own_user = cloud.user
    sitting = kind(args, cloud, checks)
    found = cases(sitting)
    unknown = [name for name in args.only or () if name not in found]
    if unknown:
        parser.error("no case named %s; there are: %s" % (", ".join(unknown), " ".join(found)))
    if cloud.servers("limit=1"):
        print("the cloud is not empty: `devstack/minicloud/cloud.sh wipe` first")
        print("0 passed, 1 failed")
        return 1
    sitting.run(found)
    return sitting.checks.end()
