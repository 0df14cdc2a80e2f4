"""The packed charms, run by their dispatch on a booted Debian, against a real MariaDB and RabbitMQ."""

import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import time
import traceback
import uuid

import agent

from region import Region, active, broker, command_of, database, http_call, keystone_logins, process, run, sql, wait

CHARMS = pathlib.Path("/test/charms")
SERVICES = ("haproxy", "masakari-api", "masakari-engine")
API = "http://10.0.0.11:15868"
BOUND_HOST = "compute-001"
READY = ["active", "Unit is ready"]
LOOSE = [
    "active",
    "Unit is ready; accepts reports like Masakari; to tighten, set reporter-binding=enforce normal-without-evidence=refuse",
]
COMMANDS = ("start", "pre_start", "post_start", "restart", "pre_restart", "post_restart")
PROCESSES = "- process_name: /sbin/init\n  run_as_root: false\n" + "".join(f"  {name}_command: 'true'\n" for name in COMMANDS)
counts = {"passed": 0, "failed": 0}


def check(name: str, condition: object, told: object = "") -> None:
    counts["passed" if condition else "failed"] += 1
    print(f"{'ok     ' if condition else 'FAILED '} {name}" + ("" if condition else f": {told}"), flush=True)


def masakari(name: str) -> agent.Agent:
    unit = agent.Agent(pathlib.Path(f"/test/{name}"), "masakari/0", "10.0.0.11")
    unit.model["networks"] |= {"public": "10.0.0.11", "internal": "10.1.0.11", "admin": "10.2.0.11"}
    # The overlay of the Charmed OpenStack guide.
    unit.options = {"openstack-origin": "distro", "vip": "10.0.0.200 10.1.0.200 10.2.0.200"}
    return unit


def provide(unit: agent.Agent, region: Region) -> None:
    """The three providers answer what the charm has asked."""
    found = unit.relation("shared-db")
    database(found["local"], "db$pw/1")
    found["units"]["mysql-router/0"] = {"db_host": "127.0.0.1", "password": "db$pw/1", "allowed_units": "masakari/0"}
    unit.fire("shared-db-relation-changed", found, "mysql-router/0")
    found = unit.relation("amqp")
    broker(found["local"], "mq/pw%1")
    found["units"]["rabbitmq-server/0"] = {"password": "mq/pw%1", "private-address": "127.0.0.1"}
    unit.fire("amqp-relation-changed", found, "rabbitmq-server/0")
    found = unit.relation("identity-service")
    found["units"]["keystone/0"] = region.identity()
    unit.fire("identity-service-relation-changed", found, "keystone/0")


def fresh(region: Region) -> agent.Agent:
    unit = masakari("fresh")
    unit.deploy(CHARMS / "masakari_amd64.charm")
    for hook in ("install", "leader-elected", "config-changed", "start"):
        unit.fire(hook)
    check(
        "a unit without relations says which are missing",
        unit.status == ["blocked", "'shared-db' missing, 'amqp' missing, 'identity-service' missing"],
        unit.status,
    )
    check("and runs neither API nor engine", not active("masakari-api") and not active("masakari-engine"))
    for endpoint, app in (("shared-db", "mysql-router"), ("amqp", "rabbitmq-server"), ("identity-service", "keystone")):
        found = unit.relate(endpoint, app, {f"{app}/0": {}})
        unit.fire(f"{endpoint}-relation-created", found)
        unit.fire(f"{endpoint}-relation-joined", found, f"{app}/0")
    asked = unit.relation("shared-db")["local"]
    check("it asks for a database at its own address", (asked["database"], asked["hostname"]) == ("masakari", "10.0.0.11"), asked)
    provide(unit, region)
    check("with its relations it is ready", unit.status == READY, unit.status)
    check("its services run under systemd", all(active(service) for service in SERVICES), SERVICES)
    check(
        "they are those of the deb",
        "masakari-engine" in command_of("masakari-engine") or "tachi" in command_of("masakari-engine"),
    )
    check("the database has its tables", "failover_segments" in sql("SHOW TABLES"))
    check("the leader says that it has synced", unit.model["leader_settings"] == {"db-sync-done": "True"})
    check("the port is open in Juju", unit.model["ports"] == ["15868/tcp"], unit.model["ports"])
    mode = os.stat("/etc/masakari/masakari.conf")
    check("others may not read the configuration", mode.st_mode & 0o777 == 0o640 and mode.st_gid != 0, oct(mode.st_mode))
    return unit


def serves(unit: agent.Agent, region: Region) -> None:
    # haproxy asks the API every two seconds.
    status, told, _ = wait("haproxy", lambda: http_call("GET", f"{API}/"))
    check("haproxy passes to the API", status in (200, 300) and "versions" in told, (status, told))
    check("who has no token is refused", http_call("GET", f"{API}/v1/segments")[0] == 401)
    token = region.token("admin", "admin")
    body = {"segment": {"name": "one", "service_type": "COMPUTE", "recovery_method": "auto"}}
    status, told, _ = http_call("POST", f"{API}/v1/segments", body, token)
    check("a segment can be made", status == 201, (status, told))
    segment = told["segment"]["uuid"]
    hosts = http_call("GET", "http://10.0.0.3:5000/compute/v2.1/os-services?binary=nova-compute", token=token)[1]["services"]
    for host in hosts:
        body = {"host": {"name": host["host"], "type": "COMPUTE", "control_attributes": "SSH"}}
        status, told, _ = http_call("POST", f"{API}/v1/segments/{segment}/hosts", body, token)
        check(f"{host['host']} can be added", status == 201, (status, told))
    limited = region.token("masakari-monitor", "service")
    check("the role of the monitors sees nothing", http_call("GET", f"{API}/v1/segments", token=limited)[0] == 403)
    body = {"notification": {"type": "COMPUTE_HOST", "hostname": "nobody", "generated_time": "2026-01-01T00:00:00.000000",
                             "payload": {"event": "STARTED", "host_status": "NORMAL", "cluster_status": "ONLINE"}}}  # fmt: skip
    status, told, _ = http_call("POST", f"{API}/v1/notifications", body, limited)
    check("on a new deployment nor may it report while it is bound to no host", status == 403, (status, told))
    unit.options["reporter-binding"] = "warn"
    unit.fire("config-changed")
    wait("the API", lambda: http_call("GET", f"{API}/")[0] in (200, 300))
    status, told, _ = http_call("POST", f"{API}/v1/notifications", body, limited)
    check("with reporter-binding=warn it may", status == 400 and "nobody" in json.dumps(told), (status, told))
    unit.options.pop("reporter-binding")
    unit.fire("config-changed")
    wait("the API", lambda: http_call("GET", f"{API}/")[0] in (200, 300))


def issues(unit: agent.Agent, region: Region) -> None:
    """A credential for one host, as the API knows it: bound to that host, and good for nothing else."""
    one = {"masakari-monitors/0": {"host": BOUND_HOST}}
    found = unit.relate("monitor-credentials", "masakari-monitors", one)
    unit.fire("monitor-credentials-relation-changed", found, "masakari-monitors/0")
    found = unit.relation("monitor-credentials")
    told = json.loads(found.get("local_app", {}).get("masakari-monitors/0", "null"))
    check("a unit of the monitors gets a credential", told and told["host"] == BOUND_HOST, (unit.status, found))
    secret = unit.model["secrets"][told["secret"]]
    check("as a secret for it alone", found["granted"] == {told["secret"]: "masakari-monitors/0"}, found["granted"])
    logged = secret["credential-secret"] in json.dumps(unit.model["log"])
    check("nothing of it stays in Juju's log or on the disk", not logged and not pathlib.Path("/run/tachi-charm/monitors").exists())
    token = region.token_of(secret["credential-id"], secret["credential-secret"])
    payload = {"event": "LIFECYCLE", "instance_uuid": str(uuid.uuid4()), "vir_domain_event": "STOPPED_FAILED"}
    told = {"type": "VM", "hostname": BOUND_HOST, "generated_time": "2026-01-01T00:00:00.000000", "payload": payload}
    status, said, _ = http_call("POST", f"{API}/v1/notifications", {"notification": told}, token)
    check("with reporter-binding=enforce it may report for its host", status == 202, (status, said))
    told["hostname"] = "compute-002"
    status, said, _ = http_call("POST", f"{API}/v1/notifications", {"notification": told}, token)
    check("and not for another", status == 403, (status, said))
    check("nor see anything", http_call("GET", f"{API}/v1/segments", token=token)[0] == 403)
    one["masakari-monitors/0"]["host"] = "compute-002"
    found["units"] = one
    unit.fire("monitor-credentials-relation-changed", found, "masakari-monitors/0")
    found = unit.relation("monitor-credentials")
    kept = json.loads(found["local_app"]["masakari-monitors/0"])
    check("a unit that says another host gets nothing new", kept["host"] == BOUND_HOST, kept)
    check("and is named", unit.status[1].endswith("masakari-monitors/0 is on compute-001, but claims compute-002"), unit.status)
    found["units"]["masakari-monitors/0"]["host"] = BOUND_HOST
    unit.fire("update-status")
    check("until it no longer does", unit.status == READY, unit.status)
    pathlib.Path("/test/issued.json").write_text(json.dumps(secret))


def changes(unit: agent.Agent) -> None:
    before = [process(service) for service in SERVICES]
    for hook in ("update-status", "config-changed", "leader-elected"):
        unit.fire(hook)
    check("hooks that bring nothing new restart nothing", before == [process(service) for service in SERVICES])
    found = unit.relation("amqp")
    broker(found["local"], "rotated%")
    found["units"]["rabbitmq-server/0"]["password"] = "rotated%"  # noqa: S105
    unit.fire("amqp-relation-changed", found, "rabbitmq-server/0")
    check("a new password restarts the engine", before[2] != process("masakari-engine") and unit.status == READY, unit.status)
    wait("the bus with the new password", keystone_logins)
    check("which is let in with it", True)
    restarts = run("systemctl", "show", "-p", "NRestarts", "--value", "masakari-engine").strip()
    check("and has not fallen over", restarts == "0", restarts)
    check("no secret is in Juju's log", not re.search("rotated%|db.pw/1|mq/pw", json.dumps(unit.model["log"])))


def pauses(unit: agent.Agent) -> None:
    told = unit.act("pause")
    check("pause stops everything", told["failed"] is None and not any(active(service) for service in SERVICES), told)
    check("and says so", unit.status == ["maintenance", "Paused. Use 'resume' action to resume normal service."], unit.status)
    unit.options["debug"] = True
    unit.fire("config-changed")
    check("a paused unit stays paused", not any(active(service) for service in SERVICES))
    with sqlite3.connect(unit.charm_dir / ".unit-state.db") as connection:
        row = connection.execute("SELECT data FROM kv WHERE key = 'unit-paused'").fetchone()
    check("where the reactive charm looks too", row == ("true",), row)
    told = unit.act("resume")
    check("resume starts everything", told["failed"] is None and all(active(service) for service in SERVICES), told)
    check(
        "and it serves",
        wait("the API", lambda: http_call("GET", f"{API}/")[0] in (200, 300)) and unit.status == READY,
        unit.status,
    )
    unit.options.pop("debug")
    unit.fire("config-changed")


def certificates(unit: agent.Agent) -> None:
    found = unit.relate("certificates", "vault", {"vault/0": {}})
    unit.fire("certificates-relation-joined", found, "vault/0")
    asked = found = unit.relation("certificates")
    asked = found["local"]
    folder = pathlib.Path("/test/ca")
    folder.mkdir()
    os.chdir(folder)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("openssl", "req", "-x509", *new, "-days", "2", "-subj", "/CN=test root", "-keyout", "ca.key", "-out", "ca.pem",
        "-addext", "basicConstraints=critical,CA:TRUE")  # fmt: skip
    run("openssl", "req", *new, "-subj", f"/CN={asked['common_name']}", "-keyout", "unit.key", "-out", "unit.csr")
    names = ",".join(f"IP:{name}" if re.fullmatch(r"[\d.]+", name) else f"DNS:{name}" for name in json.loads(asked["sans"]))
    pathlib.Path("ext").write_text(f"subjectAltName={names}\n")
    run("openssl", "x509", "-req", "-in", "unit.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "ext", "-out", "unit.pem")  # fmt: skip
    found["units"]["vault/0"] = {
        "ca": pathlib.Path("ca.pem").read_text(), "masakari_0.server.cert": pathlib.Path("unit.pem").read_text(),
        "masakari_0.server.key": pathlib.Path("unit.key").read_text(),
    }  # fmt: skip
    unit.fire("certificates-relation-changed", found, "vault/0")
    check("with certificates it is ready", unit.status == READY, unit.status)
    status = wait("TLS", lambda: http_call("GET", "https://10.0.0.11:15868/", authority=str(folder / "ca.pem"))[0])
    check("the API speaks TLS, and its certificate is good for its address", status in (200, 300), status)
    check("the catalog gets the endpoint", unit.relation("identity-service")["local"]["public_url"].startswith("https://10.0.0.11:15868/"))
    bundle = pathlib.Path("/etc/ssl/certs/ca-certificates.crt").read_text()
    check("the machine trusts the authority", pathlib.Path("ca.pem").read_text().strip() in bundle)
    before = process("masakari-api")
    run("openssl", "x509", "-req", "-in", "unit.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3",
        "-extfile", "ext", "-out", "unit.pem")  # fmt: skip
    found = unit.relation("certificates")
    found["units"]["vault/0"]["masakari_0.server.cert"] = pathlib.Path("unit.pem").read_text()
    unit.fire("certificates-relation-changed", found, "vault/0")
    serial = run("openssl", "x509", "-in", "unit.pem", "-noout", "-serial")

    def served() -> bool:
        shown = run("sh", "-c", "openssl s_client -connect 10.0.0.11:15868 </dev/null 2>/dev/null | openssl x509 -noout -serial")
        return shown == serial

    wait("the renewed certificate", served)
    check("a renewed certificate is served without a restart", before == process("masakari-api"))
    unit.model["relations"].remove(unit.relation("certificates"))
    unit.fire("config-changed")
    check(
        "without certificates it goes back",
        wait("no TLS", lambda: http_call("GET", f"{API}/")[0]) and unit.status == READY,
        unit.status,
    )


def fences(unit: agent.Agent, region: Region) -> None:
    told = unit.act("fence-check")
    check("without devices the check says so", told["failed"], told)
    unit.model["secrets"] = {"secret:maas": {"apikey": region.maas_key}}
    unit.options |= {"maas-url": "http://127.0.0.1:15000/MAAS", "maas-credentials": "secret:maas"}
    unit.fire("config-changed")
    check("MAAS is taken from the secret", unit.status[0] == "active", unit.status)
    told = unit.act("fence-check")
    asked = [one["host"] for one in json.loads(told["report"])["devices"]]
    check("and every host can be fenced by it", told["failed"] is None and told["unfenced"] == "" and len(asked) == 3, told)
    told = unit.act("preflight")
    check("preflight has nothing against it", told["failed"] is None and told["outcome"] == "good", told)
    unit.model["secrets"] = {"secret:maas": {"apikey": "wrong:wrong:wrong"}}
    unit.fire("config-changed")
    told = unit.act("fence-check")
    check(
        "a wrong key leaves hosts that nothing can fence",
        told["failed"] and told["unfenced"],
        told,
    )
    unit.fire("update-status")
    check("and the status names them", unit.status[1].startswith("Unit is ready; nothing can fence "), unit.status)
    secret_files = run("find", "/etc/masakari/fencing", "-type", "f", "-perm", "/0337").split()
    check("only the engine's group can read the key", secret_files == [], secret_files)
    unit.options.pop("maas-url")
    unit.options.pop("maas-credentials")
    unit.act("fence-check")
    unit.fire("config-changed")
    check("taken away, no key is left", not list(pathlib.Path("/etc/masakari/fencing").iterdir()))


def clusters(unit: agent.Agent) -> None:
    found = unit.relate("ha", "hacluster", {"hacluster/0": {}})
    unit.fire("ha-relation-joined", found, "hacluster/0")
    found = unit.relation("ha")
    resources = json.loads(found["local"]["json_resources"])
    check("the cluster gets three VIPs and haproxy", len(resources) == 4 and "res_masakari_haproxy" in resources, resources)
    found["units"]["hacluster/0"] = {"clustered": "yes"}
    unit.fire("ha-relation-changed", found, "hacluster/0")
    urls = unit.relation("identity-service")["local"]
    shown = [urls[f"{kind}_url"].split("/")[2] for kind in ("public", "internal", "admin")]
    check("the catalog has the VIPs", shown == ["10.0.0.200:15868", "10.1.0.200:15868", "10.2.0.200:15868"], shown)
    unit.model["relations"].remove(found)


PLAIN = "/test/masakari-plain.conf"
SEGMENT = "5d8a5f8e-3b1c-4a53-9a52-0f6f2f0f0001"


def of_masakari() -> None:
    """A database as Masakari makes it, with a segment of three hosts."""
    # Debian's taskflow lacks its migrations, without which Masakari's last one fails; in memory it needs none.
    conf = pathlib.Path("/etc/masakari/masakari.conf").read_text()
    pathlib.Path(PLAIN).write_text(re.sub(r"(\[taskflow\]\nconnection = ).*", r"\1memory", conf))
    sql("DROP DATABASE masakari; CREATE DATABASE masakari")
    run("masakari-manage", "--config-file", PLAIN, "db", "sync")
    sql(
        "INSERT INTO failover_segments (created_at, uuid, name, service_type, recovery_method, deleted) "
        f"VALUES (NOW(), '{SEGMENT}', 'old', 'COMPUTE', 'auto', 0)"
    )
    for number in range(3):
        sql(
            "INSERT INTO hosts (created_at, uuid, name, reserved, type, control_attributes, on_maintenance, failover_segment_id, deleted) "
            f"VALUES (NOW(), '5d8a5f8e-3b1c-4a53-9a52-0f6f2f0f001{number}', 'old-{number}', 0, 'COMPUTE', 'SSH', 0, '{SEGMENT}', 0)"
        )


def recorded(region: Region) -> None:
    """A unit of the reactive charm, with Debian's Masakari running on the same database, is taken over and given back."""
    run(
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
        "tachi-",
        "masakari-engine",
        "masakari-api",
        "python3-sqlalchemy-utils",
    )
    run("systemctl", "stop", "masakari-api", check=False)
    pathlib.Path("/etc/apache2/sites-enabled").mkdir(parents=True, exist_ok=True)
    pathlib.Path("/etc/apache2/sites-enabled/masakari-api.conf").write_text("Listen 15858\n")
    unit = masakari("recorded")
    unit.charm_dir.mkdir()
    with sqlite3.connect(unit.charm_dir / ".unit-state.db") as connection:
        connection.executescript(pathlib.Path("/test/reactive-state.sql").read_text())
    for endpoint, app in (("shared-db", "mysql-router"), ("amqp", "rabbitmq-server"), ("identity-service", "keystone")):
        unit.relate(endpoint, app, {f"{app}/0": {}})
    unit.relation("shared-db")["units"]["mysql-router/0"] = {
        "db_host": "127.0.0.1",
        "password": "db$pw/1",
        "allowed_units": "masakari/0",
    }
    unit.relation("amqp")["units"]["rabbitmq-server/0"] = {"password": "rotated%", "private-address": "127.0.0.1"}
    unit.relation("identity-service")["units"]["keystone/0"] = region.identity()
    peers = unit.relate("cluster", "masakari", {"masakari/1": {"private-address": "10.0.0.12"}})
    of_masakari()
    broker({"username": "masakari", "vhost": "masakari"}, "rotated%")
    run("systemctl", "unmask", "masakari-engine")
    run("systemctl", "restart", "masakari-engine")
    wait("Masakari's engine", lambda: "python" in command_of("masakari-engine"))
    check("Masakari's own engine works on the database", active("masakari-engine"))

    unit.deploy(CHARMS / "masakari_amd64.charm")
    unit.fire("upgrade-charm")
    unit.fire("config-changed")
    check(
        "while a peer has Masakari's engine, ours waits",
        unit.status == ["waiting", "The engine waits until Tachi is on masakari/1"] and not active("masakari-engine"), unit.status,
    )  # fmt: skip
    check("the API serves meanwhile", wait("the API", lambda: http_call("GET", f"{API}/")[0]) in (200, 300))
    check("no package of Masakari is left, and none purged", "masakari-engine" not in run("sh", "-c", "dpkg -l | grep ^ii"))
    check("its configuration files are", pathlib.Path("/etc/masakari/policy.d").is_dir())
    check("the vhost is gone", not pathlib.Path("/etc/apache2/sites-enabled/masakari-api.conf").exists())
    check("the statistics password stays", "JkQ2recordedPassword" in pathlib.Path("/etc/haproxy/haproxy.cfg").read_text())
    peers = unit.relation("cluster")
    check("the peers get the engine", peers["local"]["engine"] == "tachi", peers["local"])
    peers["units"]["masakari/1"]["engine"] = "tachi"
    unit.fire("cluster-relation-changed", peers, "masakari/1")
    check("when every unit has Tachi, the engine starts", unit.status == LOOSE and active("masakari-engine"), unit.status)
    token = region.token("admin", "admin")
    status, told, _ = http_call("GET", f"{API}/v1/segments/{SEGMENT}/hosts", token=token)
    check("nothing of the database is lost", status == 200 and len(told["hosts"]) == 3, (status, told))

    told = unit.act("restore-upstream-packages", i_really_mean_it=True)
    check("Masakari's packages come back", told["failed"] is None, told)
    check(
        "its engine waits for the peers",
        not active("masakari-engine") and unit.status[1].endswith("waits for masakari/1"),
        unit.status,
    )
    peers = unit.relation("cluster")
    peers["units"]["masakari/1"]["engine"] = "masakari"
    unit.fire("cluster-relation-changed", peers, "masakari/1")
    wait("Masakari's engine again", lambda: "python" in command_of("masakari-engine"))
    time.sleep(3)
    restarts = run("systemctl", "show", "-p", "NRestarts", "--value", "masakari-engine").strip()
    check("and continues with the database", active("masakari-engine") and restarts == "0", restarts)
    check(
        "the status says what is next",
        unit.status == ["blocked", "Masakari's packages are restored: refresh to the upstream charm"],
        unit.status,
    )
    check("the rows are there", sql("SELECT COUNT(*) FROM hosts WHERE deleted = 0").strip() == "3")
    done = subprocess.run(["masakari-manage", "--config-file", PLAIN, "db", "sync"], capture_output=True, check=False)
    check("Masakari's own db sync finds nothing to do", done.returncode == 0, done.stdout[-500:])
    with sqlite3.connect(unit.charm_dir / ".unit-state.db") as connection:
        flags = connection.execute("SELECT COUNT(*) FROM kv WHERE key LIKE 'reactive.states.%'").fetchone()[0]
    check("the reactive charm finds its flags", flags >= 11, flags)

    peers = unit.relation("cluster")
    peers["units"]["masakari/1"]["engine"] = "tachi"
    unit.deploy(CHARMS / "masakari_amd64.charm")
    unit.fire("upgrade-charm")
    check("and forward once more", unit.status == LOOSE and "python" not in command_of("masakari-engine"), unit.status)
    unit.fire("stop")
    check("a unit that goes leaves nothing running", not active("masakari-engine") and not active("masakari-api"))


def monitors(region: Region) -> None:
    unit = agent.Agent(pathlib.Path("/test/monitors"), "masakari-monitors/0", "10.0.0.11")
    unit.deploy(CHARMS / "masakari-monitors_amd64.charm")
    for hook in ("install", "config-changed", "start"):
        unit.fire(hook)
    check("monitors without Keystone wait", unit.status == ["blocked", "'identity-credentials' missing"], unit.status)
    found = unit.relate("identity-credentials", "keystone", {"keystone/0": {}})
    unit.options = {"monitor-role": "masakari_monitor", "process-list": PROCESSES}
    unit.fire("identity-credentials-relation-joined", found, "keystone/0")
    found = unit.relation("identity-credentials")
    check("they ask for one role", found["local"]["requested_grants"] == "masakari_monitor", found["local"])
    found["units"]["keystone/0"] = region.credentials()
    unit.fire("identity-credentials-relation-changed", found, "keystone/0")
    names = ("masakari-host-monitor", "masakari-instance-monitor", "masakari-process-monitor")
    check("with Keystone they run", unit.status == READY and all(active(name) for name in names), unit.status)
    told = unit.act("check")
    findings = {one["part"]: one["told"] for one in json.loads(told["report"])["findings"]} if "report" in told else told
    check("the check logs in with the limited user", findings.get("log-in") == "good", findings)
    issued = pathlib.Path("/test/issued.json")
    if issued.exists():
        host = run("python3", "-c", "import socket; print(socket.getfqdn())").strip()
        unit.model["secrets"]["secret:1"] = json.loads(issued.read_text())
        offered = {"masakari-monitors/0": json.dumps({"host": host, "secret": "secret:1"})}
        found = unit.relate("monitor-credentials", "masakari", {"masakari/0": {}}, offered)
        unit.fire("monitor-credentials-relation-changed", found, "masakari/0")
        check("they say where they are", unit.relation("monitor-credentials")["local"].get("host") == host, host)
        written = pathlib.Path("/etc/masakarimonitors/masakarimonitors.conf").read_text()
        check("they take a credential of their own", "application_credential_id" in written and "username" not in written)
        told = unit.act("check")
        findings = {one["part"]: one["told"] for one in json.loads(told["report"])["findings"]} if "report" in told else told
        check("and log in with it", findings.get("log-in") == "good", findings)
    told = unit.act("pause")
    check("pause stops them", told["failed"] is None and not any(active(name) for name in names), told)
    told = unit.act("resume")
    check("resume starts them", told["failed"] is None and all(active(name) for name in names), told)
    unit.options["boot-guard"] = True
    unit.fire("config-changed")
    enabled = run("systemctl", "is-enabled", "tachi-boot-guard.service", check=False).strip()
    check("the boot guard is enabled and not started", enabled == "enabled" and not active("tachi-boot-guard"), enabled)
    told = unit.act("restore-upstream-packages", i_really_mean_it=True)
    check(
        "upstream's monitors come back",
        told["failed"] is None and unit.status[1].startswith("Masakari's packages are back"),
        told,
    )
    check("as Python", "python" in wait("a monitor", lambda: command_of("masakari-instance-monitor") or None))
    unit.deploy(CHARMS / "masakari-monitors_amd64.charm")
    unit.fire("upgrade-charm")
    check("and ours in their place", unit.status == READY and all(active(name) for name in names), unit.status)
    unit.fire("stop")


def pacemaker() -> None:
    unit = agent.Agent(pathlib.Path("/test/pacemaker"), "pacemaker-remote/0", "10.0.0.11")
    unit.deploy(CHARMS / "pacemaker-remote_amd64.charm")
    unit.options = {"enable-stonith": True, "enable-resources": False}
    for hook in ("install", "config-changed", "start"):
        unit.fire(hook)
    check("pacemaker-remote waits for the cluster", unit.status == ["blocked", "'pacemaker-remote' missing"], unit.status)
    check("corosync's example is gone", not pathlib.Path("/etc/corosync/corosync.conf").exists())
    key = run("sh", "-c", "head -c 128 /dev/urandom | base64 -w 0")
    found = unit.relate("pacemaker-remote", "hacluster", {"hacluster/0": {"pacemaker-key": key}})
    unit.fire("pacemaker-remote-relation-joined", found, "hacluster/0")
    check("with the key it is ready", unit.status == READY and active("pacemaker_remote"), unit.status)
    told = unit.relation("pacemaker-remote")["local"]
    check(
        "it sends JSON to the cluster",
        told["stonith-hostname"] == told["remote-hostname"] and told["enable-resources"] == "false",
        told,
    )
    shown = run("stat", "-c", "%a %U:%G", "/etc/pacemaker/authkey").strip()
    check("the key is the cluster's alone", shown == "440 hacluster:haclient", shown)
    before = process("pacemaker_remote")
    unit.options = {}
    unit.deploy(CHARMS / "pacemaker-remote_amd64.charm")
    unit.fire("upgrade-charm")
    unit.fire("config-changed")
    check("a refresh restarts nothing", before == process("pacemaker_remote"))
    check("and a changed option is sent", unit.relation("pacemaker-remote")["local"]["stonith-hostname"] == "null")
    told = unit.act("status")
    check("its status", told["failed"] is None and told["pacemaker-remote"] == "running" and told["key-mode"] == "0o440", told)


def main() -> int:
    wait("MariaDB", lambda: run("mariadb", "-e", "SELECT 1"))
    wait("RabbitMQ", lambda: run("rabbitmqctl", "-q", "status"), 120)
    region = Region("/test/sandbox-tachi")

    def part(name: str, function, *arguments) -> object:
        began = time.monotonic()
        try:
            return function(*arguments)
        except Exception:  # noqa: BLE001  (the next part may still tell something)
            counts["failed"] += 1
            print(f"FAILED  {name}: {traceback.format_exc()}", flush=True)
            for unit in ("masakari-api", "masakari-engine"):
                print(subprocess.run(["journalctl", "-q", "-n", "15", "-o", "cat", "-u", unit], capture_output=True, text=True, check=False).stdout)
            return None
        finally:
            print(f"        {name}: {time.monotonic() - began:.1f} s", flush=True)

    wanted = set(sys.argv[1:] or ["masakari", "recorded", "monitors", "pacemaker"])
    unit = part("fresh", fresh, region) if wanted & {"masakari", "recorded"} else None
    if unit and "masakari" in wanted:
        part("serves", serves, unit, region)
        part("issues", issues, unit, region)
        part("changes", changes, unit)
        part("pauses", pauses, unit)
        part("certificates", certificates, unit)
        part("fences", fences, unit, region)
        part("clusters", clusters, unit)
    if unit and "recorded" in wanted:
        part("recorded", recorded, region)
    if "monitors" in wanted:
        part("monitors", monitors, region)
    if "pacemaker" in wanted:
        part("pacemaker", pacemaker)
    region.stop()
    print(f"{counts['passed']} passed, {counts['failed']} failed", flush=True)
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
