"""What the minicloud's hypervisors themselves say: which guests run where, now and at any time of a test. Nova is not asked."""
import json
import os
import time


class Hypervisors:
    def __init__(self, data):
        self.root = os.path.join(data, "nova")

    def _hosts(self):
        return sorted(h for h in os.listdir(self.root) if os.path.isdir(os.path.join(self.root, h, "guests")))

    def running(self, uuid):
        """The hosts on which a guest is now."""
        return [h for h in self._hosts() if os.path.exists(os.path.join(self.root, h, "guests", uuid))]

    def runs_for(self, host, uuid):
        """Seconds since a guest began to run there."""
        return time.time() - max(at for at, where, what, one in self._events() if (where, what, one) == (host, "runs", uuid))

    def began(self, servers, source, since):
        """When a guest of each of `servers` first ran on another host than `source`, in seconds after `since` (a wall time)."""
        found = {}
        for at, host, what, uuid in self._events():
            if what == "runs" and uuid in servers and host != source and at >= since:
                found.setdefault(uuid, at - since)
        return found

    def stop_guest(self, host, uuid):
        """As `virsh destroy` there."""
        os.remove(os.path.join(self.root, host, "guests", uuid))
        with open(os.path.join(self.root, host, "guests.log"), "a", encoding="ascii") as file:
            file.write(json.dumps({"time": time.time(), "what": "gone", "uuid": uuid}) + "\n")

    def shut_down(self, host, uuid):
        """The guest is there and does not run, as after a boot of the host, or after its own shutdown."""
        place = os.path.join(self.root, host, "guests", uuid)
        try:
            with open(place, encoding="utf-8") as file:
                guest = json.load(file)
        except FileNotFoundError:
            guest = {"name": uuid}
        # A host that lost its power has no list until its nova-compute starts.
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place + ".new", "w", encoding="utf-8") as file:
            json.dump({**guest, "state": 4}, file)
        os.rename(place + ".new", place)
        with open(os.path.join(self.root, host, "guests.log"), "a", encoding="ascii") as file:
            file.write(json.dumps({"time": time.time(), "what": "stands", "uuid": uuid}) + "\n")

    def powered_on(self, uuid):
        """The hosts on which a guest runs, and is not only there."""
        found = []
        for host in self.running(uuid):
            with open(os.path.join(self.root, host, "guests", uuid), encoding="utf-8") as file:
                if json.load(file)["state"] == 1:
                    found.append(host)
        return found

    def fault(self, host, name, value=""):
        with open(os.path.join(self.root, host, name), "w", encoding="ascii") as file:
            file.write(str(value))

    def no_faults(self):
        for host in os.listdir(self.root):
            for name in ("fail-after-spawn", "hold-before-spawn", "hold-after-spawn", "fail-power-on"):
                try:
                    os.remove(os.path.join(self.root, host, name))
                except (FileNotFoundError, NotADirectoryError):
                    pass

    def _events(self):
        """(time, host, what, uuid) of all hosts, in the order it happened: it is one machine's clock."""
        found = []
        for host in os.listdir(self.root):
            try:
                with open(os.path.join(self.root, host, "guests.log"), encoding="ascii") as file:
                    lines = [json.loads(line) for line in file]
            except (FileNotFoundError, NotADirectoryError):
                continue
            found += [(line["time"], host, line["what"], line.get("uuid")) for line in lines]
        return sorted(found, key=lambda one: one[0])

    def twice(self, servers):
        """Every moment at which a guest of `servers` began to run while it ran elsewhere: (uuid, host, also on)."""
        where, found = {}, []
        for _, host, what, uuid in self._events():
            if what == "died":
                for hosts in where.values():
                    hosts.discard(host)
                continue
            hosts = where.setdefault(uuid, set())
            if what != "runs":
                hosts.discard(host)
                continue
            if hosts - {host} and uuid in servers and host not in hosts:
                found.append((uuid, host, sorted(hosts)))
            hosts.add(host)
        return found
