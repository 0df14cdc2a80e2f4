//! The journal: claims, heartbeats and the writes of recoveries.

mod actions;
mod claim;
mod commit;
pub(crate) mod failed_instances;
mod frozen;
mod given_up;
mod given_up_moves;
mod group_commit;
mod host_and_segment;
mod host_records;
mod moves;
mod operator_state;
mod orders;
mod planned;
mod renewals;
pub(crate) mod reservations;
mod restarts;
mod rewind;
mod vmoves;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use tachi_domain::guard::MutingPolicy;
use tachi_domain::recovery::WrittenOff;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::MutedReporter;
use tachi_domain::{Elapsed, HostId, RecoveryId, ServerId, Timestamp};
use tachi_engine::ports::journal::{
    Claim, ClaimedRecovery, HostRecords, LeaseRenewal, PeerClaim, RowVersion, Write, WriteOutcome,
};
use tachi_engine::ports::reserve::{ReservationState, ReserveRow};
use tachi_engine::ports::{FailedInstances, Journal, JournalError};
use tokio::time::Instant;
use tracing::instrument;

pub(crate) use actions::unread;
pub(crate) use operator_state::{move_words, stored_off_claim};
pub(crate) use orders::before;

use crate::convert::Cell;
use crate::database::Database;
use crate::entity::recovery;
use crate::error::{Failure, Stop, is_unique_violation};
use crate::heartbeats;
use crate::local_disks;
use crate::registry::RegistryTables;
use crate::reporters;
use crate::transaction::{Tx, roll_back};
use group_commit::GroupCommit;

/// The journal of a database: claims and the writes of recoveries.
#[derive(Clone)]
pub struct JournalTables {
    db: Database,
    muted_reporters: Arc<reporters::MutedReporters>,
    group_commit: GroupCommit,
}

impl JournalTables {
    pub(crate) fn of(registry: &RegistryTables) -> Self {
        Self {
            db: registry.db.clone(),
            muted_reporters: registry.muted_reporters.clone(),
            group_commit: GroupCommit::default(),
        }
    }

    /// Reads on the journal's connection, in a transaction that a proxy sends to the primary. So all commits are
    /// visible, even if reads of the registry may miss some.
    async fn causal<T>(&self, read: impl AsyncFnOnce(&Tx) -> Result<T, Stop>) -> Result<T, Stop> {
        let snapshot = self.db.snapshot().await?;
        let found = read(&snapshot).await;
        roll_back(snapshot).await;
        found
    }
}

#[async_trait]
impl Journal for JournalTables {
    #[instrument(name = "store::unsettled", level = "debug", skip_all)]
    async fn unsettled(&self) -> Result<Vec<PeerClaim>, JournalError> {
        let read = unsettled(&self.db).await;
        read.map_err(|stop| stop.journal("reading the unsettled recoveries"))
    }

    #[instrument(name = "store::claim", level = "debug", skip_all, fields(recovery = %claim.id))]
    async fn claim(&self, claim: &PeerClaim, owner: &str) -> Result<Option<ClaimedRecovery>, JournalError> {
        let mut claimed = self.claim_all(std::slice::from_ref(claim), owner).await;
        claimed.pop().unwrap_or(Ok(None))
    }

    #[instrument(name = "store::claim_all", level = "debug", skip_all, fields(count = claims.len()))]
    async fn claim_all(
        &self,
        claims: &[PeerClaim],
        owner: &str,
    ) -> Vec<Result<Option<ClaimedRecovery>, JournalError>> {
        const WHAT: &str = "claiming a recovery";
        match claim::claim_all(&self.db, claims, owner).await {
            Ok(claimed) => claimed
                .into_iter()
                .map(|outcome| outcome.map_err(|stop| stop.journal(WHAT)))
                .collect(),
            // It is unknown whether any claim succeeded.
            Err(stop) => vec![Err(stop.journal(WHAT)); claims.len()],
        }
    }

    #[instrument(name = "store::beat", level = "debug", skip_all, fields(recovery = %claim.id, claim.epoch))]
    async fn beat(&self, claim: &Claim, elapsed: Elapsed) -> Result<WriteOutcome, JournalError> {
        let beat = LeaseRenewal {
            claim: claim.clone(),
            elapsed,
        };
        let mut beaten = self.renew_all(&[beat]).await;
        beaten.pop().unwrap_or(Ok(WriteOutcome::Lost))
    }

    #[instrument(name = "store::beat_all", level = "debug", skip_all, fields(count = renewals.len()))]
    async fn renew_all(&self, renewals: &[LeaseRenewal]) -> Vec<Result<WriteOutcome, JournalError>> {
        match self
            .db
            .write_journal(&renewals::Renewals {
                renewals,
                now: self.db.now(),
            })
            .await
        {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            // It is unknown whether any claim is still held.
            Err(stop) => vec![Err(stop.journal("renewing several claims")); renewals.len()],
        }
    }

    #[instrument(name = "store::commit", level = "debug", skip_all, fields(recovery = %claim.id, claim.epoch))]
    async fn commit(&self, claim: &Claim, write: &Write) -> Result<WriteOutcome, JournalError> {
        let begun = Instant::now();
        if group_commit::is_its_own(write)
            && let Some(outcome) = self.group_commit.write(&self.db, claim, write, begun).await
        {
            return outcome;
        }
        let committed = commit(&self.db, claim, write, begun).await;
        committed.map_err(|stop| stop.journal(group_commit::WHAT))
    }

    #[instrument(name = "store::release", level = "debug", skip_all, fields(recovery = %claim.id, claim.epoch))]
    async fn release(&self, claim: &Claim) -> Result<(), JournalError> {
        let released = self.db.write_journal(&claim::Release { claim }).await;
        released.map_err(|stop| stop.journal("releasing a recovery"))
    }

    #[instrument(name = "store::mark_rewound", level = "debug", skip_all, fields(recovery = %claim.id))]
    async fn mark_rewound(&self, claim: &PeerClaim, known: RowVersion) -> Result<bool, JournalError> {
        let marked = self.db.write_journal(&rewind::Mark { claim, known }).await;
        marked.map_err(|stop| stop.journal("marking a recovery whose writes were lost"))
    }

    #[instrument(name = "store::first_start", level = "debug", skip_all)]
    async fn first_start(&self) -> Result<Duration, JournalError> {
        let noted = host_records::first_start(&self.db).await;
        noted.map_err(|stop| stop.journal("recording the first start"))
    }

    #[instrument(name = "store::standing", level = "debug", skip_all)]
    async fn host_records(&self, lately: Duration) -> Result<HostRecords, JournalError> {
        let read = host_records::read(&self.db, lately).await;
        read.map_err(|stop| stop.journal("reading the state of all hosts"))
    }

    #[instrument(name = "store::proven_off", level = "debug", skip_all)]
    async fn proven_off(&self) -> Result<BTreeSet<String>, JournalError> {
        let read = self.causal(async |tx| proven_off(tx).await).await;
        read.map_err(|stop| stop.journal("reading the hosts that are confirmed off"))
    }

    #[instrument(name = "store::written_off", level = "debug", skip_all, fields(%host))]
    async fn written_off(&self, host: &str) -> Result<BTreeMap<ServerId, Vec<WrittenOff>>, JournalError> {
        let read = self.causal(async |tx| given_up::of_host(tx, host).await).await;
        read.map_err(|stop| stop.journal("reading the evacuations that were given up"))
    }

    #[instrument(name = "store::may_run", level = "debug", skip_all, fields(count = servers.len()))]
    async fn may_run(
        &self,
        servers: &BTreeSet<ServerId>,
    ) -> Result<BTreeMap<ServerId, BTreeSet<String>>, JournalError> {
        let read = self
            .causal(async |tx| given_up::may_run_of(tx, servers).await)
            .await;
        read.map_err(|stop| stop.journal("reading where instances may run"))
    }

    #[instrument(name = "store::local_disks", level = "debug", skip_all, fields(%host))]
    async fn local_disks(&self, host: &str) -> Result<BTreeSet<ServerId>, JournalError> {
        let read = self.causal(async |tx| local_disks::of_host(tx, host).await).await;
        read.map_err(|stop| stop.journal("reading which instances are on a local disk"))
    }

    #[instrument(name = "store::contradicted", level = "debug", skip_all, fields(recovery = %id))]
    async fn contradicted(
        &self,
        id: RecoveryId,
        rules: MutingPolicy,
    ) -> Result<Vec<MutedReporter>, JournalError> {
        let now = self.db.now();
        let counted = self
            .db
            .write_journal(&reporters::RecordContradiction { id, rules, now })
            .await;
        self.muted_reporters.clear();
        counted.map_err(|stop| stop.journal("counting a claim that Nova contradicts"))
    }

    #[instrument(name = "store::reserve", level = "debug", skip_all, fields(%host))]
    async fn reserve(&self, host: HostId) -> Result<Vec<ReserveRow>, JournalError> {
        let read = reservations::reserve(self.db.reader(), host, self.db.now()).await;
        read.map_err(|stop| stop.journal("reading the reserved hosts"))
    }
}

#[async_trait]
impl FailedInstances for JournalTables {
    #[instrument(name = "store::failed_instances", level = "debug", skip_all)]
    async fn failed_instances(&self) -> Result<BTreeMap<ServerId, Timestamp>, JournalError> {
        let read = async {
            let mut found = given_up_moves::all(self.db.reader()).await?;
            // The latest failure counts.
            for (server, failure) in failed_instances::failures(self.db.reader()).await? {
                let at = failure.at;
                let known = found.entry(server).or_insert(at);
                *known = at.max(*known);
            }
            Ok::<_, Stop>(found)
        };
        read.await
            .map_err(|stop| stop.journal("reading the instances whose recovery has failed"))
    }

    #[instrument(name = "store::host_boots", level = "debug", skip_all)]
    async fn host_boots(&self) -> Result<BTreeMap<String, Timestamp>, JournalError> {
        let read = heartbeats::booted_at(self.db.reader()).await;
        read.map_err(|stop| stop.journal("reading the boots of hosts"))
    }

    #[instrument(name = "store::forget_instances", level = "debug", skip_all, fields(count = gone.len()))]
    async fn forget_instances(&self, gone: &BTreeMap<ServerId, Timestamp>) -> Result<(), JournalError> {
        let removed = async {
            self.db.write(&failed_instances::Forget { gone }).await?;
            self.db.write(&given_up_moves::Acknowledge { gone }).await
        };
        removed.await.map_err(|stop| {
            stop.journal("removing instances whose recovery had failed and that run again or are deleted")
        })
    }
}

const UNSETTLED: [&str; 2] = [Life::Open.as_str(), Life::Watching.as_str()];

pub(crate) async fn unsettled(db: &Database) -> Result<Vec<PeerClaim>, Stop> {
    // Selects some columns only, because engines run this query all the time and states can be long.
    #[expect(clippy::type_complexity, reason = "the columns of one query")]
    let rows: Vec<(String, i64, i64, i64, Option<String>, String, String)> = recovery::Entity::find()
        .select_only()
        .columns([
            recovery::Column::Uuid,
            recovery::Column::Epoch,
            recovery::Column::Seq,
            recovery::Column::Beat,
            recovery::Column::Owner,
            recovery::Column::Life,
            recovery::Column::Kind,
        ])
        .filter(recovery::Column::Life.is_in(UNSETTLED))
        .order_by_asc(recovery::Column::Id)
        .into_tuple()
        .all(db.reader())
        .await?;
    let views = rows
        .into_iter()
        .map(|(uuid, epoch, seq, beat, owner, life, kind)| {
            let cell = |column| Cell {
                table: "recovery",
                row: &uuid,
                column,
            };
            Ok::<_, Failure>(PeerClaim {
                id: cell("uuid").id(&uuid)?,
                epoch: cell("epoch").count(epoch)?,
                seq: cell("seq").count(seq)?,
                beat: cell("beat").count(beat)?,
                life: cell("life").parse(&life, Life::from_value)?,
                of_host: kind == RecoveryKind::Host.as_str(),
                owner,
            })
        });
    Ok(views.collect::<Result<_, _>>()?)
}

async fn proven_off(db: &impl ConnectionTrait) -> Result<BTreeSet<String>, Stop> {
    let names: Vec<String> = recovery::Entity::find()
        .select_only()
        .column(recovery::Column::HostName)
        .filter(recovery::Column::ProvenOff.eq(true))
        .filter(recovery::Column::Life.is_in(UNSETTLED))
        .into_tuple()
        .all(db)
        .await?;
    Ok(names.into_iter().collect())
}

async fn commit(db: &Database, claim: &Claim, write: &Write, begun: Instant) -> Result<WriteOutcome, Stop> {
    let work = commit::Commit {
        claim,
        write,
        now: db.now(),
        begun,
    };
    match db.write_journal(&work).await {
        // Between the check for taken instances and the insert, another transaction may have taken one; then the unique
        // column refuses the row.
        Err(Stop::Failed(Failure::Db(error))) if is_unique_violation(&error) => {
            let taken = moves::taken(db.journal(), claim.id, &write.moves).await?;
            if !taken.is_empty() {
                return Ok(WriteOutcome::MovesTaken(taken));
            }
            // The same can happen with a reserved host.
            let hosts: Vec<HostId> = write
                .reservations
                .iter()
                .filter(|reservation| reservation.state == ReservationState::Reserved)
                .map(|reservation| reservation.host)
                .collect();
            if hosts.is_empty() {
                return Err(error.into());
            }
            Ok(WriteOutcome::ReserveTaken(hosts))
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod at;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod tests;
