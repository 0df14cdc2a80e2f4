"""An application credential for each unit of the monitors, bound to its host."""

import configparser
import dataclasses
import json

import pytest
from ops import testing

import given

ENDPOINT = "monitor-credentials"
ENTRY = {"host": "juju-1-lxd-0.maas", "secret": "secret:1"}
CONTENT = {"auth-url": "http://10.0.0.3:5000/v3", "credential-id": "c1", "credential-secret": "s$1"}


@pytest.fixture
def api(bench):
    found = bench("masakari")
    debs = found.charm_root / "debs"
    debs.mkdir()
    (debs / "tachi_0.9.0_amd64.deb").touch()
    run = found.machine.run
    found.fails = set()
    found.made = []

    def init(command, check=True, timeout=1800):
        done = run(command, check, timeout)
        if command[:3] == ["tachi", "setup", "monitors"]:
            hosts = [command[at + 1] for at, word in enumerate(command) if word == "--host"]
            out = command[command.index("--out") + 1]
            for host in hosts:
                if host in found.fails:
                    return _failed(done, "Keystone does not answer")
                found.made.append(host)
                with open(f"{out}/{host}.conf", "w", encoding="utf-8") as file:
                    file.write(
                        "[api]\nauth_type = v3applicationcredential\nauth_url = http://10.0.0.3:5000/v3\n"
                        f"application_credential_id = id-{len(found.made)}\napplication_credential_secret = of-{host}\n"
                    )
        return done

    found.machine.run = init
    return found


def _failed(done, why):
    done.returncode, done.stderr = 1, f"tachi: {why}\n"
    return done


def asked(app_data=None, **hosts):
    """asked(u0="compute-0"): units, and the host that each says it is on."""
    units = {int(name[1:]): {"host": host} if host else {} for name, host in hosts.items()}
    return testing.Relation(
        ENDPOINT,
        interface="tachi-monitor-credentials",
        remote_app_name="masakari-monitors",
        remote_units_data=units,
        local_app_data=app_data or {},
    )


def whole(*more, **state):
    relations = {given.database(), given.amqp(), given.keystone(service_domain_id="d1"), *more}
    return testing.State(relations=relations, networks=given.networks(), **{"leader": True, **state})


def answered(out, relation):
    return {unit: json.loads(text) for unit, text in out.get_relation(relation.id).local_app_data.items()}


def again(out, relation, **changes):
    """The same model with that relation changed."""
    found = dataclasses.replace(out.get_relation(relation.id), **changes)
    return found, dataclasses.replace(out, relations={found, *(one for one in out.relations if one.id != relation.id)})


def test_each_unit_gets_a_secret_that_it_alone_may_read(api):
    relation = asked(u0="compute-0", u1="compute-1", u2=None)
    out = api.run(api.on.relation_changed(relation), whole(relation))
    assert out.unit_status == testing.ActiveStatus("Unit is ready")
    told = answered(out, relation)
    assert {unit: one["host"] for unit, one in told.items()} == {
        "masakari-monitors/0": "compute-0",
        "masakari-monitors/1": "compute-1",
    }
    for unit, one in told.items():
        secret = next(found for found in out.secrets if found.id == one["secret"])
        assert secret.owner == "app" and secret.remote_grants == {relation.id: {unit}}
        assert secret.tracked_content["credential-secret"] == f"of-{one['host']}"
    command = api.machine.did("tachi setup monitors")
    assert (
        len(command) == 1
        and "--renew --user masakari-monitors-by-host --role masakari_monitor --project services --domain d1" in command[0]
    )
    assert not api.machine.path("/run/tachi-charm/monitors").exists()
    out = api.run(api.on.update_status(), out)
    assert api.machine.did("tachi init") == [] and answered(out, relation) == told


def test_only_the_leader_makes_them(api):
    relation = asked(u0="compute-0")
    out = api.run(api.on.relation_changed(relation), whole(relation, leader=False))
    assert api.machine.did("tachi init") == [] and out.get_relation(relation.id).local_app_data == {}


def test_a_unit_cannot_have_the_credential_of_another_host(api):
    relation = asked(u0="compute-0", u1="compute-1")
    out = api.run(api.on.relation_changed(relation), whole(relation))
    before = answered(out, relation)
    # It says that it is on another host: one that has a unit, one that has none, and one that is no host's name.
    for host in ("compute-1", "compute-9", "--config-file", "a b; rm", "x" * 300):
        relation, state = again(out, relation, remote_units_data={0: {"host": host}, 1: {"host": "compute-1"}})
        out = api.run(api.on.relation_changed(relation), state)
        assert api.machine.did("tachi init") == [] and answered(out, relation) == before, host
        assert "masakari-monitors/0" in out.unit_status.message and "rm" not in out.unit_status.message
    # Nor can one that comes later take a host that has a unit.
    relation, state = again(
        out, relation, remote_units_data={0: {"host": "compute-0"}, 1: {"host": "compute-1"}, 2: {"host": "compute-1"}}
    )
    out = api.run(api.on.relation_changed(relation), state)
    assert api.machine.did("tachi init") == [] and answered(out, relation) == before
    assert out.unit_status.message == "Unit is ready; masakari-monitors/2 claims compute-1, which belongs to masakari-monitors/1"


def test_two_that_name_one_host_at_once_do_not_both_get_it(api):
    relation = asked(u0="compute-0", u1="compute-0")
    out = api.run(api.on.relation_changed(relation), whole(relation))
    assert list(answered(out, relation)) == ["masakari-monitors/0"] and api.made == ["compute-0"]


def test_a_unit_after_one_that_is_gone_gets_a_new_one(api):
    relation = asked(u0="compute-0")
    out = api.run(api.on.relation_changed(relation), whole(relation))
    old = answered(out, relation)["masakari-monitors/0"]["secret"]
    relation, state = again(out, relation, remote_units_data={3: {"host": "compute-0"}})
    out = api.run(api.on.relation_changed(relation), state)
    told = answered(out, relation)
    assert list(told) == ["masakari-monitors/3"] and told["masakari-monitors/3"]["secret"] != old
    assert [found.id for found in out.secrets] == [told["masakari-monitors/3"]["secret"]]
    assert api.made == ["compute-0", "compute-0"]


def test_what_keystone_refuses_is_told_and_tried_again(api):
    api.fails = {"compute-1"}
    relation = asked(u0="compute-0", u1="compute-1")
    out = api.run(api.on.relation_changed(relation), whole(relation))
    assert list(answered(out, relation)) == ["masakari-monitors/0"]
    assert out.unit_status == testing.ActiveStatus("Unit is ready; no credential for compute-1: tachi: Keystone does not answer")
    api.fails = set()
    out = api.run(api.on.update_status(), out)
    assert len(answered(out, relation)) == 2 and out.unit_status == testing.ActiveStatus("Unit is ready")


# --- the monitors' side ---

CONF = "/etc/masakarimonitors/masakarimonitors.conf"


@pytest.fixture
def monitors(bench):
    found = bench("masakari-monitors")
    debs = found.charm_root / "debs"
    debs.mkdir()
    (debs / "tachi-monitors_0.9.0_amd64.deb").touch()
    return found


def offered(entry=None):
    data = {"masakari-monitors/0": json.dumps(entry)} if entry else {}
    return testing.Relation(ENDPOINT, interface="tachi-monitor-credentials", remote_app_name="masakari", remote_app_data=data)


def section(unit):
    parser = configparser.RawConfigParser()
    parser.read_string(unit.read(CONF))
    return dict(parser["api"])


def keystone():
    data = {f"auth_{key}": value for key, value in (("host", "10.0.0.3"), ("port", "35357"), ("protocol", "http"))}
    data |= {f"credentials_{key}": key for key in ("username", "password", "project")}
    return testing.Relation("identity-credentials", remote_app_name="keystone", remote_units_data={0: data})


def test_a_unit_says_where_it_is_and_takes_what_it_is_given(monitors):
    relation = offered()
    out = monitors.run(monitors.on.relation_created(relation), testing.State(relations={relation}))
    assert given.told(out, relation) == {"host": "juju-1-lxd-0.maas"}
    assert out.unit_status == testing.BlockedStatus("'identity-credentials' missing")
    relation = offered(ENTRY)
    secret = testing.Secret(CONTENT, id="secret:1")
    out = monitors.run(monitors.on.relation_changed(relation), testing.State(relations={relation}, secrets={secret}))
    assert out.unit_status == testing.ActiveStatus("Unit is ready")
    told = section(monitors)
    assert told["auth_type"] == "v3applicationcredential" and told["application_credential_secret"] == "s$$1"
    assert told["application_credential_id"] == "c1" and "password" not in told and "username" not in told
    # A new one restarts them.
    newer = testing.Secret(CONTENT, id="secret:1", latest_content={**CONTENT, "credential-id": "c2"})
    monitors.run(monitors.on.config_changed(), testing.State(relations={relation}, secrets={newer}))
    assert section(monitors)["application_credential_id"] == "c2" and monitors.machine.did("systemctl restart")


def test_until_then_keystones_user_does(monitors):
    relation = offered()
    monitors.run(monitors.on.config_changed(), testing.State(relations={relation, keystone()}))
    assert section(monitors)["auth_type"] == "password"
    relation = offered(ENTRY)
    secret = testing.Secret(CONTENT, id="secret:1")
    monitors.run(monitors.on.config_changed(), testing.State(relations={relation, keystone()}, secrets={secret}))
    assert section(monitors)["auth_type"] == "v3applicationcredential"


@pytest.mark.parametrize("entry", [{**ENTRY, "host": "another"}, {"host": 1}, ["x"], {**ENTRY, "secret": "secret:none"}])
def test_what_is_not_for_this_host_or_cannot_be_read_is_not_taken(monitors, entry):
    relation = offered(entry)
    out = monitors.run(
        monitors.on.config_changed(), testing.State(relations={relation}, secrets={testing.Secret(CONTENT, id="secret:1")})
    )
    assert out.unit_status == testing.BlockedStatus("'identity-credentials' missing") and monitors.read(CONF) is None
