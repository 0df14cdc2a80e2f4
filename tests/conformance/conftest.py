"""Fixtures: one region, one database and one service for the whole run; an empty database for every test.

TACHI                     the binary
TACHI_TEST_DATABASE       sqlite (default), mysql or postgres; the latter with TACHI_TEST_MYSQL_URL or ..._POSTGRES_URL
TACHI_CONFORMANCE_TARGET  `upstream` runs Masakari's own API instead (TACHI_UPSTREAM_VENV: where it is installed)
"""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from client import Client  # noqa: E402
from database import open_database  # noqa: E402
from region import Region  # noqa: E402
from services import service_class  # noqa: E402

UPSTREAM = os.environ.get("TACHI_CONFORMANCE_TARGET") == "upstream"


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "ours_only(why): Masakari answers otherwise (FIX in the specification, or deliberate), so it is not asked")


def pytest_collection_modifyitems(config, items):
    """Against Masakari the tests of what it does otherwise are left out, and counted as such."""
    if not UPSTREAM:
        return
    left_out = [item for item in items if item.get_closest_marker("ours_only")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("ours_only")]


@pytest.fixture(scope="session")
def region(tmp_path_factory):
    region = Region(os.environ["TACHI"], str(tmp_path_factory.mktemp("region")))
    yield region
    region.stop()


@pytest.fixture(scope="session")
def the_database(tmp_path_factory):
    database = open_database(os.environ.get("TACHI_TEST_DATABASE", "sqlite"), str(tmp_path_factory.mktemp("database")))
    yield database
    database.close()


@pytest.fixture(scope="session")
def api(region, the_database, tmp_path_factory):
    """The service under test."""
    service = service_class()(region, the_database, str(tmp_path_factory.mktemp("api")))
    region.register("http://127.0.0.1:%d/v1/$(tenant_id)s" % service.port)
    yield service
    service.stop()


@pytest.fixture
def database(the_database, api):
    """The database, empty."""
    the_database.empty()
    return the_database


@pytest.fixture
def variant(region, the_database, tmp_path):
    """Starts further services on the same database with more configuration; they end with the test."""
    started = []

    def start(more):
        service = service_class()(region, the_database, str(tmp_path), more)
        started.append(service)
        return service

    yield start
    for service in started:
        service.stop()


@pytest.fixture(scope="session")
def admin(region):
    """An administrator's token and project id."""
    return region.token()


@pytest.fixture(scope="session")
def member(region):
    """The token and project id of somebody without the role."""
    return region.token("tachi-sandbox-demo")


@pytest.fixture
def ha(api, database, admin):
    """A client with an administrator's token, at the newest microversion, on paths without a project."""
    return Client(api.address, admin[0])


@pytest.fixture
def hosts(region):
    """Names that Nova knows."""
    return region.hosts


@pytest.fixture
def nova(region):
    """The region, healed afterwards."""
    yield region
    region.heal()
