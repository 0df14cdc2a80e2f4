"""Version documents, and which microversion a request gets."""
import pytest
from client import Client

MEDIA_TYPES = [{"base": "application/json", "type": "application/vnd.openstack.masakari+json;version=1"}]


def versions(base):
    return [{"id": "v1.0", "status": "CURRENT", "version": "1.3", "min_version": "1.0",
             "updated": "2016-07-01T11:33:21Z", "links": [{"rel": "self", "href": base + "/v1/"}]}]


def version(base):
    return {**versions(base)[0], "media-types": MEDIA_TYPES, "links": [
        {"rel": "self", "href": base + "/v1/"},
        {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"}]}


def choices(base, path):
    return [{"id": "v1.0", "status": "CURRENT", "media-types": MEDIA_TYPES,
             "links": [{"rel": "self", "href": base + "/v1" + path}]}]


def test_the_root_lists_the_versions_for_anybody(ha):
    answer = ha.raw("GET", "/")
    assert answer.status == 200
    assert answer.root("versions") == versions("http://" + ha.host)
    assert answer.headers["Content-Type"] == "application/json"


def test_head_of_the_root_has_no_body(ha):
    answer = ha.raw("HEAD", "/")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/versions/v1.0"])
def test_the_version_document_needs_a_token(ha, path):
    answer = ha.but(prefix="").get(path, version=None)
    assert answer.status == 200
    assert answer.root("version") == version("http://" + ha.host)
    assert ha.raw("GET", path).status == 401


def test_no_policy_guards_the_version_document(ha, member):
    assert ha.but(token=member[0], prefix="").get("/v1").status == 200


@pytest.mark.parametrize("method, path, expected", [
    ("GET", "/versions/v2", (404, "itemNotFound", "The resource could not be found.")),
    ("GET", "/versions", (405, "badMethod",
                          "The request method: 'GET' with action: 'index' is not allowed on this resource")),
])
def test_other_version_documents(ha, method, path, expected):
    assert ha.send(method, path).fault == expected


@pytest.mark.parametrize("tail", ["", "/"])
def test_a_project_alone_is_no_document(ha, admin, tail):
    assert ha.get("/" + admin[1] + tail).status == 404


@pytest.mark.parametrize("path", ["/foo", "/v2", "/V1/x", "/v1.0/x", "/zzz/yy"])
def test_other_paths_get_choices(ha, path):
    answer = ha.raw("GET", path)
    assert answer.status == 300
    assert answer.root("choices") == choices("http://" + ha.host, path)


@pytest.mark.parametrize("path, status", [("/", 200), ("/foo", 300)])
def test_other_methods_with_json_get_choices_too(ha, path, status):
    answer = ha.raw("POST", path, {"Content-Type": "application/json"}, b"{}")
    assert answer.status == status


@pytest.mark.ours_only("Masakari answers 400 to an empty body")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_without_a_body_get_choices_too(ha, method):
    assert ha.raw(method, "/").status == 200


def test_unversioned_documents_have_no_microversion(ha):
    answer = ha.raw("GET", "/", {"OpenStack-API-Version": "instance-ha nonsense"})
    assert answer.status == 200
    assert "OpenStack-API-Version" not in answer.headers and "Vary" not in answer.headers


def test_the_version_document_negotiates(ha):
    assert ha.get("", version="1.4").status == 406


def test_links_name_the_host_that_was_asked(ha):
    answer = ha.but(host="ha.example.com:8080").raw("GET", "/")
    assert answer.root("versions") == versions("http://ha.example.com:8080")


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "outside.example.com", "X-Forwarded-Prefix": "/ha"}


def test_proxy_headers_are_ignored_unless_asked_for(ha):
    assert ha.raw("GET", "/", FORWARDED).root("versions") == versions("http://" + ha.host)


def test_proxy_headers_change_links(variant, database):
    service = variant("[oslo_middleware]\nenable_proxy_headers_parsing = true\n")
    client = Client(service.address)
    assert client.raw("GET", "/", FORWARDED).root("versions") == versions("https://outside.example.com/ha")
    rfc = {"Forwarded": "proto=https;host=outside.example.com"}
    assert client.raw("GET", "/", rfc).root("versions") == versions("https://outside.example.com")


def test_the_link_prefix_changes_links(variant, database, admin):
    service = variant("[DEFAULT]\nosapi_masakari_link_prefix = https://ha.example.com/masakari\n")
    client = Client(service.address, admin[0])
    assert client.raw("GET", "/").root("versions") == versions("https://ha.example.com/masakari")
    assert client.get("").root("version") == version("https://ha.example.com/masakari")
    assert client.raw("GET", "/x").root("choices") == choices("https://ha.example.com/masakari", "/x")


@pytest.mark.parametrize("header", ["Accept", "Content-Type"])
def test_a_media_type_can_choose_the_version(ha, header):
    sent = {"X-Auth-Token": ha.token, header: "application/json;version=1"}
    assert ha.raw("GET", "/", sent).root("version")["id"] == "v1.0"
    assert ha.raw("GET", "/segments", sent).root("segments") == []


# 1.2: the header, what it gets, and what the answer says.

OUTSIDE = "Version %s is not supported by the API. Minimum is 1.0 and maximum is 1.3."
MALFORMED = "API Version String %s is of invalid format. Must be of format MajorNum.MinorNum."


@pytest.mark.parametrize("header, spoken", [
    (None, "1.0"), ("", "1.0"), ("compute 2.1", "1.0"), ("masakari 1.2", "1.0"), ("ha 1.2", "1.0"), ("1.2", "1.0"),
    ("instance-ha", "1.0"), ("instance-ha 1.0", "1.0"), ("instance-ha 1.1", "1.1"), ("instance-ha 1.2", "1.2"),
    ("instance-ha 1.3", "1.3"), ("INSTANCE-HA 1.2", "1.2"), ("instance-ha   1.2", "1.2"),
    ("instance-ha 1.2, compute 2.1", "1.2"), ("instance-ha 1.1, instance-ha 1.2", "1.2"), ("instance-ha latest", "1.3"),
])
def test_header_is_understood(ha, header, spoken):
    sent = {} if header is None else {"OpenStack-API-Version": header}
    answer = ha.get("/segments", version=None, headers=sent)
    assert answer.status == 200, answer
    assert answer.headers["OpenStack-API-Version"].split()[1] == spoken
    assert answer.headers["Vary"] == "OpenStack-API-Version"


@pytest.mark.parametrize("asked", ["1.4", "2.0"])
def test_out_of_range_is_406(ha, asked):
    answer = ha.get("/segments", version=asked)
    assert answer.fault == (406, "masakariFault", OUTSIDE % asked)
    assert answer.headers["Vary"] == "OpenStack-API-Version"


@pytest.mark.ours_only("Masakari 22.0.0 leaves it out of this one answer")
@pytest.mark.parametrize("asked", ["1.4", "2.0"])
def test_406_echoes_the_version(ha, asked):
    assert ha.get("/segments", version=asked).headers["OpenStack-API-Version"] == "instance-ha " + asked


@pytest.mark.ours_only("FIX (optional): the range is told in members of its own")
def test_406_shows_the_range(ha):
    fault = ha.get("/segments", version="1.4").root("masakariFault")
    assert (fault["min_version"], fault["max_version"]) == ("1.0", "1.3")


@pytest.mark.parametrize("asked", ["abc", "1", "0.9", "01.2", "1.02", "1.2 foo", "LATEST"])
def test_malformed_is_400(ha, asked):
    answer = ha.get("/segments", version=asked)
    assert answer.fault == (400, "badRequest", MALFORMED % asked)
    assert "OpenStack-API-Version" not in answer.headers


def test_the_legacy_header_is_ignored(ha):
    answer = ha.get("/segments", version=None, headers={"X-OpenStack-Masakari-API-Version": "9.9"})
    assert (answer.status, answer.headers["OpenStack-API-Version"].split()[1]) == (200, "1.0")


def test_faults_of_controllers_carry_the_version(ha):
    answer = ha.get("/segments/nobody", version="1.2")
    assert answer.status == 404
    assert answer.headers["OpenStack-API-Version"] == "instance-ha 1.2"
    assert answer.headers["Vary"] == "OpenStack-API-Version"


@pytest.mark.parametrize("case, status", [("no token", 401), ("unrouted", 404), ("too large", 413)])
def test_answers_without_a_controller_carry_no_version(ha, case, status):
    answer = {
        "no token": lambda: ha.but(token=None).get("/segments"),
        "unrouted": lambda: ha.get("/foo"),
        "too large": lambda: ha.post("/segments", b" " * 114689),
    }[case]()
    assert answer.status == status
    assert "OpenStack-API-Version" not in answer.headers


# 1.3: what each version changed.

def test_progress_came_with_1_1_and_only_where_one_is_shown(ha, hosts):
    segment = ha.new_segment()
    ha.new_host(segment, hosts[0])
    made = ha.new_notification(hosts[0])
    path = "/notifications/" + made["notification_uuid"]
    assert "recovery_workflow_details" not in made
    assert "recovery_workflow_details" not in ha.get("/notifications").root("notifications")[0]
    assert "recovery_workflow_details" not in ha.get(path, version="1.0").root("notification")
    for version in ("1.1", "1.2", "1.3"):
        assert ha.get(path, version=version).root("notification")["recovery_workflow_details"] == []


@pytest.mark.parametrize("version, status", [(None, 400), ("1.0", 400), ("1.1", 400), ("1.2", 201), ("1.3", 201)])
def test_enabled_in_a_body_came_with_1_2(ha, version, status):
    fields = {"name": "s", "recovery_method": "auto", "service_type": "COMPUTE", "enabled": False}
    assert ha.post("/segments", {"segment": fields}, version=version).status == status


@pytest.mark.parametrize("version", [None, "1.0", "1.1", "1.2", "1.3"])
def test_enabled_is_shown_and_vmoves_answer_at_every_version(ha, database, hosts, version):
    segment = ha.new_segment()
    ha.new_host(segment, hosts[0])
    made = ha.new_notification(hosts[0])
    uuid = database.new_vmove(made)
    assert ha.get("/segments", version=version).root("segments")[0]["enabled"] is True
    path = "/notifications/%s/vmoves" % made["notification_uuid"]
    assert [vmove["uuid"] for vmove in ha.get(path, version=version).root("vmoves")] == [uuid]
    assert ha.get(path + "/" + uuid, version=version).status == 200
