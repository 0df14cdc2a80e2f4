//! The heartbeats of the host's own monitors after it is confirmed off.

use std::time::Duration;

use super::super::decision_context::decision_context;
use super::super::guard::suspect;
use super::super::monitor_heartbeats::{HeartbeatJudgement, OffReport};
use super::super::service::heartbeat::revoke_proof;
use super::super::{HostRecovery, Stage};
use crate::recovery::{Command, DecisionTime, Record};

/// Interval between two scans for the monitors' heartbeats.
const SCAN_INTERVAL: Duration = Duration::from_secs(10);

/// Revokes the proof if a monitor of the host still sends heartbeats, as Nova's heartbeat does.
pub(in super::super) fn watch(
    recovery: &mut HostRecovery,
    now: DecisionTime,
    record: &mut Record,
    commands: &mut Vec<Command>,
) {
    let acts = matches!(recovery.stage, Stage::Disabling | Stage::Listing | Stage::Moving);
    let watches = recovery.guard.heartbeats.known && !recovery.guard.heartbeats.overridden;
    if !acts || !watches || recovery.rejected.is_some() {
        return;
    }
    let claim = suspect!(recovery).claims.claim();
    let Some(claim) = recovery
        .proof
        .as_ref()
        .and_then(|proof| OffReport::of(proof, claim))
    else {
        return;
    };
    recovery
        .guard
        .region_probe
        .request_if_due(now, SCAN_INTERVAL, commands);
    let mut ctx = decision_context!(recovery, now, record);
    let guard = &mut recovery.guard;
    let shown = guard.region_probe.heartbeats(ctx.host_id);
    if let HeartbeatJudgement::Contradicted(why) = guard.heartbeats.judge(&claim, now.elapsed, shown, &ctx) {
        revoke_proof(&mut recovery.proof, &recovery.moves, &why, &mut ctx);
    }
}
