//! Which fencer is for which host, and the audit lines of every power command.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::power::PowerReading;
use tachi_engine::ports::{CallError, Clock, Fencer};
use tracing::instrument;

/// All fencers. A host is given to the first one that covers it.
pub struct Fencers {
    fencers: Vec<Arc<dyn Fencer>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Fencers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fencers")
            .field("fencers", &self.fencers.len())
            .finish_non_exhaustive()
    }
}

impl Fencers {
    /// A registry of fencers in the order in which they are preferred; without any it covers no host.
    pub fn new(fencers: Vec<Arc<dyn Fencer>>, clock: Arc<dyn Clock>) -> Self {
        Self { fencers, clock }
    }

    /// Whether no fencer is configured at all (R15).
    pub fn is_empty(&self) -> bool {
        self.fencers.is_empty()
    }

    fn of(&self, host: &str) -> Result<&dyn Fencer, CallError> {
        let found = self.fencers.iter().find(|fencer| fencer.covers(host));
        found
            .map(AsRef::as_ref)
            .ok_or_else(|| CallError::refused(format!("no fencer is configured for host {host}")))
    }

    fn since(&self, begun: Duration) -> u128 {
        self.clock.boot().saturating_sub(begun).as_millis()
    }
}

#[async_trait]
impl Fencer for Fencers {
    fn covers(&self, host: &str) -> bool {
        self.fencers.iter().any(|fencer| fencer.covers(host))
    }

    #[instrument(name = "fence::read_power", skip_all, fields(host = %host), err(level = "debug"))]
    async fn read_power(&self, host: &str) -> Result<PowerReading, CallError> {
        let begun = self.clock.boot();
        let reading = self.of(host)?.read_power(host).await?;
        let millis = self.since(begun);
        tracing::debug!(device = %reading.device, power = ?reading.power, raw = %reading.raw, millis, "power read");
        Ok(reading)
    }

    #[instrument(name = "fence::power_off", skip_all, fields(host = %host), err(level = "debug"))]
    async fn power_off(&self, host: &str, reason: &str) -> Result<(), CallError> {
        let fencer = self.of(host)?;
        let begun = self.clock.boot();
        // Written before the command, so that a command is never without a line.
        tracing::info!(target: "tachi::audit", host, action = "power_off", reason, "power command: sending");
        let outcome = fencer.power_off(host, reason).await;
        let millis = self.since(begun);
        match &outcome {
            Ok(()) => {
                tracing::info!(target: "tachi::audit", host, action = "power_off", millis, "power command: accepted");
            }
            Err(error) => {
                let fault = &error.fault;
                tracing::info!(
                    target: "tachi::audit", host, action = "power_off", millis, class = ?fault.class,
                    maybe_done = fault.maybe_done, fault = %fault.text, "power command: failed"
                );
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tachi_domain::Timestamp;
    use tachi_domain::fault::FaultClass;
    use tachi_domain::power::Power;

    use super::*;

    struct StillClock;

    impl Clock for StillClock {
        fn wall(&self) -> Timestamp {
            Timestamp::from_micros(0)
        }

        fn boot(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// Covers the hosts that begin with its prefix.
    struct Fake {
        prefix: &'static str,
        asked: Mutex<Vec<String>>,
    }

    impl Fake {
        fn new(prefix: &'static str) -> Arc<Self> {
            Arc::new(Self {
                prefix,
                asked: Mutex::default(),
            })
        }
    }

    #[async_trait]
    impl Fencer for Fake {
        fn covers(&self, host: &str) -> bool {
            host.starts_with(self.prefix)
        }

        async fn read_power(&self, host: &str) -> Result<PowerReading, CallError> {
            self.asked.lock().unwrap().push(format!("read {host}"));
            let at = Timestamp::from_micros(0);
            Ok(PowerReading {
                power: Power::On,
                raw: "on".into(),
                device: self.prefix.into(),
                at,
            })
        }

        async fn power_off(&self, host: &str, reason: &str) -> Result<(), CallError> {
            self.asked.lock().unwrap().push(format!("off {host} {reason}"));
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_host_is_given_to_the_first_fencer_that_covers_it() {
        let (one, two) = (Fake::new("rack1-"), Fake::new("rack"));
        let fencers = Fencers::new(
            vec![Arc::clone(&one) as Arc<dyn Fencer>, two.clone()],
            Arc::new(StillClock),
        );
        assert!(!fencers.is_empty() && fencers.covers("rack1-c1") && !fencers.covers("other"));
        assert_eq!(fencers.read_power("rack1-c1").await.unwrap().device, "rack1-");
        assert_eq!(fencers.read_power("rack2-c1").await.unwrap().device, "rack");
        fencers.power_off("rack2-c1", "r").await.unwrap();
        assert_eq!(*one.asked.lock().unwrap(), ["read rack1-c1"]);
        assert_eq!(*two.asked.lock().unwrap(), ["read rack2-c1", "off rack2-c1 r"]);
    }

    #[tokio::test]
    async fn a_host_that_no_fencer_covers_is_refused() {
        let fencers = Fencers::new(Vec::new(), Arc::new(StillClock));
        assert!(fencers.is_empty() && !fencers.covers("c1"));
        for error in [
            fencers.read_power("c1").await.unwrap_err(),
            fencers.power_off("c1", "r").await.unwrap_err(),
        ] {
            assert_eq!(
                (error.fault.class, error.fault.maybe_done),
                (FaultClass::Permanent, false)
            );
        }
    }
}
