//! The reason why a recovery, or one of its moves, waits. Commands, metrics and events use this fact, and it is written with
//! the state in one transaction. Messages are for people, and no program reads them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;

string_enum! {
    /// The event that is waited for.
    WaitsFor {
        /// No wait: work is in progress, or done.
        Nothing = "nothing",
        /// Guards that require more time. The recovery continues by itself.
        Guards = "guards",
        /// The end of a freeze. The recovery continues by itself.
        Frozen = "frozen",
        /// A proof that the host is off.
        Proof = "proof",
        /// Nova, which has to show the host disabled and forced down.
        ForcedDown = "forced-down",
        /// The host's nova-compute, after everything else is done.
        Return = "return",
        /// The start of the excluded instances of a host that has returned.
        Start = "start",
        /// An operator's approval, which guards require.
        Approval = "approval",
        /// An operator, because no fence level has confirmed the host off.
        Fence = "fence",
        /// An operator, because the host was seen up after its proof.
        Alive = "alive",
        /// An operator, because mode dry-run has reported what it would do.
        DryRun = "dry-run",
        /// The end of a stop of all fencing.
        FencingStopped = "fencing-stopped",
        /// The segment, which is disabled.
        SegmentDisabled = "segment-disabled",
        /// The end of the maintenance that an operator has set on the host.
        Maintenance = "maintenance",
        /// Actions of an operator on some of its moves.
        Moves = "moves",
        /// A program that can read its state.
        NewerVersion = "newer-version",
        /// An operator's check that the instance does not run on other hosts, where it may be running.
        Absence = "absence",
        /// The return of the host whose local disk the instance is on. When the time for that has passed, the instance is
        /// evacuated.
        LocalDisk = "local-disk",
        /// Nova's record of another move, which may have left the instance on another host.
        Record = "record",
        /// Nova's record of its evacuation, which makes no progress.
        Progress = "progress",
        /// No event: it was given up, and an operator has to handle the rest.
        GivenUp = "given-up",
    }
}

string_enum! {
    /// An operator's action that can end a wait.
    EndedBy {
        /// The action `approve` on the recovery.
        Approve = "approve",
        /// The action `abort` on the recovery.
        Abort = "abort",
        /// The operator's confirmation that the host has no power.
        ConfirmOff = "vouch",
        /// Fencing is enabled again.
        EnableFencing = "enable-fencing",
        /// The segment is enabled again.
        EnableSegment = "enable-segment",
        /// The host's maintenance is cleared.
        EndMaintenance = "end-maintenance",
        /// An action on each move that waits.
        ResolveInstances = "move-words",
        /// A newer program is installed.
        Upgrade = "upgrade",
        /// The action `success` on the instance: it runs on that host.
        Success = "success",
        /// The action `failure` on the instance: it does not run on that host.
        Failure = "failure",
        /// The action `retry` on the instance: the request is repeated.
        Retry = "retry",
        /// The action `ignore` on the instance: it is left as it is.
        Ignore = "ignore",
        /// The freeze is ended.
        Thaw = "thaw",
        /// Another attempt at the whole recovery.
        RetryRecovery = "retry-recovery",
    }
}

impl WaitsFor {
    /// True if it is on hold: only an operator's action or change is certain to end it.
    pub const fn is_on_hold(self) -> bool {
        !self.ended_by().is_empty()
            && !matches!(
                self,
                Self::Guards | Self::Frozen | Self::Proof | Self::LocalDisk | Self::GivenUp
            )
    }

    /// True if it needs an operator: it is on hold, or was given up.
    pub const fn needs_person(self) -> bool {
        self.is_on_hold() || matches!(self, Self::GivenUp)
    }

    /// Returns a sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Nothing => "nothing to wait for",
            Self::Guards => "waits until no guard blocks it, then continues by itself",
            Self::Frozen => "frozen by an operator; continues by itself when the freeze ends",
            Self::Proof => "waits for a proof that the host is off",
            Self::ForcedDown => "waits for Nova to show the host disabled and forced down",
            Self::Return => "waits for the host's nova-compute to be back",
            Self::Start => "the host is back; its excluded instances are being started",
            Self::Approval => "a guard requires an operator's approval",
            Self::Fence => "the host could not be confirmed off",
            Self::Alive => "the host was seen alive after its proof",
            Self::DryRun => "mode dry-run does nothing",
            Self::FencingStopped => "fencing is stopped ([fencing] enabled = false)",
            Self::SegmentDisabled => "the segment is disabled",
            Self::Maintenance => "the host is in maintenance, set by an operator",
            Self::Moves => "some of its instances wait for an operator",
            Self::NewerVersion => "its state was written by another version of Tachi",
            Self::Absence => "it may run on another host: check there, and record the result",
            Self::LocalDisk => "waits for the return of the host, because of a local disk",
            Self::Record => {
                "it may still be running on another host after an interrupted migration: check there, and record the result"
            }
            Self::Progress => "its evacuation makes no progress in Nova",
            Self::GivenUp => "it was given up",
        }
    }

    /// Returns the operator's actions that can end it.
    pub const fn ended_by(self) -> &'static [EndedBy] {
        match self {
            Self::Nothing | Self::ForcedDown | Self::Return | Self::Start => &[],
            Self::Guards => &[EndedBy::Approve],
            Self::Frozen => &[EndedBy::Thaw],
            Self::Proof => &[EndedBy::ConfirmOff],
            Self::LocalDisk => &[EndedBy::Retry, EndedBy::Ignore],
            Self::Approval | Self::Alive | Self::DryRun => &[EndedBy::Approve, EndedBy::Abort],
            Self::Fence => &[EndedBy::Approve, EndedBy::ConfirmOff, EndedBy::Abort],
            Self::FencingStopped => &[EndedBy::EnableFencing, EndedBy::Abort],
            Self::SegmentDisabled => &[EndedBy::EnableSegment, EndedBy::Abort],
            Self::Maintenance => &[EndedBy::EndMaintenance, EndedBy::Abort],
            Self::Moves => &[EndedBy::ResolveInstances, EndedBy::Abort],
            Self::NewerVersion => &[EndedBy::Upgrade],
            // Nova may still be working on what makes no progress, so that it cannot be requested again.
            Self::Absence | Self::Record | Self::Progress => {
                &[EndedBy::Failure, EndedBy::Success, EndedBy::Ignore]
            }
            Self::GivenUp => &[EndedBy::RetryRecovery, EndedBy::Ignore],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The event that is waited for.
    #[serde(rename = "for")]
    pub what: WaitsFor,
    /// The guards or the hosts that it is about, or the time of its end.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub on: BTreeSet<String>,
    pub since: Timestamp,
}

impl Wait {
    /// Returns a wait without names of guards or hosts.
    pub const fn bare(what: WaitsFor, since: Timestamp) -> Self {
        Self {
            what,
            on: BTreeSet::new(),
            since,
        }
    }

    /// True if this wait, as an operator was shown it, is the one `now`. A wait that has lost a guard since is the same one; a wait
    /// that has gained a guard is not. Times are shown to the millisecond.
    pub fn covers(&self, now: &Self) -> bool {
        let millis = |wait: &Self| wait.since.micros().div_euclid(1_000);
        self.what == now.what && millis(self) == millis(now) && now.on.is_subset(&self.on)
    }
}

/// The wait that an operator has approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApprovedWait {
    /// The request names no wait: the wait at the time of the request.
    Current,
    /// The wait that the operator was shown; `None` if there was none.
    Snapshot(Option<Wait>),
}

impl ApprovedWait {
    /// True if the approval is for the wait `now`.
    pub fn is_for(&self, now: Option<&Wait>) -> bool {
        match (self, now) {
            (Self::Current, _) | (Self::Snapshot(None), None) => true,
            (Self::Snapshot(Some(shown)), Some(now)) => shown.covers(now),
            (Self::Snapshot(_), _) => false,
        }
    }
}

/// Stores in `kept` what is waited for `now`. Returns true if it has changed: it is another wait, or none was stored, as in
/// a state that an older version wrote.
pub(crate) fn note(noted: &mut Option<Wait>, what: WaitsFor, on: BTreeSet<String>, now: Timestamp) -> bool {
    if let Some(noted) = noted
        && noted.what == what
    {
        // A wait that grows by a guard or a host keeps its start.
        let grown = noted.on != on;
        noted.on = on;
        return grown;
    }
    *noted = Some(Wait { what, on, since: now });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers R32.
    #[test]
    fn an_approval_is_for_the_wait_that_was_shown() {
        let wait = |what| Wait::bare(what, Timestamp::from_micros(5));
        let (held, other) = (wait(WaitsFor::Approval), wait(WaitsFor::Alive));
        for (approved, now, is_for) in [
            (ApprovedWait::Current, Some(&held), true),
            (ApprovedWait::Current, None, true),
            (ApprovedWait::Snapshot(Some(held.clone())), Some(&held), true),
            (ApprovedWait::Snapshot(Some(held.clone())), Some(&other), false),
            (ApprovedWait::Snapshot(Some(held.clone())), None, false),
            (ApprovedWait::Snapshot(None), Some(&held), false),
            (ApprovedWait::Snapshot(None), None, true),
        ] {
            assert_eq!(approved.is_for(now), is_for, "{approved:?}, {now:?}");
        }
    }

    #[test]
    fn a_wait_for_an_operator_has_an_action_that_ends_it() {
        for what in WaitsFor::ALL {
            assert!(
                !what.needs_person() || !what.ended_by().is_empty(),
                "{what} needs an operator, who cannot know what to do"
            );
        }
        let by_itself = [
            WaitsFor::Nothing,
            WaitsFor::Guards,
            WaitsFor::Frozen,
            WaitsFor::Proof,
            WaitsFor::ForcedDown,
            WaitsFor::Return,
            WaitsFor::LocalDisk,
            WaitsFor::Start,
        ];
        for what in WaitsFor::ALL {
            assert_eq!(what.needs_person(), !by_itself.contains(what), "{what}");
        }
        assert!(!WaitsFor::GivenUp.is_on_hold(), "it is over");
    }

    #[test]
    fn a_wait_that_grows_keeps_its_start_and_another_one_is_a_change() {
        let at = Timestamp::from_micros;
        let on = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut kept = None;
        assert!(
            note(&mut kept, WaitsFor::Nothing, on(&[]), at(1)),
            "an older program noted none"
        );
        assert!(!note(&mut kept, WaitsFor::Nothing, on(&[]), at(2)));
        assert!(note(&mut kept, WaitsFor::Approval, on(&["segment"]), at(3)));
        assert!(!note(&mut kept, WaitsFor::Approval, on(&["segment"]), at(4)));
        assert!(note(
            &mut kept,
            WaitsFor::Approval,
            on(&["segment", "rate"]),
            at(5)
        ));
        assert_eq!(kept.as_ref().map(|wait| wait.since), Some(at(3)));
        assert!(note(&mut kept, WaitsFor::Nothing, on(&[]), at(6)));
        assert_eq!(kept, Some(Wait::bare(WaitsFor::Nothing, at(6))));
    }

    #[test]
    fn a_stored_wait_is_read_back() {
        let wait = Wait {
            what: WaitsFor::Absence,
            on: ["compute-002".to_owned()].into(),
            since: Timestamp::from_micros(7),
        };
        let text = serde_json::to_string(&wait).unwrap();
        assert_eq!(text, r#"{"for":"absence","on":["compute-002"],"since":7}"#);
        assert_eq!(serde_json::from_str::<Wait>(&text).unwrap(), wait);
    }
}
