//! Delivers reports: one task, in order, until the API has answered.
//!
//! Reports with one subject keep their order. While the API is unreachable or refuses the login, all reports wait,
//! longer each time. If the API fails on one report, or rejects it, only reports with its subject wait for it.

mod choose;
mod post;
mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tachi_instance_ha::{Answer, CallFailure, Class};
use tachi_spool::Record;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::choose::{Attempts, Choice, Lane, choose};
pub(crate) use self::post::Post;
pub(crate) use self::store::Store;
use crate::clock::Clock;
use crate::health::Health;
use crate::settings::DeliverySettings;

/// Interval of the loop when there is nothing to do.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);

/// Interval of checking for a valid token, so that no report has to wait for one.
const TOKEN_CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Limit of the pause between attempts for a report of a host, however long the API asks to wait.
const MAX_HOST_REPORT_PAUSE: Duration = Duration::from_secs(5);

/// Difference of the clocks, in seconds, above which a warning is logged.
const MAX_SKEW_SECONDS: i64 = 2;

/// Counts reports that are dropped, by reason.
pub(crate) fn dropped(why: &'static str, reports: usize) {
    let reports = u64::try_from(reports).unwrap_or(u64::MAX);
    metrics::counter!("tachi_monitor_reports_dropped_total", "why" => why).increment(reports);
}

/// The delivery task.
pub(crate) struct DeliveryTask {
    pub(crate) store: Store,
    pub(crate) post: Arc<dyn Post>,
    pub(crate) fresh: Arc<Notify>,
    pub(crate) health: Health,
    pub(crate) clock: Clock,
    pub(crate) settings: DeliverySettings,
    /// Returns a random number between 0 and 1.
    pub(crate) jitter: fn() -> f64,
}

/// The delivery's state between two reports.
#[derive(Default)]
struct Memory {
    attempts: HashMap<u64, Attempts>,
    /// The number of consecutive failures that would affect every other report too.
    failures: u32,
    /// Set while the API is unreachable or refuses the login.
    not_before: Option<Instant>,
    /// Set while the API has asked to wait with reports of hosts, or with all others.
    hosts_not_before: Option<Instant>,
    others_not_before: Option<Instant>,
    warm_at: Option<Instant>,
    skewed: bool,
}

impl Memory {
    fn of(&mut self, lane: Lane) -> &mut Option<Instant> {
        match lane {
            Lane::Hosts => &mut self.hosts_not_before,
            Lane::Others => &mut self.others_not_before,
        }
    }
}

impl DeliveryTask {
    /// Delivers until `stop`, and then the rest for a limited time, as long as deliveries succeed.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut memory = Memory::default();
        let mut last = None;
        for why in ["overtaken", "too_old", "rejected"] {
            dropped(why, 0);
        }
        loop {
            self.health.tick_of("delivery");
            if last.is_none() && stop.is_cancelled() {
                last = Some(Instant::now() + self.settings.drain);
            }
            self.warm(&mut memory, &stop).await;
            let now = Instant::now();
            let paused = memory.not_before.filter(|until| *until > now);
            let next = match paused {
                Some(until) => Choice::Wait(until),
                None => self.next(&memory).await,
            };
            let wake = match next {
                Choice::Deliver(record) => {
                    if last.is_some_and(|last| now >= last) {
                        break;
                    }
                    self.deliver(*record, &mut memory, &stop).await;
                    continue;
                }
                // The process is stopping, so there is no time to wait for better conditions.
                Choice::Wait(_) | Choice::Nothing if last.is_some() => break,
                Choice::Wait(until) => until.min(now + IDLE_INTERVAL),
                Choice::Nothing => now + IDLE_INTERVAL,
            };
            // All branches only wait.
            tokio::select! {
                () = sleep_until(wake) => {}
                () = self.fresh.notified() => {}
                () = stop.cancelled(), if last.is_none() => {}
            }
        }
        let left = self.store.with(|spool| spool.len()).await;
        if left > 0 {
            tracing::warn!(
                reports = left,
                "stopped with undelivered reports; they are kept for the next start"
            );
        }
    }

    /// Keeps the token valid.
    async fn warm(&self, memory: &mut Memory, stop: &CancellationToken) {
        let now = Instant::now();
        if memory.failures > 0 || memory.warm_at.is_some_and(|at| at > now) {
            return;
        }
        memory.warm_at = Some(now + TOKEN_CHECK_INTERVAL);
        match self.answered(self.post.warm(), stop).await {
            Some(Ok(())) => self.health.good("login"),
            Some(Err(failed)) => self.health.bad("login", failed.text),
            None => {}
        }
    }

    /// Waits for an answer; `None` if the process must end first. A slow answer does not mean a stuck loop: every request has a timeout. An
    /// abandoned report may have been accepted; the API detects the repetition.
    async fn answered<T>(&self, request: impl Future<Output = T>, stop: &CancellationToken) -> Option<T> {
        let mut request = std::pin::pin!(request);
        let mut last = std::pin::pin!(async {
            stop.cancelled().await;
            sleep(self.settings.drain).await;
        });
        loop {
            tokio::select! {
                answer = &mut request => return Some(answer),
                () = &mut last => return None,
                () = sleep(IDLE_INTERVAL) => self.health.tick_of("delivery"),
            }
        }
    }

    /// Chooses the next report; drops those that are too old.
    async fn next(&self, memory: &Memory) -> Choice {
        let now = self.clock.stamp();
        let (max_age, attempts) = (self.settings.max_age, memory.attempts.clone());
        let (hosts, others) = (memory.hosts_not_before, memory.others_not_before);
        let closed = move |lane| match lane {
            Lane::Hosts => hosts,
            Lane::Others => others,
        };
        let at = Instant::now();
        let (choice, old, left, oldest) = self
            .store
            .with(move |spool| {
                let is_old = |record: &&Record| now.since(&record.at) > max_age;
                let old: Vec<Record> = spool.iter().filter(is_old).cloned().collect();
                let seqs: Vec<u64> = old.iter().map(|record| record.seq).collect();
                let removed = spool.gone(&seqs);
                let oldest = spool.iter().next().map(|record| now.since(&record.at));
                (
                    choose(&spool.iter(), &attempts, closed, at),
                    (old, removed),
                    spool.len(),
                    oldest,
                )
            })
            .await;
        let (old, removed) = old;
        for record in &old {
            tracing::error!(
                subject = %record.subject, body = %record.body,
                "dropping a report that is too old"
            );
        }
        dropped("too_old", old.len());
        if let Err(error) = removed {
            self.health.bad("spool", error.to_string());
        }
        gauges(left, oldest.unwrap_or_default());
        choice
    }

    async fn deliver(&self, record: Record, memory: &mut Memory, stop: &CancellationToken) {
        let Some(outcome) = self.answered(self.post.post(&record), stop).await else {
            return;
        };
        self.check_clock(memory);
        match outcome {
            Ok(answer) => {
                memory.failures = 0;
                memory.not_before = None;
                *memory.of(Lane::of(&record)) = None;
                memory.attempts.remove(&record.seq);
                self.health.good("api");
                self.delivered(&record, &answer);
                self.remove(record.seq).await;
            }
            Err(failed) => self.failed(&record, failed, memory).await,
        }
    }

    fn delivered(&self, record: &Record, answer: &Answer) {
        let waited = self.clock.stamp().since(&record.at);
        let (label, uuid) = match answer {
            Answer::Accepted { uuid } => ("accepted", uuid.as_deref().unwrap_or("-")),
            Answer::Ignored => ("known", "-"),
        };
        metrics::counter!("tachi_monitor_reports_delivered_total", "answer" => label).increment(1);
        metrics::histogram!("tachi_monitor_delivery_seconds").record(waited.as_secs_f64());
        tracing::info!(
            subject = %record.subject, answer = label, notification = uuid,
            waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            evidence = record.header.is_some(), body = %record.body,
            "report delivered"
        );
    }

    async fn remove(&self, seq: u64) {
        // If the disk does not record it, the report is delivered again, and the API detects the duplicate.
        if let Err(error) = self.store.with(move |spool| spool.gone(&[seq])).await {
            self.health.bad("spool", error.to_string());
        }
    }

    async fn failed(&self, record: &Record, failed: CallFailure, memory: &mut Memory) {
        let class = failed.class;
        metrics::counter!("tachi_monitor_delivery_failures_total", "class" => class.as_str()).increment(1);
        let attempts = memory.attempts.entry(record.seq).or_default();
        attempts.count = attempts.count.saturating_add(1);
        let count = attempts.count;
        match class {
            Class::Rejected => {
                let age = self.clock.stamp().since(&record.at);
                if age >= self.settings.rejected_max_age {
                    tracing::error!(
                        subject = %record.subject, body = %record.body, answer = %failed.text,
                        "API rejects a report; dropping it"
                    );
                    dropped("rejected", 1);
                    memory.attempts.remove(&record.seq);
                    self.remove(record.seq).await;
                    return;
                }
                if count == 1 {
                    tracing::error!(
                        subject = %record.subject, body = %record.body, answer = %failed.text,
                        "API rejects a report; retrying for a while (`tachi-monitor check` shows if the host is \
                         registered under this name)"
                    );
                }
                self.health.good("api");
                memory.failures = 0;
                attempts.not_before = Some(Instant::now() + self.pause(count));
            }
            Class::Broken => {
                tracing::warn!(subject = %record.subject, answer = %failed.text, "API failed on a report; retrying");
                self.health.bad("api", failed.text);
                attempts.not_before = Some(Instant::now() + self.pause(count));
            }
            Class::Busy => {
                let lane = Lane::of(record);
                let requested_pause =
                    self.spread(self.pause(count).max(failed.retry_after.unwrap_or_default()));
                let pause = match lane {
                    Lane::Hosts => requested_pause.min(self.spread(MAX_HOST_REPORT_PAUSE)),
                    Lane::Others => requested_pause,
                };
                tracing::debug!(answer = %failed.text, pause_ms = pause.as_millis(), "API asks to retry later");
                self.health.bad("api", failed.text);
                *memory.of(lane) = Some(Instant::now() + pause);
            }
            Class::Unreachable | Class::Barred | _ => {
                memory.failures = memory.failures.saturating_add(1);
                let pause = self.pause(memory.failures);
                tracing::debug!(answer = %failed.text, pause_ms = pause.as_millis(), "report not delivered; retrying");
                self.health.bad("api", failed.text);
                memory.not_before = Some(Instant::now() + pause);
            }
        }
    }

    /// Returns the pause after this many failures: doubled each time, with jitter.
    fn pause(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        let whole = self
            .settings
            .retry_min
            .saturating_mul(doubled)
            .min(self.settings.retry_max);
        whole.mul_f64(0.5 + (self.jitter)().clamp(0.0, 1.0) / 2.0)
    }

    /// Adds up to a quarter: monitors with the same pause must not return at the same moment.
    fn spread(&self, pause: Duration) -> Duration {
        pause.mul_f64(1.0 + (self.jitter)().clamp(0.0, 1.0) / 4.0)
    }

    /// Warns if the clock is wrong: a report's times are only as good as the clock.
    fn check_clock(&self, memory: &mut Memory) {
        let Some(skew) = self.post.skew_seconds() else {
            return;
        };
        let shown = i32::try_from(skew).unwrap_or(i32::MAX);
        metrics::gauge!("tachi_monitor_clock_skew_seconds").set(f64::from(shown));
        let skewed = skew.abs() > MAX_SKEW_SECONDS;
        if skewed && !memory.skewed {
            tracing::warn!(
                seconds = skew,
                "clock differs from the API's: reports have wrong times; check the time synchronization"
            );
        }
        memory.skewed = skewed;
    }
}

fn gauges(left: usize, oldest: Duration) {
    let left = u32::try_from(left).unwrap_or(u32::MAX);
    metrics::gauge!("tachi_monitor_spool_reports").set(f64::from(left));
    metrics::gauge!("tachi_monitor_spool_oldest_seconds").set(oldest.as_secs_f64());
}

#[cfg(test)]
mod tests;
