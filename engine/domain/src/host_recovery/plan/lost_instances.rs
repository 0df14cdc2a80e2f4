//! Evacuations that the journal has lost, and that Nova's records show.

use std::collections::{BTreeMap, BTreeSet};

use super::super::decision_context::{DecisionContext, Moves};
use super::super::moves::{OWN_ERROR_NOTE, UNKNOWN_STATE_NOTE};
use super::super::{Lock, Move, MoveStep, lock_mark};
use super::{HostInstance, plan_if, plan_one};
use crate::count;
use crate::id::{MigrationId, ServerId};
use crate::nova::{InstanceTraits, Migration, PowerState, Server, VmState};
use crate::recovery::{Inventory, StepKind, Task, UnknownEvacuations};
use crate::timestamp::Timestamp;

/// Maximum difference between the clocks of monitors and Nova.
const MAX_CLOCK_SKEW_SECONDS: i64 = 60;

/// Returns the time since which the journal may have lost requests.
fn lost_from(reported_at: Option<Timestamp>, since: Option<Timestamp>) -> Option<Timestamp> {
    let reported = reported_at.map(|at| at.minus_seconds(MAX_CLOCK_SKEW_SECONDS));
    [since, reported].into_iter().flatten().min()
}

/// Returns the evacuations to look for, which the recovery may have requested and has no move for.
pub(super) fn unknown(
    (reported_at, moves): (Option<Timestamp>, &Moves),
    foreign: &BTreeSet<ServerId>,
    since: Option<Timestamp>,
) -> Option<UnknownEvacuations> {
    let since = lost_from(reported_at, since)?;
    let known = moves.keys().chain(foreign).copied().collect();
    Some(UnknownEvacuations { since, known })
}

/// Follows every evacuation from the host since it was reported, and notes every host on which one of them may have failed late.
/// `known`: the instances whose original state is known.
pub(in super::super) fn adopt_lost(
    inventory: &Inventory,
    moves: &mut Moves,
    (reported_at, known): (Option<Timestamp>, &BTreeSet<ServerId>),
    since: &mut Option<Timestamp>,
    ctx: &mut DecisionContext<'_>,
) {
    // This recovery's own lost calls may have put it in this state: a failed evacuation does, and so does the preparation.
    let made_so =
        |instance: &&mut Move| !known.contains(&instance.server) && instance.was.vm_state == VmState::Error;
    for instance in moves.values_mut().filter(made_so) {
        if instance.was.power_state == PowerState::Running {
            instance.was.vm_state = VmState::Active;
        }
        instance.remark(OWN_ERROR_NOTE);
    }
    let Some(from) = lost_from(reported_at, *since) else {
        return;
    };
    *since = Some(from);
    let mut records: BTreeMap<ServerId, Vec<&Migration>> = BTreeMap::new();
    for record in inventory
        .migrations
        .iter()
        .filter(|record| record.is_evacuation_from(ctx.host) && record.created_at.is_none_or(|at| at >= from))
    {
        records.entry(record.server).or_default().push(record);
    }
    let next = moves
        .values()
        .map(|instance| instance.rank + 1)
        .max()
        .unwrap_or(0);
    let (mut adopted, mut followed) = (0, 0);
    for (server, records) in &records {
        if let Some(instance) = moves.get_mut(server) {
            if !instance.is_finished() && instance.note_failed_at(records, |_| true, &BTreeSet::new()) {
                ctx.record.moves.insert(*server);
            }
            let is_on_host = inventory.servers.iter().any(|shown| shown.id == *server);
            if matches!(instance.step, MoveStep::Waiting { .. })
                && let Some(first) = lost_request(instance, records, is_on_host)
            {
                instance.follow_existing(first, ctx.now);
                ctx.record.moves.insert(*server);
                followed += 1;
            }
            continue;
        }
        // Nova does not show the instance on the host any more.
        let Some(first) = records
            .iter()
            .filter(|record| !record.status.is_failed())
            .map(|record| record.id)
            .min()
        else {
            continue;
        };
        let nowhere = unknown_server(*server);
        let shown = HostInstance::new(&nowhere, None, ctx);
        let mut instance = plan_one(shown, next + adopted, &[], &[], since, ctx);
        instance.follow_existing(first, ctx.now);
        instance.done_at = None;
        instance.note = None;
        instance.remark(UNKNOWN_STATE_NOTE);
        // The lock on it is read before it is removed, because it may not be this recovery's.
        instance.lock = Lock::Wanted;
        instance.unanswered_lock = Some(ctx.now.elapsed);
        instance.lock_owner_unknown = true;
        ctx.record.moves.insert(*server);
        moves.insert(*server, instance);
        adopted += 1;
    }
    ctx.record.head = true;
    followed += usize::try_from(adopted).unwrap_or_default();
    if followed > 0 {
        let instances = count(followed, "instance", "instances");
        let text =
            format!("following the evacuation of {instances} by Nova's records: the journal has lost them");
        ctx.record.step(Task::Prepare, StepKind::Note, 1.0, text);
    }
}

/// Returns the first record of an evacuation that was requested for a move that waits for its request. One that is done counts only if
/// Nova shows the instance on the host no more.
fn lost_request(instance: &Move, records: &[&Migration], is_on_host: bool) -> Option<MigrationId> {
    records
        .iter()
        .filter(|record| record.id > instance.known && !instance.has_written_off(record))
        .filter(|record| !record.status.is_failed() && (!record.status.is_finished() || !is_on_host))
        .map(|record| record.id)
        .min()
}

/// Adds a move for every server that the lost requests may have touched: one that this recovery has locked, one that Nova is
/// evacuating, and one in `error` under a lock of its owner, because no lock of this recovery shows its state before. The recovery is
/// not past its proof, and plans no others.
pub(in super::super) fn plan_touched(
    inventory: &Inventory,
    moves: &mut Moves,
    since: &mut Option<Timestamp>,
    ctx: &mut DecisionContext<'_>,
) {
    let (host, mark) = (ctx.host, ctx.mark());
    let evacuates = |record: &&Migration| record.is_evacuation_from(host) && !record.status.is_finished();
    let touched = |server: &Server, records: &[&Migration]| {
        let hides_state = server.vm_state == VmState::Error && server.locked;
        lock_mark::is_locked_by(server, &mark) || records.iter().any(evacuates) || hides_state
    };
    let planned = plan_if(touched, inventory, moves, since, ctx);
    if planned > 0 {
        let found = count(planned, "instance", "instances");
        let text = format!("{found} on {host} touched by requests that the database has lost");
        ctx.record.step(Task::Prepare, StepKind::Note, 1.0, text);
    }
}

/// Records a loss that only the locks show, because no engine was left to detect it.
pub(in super::super) fn note_unknown_locks(ctx: &mut DecisionContext<'_>) {
    let text = "the database has lost the latest requests of this recovery (a failover?): instances carry locks of it that it has no record \
                of";
    ctx.record
        .step(Task::Prepare, StepKind::Note, 0.0, text.to_owned());
    ctx.record.head = true;
}

/// Returns a server of which only the id is known.
fn unknown_server(id: ServerId) -> Server {
    Server {
        id,
        name: id.to_string(),
        host: None,
        vm_state: VmState::Active,
        task_state: None,
        power_state: PowerState::Running,
        locked: false,
        locked_reason: None,
        metadata: BTreeMap::new(),
        volume_backed: true,
        launched: true,
        fault: None,
        about: InstanceTraits::default(),
        needs: None,
        updated: None,
    }
}
