"""Every command of the `openstack` plug-in, over every form of catalog entry and every --os-ha-api-version: what it
prints, and what it asks of the API. The client is the unmodified one."""
import json
import re

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
NOWHERE = "00000000-0000-4000-8000-000000000000"
VERSIONS = ("1", "1.0", "1.1", "1.2", "1.3")


def header(version, path):
    """What the client says about versions: with a bare major version the SDK negotiates for segments only."""
    if version != "1":
        return "instance-ha " + version
    return "instance-ha 1.2" if re.search(r"/segments(/[^/]+)?$", path) else None


def at_least(version, other):
    return tuple(int(n) for n in (version + ".0").split(".")[:2]) >= tuple(int(n) for n in other.split("."))


def asked(base, request):
    """`METHOD /path?sorted query` of a request below `base`."""
    query = "&".join("%s=%s" % pair for pair in sorted(request.pairs))
    return "%s %s%s" % (request.method, request.path[len(base):], "?" + query if query else "")


class Form:
    """One form of catalog entry."""

    def __init__(self, name, url, base, proxy):
        self.name, self.url, self.base, self.proxy = name, url, base, proxy


def forms(plain, mounted, project):
    prefix = mounted.mount
    return (
        Form("/v1/$(tenant_id)s", plain.url + "/v1/$(tenant_id)s", "/v1/" + project, plain),
        Form("/v1", plain.url + "/v1", "/v1", plain),
        Form("unversioned", plain.url, "/v1", plain),
        Form("mounted /v1/$(tenant_id)s", mounted.url + prefix + "/v1/$(tenant_id)s", prefix + "/v1/" + project, mounted),
        Form("mounted /v1", mounted.url + prefix + "/v1", prefix + "/v1", mounted),
        Form("mounted unversioned", mounted.url + prefix, prefix + "/v1", mounted),
    )


class Commands:
    """Laps of all commands. `recovered` is a finished COMPUTE_HOST notification with moves."""

    def __init__(self, cli, region, checks, hosts, recovered):
        self.cli, self.region, self.check, self.hosts, self.recovered = cli, region, checks, hosts, recovered
        self.laps = 0

    def use(self, form, version):
        self.form, self.version = form, version
        self.region.catalog(form.url)
        self.where = "%s, %s" % (form.name, version)

    # --------------------------------------------------------------------------------- one command and its requests

    def requests(self):
        """What reached the API below the base path; discovery is looked at by itself."""
        found = self.form.proxy.take()
        self.discovery = [r for r in found if not r.path.startswith(self.form.base + "/") or r.path == "/v1/"]
        return [r for r in found if r not in self.discovery]

    def run(self, *words):
        self.form.proxy.take()
        result = self.cli.run("--os-ha-api-version", self.version, *words)
        self.came = self.requests()
        return result

    def wire(self, name, wanted, result):
        came = [asked(self.form.base, r) for r in self.came]
        self.check.that("%s: %s asks for %s" % (self.where, name, ", ".join(w.split("?")[0] for w in wanted) or "nothing"),
                        came == wanted, "asked %s\nwanted %s\n%s" % (came, wanted, result))
        wrong = [(r, r.version) for r in self.came if r.version != header(self.version, r.path)]
        self.check.that("%s: %s, version header" % (self.where, name), not wrong, wrong)

    def answer(self, name, words, wanted, columns=None):
        """The JSON of a command that works. `wanted` may be a function of the answer."""
        result = self.run(*words, "-f", "json")
        try:
            got = json.loads(result.out)
        except ValueError:
            got = None
        if not self.check.that("%s: %s" % (self.where, name), result.code == 0 and got is not None, result):
            raise RuntimeError("nothing to go on with after %s" % name)
        self.wire(name, wanted(got) if callable(wanted) else wanted, result)
        if columns is not None:
            row = got[0] if isinstance(got, list) else got
            self.check.equal("%s: %s, columns" % (self.where, name), sorted(row), sorted(columns))
        return got

    def said(self, name, words, wanted, text):
        result = self.run(*words)
        self.check.that("%s: %s" % (self.where, name), result.code == 0 and result.out.strip() == text, result)
        self.wire(name, wanted, result)

    # --------------------------------------------------------------------------------- a lap

    def lap(self):
        self.laps += 1
        self.discovered()
        self.segments()
        self.host_commands()
        self.notifications()
        self.moves()
        self.deletes()

    def discovered(self):
        """Section 7.1: a versioned entry is tried without a token and again with one, an unversioned one once."""
        self.run("segment", "list")
        seen = [(r.method, r.path, r.status, "x-auth-token" in r.headers) for r in self.discovery]
        if self.form.url.endswith(("/v1", "s")):
            paths = {p for _, p, _, _ in seen}
            self.check.that("%s: discovery is GET /v1, refused without a token and answered with one" % self.where,
                            [(s, t) for _, _, s, t in seen] == [(401, False), (200, True)] and len(paths) == 1
                            and paths.pop().rstrip("/").endswith("/v1"), seen)
        else:
            self.check.that("%s: discovery is one GET without a token" % self.where,
                            [(s, t) for _, _, s, t in seen] in ([(200, False)], [(300, False)]), seen)

    def segments(self):
        v = self.version
        enabled = ["is_enabled"] if at_least(v, "1.2") else []
        shown = ["created_at", "updated_at", "uuid", "name", "description", "id", "service_type", "recovery_method", *enabled]
        listed = ["uuid", "name", "description", "service_type", "recovery_method", *enabled]
        name = self.segment = "lap-%d" % self.laps
        flag = ("--is_enabled", "False") if enabled else ()
        made = self.answer("segment create", ("segment", "create", name, "auto", "COMPUTE", "--description", "a lap", *flag),
                           lambda got: ["POST /segments", "GET /segments/" + got["uuid"]], shown)
        body = {"name": name, "description": "a lap", "recovery_method": "auto", "service_type": "COMPUTE"}
        if enabled:
            body["enabled"] = False
        self.check.equal("%s: segment create, body" % self.where, self.came[0].json(), {"segment": body})
        self.check.that("%s: segment create, answer" % self.where, UUID.match(made["uuid"]) and made["name"] == name
                        and made["description"] == "a lap" and made.get("is_enabled", False) is False, made)
        u = self.u = made["uuid"]
        by_name = self.answer("segment show by name", ("segment", "show", name), ["GET /segments", "GET /segments/" + u], shown)
        by_uuid = self.answer("segment show by uuid", ("segment", "show", u), ["GET /segments/" + u])
        self.check.equal("%s: both show what was made" % self.where, (by_name, by_uuid), (made, made))
        rows = self.answer("segment list", ("segment", "list"), ["GET /segments"], listed)
        self.check.that("%s: segment list has it" % self.where, u in [r["uuid"] for r in rows], rows)
        flag = ("--is_enabled", "True") if enabled else ()
        got = self.answer("segment update by name", ("segment", "update", name, "--service_type", "x y", *flag),
                          ["GET /segments", "PUT /segments/" + u, "GET /segments/" + u])
        wanted = {"service_type": "x y"} | ({"enabled": True} if enabled else {})
        self.check.equal("%s: segment update sends what was given" % self.where, self.came[1].json(), {"segment": wanted})
        self.check.that("%s: segment update, answer" % self.where, got["service_type"] == "x y" and got["updated_at"]
                        and got.get("is_enabled", True) is True, got)
        self.answer("segment update with nothing to change", ("segment", "update", u), ["GET /segments/" + u])
        got = self.answer("segment update --description ''", ("segment", "update", u, "--description", ""),
                          ["PUT /segments/" + u, "GET /segments/" + u])
        self.check.equal("%s: an empty description is kept" % self.where, got["description"], "")
        refused = self.run("segment", "update", u, "--name", "")
        self.check.refused("%s: segment update --name ''" % self.where, refused, "400", "name")
        self.wire("segment update --name ''", ["PUT /segments/" + u], refused)

    def host_commands(self):
        u, host = self.u, self.hosts[0]
        columns = ["uuid", "name", "type", "control_attributes", "reserved", "on_maintenance", "failover_segment_id"]
        words = ("segment", "host", "create", host, "COMPUTE", "SSH", self.segment, "--reserved", "True", "--on_maintenance",
                 "False")
        made = self.answer("segment host create", words, lambda got: [
            "GET /segments", "POST /segments/%s/hosts" % u, "GET /segments/%s/hosts/%s" % (u, got["uuid"])],
            [*columns, "created_at", "updated_at"])
        self.check.equal("%s: segment host create sends booleans as text" % self.where, self.came[1].json(), {"host": {
            "name": host, "type": "COMPUTE", "control_attributes": "SSH", "reserved": "True", "on_maintenance": "False"}})
        self.check.that("%s: segment host create, answer" % self.where, made["reserved"] is True
                        and made["on_maintenance"] is False and made["failover_segment_id"] == u, made)
        h = self.h = made["uuid"]
        one = "/segments/%s/hosts/%s" % (u, h)
        rows = self.answer("segment host list", ("segment", "host", "list", self.segment),
                           ["GET /segments", "GET /segments/%s/hosts" % u], columns)
        self.check.equal("%s: segment host list" % self.where, [r["uuid"] for r in rows], [h])
        for value, count in (("True", 1), ("False", 0)):
            filters = "reserved=%s;type=COMPUTE" % value
            rows = self.answer("segment host list --filters " + filters, ("segment", "host", "list", u, "--filters", filters),
                               ["GET /segments/%s/hosts?reserved=%s&type=COMPUTE" % (u, value)])
            self.check.equal("%s: hosts with %s" % (self.where, filters), len(rows), count)
        by_name = self.answer("segment host show by name", ("segment", "host", "show", self.segment, host), [
            "GET /segments", "GET /segments/%s/hosts" % u, "GET " + one])
        by_uuid = self.answer("segment host show by uuid", ("segment", "host", "show", u, h), ["GET " + one])
        self.check.equal("%s: both show the host made" % self.where, (by_name, by_uuid), (made, made))
        got = self.answer("segment host update", ("segment", "host", "update", self.segment, host, "--reserved", "False",
                                                  "--control_attributes", "IPMI"),
                          ["GET /segments", "GET /segments/%s/hosts" % u, "PUT " + one, "GET " + one])
        self.check.equal("%s: segment host update sends what was given" % self.where, self.came[2].json(),
                         {"host": {"reserved": "False", "control_attributes": "IPMI"}})
        self.check.that("%s: segment host update, answer" % self.where, got["reserved"] is False
                        and got["control_attributes"] == "IPMI" and got["updated_at"], got)
        refused = self.run("segment", "host", "update", u, NOWHERE, "--reserved", "True")
        self.check.refused("%s: segment host update of no host" % self.where, refused, "No Host found")

    def notifications(self):
        payload = json.dumps({"event": "SUSPENDED", "vir_domain_event": "SUSPENDED_PAUSED", "instance_uuid": NOWHERE})
        more = ["recovery_workflow_details"] if at_least(self.version, "1.1") else []
        columns = ["notification_uuid", "status", "type", "source_host_uuid", "generated_time", "payload"]
        time = "2026-01-02T03:%02d:00.123456" % self.laps
        made = self.answer("notification create", ("notification", "create", "VM", self.hosts[0], time, payload),
                           lambda got: ["POST /notifications", "GET /notifications/" + got["notification_uuid"]],
                           [*columns, "created_at", "updated_at", *more])
        self.check.equal("%s: notification create, body" % self.where, self.came[0].json(), {"notification": {
            "type": "VM", "hostname": self.hosts[0], "generated_time": time, "payload": json.loads(payload)}})
        self.check.that("%s: notification create, answer" % self.where, made["source_host_uuid"] == self.h
                        and made["generated_time"].startswith(time[:19]) and made["type"] == "VM", made)
        n = made["notification_uuid"]
        words = ("--os-ha-api-version", self.version, "notification", "show", n)
        self.cli.until("the notification to be ignored", words, lambda got: got["status"] == "ignored", 30)
        self.answer("notification show", ("notification", "show", n), ["GET /notifications/" + n],
                    [*columns, "created_at", "updated_at", *more])
        filters = "source_host_uuid=%s;type=VM;status=ignored" % self.h
        rows = self.answer("notification list --filters", ("notification", "list", "--filters", filters),
                           ["GET /notifications?source_host_uuid=%s&status=ignored&type=VM" % self.h], columns)
        self.check.equal("%s: notification list --filters" % self.where, [r["notification_uuid"] for r in rows], [n])
        for spelling in ("generated-since", "generated_since"):
            rows = self.answer("notification list --filters " + spelling,
                               ("notification", "list", "--filters", "%s=%s" % (spelling, "2026-01-02T03:%02d:30" % self.laps)),
                               ["GET /notifications?generated-since=2026-01-02T03:%02d:30" % self.laps])
            self.check.that("%s: %s leaves older ones out" % (self.where, spelling),
                            n not in [r["notification_uuid"] for r in rows], rows)
        self.answer("notification list", ("notification", "list"), ["GET /notifications"], columns)
        refused = self.run("notification", "vmove", "list", n)
        self.check.refused("%s: a VM notification has no moves" % self.where, refused, "400", "without vm moves")

    def moves(self):
        n = self.recovered
        columns = ["uuid", "server_id", "server_name", "source_host", "dest_host", "start_time", "end_time", "type", "status"]
        rows = self.answer("notification vmove list", ("notification", "vmove", "list", n),
                           ["GET /notifications/%s/vmoves" % n], columns)
        self.check.that("%s: every move is told, and succeeded" % self.where,
                        len(rows) == 3 and {r["status"] for r in rows} == {"succeeded"}, rows)
        v = rows[0]["uuid"]
        shown = self.answer("notification vmove show", ("notification", "vmove", "show", n, v),
                            ["GET /notifications/%s/vmoves/%s" % (n, v)], [*columns, "created_at", "updated_at", "message"])
        self.check.that("%s: list and show agree" % self.where, all(shown[c] == rows[0][c] for c in columns), (shown, rows[0]))
        paged = self.answer("notification vmove list --limit 2 --sort", (
            "notification", "vmove", "list", n, "--limit", "2", "--sort", "source_host:asc,id:asc", "--filters",
            "status=succeeded;type=evacuation"), self.pages("/notifications/%s/vmoves" % n, 2, (
                "sort_dir=asc", "sort_dir=asc", "sort_key=id", "sort_key=source_host", "status=succeeded", "type=evacuation")))
        self.check.equal("%s: all pages of moves" % self.where, sorted(r["uuid"] for r in paged),
                         sorted(r["uuid"] for r in rows))

    def pages(self, path, size, rest):
        """Q1, Q2: page after page with the last row's integer id as marker, until one is empty."""
        def wanted(_):
            markers = [r.query.get("marker") for r in self.came]
            ids = ["" if m is None else "marker=%s" % m for m in markers]
            integers = all(m.isdigit() for m in markers[1:]) and len(set(markers)) == len(markers) and len(markers) > 2
            pages = ["GET %s?%s" % (path, "&".join(sorted(filter(None, ["limit=%d" % size, marker, *rest])))) for marker in ids]
            return pages if integers and markers[0] is None else ["markers that are new integers each time"]
        return wanted

    def deletes(self):
        one = "/segments/%s/hosts/%s" % (self.u, self.h)
        self.said("segment host delete", ("segment", "host", "delete", self.segment, self.hosts[0]),
                  ["GET /segments", "GET /segments/%s/hosts" % self.u, "DELETE " + one], "Host deleted: " + self.hosts[0])
        gone = self.run("segment", "host", "delete", self.u, self.h)
        self.check.that("%s: a host deleted twice is an error" % self.where, gone.code == 1 and "404" in gone.err, gone)
        # The plug-in prints the error, goes on with the next segment, and ends with 0.
        both = self.run("segment", "delete", "no-such", self.segment)
        self.check.that("%s: segment delete goes on after an unknown one" % self.where, both.code == 0
                        and both.out.splitlines()[-1] == "Segment deleted: " + self.segment and "404" in both.out, both)
        self.wire("segment delete no-such " + self.segment, [
            "GET /segments", "DELETE /segments/no-such", "GET /segments", "DELETE /segments/" + self.u], both)
        self.check.refused("%s: segment show of a deleted one" % self.where, self.run("segment", "show", self.u), "not found")

    # --------------------------------------------------------------------------------- what one form is enough for

    def sorting(self):
        """Q1, Q2, Q4, Q5 and the raw names of 7.2."""
        names = ["sort-%d" % n for n in range(5)]
        for name in names:
            self.answer("segment create " + name, ("segment", "create", name, "auto", "SORT"),
                        lambda got: ["POST /segments", "GET /segments/" + got["uuid"]])
        self.answer("segment update sort-0", ("segment", "update", "sort-0", "--is_enabled", "False"),
                    lambda got: ["GET /segments", "PUT /segments/" + got["uuid"], "GET /segments/" + got["uuid"]])
        sort = ("sort_dir=asc", "sort_dir=desc", "sort_key=id", "sort_key=name", "service_type=SORT")
        for size in (1, 2, 5):
            rows = self.answer("segment list --limit %d" % size, ("segment", "list", "--limit", str(size), "--sort", "name:asc,id",
                                                                  "--filters", "service_type=SORT"),
                               self.pages("/segments", size, sort) if size < 5 else lambda _: [
                                   asked(self.form.base, r) for r in self.came])
            self.check.equal("--limit %d: every segment once, in order" % size, [r["name"] for r in rows], names)
            self.check.equal("--limit %d: it ends at an empty page" % size, len(self.came), -(-5 // size) + 1)
        for key in ("is_enabled", "enabled"):
            rows = self.answer("segment list --filters %s=False" % key, (
                "segment", "list", "--filters", "service_type=SORT;%s=False" % key),
                ["GET /segments?enabled=False&service_type=SORT"])
            self.check.equal("segment list --filters %s=False" % key, [r["name"] for r in rows], ["sort-0"])
        result = self.run("segment", "show", "no-such")
        self.check.refused("segment show by an unknown name", result, "Segment is not found")
        self.wire("segment show no-such", ["GET /segments", "GET /segments/no-such"], result)
        result = self.run("segment", "host", "show", "sort-1", "no-such")
        self.check.refused("segment host show by an unknown name", result, "host is not found")
        result = self.run("segment", "list", "--sort", "bogus:asc")
        self.check.refused("an unknown sort key", result, "400", "Sort key supplied was not valid")
        result = self.run("segment", "list", "--marker", "999999")
        self.check.refused("an unknown marker", result, "400", "Marker 999999 could not be found")
        self.said("segment delete of five", ("segment", "delete", *names), [
            word for u in self.uuids(names) for word in ("GET /segments", "DELETE /segments/" + u)],
            "\n".join("Segment deleted: " + name for name in names))

    def uuids(self, names):
        rows = self.cli.json("--os-ha-api-version", self.version, "segment", "list")
        return [next(r["uuid"] for r in rows if r["name"] == name) for name in names]

    def too_new(self):
        """A version the API does not have never gets there: the client looks at the discovery document."""
        form = self.form
        self.use(form, "1.4")
        result = self.run("segment", "list")
        self.check.that("--os-ha-api-version 1.4 is refused by the client", result.code != 0 and self.came == [],
                        (result.code, result.out, result.err, self.came))
