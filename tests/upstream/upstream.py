"""Upstream's database code on a database of our choosing. Import this before anything of masakari's.

Run it with the Python of `tests/upstream/venv.sh`.
"""
import logging
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

# pylint: disable=wrong-import-position
import sqlalchemy  # noqa: E402
from oslo_config import cfg  # noqa: E402

import masakari.conf  # noqa: E402
from masakari import objects  # noqa: E402
from masakari.db import api as db_api  # noqa: E402
from masakari.db.sqlalchemy import migration  # noqa: E402

# What upstream's migrations are called, oldest first; the last two are from before alembic.
REVISIONS = ("8f848eb45d03", "8bdf5929c5a6", "13adff5efb9a")
LEGACY = {"legacy-7": ("8f848eb45d03", 7), "legacy-8": ("8bdf5929c5a6", 8)}
STATES = tuple(LEGACY) + REVISIONS
TABLES = ("failover_segments", "hosts", "notifications", "vmoves")


def configure(connection):
    """Points upstream's code at a database (an SQLAlchemy URL)."""
    cfg.CONF([], project="masakari", default_config_files=[])
    masakari.conf.CONF.set_override("connection", connection, "database")
    # The tables of its workflow library stand beside its own, as deployment tools have it.
    masakari.conf.CONF.set_override("connection", connection, "taskflow")
    objects.register_all()


def create(connection):
    """An empty database of that name on its server; of SQLite the file makes itself."""
    url = sqlalchemy.make_url(connection)
    if url.get_backend_name() == "sqlite":
        return
    admin = url.set(database="postgres" if url.get_backend_name() == "postgresql" else "mysql")
    with sqlalchemy.create_engine(admin, isolation_level="AUTOCOMMIT").connect() as server:
        server.exec_driver_sql("DROP DATABASE IF EXISTS " + url.database)
        server.exec_driver_sql("CREATE DATABASE " + url.database)


def engine():
    return db_api.get_engine()


def sync(state):
    """Upstream's own migrations, as far as `state`; before alembic the note was of another kind."""
    revision, version = LEGACY.get(state, (state, None))
    if engine().dialect.name == "mysql" and version is not None:
        # What the first releases were installed on: three bytes a character.
        with engine().begin() as connection:
            connection.exec_driver_sql("ALTER DATABASE CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci")
    migration.db_sync(version=revision)
    if version is not None:
        with engine().begin() as connection:
            connection.exec_driver_sql("DROP TABLE masakari_alembic_version")
            connection.exec_driver_sql(
                "CREATE TABLE migrate_version (repository_id VARCHAR(250) NOT NULL PRIMARY KEY, repository_path TEXT, "
                "version INTEGER)")
            connection.execute(sqlalchemy.text("INSERT INTO migrate_version VALUES ('masakari', '/old', :version)"),
                               {"version": version})


def tables():
    """The tables as the database itself describes them."""
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine())
    return metadata.tables
