//! Reporters whose claims Nova contradicts. They are counted, and muted if there are too many contradictions.
//! Reports of a muted reporter are stored and start nothing until an operator unmutes it.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Set,
};
use sha2::{Digest as _, Sha256};
use tachi_domain::entity::notification::NewNotification;
use tachi_domain::guard::MutingPolicy;
use tachi_domain::situation::MutedReporter;
use tachi_domain::{RecoveryId, Reporter, ReporterIdentity, Timestamp};
use tokio::time::Instant;

use crate::convert::{self, Cell};
use crate::database::Database;
use crate::entity::{host, recovery, reporter_aside, reporter_doubt};
use crate::error::{Failure, Stop};
use crate::journal::before;
use crate::transaction::{Transaction, Tx, TxOutcome};
use crate::{clock, lock};

/// The lock for counting contradictions. Without it, two engines at once could each mute the last reporter that
/// the limit permits.
const LOCK: &str = "reporters";

/// Limit of the newest recoveries in which reporters without a host are counted.
const MAX_RECENT_RECOVERIES: u64 = 1_000;

/// Minimum number of hosts with contradicted claims. Claims about a single host may be a conflict with that host, and
/// an attacker who controls it decides what Nova shows of it.
const MIN_HOSTS: usize = 2;

/// Limit of hosts named in the reason.
const MAX_NAMED_HOSTS: usize = 5;

/// Returns the lookup key of a reporter's identity.
pub(crate) fn key(reporter: &Reporter) -> Result<String, Failure> {
    let voice =
        serde_json::to_vec(&reporter.voice()).map_err(|error| sea_orm::DbErr::Json(error.to_string()))?;
    let digest = Sha256::digest(&voice);
    Ok(digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// Reads the identities of the muted reporters. Their number is bounded, because they are a share of all
/// reporters.
pub(crate) async fn muted_keys(db: &impl ConnectionTrait) -> Result<HashSet<String>, Stop> {
    let voices: Vec<String> = reporter_aside::Entity::find()
        .select_only()
        .column(reporter_aside::Column::Voice)
        .filter(reporter_aside::Column::Aside.eq(true))
        .into_tuple()
        .all(db)
        .await?;
    Ok(voices.into_iter().collect())
}

/// Maximum age of the cached result. A newly muted reporter is still accepted for that time, and no report waits
/// for the query.
const CACHE_LIFETIME: Duration = Duration::from_secs(1);

/// The identities of the muted reporters, as read last.
#[derive(Default)]
pub(crate) struct MutedReporters(Mutex<Option<(Instant, Arc<HashSet<String>>)>>);

impl MutedReporters {
    fn inner(&self) -> MutexGuard<'_, Option<(Instant, Arc<HashSet<String>>)>> {
        // The value is replaced as a whole, so it is never inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Clears the cache after a change.
    pub(crate) fn clear(&self) {
        *self.inner() = None;
    }
}

/// Returns the identity of a report's reporter if it is muted.
pub(crate) async fn muted_identity(
    db: &Database,
    cached: &MutedReporters,
    new: &NewNotification,
) -> Result<Option<String>, Stop> {
    let Some(reporter) = new.reporter.as_deref() else {
        return Ok(None);
    };
    let voice = key(reporter)?;
    let known = cached.inner().clone();
    let fresh = known.filter(|(read, _)| read.elapsed() < CACHE_LIFETIME);
    let known = if let Some((_, known)) = fresh {
        known
    } else {
        let read = Instant::now();
        let known = Arc::new(muted_keys(db.reader()).await?);
        *cached.inner() = Some((read, known.clone()));
        known
    };
    Ok(known.contains(&voice).then_some(voice))
}

/// Counts another stored report of a muted reporter.
pub(crate) async fn count_muted_report(tx: &Tx, voice: &str) -> Result<(), Stop> {
    reporter_aside::Entity::update_many()
        .col_expr(
            reporter_aside::Column::Unheard,
            Expr::col(reporter_aside::Column::Unheard).add(1),
        )
        .filter(reporter_aside::Column::Voice.eq(voice))
        .exec(tx)
        .await?;
    Ok(())
}

pub(crate) async fn list(db: &Database) -> Result<Vec<MutedReporter>, Stop> {
    let rows = reporter_aside::Entity::find()
        .order_by_asc(reporter_aside::Column::Id)
        .all(db.reader())
        .await?;
    Ok(rows.into_iter().map(shown).collect::<Result<_, Failure>>()?)
}

fn shown(row: reporter_aside::Model) -> Result<MutedReporter, Failure> {
    let place = row.id.to_string();
    let cell = |column| Cell {
        table: "reporter_aside",
        row: &place,
        column,
    };
    Ok(MutedReporter {
        number: row.id,
        reporter: cell("reporter").reporter(&row.reporter)?,
        since: Timestamp::from_micros(row.since),
        why: row.why,
        is_muted: row.aside,
        ignored_reports: cell("unheard").count(row.unheard)?,
    })
}

/// The claims of a recovery's reporters were contradicted.
pub(crate) struct RecordContradiction {
    pub(crate) id: RecoveryId,
    pub(crate) rules: MutingPolicy,
    pub(crate) now: Timestamp,
}

#[async_trait]
impl Transaction for RecordContradiction {
    /// The reporters that were muted or unmuted.
    type Output = Vec<MutedReporter>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Vec<MutedReporter>>, Stop> {
        lock::take(tx, [LOCK.to_owned()]).await?;
        let now = clock::now(tx, self.now).await?;
        let since = before(now, self.rules.window);
        let found = recovery::Entity::find()
            .filter(recovery::Column::Uuid.eq(self.id.to_string()))
            .one(tx)
            .await?;
        let Some(row) = found else {
            return Ok(TxOutcome::Undo(Vec::new()));
        };
        reporter_doubt::Entity::delete_many()
            .filter(reporter_doubt::Column::At.lt(since))
            .exec(tx)
            .await?;
        let mut changed = Vec::new();
        for reporter in convert::reporters(&row)? {
            let voice = key(&reporter)?;
            record_contradiction(tx, &row, &voice, now).await?;
            let hosts = self.hosts(tx, &voice, since).await?;
            let Some(why) = hosts else { continue };
            let known = reporter_aside::Entity::find()
                .filter(reporter_aside::Column::Voice.eq(&voice))
                .one(tx)
                .await?;
            let aside = self.may_be_muted(tx, &reporter).await?;
            let row = match known {
                Some(row) if row.aside || !aside => continue,
                Some(row) => {
                    let mut row = row.into_active_model();
                    row.aside = Set(true);
                    row.why = Set(why);
                    row.update(tx).await?
                }
                None => {
                    let row = reporter_aside::ActiveModel {
                        voice: Set(voice),
                        reporter: Set(serde_json::to_string(&reporter)
                            .map_err(|error| sea_orm::DbErr::Json(error.to_string()))?),
                        since: Set(now.micros()),
                        why: Set(why),
                        aside: Set(aside),
                        unheard: Set(0),
                        ..Default::default()
                    };
                    row.insert(tx).await?
                }
            };
            changed.push(shown(row)?);
        }
        Ok(TxOutcome::Keep(changed))
    }
}

/// Records the contradiction, once per recovery.
async fn record_contradiction(
    tx: &Tx,
    row: &recovery::Model,
    voice: &str,
    now: Timestamp,
) -> Result<(), Stop> {
    let new = reporter_doubt::ActiveModel {
        voice: Set(voice.to_owned()),
        recovery_uuid: Set(row.uuid.clone()),
        host_name: Set(row.host_name.clone()),
        at: Set(now.micros()),
        ..Default::default()
    };
    let both = [
        reporter_doubt::Column::Voice,
        reporter_doubt::Column::RecoveryUuid,
    ];
    let insert = reporter_doubt::Entity::insert(new)
        .on_conflict(OnConflict::columns(both).do_nothing_on(both).to_owned());
    tx.execute(&sea_orm::QueryTrait::into_query(insert)).await?;
    Ok(())
}

impl RecordContradiction {
    /// Returns the reason to mute the reporter, if there is one.
    async fn hosts(&self, tx: &Tx, voice: &str, since: i64) -> Result<Option<String>, Stop> {
        let hosts: Vec<String> = reporter_doubt::Entity::find()
            .select_only()
            .column(reporter_doubt::Column::HostName)
            .filter(reporter_doubt::Column::Voice.eq(voice))
            .filter(reporter_doubt::Column::At.gte(since))
            .into_tuple()
            .all(tx)
            .await?;
        let times = hosts.len();
        let named: BTreeSet<String> = hosts.into_iter().collect();
        if times < usize::try_from(self.rules.limit).unwrap_or(usize::MAX) || named.len() < MIN_HOSTS {
            return Ok(None);
        }
        let more = named.len().saturating_sub(MAX_NAMED_HOSTS);
        let named: Vec<String> = named.into_iter().take(MAX_NAMED_HOSTS).collect();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        Ok(Some(format!(
            "within {} s it has reported {times} times a host as down that was up in Nova all the time: {}{more}",
            self.rules.window.as_secs(),
            named.join(", ")
        )))
    }

    /// True if one more muted reporter is within the permitted share. Reporters with and without a host are
    /// counted separately: on many clouds a single reporter on the control nodes reports for all hosts.
    async fn may_be_muted(&self, tx: &Tx, reporter: &Reporter) -> Result<bool, Stop> {
        let is_bound = |reporter: &Reporter| matches!(reporter.voice(), ReporterIdentity::Host(_));
        let bound = is_bound(reporter);
        let rows = reporter_aside::Entity::find()
            .filter(reporter_aside::Column::Aside.eq(true))
            .all(tx)
            .await?;
        let mut aside = 0_u64;
        for row in rows {
            aside += u64::from(is_bound(&shown(row)?.reporter) == bound);
        }
        let all = if bound {
            host::Entity::find()
                .filter(host::Column::Deleted.eq(0))
                .count(tx)
                .await?
        } else {
            unbound(tx).await?
        };
        Ok((aside + 1).saturating_mul(100) <= all.saturating_mul(u64::from(self.rules.percent)))
    }
}

/// Counts the recent reporters that are bound to no host.
async fn unbound(tx: &Tx) -> Result<u64, Stop> {
    let texts: Vec<Option<String>> = recovery::Entity::find()
        .select_only()
        .column(recovery::Column::Reporters)
        .filter(recovery::Column::Reporters.is_not_null())
        .order_by_desc(recovery::Column::Id)
        .limit(MAX_RECENT_RECOVERIES)
        .into_tuple()
        .all(tx)
        .await?;
    let mut voices = BTreeSet::new();
    for text in texts.into_iter().flatten() {
        // Data that cannot be parsed contains no reporter.
        let reporters: Vec<Reporter> = serde_json::from_str(&text).unwrap_or_default();
        for reporter in reporters.iter().filter(|candidate| candidate.host.is_none()) {
            voices.insert(key(reporter)?);
        }
    }
    Ok(u64::try_from(voices.len()).unwrap_or(u64::MAX))
}

/// Unmutes a reporter; earlier contradictions do not count any more.
pub(crate) struct Lift {
    pub(crate) number: i64,
}

#[async_trait]
impl Transaction for Lift {
    type Output = Option<MutedReporter>;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<Option<MutedReporter>>, Stop> {
        lock::take(tx, [LOCK.to_owned()]).await?;
        let Some(row) = reporter_aside::Entity::find_by_id(self.number).one(tx).await? else {
            return Ok(TxOutcome::Undo(None));
        };
        reporter_doubt::Entity::delete_many()
            .filter(reporter_doubt::Column::Voice.eq(&row.voice))
            .exec(tx)
            .await?;
        reporter_aside::Entity::delete_by_id(self.number).exec(tx).await?;
        Ok(TxOutcome::Keep(Some(shown(row)?)))
    }
}

#[cfg(test)]
mod tests;
