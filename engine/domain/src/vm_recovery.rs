//! The recovery of one failed instance: stop it, start it, see it active. It is never evacuated here.
//!
//! Stop and start go only to a host that is up and has no open recovery (R12): Nova queues calls for a dead host and runs them
//! when it returns, which would start an old copy. The second half of that is checked in the transaction that journals the
//! intent, by [`Record::unless_host_recovery`].

mod budget;
mod calls;
mod freezing;
mod gates;
mod hooking;
mod learn;
mod steps;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::elapsed::Elapsed;
use crate::entity::Notification;
use crate::entity::notification::NotificationStatus;
use crate::id::{NotificationId, RecoveryId, ServerId};
use crate::instance_event::word;
use crate::nova::{Server, Service};
use crate::policy::Policy;
use crate::question::Question;
use crate::recovery::{Command, Decision, HookTrack, Life, Now, Observation, Pulse, Record, StepKind, Task};
use crate::state_version::StateVersion;
use crate::wait::Wait;
use crate::wait::{WaitsFor, note};

use freezing::FreezeTrack;
use gates::is_owners_own;

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Should anything be done?
    Begin,
    /// Until `vm_state` is `active`, because Nova stops no resized instance.
    Activating,
    /// Until it is stopped.
    Stopping,
    /// Until it is active.
    Starting,
    /// Nothing left.
    Over,
}

/// A call that has been journalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When.
    pub at: Elapsed,
    /// Whether Nova has answered. Until then, or until D + Q have passed, it may still take effect (R5).
    pub answered: bool,
}

/// What a VM recovery must not forget.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own about what has been seen or asked"
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VmRecovery {
    /// A state of a newer version is refused when it is read.
    #[serde(default)]
    pub version: StateVersion,
    /// Its id.
    pub id: RecoveryId,
    /// The notification that caused it.
    pub notification: NotificationId,
    /// The service name in Nova of the reporting host; once Nova has shown the instance on another one, of that.
    pub host: String,
    /// Whether its reporter speaks for that one host only.
    #[serde(default)]
    pub bound: bool,
    /// `event` of the notification, upper case.
    pub event: String,
    /// `vir_domain_event` of the notification, upper case.
    pub detail: String,
    /// The instance; `None` if the notification names none.
    pub server: Option<ServerId>,
    /// The rules it goes by.
    pub policy: Policy,
    /// Decides what is asked next.
    pub stage: Stage,
    /// When the stage began.
    pub since: Elapsed,
    /// The stage's call.
    pub asked: Option<Asked>,
    /// A stop without an answer: nothing is started before it can no longer take effect.
    pub loose_stop: Option<Elapsed>,
    /// Whether the stage's call has been asked for at least once.
    called: bool,
    /// Since when Nova has not shown the instance; that time counts towards no limit.
    silent_since: Option<Elapsed>,
    /// The number of the last word heard.
    pub heard: u64,
    /// What the notification shows.
    pub message: Option<String>,
    /// What came of the operator's hooks.
    #[serde(default)]
    pub hooks: HookTrack,
    /// The instance is active again: only the last hooks remain.
    #[serde(default)]
    active: bool,
    /// How often the instance was restarted lately, before this recovery.
    #[serde(default)]
    restarts: u32,
    /// It is not restarted before this moment.
    #[serde(default)]
    pause_until: Elapsed,
    /// Whether this recovery's restart has been counted.
    #[serde(default)]
    counted: bool,
    /// What was heard of freezes.
    #[serde(default)]
    freeze: FreezeTrack,
    /// The journal has lost what earlier owners wrote last: one of them may have stopped the instance (R33).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rewound: bool,
    /// What it waits for; `None` in what an older program wrote.
    #[serde(default)]
    wait: Option<Wait>,
    #[serde(skip)]
    pulse: Option<Pulse>,
    /// The instance.
    #[serde(skip)]
    server_read: Question,
    #[serde(skip)]
    seen: Option<Dated<Server>>,
    #[serde(skip)]
    service: Option<Dated<Service>>,
    /// The host's service.
    #[serde(skip)]
    service_read: Question,
    #[serde(skip)]
    not_before: Elapsed,
    #[serde(skip)]
    trouble: Option<Trouble>,
}

/// What Nova has shown, and when.
#[derive(Clone, Debug, PartialEq)]
struct Dated<T> {
    at: Elapsed,
    what: T,
}

/// What a trouble is about, and so what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// Nova does not show the instance.
    Instance,
    /// Nova does not show the host's service, or shows it down.
    Host,
    /// An operator has said no.
    Operator,
    /// Nova has refused the stage's call, or not answered it.
    Call,
    /// An operator's hook is running.
    Hook,
    /// It was restarted too often lately.
    Budget,
    /// It is frozen.
    Freeze,
}

/// What keeps it from going on. The first words for it are kept, and only told when it lasts: every change is a write.
#[derive(Clone, Debug, PartialEq)]
struct Trouble {
    about: About,
    since: Elapsed,
    text: String,
}

/// How soon after a call was accepted its effect is looked for.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// How long a trouble must last to be told.
const TOLD_AFTER: Duration = Duration::from_secs(3);

impl VmRecovery {
    /// A recovery as it begins.
    pub fn new(id: RecoveryId, notification: &Notification, host: &str, policy: Policy) -> Self {
        Self {
            version: StateVersion,
            id,
            notification: notification.id,
            host: host.to_owned(),
            bound: notification
                .reporter
                .as_ref()
                .is_some_and(|reporter| reporter.host.is_some()),
            event: word(&notification.payload, "event"),
            detail: word(&notification.payload, "vir_domain_event"),
            server: notification
                .payload
                .get("instance_uuid")
                .and_then(|text| text.parse().ok()),
            policy,
            stage: Stage::Begin,
            since: Elapsed::ZERO,
            asked: None,
            loose_stop: None,
            called: false,
            silent_since: None,
            heard: 0,
            message: None,
            hooks: HookTrack::default(),
            active: false,
            restarts: 0,
            pause_until: Elapsed::ZERO,
            counted: false,
            freeze: FreezeTrack::default(),
            rewound: false,
            wait: None,
            pulse: None,
            server_read: Question::default(),
            seen: None,
            service: None,
            service_read: Question::default(),
            not_before: Elapsed::ZERO,
            trouble: None,
        }
    }

    /// What it waits for, as it was decided last; `None` if nobody has decided yet.
    pub fn wait(&self) -> Option<&Wait> {
        self.wait.as_ref()
    }

    fn waits(&self) -> WaitsFor {
        if freezing::waits_for(self).is_some() {
            return WaitsFor::Frozen;
        }
        let about = self.trouble.as_ref().map(|trouble| trouble.about);
        match &self.pulse {
            Some(pulse) if about == Some(About::Operator) && self.stage != Stage::Over => {
                if pulse.segment_enabled {
                    WaitsFor::Maintenance
                } else {
                    WaitsFor::SegmentDisabled
                }
            }
            Some(_) | None => WaitsFor::Nothing,
        }
    }

    /// Reads one back from the journal.
    ///
    /// # Errors
    ///
    /// What was stored cannot be understood.
    pub fn restore(head: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(head)
    }

    /// For the journal.
    ///
    /// # Errors
    ///
    /// Never in practice; serde's signature.
    pub fn head(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn end(&mut self, status: NotificationStatus, message: impl Into<String>, record: &mut Record) {
        let message = message.into();
        let task = self.task();
        match status {
            NotificationStatus::Failed => record.failed(task, message.clone()),
            NotificationStatus::New
            | NotificationStatus::Running
            | NotificationStatus::Error
            | NotificationStatus::Ignored
            | NotificationStatus::Finished => record.step(task, StepKind::Outcome, 1.0, message.clone()),
        }
        record.notification = Some((status, Some(message.clone())));
        record.life = Some(Life::Closed);
        record.head = true;
        self.message = Some(message);
        self.stage = Stage::Over;
    }

    /// The instance is not this recovery's to restart: it ends so, and as failed if it may be this recovery that has stopped it.
    fn step_aside(&mut self, status: NotificationStatus, text: String, record: &mut Record) {
        let may_be_stopped = match self.stage {
            Stage::Stopping => self.asked.is_some() || self.loose_stop.is_some(),
            Stage::Starting => true,
            Stage::Begin | Stage::Activating => self.rewound,
            Stage::Over => false,
        };
        if may_be_stopped {
            let text =
                format!("{text}; it had been asked to stop for its restart, and is not started from here");
            self.end(NotificationStatus::Failed, text, record);
        } else {
            self.end(status, text, record);
        }
    }

    fn task(&self) -> Task {
        match self.stage {
            Stage::Begin | Stage::Activating | Stage::Stopping => Task::StopInstance,
            Stage::Starting => Task::StartInstance,
            Stage::Over => Task::ConfirmActive,
        }
    }

    fn enter(&mut self, stage: Stage, now: Now, record: &mut Record) {
        self.stage = stage;
        self.since = now.elapsed;
        self.asked = None;
        self.called = false;
        self.not_before = now.elapsed;
        // The next call needs a look of its own at the host (R12), and must not wait for the pace of those that wait.
        self.service_read.not_before = now.elapsed;
        self.trouble = None;
        record.head = true;
    }

    /// How long to wait for the next look at the instance: little right after a call that Nova has accepted, since most
    /// instances stop and start in a moment, and ever longer up to the ordinary pace.
    fn look_again_after(&self, now: Now) -> Duration {
        match self.asked {
            Some(asked) if asked.answered => (now.elapsed.since(asked.at) / 2).max(FIRST_LOOK),
            Some(_) | None => self.policy.tick,
        }
        .min(self.policy.tick)
    }

    fn trouble(&mut self, about: About, text: String, now: Now) {
        // A call's fault is only a fault as long as nothing else forbids the call.
        let keep = self
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.about == about || trouble.about != About::Call);
        if !keep {
            self.trouble = Some(Trouble {
                about,
                since: now.elapsed,
                text,
            });
        }
    }

    fn no_trouble(&mut self, about: About) {
        self.trouble.take_if(|trouble| trouble.about == about);
    }

    fn act(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        for _ in 0..5 {
            let before = self.stage;
            self.act_once(now, record, commands);
            if self.stage == before {
                break;
            }
        }
        let told = self
            .trouble
            .as_ref()
            .filter(|trouble| now.elapsed.since(trouble.since) >= TOLD_AFTER)
            .map(|trouble| trouble.text.clone());
        if self.stage != Stage::Over && self.message != told {
            self.message = told;
            record.head = true;
            record.notification = Some((NotificationStatus::Running, self.message.clone()));
        }
    }

    fn act_once(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        if self.stage == Stage::Over {
            return;
        }
        if self.active {
            return self.close(now, record, commands);
        }
        let Some(server) = self.begin(record) else { return };
        if freezing::holds(self, now, record) {
            return;
        }
        // A read that hangs must not let old sights pass for new ones.
        let oldest = self.policy.call_deadline.max(self.policy.tick * 2);
        self.seen.take_if(|seen| now.elapsed.since(seen.at) > oldest);
        self.service.take_if(|seen| now.elapsed.since(seen.at) > oldest);
        if self.server_read.send(now.elapsed) {
            commands.push(Command::ReadServer(server));
        }
        let Some(seen) = self.seen.as_ref().map(|seen| seen.what.clone()) else {
            return;
        };
        if self.stage == Stage::Begin {
            return self.judge(&seen, now, record, commands);
        }
        if seen.host.as_deref() != Some(self.host.as_str()) {
            // Stop and start follow the instance, wherever it is; the checks of R12 are for this host only.
            let text = format!(
                "the instance has left host {} meanwhile: nothing more is done to it",
                self.host
            );
            return self.step_aside(NotificationStatus::Ignored, text, record);
        }
        if is_owners_own(&seen.vm_state) {
            let text = format!("the instance is {}: left to its owner", seen.vm_state);
            return self.end(NotificationStatus::Ignored, text, record);
        }
        match self.stage {
            Stage::Begin | Stage::Over => {}
            Stage::Activating => self.act_activating(server, &seen, now, record, commands),
            Stage::Stopping => self.act_stopping(server, &seen, now, record, commands),
            Stage::Starting => self.act_starting(server, &seen, now, record, commands),
        }
    }
}

/// What to do, given what is known, what has just been learnt, and how old the recovery is.
pub fn decide(state: &mut VmRecovery, observation: Observation, now: Now) -> Decision {
    let mut record = Record::default();
    let mut commands = Vec::new();
    if state.stage != Stage::Over {
        state.learn(observation, now, &mut record);
        state.act(now, &mut record, &mut commands);
        if state.stage == Stage::Over {
            // Nothing is left to be known.
            commands.clear();
        }
        let waits = state.waits();
        record.head |= note(&mut state.wait, waits, BTreeSet::new(), now.wall);
    }
    Decision { record, commands }
}

#[cfg(test)]
mod tests;
