"""The table. `section` is the kind of fact: evacuate, record, service, server, return."""
import datetime
import time
from collections import namedtuple

from nova_http import Failed, wait_until

Row = namedtuple("Row", "section name check")
LONG_REASON = "r" * 256


class Stage:
    """Rows that share a state of the region, made by `prepare`; they run in the order they are written."""

    def __init__(self, prepare):
        self.prepare = prepare
        self.rows = []

    def row(self, section, name):
        def add(check):
            self.rows.append(Row(section, name, check))
            return check
        return add


class Table:
    """What the rows share: two users, the plug, and the servers made so far."""

    def __init__(self, admin, member, plug):
        self.admin, self.member, self.plug = admin, member, plug
        self.hosts = sorted(s["host"] for s in admin.get("/os-services?binary=nova-compute")["services"])[:4]
        if len(self.hosts) < 4:
            raise SystemExit("needs four hypervisors, found %s" % self.hosts)
        self.a, self.b, self.c, self.d = self.hosts
        self.image = admin.call("image", "GET", "/v2/images").json()["images"][0]["id"]
        self.flavor = admin.get("/flavors/detail")["flavors"][0]["id"]
        self.made = []
        self.s = {}
        self.seen = []

    def boot(self, key, host=None, cloud=None, wait=True):
        cloud = cloud or self.admin
        self.s[key] = cloud.boot(self.image, self.flavor, "table-" + key, host, wait)
        self.made.append(self.s[key])
        return self.s[key]

    def saw(self, text, *values):
        self.seen.append(text % values)

    def clean_up(self):
        for server in self.made:
            try:
                self.admin.delete(server)
            except Failed as problem:
                print("left behind:", problem)


def status_is(answer, *wanted):
    if answer.status_code not in wanted:
        raise Failed("%s %s answered %s, wanted %s: %s" % (
            answer.request.method, answer.request.path_url, answer.status_code,
            " or ".join(map(str, wanted)), answer.text[:400]))
    return answer


def equal(what, got, wanted):
    if got != wanted:
        raise Failed("%s is %r, wanted %r" % (what, got, wanted))


def true(what, value):
    if not value:
        raise Failed("not so: " + what)


def message(answer):
    """The error's text; Nova wraps it in one key named after the kind of error."""
    body = answer.json()
    true("the error body has one key with code and message: %s" % body, len(body) == 1)
    inner = next(iter(body.values()))
    equal("code in the body", inner["code"], answer.status_code)
    return inner["message"]


# ------------------------------------------------------------------------------------------------ all hosts are up

def up(t):
    for host in t.hosts:
        equal("servers left on " + host, t.admin.servers("host=" + host), [])
    for key in ("one", "two", "three"):
        t.boot(key, t.a, wait=False)
    for key in ("one", "two", "three"):
        t.admin.status(t.s[key], "ACTIVE")


UP = Stage(up)


@UP.row("evacuate", "refused while the service is up: 400")
def _(t):
    answer = status_is(t.admin.evacuate(t.s["one"]), 400)
    t.saw("%s", message(answer))
    equal("task_state", t.admin.server(t.s["one"])["OS-EXT-STS:task_state"], None)
    equal("records", t.admin.evacuations(t.s["one"]), [])


@UP.row("evacuate", "by a user who is not admin: 403")
def _(t):
    own = t.boot("own", cloud=t.member)
    status_is(t.member.evacuate(own), 403)


@UP.row("evacuate", "of a server that does not exist: 404")
def _(t):
    status_is(t.admin.evacuate("00000000-0000-4000-8000-000000000000"), 404)


@UP.row("version", "document at the root names 2.1 and at least 2.95, without a token")
def _(t):
    root = t.admin.endpoints["compute"].rsplit("/v2.1", 1)[0] + "/"
    answer = status_is(t.admin.http.get(root, timeout=30), 200, 300)
    current = next(v for v in answer.json()["versions"] if v["id"] == "v2.1")
    equal("min_version", current["min_version"], "2.1")
    true("version %s >= 2.95" % current["version"], int(current["version"].split(".")[1]) >= 95)


@UP.row("version", "outside the range: 406; inside it is echoed")
def _(t):
    status_is(t.admin.nova("GET", "/servers", version="2.999"), 406)
    answer = status_is(t.admin.nova("GET", "/servers", version="2.53"), 200)
    equal("OpenStack-API-Version", answer.headers.get("OpenStack-API-Version"), "compute 2.53")
    t.saw("Date header: %s", answer.headers.get("Date"))
    true("x-openstack-request-id", answer.headers.get("x-openstack-request-id", "").startswith("req-"))


@UP.row("version", "the legacy header is understood")
def _(t):
    answer = t.admin.call("compute", "GET", "/os-services?binary=nova-compute", version="2.1", headers={
        "OpenStack-API-Version": "", "X-OpenStack-Nova-API-Version": "2.53"})
    status_is(answer, 200)
    true("ids are uuids", len(str(answer.json()["services"][0]["id"])) == 36)


@UP.row("service", "id is a number before 2.53 and a uuid from 2.53; forced_down shows from 2.11")
def _(t):
    old = t.admin.get("/os-services?binary=nova-compute", "2.10")["services"][0]
    true("number", isinstance(old["id"], int))
    true("no forced_down at 2.10", "forced_down" not in old)
    new = t.admin.service(t.a)
    true("uuid", len(new["id"]) == 36)
    equal("forced_down", new["forced_down"], False)
    equal("keys", sorted(new), ["binary", "disabled_reason", "forced_down", "host", "id", "state", "status",
                                "updated_at", "zone"])


@UP.row("service", "list filters: host is exact, binary too")
def _(t):
    equal("by host", [s["host"] for s in t.admin.get("/os-services?binary=nova-compute&host=" + t.a)["services"]], [t.a])
    equal("by a part of the name", t.admin.get("/os-services?host=" + t.a[:-1])["services"], [])
    binaries = {s["binary"] for s in t.admin.get("/os-services")["services"]}
    true("conductor and scheduler are listed: %s" % binaries, {"nova-conductor", "nova-scheduler"} <= binaries)


@UP.row("service", "unknown query key: ignored before 2.75, 400 from 2.75")
def _(t):
    status_is(t.admin.nova("GET", "/os-services?colour=red", version="2.53"), 200)
    status_is(t.admin.nova("GET", "/os-services?colour=red", version="2.75"), 400)


@UP.row("service", "list by a user who is not admin: 403")
def _(t):
    status_is(t.member.nova("GET", "/os-services"), 403)


BAD_SERVICE_BODIES = [
    ("nothing", {}),
    ("reason alone", {"disabled_reason": "x"}),
    ("reason with enabled", {"status": "enabled", "disabled_reason": "x"}),
    ("reason of 256", {"status": "disabled", "disabled_reason": LONG_REASON}),
    ("empty reason", {"status": "disabled", "disabled_reason": ""}),
    ("unknown status", {"status": "asleep"}),
    ("unknown key", {"status": "disabled", "colour": "red"}),
    ("forced_down is not a boolean", {"forced_down": "perhaps"}),
]
for _name, _body in BAD_SERVICE_BODIES:
    @UP.row("service", "PUT with %s: 400" % _name)
    def _(t, body=_body):
        t.saw("%s", message(status_is(t.admin.put_service(t.b, body), 400)))
        equal("status", t.admin.service(t.b)["status"], "enabled")


@UP.row("service", "PUT of a service that is no nova-compute: 400; of an unknown uuid: 404; with a number: 400")
def _(t):
    other = t.admin.service(None, "nova-conductor")["id"]
    status_is(t.admin.nova("PUT", "/os-services/" + other, {"forced_down": True}), 400)
    status_is(t.admin.nova("PUT", "/os-services/00000000-0000-4000-8000-000000000000", {"forced_down": True}), 404)
    status_is(t.admin.nova("PUT", "/os-services/1", {"forced_down": True}), 400)


@UP.row("service", "one PUT sets status, reason of 255 and forced_down; the same PUT again is accepted")
def _(t):
    body = {"status": "disabled", "disabled_reason": LONG_REASON[:255], "forced_down": True}
    for _ in range(2):
        got = status_is(t.admin.put_service(t.b, body), 200).json()["service"]
        equal("answer", [got["status"], got["disabled_reason"], got["forced_down"], got["state"]],
              ["disabled", LONG_REASON[:255], True, "down"])


@UP.row("service", "forced_down shows down at once, while heartbeats continue")
def _(t):
    first = t.admin.service(t.b)
    equal("state", first["state"], "down")
    wait_until("updated_at to advance", lambda: t.admin.service(t.b)["updated_at"] > first["updated_at"], 15)
    equal("state", t.admin.service(t.b)["state"], "down")


@UP.row("service", "a PUT that changes something sets updated_at, alive or dead; the same PUT again does not")
def _(t):
    t.plug.kill(t.d)
    try:
        quiet = _still(t, t.d)
        status_is(t.admin.put_service(t.d, {"forced_down": True}), 200)
        first = t.admin.service(t.d)["updated_at"]
        t.saw("heartbeat stood at %s, after the PUT %s", quiet, first)
        true("the PUT moved it: %s then %s" % (quiet, first), first > quiet)
        wait_until("a second to pass", lambda: time.time() > _seconds(first) + 2, 10)
        status_is(t.admin.put_service(t.d, {"forced_down": True}), 200)
        t.saw("after the same PUT again: %s", t.admin.service(t.d)["updated_at"])
        equal("updated_at after the same PUT", t.admin.service(t.d)["updated_at"], first)
    finally:
        status_is(t.admin.put_service(t.d, {"forced_down": False}), 200)
        t.plug.start(t.d)
    wait_until("%s to be up" % t.d, lambda: t.admin.service(t.d)["state"] == "up", 90)


def _seconds(stamp):
    return datetime.datetime.fromisoformat(stamp).replace(tzinfo=datetime.timezone.utc).timestamp()


def _still(t, host):
    """The heartbeat once it stands still for longer than a report interval."""
    last, since = None, time.monotonic()

    def quiet():
        nonlocal last, since
        now = t.admin.service(host)["updated_at"]
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 4
    wait_until("the heartbeat of %s to stop" % host, quiet, 60)
    return last


@UP.row("service", "enable clears the reason; forced_down without records clears at once")
def _(t):
    got = status_is(t.admin.put_service(t.b, {"status": "enabled", "forced_down": False}), 200).json()["service"]
    equal("answer", [got["status"], got["disabled_reason"], got["forced_down"], got["state"]],
          ["enabled", None, False, "up"])


@UP.row("server", "list by host is an exact match")
def _(t):
    equal("on the host", {s["id"] for s in t.admin.servers("host=" + t.a)}, {t.s["one"], t.s["two"], t.s["three"]}
          | ({t.s["own"]} if t.admin.server(t.s["own"])["OS-EXT-SRV-ATTR:host"] == t.a else set()))
    equal("a part of the name", t.admin.servers("host=" + t.a[:-1]), [])


@UP.row("server", "list pages: limit, next link, marker; the last page has no link")
def _(t):
    found, query, pages = [], "host=%s&limit=1" % t.a, 0
    while True:
        page = t.admin.get("/servers/detail?all_tenants=1&" + query)
        true("at most one per page", len(page["servers"]) <= 1)
        found += [s["id"] for s in page["servers"]]
        pages += 1
        if not page["servers"]:
            break
        link = next((x["href"] for x in page.get("servers_links", []) if x["rel"] == "next"), None)
        if link is None:
            break
        true("the link keeps the query: " + link, "host=" + t.a in link and "limit=1" in link)
        query = link.split("?", 1)[1].replace("all_tenants=1&", "").replace("&all_tenants=1", "")
    t.saw("%d pages for %d servers", pages, len(found))
    equal("each once", sorted(found), sorted(s["id"] for s in t.admin.servers("host=" + t.a)))
    equal("pages: the full last page still carries a link, an empty page ends it", pages, len(found) + 1)


@UP.row("server", "list: an unknown marker and a negative limit are 400")
def _(t):
    base = "/servers/detail?all_tenants=1&"
    status_is(t.admin.nova("GET", base + "marker=00000000-0000-4000-8000-000000000000"), 400)
    status_is(t.admin.nova("GET", base + "limit=-1"), 400)


@UP.row("server", "list of a user who is not admin: own project only, host= is ignored, all_tenants is 403")
def _(t):
    equal("own", [s["id"] for s in t.member.get("/servers/detail")["servers"]], [t.s["own"]])
    equal("host=", [s["id"] for s in t.member.get("/servers/detail?host=nowhere")["servers"]], [t.s["own"]])
    status_is(t.member.nova("GET", "/servers/detail?all_tenants=1"), 403)


@UP.row("server", "admin sees host, node and states; host is the service's name")
def _(t):
    got = t.admin.server(t.s["one"])
    equal("host", got["OS-EXT-SRV-ATTR:host"], t.a)
    true("node", got["OS-EXT-SRV-ATTR:hypervisor_hostname"])
    equal("states", [got["status"], got["OS-EXT-STS:vm_state"], got["OS-EXT-STS:task_state"],
                     got["OS-EXT-STS:power_state"], got["locked"], got["host_status"]],
          ["ACTIVE", "active", None, 1, False, "UP"])
    true("a member does not see the host", "OS-EXT-SRV-ATTR:host" not in t.member.server(t.s["own"]))


@UP.row("server", "stop, stop again 409, start, start again 409")
def _(t):
    status_is(t.admin.act(t.s["one"], "os-stop"), 202)
    equal("power_state", t.admin.status(t.s["one"], "SHUTOFF")["OS-EXT-STS:power_state"], 4)
    status_is(t.admin.act(t.s["one"], "os-stop"), 409)
    status_is(t.admin.act(t.s["one"], "os-start"), 202)
    t.admin.status(t.s["one"], "ACTIVE")
    status_is(t.admin.act(t.s["one"], "os-start"), 409)


@UP.row("server", "lock with a reason: dropped before 2.73, shown as locked_reason from 2.73; a second lock by the owning project changes nothing")
def _(t):
    reason = {"locked_reason": "tachi 42"}
    status_is(t.admin.act(t.s["two"], "lock", reason, "2.72"), 202)
    got = t.admin.server(t.s["two"])
    equal("locked before 2.73", [got["locked"], got["locked_reason"]], [True, None])
    status_is(t.admin.act(t.s["two"], "unlock"), 202)
    status_is(t.admin.act(t.s["two"], "lock", reason), 202)
    got = t.admin.server(t.s["two"])
    equal("locked", [got["locked"], got["locked_reason"]], [True, "tachi 42"])
    true("no locked_reason at 2.72", "locked_reason" not in t.admin.server(t.s["two"], "2.72"))
    equal("filter locked", [s["id"] for s in t.admin.servers("locked=true&host=" + t.a)], [t.s["two"]])
    status_is(t.admin.act(t.s["two"], "lock", {"locked_reason": "tachi 43"}), 202)
    t.saw("reason after a second lock: %s", t.admin.server(t.s["two"])["locked_reason"])
    equal("reason after a second lock of the owning project", t.admin.server(t.s["two"])["locked_reason"], "tachi 42")


@UP.row("server", "an admin may stop and start a locked server")
def _(t):
    status_is(t.admin.act(t.s["two"], "os-stop"), 202)
    t.admin.status(t.s["two"], "SHUTOFF")
    status_is(t.admin.act(t.s["two"], "os-start"), 202)
    t.admin.status(t.s["two"], "ACTIVE")


@UP.row("server", "unlock clears the reason; unlock of an unlocked server is accepted")
def _(t):
    for _ in range(2):
        status_is(t.admin.act(t.s["two"], "unlock"), 202)
        got = t.admin.server(t.s["two"])
        equal("locked", [got["locked"], got["locked_reason"]], [False, None])


@UP.row("server", "an owner's call on a server the admin locked: stop 409, unlock 403")
def _(t):
    status_is(t.admin.act(t.s["own"], "lock", {"locked_reason": "tachi 42"}), 202)
    status_is(t.member.act(t.s["own"], "os-stop"), 409)
    status_is(t.member.act(t.s["own"], "unlock"), 403)
    status_is(t.admin.act(t.s["own"], "unlock"), 202)
    status_is(t.member.act(t.s["own"], "lock"), 202)
    status_is(t.member.act(t.s["own"], "os-stop"), 409)
    status_is(t.member.act(t.s["own"], "unlock"), 202)


@UP.row("server", "an admin's lock on top of the owner's takes it over: his reason, and the owner's unlock is 403")
def _(t):
    status_is(t.member.act(t.s["own"], "lock", {"locked_reason": "mine"}), 202)
    status_is(t.admin.act(t.s["own"], "lock", {"locked_reason": "tachi 42"}), 202)
    equal("reason", t.admin.server(t.s["own"])["locked_reason"], "tachi 42")
    status_is(t.member.act(t.s["own"], "unlock"), 403)
    status_is(t.admin.act(t.s["own"], "unlock"), 202)
    got = t.admin.server(t.s["own"])
    equal("the owner's lock is gone with it", [got["locked"], got["locked_reason"]], [False, None])


@UP.row("server", "reset-state: error, and back to active; 403 for an owner")
def _(t):
    status_is(t.admin.act(t.s["two"], "os-resetState", {"state": "error"}), 202)
    equal("status", t.admin.server(t.s["two"])["status"], "ERROR")
    status_is(t.admin.act(t.s["two"], "os-resetState", {"state": "active"}), 202)
    equal("status", t.admin.server(t.s["two"])["status"], "ACTIVE")
    status_is(t.admin.act(t.s["two"], "os-resetState", {"state": "stopped"}), 400)
    status_is(t.member.act(t.s["own"], "os-resetState", {"state": "error"}), 403)


@UP.row("record", "list by a user who is not admin: 403")
def _(t):
    status_is(t.member.nova("GET", "/os-migrations"), 403)


# ------------------------------------------------------------------------------------------------ a host has died

DEAD_SERVERS = ("active", "active95", "stopped", "stopped95", "error", "locked", "paused", "suspended", "starting",
                "stopping", "twice", "deleted", "deleted-dead", "nowhere", "rebooting")


def dead(t):
    for key in ("one", "two", "three", "own"):
        t.admin.delete(t.s[key])
        t.admin.gone(t.s[key])
    for key in DEAD_SERVERS:
        t.boot(key, t.a, wait=False)
    for key in DEAD_SERVERS:
        t.admin.status(t.s[key], "ACTIVE")
    for key, action, wanted in (("stopped", "os-stop", "SHUTOFF"), ("stopped95", "os-stop", "SHUTOFF"),
                                ("starting", "os-stop", "SHUTOFF"), ("paused", "pause", "PAUSED"),
                                ("suspended", "suspend", "SUSPENDED")):
        status_is(t.admin.act(t.s[key], action), 202)
        t.admin.status(t.s[key], wanted)
    status_is(t.admin.act(t.s["locked"], "lock", {"locked_reason": "tachi 42"}), 202)
    status_is(t.admin.act(t.s["error"], "os-resetState", {"state": "error"}), 202)
    # A server that never ran: nothing is enabled when it is scheduled.
    for host in t.hosts:
        status_is(t.admin.put_service(host, {"status": "disabled"}), 200)
    t.boot("never", wait=False)
    t.admin.status(t.s["never"], "ERROR")
    for host in t.hosts:
        status_is(t.admin.put_service(host, {"status": "enabled"}), 200)
    t.plug.kill(t.a)


DEAD = Stage(dead)


@DEAD.row("evacuate", "refused right after the death, while Nova still says up: 400")
def _(t):
    equal("state", t.admin.service(t.a)["state"], "up")
    status_is(t.admin.evacuate(t.s["active"]), 400)


@DEAD.row("service", "without a heartbeat the service goes down by itself; status stays enabled")
def _(t):
    start = time.monotonic()
    wait_until("%s to be down" % t.a, lambda: t.admin.service(t.a)["state"] == "down", 90)
    t.saw("down after %.1f s", time.monotonic() - start)
    equal("status", t.admin.service(t.a)["status"], "enabled")


@DEAD.row("server", "states of a server on a dead host are stale: ACTIVE, power_state 1, host_status UNKNOWN")
def _(t):
    got = t.admin.server(t.s["active"])
    equal("states", [got["status"], got["OS-EXT-STS:power_state"], got["host_status"]], ["ACTIVE", 1, "UNKNOWN"])


@DEAD.row("server", "host_status: DOWN with forced_down, also when disabled; MAINTENANCE when only disabled")
def _(t):
    status_is(t.admin.put_service(t.a, {"status": "disabled"}), 200)
    only = t.admin.server(t.s["active"])["host_status"]
    status_is(t.admin.put_service(t.a, {"status": "disabled", "disabled_reason": "tachi 42", "forced_down": True}), 200)
    both = t.admin.server(t.s["active"])["host_status"]
    t.saw("disabled: %s, with forced_down: %s", only, both)
    equal("disabled, disabled and forced_down", [only, both], ["MAINTENANCE", "DOWN"])


@DEAD.row("evacuate", "of a server that never ran: 400 without a target (its host is none, too), 409 with one")
def _(t):
    got = t.admin.server(t.s["never"])
    equal("host and launched", [got["OS-EXT-SRV-ATTR:host"], got["OS-SRV-USG:launched_at"]], [None, None])
    t.saw("%s", message(status_is(t.admin.evacuate(t.s["never"]), 400)))
    t.saw("%s", message(status_is(t.admin.evacuate(t.s["never"], t.b), 409)))


for _key in ("paused", "suspended"):
    @DEAD.row("evacuate", "of a %s server: 409" % _key)
    def _(t, key=_key):
        t.saw("%s", message(status_is(t.admin.evacuate(t.s[key]), 409)))


@DEAD.row("evacuate", "after reset-state to active a paused server is accepted and ends ACTIVE")
def _(t):
    status_is(t.admin.act(t.s["paused"], "os-resetState", {"state": "active"}), 202)
    status_is(t.admin.evacuate(t.s["paused"]), 200)
    got = t.admin.moved(t.s["paused"], t.a)
    equal("states", [got["status"], got["OS-EXT-STS:power_state"]], ["ACTIVE", 1])


BAD_EVACUATIONS = [
    ("to the dead host itself", lambda t: {"host": t.a}, "2.94", 400),
    ("to an unknown host", lambda t: {"host": "no-such-host"}, "2.94", 404),
    ("with onSharedStorage from 2.14", lambda t: {"onSharedStorage": False}, "2.14", 400),
    ("without onSharedStorage before 2.14", lambda t: {}, "2.13", 400),
    ("with force from 2.68", lambda t: {"host": t.b, "force": True}, "2.68", 400),
    ("with force but without host", lambda t: {"force": True}, "2.67", 400),
    ("with an unknown key", lambda t: {"colour": "red"}, "2.94", 400),
]
for _name, _make, _version, _code in BAD_EVACUATIONS:
    @DEAD.row("evacuate", "%s: %d" % (_name, _code))
    def _(t, make=_make, version=_version, code=_code):
        answer = t.admin.act(t.s["active"], "evacuate", make(t), version)
        t.saw("%s", message(status_is(answer, code)))
        equal("task_state", t.admin.server(t.s["active"])["OS-EXT-STS:task_state"], None)


@DEAD.row("server", "os-start on a dead host is accepted and queued: powering-on; a second start is 409")
def _(t):
    status_is(t.admin.act(t.s["starting"], "os-start"), 202)
    t.saw("%s", message(status_is(t.admin.act(t.s["starting"], "os-start"), 409)))
    got = t.admin.server(t.s["starting"])
    equal("states", [got["status"], got["OS-EXT-STS:task_state"]], ["SHUTOFF", "powering-on"])


@DEAD.row("server", "os-stop on a dead host is accepted and queued: powering-off; while it is, stop and start are 409")
def _(t):
    status_is(t.admin.act(t.s["stopping"], "os-stop"), 202)
    got = t.admin.server(t.s["stopping"])
    equal("states", [got["status"], got["OS-EXT-STS:task_state"]], ["ACTIVE", "powering-off"])
    t.saw("%s", message(status_is(t.admin.act(t.s["stopping"], "os-stop"), 409)))
    t.saw("%s", message(status_is(t.admin.act(t.s["stopping"], "os-start"), 409)))


@DEAD.row("server", "reboot on a dead host is accepted and queued: rebooting_hard")
def _(t):
    status_is(t.admin.act(t.s["rebooting"], "reboot", {"type": "HARD"}), 202)
    got = t.admin.server(t.s["rebooting"])
    t.saw("%s %s", got["status"], got["OS-EXT-STS:task_state"])
    equal("states", [got["status"], got["OS-EXT-STS:task_state"]], ["HARD_REBOOT", "rebooting_hard"])


def _back(t, key, version, status, power):
    answer = status_is(t.admin.evacuate(t.s[key], version=version), 200)
    equal("body", answer.text, "")
    got = t.admin.moved(t.s[key], t.a)
    t.saw("now on %s, %s", got["OS-EXT-SRV-ATTR:host"], got["status"])
    equal("states", [got["status"], got["OS-EXT-STS:power_state"]], [status, power])
    record, = t.admin.evacuations(t.s[key])
    wait_until("record done", lambda: t.admin.evacuations(t.s[key])[0]["status"] == "done", 15)
    equal("record", [record["source_compute"], record["dest_compute"], record["migration_type"]],
          [t.a, got["OS-EXT-SRV-ATTR:host"], "evacuation"])
    return got


@DEAD.row("evacuate", "active at 2.94: moves, ACTIVE, record done")
def _(t):
    _back(t, "active", "2.94", "ACTIVE", 1)


@DEAD.row("evacuate", "active at 2.95: moves, SHUTOFF")
def _(t):
    _back(t, "active95", "2.95", "SHUTOFF", 4)


@DEAD.row("evacuate", "stopped at 2.94: moves, stays SHUTOFF")
def _(t):
    _back(t, "stopped", "2.94", "SHUTOFF", 4)


@DEAD.row("evacuate", "stopped at 2.95: moves, stays SHUTOFF")
def _(t):
    _back(t, "stopped95", "2.95", "SHUTOFF", 4)


@DEAD.row("evacuate", "error at 2.94: moves, ACTIVE")
def _(t):
    _back(t, "error", "2.94", "ACTIVE", 1)


@DEAD.row("evacuate", "locked: accepted, stays locked with its reason")
def _(t):
    got = _back(t, "locked", "2.94", "ACTIVE", 1)
    equal("lock", [got["locked"], got["locked_reason"]], [True, "tachi 42"])


@DEAD.row("evacuate", "with a task_state (queued stop): accepted, ends ACTIVE without a task")
def _(t):
    equal("task", t.admin.server(t.s["stopping"])["OS-EXT-STS:task_state"], "powering-off")
    _back(t, "stopping", "2.94", "ACTIVE", 1)


@DEAD.row("evacuate", "with a task_state (queued start): accepted, a stopped server stays SHUTOFF")
def _(t):
    equal("task", t.admin.server(t.s["starting"])["OS-EXT-STS:task_state"], "powering-on")
    _back(t, "starting", "2.94", "SHUTOFF", 4)


@DEAD.row("evacuate", "shows in the server's actions")
def _(t):
    actions = t.admin.get("/servers/%s/os-instance-actions" % t.s["active"])["instanceActions"]
    true("evacuate among %s" % [a["action"] for a in actions], "evacuate" in [a["action"] for a in actions])


@DEAD.row("evacuate", "of a server that has left the dead host: 400, its host is up")
def _(t):
    status_is(t.admin.evacuate(t.s["active"]), 400)


@DEAD.row("evacuate", "no valid host: 200, then record error, vm_state error, fault, host unchanged")
def _(t):
    for host in (t.b, t.c, t.d):
        status_is(t.admin.put_service(host, {"status": "disabled"}), 200)
    others = [s for s in t.admin.get("/os-services?binary=nova-compute")["services"] if s["host"] not in t.hosts]
    equal("other hosts that could take it", [s["host"] for s in others if s["status"] == "enabled"], [])
    status_is(t.admin.evacuate(t.s["nowhere"]), 200)
    got = t.admin.status(t.s["nowhere"], "ERROR")
    for host in (t.b, t.c, t.d):
        status_is(t.admin.put_service(host, {"status": "enabled"}), 200)
    record, = t.admin.evacuations(t.s["nowhere"])
    equal("record", [record["status"], record["dest_compute"]], ["error", None])
    equal("server", [got["OS-EXT-STS:vm_state"], got["OS-EXT-SRV-ATTR:host"]], ["error", t.a])
    t.saw("fault: %s", got["fault"]["message"])
    true("No valid host in " + got["fault"]["message"], "No valid host" in got["fault"]["message"])


@DEAD.row("evacuate", "and again after no valid host: accepted, moves, ACTIVE")
def _(t):
    status_is(t.admin.evacuate(t.s["nowhere"]), 200)
    equal("status", t.admin.moved(t.s["nowhere"], t.a)["status"], "ACTIVE")
    equal("records, newest first", [r["status"] for r in t.admin.evacuations(t.s["nowhere"])], ["done", "error"])


@DEAD.row("server", "delete of a server on a dead host: 204, gone at once")
def _(t):
    status_is(t.admin.nova("DELETE", "/servers/" + t.s["deleted-dead"]), 204)
    t.admin.gone(t.s["deleted-dead"], 15)


# ------------------------------------------------------------------------------------------------ while one is under way

def under_way(t):
    """Evacuations to a destination that has just died: Nova still takes it for up, so the cast waits in its queue."""
    wait_until("%s to be up" % t.d, lambda: t.admin.service(t.d)["state"] == "up", 30)
    t.plug.kill(t.d)
    equal("state", t.admin.service(t.d)["state"], "up")
    status_is(t.admin.evacuate(t.s["twice"], t.d), 200)
    status_is(t.admin.evacuate(t.s["deleted"], t.d), 200)
    wait_until("two records", lambda: all(t.admin.evacuations(t.s[k]) for k in ("twice", "deleted")), 15)


UNDER_WAY = Stage(under_way)


@UNDER_WAY.row("record", "accepted before the destination has picked it up; server is REBUILD on the old host")
def _(t):
    record, = t.admin.evacuations(t.s["twice"])
    equal("record", [record["status"], record["source_compute"], record["updated_at"]], ["accepted", t.a, None])
    t.saw("dest_compute: %s", record["dest_compute"])
    got = t.admin.server(t.s["twice"])
    equal("server", [got["status"], got["OS-EXT-STS:task_state"], got["OS-EXT-SRV-ATTR:host"]],
          ["REBUILD", "rebuilding", t.a])


@UNDER_WAY.row("record", "changes-since hides a fresh record, because updated_at is null")
def _(t):
    equal("since 2020", t.admin.migrations("changes-since=2020-01-01T00:00:00Z&instance_uuid=" + t.s["twice"]), [])
    true("without it", t.admin.evacuations(t.s["twice"]))


@UNDER_WAY.row("evacuate", "a second one of the same server is accepted, and leaves a second record")
def _(t):
    status_is(t.admin.evacuate(t.s["twice"], t.d), 200)
    wait_until("a second record", lambda: len(t.admin.evacuations(t.s["twice"])) == 2, 15)
    equal("both", [r["status"] for r in t.admin.evacuations(t.s["twice"])], ["accepted", "accepted"])


@UNDER_WAY.row("server", "delete during an evacuation: 204, gone")
def _(t):
    status_is(t.admin.nova("DELETE", "/servers/" + t.s["deleted"]), 204)
    t.admin.gone(t.s["deleted"], 30)


@UNDER_WAY.row("record", "of a deleted server is no longer listed")
def _(t):
    equal("records", t.admin.evacuations(t.s["deleted"]), [])


@UNDER_WAY.row("record", "when the destination returns both queued rebuilds run: the first moves the server, the second fails, "
                         "both use the older record so that none is done, and the server is left in error with a task_state")
def _(t):
    t.plug.start(t.d)

    def over():
        return [r["status"] for r in t.admin.evacuations(t.s["twice"])] == ["accepted", "failed"]
    wait_until("the older record to be failed, the newer accepted", over, 90)

    def stuck():
        got = t.admin.server(t.s["twice"])
        return got if (got["OS-EXT-STS:task_state"], got["OS-EXT-STS:vm_state"]) == (
            "rebuild_block_device_mapping", "error") else None
    got = wait_until("the states the second one leaves", stuck, 30)
    equal("server", [got["status"], got["OS-EXT-STS:vm_state"], got["OS-EXT-STS:power_state"], got["OS-EXT-SRV-ATTR:host"]],
          ["REBUILD", "error", 1, t.d])
    wait_until("%s to be up" % t.d, lambda: t.admin.service(t.d)["state"] == "up", 60)


@UNDER_WAY.row("server", "reset-state to active clears a task_state that stayed")
def _(t):
    status_is(t.admin.act(t.s["twice"], "os-resetState", {"state": "active"}), 202)
    got = t.admin.server(t.s["twice"])
    equal("server", [got["status"], got["OS-EXT-STS:task_state"]], ["ACTIVE", None])


@UNDER_WAY.row("record", "list: newest first, and filters by type, source, instance, status; host matches either side")
def _(t):
    ours = t.admin.migrations("migration_type=evacuation&source_compute=" + t.a)
    true("several", len(ours) > 8)
    times = [r["created_at"] for r in ours]
    equal("order", times, sorted(times, reverse=True))
    equal("sources", {r["source_compute"] for r in ours}, {t.a})
    equal("by status", {r["status"] for r in t.admin.migrations("status=done&source_compute=" + t.a)}, {"done"})
    either = t.admin.migrations("host=" + t.d)
    true("d is a destination", any(r["dest_compute"] == t.d for r in either))
    true("d is on one side", all(t.d in (r["dest_compute"], r["source_compute"]) for r in either))
    equal("no such source", t.admin.migrations("source_compute=no-such-host"), [])


@UNDER_WAY.row("record", "list pages: limit, next link, marker is the record's uuid")
def _(t):
    base = "migration_type=evacuation&source_compute=" + t.a
    everything = [r["uuid"] for r in t.admin.migrations(base)]
    found, query = [], base + "&limit=3"
    while query:
        page = t.admin.get("/os-migrations?" + query)
        true("at most three", len(page["migrations"]) <= 3)
        found += [r["uuid"] for r in page["migrations"]]
        link = next((x["href"] for x in page.get("migrations_links", []) if x["rel"] == "next"), None)
        query = link.split("?", 1)[1] if link else None
    equal("all, in order", found, everything)
    after = t.admin.migrations(base + "&marker=" + everything[2])
    equal("after the third", [r["uuid"] for r in after], everything[3:])


@UNDER_WAY.row("record", "list: unknown key 400, unknown marker 400, sort keys are not for callers 400")
def _(t):
    for query in ("colour=red", "marker=00000000-0000-4000-8000-000000000000", "sort_key=id", "limit=-1"):
        status_is(t.admin.nova("GET", "/os-migrations?" + query), 400)


@UNDER_WAY.row("record", "has a number and, from 2.59, a uuid; numbers grow; no links before 2.59")
def _(t):
    query = "/os-migrations?migration_type=evacuation&source_compute=" + t.a
    new, old = t.admin.get(query), t.admin.get(query, "2.58")
    true("uuid from 2.59", all("uuid" in r for r in new["migrations"]))
    true("none before", not any("uuid" in r for r in old["migrations"]))
    ids = [r["id"] for r in new["migrations"]]
    equal("ids, newest first", ids, sorted(ids, reverse=True))


# ------------------------------------------------------------------------------------------------ the host returns

def returned(t):
    before = t.admin.service(t.a)
    equal("service", [before["status"], before["forced_down"]], ["disabled", True])


RETURNED = Stage(returned)


@RETURNED.row("return", "forced_down cannot be cleared while records are done: 400")
def _(t):
    t.saw("%s", message(status_is(t.admin.put_service(t.a, {"forced_down": False}), 400)))
    equal("forced_down", t.admin.service(t.a)["forced_down"], True)


@RETURNED.row("return", "a status with the refused forced_down is not applied either")
def _(t):
    status_is(t.admin.put_service(t.a, {"status": "enabled", "forced_down": False}), 400)
    got = t.admin.service(t.a)
    t.saw("%s %s", got["status"], got["forced_down"])
    equal("service", [got["status"], got["forced_down"]], ["disabled", True])


@RETURNED.row("return", "enable alone is accepted while forced_down stays; then back to disabled")
def _(t):
    got = status_is(t.admin.put_service(t.a, {"status": "enabled"}), 200).json()["service"]
    equal("service", [got["status"], got["forced_down"], got["state"]], ["enabled", True, "down"])
    status_is(t.admin.put_service(t.a, {"status": "disabled", "disabled_reason": "tachi 42"}), 200)


@RETURNED.row("return", "when nova-compute starts, done and accepted become completed; error and failed stay")
def _(t):
    before = t.admin.service(t.a)["updated_at"]
    t.plug.start(t.a)
    # They are closed one by one.
    wait_until("no record done", lambda: not t.admin.migrations("status=done&source_compute=" + t.a), 90)
    wait_until("what was accepted to be completed, beside what failed",
               lambda: [r["status"] for r in t.admin.evacuations(t.s["twice"])] == ["completed", "failed"], 15)
    statuses = {r["status"] for r in t.admin.migrations("migration_type=evacuation&source_compute=" + t.a)}
    equal("statuses", statuses, {"completed", "error", "failed"})
    wait_until("the heartbeat to move", lambda: t.admin.service(t.a)["updated_at"] > before, 30)


@RETURNED.row("return", "the service stays disabled, forced_down and down, though its heartbeat moves")
def _(t):
    got = t.admin.service(t.a)
    equal("service", [got["status"], got["forced_down"], got["state"], got["disabled_reason"]],
          ["disabled", True, "down", "tachi 42"])


@RETURNED.row("return", "a queued reboot of a server that was left behind ends: ACTIVE, no task")
def _(t):
    got = t.admin.settled(t.s["rebooting"], 60)
    equal("server", [got["status"], got["OS-EXT-SRV-ATTR:host"]], ["ACTIVE", t.a])


@RETURNED.row("return", "a queued start or stop of a server that has moved away leaves Nova's record of it as it was")
def _(t):
    got = [t.admin.settled(t.s[key], 60) for key in ("starting", "stopping")]
    equal("status", [s["status"] for s in got], ["SHUTOFF", "ACTIVE"])
    true("not on the old host", all(s["OS-EXT-SRV-ATTR:host"] != t.a for s in got))


@RETURNED.row("return", "now forced_down clears: 200, state up; status is untouched")
def _(t):
    got = status_is(t.admin.put_service(t.a, {"forced_down": False}), 200).json()["service"]
    equal("service", [got["forced_down"], got["status"]], [False, "disabled"])
    wait_until("up", lambda: t.admin.service(t.a)["state"] == "up", 30)


@RETURNED.row("return", "after enable a server boots on the host again")
def _(t):
    status_is(t.admin.put_service(t.a, {"status": "enabled"}), 200)
    t.boot("back", t.a)
    equal("host", t.admin.server(t.s["back"])["OS-EXT-SRV-ATTR:host"], t.a)


# ------------------------------------------------------------------------------ the host returns, an instance was asked for twice

def asked_twice(t):
    """The message of the first evacuation lies in the queue of a destination that has died; the second one is worked off."""
    t.boot("again", t.a)
    wait_until("%s to be up" % t.d, lambda: t.admin.service(t.d)["state"] == "up", 30)
    t.plug.kill(t.a)
    status_is(t.admin.put_service(t.a, {"status": "disabled", "disabled_reason": "tachi 43", "forced_down": True}), 200)
    t.plug.kill(t.d)
    status_is(t.admin.evacuate(t.s["again"], t.d), 200)
    wait_until("its record", lambda: [r["dest_compute"] for r in t.admin.evacuations(t.s["again"])] == [t.d], 15)
    status_is(t.admin.evacuate(t.s["again"], t.c), 200)


ASKED_TWICE = Stage(asked_twice)


def statuses(t):
    return [r["status"] for r in t.admin.evacuations(t.s["again"])]


@ASKED_TWICE.row("record", "the second of two evacuations moves the server on the older record: that one is done, the younger accepted")
def _(t):
    equal("host", t.admin.moved(t.s["again"], t.a)["OS-EXT-SRV-ATTR:host"], t.c)
    wait_until("the older to be done", lambda: statuses(t) == ["accepted", "done"], 15)


@ASKED_TWICE.row("return", "nova-compute closes one evacuation of an instance when it starts, the youngest: forced_down stays refused, 400")
def _(t):
    t.plug.start(t.a)
    wait_until("one to be closed", lambda: statuses(t) == ["completed", "done"], 90)
    t.saw("%s", message(status_is(t.admin.put_service(t.a, {"forced_down": False}), 400)))


@ASKED_TWICE.row("return", "when it has started once more, the other is closed too, and forced_down clears")
def _(t):
    t.plug.restart(t.a)
    wait_until("both to be closed", lambda: statuses(t) == ["completed", "completed"], 90)
    equal("forced_down", status_is(t.admin.put_service(t.a, {"forced_down": False}), 200).json()["service"]["forced_down"], False)
    # What waits for the dead destination must find nothing.
    t.admin.delete(t.s["again"])
    t.admin.gone(t.s["again"])


STAGES = [UP, DEAD, UNDER_WAY, RETURNED, ASKED_TWICE]
