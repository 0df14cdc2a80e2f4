"""Nova's fake hypervisor with what a real one has: guests that outlive nova-compute and leave with a live migration, and failures in mid-spawn.

`up.sh` puts it where Nova looks for drivers (`nova.virt.minicloud`). Everything is below `state_path` of its nova-compute:

    guests/UUID         one file for each guest: this is the list. Whoever removes a file has stopped that guest, as with virsh
    guests.log          a line of JSON for each guest that came or went, with the time
    fail-after-spawn    a number: so many spawns fail after their guest has begun to run
    hold-before-spawn   while this file is there, the spawns of the guests that it names wait before they run
    hold-after-spawn    the same, after it
    fail-power-on       while this file is there, no guest is powered on
"""
import collections.abc
import json
import os
import time

import nova.conf
from nova.compute import power_state
from nova.virt import fake

CONF = nova.conf.CONF
HOLD = 600


class Guest(fake.FakeInstance):
    """A guest whose state is kept in its file."""

    def __init__(self, guests, name, state, uuid):
        self._guests = guests
        super().__init__(name, state, uuid)

    def __setattr__(self, key, value):
        super().__setattr__(key, value)
        if key == "state" and hasattr(self, "uuid"):
            self._guests.write(self)


class Guests(collections.abc.MutableMapping):
    """The folder as the dict that the fake driver keeps its guests in."""

    def __init__(self):
        self.log = os.path.join(CONF.state_path, "guests.log")
        self.folder = os.path.join(CONF.state_path, "guests")
        os.makedirs(self.folder, exist_ok=True)

    def _tell(self, what, uuid):
        line = json.dumps({"time": time.time(), "what": what, "uuid": uuid}) + "\n"
        with open(self.log, "a", encoding="ascii") as file:
            file.write(line)

    def write(self, guest):
        place = os.path.join(self.folder, guest.uuid)
        with open(place + ".new", "w", encoding="utf-8") as file:
            json.dump({"name": guest.name, "state": guest.state}, file)
        os.rename(place + ".new", place)
        self._tell("runs" if guest.state == power_state.RUNNING else "stands", guest.uuid)

    def __getitem__(self, uuid):
        try:
            with open(os.path.join(self.folder, uuid), encoding="utf-8") as file:
                kept = json.load(file)
        except FileNotFoundError:
            raise KeyError(uuid) from None
        return Guest(self, kept["name"], kept["state"], uuid)

    def __setitem__(self, uuid, instance):
        self.write(Guest(self, instance.name, instance.state, uuid))

    def __delitem__(self, uuid):
        try:
            os.remove(os.path.join(self.folder, uuid))
        except FileNotFoundError:
            raise KeyError(uuid) from None
        self._tell("gone", uuid)

    def __iter__(self):
        return (name for name in os.listdir(self.folder) if not name.endswith(".new"))

    def __len__(self):
        return sum(1 for _ in self)


class Hypervisor(fake.FakeDriverWithoutFakeNodes):
    def __init__(self, virtapi, read_only=False):
        super().__init__(virtapi, read_only)
        self.instances = Guests()

    @staticmethod
    def _fault(name):
        return os.path.join(CONF.state_path, name)

    def _hold(self, name, uuid):
        end = time.monotonic() + HOLD
        while time.monotonic() < end:
            try:
                with open(self._fault(name), encoding="ascii") as file:
                    if uuid not in file.read().split():
                        return
            except FileNotFoundError:
                return
            time.sleep(0.1)

    def _fails_now(self):
        try:
            with open(self._fault("fail-after-spawn"), "r+", encoding="ascii") as file:
                left = int(file.read() or 0)
                file.seek(0)
                file.truncate()
                file.write(str(max(0, left - 1)))
        except FileNotFoundError:
            return False
        return left > 0

    def power_on(self, context, instance, *args, **kwargs):
        if os.path.exists(self._fault("fail-power-on")):
            raise RuntimeError("minicloud: told not to power %s on" % instance.uuid)
        super().power_on(context, instance, *args, **kwargs)

    def post_live_migration(self, context, instance, *args, **kwargs):
        """At the source, before the guest is taken on at the destination. Nova's fake driver keeps the guest."""
        self.instances.pop(instance.uuid, None)

    def spawn(self, context, instance, *args, **kwargs):
        self._hold("hold-before-spawn", instance.uuid)
        super().spawn(context, instance, *args, **kwargs)
        self._hold("hold-after-spawn", instance.uuid)
        if self._fails_now():
            raise RuntimeError("minicloud: told to fail after the guest of %s was spawned" % instance.uuid)
