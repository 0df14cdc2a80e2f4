"""The packed charms: what is in them, and that Python alone runs them."""

import pathlib
import shutil
import subprocess
import sys
import zipfile

import agent
import pytest
import yaml

REPO = pathlib.Path(__file__).resolve().parents[2]
CHARMS = ["masakari", "masakari-monitors", "pacemaker-remote"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    debs = folder / "debs"
    debs.mkdir()
    for package in ("tachi", "tachi-monitors"):
        for arch in ("amd64", "arm64"):
            (debs / f"{package}_0.9.0_{arch}.deb").write_text(f"{package} for {arch}")
    wheels = folder / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "--only-binary=:all:",
         "--python-version=3.10", "--platform=manylinux2014_x86_64", "-r", REPO / "charms/requirements.txt", "-d", wheels],
        check=True,
    )  # fmt: skip
    for out in ("one", "two"):
        subprocess.run(
            [sys.executable, REPO / "charms/build", "--debs", debs, "--out", folder / out, "--wheels", wheels], check=True
        )
    return folder


def test_the_same_input_gives_the_same_bytes(built):
    files = sorted(file.name for file in (built / "one").iterdir())
    assert len(files) == 12
    for name in files:
        assert (built / "one" / name).read_bytes() == (built / "two" / name).read_bytes()


@pytest.mark.parametrize("charm", CHARMS)
def test_what_is_in_a_charm(built, charm):
    spec = yaml.safe_load((REPO / f"charms/{charm}/charmcraft.yaml").read_text())
    for name in (charm, f"tachi-{charm}"):
        with zipfile.ZipFile(built / f"one/{name}_arm64.charm") as archive:
            names = archive.namelist()
            metadata = yaml.safe_load(archive.read("metadata.yaml"))
            assert metadata["name"] == name
            for key in ("requires", "provides", "peers", "extra-bindings", "resources", "subordinate", "assumes"):
                assert metadata.get(key) == spec.get(key), key
            assert yaml.safe_load(archive.read("config.yaml")) == spec["config"]
            assert yaml.safe_load(archive.read("actions.yaml")) == spec["actions"]
            bases = yaml.safe_load(archive.read("manifest.yaml"))["bases"]
            assert [(base["channel"], base["architectures"]) for base in bases] == [("22.04", ["arm64"]), ("24.04", ["arm64"])]
            assert archive.getinfo("dispatch").external_attr >> 16 == 0o100755
            # Pure Python: one charm serves every release of its base.
            assert not [one for one in names if one.endswith((".so", ".pyc"))]
            debs = [one for one in names if one.startswith("debs/")]
            wanted = {"masakari": "tachi", "masakari-monitors": "tachi-monitors"}.get(charm)
            assert debs == ([f"debs/{wanted}_0.9.0_arm64.deb"] if wanted else [])


def test_a_missing_deb_is_said(built, tmp_path):
    done = subprocess.run(
        [sys.executable, REPO / "charms/build", "--debs", tmp_path, "--out", tmp_path, "--wheels", built / "wheels", "masakari"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "tachi_VERSION_amd64.deb" in done.stderr
    done = subprocess.run([sys.executable, REPO / "charms/build"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--without-debs" in done.stderr


@pytest.mark.parametrize("python", ["/usr/bin/python3", "python3.10", "python3.12", "python3.13"])
def test_dispatch_runs(built, tmp_path, python):
    """With the tools of a Juju that we write, and nothing to install: so nothing of this machine is touched."""
    found = shutil.which(python)
    if not found or subprocess.run([found, "-c", ""], check=False).returncode:
        if python == "/usr/bin/python3":
            pytest.fail("this machine has no python3")
        return
    unit = agent.Agent(tmp_path / "unit", "masakari-monitors/0", "192.0.2.1", python=None if python.startswith("/") else found)
    charm = tmp_path / "bare.charm"
    with zipfile.ZipFile(built / "one/masakari-monitors_amd64.charm") as full, zipfile.ZipFile(charm, "w") as bare:
        for info in full.infolist():
            if not info.filename.startswith("debs/"):
                bare.writestr(info, full.read(info))
    unit.deploy(charm)
    status = unit.fire("config-changed")
    assert status[0] == "blocked" and status[1].startswith("package tachi-monitors is not available")
    assert unit.act("check")["failed"].startswith("this unit has no masakarimonitors.conf")
    assert unit.act("restore-upstream-packages", i_really_mean_it=False)["failed"]
