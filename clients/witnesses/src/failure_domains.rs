//! Witnesses and failure domains from the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tachi_domain::guard::{Witness, matches};
use tachi_engine::ports::Witnesses;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::domains_file::{self, Domains};
use crate::settings::SurroundingSettings;

/// Timeout of a connection; a witness that has not accepted it by then counts as not reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Interval between two attempts to reach a witness.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The failure domains of the file, and the witnesses.
pub struct FailureDomains {
    settings: SurroundingSettings,
    file: Mutex<CachedDomains>,
    witnesses_read: Mutex<Option<(Instant, Vec<Witness>)>>,
}

#[derive(Default)]
struct CachedDomains {
    changed: Option<SystemTime>,
    domains: Arc<Domains>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FailureDomains {
    pub fn new(settings: SurroundingSettings) -> Self {
        Self {
            settings,
            file: Mutex::default(),
            witnesses_read: Mutex::default(),
        }
    }

    /// Returns the file's domains, read again when it has changed. A bad new file keeps the old one.
    fn patterns(&self) -> Arc<Domains> {
        let Some(path) = &self.settings.domains_file else {
            return Arc::default();
        };
        let changed = std::fs::metadata(path).and_then(|about| about.modified()).ok();
        let mut cached = lock(&self.file);
        if cached.changed != changed || changed.is_none() {
            match domains_file::read(path) {
                Ok(domains) => cached.domains = Arc::new(domains),
                Err(why) if cached.changed != changed => {
                    tracing::warn!(file = %path.display(), %why, "failure domain reload failed; keeping the previous domains");
                }
                Err(_) => {}
            }
            cached.changed = changed;
        }
        cached.domains.clone()
    }
}

#[async_trait]
impl Witnesses for FailureDomains {
    fn domains(&self, hosts: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
        let chosen = |patterns: &Vec<String>| {
            let fits = |host: &&String| patterns.iter().any(|pattern| matches(pattern, host));
            hosts.iter().filter(fits).cloned().collect()
        };
        self.patterns()
            .iter()
            .map(|(name, patterns)| (name.clone(), chosen(patterns)))
            .collect()
    }

    async fn witnesses(&self) -> Vec<Witness> {
        let known = lock(&self.witnesses_read).clone();
        if let Some((_, witnesses_read)) = known.filter(|(at, _)| at.elapsed() < RETRY_INTERVAL) {
            return witnesses_read;
        }
        let at = Instant::now();
        let mut calls = JoinSet::new();
        for (place, name) in self.settings.witnesses.iter().enumerate() {
            let name = name.clone();
            calls.spawn(async move {
                let reached = matches!(
                    timeout(CONNECT_TIMEOUT, TcpStream::connect(&name)).await,
                    Ok(Ok(_))
                );
                (place, Witness { name, reached })
            });
        }
        let mut witnesses_read = calls.join_all().await;
        witnesses_read.sort_by_key(|(place, _)| *place);
        let witnesses_read: Vec<Witness> = witnesses_read.into_iter().map(|(_, witness)| witness).collect();
        *lock(&self.witnesses_read) = Some((at, witnesses_read.clone()));
        witnesses_read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_changed_file_is_read_again_and_a_bad_one_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("domains");
        std::fs::write(&path, "rack:r7 = compute-0?\n").unwrap();
        let hosts: BTreeSet<String> = ["compute-01", "compute-02", "compute-11"].map(Into::into).into();
        let failure_domains = FailureDomains::new(SurroundingSettings {
            domains_file: Some(path.clone()),
            witnesses: Vec::new(),
        });
        assert_eq!(failure_domains.domains(&hosts)["rack:r7"].len(), 2);
        let newer = |text: &str, seconds: u64| {
            std::fs::write(&path, text).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            let later = SystemTime::now() + Duration::from_secs(seconds);
            file.set_modified(later).unwrap();
        };
        newer("rack:r7\n", 10);
        assert_eq!(failure_domains.domains(&hosts)["rack:r7"].len(), 2);
        newer("rack:r7 = *\n", 20);
        assert_eq!(failure_domains.domains(&hosts)["rack:r7"].len(), 3);
    }

    #[tokio::test]
    async fn a_witness_is_reached_if_it_takes_a_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap().to_string();
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = gone.local_addr().unwrap().to_string();
        drop(gone);
        let failure_domains = FailureDomains::new(SurroundingSettings {
            domains_file: None,
            witnesses: vec![nobody, there],
        });
        let reached: Vec<bool> = failure_domains
            .witnesses()
            .await
            .iter()
            .map(|one| one.reached)
            .collect();
        assert_eq!(reached, [false, true]);
    }
}
