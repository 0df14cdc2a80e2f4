"""Databases that upstream's own migrations made are taken over by `tachi db sync`: nothing is lost, the unmodified CLI reads
them through `tachi api`, and upstream's own objects can still read and write them.

Every revision, and the two from before alembic, on SQLite, MariaDB and PostgreSQL; with --sample a commit's id, each of them on
SQLite and on one of the two servers, by turns from commit to commit.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
UPSTREAM = os.path.join(os.path.dirname(HERE), "upstream")
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "client"), UPSTREAM]

from checks import Checks  # noqa: E402
from cli import Cli  # noqa: E402
from region import Region  # noqa: E402
import rows  # noqa: E402

HEAD = "13adff5efb9a"
STATES = {"legacy-7": "8f848eb45d03", "legacy-8": "8bdf5929c5a6", "8f848eb45d03": "8f848eb45d03",
          "8bdf5929c5a6": "8bdf5929c5a6", HEAD: HEAD}
# What upstream left NULL, and what it means.
FILLED = {("failover_segments", "enabled"): True, ("hosts", "reserved"): False, ("hosts", "on_maintenance"): False}


class Database:
    """One database to take over."""

    def __init__(self, kind, state, url, work):
        self.kind, self.state, self.url = kind, state, url
        self.name = "%s on %s" % (state, kind)
        self.conf = os.path.join(work, "%s-%s.conf" % (kind, state))
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write("[DEFAULT]\nstate_path = %s\n[database]\nconnection = %s\n" % (work, url))


def databases(work, states, sample):
    """On every server there is; a server that is not there is a mistake of whoever started this."""
    turn = None if sample == "everything" else int(sample[:1], 16) % 2
    for kind, variable, scheme in (("sqlite", None, None), ("mariadb", "TACHI_TEST_MYSQL_URL", "mysql+pymysql"),
                                   ("postgresql", "TACHI_TEST_POSTGRES_URL", "postgresql+psycopg2")):
        for place, state in enumerate(states):
            if turn is not None and kind != "sqlite" and (place % 2 == turn) != (kind == "mariadb"):
                continue
            word = "adopt_" + state.replace("-", "_")
            if variable is None:
                url = "sqlite:///" + os.path.join(work, word + ".sqlite")
            else:
                authority = re.match(r"[a-z]+://([^/]*)/", os.environ[variable]).group(1)
                url = "%s://%s/%s" % (scheme, authority, word)
            yield Database(kind, state, url, work)


class Tools:
    def __init__(self, tachi, python):
        self.tachi_binary, self.python = tachi, python

    def upstream(self, script, database, *words):
        """A script that runs upstream's code: what it prints, as JSON."""
        done = subprocess.run(
            [self.python, os.path.join(UPSTREAM, script), "--connection", database.url, *words], stdin=subprocess.DEVNULL,
            env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"), capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise SystemExit("%s %s for %s:\n%s%s" % (script, words, database.name, done.stdout, done.stderr))
        return json.loads(done.stdout)

    def tachi(self, database, *words):
        """All that a command prints, and its exit code."""
        done = subprocess.run([self.tachi_binary, *words, "--config-file", database.conf], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        return done.returncode, done.stdout


def take_over(tools, database):
    """Makes it, takes it over, and looks before and after."""
    tools.upstream("make.py", database, "--create", "--revision", database.state, "--fill")
    before = tools.upstream("look.py", database)
    version = tools.tachi(database, "db", "version")
    check = tools.tachi(database, "doctor", "--upgrade", "-f", "json")
    sync = tools.tachi(database, "db", "sync")
    after = tools.upstream("look.py", database, "--objects")
    return database, before, version, check, sync, after


def wanted(table, row, hosts):
    """A row after it was taken over: as it was, but for what was NULL."""
    row = dict(row)
    for (filled, column), value in FILLED.items():
        if filled == table and row[column] is None:
            row[column] = value
    if table == "notifications":
        row.setdefault("message", None)
        # Ours; what Masakari has written has none.
        row.setdefault("repeat_key", None)
        row.setdefault("reporter", None)
        row.setdefault("reported_boot", None)
        row.setdefault("running_again", None)
        if row.get("failover_segment_uuid") is None:
            row["failover_segment_uuid"] = hosts.get(row["source_host_uuid"])
    return row


def compare(checks, database, before, after):
    hosts = {row["uuid"]: row["failover_segment_id"] for row in before["rows"]["hosts"]}
    for table, old in before["rows"].items():
        new = after["rows"][table]
        expected = [wanted(table, row, hosts) for row in old]
        checks.that("%s: all %d rows of %s are as they were" % (database.name, len(old), table), new == expected,
                    [pair for pair in zip(new, expected) if pair[0] != pair[1]][:2])
    live = {table: sum(1 for row in found if row["deleted"] == 0) for table, found in after["rows"].items()}
    read = {table: len(found) for table, found in after["objects"].items()}
    checks.equal(database.name + ": upstream's objects read every row", read, live)
    checks.equal(database.name + ": Masakari's own migrations have nothing left to do", after["revision"], HEAD)


def checked(checks, database, before, check):
    """What the upgrade check tells of a database that is still Masakari's."""
    code, said = check
    found = {one["check"]: one for one in json.loads(said.strip().splitlines()[-1])["checks"]} if code == 2 else {}
    live = [row for row in before["rows"]["notifications"] if row["deleted"] == 0 and row["status"] in ("new", "running", "error")]
    count = {status: sum(1 for row in live if row["status"] == status) for status in ("error", "new", "running")}
    wanted = ", ".join("%d notifications are %s" % (number, status) for status, number in count.items() if number)
    checks.equal(database.name + ": the upgrade check tells what is open", found.get("Open Work", {}).get("details"), wanted or None)
    reserved = [row["name"] for row in before["rows"]["hosts"] if row["deleted"] == 0 and row["reserved"]]
    details = found.get("Reserved Hosts", {}).get("details") or ""
    checks.that(database.name + ": and which hosts are reserved",
                details.startswith("%d: " % len(reserved)) if reserved else not details, (details, reserved))


def announced(checks, database, before, version, sync):
    origin = STATES[database.state]
    checks.that(database.name + ": db version tells both versions and what is pending",
                version[0] == 0 and version[1].startswith("no version yet: run `tachi db sync`\nmasakari %s\npending m" % origin), version)
    count = {table: len(before["rows"].get(table, ())) for table in ("failover_segments", "hosts", "notifications", "vmoves")}
    told = "took over a Masakari database at %s: %d segments, %d hosts, %d notifications, %d vmoves" % (
        origin, *count.values())
    checks.that(database.name + ": db sync tells what it took over", sync[0] == 0 and told in sync[1], sync)


def listed(region, token, path, key):
    request = urllib.request.Request(region.api + "/v1" + path, headers={
        "X-Auth-Token": token, "OpenStack-API-Version": "instance-ha 1.3"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)[key]


def through_the_api(checks, region, token, database, after):
    """`tachi api` shows each row that is not deleted."""
    segments = listed(region, token, "/segments", "segments")
    hosts = [host for segment in segments for host in listed(region, token, "/segments/%s/hosts" % segment["uuid"], "hosts")]
    notifications = listed(region, token, "/notifications", "notifications")
    vmoves = [move for one in notifications if one["type"] == "COMPUTE_HOST"
              for move in listed(region, token, "/notifications/%s/vmoves" % one["notification_uuid"], "vmoves")]
    for table, key, found in (("failover_segments", "uuid", segments), ("hosts", "uuid", hosts),
                              ("notifications", "notification_uuid", notifications), ("vmoves", "uuid", vmoves)):
        there = {row[key] for row in after["rows"][table] if row["deleted"] == 0}
        checks.equal("%s: the API lists every row of %s" % (database.name, table), {one[key] for one in found}, there)


def through_the_cli(checks, cli, database, after):
    """The unmodified CLI, on every database."""
    segments = cli.json("segment", "list")
    checks.equal(database.name + ": openstack segment list", sorted(one["name"] for one in segments),
                 sorted(row["name"] for row in after["rows"]["failover_segments"] if row["deleted"] == 0))
    hosts = cli.json("segment", "host", "list", rows.ident("segment", "rack 1"))
    checks.that(database.name + ": openstack segment host list", {"cmp-new", "cmp-plain"} <= {one["name"] for one in hosts},
                hosts)
    notifications = cli.json("notification", "list")
    checks.equal(database.name + ": openstack notification list", len(notifications), len(rows.TALES))


# What becomes of what upstream left open once an engine starts; the others get a recovery.
ENDS = {"host-expired": "failed", "host-expired-new": "failed", "host-of-deleted": "failed", "vm-running": "failed",
        "process-running": "failed", "host-twice-older": "ignored", "finished": "finished", "ignored": "ignored"}
RECOVERED = ("host-new", "host-running", "host-error", "host-twice-newer", "host-started", "vm-new", "vm-error",
             "process-new")


def taken_up(checks, region, token, tools, database):
    """`tachi serve` has started its engine on it."""
    found = {one["notification_uuid"]: one for one in listed(region, token, "/notifications", "notifications")}
    for label, status in ENDS.items():
        one = found[rows.ident("notification", label)]
        checks.equal("%s: %s is %s" % (database.name, label, status), one["status"], status)
    code, said = tools.tachi(database, "recovery", "list", "--all", "-f", "json")
    recoveries = [one["notification"] for one in json.loads(said)] if code == 0 else said
    checks.equal(database.name + ": each of the others has one recovery", sorted(recoveries),
                 sorted(rows.ident("notification", label) for label in RECOVERED))


def rolled_back(checks, tools, database):
    """The old service goes on with it, and ours takes it over again."""
    found = tools.upstream("look.py", database, "--objects", "--write")
    checks.that(database.name + ": the old service writes and reads again",
                any(row["name"] == "by the old service" for row in found["rows"]["failover_segments"]), found["objects"])
    code, said = tools.tachi(database, "db", "sync")
    checks.that(database.name + ": and ours has nothing to do when it comes back", code == 0 and "nothing to do" in said, said)


def purged(checks, tools, database):
    """Old things go, with what belongs to them; a second time there is nothing."""
    dry = tools.tachi(database, "db", "purge", "--age_in_days", "100", "--dry-run")
    real = tools.tachi(database, "db", "purge", "--age_in_days", "100")
    checks.that(database.name + ": purge removes what its dry run counted",
                real[0] == 0 and counted(dry[1]) == counted(real[1]) and "notifications" in counted(real[1]), (dry, real))
    for table, count in (("notifications", 3), ("hosts", 1), ("failover_segments", 1)):
        checks.that("%s: purge removed %d of %s" % (database.name, count, table),
                    re.search(r"\| %s +\| +%d \|" % (table, count), real[1]), real[1])
    again = tools.tachi(database, "db", "purge", "--age_in_days", "100")
    checks.that(database.name + ": purged once", re.search(r"\| all +\| +0 \|", again[1]), again[1])


def counted(table):
    """Rows by table, as `tachi db purge` prints them."""
    return dict(re.findall(r"^\| (\w+) +\| +(\d+) \|$", table, re.MULTILINE))


def serve(region, database, service):
    region.service = service
    region.service_log = os.path.join(region.work, "%s-%s.log" % (service, os.path.basename(database.conf)))
    with open(region.override, "w", encoding="utf-8") as f:
        f.write("[DEFAULT]\nmasakari_api_listen_port = %d\n[database]\nconnection = %s\n" % (region.port, database.url))
    region.start_service()


def token_of(region):
    auth = region.auth
    domain = {"name": auth.get("user_domain_name", "Default")}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": auth["username"], "domain": domain, "password": auth["password"]}}},
        "scope": {"project": {"name": auth["project_name"], "domain": domain}}}}
    request = urllib.request.Request(auth["auth_url"].rstrip("/") + "/auth/tokens", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers["X-Subject-Token"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--openstack", required=True, help="the unmodified client")
    parser.add_argument("--upstream", required=True, help="the Python of tests/upstream/venv.sh")
    parser.add_argument("--states", default=",".join(STATES), help="only these, with commas between")
    parser.add_argument("--sample", default="everything", help="a commit's id: what it draws; everything: all of it")
    options = parser.parse_args()
    checks, tools = Checks(), Tools(os.path.abspath(options.tachi), options.upstream)
    with tempfile.TemporaryDirectory(prefix="tachi-adoption-") as work:
        every = list(databases(work, options.states.split(","), options.sample))
        print("databases: " + ", ".join(one.name for one in every))
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda one: take_over(tools, one), every))
        for database, before, version, check, sync, after in results:
            checked(checks, database, before, check)
            announced(checks, database, before, version, sync)
            compare(checks, database, before, after)
        region = Region(tools.tachi_binary, service="api")
        try:
            token = token_of(region)
            cli = Cli(options.openstack, region.clouds_yaml, region.cloud)
            region.stop_service()
            for database, *_, after in results:
                serve(region, database, "api")
                through_the_api(checks, region, token, database, after)
                if database.state == "8f848eb45d03":
                    through_the_cli(checks, cli, database, after)
                region.stop_service()
            for database, *_ in results:
                if database.state == "legacy-8":
                    serve(region, database, "serve")
                    taken_up(checks, region, token, tools, database)
                    region.stop_service()
                elif database.state == HEAD:
                    rolled_back(checks, tools, database)
                    purged(checks, tools, database)
        finally:
            region.stop()
            region.remove()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
