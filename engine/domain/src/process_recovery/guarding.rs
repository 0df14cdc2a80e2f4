//! The guard before a service is disabled: a reporter that lies must not take a segment out of use.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ProcessRecovery;
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::guard::{Region, Verdict, process};
use crate::nova::Service;
use crate::recovery::{Command, Now, OperatorWord, Record, StepKind, Task};
use crate::wait::WaitsFor;

/// A look around is good for so long.
const FRESH: Duration = Duration::from_secs(3);

/// Between two looks around while the guard is not content.
const APART: Duration = Duration::from_secs(30);

/// How long Nova must hear a host that is held for its process to be known to run.
const LIVES: Duration = Duration::from_mins(2);

/// What must not be forgotten of the guard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Guarded {
    /// An operator has let it past.
    lifted: bool,
    /// Why it waits for an operator.
    held: Option<String>,
    /// Why it waits, and goes on by itself.
    waits: Option<String>,
    /// Since when Nova has heard the host while it is held.
    #[serde(skip)]
    heard_since: Option<Elapsed>,
}

impl Guarded {
    pub(super) fn waits(&self) -> (WaitsFor, BTreeSet<String>) {
        let what = match (&self.held, &self.waits) {
            (Some(_), _) => WaitsFor::Approval,
            (None, Some(_)) => WaitsFor::Guards,
            (None, None) => return (WaitsFor::Nothing, BTreeSet::new()),
        };
        (what, [process::GUARD.to_owned()].into())
    }

    /// What the notification shows.
    pub(super) fn message(&self) -> Option<String> {
        let held = self.held.as_ref().map(|why| format!("held: {why}"));
        held.or_else(|| self.waits.as_ref().map(|why| format!("waiting for {why}")))
    }
}

impl ProcessRecovery {
    pub(super) fn approved(&mut self, said: &OperatorWord, record: &mut Record) {
        if self.guarded.held.take().is_some() || self.guarded.waits.take().is_some() {
            self.guarded.lifted = true;
            self.question.not_before = Elapsed::ZERO;
            record.step(
                Task::DisableNode,
                StepKind::Note,
                0.2,
                format!("{} by {}", said.word, said.by),
            );
        }
    }

    /// Whether the service may be disabled; looks around first if the last look is too old.
    pub(super) fn guards_let(
        &mut self,
        service: &Service,
        now: Now,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) -> bool {
        let Some(host) = self.host_id.filter(|_| !self.guarded.lifted) else {
            return true;
        };
        let Some(region) = self.fresh_region(now) else {
            self.question.send_at_once(now.elapsed);
            self.waits_for_region = Some((now.elapsed, service.clone()));
            commands.push(Command::CountHosts);
            return false;
        };
        let verdict = process::check(&region, host, self.id, &self.policy);
        let before = self.guarded.message();
        (self.guarded.held, self.guarded.waits) = match verdict {
            Verdict::Pass | Verdict::Warn { .. } => (None, None),
            Verdict::Hold { reason } => (
                Some(format!(
                    "{}: {reason}. Approve or reject it; nothing was done",
                    process::NAME
                )),
                None,
            ),
            Verdict::Wait { reason, .. } => (None, Some(format!("{}: {reason}", process::NAME))),
        };
        let message = self.guarded.message();
        if message != before {
            record.head = true;
            let text = message
                .clone()
                .unwrap_or_else(|| format!("{} is content: it goes on", process::NAME));
            record.step(Task::DisableNode, StepKind::Note, 0.1, text);
        }
        if message.is_none() {
            return true;
        }
        self.question.not_before = now.elapsed.plus(APART);
        self.ends_if_it_runs(&region, service, now, record);
        false
    }

    fn fresh_region(&self, now: Now) -> Option<Arc<Region>> {
        let (seen, region) = self.region.as_ref()?;
        (now.elapsed.since(*seen) <= FRESH).then(|| region.clone())
    }

    /// A held suspect that Nova hears again was none.
    fn ends_if_it_runs(&mut self, region: &Region, service: &Service, now: Now, record: &mut Record) {
        if !region.hears(&service.host, &self.policy) {
            self.guarded.heard_since = None;
            return;
        }
        let since = *self.guarded.heard_since.get_or_insert(now.elapsed);
        if now.elapsed.since(since) >= LIVES {
            let text = format!(
                "Nova has heard the nova-compute of {} for {} s: it runs, and nothing was done",
                self.host,
                LIVES.as_secs()
            );
            self.guarded = Guarded::default();
            self.end(NotificationStatus::Finished, text, record);
        }
    }
}
