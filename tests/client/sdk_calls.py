"""Every call of openstacksdk's `instance_ha` proxy, at each version, by uuid and by object."""
import functools
import time

NOWHERE = "00000000-0000-4000-8000-000000000000"
VERSIONS = (None, "1", "1.0", "1.1", "1.2", "1.3")


def connect(clouds_yaml, cloud, version=None):
    import openstack
    from openstack.config import OpenStackConfig
    more = {} if version is None else {"ha_api_version": version}
    config = OpenStackConfig(config_files=[clouds_yaml]).get_one(cloud=cloud, **more)
    return openstack.connection.Connection(config=config).instance_ha


class SdkCalls:
    def __init__(self, region, proxy, checks, hosts, recovered):
        self.region, self.proxy, self.check, self.hosts, self.recovered = region, proxy, checks, hosts, recovered
        from openstack import exceptions
        self.exceptions = exceptions

    def proxy_for(self, version=None, cloud=None):
        return connect(self.region.clouds_yaml, cloud or self.region.cloud, version)

    def refused(self, name, kind, text, call):
        """An exception of that class whose text holds the API's own sentence."""
        try:
            got = call()
        except self.exceptions.HttpException as error:
            self.check.that(name, type(error) is kind and text in str(error), "%s: %s" % (type(error).__name__, error))
        else:
            self.check.that(name, False, "nothing raised, but %r" % (got,))

    def steps(self):
        """Name and function of each part."""
        each = [("at version %s" % version, functools.partial(self.version, version)) for version in VERSIONS]
        return each + [(part.__name__, part) for part in (self.objects, self.pages, self.missing, self.errors, self.waits)]

    # --------------------------------------------------------------------------------- each version

    def version(self, version):
        from openstack.instance_ha.v1 import host, notification, segment, vmove
        where = "SDK, ha_api_version %s" % version
        ha = self.proxy_for(version)
        fixed = version not in (None, "1")
        self.check.equal(where + ": default_microversion", ha.default_microversion, version if fixed else None)
        self.proxy.take()
        attributes = {"name": "sdk", "recovery_method": "auto", "service_type": "COMPUTE"}
        if not fixed or version in ("1.2", "1.3"):
            attributes["is_enabled"] = True
        made = ha.create_segment(**attributes)
        self.check.that(where + ": create_segment", isinstance(made, segment.Segment) and made.name == "sdk"
                        and made.is_enabled is True and isinstance(made.id, int), made)
        self.check.equal(where + ": get_segment", ha.get_segment(made.uuid).to_dict()["uuid"], made.uuid)
        self.check.that(where + ": segments", made.uuid in [s.uuid for s in ha.segments()])
        got = ha.update_segment(made.uuid, description="d")
        self.check.equal(where + ": update_segment", (got.description, got.name), ("d", "sdk"))
        node = ha.create_host(made.uuid, name=self.hosts[1], type="COMPUTE", control_attributes="SSH", reserved=False)
        self.check.that(where + ": create_host", isinstance(node, host.Host) and node.name == self.hosts[1]
                        and node.failover_segment_id == made.uuid and node.reserved is False, node)
        self.check.equal(where + ": hosts", [h.uuid for h in ha.hosts(made.uuid)], [node.uuid])
        self.check.equal(where + ": hosts by name, filtered by the client", [
            len(list(ha.hosts(made.uuid, name=name))) for name in (self.hosts[1], "other")], [1, 0])
        self.check.equal(where + ": get_host", ha.get_host(node.uuid, made.uuid).name, self.hosts[1])
        got = ha.update_host(node.uuid, made.uuid, on_maintenance=True)
        self.check.equal(where + ": update_host", got.on_maintenance, True)
        self.refused(where + ": create_notification for a host in maintenance", self.exceptions.ConflictException,
                     "is ignored as the host is already under maintenance",
                     lambda: ha.create_notification(**self.event(self.hosts[1])))
        ha.update_host(node.uuid, made.uuid, on_maintenance=False)
        sent = ha.create_notification(**self.event(self.hosts[1]))
        self.check.that(where + ": create_notification", isinstance(sent, notification.Notification)
                        and sent.source_host_uuid == node.uuid and sent.status in ("new", "running", "ignored"), sent)
        got = self.until(lambda: ha.get_notification(sent.notification_uuid), lambda n: n.status == "ignored")
        self.check.equal(where + ": get_notification", got.status, "ignored")
        got = ha.get_notification(self.recovered)
        details = got.recovery_workflow_details
        told = fixed and version != "1.0"
        self.check.that(where + ": recovery_workflow_details", isinstance(details, list) and details
                        and isinstance(details[0].name, str) and isinstance(details[0].progress, float)
                        and isinstance(details[0].progress_details[0].progress, str) if told else details is None, details)
        listed = [n.notification_uuid for n in ha.notifications(type="VM", status="ignored")]
        self.check.that(where + ": notifications", sent.notification_uuid in listed, listed)
        moves = list(ha.vmoves(self.recovered))
        self.check.that(where + ": vmoves", len(moves) == 3 and all(isinstance(m, vmove.VMove) and m.server_id for m in moves)
                        and moves[0].notification_id == self.recovered, moves)
        got = ha.get_vmove(moves[0].uuid, self.recovered)
        self.check.equal(where + ": get_vmove", (got.server_id, got.dest_host), (moves[0].server_id, moves[0].dest_host))
        ha.delete_host(node.uuid, made.uuid)
        self.check.equal(where + ": delete_host", list(ha.hosts(made.uuid)), [])
        ha.delete_segment(made.uuid)
        self.check.that(where + ": delete_segment", made.uuid not in [s.uuid for s in ha.segments()])
        said = {("segment" if r.path.rstrip("/").split("/")[-2 if len(r.path.split("/")[-1]) == 36 else -1] == "segments"
                 else "other", r.version) for r in self.proxy.take() if "/v1/" in r.path and r.path.count("/") > 2}
        wanted = {("segment", "instance-ha " + version), ("other", "instance-ha " + version)} if fixed else {
            ("segment", "instance-ha 1.2"), ("other", None)}
        self.check.equal(where + ": the version headers it sends", said, wanted)

    def event(self, host):
        self.count = getattr(self, "count", 0) + 1
        return {"type": "VM", "hostname": host, "generated_time": "2026-02-03T04:05:%02d" % self.count, "payload": {
            "event": "SUSPENDED", "vir_domain_event": "SUSPENDED_PAUSED", "instance_uuid": NOWHERE}}

    @staticmethod
    def until(ask, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while True:
            got = ask()
            if condition(got) or time.monotonic() > deadline:
                return got
            time.sleep(0.1)

    # --------------------------------------------------------------------------------- Q7

    def objects(self):
        """Q7: an object's id is the integer one, and that is what the SDK puts into the path."""
        ha = self.proxy_for("1.3")
        made = ha.create_segment(name="objects", recovery_method="auto", service_type="COMPUTE")
        self.proxy.take()
        self.check.equal("SDK objects: get_segment(segment)", ha.get_segment(made).uuid, made.uuid)
        self.check.that("SDK objects: the path holds the integer", self.proxy.take()[-1].path.endswith("/segments/%d" % made.id))
        self.check.equal("SDK objects: update_segment(segment)", ha.update_segment(made, description="o").uuid, made.uuid)
        node = ha.create_host(made, name=self.hosts[1], type="COMPUTE", control_attributes="SSH")
        self.check.equal("SDK objects: create_host(segment)", node.failover_segment_id, made.uuid)
        self.check.equal("SDK objects: hosts(segment)", [h.uuid for h in ha.hosts(made)], [node.uuid])
        self.check.equal("SDK objects: get_host(host, segment)", ha.get_host(node, made).uuid, node.uuid)
        self.check.equal("SDK objects: update_host(host, segment)", ha.update_host(node, made, reserved=True).reserved, True)
        note = ha.get_notification(self.recovered)
        self.check.equal("SDK objects: get_notification(notification)", ha.get_notification(note).notification_uuid,
                         self.recovered)
        moves = list(ha.vmoves(note))
        self.check.equal("SDK objects: vmoves(notification)", len(moves), 3)
        self.check.equal("SDK objects: get_vmove(vmove, notification)", ha.get_vmove(moves[0], note).uuid, moves[0].uuid)
        ha.delete_host(node, made, ignore_missing=False)
        self.check.equal("SDK objects: delete_host(host, segment)", list(ha.hosts(made)), [])
        ha.delete_segment(made, ignore_missing=False)
        self.refused("SDK objects: delete_segment(segment)", self.exceptions.NotFoundException, "No failover segment with id",
                     lambda: ha.get_segment(made.uuid))

    # --------------------------------------------------------------------------------- Q1 to Q6

    def pages(self):
        """The region's osapi_max_limit is 50."""
        ha = self.proxy_for("1.3")
        count = 53
        for n in range(count):
            ha.create_segment(name="page-%02d" % n, recovery_method="auto", service_type="PAGES", is_enabled=n % 2 == 0)
        names = ["page-%02d" % n for n in range(count)]

        def ask(**query):
            self.proxy.take()
            rows = [s.name for s in ha.segments(service_type="PAGES", **query)]
            return rows, [r for r in self.proxy.take() if r.path.endswith("/segments")]

        for limit in (1, 7, 50, 53):
            rows, requests = ask(limit=limit, sort_key="name", sort_dir="asc")
            self.check.equal("Q1: limit=%d gives every row once, in order" % limit, rows, names)
            pages = -(-count // min(limit, 50)) + 1
            self.check.equal("Q1: limit=%d ends at an empty page" % limit, len(requests), pages)
            self.check.that("Q2: follow-up pages repeat sort and filter", all(
                (r.query["sort_key"], r.query["sort_dir"], r.query["service_type"]) == ("name", "asc", "PAGES")
                and r.query["marker"].isdigit() for r in requests[1:]), requests[:3])
        rows, requests = ask(limit=20)
        self.check.equal("default order: newest first, over all pages", rows, names[::-1])
        rows, requests = ask()
        self.check.equal("Q3: without limit one request, cut at osapi_max_limit", (len(rows), len(requests)), (50, 1))
        rows, requests = ask(limit=10, sort_key=["recovery_method", "name"], sort_dir=["asc", "desc"])
        self.check.equal("Q4: two sort keys, each with its direction", rows, names[::-1])
        self.check.equal("Q4: they are repeated parameters", sorted(p for p in requests[0].pairs if p[0].startswith("sort")), [
            ("sort_dir", "asc"), ("sort_dir", "desc"), ("sort_key", "name"), ("sort_key", "recovery_method")])
        rows, requests = ask(limit=10, sort_key="updated_at", sort_dir="asc")
        self.check.equal("a column that is null everywhere still pages", sorted(rows), names)
        for value in (True, False):
            rows, requests = ask(limit=10, is_enabled=value)
            self.check.equal("Q5: is_enabled=%s" % value, sorted(rows), [n for i, n in enumerate(names) if (i % 2 == 0) is value])
            self.check.equal("Q5: it is sent as enabled=%s" % value, requests[0].query["enabled"], str(value))
        self.proxy.take()
        since = [n.notification_uuid for n in ha.notifications(generated_since="2026-02-03T04:05:02")]
        request = self.proxy.take()[-1]
        self.check.equal("Q6: generated_since is sent as generated-since", request.query.get("generated-since"),
                         "2026-02-03T04:05:02")
        every = {n.notification_uuid: n.generated_time for n in ha.notifications()}
        self.check.equal("Q6: and it filters", sorted(since), sorted(
            u for u, when in every.items() if when >= "2026-02-03T04:05:02"))
        self.check.that("Q6: something was left out", len(since) < len(every))
        page = list(ha.segments(paginated=False, limit=5, service_type="PAGES"))
        self.check.equal("paginated=False: one page", len(page), 5)
        marker = page[-1].id
        rows, _ = ask(limit=10, marker=marker)
        self.check.equal("marker: strictly after it", rows, names[::-1][5:])
        for segment in list(ha.segments(limit=50, service_type="PAGES")):
            ha.delete_segment(segment.uuid, ignore_missing=False)

    # --------------------------------------------------------------------------------- Q8 and errors

    def missing(self):
        ha = self.proxy_for("1.3")
        made = ha.create_segment(name="missing", recovery_method="auto", service_type="COMPUTE")
        gone = self.exceptions.NotFoundException
        self.check.equal("Q8: delete_segment swallows a 404", ha.delete_segment(NOWHERE), None)
        self.check.equal("Q8: delete_host swallows a 404", ha.delete_host(NOWHERE, made.uuid), None)
        self.refused("Q8: delete_segment(ignore_missing=False)", gone, "No failover segment with id " + NOWHERE,
                     lambda: ha.delete_segment(NOWHERE, ignore_missing=False))
        self.refused("Q8: delete_host(ignore_missing=False)", gone, "could not be found",
                     lambda: ha.delete_host(NOWHERE, made.uuid, ignore_missing=False))
        self.refused("get_segment", gone, "No failover segment with id", lambda: ha.get_segment(NOWHERE))
        self.refused("get_host", gone, "could not be found", lambda: ha.get_host(NOWHERE, made.uuid))
        self.refused("get_notification", gone, "No notification with id", lambda: ha.get_notification(NOWHERE))
        self.refused("get_vmove", gone, "No vm move with id", lambda: ha.get_vmove(NOWHERE, self.recovered))
        self.refused("get_vmove of no notification", gone, "", lambda: ha.get_vmove(NOWHERE, NOWHERE))
        ha.delete_segment(made.uuid)

    def errors(self):
        """The SDK finds our sentence in the envelope, for each status it has a class for."""
        ha = self.proxy_for("1.3")
        made = ha.create_segment(name="errors", recovery_method="auto", service_type="COMPUTE")
        wrong, conflict = self.exceptions.BadRequestException, self.exceptions.ConflictException
        self.refused("create_segment twice", conflict, "Failover segment with name errors already exists.",
                     lambda: ha.create_segment(name="errors", recovery_method="auto", service_type="COMPUTE"))
        self.refused("create_segment without a method", wrong, "recovery_method",
                     lambda: ha.create_segment(name="half", service_type="COMPUTE"))
        self.refused("create_host Nova does not know", wrong, "Compute service with name no-such could not be found.",
                     lambda: ha.create_host(made.uuid, name="no-such", type="COMPUTE", control_attributes="SSH"))
        self.refused("create_notification for an unknown host", wrong, "Host with name no-such could not be found.",
                     lambda: ha.create_notification(**self.event("no-such")))
        self.refused("enabled before 1.2", wrong, "enabled", lambda: self.proxy_for("1.1").create_segment(
            name="early", recovery_method="auto", service_type="COMPUTE", is_enabled=True))
        member = self.proxy_for("1.3", self.region.cloud + "-demo")
        self.refused("without the admin role", self.exceptions.ForbiddenException,
                     "Policy doesn't allow os_masakari_api:segments:index to be performed.", lambda: list(member.segments()))
        ha.delete_segment(made.uuid)

    def waits(self):
        """wait_for_status and wait_for_delete ask again with the object's own id."""
        ha = self.proxy_for("1.3")
        note = ha.get_notification(self.recovered)
        got = ha.wait_for_status(note, status="finished", interval=1, wait=5)
        self.check.equal("wait_for_status", got.status, "finished")
        made = ha.create_segment(name="waits", recovery_method="auto", service_type="COMPUTE")
        ha.delete_segment(made.uuid)
        self.check.that("wait_for_delete", ha.wait_for_delete(made, interval=1, wait=5) is not None)
