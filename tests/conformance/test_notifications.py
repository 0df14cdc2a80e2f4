"""Notifications, N1 to N3, and what they mean."""
import datetime

import pytest
from client import PROCESS, STARTED, STOPPED, VM

NOBODY = "6128798e-1111-4222-8333-0123456789ab"
AT = "2026-11-20T06:15:08"


@pytest.fixture
def segment(ha, hosts):
    """Two hosts in a segment."""
    segment = ha.new_segment("s1")
    ha.new_host(segment, hosts[0])
    ha.new_host(segment, hosts[1])
    return segment


def path(notification):
    return "/notifications/" + notification["notification_uuid"]


def test_create_what_is_made(ha, segment, hosts):
    made = ha.new_notification(hosts[0], at=AT)
    host = next(row for row in ha.get("/segments/%s/hosts" % segment["uuid"]).root("hosts") if row["name"] == hosts[0])
    assert made == {**made, "generated_time": AT + ".000000", "source_host_uuid": host["uuid"], "type": "COMPUTE_HOST",
                    "payload": STOPPED, "status": "new", "failover_segment_uuid": segment["uuid"], "message": None}
    assert ha.get(path(made), version="1.0").root("notification") == made
    assert ha.get("/notifications").root("notifications") == [made]


@pytest.mark.parametrize("without", ["type", "hostname", "generated_time", "payload"])
def test_create_required_fields(ha, segment, hosts, without):
    fields = {"type": "COMPUTE_HOST", "hostname": hosts[0], "generated_time": AT, "payload": STOPPED}
    del fields[without]
    assert ha.post("/notifications", {"notification": fields}).message.endswith("'%s' is a required property" % without)


@pytest.mark.parametrize("more", [
    {"status": "new"}, {"type": "compute_host"}, {"type": "HOST"}, {"type": None}, {"payload": None}, {"payload": []},
    {"payload": {}}, {"payload": {"event": 1}}, {"payload": {"event": None}}, {"payload": {"a/b": "x"}},
    {"payload": {"event": "x" * 256}}, {"payload": {"": "x"}},
])
def test_create_refused_fields(ha, segment, hosts, more):
    fields = {"type": "COMPUTE_HOST", "hostname": hosts[0], "generated_time": AT, "payload": STOPPED, **more}
    assert ha.post("/notifications", {"notification": fields}).fault[:2] == (400, "badRequest")
    assert ha.get("/notifications").root("notifications") == []


def test_create_an_unknown_host_is_400(ha, segment):
    """Register, row 15; Q15: monitors give up after 400 and repeat after 404."""
    assert ha.notify("nobody").fault == (400, "badRequest", "Host with name nobody could not be found.")


def test_create_a_deleted_host_is_unknown(ha, segment, hosts):
    host = ha.get("/segments/%s/hosts" % segment["uuid"]).root("hosts")[0]
    ha.delete("/segments/%s/hosts/%s" % (segment["uuid"], host["uuid"]))
    assert ha.notify(host["name"]).status == 400


@pytest.mark.parametrize("kind", ["COMPUTE_HOST", "PROCESS", "VM"])
@pytest.mark.parametrize("payload", [None, "started"])
def test_create_maintenance_refuses_everything(ha, segment, hosts, kind, payload):
    """Register, row 16: by an operator's word, STARTED events too."""
    ha.new_host(segment, hosts[2], on_maintenance=True)
    payload = {"COMPUTE_HOST": STARTED, "PROCESS": {**PROCESS, "event": "STARTED"}, "VM": VM}[kind] if payload else None
    assert ha.notify(hosts[2], kind, payload=payload).fault == (
        409, "conflictingRequest", "Notification received from host %s of type '%s' is ignored as the host is already "
        "under maintenance." % (hosts[2], kind))


def test_create_a_disabled_segment_accepts(ha, hosts):
    segment = ha.new_segment("off", enabled=False)
    ha.new_host(segment, hosts[0])
    assert ha.notify(hosts[0]).status == 202


def test_create_there_is_no_location(ha, segment, hosts):
    assert "Location" not in ha.notify(hosts[0]).headers


# The duplicate rule. STARTED, so that no recovery is open that a second one would join.

def shifted(seconds):
    at = datetime.datetime.fromisoformat(AT) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")


@pytest.mark.parametrize("seconds, status", [
    (0, 409), (1, 409), (179, 409), (180, 409), (181, 202), (-1, 409), (-100000, 409),
])
@pytest.mark.parametrize("kind, payload", [("COMPUTE_HOST", STARTED), ("PROCESS", PROCESS)])
def test_duplicate_window(ha, segment, hosts, kind, payload, seconds, status):
    """Register, row 13: inclusive, and older ones are duplicates however old."""
    ha.new_notification(hosts[0], kind, AT, payload)
    answer = ha.notify(hosts[0], kind, shifted(seconds), payload)
    assert answer.status == status, answer
    if status == 409:
        assert answer.fault == (409, "conflictingRequest", "Notification received from host %s of type %s is duplicate." % (
            hosts[0], kind))


def test_duplicates_by_the_microsecond(ha, database, segment, hosts):
    """Where the column keeps whole seconds, one that may be of the very second is a duplicate."""
    ha.new_notification(hosts[0], at=AT, payload=STARTED)
    assert ha.notify(hosts[0], at=AT[:-2] + "08.000001", payload=STARTED).status == 409
    after = "2026-11-20T06:18:08.000001" if database.fractions else "2026-11-20T06:18:09"
    assert ha.notify(hosts[0], at=after, payload=STARTED).status == 202


@pytest.mark.parametrize("status", ["new", "running", "error", "finished", "failed", "ignored"])
@pytest.mark.parametrize("kind, payload", [("COMPUTE_HOST", STARTED), ("PROCESS", PROCESS)])
def test_duplicates_whatever_became_of_the_first(ha, database, segment, hosts, kind, payload, status):
    database.set_status(ha.new_notification(hosts[0], kind, AT, payload), status)
    assert ha.notify(hosts[0], kind, AT, payload).status == 409


def test_the_order_of_a_payloads_keys_does_not_matter(ha, segment, hosts):
    ha.new_notification(hosts[0], payload=STARTED)
    assert ha.notify(hosts[0], payload=dict(reversed(STARTED.items()))).status == 409


@pytest.mark.parametrize("other", ["host", "payload", "type"])
def test_another_one_is_no_duplicate(ha, segment, hosts, other):
    ha.new_notification(hosts[0], at=AT, payload=STARTED)
    answer = {
        "host": lambda: ha.notify(hosts[1], at=AT, payload=STARTED),
        "payload": lambda: ha.notify(hosts[0], at=AT, payload={"event": "STARTED"}),
        "type": lambda: ha.notify(hosts[0], "PROCESS", at=AT),
    }[other]()
    assert answer.status == 202


@pytest.mark.parametrize("interval, seconds, status", [(0, 0, 409), (0, -5, 409), (0, 1, 202), (10, 10, 409), (10, 11, 202)])
def test_the_interval_is_an_option(variant, ha, segment, hosts, interval, seconds, status):
    service = variant("[DEFAULT]\nduplicate_notification_detection_interval = %d\n" % interval)
    ha.new_notification(hosts[0], at=AT, payload=STARTED)
    ha.address, ha.host = service.address, "%s:%d" % service.address
    assert ha.notify(hosts[0], at=shifted(seconds), payload=STARTED).status == status


@pytest.mark.ours_only("deliberate, protocol R19: a host under recovery has one recovery; Masakari opens a second")
# Covers R19.
def test_a_host_under_recovery_is_409(ha, segment, hosts):
    ha.new_notification(hosts[0], at=AT)
    later = shifted(100000)
    assert ha.notify(hosts[0], at=later).message.endswith("is duplicate.")
    assert ha.notify(hosts[0], at=later, payload={**STOPPED, "host_status": "UNKNOWN"}).status == 409


@pytest.mark.ours_only("deliberate, protocol R19: asking again is how another attempt is made; Masakari answers 409")
# Covers R19.
def test_a_repeat_after_a_failure_is_a_new_attempt(ha, database, segment, hosts):
    made = ha.new_notification(hosts[0], at=AT)
    database.set_status(made, "failed")
    database.execute("UPDATE recovery SET open_key = NULL, life = 'closed'")
    assert ha.notify(hosts[0], at=AT).status == 202


# N1

def test_list_filters(ha, database, segment, hosts):
    first = ha.new_notification(hosts[0], at="2026-01-01T00:00:00", payload=STARTED)
    second = ha.new_notification(hosts[1], at="2026-01-02T00:00:00.5", payload=STARTED)
    third = ha.new_notification(hosts[0], "PROCESS", at="2026-01-03T00:00:00")
    database.set_status(first, "finished")
    every = [first, second, third]
    for query, wanted in [
            ("", every), ("status=new", [second, third]), ("status=finished", [first]), ("status=bogus", []),
            ("type=PROCESS", [third]), ("type=process", [] if database.exact else [third]), ("source_host_uuid=" + first["source_host_uuid"], [first, third]),
            ("source_host_uuid=x", []), ("generated-since=2026-01-02T00:00:00", [second, third]),
            ("generated-since=2026-01-03", [third]), ("generated-since=2026-01-03T01:00:00%2B01:00", [third]),
            ("generated-since=2026-01-03T00:00:01Z", []), ("generated_since=2030-01-01", every),
            ("failover_segment_uuid=x", every), ("hostname=x", every)]:
        listed = ha.get("/notifications?sort_key=id&sort_dir=asc&" + query).root("notifications")
        assert [row["id"] for row in listed] == [row["id"] for row in wanted], query


@pytest.mark.parametrize("value", ["x", "", "2026-13-01", "2026-01-01T00:00:00+01:00"])
def test_list_a_bad_generated_since_is_400(ha, value):
    """In the last one the plus sign is a blank: it has to be percent-encoded."""
    assert ha.get("/notifications?generated-since=" + value).fault == (400, "badRequest", "Invalid generated-since value")


# N3

@pytest.mark.parametrize("id_", [NOBODY, "x", "new-id"])
@pytest.mark.parametrize("version", ["1.0", "1.3"])
def test_show_unknown_is_404(ha, id_, version):
    assert ha.get("/notifications/" + id_, version=version).fault == (
        404, "itemNotFound", "No notification with id %s." % id_)


@pytest.mark.ours_only("FIX, register row 11: Masakari asks its engine, and fails with 500")
def test_show_needs_neither_the_host_nor_the_segment(ha, database, segment, hosts):
    made = ha.new_notification(hosts[0])
    database.set_status(made, "finished")
    assert ha.delete("/segments/" + segment["uuid"]).status == 204
    assert ha.get(path(made)).root("notification")["recovery_workflow_details"] == []


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_notifications_cannot_be_changed(ha, segment, hosts, method):
    made = ha.new_notification(hosts[0])
    answer = ha.send(method, path(made), *([{"notification": {}}] if method == "PUT" else []))
    action = "update" if method == "PUT" else "delete"
    assert answer.fault == (405, "badMethod", "The request method: '%s' with action: '%s' is not allowed on this "
                                              "resource" % (method, action))


# 5.1

GOOD = [
    ("COMPUTE_HOST", {"event": "STARTED"}), ("COMPUTE_HOST", {"event": "STOPPED"}),
    ("COMPUTE_HOST", {"event": "STOPPED", "host_status": "UNKNOWN"}),
    ("COMPUTE_HOST", {"event": "STOPPED", "host_status": "NORMAL", "cluster_status": "ONLINE"}),
    ("PROCESS", {"event": "STOPPED", "process_name": "x"}), ("PROCESS", {"event": "STARTED", "process_name": "x" * 255}),
    ("VM", VM), ("VM", {**VM, "event": "anything", "vir_domain_event": "at all"}),
]
BAD = [
    ("COMPUTE_HOST", {"cluster_status": "OFFLINE"}, "'event' is a required property"),
    ("COMPUTE_HOST", {"event": "stopped"}, "'stopped' is not one of "),
    ("COMPUTE_HOST", {"event": ""}, None), ("COMPUTE_HOST", {"event": "STOPPED", "host_status": "normal"}, None),
    ("COMPUTE_HOST", {"event": "STOPPED", "cluster_status": "UP"}, None),
    ("COMPUTE_HOST", {"event": "STOPPED", "odd": "x"}, "Additional properties are not allowed ('odd' was unexpected)"),
    ("PROCESS", {"event": "STOPPED"}, "'process_name' is a required property"),
    ("PROCESS", {"process_name": "x"}, "'event' is a required property"),
    ("PROCESS", {"event": "STOPPED", "process_name": ""}, None),
    ("PROCESS", {"event": "STOPPED", "process_name": "x" * 256}, None),
    ("PROCESS", {"event": "stopped", "process_name": "x"}, None),
    ("PROCESS", {"event": "LIFECYCLE", "process_name": "x"}, None),
    ("VM", {**VM, "instance_uuid": "x"}, None), ("VM", {**VM, "event": ""}, None), ("VM", {**VM, "vir_domain_event": ""}, None),
    ("VM", {**VM, "odd": "x"}, None), ("VM", {"event": "a", "vir_domain_event": "b"}, "'instance_uuid' is a required property"),
    ("VM", STOPPED, None), ("COMPUTE_HOST", VM, None), ("PROCESS", STOPPED, None),
]


@pytest.mark.parametrize("kind, payload", GOOD)
def test_good_payloads(ha, segment, hosts, kind, payload):
    assert ha.new_notification(hosts[0], kind, payload=payload)["payload"] == payload


@pytest.mark.parametrize("kind, payload, message", BAD)
def test_bad_payloads(ha, segment, hosts, kind, payload, message):
    """Problems at the payload's root are told bare. Register, rows 29 and 30 among them."""
    answer = ha.notify(hosts[0], kind, payload=payload)
    assert answer.fault[:2] == (400, "badRequest")
    if message and "not one of" in message:
        assert message in answer.message
    elif message:
        assert answer.message == message


@pytest.mark.parametrize("stamp", ["2026-11-20T06:15:08", "2026-11-20T06:15:08.000042"])
def test_what_monitors_send(ha, segment, hosts, stamp):
    """Without a microversion; the fraction is left out when it is zero."""
    ha.version = None
    assert ha.notify(hosts[0], at=stamp).status == 202
    vm = {"event": "QEMU_GUEST_AGENT_ERROR", "vir_domain_event": "STOPPED_FAILED", "instance_uuid": VM["instance_uuid"]}
    assert ha.notify(hosts[0], "VM", at=stamp, payload=vm).status == 202
    assert ha.notify(hosts[0], "PROCESS", at=stamp).status == 202


# 5.2, 5.3

@pytest.mark.parametrize("status", ["new", "running", "finished", "ignored", "error", "failed"])
def test_every_status_is_shown_and_filtered(ha, database, segment, hosts, status):
    made = ha.new_notification(hosts[0])
    database.set_status(made, status)
    assert ha.get(path(made), version="1.0").root("notification")["status"] == status
    assert [row["id"] for row in ha.get("/notifications?status=" + status).root("notifications")] == [made["id"]]


def test_a_message_is_shown(ha, database, segment, hosts):
    made = ha.new_notification(hosts[0])
    database.update("notifications", {"notification_uuid": made["notification_uuid"]}, message="why")
    assert ha.get(path(made), version="1.0").root("notification")["message"] == "why"
