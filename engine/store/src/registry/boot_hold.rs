//! The boot guard: whether nova-compute on a host has to wait for operations of its recoveries.

use std::time::Duration;

use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use tachi_domain::host_recovery::{BootHeldFor, HostRecovery, OffConfirmation};
use tachi_domain::recovery::{Life, OperatorCommand, RecoveryKind};
use tachi_domain::{Elapsed, Timestamp};
use tachi_engine::ports::registry::BootHold;

use crate::convert::{self, recovery_cell};
use crate::entity::{action, host, notification, recovery};
use crate::error::Stop;

/// Limit of closed recoveries to check. Their operations can take effect only for some minutes.
const MAX_CLOSED_RECOVERIES: u64 = 5;

/// Difference that is assumed between the clocks of two controllers.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

pub(super) async fn hold(
    db: &impl ConnectionTrait,
    name: &str,
    now: Timestamp,
) -> Result<Option<BootHold>, Stop> {
    let known = host::Entity::find()
        .filter(host::Column::Name.eq(name))
        .filter(host::Column::Deleted.eq(0))
        .one(db)
        .await?;
    // Finds the host's recoveries by the name at its failure, which Nova knows, and by its current name.
    let mut of_it = recovery::Column::HostName.eq(name);
    if let Some(host) = known {
        of_it = of_it.or(recovery::Column::HostUuid.eq(host.uuid));
    }
    let all = || {
        recovery::Entity::find()
            .filter(recovery::Column::Kind.eq(RecoveryKind::Host.as_str()))
            .filter(of_it.clone())
            .order_by_desc(recovery::Column::Id)
    };
    let mut rows = all()
        .filter(recovery::Column::Life.ne(Life::Closed.as_str()))
        .all(db)
        .await?;
    let over = all().filter(recovery::Column::Life.eq(Life::Closed.as_str()));
    rows.extend(over.limit(MAX_CLOSED_RECOVERIES).all(db).await?);
    // An operator's action is compared with the clock that dated it.
    let clock = crate::clock::now(db, now).await?;
    let mut weightiest: Option<BootHold> = None;
    for row in rows {
        if let Some(waits_for) = waits_for(db, &row, (now, clock)).await?
            && weightiest.is_none_or(|known| rank(waits_for) < rank(known.waits_for))
        {
            let recovery = recovery_cell(&row, "uuid").id(&row.uuid)?;
            weightiest = Some(BootHold { waits_for, recovery });
        }
    }
    Ok(weightiest)
}

/// Returns the order of the reasons to wait; the lowest comes first.
fn rank(waits_for: BootHeldFor) -> u8 {
    match waits_for {
        BootHeldFor::Recovery => 0,
        BootHeldFor::PowerOff => 1,
        BootHeldFor::Queue => 2,
    }
}

async fn waits_for(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    (now, clock): (Timestamp, Timestamp),
) -> Result<Option<BootHeldFor>, Stop> {
    let life = convert::life(row)?;
    // What the database has lost may still take effect; its next owner looks for it.
    if row.rewound && life != Life::Closed {
        return Ok(Some(BootHeldFor::Recovery));
    }
    // No engine has claimed it, so nothing has been done.
    let Some(state) = &row.state else {
        let confirmed = life == Life::Open && is_confirmed_off(db, row, 0, clock).await?;
        return Ok(confirmed.then_some(BootHeldFor::Recovery));
    };
    let mut elapsed = Elapsed::from_millis(recovery_cell(row, "elapsed_ms").count(row.elapsed_ms)?);
    if life == Life::Closed {
        elapsed = elapsed.plus(since_the_end(db, row, now.min(clock)).await?);
    }
    match HostRecovery::restore(state, &[]) {
        Ok(recovery)
            if life == Life::Open && is_confirmed_off(db, row, recovery.last_action, clock).await? =>
        {
            Ok(Some(BootHeldFor::Recovery))
        }
        Ok(recovery) => Ok(recovery.holds_boot(life, elapsed, clock)),
        // A newer engine wrote the state, so it is unknown what was done to the host, and whether it is finished.
        Err(_) if life != Life::Closed => Ok(Some(BootHeldFor::Recovery)),
        Err(_) => Ok(None),
    }
}

/// True if an operator has confirmed the host off, and no engine has processed that yet. The columns of the recovery contain only the
/// last action; an older program may have written it there alone.
async fn is_confirmed_off(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    last_applied: u64,
    clock: Timestamp,
) -> Result<bool, Stop> {
    let off = OperatorCommand::HostIsOff.as_str();
    let is_in_time = |at: i64| OffConfirmation::is_in_time(Timestamp::from_micros(at), clock);
    let is_new = recovery_cell(row, "word_number").count(row.word_number)? > last_applied;
    if is_new && row.word.as_deref() == Some(off) && is_in_time(row.word_at.unwrap_or_default()) {
        return Ok(true);
    }
    let unread = action::Entity::find()
        .filter(action::Column::RecoveryId.eq(row.id))
        .filter(action::Column::Word.eq(off))
        .filter(action::Column::HeardAt.is_null())
        .all(db)
        .await?;
    Ok(unread.iter().any(|action| is_in_time(action.at)))
}

/// Returns the time since the recovery was closed, because its elapsed time does not advance then. A clock that was set
/// back makes the result smaller, never larger. The end was dated by another machine's clock, which may be behind.
async fn since_the_end(
    db: &impl ConnectionTrait,
    row: &recovery::Model,
    now: Timestamp,
) -> Result<Duration, Stop> {
    let found = notification::Entity::find()
        .filter(notification::Column::NotificationUuid.eq(&row.notification_uuid))
        .one(db)
        .await?;
    let ended = match found {
        Some(found) => convert::notification(found)?.stamps.updated_at,
        None => None,
    };
    let ended = ended.unwrap_or_else(|| Timestamp::from_micros(row.opened_at));
    let micros = u64::try_from(now.micros_since(ended)).unwrap_or(0);
    Ok(Duration::from_micros(micros).saturating_sub(MAX_CLOCK_DIFFERENCE))
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::notification::NotificationStatus;
    use tachi_domain::host_recovery::Stage;
    use tachi_domain::policy::Policy;
    use tachi_engine::ports::BootHolds as _;
    use tachi_engine::ports::Journal as _;
    use tachi_engine::ports::OperatorJournal as _;
    use tachi_engine::ports::journal::{ClaimedRecovery, RowVersion, Write, WriteOutcome};
    use tachi_engine::ports::operator::ActionOutcome;

    use super::*;
    use crate::testing::Bench;

    fn head(claimed: &ClaimedRecovery, change: impl FnOnce(&mut HostRecovery)) -> String {
        let host = claimed.host.as_ref().unwrap();
        let mut state = HostRecovery::new(claimed.id, &claimed.notification, host, Policy::default());
        change(&mut state);
        state.head().unwrap()
    }

    async fn write(bench: &Bench, claimed: &ClaimedRecovery, life: Life, state: String) {
        commit(bench, claimed, life, state, Vec::new()).await;
    }

    async fn write_applied(bench: &Bench, claimed: &ClaimedRecovery, state: String, actions: Vec<i64>) {
        commit(bench, claimed, Life::Open, state, actions).await;
    }

    async fn commit(
        bench: &Bench,
        claimed: &ClaimedRecovery,
        life: Life,
        state: String,
        processed_action_ids: Vec<i64>,
    ) {
        let write = Write {
            life: Some(life),
            state: Some(state),
            notification: Some((NotificationStatus::Running, None)),
            processed_action_ids,
            ..Write::default()
        };
        let written = bench
            .store
            .journal()
            .commit_at(claimed.id, claimed.epoch, &write)
            .await
            .unwrap();
        assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
    }

    fn ordered(state: &mut HostRecovery) {
        state.stage = Stage::Fencing;
        state.fence.ordered = true;
        state.fence.orders.push(tachi_domain::host_recovery::Order {
            call: None,
            target: None,
            level: 0,
            at: Elapsed::ZERO,
            limit: std::time::Duration::ZERO,
            answered: false,
            seen_off: false,
        });
    }

    /// Covers R25.
    #[tokio::test]
    async fn a_host_is_held_by_its_own_recoveries_and_one_without_a_record_never() {
        let bench = Bench::new().await;
        let segment = bench.segment("s").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.host(&segment, "cmp2").await;
        assert_eq!(bench.store.registry().boot_hold("cmp1").await.unwrap(), None);
        bench.stopped(&host).await;
        assert_eq!(
            bench.store.registry().boot_hold("cmp1").await.unwrap(),
            None,
            "nothing is done yet"
        );
        let claimed = bench.claim_newest("engine").await;
        let hold = |waits_for| {
            Some(BootHold {
                waits_for,
                recovery: claimed.id,
            })
        };
        let cases = [
            (Life::Open, head(&claimed, |_| {}), None),
            (Life::Open, head(&claimed, ordered), hold(BootHeldFor::Recovery)),
            (
                Life::Open,
                "{\"version\": 99}".to_owned(),
                hold(BootHeldFor::Recovery),
            ),
            (Life::Watching, head(&claimed, |_| {}), hold(BootHeldFor::Queue)),
            (
                Life::Watching,
                head(&claimed, ordered),
                hold(BootHeldFor::PowerOff),
            ),
        ];
        for (life, state, expected) in cases {
            write(&bench, &claimed, life, state.clone()).await;
            let found = bench.store.registry().boot_hold("cmp1").await.unwrap();
            assert_eq!(found, expected, "{life} {state}");
            for other in ["cmp2", "nobody"] {
                assert_eq!(
                    bench.store.registry().boot_hold(other).await.unwrap(),
                    None,
                    "{other}"
                );
            }
        }
    }

    /// Covers R5, R25.
    #[tokio::test]
    async fn an_order_outlives_its_recovery_as_long_as_it_may_take_effect() {
        let bench = Bench::new().await;
        let segment = bench.segment("s").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine").await;
        write(&bench, &claimed, Life::Closed, head(&claimed, ordered)).await;
        let on_hold = bench.store.registry().boot_hold("cmp1").await.unwrap();
        assert_eq!(on_hold.map(|hold| hold.waits_for), Some(BootHeldFor::PowerOff));
        bench.clock.set_wall_on(-3_600);
        assert!(
            bench.store.registry().boot_hold("cmp1").await.unwrap().is_some(),
            "put back"
        );
        bench.clock.set_wall_on(3_600 + 82);
        assert!(
            bench.store.registry().boot_hold("cmp1").await.unwrap().is_some(),
            "the engine's clock may be behind"
        );
        bench.clock.set_wall_on(60);
        assert_eq!(bench.store.registry().boot_hold("cmp1").await.unwrap(), None);
    }

    /// Covers R25, R33.
    #[tokio::test]
    async fn a_host_whose_recovery_has_lost_writes_is_held() {
        let bench = Bench::new().await;
        let segment = bench.segment("s").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine").await;
        write(&bench, &claimed, Life::Open, head(&claimed, |_| {})).await;
        assert_eq!(bench.store.registry().boot_hold("cmp1").await.unwrap(), None);
        // An order to power off and its answer were lost.
        let journal = bench.store.journal();
        let seen = journal.unsettled().await.unwrap().remove(0);
        let known = RowVersion {
            epoch: seen.epoch,
            seq: seen.seq + 2,
        };
        assert!(journal.mark_rewound(&seen, known).await.unwrap());
        let held = bench.store.registry().boot_hold("cmp1").await.unwrap();
        assert_eq!(held.map(|hold| hold.waits_for), Some(BootHeldFor::Recovery));
    }

    /// Covers R26.
    #[tokio::test]
    async fn an_off_claim_holds_the_boot_of_a_host_before_and_after_an_engine_has_read_it() {
        let bench = Bench::new().await;
        let segment = bench.segment("s").await;
        let host = bench.host(&segment, "cmp1").await;
        bench.stopped(&host).await;
        let id = bench.newest().await;
        let outcome = bench
            .store
            .operator_journal()
            .submit(
                id,
                OperatorCommand::HostIsOff,
                &tachi_domain::ApprovedWait::Current,
                "ada",
            )
            .await
            .unwrap();
        assert!(matches!(outcome, ActionOutcome::Submitted), "{outcome:?}");
        let hold_after = |what: &'static str| {
            let registry = bench.store.registry();
            async move {
                let hold = registry.boot_hold("cmp1").await.unwrap();
                (what, hold.map(|hold| hold.waits_for))
            }
        };
        let recovery = Some(BootHeldFor::Recovery);
        assert_eq!(hold_after("not taken up").await, ("not taken up", recovery));
        let approved = bench
            .store
            .operator_journal()
            .submit(
                id,
                OperatorCommand::Approve,
                &tachi_domain::ApprovedWait::Current,
                "bob",
            )
            .await
            .unwrap();
        assert!(matches!(approved, ActionOutcome::Submitted), "{approved:?}");
        assert_eq!(hold_after("not the last").await, ("not the last", recovery));
        let claimed = bench.claim_newest("engine").await;
        write(&bench, &claimed, Life::Open, head(&claimed, |_| {})).await;
        assert_eq!(hold_after("not heard").await, ("not heard", recovery));
        let state = head(&claimed, |state| state.last_action = 2);
        let actions = claimed
            .operator_state
            .actions
            .iter()
            .map(|action| action.id)
            .collect();
        write_applied(&bench, &claimed, state, actions).await;
        assert_eq!(hold_after("given up").await, ("given up", None));
        let unread = bench
            .store
            .operator_journal()
            .submit(
                id,
                OperatorCommand::HostIsOff,
                &tachi_domain::ApprovedWait::Current,
                "ada",
            )
            .await
            .unwrap();
        assert!(matches!(unread, ActionOutcome::Submitted), "{unread:?}");
        assert_eq!(hold_after("again").await, ("again", recovery));
        bench.clock.set_wall_on(601);
        assert_eq!(hold_after("expired").await, ("expired", None));
    }
}
