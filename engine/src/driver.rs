//! Runs the driver of one recovery with tokio: performs its effects on the ports and converts the results to events.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::policy::Policy;
use tachi_domain::recovery::{Command, Observation, Record, Step};
use tachi_driver::journal::{Claim, ClaimedRecovery, LeaseRenewal, Write, WriteOutcome};
use tachi_driver::{Calls, DriverEnd, DurableState, Effect, Event, Recovery, Time, UncertainClaim, refusal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::audit::{self, Auditor};
use crate::claim_guard::ClaimGuard;
use crate::correlation;
use crate::engine::Ports;
use crate::event_emitter::EventEmitter;
use crate::executor::{Context, execute};
use crate::hooks::DocumentContext;
use crate::lease::LeaseRenewer;
use crate::lists::SharedLists;
use crate::muting;
use crate::numbers::{self, Numbers};
use crate::ports::JournalError;
use crate::rate_controller::{RateController, RateSlot};

/// Time that a stopping engine waits for the answers of running calls.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// State shared by all drivers of an engine.
#[derive(Clone)]
pub(crate) struct EngineContext {
    pub(crate) rate_controller: RateController,
    pub(crate) lists: SharedLists,
    pub(crate) renewals: LeaseRenewer,
    /// The current rules. Each recovery keeps a copy of its rules.
    pub(crate) rules: watch::Receiver<Policy>,
}

pub(crate) struct Driver {
    machine: tachi_driver::Driver,
    ports: Ports,
    renewals: LeaseRenewer,
    lists: SharedLists,
    slot: RateSlot,
    rules: watch::Receiver<Policy>,
    /// The facts that are passed to hooks.
    document: Arc<DocumentContext>,
    claimed: ClaimedRecovery,
    claim_guard: ClaimGuard,
    numbers: Numbers,
    calls: JoinSet<()>,
    answers: mpsc::Sender<Observation>,
    inbox: mpsc::Receiver<Observation>,
    /// `None` if no event listener is configured.
    emitter: Option<EventEmitter>,
    auditor: Auditor,
}

impl Driver {
    /// Creates a driver for a recovery whose claim was sent at `sent`.
    pub(crate) fn new(
        ports: Ports,
        claimed: ClaimedRecovery,
        state: Box<dyn Recovery>,
        sent: Duration,
        shared: &EngineContext,
    ) -> Self {
        let (answers, inbox) = mpsc::channel(256);
        Self {
            renewals: shared.renewals.clone(),
            lists: shared.lists.clone(),
            slot: shared.rate_controller.join(claimed.id),
            rules: shared.rules.clone(),
            document: DocumentContext::new(&claimed, &claimed.owner),
            claim_guard: ClaimGuard::since(ports.clock.clone(), sent),
            numbers: Numbers::begin(&claimed, &*state),
            calls: JoinSet::new(),
            answers,
            inbox,
            emitter: None,
            auditor: Auditor::new(ports.audit.clone(), &claimed, &*state),
            machine: tachi_driver::Driver::new(&claimed, state, sent),
            ports,
            claimed,
        }
    }

    /// Returns the driver, emitting events for its commits.
    pub(crate) fn with_emitter(self, emitter: Option<EventEmitter>) -> Self {
        Self { emitter, ..self }
    }

    /// Runs until the recovery is done, the claim is lost, or `stop`. Returns the claim as last known.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> (DriverEnd, Claim) {
        if let Some(emitter) = &self.emitter {
            emitter.claimed(self.ports.clock.wall());
        }
        let mut event = Event::Observed(vec![Observation::Permits(self.slot.permits()), self.rules_now()]);
        loop {
            let time = Time {
                boot: self.ports.clock.boot(),
                wall: self.ports.clock.wall(),
            };
            let mut next = None;
            for effect in self.machine.handle(event, time) {
                self.claim_guard.renewal_committed(self.machine.renewal_sent());
                match self.carry_out(effect, &stop).await {
                    ControlFlow::Continue(answer) => next = answer,
                    ControlFlow::Break(ended) => {
                        self.log_end(ended);
                        // Running calls cannot be revoked, and their answers are no longer needed.
                        self.calls.abort_all();
                        return (ended, self.machine.claim().clone());
                    }
                }
            }
            // Every event has an effect, and the last one yields an event.
            let Some(answer) = next else {
                return (
                    DriverEnd::Uncertain(UncertainClaim::Failed),
                    self.machine.claim().clone(),
                );
            };
            event = answer;
        }
    }

    fn rules_now(&mut self) -> Observation {
        Observation::FencingStopped(self.rules.borrow_and_update().fencing_stopped)
    }

    async fn carry_out(
        &mut self,
        effect: Effect,
        stop: &CancellationToken,
    ) -> ControlFlow<DriverEnd, Option<Event>> {
        ControlFlow::Continue(Some(match effect {
            Effect::Demand(demand, sight) => {
                self.slot.update(demand, &sight);
                return ControlFlow::Continue(None);
            }
            Effect::Written(written) => {
                self.written(&written);
                return ControlFlow::Continue(None);
            }
            Effect::Alarm { again } => {
                self.alarm(again);
                return ControlFlow::Continue(None);
            }
            Effect::Call(calls) => {
                self.start(calls);
                return ControlFlow::Continue(None);
            }
            Effect::Audit(commands) => Event::Audited(self.auditor.orders(self.host(), &commands).await),
            Effect::Commit(claim, write) => self.commit(&claim, &write).await,
            Effect::RenewLease(beat) => self.beat(beat).await,
            Effect::Wait(until) => self.wait(until, stop).await,
            Effect::Release => {
                self.release().await;
                return ControlFlow::Break(DriverEnd::Released);
            }
            Effect::End(ended) => return ControlFlow::Break(ended),
        }))
    }

    async fn wait(&mut self, until: Duration, stop: &CancellationToken) -> Event {
        let pause = until.saturating_sub(self.ports.clock.boot());
        // Every branch is cancel-safe: receiving and waiting lose nothing when dropped.
        let mut observations = tokio::select! {
            biased;
            () = stop.cancelled() => return Event::Stop,
            Some(observation) = self.inbox.recv() => vec![observation],
            permits = self.slot.changed() => vec![Observation::Permits(permits)],
            Ok(()) = self.rules.changed() => Vec::new(),
            () = sleep(pause) => vec![Observation::Tick],
        };
        if observations.is_empty() {
            observations.push(self.rules_now());
        }
        // All other pending observations are part of the same decision and transaction.
        while let Ok(more) = self.inbox.try_recv() {
            observations.push(more);
        }
        while self.calls.try_join_next().is_some() {}
        Event::Observed(observations)
    }

    async fn commit(&self, claim: &Claim, write: &Write) -> Event {
        let sent = self.ports.clock.boot();
        let outcome = self.ports.journal.commit(claim, write).await;
        numbers::committed(&outcome, self.ports.clock.boot().saturating_sub(sent));
        self.journalled(sent, outcome)
    }

    async fn beat(&self, beat: LeaseRenewal) -> Event {
        let renewed = self.renewals.beat(beat).await;
        self.journalled(renewed.sent, renewed.outcome)
    }

    fn journalled(&self, sent: Duration, outcome: Result<WriteOutcome, JournalError>) -> Event {
        let outcome = outcome.inspect_err(|error| {
            let source = error.source.to_string();
            tracing::warn!(recovery = %self.claimed.id, %error, source, "failed to write the journal; the claim is not confirmed");
        });
        Event::Journalled {
            sent,
            outcome: outcome.ok(),
        }
    }

    fn host(&self) -> &str {
        self.machine.state().host()
    }

    /// Logs and emits the steps that have just become durable.
    fn written(&mut self, written: &DurableState) {
        let DurableState { record, write, now } = written;
        for step in &record.steps {
            self.log_step(step);
        }
        self.log_message(record);
        let state = self.machine.state();
        self.auditor.committed(state, record, write);
        if let Some(emitter) = &mut self.emitter {
            emitter.committed(write, state.hold_reason(), now.wall);
        }
        self.numbers.decided(state, record, *now);
        if record.contradicted {
            let rules = self.rules.borrow().guards.reporters;
            muting::contradicted(&self.ports, self.claimed.id, state.host(), rules);
        }
    }

    /// Logs a warning with the reason why the recovery is still waiting.
    fn alarm(&self, again: bool) {
        let state = self.machine.state();
        let hold = state.hold_reason();
        let Some(why) = hold.or_else(|| state.guarded()) else {
            return;
        };
        let (recovery, host) = (self.claimed.id, state.host());
        let (held_by, waits_for) = state.held_by();
        let now = self.ports.clock.wall();
        let since = state.wait().map_or(now, |wait| wait.since);
        let minutes = now.micros_since(since) / 60_000_000;
        if hold.is_some() {
            tracing::warn!(%recovery, host, minutes, %why, "recovery is on hold, waiting for an operator");
            if let Some(emitter) = self.emitter.as_ref().filter(|_| again) {
                emitter.still_held(why, self.ports.clock.wall());
            }
        } else {
            tracing::warn!(%recovery, host, minutes, %why, "recovery is waiting");
        }
        numbers::alarmed(&held_by);
        numbers::alarmed(&waits_for);
    }

    /// Starts the calls. Each call re-checks the claim and the intent's age right before its first byte.
    fn start(&mut self, calls: Calls) {
        let state = self.machine.state();
        let shares_records = self.slot.lists_are_shared();
        // Both commands read the list of all services, which includes the service of the host.
        let lists_all = |command: &Command| matches!(command, Command::ScanHosts | Command::ReadConductors);
        let shares_services = shares_records || calls.commands.iter().any(lists_all);
        for command in calls.commands {
            let context = Context {
                ports: self.ports.clone(),
                host: state.host().to_owned(),
                host_id: state.host_id(),
                document: self.document.clone(),
                claim_guard: self.claim_guard.clone(),
                rate_controller: self.slot.rate_controller().clone(),
                lists: self.lists.clone(),
                shares_records,
                shares_services,
                intent: calls.intent,
                started: calls.started,
            };
            let committed = calls.intent.durable;
            let answers = self.answers.clone();
            let line = self.auditor.line(&context.host, &command);
            let refused = calls
                .unaudited
                .as_ref()
                .and_then(|fault| refusal(&command, fault));
            let call = async move {
                let (name, clock) = (command.name(), context.ports.clock.clone());
                let audit = context.ports.audit.clone();
                let observation = match refused {
                    Some(refused) => refused,
                    None => execute(command, context).await,
                };
                let took = clock.boot().saturating_sub(committed);
                numbers::called(name, &observation, took);
                if let Some(line) = line {
                    audit.note(audit::outcome(line, &observation, took));
                }
                // A driver that has ended needs no answer.
                let _ = answers.send(observation).await;
            };
            // All calls of a recovery contain the id that all its engines use.
            let known_as = correlation::of_recovery(self.claimed.id);
            let span = tracing::info_span!("engine::call", request_id = %known_as);
            self.calls
                .spawn(correlation::under(known_as, call).instrument(span));
        }
    }

    /// Lets running calls finish and releases the claim. Their answers are ignored: the next owner checks for their
    /// effects, as after a crash.
    async fn release(&mut self) {
        let calls = &mut self.calls;
        let inbox = &mut self.inbox;
        let drained = timeout(DRAIN_TIMEOUT, async {
            while !calls.is_empty() {
                tokio::select! {
                    _ = calls.join_next() => {}
                    _ = inbox.recv() => {}
                }
            }
        })
        .await;
        if drained.is_err() {
            tracing::warn!(recovery = %self.claimed.id, "engine stopped before its calls were answered; dropping them");
            self.calls.abort_all();
        }
        if let Err(error) = self.ports.journal.release(self.machine.claim()).await {
            tracing::warn!(recovery = %self.claimed.id, %error, "failed to release claim");
        }
    }

    /// Logs the end of the driver. Failures of the journal were logged when they happened.
    fn log_end(&self, ended: DriverEnd) {
        let recovery = self.claimed.id;
        match ended {
            DriverEnd::Lost => tracing::warn!(%recovery, "another engine has claimed the recovery"),
            DriverEnd::Uncertain(UncertainClaim::Refused) => {
                tracing::error!(%recovery, "journal refused a write four times in a row; claiming the recovery again");
            }
            DriverEnd::Uncertain(UncertainClaim::ClocksStopped) => tracing::warn!(
                %recovery,
                "database clock advanced more than this machine's clock (the machine was suspended, or the database clock was set \
                 forward); claiming the recovery again"
            ),
            DriverEnd::Uncertain(UncertainClaim::Rewound) => tracing::error!(
                %recovery,
                "database has lost writes of the recovery, probably in a failover; claiming it again, and sending nothing until no earlier call can \
                 take effect"
            ),
            DriverEnd::Uncertain(UncertainClaim::State) => {
                tracing::error!(%recovery, "failed to serialize the state of the recovery");
            }
            DriverEnd::Done
            | DriverEnd::Released
            | DriverEnd::Uncertain(
                UncertainClaim::Journal | UncertainClaim::Joined | UncertainClaim::Failed,
            ) => {}
        }
    }

    /// Logs a step: failures as warnings, steps of single instances at debug level, the rest at info level.
    fn log_step(&self, step: &Step) {
        let (recovery, host) = (self.claimed.id, self.host());
        let task = step.task.name();
        match step.server {
            _ if step.failed => tracing::warn!(%recovery, host, task, text = %step.text, "recovery step"),
            Some(server) => {
                tracing::debug!(%recovery, host, task, %server, text = %step.text, "recovery step");
            }
            None => tracing::info!(%recovery, host, task, text = %step.text, "recovery step"),
        }
    }

    /// Logs the message of the open notification when it changes, unless a step has already logged it.
    fn log_message(&self, record: &Record) {
        let Some((NotificationStatus::Running, message)) = &record.notification else {
            return;
        };
        let (recovery, host) = (self.claimed.id, self.host());
        match message {
            Some(text)
                if record
                    .steps
                    .iter()
                    .any(|step| text.contains(&step.text) || step.text.contains(text)) => {}
            Some(text) => tracing::info!(%recovery, host, %text, "recovery message changed"),
            None => tracing::info!(%recovery, host, "recovery continues"),
        }
    }
}
