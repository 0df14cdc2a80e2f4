//! The detection of duplicates: notifications that only repeat an earlier one.
//!
//! Masakari's rule compares payloads, and when a rack dies, a host has sent many of them within the window. If all were
//! read for each new one, the hundredth would cost a hundred times as much as the first. So each row stores a key of
//! everything that has to be equal, and only rows with the same key are read and compared. Rows of Masakari's own API
//! have no key: of these, all of the host are read.

use std::collections::BTreeMap;

use sea_orm::sea_query::{SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, FromQueryResult as _,
    QueryFilter as _, QueryTrait as _, Statement,
};
use sha2::{Digest as _, Sha256};
use tachi_domain::Timestamp;
use tachi_domain::entity::notification::{NewNotification, NotificationStatus};
use tachi_domain::evidence::GivenEvidence;
use tachi_domain::recovery::RecoveryKind;

use super::AcceptContext;
use crate::batches::batches;
use crate::convert::{self, Cell};
use crate::entity::{notification, recovery};
use crate::error::{Failure, Stop};
use crate::journal::stored_off_claim;
use crate::time::{from_column, to_column};
use crate::transaction::Tx;

/// The earlier notifications that others may repeat.
#[derive(Default)]
pub(super) struct Earlier {
    rows: Vec<notification::Model>,
    /// The evidence known to the recoveries of these notifications, by notification.
    evidence: BTreeMap<String, GivenEvidence>,
}

/// Returns the key that all repetitions of a notification share: type, host and payload, as a hash. Other notifications
/// may have the same key.
pub(super) fn repeat_key(new: &NewNotification, host: &str) -> i64 {
    let payload = new.payload.iter().flat_map(|(key, value)| [key, value]);
    let texts: Vec<&str> = [new.kind.as_str(), host]
        .into_iter()
        .chain(payload.map(String::as_str))
        .collect();
    number(&texts)
}

/// Returns the hash of texts.
fn number(texts: &[&str]) -> i64 {
    let mut hash = Sha256::new();
    for text in texts {
        // The length is included, so that no text can be confused with the end of the previous one.
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    i64::from_be_bytes(first)
}

/// Reads the notifications that [`AcceptContext::is_repeated`] needs for these cases, and perhaps some more.
pub(super) async fn earlier<'a>(
    tx: &Tx,
    cases: impl Iterator<Item = &'a AcceptContext<'a>>,
) -> Result<Earlier, Stop> {
    let (mut keys, mut hosts, mut since) = (Vec::new(), Vec::new(), None::<Timestamp>);
    let mut brings_evidence = false;
    for case in cases {
        keys.push(case.repeat_key());
        keys.extend(case.opposite_key());
        brings_evidence |= case.accept.new.evidence.is_some();
        hosts.push(case.host.uuid.as_str());
        since = Some(since.map_or(case.from(), |since| since.min(case.from())));
    }
    let (Some(since), Some(&key), Some(&host)) = (since, keys.first(), hosts.first()) else {
        return Ok(Earlier::default());
    };
    // Some cases of a batch may have been left out; the lists are padded so that the statement's text stays the same,
    // see `AcceptQueue::next`.
    keys.resize(keys.len().next_power_of_two(), key);
    hosts.resize(hosts.len().next_power_of_two(), host);

    let statement = statement(tx.get_database_backend(), since, keys, hosts)?;
    let mut rows = notification::Model::find_by_statement(statement).all(tx).await?;
    // The statement cannot filter this: with many keys SQLite would read every row that is not deleted.
    rows.retain(|row| row.deleted == Some(0));
    let evidence = if brings_evidence {
        evidence_of(tx, &rows).await?
    } else {
        BTreeMap::new()
    };
    Ok(Earlier { rows, evidence })
}

/// Reads the fencing evidence known to the recoveries of these notifications.
async fn evidence_of(tx: &Tx, rows: &[notification::Model]) -> Result<BTreeMap<String, GivenEvidence>, Stop> {
    let uuids: Vec<&str> = rows.iter().map(|row| row.notification_uuid.as_str()).collect();
    let mut evidence = BTreeMap::new();
    for batch in batches(&uuids) {
        let found = recovery::Entity::find()
            .filter(recovery::Column::NotificationUuid.is_in(batch))
            .filter(recovery::Column::OffWord.is_not_null())
            .all(tx)
            .await?;
        for row in found {
            let claim = stored_off_claim(&row)?.and_then(|claim| claim.evidence);
            evidence.extend(claim.map(|given| (row.notification_uuid, *given)));
        }
    }
    Ok(evidence)
}

fn statement(
    backend: DbBackend,
    since: Timestamp,
    keys: Vec<i64>,
    hosts: Vec<&str>,
) -> Result<Statement, Failure> {
    // A `DATETIME` column that Masakari created on MariaDB has no fraction: a time there that seems up to a second
    // older may be exactly the same.
    let loses_fractions = backend == DbBackend::MySql;
    let since = to_column(if loses_fractions {
        since.whole_seconds()
    } else {
        since
    })?;
    let of_the_time = || notification::Entity::find().filter(notification::Column::GeneratedTime.gte(since));
    let ours = of_the_time().filter(notification::Column::RepeatKey.is_in(keys));
    let masakaris = of_the_time()
        .filter(notification::Column::RepeatKey.is_null())
        .filter(notification::Column::SourceHostUuid.is_in(hosts));
    // A union lets the database find both parts by index. With one condition made of two, it may read the whole table.
    let mut both: SelectStatement = ours.into_query();
    both.union(UnionType::All, masakaris.into_query());
    Ok(backend.build(&both))
}

impl AcceptContext<'_> {
    /// Returns the key that its repetitions share. For a muted reporter, only its own reports can share it.
    pub(super) fn repeat_key(&self) -> i64 {
        let key = repeat_key(self.accept.new, &self.host.uuid);
        // A muted reporter's report can repeat only its own, and no other reporter's report repeats it.
        self.accept
            .muted
            .map_or(key, |voice| number(&[&key.to_string(), voice]))
    }

    /// Returns the key of the opposite report about a process: that it has started, or stopped.
    fn opposite_key(&self) -> Option<i64> {
        Some(repeat_key(&self.opposite()?, &self.host.uuid))
    }

    /// Returns the opposite report about a process.
    fn opposite(&self) -> Option<NewNotification> {
        if self.kind != RecoveryKind::Process || self.accept.muted.is_some() {
            return None;
        }
        let event = match self.accept.new.payload.get("event")?.as_str() {
            "STOPPED" => "STARTED",
            "STARTED" => "STOPPED",
            _ => return None,
        };
        let mut opposite = self.accept.new.clone();
        opposite.payload.insert("event".to_owned(), event.to_owned());
        Some(opposite)
    }

    /// Returns the time since which an equal notification makes this one a repetition.
    fn from(&self) -> Timestamp {
        let window = i64::from(self.accept.window_seconds);
        let at = self.accept.new.generated_time.min(self.accept.now);
        at.minus_seconds(window)
    }

    /// Applies Masakari's rule: a repetition has the same type, host and payload as a notification generated less than
    /// a window before it, or at any later time.
    ///
    /// The time of arrival limits the generated time, whatever the reporter's clock shows. Otherwise a report dated in
    /// the future would block reports about its host until then. For a stopped host a failed notification does not
    /// count, because repeating it requests another attempt. Nor does one after which the host, the instance or the
    /// process was seen running, unless this is that very report again.
    pub(super) fn is_repeated(&self, earlier: &Earlier) -> Result<bool, Stop> {
        let from = self.from();
        let new = self.accept.new;
        for row in &earlier.rows {
            if row.source_host_uuid != self.host.uuid || row.kind != new.kind.as_str() {
                continue;
            }
            let at = from_column(row.generated_time);
            let at = row.created_at.map_or(at, |arrived| at.min(from_column(arrived)));
            if at < from && (at != at.whole_seconds() || at < from.whole_seconds()) {
                continue;
            }
            if self.host_stopped
                && (row.status == NotificationStatus::Failed.as_str() || self.may_know_more(row)?)
            {
                continue;
            }
            let cell = Cell {
                table: "notifications",
                row: &row.notification_uuid,
                column: "payload",
            };
            if convert::payload(cell, row.payload.as_deref())? != new.payload {
                continue;
            }
            let generated = from_column(row.generated_time);
            // The column may be a `DATETIME` without a fraction.
            let is_same = generated == new.generated_time
                || generated == generated.whole_seconds() && generated == new.generated_time.whole_seconds();
            if is_same || !self.is_another_failure(row, earlier)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if the subject of `row` has run since its report was handled, so that this report is about another failure.
    fn is_another_failure(&self, row: &notification::Model, earlier: &Earlier) -> Result<bool, Stop> {
        let cell = |column| Cell {
            table: "notifications",
            row: &row.notification_uuid,
            column,
        };
        let status = cell("status").parse(&row.status, NotificationStatus::from_value)?;
        if status.is_open() {
            return Ok(false);
        }
        let fencing = self
            .accept
            .new
            .evidence
            .as_deref()
            .zip(earlier.evidence.get(&row.notification_uuid));
        if row.running_again == Some(true) || fencing.is_some_and(|(new, old)| new.is_of_another_fencing(old))
        {
            return Ok(true);
        }
        let Some(opposite) = self.opposite() else {
            return Ok(false);
        };
        for other in &earlier.rows {
            let later =
                other.id > row.id && other.source_host_uuid == row.source_host_uuid && other.kind == row.kind;
            let cell = Cell {
                table: "notifications",
                row: &other.notification_uuid,
                column: "payload",
            };
            if later && convert::payload(cell, other.payload.as_deref())? == opposite.payload {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if an ignored notification does not make this one a repetition: it comes from another reporter, or contains
    /// fencing evidence. A bare claim of the same reporter is a repetition.
    fn may_know_more(&self, row: &notification::Model) -> Result<bool, Stop> {
        if row.status != NotificationStatus::Ignored.as_str() {
            return Ok(false);
        }
        let new = self.accept.new;
        if new.evidence.is_some() {
            return Ok(true);
        }
        let cell = Cell {
            table: "notifications",
            row: &row.notification_uuid,
            column: "reporter",
        };
        let then = row
            .reporter
            .as_deref()
            .map(|text| cell.reporter(text))
            .transpose()?;
        let both = new.reporter.as_deref().zip(then);
        Ok(both.is_some_and(|(now, then)| !now.is_same_identity(&then)))
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::notification::NotificationType::{ComputeHost, Vm};

    use super::*;
    use crate::testing::Bench;
    use crate::testing::{all, notification as report};
    use sea_orm::{ActiveModelTrait as _, IntoActiveModel as _, Set};
    use tachi_engine::ports::{Notifications as _, RegistryError, Reports as _};

    const HOST: &str = "11111111-0000-4000-8000-000000000001";

    #[test]
    fn the_key_is_made_of_what_has_to_be_equal_and_of_nothing_else() {
        let at = Timestamp::from_micros(0);
        let first = report(Vm, "cmp1", at, &[("event", "LIFECYCLE"), ("instance_uuid", "x")]);
        let key = repeat_key(&first, HOST);
        let later = NewNotification {
            generated_time: Timestamp::from_micros(1),
            hostname: "CMP1".to_owned(),
            ..first.clone()
        };
        assert_eq!(repeat_key(&later, HOST), key);
        let others = [
            report(
                ComputeHost,
                "cmp1",
                at,
                &[("event", "LIFECYCLE"), ("instance_uuid", "x")],
            ),
            report(Vm, "cmp1", at, &[("event", "LIFECYCLE"), ("instance_uuid", "y")]),
            report(Vm, "cmp1", at, &[("event", "LIFECYCLE"), ("instance_uuidx", "")]),
            report(Vm, "cmp1", at, &[("event", "LIFECYCLE")]),
        ];
        for other in others {
            assert_ne!(repeat_key(&other, HOST), key, "{other:?}");
        }
        assert_ne!(repeat_key(&first, "another host"), key);
        // Existing databases contain this key, so it must not change.
        assert_eq!(key, 7_114_865_982_403_079_151, "the key of a released version");
    }

    /// An equal key does not suffice if the notifications differ.
    #[tokio::test]
    async fn an_equal_key_alone_repeats_nothing() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        let host = bench.host(&segment, "cmp1").await;
        let at = bench.clock_wall();
        let vm = |instance: &str| {
            report(
                Vm,
                "cmp1",
                at,
                &[("event", "LIFECYCLE"), ("instance_uuid", instance)],
            )
        };
        bench.accept(&vm("x")).await.unwrap();
        let row = notification::Entity::find()
            .one(bench.store.db.reader())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.repeat_key, Some(repeat_key(&vm("x"), &host.id.to_string())));
        let mut forged = row.into_active_model();
        forged.repeat_key = Set(Some(repeat_key(&vm("y"), &host.id.to_string())));
        forged.update(bench.store.db.writer()).await.unwrap();
        bench.accept(&vm("y")).await.unwrap();
        let error = bench.accept(&vm("y")).await.unwrap_err();
        assert!(matches!(error, RegistryError::Duplicate), "{error:?}");
        assert_eq!(
            bench
                .store
                .registry()
                .list_notifications(&all())
                .await
                .unwrap()
                .len(),
            2
        );
    }

    /// Covers T5, C9.
    #[tokio::test]
    async fn a_report_dated_in_the_future_does_not_mute_its_host() {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        bench.host(&segment, "cmp1").await;
        let crash = [("event", "LIFECYCLE"), ("instance_uuid", "x")];
        let arrived = bench.clock_wall();
        let forged = report(Vm, "cmp1", arrived.minus_seconds(-2_000_000_000), &crash);
        bench.accept(&forged).await.unwrap();
        for (case, seconds, repeats) in [("within the window", 100, true), ("after it", 200, false)] {
            let now = arrived.minus_seconds(-seconds);
            let real = report(Vm, "cmp1", now, &crash);
            let accepted = bench.store.registry().accept_notification(&real, 180, now).await;
            assert_eq!(
                matches!(accepted, Err(RegistryError::Duplicate)),
                repeats,
                "{case}"
            );
        }
        let again = arrived.minus_seconds(-500);
        let forged = report(Vm, "cmp1", arrived.minus_seconds(-2_000_000_000), &crash);
        let accepted = bench
            .store
            .registry()
            .accept_notification(&forged, 180, again)
            .await;
        assert!(
            accepted.is_ok(),
            "its own clock does not make it a repetition of what is long over"
        );
    }

    #[tokio::test]
    async fn earlier_ones_are_found_through_an_index() {
        let bench = Bench::sqlite().await;
        for keys in [1, 2, 8, 32] {
            let mut statement = statement(
                DbBackend::Sqlite,
                bench.clock_wall(),
                (0..keys).collect(),
                vec!["x"; usize::try_from(keys).unwrap()],
            )
            .unwrap();
            statement.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
            let rows = bench.store.db.reader().query_all_raw(statement).await.unwrap();
            let plan: Vec<String> = rows
                .iter()
                .map(|row| row.try_get("", "detail").unwrap())
                .collect();
            let plan = plan.join("; ");
            assert_eq!(
                plan.matches("USING INDEX tachi_notification_repeat_idx").count(),
                2,
                "{keys} keys: {plan}"
            );
        }
    }
}
