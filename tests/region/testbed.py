"""A region that is up: its machines and their power controllers, Tachi's services and monitors, and guests that write."""
import json
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("client", "nova-table", "fencers", "pacemaker", "real-cloud"):
    sys.path.append(os.path.join(HERE, "..", folder))

import ledger
from field import CONF, Field
from ha import ENDED, Ha
from nova_http import Cloud, Failed, wait_until
from simulators import PASSWORD, USER, Bmc
from sitting import Tachi

KIT = os.path.join(HERE, "..", "pacemaker", "cluster.sh")
SCRIPT = os.path.join(HERE, "region.sh")


class Machines(Field):
    """The machines of a region that is up."""

    def __init__(self, root, work, monitor, auth):
        self.work, self.monitor, self.bridges, self.more = work, monitor, {}, ""
        self.env = dict(os.environ, FIXTURE_DIR=os.path.join(root, "f"))
        self.root, self.controls = root, ["ctl1", "ctl2", "ctl3"]
        self.api = {"auth": auth["auth_url"], "user": "masakari", "password": auth["password"], "project": "service",
                    "region": "RegionOne"}

    def pids(self, node):
        """All processes of a machine, as this one numbers them."""
        with open(os.path.join(self.env["FIXTURE_DIR"], "cluster", "proc", "node-" + node), encoding="ascii") as file:
            holder = int(file.read().split()[0])
        space = os.readlink("/proc/%d/ns/pid_for_children" % holder)
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    if os.readlink("/proc/%s/ns/pid" % name) == space:
                        found.append(int(name))
                except OSError:
                    pass
        return found

    def processes(self, node, *words):
        """The processes of a machine that have each of these words in their command line."""
        found = []
        for pid in self.pids(node):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as file:
                    line = [os.path.basename(word) for word in file.read().decode(errors="replace").split("\0")]
            except OSError:
                continue
            if all(word in line for word in words):
                found.append(pid)
        return found

    def kill(self, node, how, *words):
        """Returns once these processes are gone, with the time."""
        pids = self.processes(node, *words)
        if not pids:
            raise Failed("%s does not run on %s" % (" ".join(words), node))
        for pid in pids:
            os.kill(pid, how)
        wait_until("the end of %s on %s" % (" ".join(words), node), lambda: not set(pids) & set(self.processes(node, *words)), 30, 0.1)
        return time.time()

    def file(self, node, name):
        """A file of a machine that it keeps without power."""
        return os.path.join(self.root, "host", node, name)

    def text(self, node, name):
        try:
            with open(self.file(node, name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def qemu_log(self, node):
        """What its guests' QEMUs have printed since the region is up."""
        folder, text = os.path.join(self.env["FIXTURE_DIR"], "cluster", "nodes", node, "libvirt", "qemu"), ""
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                text += file.read()
        return text

    def downtime(self, node, server):
        """How long the guest stood still in its last live migration to this machine, as libvirt has measured it, in seconds."""
        shown = self.kit("exec", node, "virsh", "domjobinfo", server, "--completed")
        found = re.search(r"^Total downtime:\s+(\d+)\s+ms", shown, re.M)
        if not found:
            raise Failed("libvirt shows no downtime of %s: %s" % (server, shown))
        return int(found.group(1)) / 1000

    def flag(self, node, name, up):
        if up:
            with open(self.file(node, name), "w", encoding="ascii"):
                pass
        elif os.path.exists(self.file(node, name)):
            os.unlink(self.file(node, name))

    def script(self, node, verb, *words):
        self.kit("exec", node, SCRIPT, verb, node, *words)

    def monitor_on(self, node):
        """The instance monitor runs from now on whenever the machine does."""
        api, state = CONF.partition("[host]")[0], os.path.join(self.work, "monitors-" + node)
        programs = os.path.join(self.work, "processes-%s.yaml" % node)
        os.makedirs(state)
        with open(programs, "w", encoding="utf-8") as file:
            start = "env REGION_DIR=%s %s compute %s" % (self.root, SCRIPT, node)
            file.write("- process_name: nova-compute\n  run_as_root: true\n  start_command: %s\n  restart_command: %s\n" % (start, start))
        with open(self.file(node, "monitors.conf"), "w", encoding="utf-8") as file:
            file.write(api.format(node=node, state=state, **self.api) + "[process]\nprocess_list_path = %s\n" % programs)
        self.script(node, "monitor", "instance")

    def monitor_off(self, node):
        for pid in self.processes(node, "monitors.conf"):
            os.kill(pid, signal.SIGTERM)
        for name in ("monitors.conf", "boot-guard", "compute-broken"):
            self.flag(node, name, False)

    def switched_off(self):
        """The power commands `off` that controllers had carried out, as (time, machine)."""
        try:
            with open(os.path.join(self.env["FIXTURE_DIR"], "power.log"), encoding="ascii") as file:
                return [(float(at), node) for at, node, state in map(str.split, file) if state == "off"]
        except FileNotFoundError:
            return []

    def off_since(self, node):
        """When its BMC had switched it off."""
        return [at for at, of in self.switched_off() if of == node][-1]


class Region:
    def __init__(self, args):
        self.args, self.root = args, args.root
        self.work = os.path.join(self.root, "work-%d" % os.getpid())
        os.makedirs(self.work)
        self.shared = os.path.join(self.root, "shared")
        self.cloud = Cloud(args.clouds, "devstack-admin")
        self.ha = Ha(self.cloud)
        self.machines = Machines(self.root, self.work, args.monitor, self.cloud.auth)
        self.hosts = sorted(s["host"] for s in self.cloud.get("/os-services?binary=nova-compute")["services"])
        self.stoppable = []

    # ---- what runs beside the region

    def start(self):
        os.environ["FIXTURE_DIR"] = self.machines.env["FIXTURE_DIR"]
        self.bmcs, self.pdus = {}, {}
        for number, host in enumerate(self.hosts, 1):
            for kind, controllers in enumerate((self.bmcs, self.pdus)):
                name = ("bmc-" if kind == 0 else "pdu-") + host
                controllers[host] = Bmc(name, self.work, "a123456789abcdefa123456789%02x%04x" % (kind + 1, number),
                                        "%s %s %s %s" % (os.path.join(HERE, "chassis.sh"), KIT, host, name))
                self.stoppable.append(controllers[host])
        tachi = Tachi(self.args.tachi, [self.args.config_file, self.configure()], self.work)
        subprocess.run([self.args.tachi, "db", "sync", *tachi.configuration], check=True, timeout=120,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stoppable.append(tachi)
        tachi.start("api")
        tachi.start("engine")
        self.tachi = tachi
        wait_until("the API", self.answers, 60)
        for segment in self.ha.call("GET", "/segments")["segments"]:
            self.ha.call("DELETE", "/segments/" + segment["uuid"])
        self.segment, self.ids = self.ha.segment("region", self.hosts)
        for node in self.machines.controls:
            self.machines.bridge(node, lost=5, remotes="true")
        wait_until("the host monitors", lambda: all(map(self.machines.watching, self.machines.controls)), 60)
        for host in self.hosts:
            self.machines.monitor_on(host)
        wait_until("the instance monitors", lambda: self.monitors("instance") == set(self.hosts), 60, 0.5)
        self.images()
        self.seen = os.path.join(self.work, "witness")
        self.witness = subprocess.Popen([sys.executable, os.path.join(HERE, "ledger.py"), "watch", self.shared, self.seen])

    def answers(self):
        try:
            return self.ha.call("GET", "/segments")
        except (Failed, OSError):
            return None

    def command(self, *words, seconds=60):
        """What an operator's command prints, and its exit code."""
        done = subprocess.run([self.args.tachi, *words, *self.tachi.configuration], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False)
        return done.returncode, done.stdout

    def monitors(self, kind):
        """The hosts whose monitor of that kind has sent a heartbeat to this API."""
        code, text = self.command("monitor", "list", "-f", "json")
        if code:
            return set()
        return {one["host"] for one in json.loads(text) if one["kind"] == kind and one["grade"] == "ok"}

    def notifications(self):
        """All of them, newest first; none while the API cannot answer."""
        try:
            return self.ha.call("GET", "/notifications")["notifications"]
        except (Failed, OSError, ValueError):
            return []

    def fixture(self, *words):
        """A command of region.sh about the controllers."""
        subprocess.run([SCRIPT, *words], check=True, timeout=180, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def restart_engine(self, *lines):
        """With these lines in a configuration file of their own, if there are any."""
        self.tachi.running["engine"].terminate()
        self.tachi.running.pop("engine").wait(30)
        del self.tachi.configuration[4:]
        if lines:
            path = os.path.join(self.work, "etc", "case.conf")
            with open(path, "w", encoding="ascii") as file:
                file.write("\n".join(lines) + "\n")
            self.tachi.configuration += ["--config-file", path]
        self.tachi.start("engine")

    def configure(self):
        folder = os.path.join(self.work, "etc")
        os.makedirs(folder)
        secret = os.path.join(folder, "bmc.password")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o400), "w", encoding="ascii") as file:
            file.write(PASSWORD)
        devices = os.path.join(folder, "fencing.toml")
        with open(os.open(devices, os.O_WRONLY | os.O_CREAT, 0o640), "w", encoding="ascii") as file:
            for bmc in [*self.bmcs.values(), *self.pdus.values()]:
                file.write('[[device]]\nname = "%s"\ntype = "ipmi"\nendpoint = "127.0.0.1:%d"\nusername = "%s"\ncredential = "file:%s"\n'
                           "cipher_suite = 3\n\n" % (bmc.name, bmc.port, USER, secret))
            for host in self.bmcs:
                file.write('[[hosts]]\nmatch = "%s"\nlevels = [["bmc-%s"], ["pdu-%s"]]\n\n' % (host, host, host))
        override = os.path.join(folder, "tachi.conf")
        with open(override, "w", encoding="ascii") as file:
            # The guards against storms would put most recoveries on hold: each of three hosts is a third of all, and the cases break one
            # after the other within minutes, in a region that is minutes old.
            file.write("[DEFAULT]\nstate_path = %s\n[fencing]\nmode = engine\ndevices_file = %s\nsegment_fraction_percent = 100\n"
                       "global_fraction_percent = 100\nstorm_startup_grace = 0\nstorm_fences = 0\nstorm_flap_fences = 0\n"
                       "[instance_failure]\nprocess_all_instances = true\n" % (self.work, devices))
        return override

    def images(self):
        """The guest's kernel, what it starts, and an empty disk; a flavor for it."""
        known = {image["name"]: image["id"] for image in self.cloud.call("image", "GET", "/v2/images?status=active").json()["images"]}
        more = {}
        for name, key, form in (("vmlinuz", "kernel_id", "aki"), ("initrd", "ramdisk_id", "ari"), ("disk", None, "raw")):
            if name not in known:
                made = self.cloud.call("image", "POST", "/v2/images", dict(
                    {"name": name, "disk_format": form, "container_format": form if key else "bare", "visibility": "public"},
                    **more if key is None else {}))
                known[name] = made.json()["id"]
                with open(os.path.join(self.args.guest, name), "rb") as file:
                    answer = self.cloud.http.put("%s/v2/images/%s/file" % (self.cloud.endpoints["image"], known[name]), data=file, headers={
                        "X-Auth-Token": self.cloud.token, "Content-Type": "application/octet-stream"}, timeout=120)
                if answer.status_code != 204:
                    raise Failed("image %s: %s %s" % (name, answer.status_code, answer.text[:300]))
            if key:
                more.update({key: known[name], "os_command_line": "console=ttyS0 quiet panic=-1"})
        self.image = known["disk"]
        found = [f["id"] for f in self.cloud.get("/flavors")["flavors"] if f["name"] == "ledger"]
        self.flavor = found[0] if found else self.cloud.nova("POST", "/flavors", {"flavor": {
            "name": "ledger", "vcpus": 1, "ram": 128, "disk": 1}}).json()["flavor"]["id"]

    def stop(self):
        for node in list(self.machines.bridges):
            self.machines.kill_bridge(node)
        for host in self.hosts:
            self.machines.monitor_off(host)
        if hasattr(self, "witness"):
            self.witness.terminate()
            self.witness.wait()
        for thing in reversed(self.stoppable):
            thing.stop()

    # ---- guests

    def disk(self, server):
        return os.path.join(self.shared, server, "disk")

    def boots(self, server, boots, records=20):
        """Whether its ledger shows that boot, and so many records of it."""
        found, _ = ledger.read(self.disk(server))
        return len([record for record in found if record.boot == boots]) >= records

    def verdict(self, server, boots, off):
        return ledger.judge(self.disk(server), ledger.witnessed(self.seen, server), boots, off)

    def records(self, server):
        return len(ledger.read(self.disk(server))[0])

    def seen_of(self, server):
        return ledger.witnessed(self.seen, server)

    def ended(self, uuid):
        try:
            shown = self.ha.notification(uuid)
        except (Failed, OSError, ValueError):
            return None
        return shown if shown["status"] in ENDED else None

    # ---- hosts that fail and come back

    def lose_power(self, host):
        """Returns when it was off."""
        # A host without power closes no connection.
        self.machines.kit("cut", host)
        self.machines.kit("kill", host)
        return time.time()

    def cut(self, host):
        self.machines.kit("cut", host)

    def hang(self, host):
        for pid in self.machines.pids(host):
            os.kill(pid, signal.SIGSTOP)

    def cut_with_ignoring_bmc(self, host):
        """The host's BMC accepts commands and ignores them: the second level has to switch the host off."""
        with open(self.ignores(host), "w", encoding="ascii"):
            pass
        self.machines.kit("cut", host)

    def ignores(self, host):
        return os.path.join(self.machines.env["FIXTURE_DIR"], "ignores-bmc-" + host)

    def power_on(self, host):
        """The host is repaired and switched on by its BMC, as an operator does it."""
        self.machines.kit("heal", host)
        if os.path.exists(self.ignores(host)):
            os.unlink(self.ignores(host))
        subprocess.run(["ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-p", str(self.bmcs[host].port), "-U", USER, "-E",
                        "chassis", "power", "on"], env=dict(os.environ, IPMI_PASSWORD=PASSWORD), check=True, timeout=60,
                       stdout=subprocess.DEVNULL)

    def back(self, host):
        """It is on again, and an operator returns it to service."""
        self.power_on(host)
        wait_until("the engine to clear forced_down", lambda: not self.cloud.service(host)["forced_down"], 180, 1)
        wait_until("%s to be up" % host, lambda: self.cloud.service(host)["state"] == "up", 120, 1)
        self.cloud.put_service(host, {"status": "enabled"})
        wait_until("%s to be protected again" % host, lambda: self.protect(host), 120, 1)

    def in_service(self, host):
        service = self.cloud.service(host)
        return (service["state"] == "up" and service["status"] == "enabled" and not service["forced_down"]
                and not self.ha.host(self.segment, self.ids[host])["on_maintenance"])

    def protect(self, host):
        try:
            self.ha.call("PUT", "/segments/%s/hosts/%s" % (self.segment, self.ids[host]), {"host": {"on_maintenance": False}})
        except Failed as refused:
            if ": 409 " not in str(refused):
                raise
            return False
        return True
