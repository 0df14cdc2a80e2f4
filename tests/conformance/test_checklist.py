"""The conformance checklist, item by item. What an item leaves out is in the file of its subject."""
import json
import os
import re
import sys
import time

import pytest
from client import Client, PROCESS, STARTED, STOPPED, VM

NOBODY = "6128798e-1111-4222-8333-0123456789ab"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def segment(ha, hosts):
    """A segment with two hosts."""
    segment = ha.new_segment("s1")
    segment["hosts"] = [ha.new_host(segment, name) for name in hosts[:2]]
    return segment


def path(segment, host=None):
    below = "/segments/" + segment["uuid"]
    return below if host is None else "%s/hosts/%s" % (below, host["uuid"])


class TestDiscovery:
    """Item 1. `GET /`, `/v1`, `/v1/`, `/healthcheck` shapes; `GET /v1` without token = 401 with `WWW-Authenticate`."""

    def test_root(self, ha):
        (version,) = ha.raw("GET", "/").root("versions")
        assert (version["id"], version["status"], version["version"], version["min_version"]) == (
            "v1.0", "CURRENT", "1.3", "1.0")
        assert version["links"] == [{"rel": "self", "href": "http://%s/v1/" % ha.host}]

    @pytest.mark.parametrize("where", ["/v1", "/v1/"])
    def test_v1(self, ha, where):
        version = ha.but(prefix="").get(where).root("version")
        assert (version["id"], version["version"], version["min_version"]) == ("v1.0", "1.3", "1.0")
        assert {"rel": "self", "href": "http://%s/v1/" % ha.host} in version["links"]

    @pytest.mark.parametrize("accept, body", [(None, "OK"), ("text/plain", "OK"),
                                              ("application/json", {"detailed": False, "reasons": ["OK"]})])
    def test_healthcheck(self, ha, accept, body):
        answer = ha.raw("GET", "/healthcheck", {} if accept is None else {"Accept": accept})
        assert answer.status == 200
        assert (answer.text if isinstance(body, str) else answer.json) == body
        head = ha.raw("HEAD", "/healthcheck")
        assert (head.status, head.body) == (204, b"")

    @pytest.mark.parametrize("token", [None, "", "nonsense"])
    def test_without_a_token(self, ha, region, token):
        answer = ha.but(token=token).get("")
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Keystone uri="%s"' % region.auth_url
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json == {"error": {"code": 401, "title": "Unauthorized",
                                         "message": "The request you have made requires authentication."}}


@pytest.mark.parametrize("header, expected", [
    (None, "1.0"), ("compute 2.1", "1.0"), ("masakari 1.2", "1.0"), ("1.2", "1.0"), ("instance-ha", "1.0"),
    ("instance-ha 1.2", "1.2"), ("INSTANCE-HA 1.2", "1.2"), ("instance-ha 1.2, compute 2.1", "1.2"),
    ("instance-ha 1.1, instance-ha 1.2", "1.2"), ("instance-ha latest", "1.3"),
    ("instance-ha LATEST", 400), ("instance-ha 1", 400), ("instance-ha 01.2", 400), ("instance-ha 1.2 foo", 400),
    ("instance-ha 1.4", 406), ("instance-ha 2.0", 406),
])
# Item 2.
def test_microversions(ha, header, expected):
    """Microversion table of 1.2 row by row, incl. response headers and 406/400 texts (the whole of it: test_discovery)."""
    answer = ha.get("/segments", version=None, headers={} if header is None else {"OpenStack-API-Version": header})
    if isinstance(expected, str):
        assert (answer.status, answer.headers["OpenStack-API-Version"]) == (200, "instance-ha " + expected)
        assert answer.headers["Vary"] == "OpenStack-API-Version"
    else:
        word = header.split(" ", 1)[1]
        assert answer.fault == {
            400: (400, "badRequest",
                  "API Version String %s is of invalid format. Must be of format MajorNum.MinorNum." % word),
            406: (406, "masakariFault",
                  "Version %s is not supported by the API. Minimum is 1.0 and maximum is 1.3." % word)}[expected]


@pytest.mark.parametrize("project", [False, True], ids=["bare", "with project"])
class TestPathForms:
    """Item 3. For each resource: create, show, list, update, delete with project-prefixed and bare paths."""

    @pytest.fixture
    def at(self, ha, admin, project):
        return ha.but(prefix="/v1/" + admin[1]) if project else ha

    def test_segments(self, at):
        made = at.new_segment("s1", description="d", enabled=False)
        assert UUID.fullmatch(made["uuid"])
        assert at.get(path(made)).root("segment") == made
        assert at.get("/segments").root("segments") == [made]
        changed = at.put(path(made), {"segment": {"name": "s2", "enabled": True}}).root("segment")
        assert (changed["name"], changed["enabled"], changed["description"]) == ("s2", True, "d")
        assert at.delete(path(made)).status == 204
        assert at.get(path(made)).status == 404 and at.get("/segments").root("segments") == []

    def test_hosts(self, at, hosts):
        segment = at.new_segment("s1")
        made = at.new_host(segment, hosts[0], reserved=True)
        assert UUID.fullmatch(made["uuid"]) and made["failover_segment"] == segment
        assert at.get(path(segment, made)).root("host") == made
        assert at.get(path(segment) + "/hosts").root("hosts") == [made]
        changed = at.put(path(segment, made), {"host": {"reserved": "False", "type": "KVM"}}).root("host")
        assert (changed["reserved"], changed["type"], changed["name"]) == (False, "KVM", hosts[0])
        assert at.delete(path(segment, made)).status == 204
        assert at.get(path(segment, made)).status == 404 and at.get(path(segment) + "/hosts").root("hosts") == []

    def test_notifications(self, at, hosts):
        at.new_host(at.new_segment("s1"), hosts[0])
        made = at.new_notification(hosts[0])
        one = "/notifications/" + made["notification_uuid"]
        assert UUID.fullmatch(made["notification_uuid"])
        assert at.get(one, version="1.0").root("notification") == made
        assert at.get("/notifications").root("notifications") == [made]
        assert (at.put(one, {"notification": {}}).status, at.delete(one).status) == (405, 405)

    def test_vmoves(self, at, database, hosts):
        at.new_host(at.new_segment("s1"), hosts[0])
        made = at.new_notification(hosts[0])
        under, uuid = "/notifications/%s/vmoves" % made["notification_uuid"], database.new_vmove(made)
        shown = at.get(under + "/" + uuid).root("vmove")
        assert shown["uuid"] == uuid and at.get(under).root("vmoves") == [shown]
        assert at.put(under + "/" + uuid, {}).status == at.post(under, {}).status == 405


class TestCommandLine:
    """Item 4. CLI end-to-end: every command of 7.2 with a fake keystone whose catalog has `/v1/$(tenant_id)s`, `/v1`, and bare
    endpoints. (What each command asks and every version: tests/client/every_call.py.)"""

    @pytest.fixture(scope="class")
    def openstack(self, region):
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "client"))
        from quick import QuickCli
        return QuickCli(region.clouds_file, "tachi-sandbox")

    @pytest.mark.parametrize("form", ["/v1/$(tenant_id)s", "/v1", ""])
    def test_every_command(self, ha, api, region, database, hosts, openstack, form):
        region.register("http://127.0.0.1:%d%s" % (api.port, form))
        try:
            self.every_command(openstack, database, hosts)
        finally:
            region.register("http://127.0.0.1:%d/v1/$(tenant_id)s" % api.port)

    def every_command(self, openstack, database, hosts):
        ok, out = openstack.ok, openstack.json
        made = out("segment", "create", "s1", "auto", "COMPUTE", "--description", "d")
        assert (made["name"], made["recovery_method"]) == ("s1", "auto")
        assert [row["uuid"] for row in out("segment", "list", "--limit", "1")] == [made["uuid"]]
        ok("segment", "update", "s1", "--name", "s2")
        assert out("segment", "show", "s2")["uuid"] == made["uuid"]
        host = out("segment", "host", "create", hosts[0], "COMPUTE", "SSH", "s2", "--reserved", "True")
        assert host["reserved"] is True
        ok("segment", "host", "update", "s2", hosts[0], "--reserved", "False")
        assert out("segment", "host", "show", "s2", hosts[0])["reserved"] is False
        assert [row["name"] for row in out("segment", "host", "list", "s2")] == [hosts[0]]
        noted = out("notification", "create", "COMPUTE_HOST", hosts[0], "2026-01-01T00:00:00", json.dumps(STOPPED))
        uuid = noted["notification_uuid"]
        assert out("notification", "show", uuid)["status"] == "new"
        assert [row["notification_uuid"] for row in out("notification", "list")] == [uuid]
        vmove = database.new_vmove(noted)
        assert [row["uuid"] for row in out("notification", "vmove", "list", uuid)] == [vmove]
        assert out("notification", "vmove", "show", uuid, vmove)["uuid"] == vmove
        database.set_status(noted, "finished")
        ok("segment", "host", "delete", "s2", hosts[0])
        ok("segment", "delete", "s2")
        assert out("segment", "list") == []


# Item 5.
def test_pagination_ends(ha):
    """Pagination loop with `--limit 1` over 3 rows ends after 4 requests; default order newest first."""
    for name in "abc":
        ha.new_segment(name)
    seen, marker, requests = [], "", 0
    while True:
        page = ha.get("/segments?limit=1" + marker).root("segments")
        requests += 1
        if not page:
            break
        seen.append(page[0]["name"])
        marker = "&marker=%d" % page[0]["id"]
    assert (seen, requests) == (["c", "b", "a"], 4)


TRUE = ["True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", True]
FALSE = ["False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", False]


class TestBooleans:
    """Item 6. Boolean spellings table for `enabled`, `reserved`, `on_maintenance` in body (2.3) and in query (2.5, 2.6)."""

    def test_enabled_in_a_body(self, ha):
        for number, word in enumerate(TRUE + FALSE):
            assert ha.new_segment("s%d" % number, enabled=word)["enabled"] is (word in TRUE), word

    @pytest.mark.parametrize("field", ["reserved", "on_maintenance"])
    def test_a_hosts_in_a_body(self, ha, hosts, field):
        segment = ha.new_segment("s")
        host = ha.new_host(segment, hosts[0])
        for word in TRUE + FALSE:
            assert ha.put(path(segment, host), {"host": {field: word}}).root("host")[field] is (word in TRUE), word

    @pytest.mark.parametrize("word", [0, 1, None, "", "t", "oN", "2"])
    def test_none_of_them(self, ha, segment, word):
        host = segment["hosts"][0]
        fields = {"name": "s", "recovery_method": "auto", "service_type": "C", "enabled": word}
        assert ha.post("/segments", {"segment": fields}).status == 400
        for field in ("reserved", "on_maintenance"):
            assert ha.put(path(segment, host), {"host": {field: word}}).status == 400

    @pytest.mark.parametrize("field", ["reserved", "on_maintenance"])
    @pytest.mark.parametrize("words, expected", [("1 t true on y yes YES True", 1), ("0 f false n no off OFF False", 0)])
    def test_a_hosts_in_a_query(self, ha, hosts, field, words, expected):
        segment = ha.new_segment("s")
        for number in (0, 1):
            ha.new_host(segment, hosts[number], **{field: bool(number)})
        for word in words.split():
            listed = ha.get("%s/hosts?%s=%s" % (path(segment), field, word)).root("hosts")
            assert [host["name"] for host in listed] == [hosts[expected]], word

    @pytest.mark.ours_only("FIX, register row 4")
    @pytest.mark.parametrize("words, expected", [("1 t true on y yes YES True", "on"), ("0 f false n no off OFF False", "off")])
    def test_enabled_in_a_query(self, ha, words, expected):
        ha.new_segment("on")
        ha.new_segment("off", enabled=False)
        for word in words.split():
            listed = ha.get("/segments?enabled=" + word).root("segments")
            assert [segment["name"] for segment in listed] == [expected], word


@pytest.mark.parametrize("status, free", [("new", False), ("running", False), ("error", False),
                                          ("finished", True), ("failed", True), ("ignored", True)])
# Item 7.
def test_in_use(ha, database, segment, hosts, status, free):
    """409 in-use for `new`, `running`, `error`; allowed for `finished`, `failed`, `ignored`; H2 still 201."""
    sibling = segment["hosts"][1]
    database.set_status(ha.new_notification(hosts[0]), status)
    ha.new_host(segment, hosts[2])
    answers = [ha.put(path(segment), {"segment": {"description": "d"}}),
               ha.put(path(segment, sibling), {"host": {"control_attributes": "x"}}),
               ha.delete(path(segment, sibling)), ha.delete(path(segment))]
    assert [answer.status for answer in answers] == ([200, 200, 204, 204] if free else [409] * 4)
    for answer in [] if free else answers:
        assert answer.fault[1] == "conflictingRequest" and "as it is in-use to process notifications." in answer.message


@pytest.mark.parametrize("at, payload, status", [
    ("2026-01-01T00:00:00", STARTED, 409), ("2026-01-01T00:03:00", STARTED, 409),
    ("2026-01-01T00:03:00.000001", STARTED, 202), ("2025-01-01T00:00:00", STARTED, 409),
    ("2026-01-01T00:00:00", {"event": "STARTED"}, 202),
], ids=["+0 s", "+180 s", "+180.000001 s", "older", "different payload"])
# Item 8.
def test_duplicate_window(ha, database, segment, hosts, at, payload, status):
    """Duplicate window: +0 s, +180 s is 409; +180.000001 s is 202; older identical is 409; different payload is 202.
    (Where the column keeps whole seconds it takes a whole second more.)"""
    if not database.fractions:
        at = at.replace("00:03:00.000001", "00:03:01")
    ha.new_notification(hosts[0], at="2026-01-01T00:00:00", payload=STARTED)
    assert ha.notify(hosts[0], at=at, payload=payload).status == status


class TestNameReuse:
    """Item 9. Soft-delete name reuse for segments and hosts; cascading host deletion."""

    def test_segments(self, ha):
        for _ in range(3):
            assert ha.delete(path(ha.new_segment("again"))).status == 204
        assert ha.new_segment("again")["name"] == "again"

    def test_hosts(self, ha, hosts):
        segment, other = ha.new_segment("s1"), ha.new_segment("s2")
        for owner in (segment, other, segment):
            assert ha.delete(path(owner, ha.new_host(owner, hosts[0]))).status == 204

    def test_cascade(self, ha, database, segment, hosts):
        assert ha.delete(path(segment)).status == 204
        other = ha.new_segment("s2")
        for name in hosts[:2]:
            ha.new_host(other, name)
        rows = database.execute("SELECT deleted, id FROM hosts WHERE failover_segment_id = ?", segment["uuid"])
        assert len(rows) == 2 and all(deleted == id_ for deleted, id_ in rows)


class TestPayloads:
    """Item 10. Payload matrices of 5.1; lower-case `stopped` is 400; unknown host is 400; maintenance is 409. (All: test_notifications.)"""

    @pytest.mark.parametrize("kind, payload", [
        ("COMPUTE_HOST", STOPPED), ("COMPUTE_HOST", {"event": "STARTED"}), ("PROCESS", PROCESS), ("VM", VM),
        ("VM", {**VM, "event": "anything"})])
    def test_good(self, ha, segment, hosts, kind, payload):
        assert ha.notify(hosts[0], kind, payload=payload).status == 202

    @pytest.mark.parametrize("kind, good", [("COMPUTE_HOST", STOPPED), ("PROCESS", PROCESS), ("VM", VM)])
    def test_bad(self, ha, segment, hosts, kind, good):
        required = {"COMPUTE_HOST": ["event"], "PROCESS": ["event", "process_name"], "VM": list(VM)}[kind]
        bad = [{k: v for k, v in good.items() if k != key} for key in required] + [{**good, "odd": "x"}]
        bad += [{**good, key: ""} for key in good] + [{**good, key: 1} for key in good]
        for payload in bad:
            assert ha.notify(hosts[0], kind, payload=payload).status == 400, payload

    @pytest.mark.parametrize("kind, good", [("COMPUTE_HOST", STOPPED), ("PROCESS", PROCESS)])
    def test_lower_case(self, ha, segment, hosts, kind, good):
        assert ha.notify(hosts[0], kind, payload={**good, "event": "stopped"}).status == 400

    def test_unknown_host(self, ha, segment):
        assert ha.notify("nobody").fault == (400, "badRequest", "Host with name nobody could not be found.")

    def test_maintenance(self, ha, segment, hosts):
        ha.put(path(segment, segment["hosts"][0]), {"host": {"on_maintenance": True}})
        assert ha.notify(hosts[0]).fault == (
            409, "conflictingRequest", "Notification received from host %s of type 'COMPUTE_HOST' is ignored as the host "
                                       "is already under maintenance." % hosts[0])


class TestProgress:
    """Item 11. N3 shape at 1.0 (no key) and 1.1+ (list); task `progress` number vs detail `progress` string."""

    @pytest.mark.parametrize("version, there", [(None, False), ("1.0", False), ("1.1", True), ("1.2", True), ("1.3", True)])
    def test_shape(self, ha, segment, hosts, version, there):
        made = ha.new_notification(hosts[0])
        shown = ha.get("/notifications/" + made["notification_uuid"], version=version).root("notification")
        assert shown == ({**made, "recovery_workflow_details": []} if there else made)

    @pytest.mark.ours_only("Masakari's engine would have to write it into tables of its own")
    def test_types(self, ha, database, segment, hosts):
        made = ha.new_notification(hosts[0])
        ((recovery,),) = database.execute("SELECT id FROM recovery")
        database.insert("recovery_step", recovery_id=recovery, epoch=1, task="DisableComputeServiceTask", kind="note",
                        progress=1.0, failed=False, text="Disabled compute service", at=1767225600000000)
        shown = ha.get("/notifications/" + made["notification_uuid"]).root("notification")["recovery_workflow_details"]
        (task,) = shown
        assert set(task) == {"name", "progress", "state", "progress_details"}
        assert isinstance(task["progress"], float) and task["state"] == "SUCCESS"
        (detail,) = task["progress_details"]
        assert set(detail) == {"timestamp", "progress", "message"}
        assert all(isinstance(value, str) for value in detail.values())
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?", detail["timestamp"]), detail


class TestPolicyOverrides:
    """Item 12. Non-admin token is 403 text with rule name; policy.yaml override of one rule changes only that route; file edit
    takes effect without restart."""

    def routes(self, segment):
        host = path(segment, segment["hosts"][0])
        return [("GET", "/segments", "segments:index"), ("GET", path(segment), "segments:detail"),
                ("DELETE", path(segment), "segments:delete"), ("GET", path(segment) + "/hosts", "os-hosts:index"),
                ("GET", host, "os-hosts:detail"), ("DELETE", host, "os-hosts:delete"),
                ("GET", "/notifications", "notifications:index"), ("GET", "/notifications/x", "notifications:detail"),
                ("GET", "/notifications/x/vmoves", "vmoves:index"), ("GET", "/notifications/x/vmoves/y", "vmoves:detail"),
                ("GET", "/extensions", "extensions:index"), ("GET", "/extensions/x", "extensions:detail")]

    def allowed(self, client, segment):
        """The rules that let the caller through; what is refused says which rule did it."""
        through = []
        for method, where, rule in self.routes(segment):
            answer = client.send(method, where)
            if answer.status == 403:
                assert answer.message == "Policy doesn't allow os_masakari_api:%s to be performed." % rule
            else:
                through.append(rule)
        return through

    def test_a_member_is_refused(self, ha, member, segment):
        lowly = ha.but(token=member[0])
        assert self.allowed(lowly, segment) == []
        bodies = [("POST", "/segments", {"segment": {"name": "s", "recovery_method": "auto", "service_type": "C"}}, "segments:create"),
                  ("PUT", path(segment), {"segment": {"name": "s"}}, "segments:update"),
                  ("POST", path(segment) + "/hosts", {"host": {"name": "h", "type": "C", "control_attributes": "S"}}, "os-hosts:create"),
                  ("PUT", path(segment, segment["hosts"][0]), {"host": {"reserved": True}}, "os-hosts:update")]
        for method, where, body, rule in bodies:
            assert lowly.send(method, where, body).message == "Policy doesn't allow os_masakari_api:%s to be performed." % rule
        assert lowly.notify("h").message == "Policy doesn't allow os_masakari_api:notifications:create to be performed."

    def test_one_rule_changes_one_route_without_a_restart(self, variant, ha, member, segment):
        service = variant("")
        lowly = Client(service.address, member[0])
        assert self.allowed(lowly, segment) == []
        self.write(service.policy, '"os_masakari_api:segments:index": "role:member"\n')
        self.until(lambda: lowly.get("/segments").status == 200)
        assert self.allowed(lowly, segment) == ["segments:index"]
        self.write(service.policy, '"os_masakari_api:segments:detail": "@"\n')
        self.until(lambda: lowly.get("/segments").status == 403)
        assert self.allowed(lowly, segment) == ["segments:detail"]

    @staticmethod
    def write(name, text):
        # In one act, and with another time of change than before.
        with open(name + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        later = os.stat(name).st_mtime + 2
        os.utime(name + ".new", (later, later))
        os.replace(name + ".new", name)

    @staticmethod
    def until(condition):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "the new file does not count"


SPOOFED = {"X-User-Id": "admin", "X-Project-Id": "admin", "X-Roles": "admin", "X-Role": "admin", "X-User-Name": "admin",
           "X-Identity-Status": "Confirmed", "X-Service-Roles": "admin", "X-Is-Admin-Project": "True", "X-System-Scope": "all",
           "X-Tenant-Id": "admin", "X-User": "admin", "X-Domain-Id": "default", "OpenStack-System-Scope": "all"}


@pytest.mark.parametrize("token, status", [(None, 401), ("nonsense", 401), ("member", 403)])
# Item 13.
def test_spoofed_identity_headers_grant_nothing(ha, member, token, status):
    """Client-spoofed identity headers never grant access."""
    client = ha.but(token=member[0] if token == "member" else token)
    assert client.get("/segments", headers=SPOOFED).status == status
    for name, value in SPOOFED.items():
        assert client.get("/segments", headers={name: value}).status == status, name
        assert client.get("/segments", headers={name.lower(): value}).status == status, name
