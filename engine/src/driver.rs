//! Drives one recovery: gather observations, decide, journal, and only then act.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::Elapsed;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::fault::Fault;
use tachi_domain::policy::Policy;
use tachi_domain::recovery::{Command, News, Now, Observation, Pulse, Record, Step, StepKind, Task};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::alarm::Alarm;
use crate::any::Any;
use crate::auditing::{self, Auditor};
use crate::correlation;
use crate::engine::Ports;
use crate::executor::{Context, execute};
use crate::governor::{Governor, Seat};
use crate::heart::Heart;
use crate::holding::Holding;
use crate::hooking::Told;
use crate::lists::SharedLists;
use crate::numbers::{self, Numbers};
use crate::ports::JournalError;
use crate::ports::journal::{Claimed, Committed};
use crate::telling::Teller;
use crate::writing::write_of;

/// How often the owner's beat is raised (R2).
const BEAT: Duration = Duration::from_secs(1);

/// How long a stopping engine waits for the answers of calls under way.
const DRAIN: Duration = Duration::from_secs(5);

/// How a driver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The recovery is closed.
    Over,
    /// Another engine has claimed it.
    Lost,
    /// The journal failed: nothing is known to be held, it has to be claimed anew.
    Unsure,
    /// This engine is stopping and has let go.
    Released,
}

/// What all drivers of an engine share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) governor: Governor,
    pub(crate) lists: SharedLists,
    pub(crate) heart: Heart,
    /// The rules as they are now; of what a recovery goes by it has a copy of its own.
    pub(crate) rules: watch::Receiver<Policy>,
}

pub(crate) struct Driver {
    ports: Ports,
    heart: Heart,
    lists: SharedLists,
    seat: Seat,
    rules: watch::Receiver<Policy>,
    owner: String,
    /// What hooks are told.
    told: Arc<Told>,
    claimed: Claimed,
    state: Option<Any>,
    holding: Holding,
    /// Boot-clock time at which the claim was sent: what the recovery's own time is counted from.
    claimed_at: Duration,
    last_beat: Duration,
    pulse: Pulse,
    /// What has changed in the pulse since it was last told.
    news: News,
    numbers: Numbers,
    alarm: Alarm,
    calls: JoinSet<()>,
    answers: mpsc::Sender<Observation>,
    inbox: mpsc::Receiver<Observation>,
    /// `None` if nobody listens.
    teller: Option<Teller>,
    auditor: Auditor,
}

impl Driver {
    pub(crate) fn new(
        ports: Ports,
        owner: String,
        claimed: Claimed,
        state: Any,
        claimed_at: Duration,
        shared: &Shared,
    ) -> Self {
        let (answers, inbox) = mpsc::channel(256);
        let holding = Holding::since(ports.clock.clone(), claimed_at);
        let pulse = claimed.pulse.clone();
        let numbers = Numbers::begin(claimed.kind, &state, claimed.state.is_none());
        let told = Told::new(&claimed, &owner);
        let auditor = Auditor::new(ports.audit.clone(), &claimed, &state);
        Self {
            ports,
            heart: shared.heart.clone(),
            lists: shared.lists.clone(),
            seat: shared.governor.join(claimed.id),
            rules: shared.rules.clone(),
            owner,
            told,
            claimed,
            state: Some(state),
            holding,
            claimed_at,
            last_beat: claimed_at,
            pulse,
            news: News::Nothing,
            numbers,
            alarm: Alarm::default(),
            calls: JoinSet::new(),
            answers,
            inbox,
            teller: None,
            auditor,
        }
    }

    /// The same, telling of what it commits.
    pub(crate) fn telling(self, teller: Option<Teller>) -> Self {
        Self { teller, ..self }
    }

    /// Runs until the recovery is over, the claim is lost, or `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Ended {
        if let Some(teller) = &self.teller {
            teller.claimed(self.ports.clock.wall());
        }
        let mut observations = vec![
            Observation::Claimed(self.pulse.clone()),
            Observation::Permits(self.seat.permits()),
            Observation::FencingStopped(self.rules.borrow_and_update().fencing_stopped),
        ];
        loop {
            if let Err(ended) = self.step(observations).await {
                // Calls under way cannot be taken back; their answers are of no use to anyone any more.
                self.calls.abort_all();
                return ended;
            }
            if self.state.as_ref().is_none_or(Any::is_over) {
                self.calls.abort_all();
                return Ended::Over;
            }
            let pause = self.pause();
            // Every branch is cancel-safe: receiving and waiting lose nothing when dropped.
            observations = tokio::select! {
                biased;
                () = stop.cancelled() => return self.let_go().await,
                Some(observation) = self.inbox.recv() => vec![observation],
                permits = self.seat.changed() => vec![Observation::Permits(permits)],
                Ok(()) = self.rules.changed() => {
                    vec![Observation::FencingStopped(self.rules.borrow_and_update().fencing_stopped)]
                }
                () = sleep(pause) => vec![Observation::Tick],
            };
            // Whatever else has come in meanwhile goes into the same decision and the same transaction.
            while let Ok(more) = self.inbox.try_recv() {
                observations.push(more);
            }
            while self.calls.try_join_next().is_some() {}
            if std::mem::take(&mut self.news) != News::Nothing {
                // First: what an operator has forbidden must bind everything decided in this round.
                observations.insert(0, Observation::Pulse(self.pulse.clone()));
            }
        }
    }

    /// Until the next look: when something is due by the recovery's own word, or its beat.
    fn pause(&self) -> Duration {
        let now = Now {
            elapsed: self.elapsed(),
            wall: self.ports.clock.wall(),
        };
        let look = self.state.as_ref().map_or(BEAT, |state| state.next_look(now));
        let beat = (self.last_beat + BEAT).saturating_sub(self.ports.clock.boot());
        // Timers are good to a millisecond: a look right before the time would be one for nothing.
        look.min(beat) + Duration::from_millis(1)
    }

    fn elapsed(&self) -> Elapsed {
        self.claimed
            .elapsed
            .plus(self.ports.clock.boot().saturating_sub(self.claimed_at))
    }

    /// Decides on everything observed, journals it in one transaction, and acts.
    async fn step(&mut self, mut observations: Vec<Observation>) -> Result<(), Ended> {
        let mut record = Record::default();
        // A refused write is decided on anew; three rounds are more than any refusal needs.
        for _ in 0..4 {
            let now = Now {
                elapsed: self.elapsed(),
                wall: self.ports.clock.wall(),
            };
            let Some(state) = self.state.take() else {
                return Err(Ended::Unsure);
            };
            let (mut state, more, commands) = state.decide(std::mem::take(&mut observations), now);
            if let Some((demand, take_ups)) = state.demand() {
                self.seat.tell(demand, &take_ups);
            }
            self.state = Some(state);
            record.merge(more);
            // Before the commit: what the disk takes of time must not make the intent old (R4).
            let unaudited = self.audit_orders(&commands).await;
            let refused = if record.is_empty() {
                self.beat_if_due().await?;
                None
            } else {
                self.commit(&record, now).await?
            };
            let Some(refusal) = refused else {
                if let Some(state) = &self.state {
                    self.numbers.decided(state, &record, now.elapsed);
                }
                self.alarm_if_due(&record, now);
                if self.news == News::Operator && commands.iter().any(Command::is_write) {
                    // The commit itself shows that an operator has changed something since: the process may have been stopped
                    // for a while before it decided. That binds what is about to go out (R20).
                    self.news = News::Nothing;
                    record = Record::default();
                    observations = vec![Observation::Pulse(self.pulse.clone())];
                    observations.extend(commands.into_iter().map(Observation::NotSent));
                    continue;
                }
                self.start(commands, unaudited.as_ref());
                return Ok(());
            };
            record.unless_host_recovery = None;
            if matches!(refusal, Observation::HostUnderRecovery) {
                record.steps.clear();
                record.restarted = None;
            }
            if matches!(refusal, Observation::OrderRefused) {
                // The order that was not given need not be told.
                record.order = None;
                record
                    .steps
                    .retain(|step| step.task != Task::Fence || step.kind != StepKind::Intent);
            }
            if matches!(refusal, Observation::ReserveTaken(_)) {
                // What was not taken need not be told.
                record.steps.retain(|step| step.task != Task::Reserve);
            }
            observations = commands.into_iter().map(Observation::NotSent).collect();
            observations.push(refusal);
        }
        tracing::error!(recovery = %self.claimed.id, "a write was refused four times in a row");
        Err(Ended::Unsure)
    }

    /// What waits is told again from time to time.
    fn alarm_if_due(&mut self, record: &Record, now: Now) {
        let Some(state) = &self.state else { return };
        let (held, why) = (state.held(), state.held().or_else(|| state.waits_for()));
        let every = state.policy().guards.alarm_interval;
        let boot = self.ports.clock.boot();
        let due = self.alarm.is_due(why.is_some(), held.is_some(), every, boot);
        let Some(why) = why.filter(|_| due) else { return };
        let (recovery, host) = (self.claimed.id, state.host());
        let (held_by, waits_for) = state.held_by();
        let minutes = now
            .elapsed
            .since(state.waits_since().unwrap_or(now.elapsed))
            .as_secs()
            / 60;
        if held.is_some() {
            tracing::warn!(%recovery, host, minutes, "held, waits for a person: {why}");
            // The commit that holds it tells of itself.
            if let Some(teller) = self.teller.as_ref().filter(|_| !record.head) {
                teller.still_held(why, now.wall);
            }
        } else {
            tracing::warn!(%recovery, host, minutes, "still waiting for {why}");
        }
        numbers::alarmed(&held_by);
        numbers::alarmed(&waits_for);
    }

    /// Writes the record. `Some` if the journal refused it for a reason to be decided on.
    async fn commit(&mut self, record: &Record, now: Now) -> Result<Option<Observation>, Ended> {
        let Some(state) = &self.state else {
            return Err(Ended::Unsure);
        };
        let host = self.claimed.host.as_ref().map(|host| host.id);
        let write = write_of(state, record, host, &self.owner, now.elapsed, now.wall).map_err(|error| {
            tracing::error!(recovery = %self.claimed.id, %error, "the state cannot be written");
            Ended::Unsure
        })?;
        let sent = self.ports.clock.boot();
        let outcome = self
            .ports
            .journal
            .commit(self.claimed.id, self.claimed.epoch, &write)
            .await;
        numbers::committed(&outcome, self.ports.clock.boot().saturating_sub(sent));
        let refused = match self.judge(outcome, sent)? {
            Committed::Written(_) => None,
            Committed::MovesTaken(servers) => Some(Observation::MovesTaken(servers)),
            Committed::HostUnderRecovery => Some(Observation::HostUnderRecovery),
            // It was to end on half of what is known: it begins anew from the journal, and hears the rest.
            Committed::Joined => return Err(Ended::Unsure),
            Committed::ReserveTaken(hosts) => Some(Observation::ReserveTaken(hosts)),
            Committed::TooManyOrders => Some(Observation::OrderRefused),
            Committed::Lost => return Err(Ended::Lost),
        };
        if refused.is_none() {
            for step in &record.steps {
                self.tell(step);
            }
            self.tell_message(record);
            if let Some(state) = &self.state {
                self.auditor.committed(state, record, &write);
            }
            if let Some(teller) = &mut self.teller {
                let held = self.state.as_ref().and_then(Any::held);
                teller.committed(&write, held, now.wall);
            }
        }
        Ok(refused)
    }

    async fn beat_if_due(&mut self) -> Result<(), Ended> {
        if self.ports.clock.boot().saturating_sub(self.last_beat) < BEAT {
            return Ok(());
        }
        let beaten = self
            .heart
            .beat(self.claimed.id, self.claimed.epoch, self.elapsed())
            .await;
        match self.judge(beaten.outcome, beaten.sent)? {
            Committed::Written(_) => Ok(()),
            Committed::Lost
            | Committed::MovesTaken(_)
            | Committed::HostUnderRecovery
            | Committed::Joined
            | Committed::TooManyOrders
            | Committed::ReserveTaken(_) => Err(Ended::Lost),
        }
    }

    /// A commit that fails, or whose answer is lost, counts as not held (R1).
    fn judge(
        &mut self,
        outcome: Result<Committed, JournalError>,
        sent: Duration,
    ) -> Result<Committed, Ended> {
        match outcome {
            Ok(Committed::Written(pulse)) => {
                self.last_beat = sent;
                self.holding.beat_committed(sent);
                self.news = self.news.max(pulse.news_since(&self.pulse));
                self.pulse = pulse.clone();
                Ok(Committed::Written(pulse))
            }
            Ok(Committed::Lost) => {
                tracing::warn!(recovery = %self.claimed.id, "another engine has claimed the recovery");
                Err(Ended::Lost)
            }
            Ok(other) => Ok(other),
            Err(error) => {
                let source = error.source.to_string();
                tracing::warn!(recovery = %self.claimed.id, %error, source, "the journal failed: claim not held");
                Err(Ended::Unsure)
            }
        }
    }

    /// `Some` if the power commands among `commands` must not be sent, because the audit log does not have them.
    async fn audit_orders(&self, commands: &[Command]) -> Option<Fault> {
        match &self.state {
            Some(state) => self.auditor.orders(state.host(), commands).await,
            None => None,
        }
    }

    /// Starts the calls. Each checks the claim and the intent's age once more right before its first byte. Power commands
    /// are answered with `unaudited` instead, if there is such a fault.
    fn start(&mut self, commands: Vec<Command>, unaudited: Option<&Fault>) {
        let committed = self.ports.clock.boot();
        let started = self.elapsed();
        let share = self.seat.lists_are_shared();
        for command in commands {
            let Some(state) = &self.state else { return };
            let context = Context {
                ports: self.ports.clone(),
                host: state.host().to_owned(),
                host_id: state.host_id(),
                told: self.told.clone(),
                holding: self.holding.clone(),
                governor: self.seat.governor().clone(),
                lists: self.lists.clone(),
                share,
                committed,
                started,
            };
            let answers = self.answers.clone();
            let line = self.auditor.line(&context.host, &command);
            let refused = unaudited.and_then(|fault| auditing::refusal(&command, fault));
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
                    audit.note(auditing::outcome(line, &observation, took));
                }
                // The driver may be gone; then nobody needs the answer.
                let _ = answers.send(observation).await;
            };
            // Every call of a recovery goes out under the one id that all its engines use.
            let known_as = correlation::of_recovery(self.claimed.id);
            let span = tracing::info_span!("engine::call", request_id = %known_as);
            self.calls
                .spawn(correlation::under(known_as, call).instrument(span));
        }
    }

    /// Lets calls under way end and gives the claim free. What they answer is not decided on: the next owner looks for
    /// their effect, as after a crash.
    async fn let_go(mut self) -> Ended {
        let until = Instant::now() + DRAIN;
        let calls = &mut self.calls;
        let inbox = &mut self.inbox;
        let drained = timeout(until.saturating_duration_since(Instant::now()), async {
            while !calls.is_empty() {
                tokio::select! {
                    _ = calls.join_next() => {}
                    _ = inbox.recv() => {}
                }
            }
        })
        .await;
        if drained.is_err() {
            tracing::warn!(recovery = %self.claimed.id, "calls were still under way when the engine stopped");
            self.calls.abort_all();
        }
        if let Err(error) = self
            .ports
            .journal
            .release(self.claimed.id, self.claimed.epoch)
            .await
        {
            tracing::warn!(recovery = %self.claimed.id, %error, "the claim was not given free");
        }
        Ended::Released
    }

    /// The log tells what an operator wants to read at 3 a.m.; single instances are for the curious.
    fn tell(&self, step: &Step) {
        let (recovery, host) = (self.claimed.id, self.state.as_ref().map_or("", Any::host));
        let task = step.task.name();
        match step.server {
            _ if step.failed => tracing::warn!(%recovery, host, task, "{}", step.text),
            Some(server) => tracing::debug!(%recovery, host, task, %server, "{}", step.text),
            None => tracing::info!(%recovery, host, task, "{}", step.text),
        }
    }

    /// What the notification shows while it is open, whenever that changes and no step has said it already.
    fn tell_message(&self, record: &Record) {
        let Some((NotificationStatus::Running, message)) = &record.notification else {
            return;
        };
        let (recovery, host) = (self.claimed.id, self.state.as_ref().map_or("", Any::host));
        match message {
            Some(text)
                if record
                    .steps
                    .iter()
                    .any(|step| text.contains(&step.text) || step.text.contains(text)) => {}
            Some(text) => tracing::info!(%recovery, host, "{text}"),
            None => tracing::info!(%recovery, host, "it goes on"),
        }
    }
}
