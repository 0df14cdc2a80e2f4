//! Shared code of the two monitors of instances.

use std::error::Error;
use std::time::Duration;

use rand::Rng as _;
use tachi_libvirt::{Address, CallError, Connection, Domain, DomainFilter, Options};

use crate::check::Finding;

/// Nova's metadata namespaces of a guest, newest first.
const NAMESPACES: [&str; 2] = [
    "http://openstack.org/xmlns/libvirt/nova/1.1",
    "http://openstack.org/xmlns/libvirt/nova/1.0",
];

/// True if a guest is one of Nova's instances. A guest that no longer exists may have been one.
pub(crate) async fn is_nova(connection: &Connection, domain: &Domain) -> Result<bool, CallError> {
    for namespace in NAMESPACES {
        if connection.metadata(domain, namespace).await?.is_some() {
            return Ok(true);
        }
    }
    // A guest without metadata belongs to another owner, unless it no longer exists.
    Ok(connection.lookup(domain.uuid).await?.is_none())
}

/// True if the connection is broken. Any other failure concerns one guest.
pub(crate) fn ended(error: &CallError) -> bool {
    matches!(error, CallError::Closed { .. })
}

/// Checks libvirt, for `tachi-monitor check`.
pub(crate) async fn check(part: &'static str, uri: &str, read_only: bool) -> Finding {
    let options = Options {
        call_timeout: Duration::from_secs(3),
        keepalive: None,
        ..Options::default()
    };
    let looked = async {
        let address = Address::parse(uri, read_only).map_err(|error| chain(&error))?;
        let (connection, _events) = Connection::open(&address, &options)
            .await
            .map_err(|error| chain(&error))?;
        let version = connection.version().await.map_err(|error| chain(&error))?;
        let running = connection
            .domains(DomainFilter::Running)
            .await
            .map_err(|error| chain(&error))?;
        let mut nova = 0;
        for domain in &running {
            nova += usize::from(
                is_nova(&connection, domain)
                    .await
                    .map_err(|error| chain(&error))?,
            );
        }
        let version = format!(
            "{}.{}.{}",
            version / 1_000_000,
            version / 1000 % 1000,
            version % 1000
        );
        Ok::<_, String>(format!(
            "libvirt {version} answers at {}; {} guests are running, {nova} of them Nova's",
            address.name,
            running.len()
        ))
    };
    match tokio::time::timeout(Duration::from_secs(5), looked).await {
        Ok(Ok(text)) => Finding::good(part, text),
        Ok(Err(why)) => Finding::wrong(part, why),
        Err(_) => Finding::wrong(part, "libvirt did not answer in time"),
    }
}

/// Returns an error and all its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text.push_str(": ");
        text.push_str(&error.to_string());
        below = error.source();
    }
    text
}

/// Pauses between attempts to connect: increasing, and short enough that a returned daemon is used within five
/// seconds.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            next: Duration::from_millis(100),
        }
    }
}

impl Backoff {
    const MAX_PAUSE: Duration = Duration::from_secs(3);

    /// Returns the next pause, with jitter: monitors of many hosts share no daemon, but they may share a power failure.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(Self::MAX_PAUSE);
        pause.mul_f64(rand::rng().random_range(0.75..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers MW6.
    #[test]
    fn pauses_grow_and_stay_below_five_seconds() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..20).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= Duration::from_millis(100), "{pauses:?}");
        assert!(
            pauses
                .iter()
                .all(|pause| *pause <= Backoff::MAX_PAUSE && !pause.is_zero()),
            "{pauses:?}"
        );
        assert!(pauses[19] > Duration::from_secs(2), "{pauses:?}");
    }
}
