"""The register of what Masakari was seen to do. One test per row, in its order; what is kept passes on both."""
from concurrent.futures import ThreadPoolExecutor

import pytest
from client import Client, PROCESS, STARTED, STOPPED

NOBODY = "6128798e-1111-4222-8333-0123456789ab"


@pytest.fixture
def segment(ha, hosts):
    """A segment with two hosts."""
    segment = ha.new_segment("s1")
    segment["hosts"] = [ha.new_host(segment, name) for name in hosts[:2]]
    return segment


def path(segment, host=None):
    below = "/segments/" + segment["uuid"]
    return below if host is None else "%s/hosts/%s" % (below, host["uuid"])


# Row 1.
def test_successes_name_the_service_type(ha):
    """FIX (and fixed in Masakari since)."""
    assert ha.get("/segments", version="1.2").headers["OpenStack-API-Version"] == "instance-ha 1.2"


# Row 2.
def test_what_leaks_at_1_0(ha, database, segment, hosts):
    """KEEP."""
    made = ha.new_notification(hosts[0])
    old = ha.but(version="1.0")
    assert "enabled" in old.get(path(segment)).root("segment")
    shown = old.get("/notifications/" + made["notification_uuid"]).root("notification")
    assert shown["failover_segment_uuid"] == segment["uuid"] and "message" in shown
    assert old.get("/notifications/%s/vmoves" % made["notification_uuid"]).status == 200


@pytest.mark.ours_only("FIX")
# Row 3.
def test_enabled_off_is_false(ha, segment):
    assert ha.put(path(segment), {"segment": {"enabled": "off"}}).root("segment")["enabled"] is False


@pytest.mark.ours_only("FIX")
# Row 4.
def test_the_enabled_filter_accepts_text(ha, segment):
    assert len(ha.get("/segments?enabled=True").root("segments")) == 1
    assert len(ha.get("/segments?enabled=no").root("segments")) == 0


@pytest.mark.ours_only("FIX (optional)")
# Row 5.
def test_hosts_are_filtered_by_name_and_attributes(ha, segment, hosts):
    listed = ha.get(path(segment) + "/hosts?control_attributes=SSH&name=" + hosts[1]).root("hosts")
    assert [host["name"] for host in listed] == [hosts[1]]


@pytest.mark.ours_only("FIX")
@pytest.mark.parametrize("field", ["type", "control_attributes"])
# Row 6.
def test_null_in_a_host_is_400(ha, segment, field):
    assert ha.put(path(segment, segment["hosts"][0]), {"host": {field: None}}).status == 400


@pytest.mark.ours_only("FIX")
@pytest.mark.parametrize("collection, key", [("/segments", "bogus"), ("/segments", "hosts"), ("/segments", ""),
                                             ("/notifications", "bogus"), ("hosts", "failover_segment"), ("vmoves", "x")])
# Row 7.
def test_a_bad_sort_key_is_400_in_plain_words(ha, segment, hosts, collection, key):
    made = ha.new_notification(hosts[0])
    where = {"hosts": path(segment) + "/hosts", "vmoves": "/notifications/%s/vmoves" % made["notification_uuid"]}
    answer = ha.get("%s?sort_key=%s" % (where.get(collection, collection), key))
    assert answer.fault == (400, "badRequest", "Sort key supplied was not valid.")


# Row 8.
def test_notifications_are_sorted_by_notification_uuid(ha, segment, hosts):
    """KEEP."""
    uuids = [ha.new_notification(name)["notification_uuid"] for name in hosts[:2]]
    listed = ha.get("/notifications?sort_key=notification_uuid&sort_dir=asc").root("notifications")
    assert [row["notification_uuid"] for row in listed] == sorted(uuids)


@pytest.mark.ours_only("FIX (optional)")
# Row 8.
def test_notifications_are_sorted_by_the_documented_name(ha, segment, hosts):
    uuids = [ha.new_notification(name)["notification_uuid"] for name in hosts[:2]]
    listed = ha.get("/notifications?sort_key=uuid&sort_dir=asc").root("notifications")
    assert [row["notification_uuid"] for row in listed] == sorted(uuids)


@pytest.mark.ours_only("FIX")
# Row 9.
def test_show_keeps_to_its_notification(ha, database, segment, hosts):
    one, two = (ha.new_notification(name) for name in hosts[:2])
    vmove = database.new_vmove(one)
    for owner in (two["notification_uuid"], NOBODY):
        assert ha.get("/notifications/%s/vmoves/%s" % (owner, vmove)).status == 404


@pytest.mark.ours_only("FIX")
# Row 10.
def test_nulls_of_old_rows_are_shown(ha, database, segment, hosts):
    made = ha.new_notification(hosts[0])
    host = segment["hosts"][0]
    database.update("notifications", {"notification_uuid": made["notification_uuid"]},
                    failover_segment_uuid=None, status="finished")
    database.update("hosts", {"uuid": host["uuid"]}, reserved=None, on_maintenance=None)
    database.update("failover_segments", {"uuid": segment["uuid"]}, enabled=None)
    assert ha.get("/notifications").root("notifications")[0]["failover_segment_uuid"] is None
    assert ha.get("/notifications/" + made["notification_uuid"]).root("notification")["failover_segment_uuid"] is None
    shown = ha.get(path(segment, host)).root("host")
    assert (shown["reserved"], shown["on_maintenance"]) == (False, False)
    assert ha.get("/segments").root("segments")[0]["enabled"] is True
    assert ha.notify(hosts[0], payload=STARTED).status == 202


@pytest.mark.ours_only("FIX")
# Row 11.
def test_progress_needs_no_engine_and_no_host(ha, database, segment, hosts):
    made = ha.new_notification(hosts[0])
    database.set_status(made, "finished")
    ha.delete(path(segment))
    shown = ha.get("/notifications/" + made["notification_uuid"], version="1.1").root("notification")
    assert shown["recovery_workflow_details"] == []


@pytest.mark.ours_only("FIX: no engine runs here, and the notification is accepted all the same")
# Row 12.
def test_the_row_is_the_queue(ha, segment, hosts):
    assert ha.notify(hosts[0]).status == 202
    assert [row["status"] for row in ha.get("/notifications").root("notifications")] == ["new"]


@pytest.mark.parametrize("status", ["new", "finished", "ignored"])
# Row 13.
def test_duplicates_have_no_upper_bound_and_no_status(ha, database, segment, hosts, status):
    """KEEP, but for R19."""
    made = ha.new_notification(hosts[0], "PROCESS", "2026-06-01T00:00:00")
    database.set_status(made, status)
    assert ha.notify(hosts[0], "PROCESS", "2020-01-01T00:00:00").status == 409
    assert ha.notify(hosts[0], "PROCESS", "2026-06-01T00:03:01").status == 202


@pytest.mark.ours_only("FIX: Masakari may insert several")
@pytest.mark.parametrize("payload", [STOPPED, STARTED])
# Row 14.
def test_fifty_equal_posts_make_one_notification(ha, segment, hosts, payload):
    def notify(_):
        """A busy machine may say 503, which writes nothing: monitors ask again."""
        status = 503
        while status == 503:
            status = ha.notify(hosts[0], payload=payload).status
        return status

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(notify, range(50)))
    assert sorted(answers) == [202] + [409] * 49
    assert len(ha.get("/notifications").root("notifications")) == 1


# Row 15.
def test_an_unknown_host_is_400(ha, segment):
    """KEEP: monitors give up after 400."""
    assert ha.notify("nobody").status == 400


@pytest.mark.parametrize("kind", ["COMPUTE_HOST", "PROCESS", "VM"])
# Row 16.
def test_a_host_in_maintenance_refuses_every_type(ha, segment, hosts, kind):
    """KEEP, where an operator put it there."""
    ha.put(path(segment, segment["hosts"][0]), {"host": {"on_maintenance": True}})
    assert ha.notify(hosts[0], kind).status == 409


@pytest.mark.parametrize("status, answer", [("new", 409), ("running", 409), ("error", 409), ("finished", 200)])
# Row 17.
def test_in_use_is_segment_wide(ha, database, segment, hosts, status, answer):
    """KEEP, but for R20."""
    database.set_status(ha.new_notification(hosts[0]), status)
    assert ha.put(path(segment, segment["hosts"][1]), {"host": {"reserved": True}}).status == answer


# Row 18.
def test_a_deleted_hosts_notification_blocks_no_host(ha, database, segment, hosts):
    """KEEP the rule."""
    ha.new_notification(hosts[0])
    host = segment["hosts"][0]
    database.update("hosts", {"uuid": host["uuid"]}, deleted=host["id"])
    assert ha.put(path(segment), {"segment": {"description": "d"}}).status == 200


@pytest.mark.ours_only("FIX: check and write are one act")
# Row 18.
def test_a_segment_is_deleted_or_reported_on_never_both(ha, hosts):
    with ThreadPoolExecutor(2) as pool:
        for _ in range(15):
            segment = ha.new_segment("raced")
            ha.new_host(segment, hosts[2])
            deleted = pool.submit(ha.delete, path(segment))
            noted = ha.notify(hosts[2], payload=STARTED).status
            assert (deleted.result().status, noted) in [(204, 400), (409, 202)]
            if noted == 202:
                break


# Row 19.
def test_schema_before_policy(ha, member):
    """KEEP."""
    lowly = ha.but(token=member[0])
    assert lowly.post("/segments", {}).status == 400
    fields = {"name": "s", "recovery_method": "auto", "service_type": "C"}
    assert lowly.post("/segments", {"segment": fields}).status == 403


@pytest.mark.ours_only("FIX")
# Row 20.
def test_every_error_is_enveloped(ha, nova):
    assert ha.get("/foo").fault[:2] == (404, "itemNotFound")
    assert ha.post("/segments", b" " * 114689).fault[:2] == (413, "overLimit")
    nova.strike("GET /identity", effect="break")
    assert ha.but(token="never seen").get("/segments").fault[:2] == (503, "serviceUnavailable")


# Row 21.
def test_markers_are_integers(ha):
    """KEEP."""
    made = [ha.new_segment(name) for name in "ab"]
    assert [row["name"] for row in ha.get("/segments?marker=%d" % made[1]["id"]).root("segments")] == ["a"]
    assert ha.get("/segments?marker=" + made[1]["uuid"]).status == 400


# Row 22.
def test_limit_0_is_an_empty_list(ha, segment):
    """KEEP."""
    assert ha.get("/segments?limit=0").root("segments") == []


@pytest.mark.parametrize("marker", [
    "1abc", "abc", "-1", "99999999999999999999",
    pytest.param("1.0", marks=pytest.mark.ours_only("FIX: on SQLite Masakari takes it for 1"))])
# Row 23.
def test_other_markers_are_refused(ha, segment, marker):
    """FIX on MariaDB and PostgreSQL."""
    assert ha.get("/segments?marker=" + marker).fault == (400, "badRequest", "Marker %s could not be found." % marker)


# Row 24.
def test_which_404_of_a_deleted_segment(ha, segment, hosts):
    """KEEP."""
    host = segment["hosts"][0]
    assert ha.delete(path(segment)).status == 204
    as_segment = "No failover segment with id %s." % segment["uuid"]
    as_host = "Host '%s' under failover_segment '%s' could not be found." % (host["uuid"], segment["uuid"])
    new = {"host": {"name": hosts[0], "type": "C", "control_attributes": "S"}}
    assert ha.get(path(segment) + "/hosts").message == as_segment
    assert ha.post(path(segment) + "/hosts", new).message == as_segment
    assert ha.get(path(segment, host)).message == as_host
    assert ha.put(path(segment, host), {"host": {"reserved": True}}).message == as_host
    assert ha.delete(path(segment, host)).message == as_host


# Row 25.
def test_update_writes_parentheses(ha, segment, hosts):
    """KEEP."""
    ha.new_notification(hosts[0])
    assert ha.delete(path(segment)).message == (
        "Failover segment (%s) can't be deleted as it is in-use to process notifications." % segment["uuid"])


@pytest.mark.parametrize("where", ["/v1", "/v1/segments", "/v1/foo"])
# Row 26.
def test_options_is_answered_to_anybody(ha, where):
    """KEEP."""
    answer = ha.raw("OPTIONS", where)
    assert (answer.status, answer.body) == (200, b"")


# Row 27.
def test_other_paths_get_choices(ha):
    """KEEP for GET."""
    assert ha.raw("GET", "/v2/segments").status == 300


# Row 28.
def test_the_version_document_needs_a_token(ha):
    """KEEP: keystoneauth expects 401, comes again with a token, and breaks on anything else."""
    answer = ha.raw("GET", "/v1")
    assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Keystone uri=")
    assert ha.get("").status == 200


# Row 29.
def test_a_lower_case_event_is_refused(ha, segment, hosts):
    """KEEP."""
    assert ha.notify(hosts[0], "PROCESS", payload={**PROCESS, "event": "stopped"}).status == 400


# Row 30.
def test_process_names_end_at_255(ha, segment, hosts):
    """KEEP."""
    assert ha.notify(hosts[0], "PROCESS", payload={**PROCESS, "process_name": "x" * 256}).status == 400
    assert ha.notify(hosts[0], "PROCESS", payload={**PROCESS, "process_name": "x" * 255}).status == 202


# Row 31.
def test_noauth2_admits_everybody(variant, ha, segment):
    """KEEP, for tests."""
    service = variant("[DEFAULT]\nauth_strategy = noauth2\n")
    anybody = Client(service.address)
    assert len(anybody.get("/segments").root("segments")) == 1
    assert anybody.delete(path(segment)).status == 204


# Row 32.
def test_host_names_are_unique_in_all_segments(ha, segment, hosts):
    """KEEP."""
    other = ha.new_segment("other")
    fields = {"name": hosts[0], "type": "C", "control_attributes": "S"}
    assert ha.post(path(other) + "/hosts", {"host": fields}).status == 409


@pytest.mark.parametrize("field", ["name", "description"])
# Row 33.
def test_emoji_are_refused(ha, field):
    """KEEP."""
    fields = {"name": "s", "recovery_method": "auto", "service_type": "C", field: "\U0001f600"}
    assert ha.post("/segments", {"segment": fields}).status == 400


@pytest.mark.ours_only("FIX")
# Row 34.
def test_nova_is_asked_about_new_names_only_and_its_outage_is_503(ha, nova, segment, hosts):
    host = segment["hosts"][0]
    nova.strike("GET /compute", effect="break")
    assert ha.put(path(segment, host), {"host": {"name": hosts[0], "reserved": True}}).status == 200
    assert ha.put(path(segment, host), {"host": {"name": hosts[2]}}).status == 503


@pytest.mark.parametrize("info, status", [("compute:nova:publicURL", 201), ("compute:other:publicURL", None)])
# Row 35.
def test_nova_is_found_by_its_name_in_the_catalog(variant, ha, segment, hosts, info, status):
    """KEEP."""
    service = variant("[DEFAULT]\nnova_catalog_admin_info = %s\n" % info)
    ha.address, ha.host = service.address, "%s:%d" % service.address
    fields = {"name": hosts[2], "type": "C", "control_attributes": "S"}
    answer = ha.post(path(segment) + "/hosts", {"host": fields})
    assert answer.status == status if status else answer.status >= 500, answer


# Row 36.
def test_there_is_no_location(ha, segment, hosts):
    """KEEP absent."""
    assert "Location" not in ha.notify(hosts[0]).headers
