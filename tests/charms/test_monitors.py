"""The charm of the monitors, hook by hook."""

import configparser
import dataclasses
import json

import pytest
from ops import testing

import given

CONF = "/etc/masakarimonitors/masakarimonitors.conf"
SERVICES = ["masakari-host-monitor", "masakari-instance-monitor"]
UPSTREAM = [*SERVICES, "masakari-monitors-common", "python3-masakari-monitors"]
CREDENTIALS = {
    "auth_host": "10.0.0.3",
    "auth_port": "35357",
    "auth_protocol": "http",
    "credentials_host": "10.0.0.3",
    "credentials_username": "masakari-monitors",
    "credentials_password": "p$w",
    "credentials_project": "services",
    "credentials_user_domain_name": "service_domain",
    "credentials_user_domain_id": "d1",
    "credentials_project_domain_name": "service_domain",
    "credentials_project_domain_id": "d1",
    "api_version": "3",
    "region": "RegionOne",
}


@pytest.fixture
def unit(bench):
    found = bench("masakari-monitors")
    debs = found.charm_root / "debs"
    debs.mkdir()
    (debs / "tachi-monitors_0.9.0_amd64.deb").touch()
    return found


def keystone(**more):
    return testing.Relation("identity-credentials", remote_app_name="keystone", remote_units_data={0: {**CREDENTIALS, **more}})


def whole(*more, **state):
    container = testing.SubordinateRelation("container", remote_app_name="nova-compute")
    return testing.State(relations={container, keystone(), *more}, **state)


def conf(unit) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read_string(unit.read(CONF))
    return parser


def test_without_keystone(unit):
    out = unit.run(unit.on.config_changed(), testing.State())
    assert out.unit_status == testing.BlockedStatus("'identity-credentials' missing")
    relation = testing.Relation("identity-credentials")
    out = unit.run(unit.on.relation_created(relation), testing.State(relations={relation}))
    assert out.unit_status == testing.WaitingStatus("'identity-credentials' incomplete")
    assert given.told(out, relation) == {"username": "masakari-monitors", "project": "services"}
    assert unit.machine.units == {}


def test_with_keystone_it_renders_and_runs(unit):
    out = unit.run(unit.on.config_changed(), whole(config={"use-internal-endpoints": True, "region": "r2"}))
    assert out.unit_status == testing.ActiveStatus("Unit is ready")
    assert sorted(unit.machine.units) == SERVICES and set(SERVICES) <= unit.machine.at_boot
    told = conf(unit)
    assert told["DEFAULT"]["hostname"] == "juju-1-lxd-0.maas"
    assert (
        dict(told["api"]).items()
        >= {
            "api_interface": "internal",
            "auth_url": "http://10.0.0.3:35357",
            "username": "masakari-monitors",
            "password": "p$$w",
            "project_name": "services",
            "project_domain_name": "service_domain",
            "user_domain_id": "d1",
            "region": "r2",
        }.items()
    )
    assert told["host"]["restrict_to_remotes"] == told["host"]["disable_ipmi_check"] == "True"
    assert told["process"]["process_list_path"] == "/etc/masakarimonitors/process_list.yaml"
    assert unit.machine.modes[CONF] == (0o640, "root", "masakarimonitors")
    unit.run(unit.on.update_status(), out)
    assert unit.machine.did("systemctl restart", "systemctl start", "apt") == []


def test_a_new_password_restarts_each_monitor_once(unit):
    unit.run(unit.on.config_changed(), whole())
    relations = {keystone(credentials_password="new")}
    unit.run(unit.on.config_changed(), testing.State(relations=relations))
    assert unit.machine.did("systemctl restart") == [f"systemctl restart {name}" for name in SERVICES]


def test_config_flags_go_into_the_first_section(unit):
    flags = "log_dir=/var/log/x, default_log_levels=a=INFO,b=WARN , wait=$5"
    unit.run(unit.on.config_changed(), whole(config={"config-flags": flags}))
    told = conf(unit)["DEFAULT"]
    assert told["log_dir"] == "/var/log/x" and told["wait"] == "$$5" and told["default_log_levels"] == "a=INFO"
    for wrong in ("nonsense", "a b=c", "x=1\n[api]\npassword=y"):
        out = unit.run(unit.on.config_changed(), whole(config={"config-flags": wrong}))
        assert out.unit_status.name == "blocked"
    assert conf(unit)["DEFAULT"]["log_dir"] == "/var/log/x"


def test_a_limited_role_is_another_user(unit):
    out = unit.run(unit.on.config_changed(), whole(config={"monitor-role": "masakari_monitor"}))
    relation = next(found for found in out.relations if found.endpoint == "identity-credentials")
    assert given.told(out, relation) == {
        "username": "masakari-monitors-masakari_monitor",
        "project": "services",
        # Keystone's charm grants before it creates, and an unknown role puts its unit into error: none is requested here.
        "requested_grants": "masakari_monitor",
    }
    # Until Keystone has answered, the monitors go on with what they have.
    assert out.unit_status == testing.ActiveStatus("Unit is ready")
    out = unit.run(unit.on.config_changed(), dataclasses.replace(out, config={}))
    assert "requested_grants" not in given.told(out, relation)
    out = unit.run(unit.on.config_changed(), whole(config={"monitor-role": "a,admin"}))
    assert out.unit_status.name == "blocked"


def test_the_process_monitor_runs_where_there_is_a_list(unit):
    text = "- process_name: nova-compute\n  start_command: systemctl start nova-compute\n"
    out = unit.run(unit.on.config_changed(), whole(config={"process-list": text}))
    assert unit.read("/etc/masakarimonitors/process_list.yaml") == text
    assert "masakari-process-monitor" in unit.machine.units
    for wrong in ("a: b", "- x", "[", "- process_name: ''"):
        out = unit.run(unit.on.config_changed(), whole(config={"process-list": wrong}))
        assert out.unit_status.name == "blocked" and "process-list" in out.unit_status.message
    assert unit.read("/etc/masakarimonitors/process_list.yaml") == text
    unit.run(unit.on.config_changed(), whole())
    assert "masakari-process-monitor" not in unit.machine.units


@pytest.mark.parametrize(("release", "form", "other"), [("24.04", "rules", "pkla"), ("22.04", "pkla", "rules")])
def test_the_process_monitor_may_restart_what_its_list_names_and_no_longer_than_there_is_one(unit, release, form, other):
    text = "- process_name: nova-compute\n  start_command: systemctl start nova-compute\n"
    files = {
        "rules": "/etc/polkit-1/rules.d/49-tachi-process-monitor.rules",
        "pkla": "/etc/polkit-1/localauthority/50-local.d/49-tachi-process-monitor.pkla",
    }
    unit.machine.write("/etc/os-release", f'VERSION_ID="{release}"\n')
    unit.machine.answers["tachi-monitor init polkit"] = (0, "the rule\n", "")
    out = unit.run(unit.on.config_changed(), whole(config={"process-list": text}))
    assert unit.read(files[form]) == "the rule\n" and unit.read(files[other]) is None
    assert unit.machine.modes[files[form]] == (0o644, "root", "root")
    asked = f"tachi-monitor init polkit --process-list /etc/masakarimonitors/process_list.yaml --form {form}"
    assert set(unit.machine.did("tachi-monitor init")) == {asked}
    unit.machine.answers["tachi-monitor init polkit"] = (1, "", "no rule is needed")
    unit.run(unit.on.config_changed(), dataclasses.replace(out, config={"process-list": "- process_name: own\n"}))
    assert unit.read(files[form]) is None
    unit.machine.answers["tachi-monitor init polkit"] = (0, "the rule\n", "")
    out = unit.run(unit.on.config_changed(), whole(config={"process-list": text}))
    assert unit.read(files[form]) == "the rule\n"
    unit.run(unit.on.config_changed(), dataclasses.replace(out, config={}))
    assert unit.read(files[form]) is None


def test_the_boot_guard_is_enabled_and_never_started_or_stopped(unit):
    out = unit.run(unit.on.config_changed(), whole(config={"boot-guard": True}))
    assert "tachi-boot-guard.service" in unit.machine.at_boot
    unit.run(unit.on.config_changed(), dataclasses.replace(out, config={}))
    assert "tachi-boot-guard.service" not in unit.machine.at_boot
    assert unit.machine.did("systemctl start tachi-boot", "systemctl stop tachi-boot") == []


def test_authorities(unit):
    unit.run(unit.on.config_changed(), whole(given.vault("masakari-monitors_0")))
    assert "CA" in unit.read("/usr/local/share/ca-certificates/masakari-monitors.crt")
    assert conf(unit)["api"]["cafile"] == "/etc/ssl/certs/ca-certificates.crt"
    assert unit.machine.did("update-ca-certificates")
    unit.run(unit.on.config_changed(), whole())
    assert "cafile" not in conf(unit)["api"]


def test_in_place_of_the_reactive_charm_and_back(unit):
    from charmhelpers.core import unitdata

    storage = unitdata.Storage(str(unit.charm_root / ".unit-state.db"))
    storage.set("reactive.states.charm.installed", None)
    storage.set("unit-paused", True)
    storage.flush()
    storage.close()
    unit.machine.packages |= dict.fromkeys(UPSTREAM, "17.0")
    out = unit.run(unit.on.upgrade_charm(), whole())
    assert set(unit.machine.packages) == {"tachi-monitors"}
    assert out.unit_status == testing.MaintenanceStatus("Paused. Use 'resume' action to resume normal service.")
    out = unit.run(unit.on.action("resume"), out)
    assert sorted(unit.machine.units) == SERVICES
    unit.machine.candidates |= dict.fromkeys(SERVICES, "17.0")
    out = unit.run(unit.on.action("restore-upstream-packages", params={"i-really-mean-it": True}), out)
    assert set(unit.machine.packages) == set(SERVICES) and sorted(unit.machine.units) == SERVICES
    out = unit.run(unit.on.config_changed(), out)
    assert "tachi-monitors" not in unit.machine.packages
    assert out.unit_status == testing.BlockedStatus("Masakari's packages are restored: refresh to the upstream charm")
    out = unit.run(unit.on.upgrade_charm(), out)
    assert "tachi-monitors" in unit.machine.packages and out.unit_status == testing.ActiveStatus("Unit is ready")


def test_pause_and_resume(unit):
    out = unit.run(unit.on.config_changed(), whole())
    out = unit.run(unit.on.action("pause"), out)
    assert unit.machine.units == {}
    out = unit.run(unit.on.config_changed(), dataclasses.replace(out, config={"debug": True}))
    assert unit.machine.units == {} and out.unit_status.name == "maintenance"
    with pytest.raises(testing.ActionFailed, match="paused"):
        unit.run(unit.on.action("restart-services"), out)
    out = unit.run(unit.on.action("resume"), out)
    assert sorted(unit.machine.units) == SERVICES


def test_check(unit):
    with pytest.raises(testing.ActionFailed, match="needs identity-credentials first"):
        unit.run(unit.on.action("check"), testing.State())
    out = unit.run(unit.on.config_changed(), whole())
    unit.machine.answers["tachi-monitor check"] = (0, json.dumps({"good": True, "findings": []}), "")
    unit.run(unit.on.action("check"), out)
    assert unit.context.action_results["outcome"] == "good"
    assert unit.machine.did("tachi-monitor")[0].endswith("-f json host instance")
    findings = [{"part": "log-in", "told": "wrong", "text": "401"}, {"part": "host", "told": "good", "text": ""}]
    unit.machine.answers["tachi-monitor check"] = (1, json.dumps({"good": False, "findings": findings}), "")
    with pytest.raises(testing.ActionFailed, match="log-in"):
        unit.run(unit.on.action("check"), out)
    unit.machine.answers["tachi-monitor check"] = (2, "", "configuration: wrong")
    with pytest.raises(testing.ActionFailed, match="could not run"):
        unit.run(unit.on.action("check"), out)
