//! Instances that are down and that a recovery brings back by itself.

use std::collections::BTreeSet;

use tachi_domain::WaitsFor;
use tachi_domain::recovery::{Life, RecoveryKind};

use crate::{HostView, SituationView, UnderwayView};

impl SituationView {
    /// Returns the number of instances that are down on hosts whose recovery continues without an operator. Instances that wait for an
    /// operator do not count.
    pub fn being_recovered(&self) -> u64 {
        let goes_on = |operation: &&UnderwayView| {
            let waits = operation.waits.as_ref();
            operation.kind == RecoveryKind::Host
                && operation.life == Life::Open
                && waits.is_none_or(|wait| !wait.needs_person && wait.what != WaitsFor::Frozen)
        };
        let hosts: BTreeSet<&str> = self
            .recoveries
            .iter()
            .filter(goes_on)
            .map(|operation| operation.host.as_str())
            .collect();
        let down = |host: &HostView| host.instances.map_or(0, |counts| counts.down);
        let all: u64 = self
            .hosts
            .iter()
            .filter(|host| hosts.contains(host.name.as_str()))
            .map(down)
            .sum();
        let waiting = self
            .needs_person
            .instances
            .iter()
            .filter(|operation| hosts.contains(operation.host.as_str()));
        all.saturating_sub(u64::try_from(waiting.count()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::{RecoveryId, Timestamp, Wait};
    use tachi_engine::ports::operator::MoveCounts;
    use uuid::Uuid;

    use super::*;
    use crate::freezes::tests::fine;
    use crate::{CountsView, MovesView, WaitView, WaitingInstanceView};

    fn under_recovery(host: &str, waits: Option<WaitsFor>) -> UnderwayView {
        let wait = waits.map(|what| Wait::bare(what, Timestamp::from_micros(0)));
        UnderwayView {
            id: RecoveryId(Uuid::from_u128(9)),
            host: host.into(),
            kind: RecoveryKind::Host,
            life: Life::Open,
            status: "running".into(),
            waits: wait.as_ref().map(WaitView::from),
            message: None,
            owner: None,
            instances: 4,
            back: 0,
            in_flight: 0,
            moves: MovesView::from(MoveCounts::default()),
        }
    }

    #[test]
    fn only_a_recovery_that_goes_on_by_itself_brings_instances_back() {
        let snapshot = fine();
        let mut view = SituationView::from(&snapshot);
        let host = view.hosts[0].name.clone();
        view.hosts[0].instances = Some(CountsView {
            protected: 0,
            degraded: 0,
            unknown: 0,
            unprotected: 0,
            down: 4,
            not_meant: 0,
        });
        assert_eq!(view.being_recovered(), 0, "no recovery works on it");
        for (waits, expected) in [
            (None, 4),
            (Some(WaitsFor::Nothing), 4),
            (Some(WaitsFor::Proof), 4),
            (Some(WaitsFor::Approval), 0),
            (Some(WaitsFor::Frozen), 0),
        ] {
            view.recoveries = vec![under_recovery(&host, waits)];
            assert_eq!(view.being_recovered(), expected, "{waits:?}");
        }
        view.recoveries = vec![under_recovery("another", None)];
        assert_eq!(view.being_recovered(), 0);
        view.recoveries = vec![UnderwayView {
            life: Life::Watching,
            ..under_recovery(&host, None)
        }];
        assert_eq!(view.being_recovered(), 0, "the move is finished");
        view.recoveries = vec![under_recovery(&host, None)];
        view.needs_person.instances = vec![WaitingInstanceView {
            instance: "1".into(),
            name: "vm".into(),
            host,
            recovery: RecoveryId(Uuid::from_u128(9)),
            life: Life::Open,
            waits: None,
            commands: Vec::new(),
        }];
        assert_eq!(view.being_recovered(), 3, "one waits for an operator");
    }
}
