#!/usr/bin/env python3
"""Somebody uses the unmodified masakari-dashboard in an unmodified Horizon: logs in, fills in every form, opens every page.

Pages are asked for through Django's test client, so no browser and no web server is needed; Horizon logs in to the simulated
Keystone, and a proxy writes down what the dashboard asks of `tachi serve`. Runs inside the dashboard's environment.
"""
import argparse
import functools
import inspect
import logging
import os
import re
import signal
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [HERE, os.path.join(HERE, "..", "client")]

from checks import Checks
from proxy import Proxy
from recovered import recover_one
from region import CLOUD, Region
from sdk_calls import connect

PAGES = "/masakaridashboard/"
# What a table says that a filter has left nothing in.
NOTHING = "Please specify a search criteria first."


def text_of(answer):
    """What a page says, without its scripts."""
    page = re.sub(r"(?s)<(script|style|head)\b.*?</\1>", " ", answer.content.decode())
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


class Dashboard:
    def __init__(self, region, proxy, checks):
        os.environ.update(DJANGO_SETTINGS_MODULE="horizon_settings", TACHI_TEST_AUTH_URL=region.auth["auth_url"])
        import django
        django.setup()
        from django.test import Client
        from masakaridashboard.api import api
        self.region, self.proxy, self.check, self.api = region, proxy, checks, api
        self.browser = Client()
        self.ha = connect(region.clouds_yaml, CLOUD, "1.3")
        self.called = set()
        self.all_names = [name for name, function in inspect.getmembers(api, inspect.isfunction)
                          if function.__module__ == api.__name__ and "request" in inspect.signature(function).parameters]
        for name in self.all_names:
            setattr(api, name, self.noted(name, getattr(api, name)))

    def noted(self, name, function):
        @functools.wraps(function)
        def noted(*args, **kwargs):
            self.called.add(name)
            return function(*args, **kwargs)
        return noted

    # --------------------------------------------------------------------------------- pages and what they ask

    def asked(self):
        """Requests to the API below /v1/PROJECT, without discovery: method, path, query, version, body."""
        return [r for r in self.proxy.take() if re.match(r"/v1/[0-9a-f]{32}/.", r.path)]

    @staticmethod
    def words(requests):
        return ["%s %s" % (r.method, re.sub(r"^/v1/[0-9a-f]{32}", "", r.path)) for r in requests]

    def page(self, title, path, /, *parts, **form):
        """Opens or (with fields) submits a page; it has to be there, without an error, and hold `parts`."""
        self.proxy.take()
        if form:
            answer = self.browser.post(PAGES + path, form, follow=True)
        else:
            # Forms are dialogs, which a browser fetches this way. (As a page, two of them name a template that is not there.)
            dialog = {"x-requested-with": "XMLHttpRequest"} if ", the form" in title else None
            answer = self.browser.get(PAGES + path, follow=True, headers=dialog)
        self.requests = self.asked()
        said = text_of(answer)
        missing = [part for part in parts if part not in said]
        wrong = [word for word in ("Unable to", "Failed to", "Error:") if word in said and not any(word in p for p in parts)]
        refused = [r for r in self.requests if r.status >= 400 and not any("Failed" in p or "already" in p for p in parts)]
        self.check.that(title, answer.status_code == 200 and not missing and not wrong and not refused,
                        "status %s, missing %s, says %s, refused %s\n%s" % (answer.status_code, missing, wrong, refused, said[:1500]))
        return said

    def body(self, method):
        return next((r for r in self.requests if r.method == method), None)

    # --------------------------------------------------------------------------------- what somebody does

    def log_in(self):
        answer = self.browser.post("/auth/login/", {
            "auth_type": "credentials", "username": "admin", "password": self.region.password, "domain": "Default",
            "region": "default"})
        self.check.that("log in", answer.status_code == 302, text_of(answer)[:800])

    def segments(self):
        # One has been made already: the one whose host was recovered.
        self.page("segments", "segments/", "recovered")
        self.page("segments, the form", "segments/create_segment", "Create Segment")
        form = {"name": "rack-a", "recovery_method": "auto", "service_type": "compute", "description": "", "is_enabled": "on"}
        self.page("segments, create", "segments/create_segment", "Successfully created segment", "rack-a", **form)
        made = self.body("POST")
        self.check.that("Q10: create posts an empty description and `compute`, at 1.2", made.json() == {"segment": {
            "name": "rack-a", "recovery_method": "auto", "service_type": "compute", "description": "", "enabled": True}}
            and made.version == "instance-ha 1.2", (made.body, made.version))
        # Horizon shows a refusal as a page of its own, with the SDK's sentence below its own. It logs the refusal with its stack,
        # which is no news here.
        self.proxy.take()
        logging.disable(logging.ERROR)
        said = text_of(self.browser.post(PAGES + "segments/create_segment", form, follow=True))
        logging.disable(logging.NOTSET)
        self.check.that("Q10: the same name again says so, in the dashboard's words and in ours", all(part in said for part in (
            "Segment with name &quot;rack-a&quot; already exists", "Failover segment with name rack-a already exists.")), said)
        self.check.equal("Q10: it was a 409", [r.status for r in self.asked() if r.method == "POST"], [409])
        for name in ("rack-b", "rack-c"):
            self.page("segments, create " + name, "segments/create_segment", name, **dict(form, name=name))
        self.ids = {s.name: s for s in self.ha.segments()}

    def paging(self):
        """Q12: a page of 2 is asked for as 3; the next page's marker is a uuid in the URL and an integer in the request."""
        first = self.page("segments, first page", "segments/", "rack-c", "rack-b", "Next")
        self.check.that("Q12: the first page holds no third row", "rack-a" not in first)
        self.check.equal("Q12: limit is the page and one more", self.requests[0].query.get("limit"), "3")
        marker = self.ids["rack-b"]
        self.page("segments, next page", "segments/?marker=" + marker.uuid, "rack-a", "recovered")
        self.check.equal("Q12: the marker's row is looked up first", self.words(self.requests)[:2], [
            "GET /segments/" + marker.uuid, "GET /segments"])
        self.check.equal("Q12: and its integer id is sent", self.requests[1].query.get("marker"), str(marker.id))

    def filtering(self):
        for field, value, query, wanted in (
                ("service_type", "compute", ("service_type", "compute"), "rack-c"),
                ("recovery_method", "auto", ("recovery_method", "auto"), "rack-c"),
                ("is_enabled", "Yes", ("enabled", "Yes"), "rack-c")):
            said = self.page("segments, filter %s=%s" % (field, value), "segments/", wanted, **{
                "action": "failover_segment__filter__q", "failover_segment__filter__q": value,
                "failover_segment__filter__q_field": field})
            sent = [r.query for r in self.requests if r.path.endswith("/segments")]
            self.check.that("the filter %s arrives" % field, sent and all(q.get(query[0]) == query[1] for q in sent), (sent, said[:300]))
        self.page("segments, filter is_enabled=No", "segments/", NOTHING, **{
            "action": "failover_segment__filter__q", "failover_segment__filter__q": "No",
            "failover_segment__filter__q_field": "is_enabled"})
        self.page("segments, no filter", "segments/", "rack-c", **{
            "action": "failover_segment__filter__q", "failover_segment__filter__q": "", "failover_segment__filter__q_field": "name"})

    def one_segment(self):
        a = self.ids["rack-a"]
        self.page("segment, its page", "segments/%s/detail" % a.uuid, "rack-a", "Recovery Method auto")
        self.page("segment, the form to change it", "segments/%s/update" % a.uuid, "Update Segment")
        form = {"uuid": a.uuid, "name": "rack-a", "recovery_method": "rh_priority", "description": "the east wing",
                "is_enabled": "on"}
        for n in (1, 2):
            self.page("segment, change it (%d)" % n, "segments/%s/update" % a.uuid, "Successfully updated segment", **form)
            sent = self.body("PUT")
            self.check.that("Q10: an update sends all four, and is in no conflict with itself (%d)" % n, sent.status == 200
                            and sent.json() == {"segment": {"name": "rack-a", "recovery_method": "rh_priority",
                                                            "description": "the east wing", "enabled": True}}, (sent, sent.body))
        del form["is_enabled"]
        self.page("segment, disable it", "segments/%s/update" % a.uuid, "Successfully updated segment", **form)
        self.check.equal("segment, it is disabled", self.ha.get_segment(a.uuid).is_enabled, False)

    def hosts(self):
        a = self.ids["rack-a"]
        form = self.page("host, the form", "segments/%s/addhost" % a.uuid, "compute-001")
        self.check.that("Q14: a host of another segment is not offered", self.lost not in form, form[:600])
        self.page("host, add it", "segments/%s/addhost" % a.uuid, "Host created successfully", **{
            "segment_id": a.uuid, "segment_name": "rack-a", "name": "compute-001", "reserved": "True", "type": "COMPUTE",
            "control_attributes": "SSH", "on_maintenance": "False"})
        sent = self.body("POST")
        self.check.that("host, add: booleans as text, no version", sent.json()["host"]["reserved"] == "True"
                        and sent.version is None, (sent.body, sent.version))
        host = next(iter(self.ha.hosts(a.uuid)))
        self.check.equal("host, it is reserved", (host.name, host.reserved, host.on_maintenance), ("compute-001", True, False))
        both = host.uuid + "," + a.uuid
        self.page("hosts", "hosts/", "compute-001", self.lost)
        count = len(self.ids)
        self.check.equal("hosts: one list per segment", len([w for w in self.words(self.requests) if w.endswith("/hosts")]), count)
        self.page("hosts, filter reserved=Yes", "hosts/", "compute-001", **{
            "action": "host__filter__q", "host__filter__q": "Yes", "host__filter__q_field": "reserved"})
        self.check.that("the filter reserved arrives", all(
            r.query.get("reserved") == "Yes" for r in self.requests if r.path.endswith("/hosts")), self.requests)
        self.page("hosts, no filter", "hosts/", "compute-001", **{
            "action": "host__filter__q", "host__filter__q": "", "host__filter__q_field": "type"})
        self.page("host, its page", "hosts/%s/detail" % both, "compute-001")
        self.page("segment, the tab of hosts", "segments/%s/detail?tab=segment_details__host_tab" % a.uuid, "compute-001")
        self.page("host, the form to change it", "hosts/%s/update" % both, "Update Host")
        for n in (1, 2):
            self.page("host, change it (%d)" % n, "hosts/%s/update" % both, "Successfully updated host", **{
                "uuid": host.uuid, "failover_segment_id": a.uuid, "name": "compute-001", "reserved": "False", "type": "COMPUTE",
                "control_attributes": "IPMI", "on_maintenance": "True"})
            sent = self.body("PUT")
            self.check.that("Q11: an update sends all five, booleans as text, no version (%d)" % n, sent.json() == {"host": {
                "name": "compute-001", "reserved": "False", "type": "COMPUTE", "control_attributes": "IPMI",
                "on_maintenance": "True"}} and sent.version is None, (sent.body, sent.version))
        got = self.ha.get_host(host.uuid, a.uuid)
        self.check.equal("host, it has changed", (got.reserved, got.on_maintenance, got.control_attributes), (False, True, "IPMI"))
        self.page("host, delete it", "hosts/", "Deleted Host: compute-001", action="host__delete", object_ids=[both])
        self.check.equal("host, it is gone", list(self.ha.hosts(a.uuid)), [])

    def notifications(self):
        n = self.recovered
        self.page("notifications", "notifications/", n, "COMPUTE_HOST")
        self.page("notifications, filter status=finished", "notifications/", n, **{
            "action": "notifications__filter__q", "notifications__filter__q": "finished",
            "notifications__filter__q_field": "status"})
        self.page("notifications, filter Generated Since", "notifications/", NOTHING, **{
            "action": "notifications__filter__q", "notifications__filter__q": "2099-01-01T00:00:00",
            "notifications__filter__q_field": "generated_since"})
        self.check.equal("Q6: it is sent with a hyphen", {r.query.get("generated-since") for r in self.requests},
                         {"2099-01-01T00:00:00"})
        self.page("notifications, no filter", "notifications/", n, **{
            "action": "notifications__filter__q", "notifications__filter__q": "", "notifications__filter__q_field": "type"})
        self.page("notification, its page", "notifications/%s/detail" % n, n)
        self.page("notification, the tab of progress",
                  "notifications/%s/detail?tab=notification_details__notification_progress_details" % n,
                  "EvacuateInstancesTask", "DisableComputeServiceTask")
        self.check.that("Q13: progress is asked for at 1.1", "instance-ha 1.1" in [r.version for r in self.requests], [
            (r, r.version) for r in self.requests])
        moves = list(self.ha.vmoves(n))
        self.page("notification, the tab of moves", "notifications/%s/detail?tab=notification_details__vmove_tab" % n,
                  *[m.server_name for m in moves])
        self.check.equal("Q13: moves are asked for at 1.3", [r.version for r in self.requests if r.path.endswith("/vmoves")],
                         ["instance-ha 1.3"])
        self.page("moves", "vmoves/", n, *[m.uuid for m in moves])
        self.page("moves, filter status=succeeded", "vmoves/", *[m.uuid for m in moves], **{
            "action": "vmove__filter__q", "vmove__filter__q": "succeeded", "vmove__filter__q_field": "status"})
        self.page("move, its page", "vmoves/%s,%s/detail" % (n, moves[0].uuid), moves[0].server_name, moves[0].dest_host)

    def deleting(self):
        rows = [self.ids[name].uuid for name in ("rack-a", "rack-b", "rack-c")]
        # What is to be deleted has to be on the page that is shown: the newest two.
        self.page("segments, delete two", "segments/", "Deleted Segments: rack-c, rack-b", action="failover_segment__delete",
                  object_ids=rows[:0:-1])
        self.page("segments, delete one", "segments/", "Deleted Segment: rack-a", action="failover_segment__delete",
                  object_ids=rows[:1])
        self.check.equal("segments, they are gone", [s.name for s in self.ha.segments()], ["recovered"])

    def every_function(self):
        """Nothing of the dashboard's API module was left out."""
        self.check.equal("every function of the dashboard's API module was called", sorted(set(self.all_names) - self.called), [])

    STEPS = (log_in, segments, paging, filtering, one_segment, hosts, notifications, deleting, every_function)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the binary under test")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks, proxy = Checks(), None
    region = Region(args.tachi)
    try:
        proxy = Proxy(region.api)
        region.catalog(proxy.url + "/v1/$(tenant_id)s")
        dashboard = Dashboard(region, proxy, checks)
        dashboard.lost = sorted(h["name"] for h in region.admin("GET", "/hosts"))[-1]
        dashboard.recovered = recover_one(region, dashboard.lost)
        for step in Dashboard.STEPS:
            try:
                step(dashboard)
            except Exception:
                checks.that("%s goes through" % step.__name__, False, traceback.format_exc(limit=-4))
    finally:
        code = region.stop()
        if proxy:
            proxy.stop()
    checks.equal("SIGTERM ends tachi serve with 0", code, 0)
    if checks.failed:
        said = [line for line in region.service_output().splitlines() if "status=200" not in line]
        print("---- tachi serve said, at last:\n" + "\n".join(said[-25:]))
    region.remove()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
