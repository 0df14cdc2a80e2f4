//! The wait until a host may start.

use std::time::Duration;

use async_trait::async_trait;
use tachi_instance_ha::BootGuard;
use tokio::time::Instant;

use super::{BootRecord, announce};
use crate::out;

/// Time without an answer after which a host that was not held starts.
pub(super) const NO_ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Poll interval while the host is held.
const HOLD_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The first pause after a failure, and the longest.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Interval of repeating the last message, for an operator who opens the console later.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// The API's answer about the hold.
#[async_trait]
pub(super) trait HoldQuery: Send + Sync {
    /// Returns the API's answer, or the failure. Takes a bounded time.
    async fn query(&self) -> Result<BootGuard, String>;
}

/// The state that outlives the boot.
pub(super) trait Memory: Send + Sync {
    fn read(&self) -> BootRecord;
    fn write(&self, now: &BootRecord);
}

/// An action of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperatorSignal {
    /// The host's queue is empty.
    QueueEmpty,
    /// Start nova-compute whatever the API answers.
    StartNow,
    /// Cancel the wait.
    Stop,
}

/// The source of signals.
#[async_trait]
pub(super) trait SignalSource: Send {
    /// Returns the next action. Dropping the future loses none.
    async fn next(&mut self) -> OperatorSignal;
}

pub(super) struct Guard<A, M> {
    hostname: String,
    api: A,
    memory: M,
    /// Returns a random number from 0 to 1: many hosts boot at once after a power failure.
    jitter: fn() -> f64,
    logged: Option<(String, Instant)>,
}

impl<A: HoldQuery, M: Memory> Guard<A, M> {
    pub(super) fn new(hostname: String, api: A, memory: M, jitter: fn() -> f64) -> Self {
        Self {
            hostname,
            api,
            memory,
            jitter,
            logged: None,
        }
    }

    /// Waits until nova-compute may start, or the wait is cancelled; returns the exit code.
    pub(super) async fn run(mut self, signals: &mut impl SignalSource) -> u8 {
        let mut last = self.memory.read();
        let silent_since = Instant::now();
        let mut answer: Option<BootGuard> = None;
        let mut emptied = false;
        let mut pause = RETRY_PAUSES.0;
        let name = self.hostname.clone();
        announce(&format!(
            "checking with the API if nova-compute of {name} may start"
        ));
        loop {
            // A request is never interrupted: it ends within seconds, and signals wait that long.
            let wait = match self.api.query().await {
                Ok(now) => {
                    pause = RETRY_PAUSES.0;
                    self.remember(&mut last, &now);
                    if !now.hold {
                        announce(&format!("nova-compute of {name} may start: {}", now.reason));
                        return out::DONE;
                    }
                    if emptied && now.queue_only {
                        // The hold has ended, and nothing would reset this file later.
                        self.memory.write(&BootRecord::default());
                        announce(&format!(
                            "nova-compute of {name} may start: its queue has been emptied"
                        ));
                        return out::DONE;
                    }
                    emptied = false;
                    self.print_once(format!("nova-compute of {name} WAITS: {}", now.reason));
                    answer = Some(now);
                    HOLD_POLL_INTERVAL
                }
                Err(why) => {
                    if emptied {
                        announce(
                            "the API does not answer, so it is unknown if the hold has other reasons; send the signal again once it \
                             answers",
                        );
                        emptied = false;
                    }
                    if last.on_hold {
                        self.print_once(format!(
                            "nova-compute of {name} WAITS: {why}; the last answer was to wait: {}. To start it anyway, if you are \
                             certain: systemctl kill -s USR2 tachi-boot-guard",
                            last.reason
                        ));
                    } else if silent_since.elapsed() >= NO_ANSWER_TIMEOUT {
                        announce(&format!(
                            "NO ANSWER for {} s: {why}; {name} was not held at the last answer, so nova-compute may start",
                            NO_ANSWER_TIMEOUT.as_secs()
                        ));
                        return out::DONE;
                    } else {
                        self.print_once(format!(
                            "{why}; without an answer nova-compute of {name} starts after {} s",
                            NO_ANSWER_TIMEOUT.as_secs()
                        ));
                    }
                    let shorter = pause.mul_f64(1.0 - (self.jitter)() / 2.0);
                    pause = (pause * 2).min(RETRY_PAUSES.1);
                    shorter
                }
            };
            match tokio::time::timeout(wait, signals.next()).await {
                Err(_) => {}
                Ok(OperatorSignal::Stop) => {
                    announce(&format!(
                        "stopped before the API allowed nova-compute of {name} to start"
                    ));
                    return out::FAILED;
                }
                Ok(OperatorSignal::StartNow) => {
                    announce(&format!(
                        "nova-compute of {name} STARTS ANYWAY: an operator has allowed it"
                    ));
                    return out::DONE;
                }
                Ok(OperatorSignal::QueueEmpty) => {
                    // A new recovery may have started since the last answer, so the API is queried again.
                    emptied = true;
                    if !answer.as_ref().is_some_and(|on_hold| on_hold.queue_only) {
                        announce(
                            "the queue is recorded as empty; checking with the API for other reasons to wait",
                        );
                    }
                }
            }
        }
    }

    /// Stores the answer before it has an effect: the API may be down at the next boot.
    fn remember(&self, last: &mut BootRecord, now: &BootGuard) {
        let now = BootRecord {
            on_hold: now.hold,
            recovery: now.recovery.clone(),
            reason: if now.hold {
                now.reason.clone()
            } else {
                String::new()
            },
        };
        if *last != now {
            self.memory.write(&now);
            *last = now;
        }
    }

    fn print_once(&mut self, text: String) {
        let is_due = self
            .logged
            .as_ref()
            .is_none_or(|(last_text, at)| *last_text != text || at.elapsed() >= REMINDER_INTERVAL);
        if is_due {
            announce(&text);
            self.logged = Some((text, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests;
