"""The charm of API and engine, hook by hook."""

import dataclasses
import json

import ops
import pytest
from ops import testing
from tachi_charm.problem import Failed

import given

CONF = "/etc/masakari/masakari.conf"
# What the reactive charm calls 10.0.0.100 and 10.1.0.100: by the beginning of their SHA-1.
FIRST_VIP, SECOND_VIP = "res_masakari_d9411c8_vip", "res_masakari_438f01f_vip"
SERVICES = ["haproxy", "masakari-api", "masakari-engine"]
LOOSE = "Unit is ready; accepts reports like Masakari; to tighten, set reporter-binding=enforce normal-without-evidence=refuse"


@pytest.fixture
def unit(bench):
    found = bench("masakari")
    debs = found.charm_root / "debs"
    debs.mkdir()
    (debs / "tachi_0.9.0_amd64.deb").touch()
    (debs / "tachi_0.9.0_arm64.deb").touch()
    return found


def whole(*more, **state):
    relations = {given.database(), given.amqp(), given.keystone(), *more}
    return testing.State(relations=relations, networks=given.networks(), **{"leader": True, **state})


def changed(unit, state, endpoint="shared-db"):
    relation = next(found for found in state.relations if found.endpoint == endpoint)
    return unit.run(unit.on.relation_changed(relation), state)


# --- the matrix ---


def test_without_relations_it_says_which_are_missing(unit):
    out = unit.run(unit.on.config_changed(), testing.State(networks=given.networks()))
    assert out.unit_status == testing.BlockedStatus("'shared-db' missing, 'amqp' missing, 'identity-service' missing")
    assert unit.read(CONF) is None


def test_what_it_asks_of_its_relations(unit):
    database = testing.Relation("shared-db", remote_app_name="mysql")
    amqp = testing.Relation("amqp")
    keystone = testing.Relation("identity-service")
    state = testing.State(relations={database, amqp, keystone}, networks=given.networks())
    out = unit.run(unit.on.relation_joined(database, remote_unit=0), state)
    assert given.told(out, database) == {"database": "masakari", "username": "masakari", "hostname": "192.0.2.0"}
    assert given.told(out, amqp) == {"username": "masakari", "vhost": "masakari", "private-address": "192.0.2.0"}
    assert given.told(out, keystone) == {
        "service": "masakari",
        "region": "RegionOne",
        "requested_roles": "masakari_monitor",
        "public_url": "http://10.0.0.11:15868/v1/%(tenant_id)s",
        "internal_url": "http://10.1.0.11:15868/v1/%(tenant_id)s",
        "admin_url": "http://10.2.0.11:15868/v1/%(tenant_id)s",
    }
    assert out.unit_status == testing.WaitingStatus("'shared-db' incomplete, 'amqp' incomplete, 'identity-service' incomplete")


def test_missing_wins_over_incomplete(unit):
    database = testing.Relation("shared-db")
    out = unit.run(unit.on.relation_created(database), testing.State(relations={database}, networks=given.networks()))
    assert out.unit_status == testing.BlockedStatus("'shared-db' incomplete, 'amqp' missing, 'identity-service' missing")


def test_a_whole_leader_renders_syncs_once_and_is_active(unit):
    out = changed(unit, whole())
    assert out.unit_status == testing.ActiveStatus("Unit is ready")
    assert unit.machine.did("masakari-manage") == ["masakari-manage --config-file /etc/masakari/masakari.conf db sync"]
    assert unit.machine.leader == {"db-sync-done": "True"}
    assert sorted(unit.machine.units) == SERVICES
    assert out.opened_ports == {testing.TCPPort(15868)}
    # The database is there before anything that uses it.
    assert (
        unit.machine.commands.index("systemctl start masakari-api")
        > [place for place, line in enumerate(unit.machine.commands) if line.startswith("masakari-manage")][0]
    )
    again = changed(unit, dataclasses.replace(whole(), relations=out.relations))
    assert again.unit_status == testing.ActiveStatus("Unit is ready")
    assert unit.machine.did("masakari-manage", "systemctl restart", "systemctl start", "apt") == []


def test_who_is_no_leader_does_not_sync(unit):
    out = changed(unit, whole(leader=False))
    assert out.unit_status == testing.ActiveStatus("Unit is ready")
    assert unit.machine.did("masakari-manage") == []
    assert unit.machine.leader == {}


def test_what_is_rendered(unit):
    changed(unit, whole(config={"notification-expiration": 3600, "use-internal-endpoints": True, "region": "r2"}))
    conf = unit.read(CONF)
    for line in (
        "transport_url = rabbit://masakari:mqpw@10.0.0.9:5672,masakari:mqpw@10.0.0.12:5672/masakari",
        "connection = mysql+pymysql://masakari:dbpw@10.0.0.1/masakari",
        "os_region_name = r2",
        "nova_catalog_admin_info = compute:nova:internalURL",
        "os_privileged_user_auth_url = http://10.0.0.3:5000/v3",
        "auth_url = http://10.0.0.3:35357",
        "wait_period_after_service_update = 60",
        "notifications_expired_interval = 3600",
        "masakari_api_listen_port = 15858",
        "masakari_api_workers = 4",
        "evacuate_all_instances = True",
        "os_privileged_user_tenant = services",
        "api_paste_config = /etc/masakari/api-paste.ini",
        "reporter_binding = enforce",
        "normal_without_evidence = refuse",
    ):
        assert line in conf.splitlines()
    assert "check_expired" not in conf and "devices_file" not in conf and "ssl" not in conf
    assert unit.machine.modes[CONF] == (0o640, "root", "masakari")
    assert "masakari_monitor" in unit.read("/etc/masakari/policy.d/50-tachi-monitor.yaml")


def test_a_password_may_have_anything_in_it(unit):
    state = whole()
    relations = {given.database(password="a$b/c@d%"), given.amqp(password="x:y$z"), given.keystone(service_password="p$w")}
    changed(unit, dataclasses.replace(state, relations=relations))
    conf = unit.read(CONF)
    assert "mysql+pymysql://masakari:a%24b%2Fc%40d%25@10.0.0.1/masakari" in conf
    assert "masakari:x%3Ay%24z@10.0.0.9" in conf
    # A single $ would refer to another option.
    assert "password = p$$w" in conf


@pytest.mark.parametrize("data", [{"allowed_units": "masakari/7"}, {"cluster-series-upgrading": "True"}])
def test_a_database_that_is_not_for_us_yet(unit, data):
    state = dataclasses.replace(whole(), relations={given.database(**data), given.amqp(), given.keystone()})
    out = changed(unit, state)
    assert out.unit_status == testing.WaitingStatus("'shared-db' incomplete")
    assert unit.read(CONF) is None and unit.machine.did("masakari-manage") == []


def test_a_new_password_restarts_the_engine_once(unit):
    out = changed(unit, whole())
    relations = {given.database(), given.amqp(password="new"), given.keystone()}
    out = changed(unit, dataclasses.replace(whole(), relations=relations), "amqp")
    assert unit.machine.did("systemctl restart masakari-engine") == ["systemctl restart masakari-engine"]
    assert "masakari:new@" in unit.read(CONF) and "mqpw" not in unit.read(CONF)
    assert out.unit_status == testing.ActiveStatus("Unit is ready")


def test_units_at_different_passwords_are_not_mixed(unit):
    amqp = given.amqp()
    amqp.remote_units_data[1]["password"] = "other"
    changed(unit, dataclasses.replace(whole(), relations={given.database(), amqp, given.keystone()}), "amqp")
    assert "transport_url = rabbit://masakari:mqpw@10.0.0.12:5672/masakari" in unit.read(CONF)


def test_the_resources_of_the_cluster(unit):
    ha = given.hacluster()
    out = unit.run(unit.on.config_changed(), whole(ha, config={"vip": "10.0.0.100 10.1.0.100"}))
    found = given.cluster_resources(out, ha)
    names = sorted([FIRST_VIP, SECOND_VIP])
    assert found["resources"] == {name: "ocf:heartbeat:IPaddr2" for name in names} | {"res_masakari_haproxy": "lsb:haproxy"}
    assert found["groups"] == {"grp_masakari_vips": " ".join(names)}
    assert found["clones"] == {"cl_res_masakari_haproxy": "res_masakari_haproxy"}
    assert found["init_services"] == ["haproxy"]
    # Byte for byte what the reactive charm publishes: a refresh must not change the cluster.
    assert found["resource_params"][FIRST_VIP] == (
        '  params ip="10.0.0.100"  meta migration-threshold="INFINITY" failure-timeout="5s"'
        '  op monitor timeout="20s" interval="10s" depth="0"'
    )
    assert found["resource_params"]["res_masakari_haproxy"] == (
        '  meta migration-threshold="INFINITY" failure-timeout="5s"  op monitor interval="5s"'
    )
    assert found["delete_resources"] == ["res_masakari_eth0_vip", "res_masakari_eth1_vip"]
    told = given.told(out, ha)
    assert (told["corosync_bindiface"], told["corosync_mcastport"]) == ("eth0", "4440")


def test_a_vip_that_is_taken_away_is_deleted(unit):
    ha = given.hacluster()
    out = unit.run(unit.on.config_changed(), whole(ha, config={"vip": "10.0.0.100 10.1.0.100"}))
    gone = SECOND_VIP
    out = unit.run(unit.on.config_changed(), dataclasses.replace(out, config={"vip": "10.0.0.100"}))
    found = given.cluster_resources(out, ha)
    assert gone in found["delete_resources"] and gone not in found["resources"]
    # And comes back.
    out = unit.run(unit.on.config_changed(), dataclasses.replace(out, config={"vip": "10.0.0.100 10.1.0.100"}))
    found = given.cluster_resources(out, ha)
    assert gone not in found["delete_resources"] and gone in found["resources"]


def test_vips_in_no_network_of_the_machine_do_not_share_a_name(unit):
    ha = given.hacluster()
    out = unit.run(unit.on.config_changed(), whole(ha, config={"vip": "192.0.2.7 192.0.2.8", "vip_iface": "ens4"}))
    resources = given.cluster_resources(out, ha)["resources"]
    assert "res_masakari_ens4_vip" in resources and len(resources) == 3


def test_names_in_maas_in_place_of_vips(unit):
    ha = given.hacluster()
    config = {"dns-ha": True, "os-public-hostname": "ha.example", "os-internal-hostname": "ha-int.example"}
    out = unit.run(unit.on.config_changed(), whole(ha, config=config))
    found = given.cluster_resources(out, ha)
    assert found["resources"]["res_masakari_public_hostname"] == "ocf:maas:dns"
    assert found["resource_params"]["res_masakari_int_hostname"] == '  params  fqdn="ha-int.example" ip_address="10.1.0.11"'
    assert found["groups"] == {"grp_masakari_hostnames": "res_masakari_int_hostname res_masakari_public_hostname"}
    out = unit.run(unit.on.config_changed(), whole(ha, config={**config, "vip": "10.0.0.100"}))
    assert out.unit_status == testing.BlockedStatus("options vip and dns-ha exclude each other")


@pytest.mark.parametrize("word, host", [("yes", "10.0.0.100"), ("True", "10.0.0.100"), ("no", "10.0.0.11")])
def test_the_catalog_has_the_vip_once_there_is_a_cluster(unit, word, host):
    ha = given.hacluster(clustered=word)
    state = whole(ha, config={"vip": "10.0.0.100 10.1.0.100 10.2.0.100"})
    out = changed(unit, state, "ha")
    keystone = next(found for found in out.relations if found.endpoint == "identity-service")
    assert given.told(out, keystone)["public_url"] == f"http://{host}:15868/v1/%(tenant_id)s"


def test_pacemaker_has_haproxy(unit):
    unit.machine.ports = {15858}
    out = changed(unit, whole(given.hacluster(clustered="yes")), "ha")
    assert sorted(unit.machine.units) == ["masakari-api", "masakari-engine"]
    assert out.unit_status == testing.ActiveStatus("Unit is ready")


def test_pause_and_resume(unit):
    out = changed(unit, whole())
    out = unit.run(unit.on.action("pause"), out)
    assert unit.machine.units == {} and set(SERVICES) <= unit.machine.masked
    assert out.unit_status == testing.MaintenanceStatus("Paused. Use 'resume' action to resume normal service.")
    # A hook while it is paused writes, and starts nothing.
    relations = {given.database(), given.amqp(password="new"), given.keystone()}
    out = changed(unit, dataclasses.replace(out, relations=relations), "amqp")
    assert unit.machine.units == {} and "masakari:new@" in unit.read(CONF)
    unit.machine.units["masakari-engine"] = "active"
    out = unit.run(unit.on.update_status(), out)
    assert out.unit_status == testing.BlockedStatus("Services should be paused but these services running: masakari-engine")
    out = unit.run(unit.on.action("resume"), out)
    assert sorted(unit.machine.units) == SERVICES and not set(SERVICES) & unit.machine.masked
    assert out.unit_status == testing.ActiveStatus("Unit is ready")


def test_a_pause_that_fails_says_so_and_stays(unit):
    out = changed(unit, whole())
    stop = unit.machine.stop
    unit.machine.stop = lambda service, mask=True: service != "masakari-api" and stop(service, mask)
    with pytest.raises(testing.ActionFailed, match="masakari-api didn't pause cleanly."):
        unit.run(unit.on.action("pause"), out)
    assert "masakari-engine" not in unit.machine.units


def test_a_secret_that_cannot_be_read(unit):
    config = {"maas-credentials": "secret:d0c0nt3x1st000000000", "maas-url": "https://maas/MAAS"}
    out = unit.run(unit.on.config_changed(), whole(config=config))
    assert out.unit_status.name == "blocked"
    assert "option maas-credentials" in out.unit_status.message and "juju grant-secret" in out.unit_status.message
    assert unit.read(CONF) is None


@pytest.mark.parametrize("endpoint", ["shared-db", "amqp", "identity-service"])
def test_a_broken_relation_keeps_the_file_and_the_services(unit, endpoint):
    out = changed(unit, whole())
    before = unit.read(CONF)
    relation = next(found for found in out.relations if found.endpoint == endpoint)
    out = unit.run(unit.on.relation_broken(relation), out)
    assert out.unit_status == testing.BlockedStatus(f"'{endpoint}' missing")
    assert unit.read(CONF) == before
    assert sorted(unit.machine.units) == SERVICES
    assert unit.machine.did("systemctl restart", "systemctl stop") == []


# --- in place of the reactive charm ---


def reactive_state(unit, paused=False):
    """What the reactive charm has left: written by its own library, and read by it below."""
    from charmhelpers.core import unitdata

    storage = unitdata.Storage(str(unit.charm_root / ".unit-state.db"))
    storage.set("unit-paused", paused)
    storage.set("reactive.states.charm.installed", None)
    storage.set("reactive.states.haproxy.stat.password", "kept-password")
    storage.flush()
    storage.close()
    machine = unit.machine
    machine.packages |= {
        name: "17.0" for name in ("masakari-api", "masakari-engine", "masakari-common", "python3-masakari", "haproxy")
    }
    if not paused:
        machine.units |= {name: "active" for name in ("haproxy", "apache2", "masakari-engine")}
    for file in ("/etc/apache2/sites-enabled/masakari-api.conf", "/etc/apache2/sites-enabled/openstack_https_frontend.conf"):
        machine.write(file, "Listen 15848\n")


def test_refreshed_from_the_reactive_charm(unit):
    reactive_state(unit)
    peers = given.peers(u1=None, u2=None)
    out = unit.run(unit.on.upgrade_charm(), whole(peers))
    commands = unit.machine.commands
    # No engine of Masakari runs when ours arrives, and nothing is purged.
    assert commands.index("systemctl stop masakari-engine") < commands.index(
        next(line for line in commands if line.startswith("apt install") and "tachi_" in line)
    )
    assert not any("purge" in line for line in commands)
    assert set(unit.machine.packages) == {"tachi", "haproxy"}
    assert unit.read("/etc/apache2/sites-enabled/masakari-api.conf") is None and "apache2" not in unit.machine.units
    assert "stats auth admin:kept-password" in unit.read("/etc/haproxy/haproxy.cfg")
    assert given.told(out, peers)["engine"] == "tachi"
    # The peers still have Masakari's engine.
    assert "masakari-engine" not in unit.machine.units and "masakari-api" in unit.machine.units
    assert out.unit_status == testing.WaitingStatus("The engine waits until Tachi is on masakari/1, masakari/2")
    assert unit.machine.did("masakari-manage"), "the leader always syncs"
    rendered = unit.read(CONF)
    peers = dataclasses.replace(peers, peers_data=given.peers(u1="tachi", u2=None).peers_data)
    out = unit.run(unit.on.relation_changed(peers, remote_unit=1), whole(peers))
    assert "masakari-engine" not in unit.machine.units
    peers = dataclasses.replace(peers, peers_data=given.peers(u1="tachi", u2="tachi").peers_data)
    out = unit.run(unit.on.relation_changed(peers, remote_unit=2), whole(peers))
    assert out.unit_status == testing.ActiveStatus(LOOSE) and "masakari-engine" in unit.machine.units
    assert unit.read(CONF) == rendered


def test_a_unit_that_was_paused_stays_paused(unit):
    reactive_state(unit, paused=True)
    out = unit.run(unit.on.upgrade_charm(), whole())
    assert out.unit_status == testing.MaintenanceStatus("Paused. Use 'resume' action to resume normal service.")
    assert unit.machine.units == {} and unit.machine.packages["tachi"] == "0.9.0"
    # And the library of the reactive charm reads what ours writes.
    from charmhelpers.core import unitdata

    unit.run(unit.on.action("resume"), out)
    storage = unitdata.Storage(str(unit.charm_root / ".unit-state.db"))
    assert storage.get("unit-paused") is False
    assert "reactive.states.charm.installed" in storage.getrange("reactive.states.")
    storage.close()


def test_an_engine_that_runs_is_not_stopped_by_a_new_peer(unit):
    out = changed(unit, whole())
    peers = given.peers(u3=None)
    out = unit.run(unit.on.relation_joined(peers, remote_unit=3), dataclasses.replace(whole(peers)))
    assert "masakari-engine" in unit.machine.units and out.unit_status == testing.ActiveStatus("Unit is ready")


def test_there_and_back(unit):
    peers = given.peers(u1="tachi")
    out = changed(unit, whole(peers))
    with pytest.raises(testing.ActionFailed, match="i-really-mean-it"):
        unit.run(unit.on.action("restore-upstream-packages", params={"i-really-mean-it": False}), out)
    assert "masakari-engine" in unit.machine.units
    out = unit.run(unit.on.action("restore-upstream-packages", params={"i-really-mean-it": True}), out)
    assert "tachi" not in unit.machine.packages and unit.machine.packages["masakari-engine"] == "17.0"
    # The other unit has Tachi's engine: Masakari's must not run beside it.
    assert "masakari-engine" not in unit.machine.units and "masakari-engine" in unit.machine.masked
    assert given.told(out, peers)["engine"] == "masakari"
    assert out.unit_status == testing.BlockedStatus("Masakari's packages are restored; its engine waits for masakari/1")
    before = unit.read(CONF)
    out = unit.run(unit.on.config_changed(), dataclasses.replace(out, config={"debug": True}))
    assert unit.read(CONF) == before and "tachi" not in unit.machine.packages
    peers = dataclasses.replace(peers, peers_data=given.peers(u1="masakari").peers_data)
    out = unit.run(unit.on.relation_changed(peers, remote_unit=1), whole(peers))
    assert "masakari-engine" in unit.machine.units
    assert out.unit_status == testing.BlockedStatus("Masakari's packages are restored: refresh to the upstream charm")
    # Forward once more.
    peers = dataclasses.replace(peers, peers_data=given.peers(u1="tachi").peers_data)
    out = unit.run(unit.on.upgrade_charm(), whole(peers))
    assert "tachi" in unit.machine.packages and out.unit_status == testing.ActiveStatus(LOOSE)


def test_a_restore_that_apt_cannot_do_changes_nothing(unit):
    out = changed(unit, whole())
    del unit.machine.candidates["masakari-engine"]
    with pytest.raises(testing.ActionFailed, match="apt has no package masakari-engine"):
        unit.run(unit.on.action("restore-upstream-packages", params={"i-really-mean-it": True}), out)
    assert "tachi" in unit.machine.packages and sorted(unit.machine.units) == SERVICES
    # Or that fails half-way.
    unit.machine.candidates["masakari-engine"] = "17.0"
    apt = unit.machine.apt

    def away(*arguments):
        if "masakari-engine" in arguments:
            raise Failed("Temporary failure resolving 'archive.ubuntu.com'")
        apt(*arguments)

    unit.machine.apt = away
    with pytest.raises(testing.ActionFailed, match="nothing was changed: Temporary failure"):
        unit.run(unit.on.action("restore-upstream-packages", params={"i-really-mean-it": True}), out)
    assert "tachi" in unit.machine.packages and sorted(unit.machine.units) == SERVICES
    assert unit.run(unit.on.update_status(), out).unit_status == testing.ActiveStatus("Unit is ready")


# --- how much is asked of a report ---


def strictness(unit):
    lines = (unit.read(CONF) or "").splitlines()
    return [line.split(" = ")[1] for line in lines if line.startswith(("reporter_binding", "normal_without_evidence"))]


STRICT, AS_MASAKARI = ["enforce", "refuse"], ["warn", "wait"]


def test_where_masakari_ran_reports_are_believed_as_before_until_somebody_tightens_it(unit):
    reactive_state(unit)
    out = unit.run(unit.on.upgrade_charm(), whole())
    assert strictness(unit) == AS_MASAKARI and out.unit_status == testing.ActiveStatus(LOOSE)
    # Half of it decided is half of it told.
    out = unit.run(unit.on.config_changed(), dataclasses.replace(out, config={"reporter-binding": "enforce"}))
    assert strictness(unit) == ["enforce", "wait"]
    assert out.unit_status.message.endswith("to tighten, set normal-without-evidence=refuse")
    # Who has decided for the looser one is not told again.
    config = {"reporter-binding": "warn", "normal-without-evidence": "refuse"}
    out = unit.run(unit.on.config_changed(), dataclasses.replace(out, config=config))
    assert strictness(unit) == ["warn", "refuse"] and out.unit_status == testing.ActiveStatus("Unit is ready")
    assert unit.machine.did("systemctl restart") == ["systemctl restart masakari-api", "systemctl restart masakari-engine"]


def test_an_earlier_charm_of_ours_is_not_tightened_by_a_refresh(unit):
    unit.machine.packages["tachi"] = "0.8.0"
    out = unit.run(unit.on.upgrade_charm(), whole())
    assert strictness(unit) == AS_MASAKARI and out.unit_status == testing.ActiveStatus(LOOSE)


def test_a_paused_unit_of_the_reactive_charm_is_known_by_its_flag(unit):
    # Its packages were removed by hand.
    reactive_state(unit)
    for name in ("masakari-api", "masakari-engine", "masakari-common", "python3-masakari"):
        del unit.machine.packages[name]
    unit.run(unit.on.upgrade_charm(), whole())
    assert strictness(unit) == AS_MASAKARI


def test_a_unit_that_is_added_is_no_stricter_than_the_others_and_stays_so(unit):
    peers = given.peers(u1="tachi", u2="tachi")
    out = unit.run(unit.on.install(), testing.State(networks=given.networks()))
    peers.peers_data[1]["replaces-masakari"] = "yes"
    out = changed(unit, whole(peers))
    assert strictness(unit) == AS_MASAKARI and given.told(out, peers)["replaces-masakari"] == "yes"
    # The other units leave, and their relation data with them.
    out = changed(unit, whole())
    assert strictness(unit) == AS_MASAKARI and out.unit_status == testing.ActiveStatus(LOOSE)


def test_a_new_unit_beside_new_ones_is_strict(unit):
    peers = given.peers(u1="tachi")
    out = unit.run(unit.on.install(), testing.State(networks=given.networks()))
    out = changed(unit, whole(peers))
    assert strictness(unit) == STRICT and out.unit_status == testing.ActiveStatus("Unit is ready")
    assert "replaces-masakari" not in given.told(out, peers)
    # The next hook finds our package installed, and that is no sign of Masakari.
    out = unit.run(unit.on.config_changed(), out)
    assert strictness(unit) == STRICT


def test_an_install_that_failed_in_the_middle_is_new_all_the_same(unit):
    apt = unit.machine.apt

    def away(*arguments):
        apt(*arguments)
        if any("tachi_" in word for word in arguments):
            raise Failed("dpkg was interrupted")

    unit.machine.apt = away
    with pytest.raises(Exception, match="dpkg was interrupted"):
        unit.run(unit.on.install(), testing.State(networks=given.networks()))
    unit.machine.apt = apt
    unit.run(unit.on.install(), testing.State(networks=given.networks()))
    changed(unit, whole())
    assert strictness(unit) == STRICT


def test_a_new_application_on_masakaris_database(unit):
    said = "took over a Masakari database at 8bdf5929c5a6: 3 segments, 48 hosts, 1204 notifications, 9310 vmoves\n"
    unit.machine.answers["masakari-manage"] = (0, said, "")
    peers = given.peers(u1="tachi")
    out = changed(unit, whole(peers))
    assert strictness(unit) == AS_MASAKARI and out.unit_status == testing.ActiveStatus(LOOSE)
    assert given.told(out, peers)["replaces-masakari"] == "yes"


@pytest.mark.parametrize("option", ["reporter-binding", "normal-without-evidence"])
def test_a_word_that_is_none_changes_nothing(unit, option):
    out = changed(unit, whole())
    before = unit.read(CONF)
    out = unit.run(unit.on.config_changed(), dataclasses.replace(out, config={option: "perhaps"}))
    assert out.unit_status.name == "blocked" and f"option {option}: 'perhaps' is not one of" in out.unit_status.message
    assert unit.read(CONF) == before


# --- packages ---


def test_the_deb_for_this_machine_is_taken(unit):
    changed(unit, whole())
    installed = unit.machine.did("apt install")[-1]
    assert "tachi_0.9.0_amd64.deb" in installed and "arm64" not in installed


def test_without_any_package_it_says_where_to_get_one(unit):
    for deb in (unit.charm_root / "debs").iterdir():
        deb.unlink()
    out = changed(unit, whole())
    assert out.unit_status.name == "blocked" and "attach the resource tachi-debs" in out.unit_status.message


def test_an_apt_source_counts_most(unit):
    unit.machine.candidates["tachi"] = "1.0.0"
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----"
    line = f"deb https://apt.example/tachi noble main|{key}"
    changed(unit, whole(config={"tachi-source": line}))
    assert unit.machine.packages["tachi"] == "1.0.0"
    assert unit.read("/etc/apt/sources.list.d/tachi.list") == (
        "deb [signed-by=/etc/apt/keyrings/tachi.asc] https://apt.example/tachi noble main\n"
    )
    assert unit.read("/etc/apt/keyrings/tachi.asc").startswith("-----BEGIN PGP")


@pytest.mark.parametrize("line", ["ppa:me/tachi", "deb x y z|0xABCD", "deb a\nEvil: x"])
def test_an_apt_source_that_is_none(unit, line):
    out = changed(unit, whole(config={"tachi-source": line}))
    assert out.unit_status.name == "blocked" and "option tachi-source" in out.unit_status.message


def test_a_resource_counts_more_than_the_charm(unit, tmp_path):
    deb = tmp_path / "tachi_0.9.5_amd64.deb"
    deb.write_text("a deb")
    unit.machine.answers[f"dpkg-deb -f {deb}"] = (0, "Package: tachi\nVersion: 0.9.5\nArchitecture: amd64\n", "")
    state = dataclasses.replace(whole(), resources={testing.Resource(name="tachi-debs", path=deb)})
    changed(unit, state)
    assert unit.machine.packages["tachi"] == "0.9.5"


def test_a_managed_upgrade_waits_for_the_action(unit):
    state = whole(config={"action-managed-upgrade": True})
    out = changed(unit, state)
    (unit.charm_root / "debs/tachi_0.9.0_amd64.deb").rename(unit.charm_root / "debs/tachi_0.9.1_amd64.deb")
    out = unit.run(unit.on.upgrade_charm(), out)
    assert unit.machine.packages["tachi"] == "0.9.0"
    out = unit.run(unit.on.action("package-upgrade"), out)
    assert unit.context.action_results == {"outcome": "upgrade skipped because an openstack upgrade is available"}
    out = unit.run(unit.on.action("openstack-upgrade"), out)
    assert unit.context.action_results == {"outcome": "success, upgrade completed"}
    assert unit.machine.packages["tachi"] == "0.9.1" and unit.machine.did("masakari-manage")
    assert "systemctl restart masakari-engine" in unit.machine.commands
    out = unit.run(unit.on.action("openstack-upgrade"), out)
    assert unit.context.action_results == {"outcome": "no upgrade available"}
    out = unit.run(unit.on.action("openstack-upgrade"), dataclasses.replace(out, config={}))
    assert unit.context.action_results == {"outcome": "action-managed-upgrade config is False, skipped upgrade"}


def test_a_refresh_takes_the_newer_package(unit):
    out = changed(unit, whole())
    (unit.charm_root / "debs/tachi_0.9.0_amd64.deb").rename(unit.charm_root / "debs/tachi_0.9.1_amd64.deb")
    out = unit.run(unit.on.upgrade_charm(), out)
    assert unit.machine.packages["tachi"] == "0.9.1" and len(unit.machine.did("masakari-manage")) == 1


# --- certificates ---


def test_certificates_of_vault(unit):
    vault = given.vault()
    out = changed(unit, whole(vault, config={"vip": "10.0.0.100"}), "certificates")
    told = given.told(out, vault)
    assert told["common_name"] == "juju-1-lxd-0.maas" and told["unit_name"] == "masakari_0"
    assert json.loads(told["sans"]) == ["10.0.0.100", "10.0.0.11", "10.1.0.11", "10.2.0.11"]
    conf = unit.read(CONF)
    assert "use_ssl = True" in conf and "ssl_cert_file = /etc/masakari/ssl/api.crt" in conf
    assert "cafile = /etc/ssl/certs/ca-certificates.crt" in conf and "nova_ca_certificates_file" in conf
    assert "UNIT" in unit.read("/etc/masakari/ssl/api.crt") and "CHAIN" in unit.read("/etc/masakari/ssl/api.crt")
    assert unit.machine.modes["/etc/masakari/ssl/api.key"] == (0o640, "root", "masakari")
    assert unit.machine.did("update-ca-certificates") and "CA" in unit.read("/usr/local/share/ca-certificates/masakari.crt")
    assert "10.0.0.11:15858 check check-ssl verify none" in unit.read("/etc/haproxy/haproxy.cfg")
    keystone = next(found for found in out.relations if found.endpoint == "identity-service")
    assert given.told(out, keystone)["public_url"].startswith("https://")
    # The name of the request stays, or vault would sign at every hook.
    name = told["certificate_name"]
    out = changed(unit, out, "certificates")
    assert given.told(out, vault)["certificate_name"] == name and not unit.machine.did("update-ca-certificates")
    # A renewed certificate is read again, and restarts nothing.
    renewed = given.vault(**{"masakari_0.server.cert": "-----BEGIN CERTIFICATE-----\nNEW\n-----END CERTIFICATE-----"})
    changed(unit, whole(renewed, config={"vip": "10.0.0.100"}), "certificates")
    assert unit.machine.did("systemctl re") == ["systemctl reload masakari-api"]


def test_the_newer_protocol_is_recognised(unit):
    other = testing.Relation("certificates", remote_app_name="self-signed", remote_app_data={"certificates": "[]"})
    out = changed(unit, whole(other), "shared-db")
    assert out.unit_status.name == "blocked" and "signing requests" in out.unit_status.message


def test_certificates_from_options_count_more(unit):
    config = {
        "ssl_cert": given.b64("-----BEGIN CERTIFICATE-----\nMINE\n"),
        "ssl_key": given.b64("-----BEGIN PRIVATE KEY-----\nK\n"),
        "ssl_ca": given.b64("-----BEGIN CERTIFICATE-----\nROOT\n"),
    }
    changed(unit, whole(given.vault(), config=config))
    assert "MINE" in unit.read("/etc/masakari/ssl/api.crt")
    assert "ROOT" in unit.read("/usr/local/share/ca-certificates/masakari.crt")
    for wrong, word in (({**config, "ssl_key": ""}, "belong together"), ({**config, "ssl_cert": "§"}, "ssl_cert")):
        out = changed(unit, whole(config=wrong))
        assert out.unit_status.name == "blocked" and word in out.unit_status.message


def test_tls_to_bus_and_database(unit):
    ca = "-----BEGIN CERTIFICATE-----\nX\n-----END CERTIFICATE-----\n"
    relations = {
        given.database(ssl_ca=given.b64(ca)),
        given.amqp(ssl_port="5671", ssl_ca=given.b64(ca)),
        given.keystone(),
    }
    changed(unit, dataclasses.replace(whole(), relations=relations))
    conf = unit.read(CONF)
    assert "mysql+pymysql://masakari:dbpw@10.0.0.1/masakari?ssl_ca=/etc/masakari/ssl/db-client.ca" in conf
    assert "@10.0.0.9:5671" in conf and "ssl_ca_file = /var/lib/charm/masakari/rabbit-client-ca.pem" in conf
    assert unit.read("/etc/masakari/ssl/db-client.ca") == ca == unit.read("/var/lib/charm/masakari/rabbit-client-ca.pem")


# --- fencing ---


def test_maas_as_a_secret(unit):
    secret = testing.Secret({"apikey": "a:b:c"})
    config = {"maas-url": "https://maas.example:5443/MAAS", "maas-credentials": secret.id}
    changed(unit, whole(config=config, secrets={secret}))
    toml = unit.read("/etc/masakari/fencing.toml")
    assert 'endpoint = "https://maas.example:5443/MAAS"' in toml and "a:b:c" not in toml and "allow_http" not in toml
    assert unit.read("/etc/masakari/fencing/maas-apikey") == "a:b:c"
    assert unit.machine.modes["/etc/masakari/fencing/maas-apikey"] == (0o440, "root", "masakari")
    assert "devices_file = /etc/masakari/fencing.toml" in unit.read(CONF)
    assert not any("a:b:c" in line for line in unit.machine.commands)
    assert unit.machine.did("tachi fence test")
    # Taken away again: no secret stays on the disk.
    changed(unit, whole())
    assert unit.read("/etc/masakari/fencing.toml") is None and unit.machine.names("/etc/masakari/fencing") == []
    assert "devices_file" not in unit.read(CONF)


@pytest.mark.parametrize(
    "key, url, word",
    [
        ("a:b", "https://m/", "consumer:token:secret"),
        ("a:b:c", "", "maas-url is unset"),
        ("a:b:c", "maas.example", "not an address"),
    ],
)
def test_maas_written_wrong(unit, key, url, word):
    secret = testing.Secret({"apikey": key})
    out = changed(unit, whole(config={"maas-url": url, "maas-credentials": secret.id}, secrets={secret}))
    assert out.unit_status.name == "blocked" and word in out.unit_status.message
    assert key not in out.unit_status.message


def test_a_file_of_devices_that_the_engine_refuses_changes_nothing(unit):
    good = testing.Secret({"fencing-toml": '[[device]]\nname = "bmc"\n', "bmc": "pw"})
    changed(unit, whole(config={"fencing-config": good.id}, secrets={good}))
    before = unit.read("/etc/masakari/fencing.toml")
    assert before and unit.read("/etc/masakari/fencing/bmc") == "pw"
    unit.machine.answers["tachi fence test"] = (
        2,
        "",
        "tachi: /etc/masakari/.fencing.candidate.toml cannot be used:\n  line 1: nonsense",
    )
    bad = testing.Secret({"fencing-toml": "nonsense", "bmc": "pw"})
    out = changed(unit, whole(config={"fencing-config": bad.id}, secrets={bad}))
    assert out.unit_status == testing.BlockedStatus(
        "the fence devices are invalid: tachi: fencing-toml cannot be used: line 1: nonsense"
    )
    assert unit.read("/etc/masakari/fencing.toml") == before
    assert [name for name in unit.machine.names("/etc/masakari") if "candidate" in name] == []


REPORT = {
    "devices": [
        {"host": "c1", "level": 1, "power": "on", "fault": None},
        {"host": "c2", "level": 1, "power": "on", "fault": None},
        {"host": "c2", "level": 1, "power": None, "fault": "no route"},
        {"host": "c3", "level": 1, "power": None, "fault": "401"},
        {"host": "c3", "level": 2, "power": "off", "fault": None},
        {"host": "c4", "level": 0, "power": None, "fault": "no device"},
    ],
    "faults": 3,
}


def test_hosts_that_nothing_can_fence_are_named(unit):
    out = changed(unit, whole())
    unit.machine.answers["tachi fence test"] = (1, json.dumps(REPORT), "")
    with pytest.raises(testing.ActionFailed) as failed:
        unit.run(unit.on.action("fence-check"), out)
    assert failed.value.message == "fencing would fail for c2, c4"
    assert unit.context.action_results["unfenced"] == "c2,c4"
    out = unit.run(unit.on.update_status(), out)
    assert out.unit_status == testing.ActiveStatus("Unit is ready; nothing can fence c2, c4")
    unit.machine.answers["tachi fence test"] = (0, json.dumps({"devices": REPORT["devices"][:1], "faults": 0}), "")
    unit.run(unit.on.action("fence-check"), out)
    out = unit.run(unit.on.update_status(), out)
    assert out.unit_status == testing.ActiveStatus("Unit is ready")


def test_a_host_is_a_name_and_no_option(unit):
    out = changed(unit, whole())
    with pytest.raises(testing.ActionFailed, match="invalid host name"):
        unit.run(unit.on.action("fence-check", params={"hosts": "c1 --config-file=/x"}), out)
    assert unit.machine.did("tachi fence test") == []


def test_preflight(unit):
    with pytest.raises(testing.ActionFailed, match="no masakari.conf yet"):
        unit.run(unit.on.action("preflight"), testing.State(networks=given.networks()))
    out = changed(unit, whole())
    unit.machine.answers["tachi fence test"] = (0, json.dumps({"devices": REPORT["devices"][:1], "faults": 0}), "")
    unit.run(unit.on.action("preflight"), out)
    assert unit.context.action_results["outcome"] == "good"
    unit.machine.answers["masakari-status"] = (2, "Database Revision: Failure", "")
    with pytest.raises(testing.ActionFailed, match="upgrade check has failures"):
        unit.run(unit.on.action("preflight"), out)


# --- the rest ---


def test_haproxy_shares_out_by_network(unit):
    changed(unit, whole(given.peers(u1="tachi"), config={"haproxy-server-timeout": 5000}))
    text = unit.read("/etc/haproxy/haproxy.cfg")
    assert "    timeout server 5000\n" in text and "    timeout queue 9000\n" in text
    assert "    acl net_10.1.0.11 dst 10.1.0.0/24\n    use_backend masakari_10.1.0.11 if net_10.1.0.11\n" in text
    assert (
        "backend masakari_10.1.0.11\n    balance leastconn\n    server masakari-0 10.1.0.11:15858 check\n"
        "    server masakari-1 10.1.0.21:15858 check\n"
    ) in text
    assert "    default_backend masakari_10.0.0.11\n" in text and "    bind *:15868\n" in text


def test_a_service_that_does_not_start(unit):
    unit.machine.broken.add("masakari-engine")
    out = changed(unit, whole())
    assert out.unit_status == testing.BlockedStatus("Services not running that should be: masakari-engine")
    unit.machine.broken.clear()
    unit.machine.ports.clear()
    out = unit.run(unit.on.update_status(), out)
    assert out.unit_status == testing.BlockedStatus("Ports which should be open, but are not: 15868, 15858")


def test_a_sync_that_fails_fails_the_hook_and_starts_nothing(unit):
    unit.machine.answers["masakari-manage"] = (1, "", "refused")
    with pytest.raises(testing.errors.UncaughtCharmError):
        changed(unit, whole())
    assert "masakari-engine" not in unit.machine.units
    del unit.machine.answers["masakari-manage"]
    assert changed(unit, whole()).unit_status == testing.ActiveStatus("Unit is ready")


def test_the_unit_goes(unit):
    out = changed(unit, whole())
    unit.run(unit.on.stop(), out)
    assert unit.machine.units == {} and not unit.machine.masked


def test_restart_services(unit):
    out = changed(unit, whole())
    unit.run(unit.on.action("restart-services"), out)
    assert unit.machine.did("systemctl restart") == [f"systemctl restart {name}" for name in SERVICES]


def test_install_only_installs(unit):
    out = unit.run(unit.on.install(), testing.State())
    assert unit.machine.packages == {"haproxy": "2.8", "ca-certificates": "1", "tachi": "0.9.0"}
    assert "masakari-engine" in unit.machine.masked
    assert out.unit_status.name == "blocked" and isinstance(out.unit_status, ops.BlockedStatus)


def test_every_hook_does_the_same(unit):
    """What one hook missed, the next one makes up for: any order of hooks ends in the same files."""
    for event in (unit.on.start(), unit.on.leader_elected(), unit.on.update_status(), unit.on.config_changed()):
        unit.run(event, whole())
    assert sorted(unit.machine.units) == SERVICES and unit.read(CONF)
