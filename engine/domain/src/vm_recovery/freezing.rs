//! An instance that somebody has frozen, or whose host is: it is not restarted, and afterwards only if it does not run (ADR 0051).

use serde::{Deserialize, Serialize};

use super::{About, Stage, VmRecovery};
use crate::entity::notification::NotificationStatus;
use crate::freeze::{Freeze, UnlessFrozen};
use crate::nova::{PowerState, Server, VmState};
use crate::recovery::{Now, Record, StepKind};

/// How the call that the instance is given first does; until another is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum First {
    /// None is about to be made.
    #[default]
    None,
    /// It is.
    About,
    /// It was not made after all.
    Withdrawn,
}

/// What must not be forgotten of freezes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FreezeTrack {
    /// The number of the latest one whose end was heard of.
    thawed: i64,
    /// It has waited for one, and goes on only when that is over.
    waited: bool,
    /// The report is from before its end.
    seen_only: bool,
    #[serde(skip)]
    first: First,
}

/// Whether the instance has been stopped, or may be: then it has to be started again.
fn has_begun(state: &VmRecovery) -> bool {
    state.called || state.active || state.loose_stop.is_some() || state.stage == Stage::Starting
}

/// What it waits for.
pub(super) fn waits_for(state: &VmRecovery) -> Option<&Freeze> {
    let may_wait = !has_begun(state) && state.stage != Stage::Over;
    over(state).filter(|_| may_wait)
}

/// What holds it, or its host, whether it minds or not.
fn over(state: &VmRecovery) -> Option<&Freeze> {
    let frozen = &state.pulse.as_ref()?.frozen;
    let own = state
        .server
        .as_ref()
        .and_then(|server| frozen.instances.get(server));
    own.or_else(|| frozen.of_host())
        .or_else(|| frozen.hosts.get(&state.host))
}

/// `true` while nothing may be begun.
pub(super) fn holds(state: &mut VmRecovery, now: Now, record: &mut Record) -> bool {
    if over(state).is_some() && state.freeze.first == First::Withdrawn {
        state.freeze.first = First::None;
        // What the journal has refused was never begun.
        state.called = false;
        state.counted = false;
        record.head = true;
    }
    let message = waits_for(state).map(Freeze::message);
    let thawed = state.pulse.as_ref().map_or(0, |pulse| pulse.frozen.thawed);
    let over = thawed > state.freeze.thawed || (state.freeze.waited && message.is_none());
    record.head |= over || (message.is_some() && !state.freeze.waited);
    state.freeze.thawed = state.freeze.thawed.max(thawed);
    state.freeze.waited = message.is_some();
    if over && !has_begun(state) {
        state.freeze.seen_only = true;
        state.seen = None;
        state.service = None;
        state.enter(Stage::Begin, now, record);
        let text = "a freeze is over: the instance is looked at anew";
        record.step(state.task(), StepKind::Note, 0.0, text);
    }
    let Some(message) = message else {
        state.no_trouble(About::Freeze);
        return false;
    };
    // Whatever else was the matter is none now.
    state.trouble.take_if(|trouble| trouble.about != About::Freeze);
    state.trouble(About::Freeze, message, now);
    true
}

/// Reported before the end of a freeze, and it runs: whoever had it frozen, or its owner, has seen to it.
pub(super) fn runs_since_thaw(state: &mut VmRecovery, seen: &Server, record: &mut Record) -> bool {
    let runs = seen.vm_state == VmState::Active && seen.power_state == PowerState::Running;
    if !state.freeze.seen_only || !runs {
        return false;
    }
    let text = "reported before a freeze was over, and Nova shows it running now: it is not restarted; report it again if it fails";
    state.end(NotificationStatus::Ignored, text, record);
    true
}

/// What must not be frozen for the call that is about to be written.
pub(super) fn note_first(state: &mut VmRecovery, record: &mut Record) {
    state.freeze.first = First::None;
    if !has_begun(state) {
        state.freeze.first = First::About;
        record.unless_frozen = UnlessFrozen {
            own: true,
            host: Some(state.host.clone()),
            servers: state.server.into_iter().collect(),
        };
    }
}

/// The call was not made.
pub(super) fn call_withdrawn(state: &mut VmRecovery) {
    state.asked = None;
    if state.freeze.first == First::About {
        state.freeze.first = First::Withdrawn;
    }
}
