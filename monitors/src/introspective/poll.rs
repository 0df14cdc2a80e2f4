//! Polls every guest's agent, round after round.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream;
use regex::Regex;
use tachi_instance_ha::{GeneratedTime, Notification};
use tachi_libvirt::{
    Address, CallError, Connection, DomainEventKind, DomainFilter, ErrorCode, Event, EventKind, Events,
    Keepalive, Lifecycle, Options,
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::failure::Failure;
use crate::health::Health;
use crate::introspective::agent_state::Transition;
use crate::introspective::channel::has_agent;
use crate::introspective::roster::{PollTarget, Roster};
use crate::libvirt::{Backoff, chain, ended};
use crate::monitor::Monitor;
use crate::reporter::{ReportError, Reporter};
use crate::saved;

const LIBVIRT: &str = "libvirt";
const MEMORY: &str = "memory";
/// The command for the agent. It changes nothing in the guest.
const PING: &str = r#"{"execute":"guest-ping"}"#;
/// Subsystem of the health: more guests are silent at once than single failures explain.
const GUESTS: &str = "guests";
/// Subsystem of the health: libvirt permits calls to agents.
const AGENTS: &str = "agents";
/// Limit of concurrent calls. An agent that hangs blocks one of libvirtd's threads for seconds; it has twenty for all
/// of its clients, Nova among them, and serves five calls of one client at a time.
pub(super) const MAX_CALLS: usize = 4;
/// Timeout of any other call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of the loop without events.
const LOOP_INTERVAL: Duration = Duration::from_secs(1);

/// The introspective monitor.
#[derive(Debug)]
pub(crate) struct IntrospectiveMonitor {
    pub(crate) hostname: String,
    pub(crate) address: Address,
    pub(crate) socket: Regex,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) threshold: u32,
    /// Limit of guests that may fall silent at once; more are one event of the host.
    pub(crate) at_once: usize,
    pub(crate) file: PathBuf,
    pub(crate) clock: Clock,
    pub(crate) keepalive: Keepalive,
}

#[async_trait]
impl Monitor for IntrospectiveMonitor {
    async fn run(
        self: Box<Self>,
        reporter: Reporter,
        health: Health,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        let boot = self.clock.stamp().boot;
        let saved_states = saved::read(&self.file)
            .map_err(|error| Failure::new("reading the agents' states of the previous process", error))?;
        let mut poll = AgentPoller {
            roster: Roster::new(saved_states, &boot),
            boot,
            monitor: *self,
            storm: false,
            reporter,
            health,
            stop,
        };
        poll.run().await;
        Ok(())
    }
}

/// The result of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// The guest has no agent's socket.
    NoAgent,
    /// The agent answered.
    Yes,
    /// libvirt reports that the agent did not answer.
    No,
    /// libvirt does not permit the call, for this reason; no evidence about the agent.
    Refused(String),
    /// The guest ended or is paused, or libvirtd was too slow: no evidence about the agent.
    Unknown,
}

struct AgentPoller {
    monitor: IntrospectiveMonitor,
    roster: Roster,
    /// True while too many guests are silent at once: none is reported.
    storm: bool,
    boot: String,
    reporter: Reporter,
    health: Health,
    stop: CancellationToken,
}

impl AgentPoller {
    async fn run(&mut self) {
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            self.health.tick();
            let started = Instant::now();
            let stop = self.stop.clone();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.session() => ended,
            };
            if let Err(why) = ended {
                self.health.bad(LIBVIRT, why);
            }
            if started.elapsed() > Duration::from_secs(10) {
                backoff = Backoff::default();
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(backoff.next()) => {}
            }
        }
    }

    /// Runs until a connection ends. Dropping it is safe: a report that was sent and not recorded is repeated as a
    /// duplicate.
    async fn session(&mut self) -> Result<(), String> {
        let options = Options {
            call_timeout: CALL_TIMEOUT,
            keepalive: Some(self.monitor.keepalive),
            ..Options::default()
        };
        let (connection, mut events) = Connection::open(&self.monitor.address, &options)
            .await
            .map_err(|error| chain(&error))?;
        self.health.tick();
        for kind in [EventKind::Lifecycle, EventKind::Reboot] {
            connection.register(kind).await.map_err(|error| chain(&error))?;
        }
        loop {
            let next = Instant::now() + self.monitor.interval;
            let running = connection
                .domains(DomainFilter::Running)
                .await
                .map_err(|error| chain(&error))?;
            self.health.good(LIBVIRT);
            self.poll_all(&connection, &mut events, running).await?;
            self.write().await;
            while Instant::now() < next {
                self.health.tick();
                let turn = next.min(Instant::now() + LOOP_INTERVAL);
                // An event that is not taken now stays in its queue.
                tokio::select! {
                    event = events.next() => self.observe(&event.map_err(|reason| chain(&*reason))?),
                    () = sleep_until(turn) => {}
                }
            }
        }
    }

    /// Polls all guests once, a limited number at the same time.
    async fn poll_all(
        &mut self,
        connection: &Connection,
        events: &mut Events,
        running: Vec<tachi_libvirt::Domain>,
    ) -> Result<(), String> {
        let targets = self.roster.round(running);
        for (uuid, decided_at) in self.roster.interrupted() {
            self.send(uuid, GeneratedTime::from_micros(decided_at)).await;
        }
        let (socket, timeout) = (self.monitor.socket.clone(), self.monitor.timeout);
        let results = stream::iter(targets).map(|target| {
            let socket = &socket;
            async move {
                let uuid = target.domain.uuid;
                (
                    uuid,
                    target.agent,
                    poll(connection, &target, socket, timeout).await,
                )
            }
        });
        let mut answers = std::pin::pin!(results.buffer_unordered(MAX_CALLS));
        let (mut due, mut refused) = (Vec::new(), None);
        loop {
            self.health.tick();
            // No branch loses data: answers and events stay in their queues until they are taken.
            tokio::select! {
                answer = answers.next() => match answer {
                    Some((_, _, Ok(Answer::Refused(why)))) => refused = Some(why),
                    Some((uuid, agent, Ok(answer))) => {
                        if self.take(uuid, agent, answer).await {
                            due.push(uuid);
                        }
                    }
                    Some((_, _, Err(error))) => return Err(chain(&error)),
                    None => break,
                },
                event = events.next() => self.observe(&event.map_err(|reason| chain(&*reason))?),
                () = sleep(LOOP_INTERVAL) => {}
            }
        }
        match refused {
            Some(why) => self.health.bad(AGENTS, why),
            None => self.health.good(AGENTS),
        }
        self.decide(due).await;
        metrics::gauge!("tachi_monitor_agents_heard").set(f64::from(
            u32::try_from(self.roster.answering()).unwrap_or(u32::MAX),
        ));
        Ok(())
    }

    fn observe(&mut self, event: &Event) {
        if matches!(
            event.what,
            DomainEventKind::Reboot | DomainEventKind::Lifecycle(Lifecycle::Started, _)
        ) {
            self.roster.reset(event.domain.uuid);
        }
    }

    /// Reports the guests that are due, unless too many are silent at once. Then the cause is probably the host, its storage or its
    /// libvirtd: one log line reports it, and no guest is restarted.
    async fn decide(&mut self, due: Vec<Uuid>) {
        let storm = self.roster.silence_storm(self.monitor.at_once);
        let silent = u32::try_from(storm.unwrap_or(0)).unwrap_or(u32::MAX);
        metrics::gauge!("tachi_monitor_agents_held").set(if self.storm { f64::from(silent) } else { 0.0 });
        match storm {
            Some(silent) if self.storm || !due.is_empty() => {
                if !std::mem::replace(&mut self.storm, true) {
                    self.health.bad(
                        GUESTS,
                        format!(
                            "{silent} of {} guest agents have stopped answering at the same time, so the cause is probably the host: \
                             check its storage and its libvirtd. No guest is reported until at most {} are silent",
                            self.roster.answering(),
                            self.monitor.at_once
                        ),
                    );
                }
            }
            Some(_) | None if self.storm => {
                self.storm = false;
                self.health.good(GUESTS);
                self.roster.restart_counts();
            }
            Some(_) | None => {
                self.health.good(GUESTS);
                for uuid in due {
                    self.send(uuid, self.monitor.clock.generated()).await;
                }
            }
        }
    }

    /// Records an answer. Returns true if the guest is due for a report.
    async fn take(&mut self, uuid: Uuid, agent: Option<bool>, answer: Answer) -> bool {
        if agent.is_none() && answer != Answer::Unknown {
            self.roster.record_socket(uuid, answer != Answer::NoAgent);
        }
        let answered = match answer {
            Answer::Yes => true,
            Answer::No => false,
            Answer::NoAgent | Answer::Unknown | Answer::Refused(_) => return false,
        };
        match self.roster.answered(uuid, answered, self.monitor.threshold) {
            Transition::Nothing => {}
            Transition::Report => return true,
            Transition::Back => {
                let subject = Notification::vm_subject(&uuid.to_string());
                if let Err(error) = self
                    .reporter
                    .withdraw(&subject, "the guest agent answers again")
                    .await
                {
                    tracing::warn!(instance = %uuid, error = %chain(&error), "failed to withdraw the report of a guest whose agent \
                        answers again");
                }
            }
        }
        false
    }

    /// Writes the intent, reports, and records the report. Whenever this process dies, the guest is reported once, or
    /// twice with a detectable duplicate.
    async fn send(&mut self, uuid: Uuid, decided_at: GeneratedTime) {
        tracing::warn!(instance = %uuid, "guest agent stopped answering; reporting the guest");
        self.roster.report_intent(uuid, decided_at.micros());
        self.write().await;
        let notification = Notification::vm(
            &self.monitor.hostname,
            "QEMU_GUEST_AGENT_ERROR",
            &uuid.to_string(),
            "STOPPED_FAILED",
            decided_at,
        );
        loop {
            match self.reporter.report(&notification).await {
                Ok(()) => break,
                Err(ReportError::Stopping) => return,
                Err(ReportError::NotStored(_)) => {
                    self.health.tick();
                    sleep(LOOP_INTERVAL).await;
                }
            }
        }
        self.roster.reported(uuid);
        self.write().await;
    }

    async fn write(&mut self) {
        let Some(saved_states) = self.roster.take_changed(&self.boot) else {
            return;
        };
        let file = self.monitor.file.clone();
        match tokio::task::spawn_blocking(move || saved::write(&file, &saved_states)).await {
            Ok(Ok(())) => self.health.good(MEMORY),
            Ok(Err(error)) => self.health.bad(MEMORY, chain(&error)),
            Err(error) => self.health.bad(MEMORY, error.to_string()),
        }
    }
}

/// Searches for the socket if necessary, and polls the agent.
async fn poll(
    connection: &Connection,
    target: &PollTarget,
    socket: &Regex,
    timeout: Duration,
) -> Result<Answer, CallError> {
    if target.agent.is_none() {
        match connection.xml(&target.domain).await {
            Ok(Some(xml)) if has_agent(&xml, socket) => {}
            Ok(Some(_)) => return Ok(Answer::NoAgent),
            Err(error) if ended(&error) => return Err(error),
            // The definition is unknown: it is read again in the next round.
            Ok(None) | Err(_) => return Ok(Answer::Unknown),
        }
    }
    match connection.agent_command(&target.domain, PING, timeout).await {
        Ok(_) => Ok(Answer::Yes),
        Err(CallError::Refused { code, message, .. }) => Ok(match code {
            ErrorCode::AGENT_UNRESPONSIVE | ErrorCode::AGENT_COMMAND_TIMEOUT => Answer::No,
            // The agent answered, though not with the expected result.
            ErrorCode::AGENT_COMMAND_FAILED => Answer::Yes,
            ErrorCode::NO_DOMAIN | ErrorCode::OPERATION_INVALID => Answer::Unknown,
            // No permission, a lock that is not granted, a broken pipe: none of these is silence of the guest.
            ErrorCode(number) => Answer::Refused(format!(
                "libvirt does not permit calls to agents (error {number}): {}",
                message
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect::<String>()
            )),
        }),
        Err(error) if ended(&error) => Err(error),
        // libvirtd gives up before this side does, so this is a problem of libvirtd, not of the guest.
        Err(_) => Ok(Answer::Unknown),
    }
}

#[cfg(test)]
mod tests;
