//! Witnesses and failure domains from the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tachi_domain::guard::{Witness, matches};
use tachi_engine::ports::Witnesses;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::settings::SurroundingSettings;

/// Timeout of a connection; a witness that has not accepted it by then counts as not reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Interval between two attempts to reach a witness.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The failure domains of the file, each with its host patterns.
pub(crate) type Domains = BTreeMap<String, Vec<String>>;

pub(crate) struct FailureDomains {
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
    pub(crate) fn new(settings: SurroundingSettings) -> Self {
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
            match read(path) {
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

/// Reads lines such as `rack:r7 = compute-01 compute-02 compute-1?`; `#` starts a comment.
///
/// # Errors
///
/// The first invalid line, with its number; or why the file cannot be read.
pub(crate) fn read(path: &Path) -> Result<Domains, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    parse(&text)
}

fn parse(text: &str) -> Result<Domains, String> {
    let mut domains = Domains::new();
    for (place, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |what: &str| format!("line {}: {what}", place + 1);
        let (name, hosts) = line
            .split_once('=')
            .ok_or_else(|| wrong("write NAME = HOST HOST ..., hosts with or without `*` and `?`"))?;
        let name = name.trim();
        if name.is_empty()
            || name
                .chars()
                .any(|letter| letter.is_whitespace() || letter.is_control())
        {
            return Err(wrong("a domain's name is one word, such as rack:r7"));
        }
        let hosts: Vec<String> = hosts
            .split([' ', ',', '\t'])
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect();
        if hosts.is_empty() {
            return Err(wrong("no host is named"));
        }
        if domains.insert(name.to_owned(), hosts).is_some() {
            return Err(wrong("this domain was named before"));
        }
    }
    Ok(domains)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_read_line_by_line_and_the_first_mistake_is_named() {
        let good =
            parse("# racks\nrack:r7 = compute-01, compute-02\n\nswitch:s1=compute-1? # all of it\n").unwrap();
        assert_eq!(good["rack:r7"], ["compute-01", "compute-02"]);
        assert_eq!(good["switch:s1"], ["compute-1?"]);
        for (text, mistake) in [
            ("a = b\nc", "line 2: write NAME"),
            ("a b = c", "line 1: a domain's name"),
            (" = c", "line 1: a domain's name"),
            ("a = ", "line 1: no host"),
            ("a = b\na = c", "line 2: this domain"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(mistake), "{text:?}: {error}");
        }
    }

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
