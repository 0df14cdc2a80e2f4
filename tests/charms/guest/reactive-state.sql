-- .unit-state.db of a unit of the reactive charm: tables and values as its library (charmhelpers) writes them.
BEGIN TRANSACTION;
CREATE TABLE hooks (
               version integer primary key autoincrement,
               hook text,
               date text
               );
INSERT INTO "hooks" VALUES(1,'hooks/install','2026-01-01T00:00:00.000000');
INSERT INTO "hooks" VALUES(2,'hooks/shared-db-relation-changed','2026-01-01T00:00:00.000000');
INSERT INTO "hooks" VALUES(3,'hooks/identity-service-relation-changed','2026-01-01T00:00:00.000000');
CREATE TABLE kv (
               key text,
               data text,
               primary key (key)
               );
INSERT INTO "kv" VALUES('reactive.states.charm.installed','null');
INSERT INTO "kv" VALUES('reactive.states.amqp.connected','null');
INSERT INTO "kv" VALUES('reactive.states.amqp.available','null');
INSERT INTO "kv" VALUES('reactive.states.shared-db.connected','null');
INSERT INTO "kv" VALUES('reactive.states.shared-db.available','null');
INSERT INTO "kv" VALUES('reactive.states.identity-service.connected','null');
INSERT INTO "kv" VALUES('reactive.states.identity-service.available','null');
INSERT INTO "kv" VALUES('reactive.states.identity-service.available.auth','null');
INSERT INTO "kv" VALUES('reactive.states.cluster.connected','null');
INSERT INTO "kv" VALUES('reactive.states.cluster.available','null');
INSERT INTO "kv" VALUES('reactive.states.config.rendered','null');
INSERT INTO "kv" VALUES('reactive.states.haproxy.stat.password','"JkQ2recordedPassword0000000000xx"');
INSERT INTO "kv" VALUES('reactive.states.ssl.enabled','false');
INSERT INTO "kv" VALUES('unit-paused','false');
INSERT INTO "kv" VALUES('charm.openstack.release','"caracal"');
CREATE TABLE kv_revisions (
               key text,
               revision integer,
               data text,
               primary key (key, revision)
               );
INSERT INTO "kv_revisions" VALUES('reactive.states.charm.installed',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.amqp.connected',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.amqp.available',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.shared-db.connected',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.shared-db.available',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.identity-service.connected',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.identity-service.available',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.identity-service.available.auth',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.cluster.connected',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.cluster.available',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.config.rendered',1,'null');
INSERT INTO "kv_revisions" VALUES('reactive.states.haproxy.stat.password',1,'"JkQ2recordedPassword0000000000xx"');
INSERT INTO "kv_revisions" VALUES('reactive.states.ssl.enabled',1,'false');
INSERT INTO "kv_revisions" VALUES('unit-paused',1,'false');
INSERT INTO "kv_revisions" VALUES('charm.openstack.release',1,'"caracal"');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('hooks',3);
COMMIT;
