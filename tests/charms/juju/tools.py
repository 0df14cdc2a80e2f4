#!/usr/bin/env python3
"""What a charm calls Juju by: config-get, relation-set and the rest, by the name of the link that is called.

The model is a JSON file ($TACHI_JUJU_MODEL); `agent.py` writes it before a hook and reads it after.
"""

import ipaddress
import json
import os
import pathlib
import sys


def relation(model: dict, reference: str) -> dict:
    number = int(reference.rpartition(":")[2])
    for found in model["relations"]:
        if found["id"] == number:
            return found
    sys.exit(f'ERROR invalid value "{reference}" for option -r: relation not found')


def take(arguments: list[str], option: str) -> str | None:
    if option not in arguments:
        return None
    place = arguments.index(option)
    value = arguments[place + 1]
    del arguments[place : place + 2]
    return value


def flag(arguments: list[str], option: str) -> bool:
    if option in arguments:
        arguments.remove(option)
        return True
    return False


def answer(value: object) -> None:
    print(json.dumps(value))


def pairs(text: str) -> dict[str, str]:
    """What ops writes to relation-set: JSON, or YAML of one level with JSON's quotes or none."""
    try:
        return json.loads(text)
    except ValueError:
        sys.path.insert(0, os.path.join(os.environ["JUJU_CHARM_DIR"], "venv"))
        import yaml

        return yaml.safe_load(text) or {}


def network(model: dict, binding: str) -> dict:
    address = model["networks"].get(binding) or model["networks"][""]
    return {
        "bind-addresses": [
            {
                "interface-name": "eth0",
                "addresses": [{"hostname": "", "value": address, "cidr": str(ipaddress.ip_network(f"{address}/24", strict=False))}],
            }
        ],
        "egress-subnets": [f"{address}/32"],
        "ingress-addresses": [address],
    }


def call(tool: str, arguments: list[str], model: dict) -> None:  # noqa: C901  (a table of tools)
    arguments = [one for one in arguments if not one.startswith(("--format", "--application", "--include-data", "--log-level"))]
    if tool == "juju-log":
        model["log"].append(arguments[-1])
    elif tool == "config-get":
        answer(model["config"])
    elif tool == "is-leader":
        answer(model["leader"])
    elif tool == "relation-ids":
        answer([f"{one['endpoint']}:{one['id']}" for one in model["relations"] if one["endpoint"] == arguments[0]])
    elif tool == "relation-list":
        found = relation(model, take(arguments, "-r") or "")
        answer(found["app"] if flag(arguments, "--app") else sorted(found["units"]))
    elif tool == "relation-get":
        found = relation(model, take(arguments, "-r") or "")
        of_app = flag(arguments, "--app")
        who = arguments[-1]
        if of_app:
            answer(found["app_data"] if who == found["app"] else found.get("local_app", {}))
        elif who == model["unit"]:
            answer(found["local"])
        else:
            answer(found["units"][who])
    elif tool == "relation-set":
        found = relation(model, take(arguments, "-r") or "")
        of_app = flag(arguments, "--app")
        if take(arguments, "--file") != "-":
            sys.exit("ERROR relation-set: only --file - is known here")
        if of_app and not model["leader"]:
            sys.exit("ERROR cannot write relation settings")
        data = found.setdefault("local_app", {}) if of_app else found["local"]
        for key, value in pairs(sys.stdin.read()).items():
            if value in (None, ""):
                data.pop(key, None)
            else:
                data[key] = str(value)
    elif tool == "network-get":
        take(arguments, "-r")
        answer(network(model, arguments[0]))
    elif tool == "status-set":
        model["statuses"].append([arguments[0], arguments[-1]])
    elif tool == "status-get":
        answer({"status": model["statuses"][-1][0], "message": model["statuses"][-1][1], "status-data": {}})
    elif tool == "opened-ports":
        answer(model["ports"])
    elif tool == "open-port":
        model["ports"] = sorted({*model["ports"], arguments[-1]})
    elif tool == "close-port":
        model["ports"] = sorted({*model["ports"]} - {arguments[-1]})
    elif tool == "application-version-set":
        model["version"] = arguments[-1]
    elif tool == "secret-get":
        if arguments[0] not in model["secrets"]:
            sys.exit(f'ERROR secret "{arguments[0]}" not found')
        answer(model["secrets"][arguments[0]])
    elif tool == "secret-add":
        if take(arguments, "--owner") != "application" or not model["leader"]:
            sys.exit("ERROR secret-add: only the leader's, of the application, is known here")
        take(arguments, "--description")
        name = f"secret:{len(model['secrets']) + 1}"
        told = dict(one.split("=", 1) for one in arguments)
        model["secrets"][name] = {
            key.removesuffix("#file"): pathlib.Path(value).read_text() if key.endswith("#file") else value for key, value in told.items()
        }
        print(name)
    elif tool == "secret-grant":
        found = relation(model, take(arguments, "--relation") or "")
        found.setdefault("granted", {})[arguments[-1]] = take(arguments, "--unit")
    elif tool == "secret-remove":
        model["secrets"].pop(arguments[0], None)
    elif tool == "resource-get":
        if arguments[0] not in model["resources"]:
            sys.exit("ERROR could not download resource: not found")
        print(model["resources"][arguments[0]])
    elif tool == "action-get":
        answer(model["action"]["params"])
    elif tool == "action-set":
        model["action"]["results"] |= dict(one.split("=", 1) for one in arguments)
    elif tool == "action-fail":
        model["action"]["failed"] = arguments[-1]
    elif tool == "leader-set":
        if not model["leader"]:
            sys.exit("ERROR cannot write leadership settings: not the leader")
        model["leader_settings"] |= dict(one.split("=", 1) for one in arguments)
    else:
        sys.exit(f"ERROR {tool} is not known here")


TOOLS = [
    "juju-log",
    "config-get",
    "is-leader",
    "relation-ids",
    "relation-list",
    "relation-get",
    "relation-set",
    "network-get",
    "status-set",
    "status-get",
    "opened-ports",
    "open-port",
    "close-port",
    "application-version-set",
    "secret-add",
    "secret-get",
    "secret-grant",
    "secret-remove",
    "resource-get",
    "action-get",
    "action-set",
    "action-fail",
    "action-log",
    "leader-set",
    "goal-state",
]

if __name__ == "__main__":
    place = pathlib.Path(os.environ["TACHI_JUJU_MODEL"])
    state = json.loads(place.read_text())
    name = pathlib.Path(sys.argv[0]).name
    state["calls"].append(name)
    try:
        call(name, sys.argv[1:], state)
    finally:
        place.write_text(json.dumps(state, indent=1))
