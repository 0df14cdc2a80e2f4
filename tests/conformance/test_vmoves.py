"""Vmoves, V1 and V2."""
import datetime

import pytest

NOBODY = "6128798e-1111-4222-8333-0123456789ab"


@pytest.fixture
def made(ha, hosts):
    """A host's notification."""
    segment = ha.new_segment("s1")
    for name in hosts[:2]:
        ha.new_host(segment, name)
    return ha.new_notification(hosts[0])


def under(notification):
    return "/notifications/%s/vmoves" % notification["notification_uuid"]


def test_what_is_shown(ha, database, made):
    uuid = database.new_vmove(made, dest_host="h2", status="succeeded", message="why", instance_uuid=NOBODY,
                              start_time=datetime.datetime(2026, 1, 1, 10, 0, 0), end_time=datetime.datetime(2026, 1, 1, 10, 0, 9))
    shown = ha.get(under(made) + "/" + uuid).root("vmove")
    assert shown == {
        "id": shown["id"], "uuid": uuid, "notification_uuid": made["notification_uuid"], "instance_uuid": NOBODY,
        "instance_name": "vm", "source_host": "h1", "dest_host": "h2", "start_time": "2026-01-01T10:00:00.000000",
        "end_time": "2026-01-01T10:00:09.000000", "type": "evacuation", "status": "succeeded", "message": "why",
        "created_at": "2026-01-01T00:00:00.000000", "updated_at": None, "deleted_at": None, "deleted": False}
    assert ha.get(under(made)).root("vmoves") == [shown]


@pytest.mark.parametrize("field", ["source_host", "dest_host", "start_time", "end_time", "type", "status", "message"])
def test_nulls_are_shown(ha, database, made, field):
    uuid = database.new_vmove(made, **{field: None})
    assert ha.get(under(made) + "/" + uuid).root("vmove")[field] is None


@pytest.mark.parametrize("query, expected", [
    ("", "abc"), ("status=pending", "a"), ("status=succeeded", "b"), ("status=bogus", ""), ("type=migration", "c"),
    ("type=evacuation&status=succeeded", "b"), ("type=bogus", ""),
])
def test_list_filters(ha, database, made, query, expected):
    database.new_vmove(made, instance_name="a")
    database.new_vmove(made, instance_name="b", status="succeeded")
    database.new_vmove(made, instance_name="c", status="failed", type="migration")
    listed = ha.get("%s?sort_key=instance_name&sort_dir=asc&%s" % (under(made), query)).root("vmoves")
    assert "".join(row["instance_name"] for row in listed) == expected


def test_list_without_vmoves_is_empty(ha, made):
    assert ha.get(under(made)).root("vmoves") == []


@pytest.mark.parametrize("kind", ["VM", "PROCESS"])
def test_only_hosts_have_vmoves(ha, made, hosts, kind):
    other = ha.new_notification(hosts[1], kind)
    expected = (400, "badRequest", "This notification %s without vm moves." % other["notification_uuid"])
    assert ha.get(under(other)).fault == expected
    assert ha.get(under(other) + "/" + NOBODY).fault == expected


def test_unknown_ones_are_404(ha, made):
    assert ha.get("/notifications/%s/vmoves" % NOBODY).fault == (
        404, "itemNotFound", "No notification with id %s." % NOBODY)
    assert ha.get(under(made) + "/" + NOBODY).fault == (404, "itemNotFound", "No vm move with id %s." % NOBODY)


@pytest.mark.ours_only("FIX, register row 9: Masakari fails with 500")
def test_show_of_an_unknown_notification_is_404(ha, database, made):
    uuid = database.new_vmove(made)
    assert ha.get("/notifications/%s/vmoves/%s" % (NOBODY, uuid)).fault == (
        404, "itemNotFound", "No notification with id %s." % NOBODY)


@pytest.mark.ours_only("FIX, register row 9: Masakari shows it")
def test_show_of_another_notification_is_404(ha, database, made, hosts):
    other = ha.new_notification(hosts[1])
    uuid = database.new_vmove(made)
    assert ha.get(under(other) + "/" + uuid).fault == (404, "itemNotFound", "No vm move with id %s." % uuid)


@pytest.mark.parametrize("method, action, tail", [
    ("POST", "create", ""), ("PUT", "update", "/" + NOBODY), ("DELETE", "delete", "/" + NOBODY)])
def test_vmoves_cannot_be_changed(ha, made, method, action, tail):
    answer = ha.send(method, under(made) + tail, *([] if method == "DELETE" else [{"vmove": {}}]))
    assert answer.fault == (405, "badMethod", "The request method: '%s' with action: '%s' is not allowed on this "
                                              "resource" % (method, action))
