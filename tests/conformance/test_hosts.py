"""Hosts, H1 to H5."""
import pytest
from client import STARTED

NOBODY = "6128798e-1111-4222-8333-0123456789ab"
OPEN, CLOSED = ["new", "running", "error"], ["finished", "failed", "ignored"]


def under(segment, host=None):
    path = "/segments/%s/hosts" % segment["uuid"]
    return path if host is None else path + "/" + host["uuid"]


def names(answer):
    return sorted(host["name"] for host in answer.root("hosts"))


def no_segment(id_):
    return 404, "itemNotFound", "No failover segment with id %s." % id_


def no_host(host, segment):
    return 404, "itemNotFound", "Host '%s' under failover_segment '%s' could not be found." % (host, segment)


@pytest.fixture
def segment(ha):
    return ha.new_segment("s1")


def test_create_defaults(ha, segment, hosts):
    host = ha.new_host(segment, hosts[0])
    assert (host["reserved"], host["on_maintenance"]) == (False, False)
    assert (host["type"], host["control_attributes"], host["name"]) == ("COMPUTE", "SSH", hosts[0])


@pytest.mark.parametrize("without", ["name", "type", "control_attributes"])
def test_create_required_fields(ha, segment, hosts, without):
    fields = {"name": hosts[0], "type": "C", "control_attributes": "S"}
    del fields[without]
    assert ha.post(under(segment), {"host": fields}).message.endswith("'%s' is a required property" % without)


@pytest.mark.parametrize("more", [{"failover_segment_id": NOBODY}, {"uuid": NOBODY}, {"reserved": 1},
                                  {"on_maintenance": None}, {"control_attributes": "a\tb"}])
def test_create_refused_fields(ha, segment, hosts, more):
    fields = {"name": hosts[0], "type": "C", "control_attributes": "S", **more}
    assert ha.post(under(segment), {"host": fields}).fault[:2] == (400, "badRequest")
    assert ha.get(under(segment)).root("hosts") == []


@pytest.mark.ours_only("FIX, register row 6: Masakari lets null through and fails with 500")
@pytest.mark.parametrize("field", ["type", "control_attributes"])
def test_create_null_is_refused(ha, segment, hosts, field):
    fields = {"name": hosts[0], "type": "C", "control_attributes": "S", field: None}
    assert ha.post(under(segment), {"host": fields}).fault[:2] == (400, "badRequest")
    host = ha.new_host(segment, hosts[0])
    assert ha.put(under(segment, host), {"host": {field: None}}).fault[:2] == (400, "badRequest")


@pytest.mark.parametrize("field", ["reserved", "on_maintenance"])
@pytest.mark.parametrize("word, value", [("True", True), ("on", True), ("YES", True), ("1", True), (True, True),
                                         ("False", False), ("off", False), ("No", False), ("0", False), (False, False)])
def test_booleans_as_text(ha, segment, hosts, field, word, value):
    host = ha.new_host(segment, hosts[0], **{field: word})
    assert host[field] is value
    if value:
        ha.put(under(segment, host), {"host": {field: False}})
    assert ha.put(under(segment, host), {"host": {field: word}}).root("host")[field] is value


def test_which_404(ha, segment, hosts):
    host, other = ha.new_host(segment, hosts[0]), ha.new_segment("other")
    new, change = {"host": {"name": hosts[1], "type": "C", "control_attributes": "S"}}, {"host": {"reserved": True}}
    s, h, o = segment["uuid"], host["uuid"], other["uuid"]
    for name, method, path, body, expected in [
            ("H1", "GET", "/segments/%s/hosts" % NOBODY, None, no_segment(NOBODY)),
            ("H1 name", "GET", "/segments/s1/hosts", None, no_segment("s1")),
            ("H2", "POST", "/segments/%s/hosts" % NOBODY, new, no_segment(NOBODY)),
            ("H3 name", "GET", "/segments/%s/hosts/h" % s, None, (404, "itemNotFound", "No host with id h.")),
            ("H3", "GET", "/segments/%s/hosts/%s" % (s, NOBODY), None, no_host(NOBODY, s)),
            ("H3 other segment", "GET", "/segments/%s/hosts/%s" % (o, h), None, no_host(h, o)),
            ("H3 no segment", "GET", "/segments/x/hosts/%s" % h, None, no_host(h, "x")),
            ("H4 name", "PUT", "/segments/%s/hosts/h" % s, change, no_host("h", s)),
            ("H4 other segment", "PUT", "/segments/%s/hosts/%s" % (o, h), change, no_host(h, o)),
            ("H5 name", "DELETE", "/segments/%s/hosts/h" % s, None, no_host("h", s)),
            ("H5", "DELETE", "/segments/%s/hosts/%s" % (s, NOBODY), None, no_host(NOBODY, s))]:
        answer = ha.send(method, path, *([] if body is None else [body]))
        assert answer.fault == expected, name


def test_names_are_unique_in_all_segments(ha, segment, hosts):
    """Register, row 32."""
    other = ha.new_segment("other")
    first, second = ha.new_host(segment, hosts[0]), ha.new_host(other, hosts[1])
    taken = (409, "conflictingRequest", "Host with name %s already exists." % hosts[0])
    for owner in (segment, other):
        fields = {"name": hosts[0], "type": "C", "control_attributes": "S"}
        assert ha.post(under(owner), {"host": fields}).fault == taken
    assert ha.put(under(other, second), {"host": {"name": hosts[0]}}).fault == taken
    assert ha.delete(under(segment, first)).status == 204
    assert ha.put(under(other, second), {"host": {"name": hosts[0]}}).root("host")["name"] == hosts[0]


@pytest.mark.parametrize("name", ["nobody", "COMPUTE-1", "name with blanks"])
def test_names_are_novas(ha, segment, hosts, name):
    unknown = (400, "badRequest", "Compute service with name %s could not be found." % name)
    fields = {"name": name, "type": "C", "control_attributes": "S"}
    assert ha.post(under(segment), {"host": fields}).fault == unknown
    host = ha.new_host(segment, hosts[0])
    assert ha.put(under(segment, host), {"host": {"name": name}}).fault == unknown


def test_create_the_segment_comes_before_nova(ha, nova):
    nova.strike("GET /compute", effect="status", status=500)
    fields = {"name": "h", "type": "C", "control_attributes": "S"}
    assert ha.post("/segments/%s/hosts" % NOBODY, {"host": fields}).fault == no_segment(NOBODY)


@pytest.mark.parametrize("query, expected", [
    ("type=KVM", "b"), ("type=x", ""), ("reserved=true", "b"), ("reserved=No", "ac"), ("on_maintenance=1", "c"),
    ("on_maintenance=OFF", "ab"), ("reserved=f&on_maintenance=f", "a"), ("failover_segment_id=x", "abc"),
])
def test_list_filters(ha, segment, hosts, query, expected):
    by_letter = dict(zip("abc", hosts))
    ha.new_host(segment, by_letter["a"])
    ha.new_host(segment, by_letter["b"], type="KVM", reserved=True)
    ha.new_host(segment, by_letter["c"], on_maintenance=True)
    assert names(ha.get(under(segment) + "?" + query)) == sorted(by_letter[letter] for letter in expected)


@pytest.mark.ours_only("FIX (optional), register row 5: Masakari reads these and forgets them")
def test_list_name_and_control_attributes_filter(ha, segment, hosts):
    ha.new_host(segment, hosts[0])
    ha.new_host(segment, hosts[1], control_attributes="IPMI")
    assert names(ha.get(under(segment) + "?name=" + hosts[0])) == [hosts[0]]
    assert names(ha.get(under(segment) + "?control_attributes=IPMI")) == [hosts[1]]
    assert names(ha.get(under(segment) + "?name=x")) == []


@pytest.mark.parametrize("name", ["on_maintenance", "reserved"])
@pytest.mark.parametrize("word", ["2", "oui", "tru"])
def test_filters_refuse_other_text(ha, segment, name, word):
    status, fault, message = ha.get("%s?%s=%s" % (under(segment), name, word)).fault
    assert (status, fault) == (400, "badRequest")
    assert message.startswith("Invalid value for %s: Unrecognized value '%s', acceptable values are: '0', '1', 'f', " % (
        name, word)), message


@pytest.mark.parametrize("fields", [{}, {"failover_segment_id": NOBODY}, {"name": ""}, {"odd": 1}, {"type": "A B"}])
def test_update_refused_bodies(ha, segment, hosts, fields):
    host = ha.new_host(segment, hosts[0])
    assert ha.put(under(segment, host), {"host": fields}).fault[:2] == (400, "badRequest")
    assert ha.get(under(segment, host)).root("host") == host


def test_update_is_partial(ha, segment, hosts):
    """Q11: the dashboard sends all fields, booleans as words."""
    host = ha.new_host(segment, hosts[0])
    sent = {"name": hosts[0], "reserved": "True", "type": "COMPUTE", "control_attributes": "x y", "on_maintenance": "False"}
    changed = ha.put(under(segment, host), {"host": sent}, version=None).root("host")
    assert changed == {**host, "reserved": True, "control_attributes": "x y", "updated_at": changed["updated_at"]}


@pytest.mark.parametrize("status", OPEN + CLOSED)
def test_in_use_guards_all_hosts_of_the_segment(ha, database, segment, hosts, status):
    """Register, row 17: one host's notification holds its siblings too; a new host may come."""
    host, sibling = ha.new_host(segment, hosts[0]), ha.new_host(segment, hosts[1])
    database.set_status(ha.new_notification(hosts[0]), status)
    ha.new_host(segment, hosts[2])
    for row in (host, sibling):
        update = ha.put(under(segment, row), {"host": {"control_attributes": "x"}})
        delete = ha.delete(under(segment, row))
        if status in OPEN:
            tail = "as it is in-use to process notifications."
            assert update.fault == (409, "conflictingRequest", "Host %s can't be updated %s" % (row["uuid"], tail))
            assert delete.fault == (409, "conflictingRequest", "Host %s can't be deleted %s" % (row["uuid"], tail))
        else:
            assert (update.status, delete.status) == (200, 204)


@pytest.mark.ours_only("deliberate, protocol R20: Masakari answers 409")
@pytest.mark.parametrize("status", OPEN)
# Covers R20.
def test_in_use_lets_maintenance_through(ha, database, segment, hosts, status):
    host = ha.new_host(segment, hosts[0])
    database.set_status(ha.new_notification(hosts[0]), status)
    path = under(segment, host)
    assert ha.put(path, {"host": {"on_maintenance": True, "reserved": True}}).status == 409
    assert ha.put(path, {"host": {"on_maintenance": "True"}}).root("host")["on_maintenance"] is True
    assert ha.put(path, {"host": {"on_maintenance": False}}).status == 409
    # As the dashboard sends it: all fields, booleans as words, one of them new.
    same = {"name": hosts[0], "type": "COMPUTE", "control_attributes": "SSH", "reserved": "False"}
    assert ha.put(path, {"host": {**same, "on_maintenance": "True"}}).status == 200
    assert ha.put(path, {"host": {**same, "on_maintenance": "True", "reserved": "True"}}).status == 409
    assert ha.put(path, {"host": same}).status == 409


def test_update_in_use_comes_before_novas_check(ha, nova, segment, hosts):
    host = ha.new_host(segment, hosts[0])
    ha.new_notification(hosts[0])
    nova.strike("GET /compute", effect="status", status=500)
    assert ha.put(under(segment, host), {"host": {"name": "nobody"}}).status == 409


@pytest.mark.ours_only("FIX, register row 34: Masakari asks Nova again, and an outage is 500")
def test_update_an_unchanged_name_needs_no_nova(ha, nova, segment, hosts):
    host = ha.new_host(segment, hosts[0])
    nova.strike("GET /compute", effect="break")
    sent = {"name": hosts[0], "on_maintenance": True}
    assert ha.put(under(segment, host), {"host": sent}).root("host")["on_maintenance"] is True


@pytest.mark.ours_only("FIX, register row 34: 503 where Nova is out; Masakari answers 500")
@pytest.mark.parametrize("effect", [{"effect": "break"}, {"effect": "status", "status": 503}])
def test_nova_out_is_503(ha, nova, segment, hosts, effect):
    host = ha.new_host(segment, hosts[0])
    nova.strike("GET /compute", **effect)
    fields = {"name": hosts[1], "type": "C", "control_attributes": "S"}
    assert ha.post(under(segment), {"host": fields}).fault[:2] == (503, "serviceUnavailable")
    assert ha.put(under(segment, host), {"host": {"name": hosts[1]}}).fault[:2] == (503, "serviceUnavailable")
    nova.heal()
    assert names(ha.get(under(segment))) == [hosts[0]]


def test_novas_403_is_403(ha, nova, segment, hosts):
    nova.strike("GET /compute", effect="status", status=403)
    fields = {"name": hosts[1], "type": "C", "control_attributes": "S"}
    assert ha.post(under(segment), {"host": fields}).fault[:2] == (403, "forbidden")


def test_on_maintenance_stays_until_it_is_taken_off(ha, segment, hosts):
    host = ha.new_host(segment, hosts[0], on_maintenance=True)
    assert ha.notify(hosts[0], payload=STARTED).status == 409
    ha.put(under(segment, host), {"host": {"on_maintenance": False}})
    assert ha.notify(hosts[0], payload=STARTED).status == 202
