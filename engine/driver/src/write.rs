//! The conversion of a decision's record to one transaction.

use serde_json::json;
use tachi_domain::entity::vmove::VmoveState;
use tachi_domain::host_recovery::{Reservation, ReservationEnd, ReservationStep};
use tachi_domain::proof::{Basis, DatedReading, Proof};
use tachi_domain::recovery::Record;
use tachi_domain::{Elapsed, HostId, Timestamp};

use crate::journal::{
    HostWrite, MoveWrite, PlannedWrite, ProofWrite, ReservationState, ReservationWrite, StepWrite, Write,
};
use crate::recovery::Recovery;

/// Builds the transaction.
///
/// # Errors
///
/// The state cannot be serialized; never in practice.
pub(crate) fn write_of(
    state: &dyn Recovery,
    record: &Record,
    host: Option<HostId>,
    owner: &str,
    elapsed: Elapsed,
    wall: Timestamp,
) -> Result<Write, serde_json::Error> {
    let mut moves = Vec::with_capacity(record.moves.len());
    for server in &record.moves {
        let Some(instance) = state.one_move(*server) else {
            continue;
        };
        moves.push(MoveWrite {
            server: instance.server,
            vmove: VmoveState {
                id: instance.vmove,
                name: instance.name.clone(),
                source_host: state.host().to_owned(),
                dest_host: instance.dest.clone(),
                start_time: instance.asked_at,
                end_time: instance.done_at.filter(|_| instance.is_finished()),
                status: instance.status(),
                message: instance.note.clone(),
            },
            rank: instance.rank,
            wait: instance.wait.clone(),
            written_off: instance.written_off.clone(),
            may_run: instance.may_run.clone(),
            open: !instance.is_finished(),
            state: instance.to_json()?,
        });
    }
    let planned = record
        .moves
        .iter()
        .filter_map(|server| state.planned_move(*server))
        .map(|instance| PlannedWrite {
            server: instance.server,
            vmove: VmoveState {
                id: instance.vmove,
                name: instance.name.clone(),
                source_host: instance.source.clone(),
                dest_host: instance.dest.clone(),
                start_time: instance.asked_at,
                end_time: instance.done_at,
                status: instance.status(),
                message: instance.message(),
            },
        })
        .collect();
    let host_write = match (record.host, host) {
        (Some(why), Some(host)) => Some(HostWrite { host, why }),
        (None, _) | (_, None) => None,
    };
    Ok(Write {
        elapsed,
        state: record.head.then(|| state.head()).transpose()?,
        wait: state.wait().filter(|_| record.head).cloned(),
        life: record.life,
        moves,
        steps: record
            .steps
            .iter()
            .map(|step| StepWrite {
                step: step.clone(),
                at: wall,
            })
            .collect(),
        proofs: record
            .proofs
            .iter()
            .map(|proof| proof_of(proof, owner, state.host(), wall))
            .collect(),
        notification: record.notification.clone(),
        host: host_write,
        proven_off: if record.head { state.is_proven_off() } else { None },
        unless_host_recovery: record.unless_host_recovery.clone(),
        unless_elsewhere: record.unless_elsewhere.clone(),
        // A recovery that has processed such reports cannot gain from another one.
        unless_joined: record.unless_joined && !state.has_normal_report(),
        unless_evidence: record.unless_joined && !state.has_heard_evidence(),
        latest: None,
        rewind_done: false,
        processed_action_ids: record.processed_action_ids.iter().copied().collect(),
        restarted: record.restarted,
        reservations: record
            .reservations
            .iter()
            .filter_map(|host| state.reservation(*host))
            .map(|taken| reservation_of(taken, wall))
            .collect(),
        host_back: host.filter(|_| record.host_back),
        running_again: record.running_again,
        dismissed: record.dismissed,
        unrepaired: record.unrepaired,
        order: record.order,
        move_order: record.move_order,
        unless_frozen: record.unless_frozen.clone(),
        worse: record.worse.iter().copied().collect(),
        planned,
        freeze: record.freeze.clone(),
    })
}

fn reservation_of(taken: &Reservation, wall: Timestamp) -> ReservationWrite {
    ReservationWrite {
        host: taken.host,
        name: taken.name.clone(),
        state: match taken.step {
            ReservationStep::Done(ReservationEnd::Used) => ReservationState::Used,
            ReservationStep::Done(ReservationEnd::GivenBack) => ReservationState::GivenBack,
            ReservationStep::Preparing | ReservationStep::Ready | ReservationStep::Returning
                if taken.consumed =>
            {
                ReservationState::Consumed
            }
            ReservationStep::Preparing | ReservationStep::Ready | ReservationStep::Returning => {
                ReservationState::Reserved
            }
        },
        was_enabled: taken.was_enabled,
        was_reason: taken.was_reason.clone(),
        aggregates: taken
            .joining
            .iter()
            .map(|aggregate| aggregate.name.clone())
            .collect(),
        at: wall,
    }
}

fn proof_of(proof: &Proof, owner: &str, host: &str, wall: Timestamp) -> ProofWrite {
    let (kind, from, evidence) = match proof.basis() {
        Basis::Device {
            first,
            latest,
            others,
            level,
        } => {
            let render = |dated: &DatedReading| {
                json!({
                    "asked_ms": dated.started.millis(),
                    "said": dated.reading.raw,
                    "answered_at_us": dated.reading.at.micros(),
                })
            };
            let beside: Vec<_> = others
                .iter()
                .map(|pair| {
                    json!({
                        "device": pair.latest.reading.device,
                        "readings": [render(&pair.first), render(&pair.latest)],
                    })
                })
                .collect();
            (
                "device",
                latest.reading.device.clone(),
                json!({ "level": level, "readings": [render(first), render(latest)], "others": beside }),
            )
        }
        Basis::Claim {
            notification,
            still_at,
            evidence,
            person: None,
        } => (
            "notification",
            format!("notification {notification}"),
            json!({ "host_status": "NORMAL", "nova_silent_at_ms": still_at.millis(), "fence": evidence }),
        ),
        Basis::Claim {
            still_at,
            person: Some(person),
            ..
        } => (
            "operator",
            person.clone(),
            json!({ "nova_silent_at_ms": still_at.millis() }),
        ),
    };
    let evidence = json!({ "sentence": proof.sentence(host), "detail": evidence });
    ProofWrite {
        kind: kind.into(),
        by: owner.to_owned(),
        from,
        evidence: evidence.to_string(),
        at: wall,
    }
}
