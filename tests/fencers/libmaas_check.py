"""MAAS's own client library against the simulated MAAS: sign, find, ask, switch off, switch on.

    libmaas_check.py URL HOST   (the API key on standard input)
"""
import sys
import time

from maas.client import bones
from maas.client.bones import CallError
from maas.client.enum import PowerState, PowerStopMode
from maas.client.utils.creds import Credentials
from maas.client.viscera import Origin

# What MAAS's own description says of the parts that are used, in its form.
ACTIONS = {
    "Version": ("version/", [], [("read", None, "GET")]),
    "Users": ("users/", [], [("whoami", "whoami", "GET")]),
    "Machines": ("machines/", [], [("read", None, "GET")]),
    "Machine": ("machines/{system_id}/", ["system_id"], [
        ("read", None, "GET"), ("query_power_state", "query_power_state", "GET"), ("power_off", "power_off", "POST"),
        ("power_on", "power_on", "POST")]),
}


def describe(url):
    base = url.rstrip("/") + "/api/2.0/"
    return {"doc": "", "hash": "", "resources": [{"name": name, "anon": None, "auth": {
        "name": name + "Handler", "doc": "", "path": "/MAAS/api/2.0/" + path, "uri": base + path, "params": params,
        "actions": [{"name": action, "op": op, "method": method, "restful": op is None, "doc": ""}
                    for action, op, method in actions]}} for name, (path, params, actions) in ACTIONS.items()]}


def wait(machine, state):
    deadline = time.monotonic() + 30
    while machine.query_power_state() != state:
        assert time.monotonic() < deadline, "never %s" % state
        time.sleep(0.2)


def main():
    url, host = sys.argv[1:]
    key = sys.stdin.read().strip()
    session = bones.SessionAPI(describe(url), Credentials.parse(key))
    origin = Origin(session)
    version = session.Version.read()
    assert "capabilities" in version, version
    assert session.Users.whoami(), "who am I"
    found = [machine for machine in origin.Machines.read(hostnames=[host])]
    assert [machine.hostname for machine in found] == [host], found
    machine = found[0]
    wait(machine, PowerState.ON)
    machine.power_off(stop_mode=PowerStopMode.HARD, comment="a test", wait=False)
    wait(machine, PowerState.OFF)
    machine.power_on(comment="a test", wait=False)
    wait(machine, PowerState.ON)
    try:
        bones.SessionAPI(describe(url), Credentials.parse("no:such:key")).Machines.read()
        raise AssertionError("a wrong key is taken")
    except CallError as error:
        assert error.status == 401, error
    print("python-libmaas sees MAAS %s, finds %s, and switches it off and on" % (version["version"], machine.system_id))


main()
