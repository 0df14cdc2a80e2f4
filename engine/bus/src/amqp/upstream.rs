//! Detection of a running upstream engine.
//!
//! Each of our engines that consumes upstream's queue also consumes one of our own, to which nothing is published. A
//! surplus of consumers on upstream's queue is therefore the number of upstream engines.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::gauge;
use tokio::time::Instant;

use super::dial::Dialer;
use super::fault::AmqpError;
use super::numbers::FOREIGN;
use super::options::{AmqpOptions, UpstreamQueues};
use super::topology::Topology;

/// Interval of repeating the message.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// The queue that only our engines consume.
pub(crate) fn presence(queues: &UpstreamQueues) -> String {
    format!("tachi.present.{}", queues.topic)
}

/// The numbers of consumers of upstream's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumers {
    pub all: u32,
    pub ours: u32,
}

impl Consumers {
    /// Returns the number of upstream engines.
    pub const fn upstream(self) -> u32 {
        self.all.saturating_sub(self.ours)
    }

    /// Counts the consumers on a new connection. Tries each broker once.
    ///
    /// # Errors
    ///
    /// The error of the last broker.
    pub async fn read_counts(options: &Arc<AmqpOptions>) -> Result<(Self, String), AmqpError> {
        let mut dialer = Dialer::new(options.clone(), "look");
        let mut last = AmqpError::NoBroker;
        for _ in &options.brokers {
            match dialer.dial().await {
                Ok(live) => {
                    let topology = Topology {
                        connection: &live.connection,
                        limit: options.answer_limit,
                    };
                    let counts = Self::count(&topology, &options.upstream).await;
                    let broker = live.broker.clone();
                    live.close().await;
                    match counts {
                        Ok(counts) => return Ok((counts, broker)),
                        Err(error) => last = error,
                    }
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Counts the consumers. Our own are counted last, and each of our engines joins the presence queue before the
    /// others: one that starts or stops is never mistaken for an upstream engine. The exception is the moment between
    /// two queues losing the same connection.
    pub(crate) async fn count(topology: &Topology<'_>, queues: &UpstreamQueues) -> Result<Self, AmqpError> {
        let all = topology.read_counts(&queues.topic).await?;
        let ours = topology.read_counts(&presence(queues)).await?;
        Ok(Self {
            all: all.map_or(0, |counts| counts.consumers),
            ours: ours.map_or(0, |counts| counts.consumers),
        })
    }
}

#[derive(Debug, Default)]
struct SharedObservation {
    engines: AtomicU32,
    /// Number of consecutive polls that saw one, and the time of the last message.
    logged: Mutex<(u32, Option<Instant>)>,
}

/// The last observation, shared between clones.
#[derive(Clone, Debug, Default)]
pub struct Upstream(Arc<SharedObservation>);

impl Upstream {
    /// True if no upstream engine runs, so that rows of an upstream API may be adopted.
    pub fn is_gone(&self) -> bool {
        self.0.engines.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn observe(&self, consumers: Consumers) {
        let engines = consumers.upstream();
        gauge!(FOREIGN).set(f64::from(engines));
        let before = self.0.engines.swap(engines, Ordering::Relaxed);
        let mut logged = self.0.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if engines == 0 {
            if before > 0 && logged.1.is_some() {
                tracing::info!("all upstream engines have stopped");
            }
            *logged = (0, None);
            return;
        }
        logged.0 = logged.0.saturating_add(1);
        // A single observation may be one of our engines whose connection is just breaking.
        if logged.0 >= 2 && logged.1.is_none_or(|at| at.elapsed() >= REPEAT_INTERVAL) {
            logged.1 = Some(Instant::now());
            tracing::error!(
                engines,
                "upstream engine consumes the same queue and handles notifications of an upstream API; stop it"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers R21.
    #[test]
    fn a_consumer_missing_in_our_own_queue_is_a_masakari_engine() {
        let cases = [
            ("nobody", 0, 0, 0),
            ("ours alone", 3, 3, 0),
            ("one of ours is just coming", 0, 1, 0),
            ("one of upstream's", 1, 0, 1),
            ("both", 4, 3, 1),
        ];
        for (name, all, ours, expected) in cases {
            let upstream = Upstream::default();
            upstream.observe(Consumers { all, ours });
            assert_eq!(Consumers { all, ours }.upstream(), expected, "{name}");
            assert_eq!(upstream.is_gone(), expected == 0, "{name}");
            upstream.observe(Consumers::default());
            assert!(upstream.is_gone(), "{name}: it has gone");
        }
    }
}
