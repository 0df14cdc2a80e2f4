#!/bin/bash
# In a booted Debian with Debian's Masakari: switched to ours and back, with its data.
# shellcheck disable=SC2016,SC2086
# shellcheck source=tests/deploy/inside.sh
. /deploy/inside.sh
cd /deploy || exit 1
API=http://127.0.0.1:15868
CONF=/etc/masakari/masakari.conf
URL=sqlite:////var/lib/masakari/masakari.sqlite

# Debian's asks which rows there are; theirs and ours write the same file.
rows() { python3 -c 'import sqlite3; print(*(sqlite3.connect("/var/lib/masakari/masakari.sqlite").execute("SELECT (SELECT count(*) FROM notifications), (SELECT count(*) FROM hosts WHERE reserved = 1), (SELECT count(*) FROM notifications WHERE status = \"new\")").fetchone()))'; }
sql() { python3 -c 'import sqlite3, sys
with sqlite3.connect("/var/lib/masakari/masakari.sqlite") as db: print(*(db.execute(sys.argv[1]).fetchone() or ()))' "$1"; }
sed -i "s|^\[DEFAULT\]|$(configuration | sed ':a;N;$!ba;s/\n/\\n/g')|" $CONF
# Debian's file has a user, and no password until an operator writes one.
sed -i 's/^username = masakari$/&\npassword = secret/' $CONF
printf '[database]\nconnection = %s\n[taskflow]\nconnection = %s\n' $URL $URL >>$CONF
systemctl stop masakari-api masakari-engine masakari-host-monitor masakari-process-monitor
that "Debian's makes its database" su -s /bin/sh masakari -c "masakari-manage --config-file $CONF db sync"
# Empty before Masakari 16, whose migrations were not alembic's.
theirs="$(sql 'SELECT version_num FROM masakari_alembic_version' 2>/dev/null)"
python3 - <<'X'
import sqlite3, uuid
db = sqlite3.connect("/var/lib/masakari/masakari.sqlite")
segment = str(uuid.uuid4())
now = "2026-11-01 00:00:00.000000"
db.execute("INSERT INTO failover_segments (created_at, deleted, uuid, name, service_type, enabled, recovery_method) VALUES (?, 0, ?, 'old', 'COMPUTE', 1, 'auto')", (now, segment))
for number in range(4):
    db.execute("INSERT INTO hosts (created_at, deleted, uuid, name, reserved, type, control_attributes, failover_segment_id, on_maintenance) VALUES (?, 0, ?, ?, ?, 'COMPUTE', 'SSH', ?, 0)", (now, str(uuid.uuid4()), "cmp%d" % number, number == 3, segment))
host = db.execute("SELECT uuid FROM hosts LIMIT 1").fetchone()[0]
for number in range(1000):
    db.execute("INSERT INTO notifications (created_at, deleted, notification_uuid, generated_time, source_host_uuid, type, payload, status) VALUES (?, 0, ?, ?, ?, 'COMPUTE_HOST', '{\"event\": \"STOPPED\"}', ?)", (now, str(uuid.uuid4()), now, host, "new" if number < 3 else "finished"))
db.commit()
X
before="$(rows)"
that "1000 notifications, a reserved host, 3 open" equals "$before" "1000 1 3"
systemctl start masakari-api masakari-engine masakari-process-monitor
files="$(cd /etc && find masakari masakarimonitors -type f -exec md5sum {} + | sort)"
owners="$(cd /etc && find masakari masakarimonitors -printf '%p %u %g %m\n' | sort)"

that "ours install over Debian's" install_debs ./tachi_*.deb ./tachi-monitors_*.deb
for package in masakari-api masakari-engine masakari-common masakari-host-monitor; do
  that "$package is removed and not purged" equals "$(state_of $package)" config-files
done
for unit in masakari-api masakari-engine masakari-host-monitor masakari-instance-monitor masakari-process-monitor \
  masakari-introspective-instance-monitor; do
  that "the unit $unit is ours" grep -q /usr/bin/tachi "$(systemctl show -P FragmentPath $unit)"
done
for link in masakari-api masakari-manage masakari-hostmonitor; do
  that "$link is ours" sh -c "readlink /usr/bin/$link | grep -q '^tachi'"
done
that "no file of /etc is lost or changed" equals "$(cd /etc && find masakari masakarimonitors -type f -exec md5sum {} + | sort)" "$files"
that "the process monitor stays enabled" systemctl is-enabled masakari-process-monitor
that "the API answers, from Debian's configuration" within 60 answers $API/healthcheck
# Ubuntu's is served by an Apache.
that "and it is ours that listens" sh -c 'ss --no-header -ltnp "sport = :15868" | grep -q "\"tachi\""'
that "the engine runs" within 60 active masakari-engine
that "the monitors read Debian's configuration" sh -c 'su -s /bin/sh masakarimonitors -c "cat /etc/masakarimonitors/masakarimonitors.conf" >/dev/null'
that "no row is lost" equals "$(rows | cut -d' ' -f1,2)" "1000 1"
that "masakari-manage says the revision" equals "$(masakari-manage --config-file $CONF db version)" 13adff5efb9a
that "the hosts are shown" sh -c "curl -s $API/v1/segments -H 'X-Auth-Token: u:p' | grep -q '\"old\"'"
that "what was open was taken up, or ended with a reason" within 60 sh -c 'test "$(python3 -c "import sqlite3; print(sqlite3.connect(\"/var/lib/masakari/masakari.sqlite\").execute(\"SELECT count(*) FROM notifications WHERE status = \\\"new\\\"\").fetchone()[0])")" = 0'

# docs/migration.md, "Going back": an older Masakari does not know the revision that ours has written.
if [ -n "$theirs" ] && [ "$theirs" != 13adff5efb9a ]; then
  systemctl stop masakari-engine masakari-api
  that "the revision is set back to $theirs" sql "UPDATE masakari_alembic_version SET version_num = '$theirs'"
fi
that "and back" install_debs masakari-api masakari-engine masakari-common python3-masakari
that "ours is gone" equals "$(state_of tachi)" config-files
that "Debian's is there" equals "$(state_of masakari-engine)" installed
that "and what answers is not ours" within 60 sh -c 'ss --no-header -ltnp "sport = :15868" | grep -v "\"tachi\"" | grep -q .'
that "its unit is its own" grep -q init.d "$(systemctl show -P FragmentPath masakari-engine)"
that "no file of /etc is lost or changed by going back" equals "$(cd /etc && find masakari -type f -exec md5sum {} + | sort)" "$(printf '%s\n' "$files" | grep ' masakari/')"
that "owners and modes are as they were" equals "$(cd /etc && find masakari -printf '%p %u %g %m\n' | sort)" "$(printf '%s\n' "$owners" | grep '^masakari\(/\| \)')"
that "no row is lost by going back" equals "$(rows | cut -d' ' -f1,2)" "1000 1"
that "Debian's finds nothing to do" su -s /bin/sh masakari -c "masakari-manage --config-file $CONF db sync"
that "Debian's reads our rows" su -s /bin/sh masakari -c "python3 -c \"
from masakari import config, objects
from masakari.db.sqlalchemy import api
config.parse_args(['x', '--config-file', '$CONF'])
from masakari import context
print(len(api.notifications_get_all_by_filters(context.get_admin_context())))
\""
that "its engine is enabled and runs" within 30 active masakari-engine
that "purging ours takes nothing of Debian's" apt-get purge -y tachi
that "its engine stays enabled" systemctl is-enabled masakari-engine
that "its database stays" equals "$(rows | cut -d' ' -f1,2)" "1000 1"
ended
