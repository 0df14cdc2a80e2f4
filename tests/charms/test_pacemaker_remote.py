"""The charm of pacemaker_remote, hook by hook."""

import base64
import dataclasses
import json

import pytest
from ops import testing
from tachi_charm.memory import Memory

import given

KEY = "/etc/pacemaker/authkey"
BINARY = bytes(range(256))
SERVICES = ["pacemaker_remote", "pcsd"]


@pytest.fixture
def unit(bench):
    return bench("pacemaker-remote")


def hacluster(key=None, **units):
    data = {"pacemaker-key": base64.b64encode(key).decode()} if key else {}
    return testing.Relation("pacemaker-remote", remote_app_name="hacluster", remote_units_data={0: data, **units})


def state(relation, **more):
    host = testing.SubordinateRelation("juju-info", remote_app_name="nova-compute")
    networks = {testing.Network("pacemaker-remote", [testing.BindAddress([testing.Address("10.0.0.31")])])}
    return testing.State(relations={host, relation}, networks=networks, **more)


def test_it_is_not_ready_before_it_has_a_key(unit):
    out = unit.run(unit.on.config_changed(), testing.State())
    assert out.unit_status == testing.BlockedStatus("'pacemaker-remote' missing")
    relation = hacluster()
    out = unit.run(unit.on.relation_joined(relation, remote_unit=0), state(relation))
    assert out.unit_status == testing.WaitingStatus("'pacemaker-remote' incomplete")
    assert given.told(out, relation) == {
        "remote-hostname": '"juju-1-lxd-0.maas"',
        "remote-ip": '"10.0.0.31"',
        "stonith-hostname": "null",
        "enable-resources": "true",
    }


def test_the_key_is_written_for_the_cluster_alone(unit):
    relation = hacluster(BINARY)
    out = unit.run(unit.on.relation_changed(relation, remote_unit=0), state(relation))
    assert out.unit_status == testing.ActiveStatus("Unit is ready")
    assert unit.machine.read_bytes(KEY) == BINARY
    assert unit.machine.modes[KEY] == (0o440, "hacluster", "haclient")
    assert sorted(unit.machine.units) == SERVICES


def test_a_flip_of_the_option_is_published(unit):
    relation = hacluster(BINARY)
    out = unit.run(unit.on.relation_changed(relation, remote_unit=0), state(relation))
    config = {"enable-stonith": True, "enable-resources": False}
    out = unit.run(unit.on.config_changed(), dataclasses.replace(out, config=config))
    told = given.told(out, relation)
    assert (told["stonith-hostname"], told["enable-resources"]) == ('"juju-1-lxd-0.maas"', "false")
    out = unit.run(unit.on.config_changed(), dataclasses.replace(out, config={}))
    assert given.told(out, relation)["stonith-hostname"] == "null"


def test_a_refresh_restarts_nothing_and_mends_the_mode(unit):
    unit.machine.packages |= dict.fromkeys(["pacemaker-remote", "pcs", "resource-agents", "corosync"], "1")
    unit.machine.units |= dict.fromkeys(SERVICES, "active")
    unit.machine.at_boot |= set(SERVICES)
    reactive = Memory(unit.charm_root)
    reactive.set("reactive.states.pacemaker-remote.installed", None)
    reactive.flush()
    path = unit.machine.path(KEY)
    path.parent.mkdir(parents=True)
    path.write_bytes(BINARY)
    path.chmod(0o444)
    before = path.stat().st_mtime_ns
    relation = hacluster(BINARY)
    out = unit.run(unit.on.upgrade_charm(), state(relation))
    assert unit.machine.did("systemctl restart", "systemctl start", "systemctl stop", "apt") == []
    assert path.stat().st_mtime_ns == before and path.stat().st_mode & 0o777 == 0o440
    assert out.unit_status == testing.ActiveStatus("Unit is ready")


@pytest.mark.parametrize("there", [[], ["corosync"]])
def test_what_the_package_of_corosync_drops_is_removed_once(unit, there):
    unit.machine.packages |= dict.fromkeys(there, "1")
    unit.machine.write("/etc/corosync/corosync.conf", "node1")
    unit.machine.write("/etc/corosync/uidgid.d/x", "x")
    unit.run(unit.on.install(), testing.State())
    assert unit.read("/etc/corosync/corosync.conf") is None and unit.machine.names("/etc/corosync/uidgid.d") == []
    # Afterwards it belongs to a user.
    unit.machine.write("/etc/corosync/corosync.conf", "an operator's")
    unit.run(unit.on.config_changed(), testing.State())
    assert unit.read("/etc/corosync/corosync.conf") == "an operator's"


@pytest.mark.parametrize("second, word", [(b"other", "different keys"), (None, "not base64")])
def test_a_key_that_cannot_be_right_is_not_written(unit, second, word):
    relation = hacluster(BINARY)
    if second:
        relation.remote_units_data[1] = {"pacemaker-key": base64.b64encode(second).decode()}
    else:
        relation.remote_units_data[0]["pacemaker-key"] = "§"
    out = unit.run(unit.on.relation_changed(relation, remote_unit=0), state(relation))
    assert out.unit_status.name == "blocked" and word in out.unit_status.message
    assert unit.machine.read_bytes(KEY) is None


def test_a_lost_relation_keeps_the_key(unit):
    """hacluster sends it on joined only, and the cluster may still watch this host."""
    relation = hacluster(BINARY)
    out = unit.run(unit.on.relation_changed(relation, remote_unit=0), state(relation))
    relation = out.get_relation(relation.id)
    out = unit.run(unit.on.relation_broken(relation), out)
    assert out.unit_status == testing.BlockedStatus("'pacemaker-remote' missing")
    assert unit.machine.read_bytes(KEY) == BINARY and sorted(unit.machine.units) == SERVICES


def test_status(unit):
    relation = hacluster(BINARY)
    out = unit.run(unit.on.relation_changed(relation, remote_unit=0), state(relation))
    unit.machine.answers["ss "] = (0, "0 0 10.0.0.31:3121 10.0.0.11:40000", "")
    unit.run(unit.on.action("status"), out)
    results = unit.context.action_results
    assert results["cluster"] == "connected" and results["pacemaker-remote"] == "running"
    assert len(results["key"]) == 12 and results["key-mode"] == "0o440"
    assert json.loads(results["told"])["remote-ip"] == '"10.0.0.31"'
