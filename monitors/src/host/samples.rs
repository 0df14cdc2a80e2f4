//! States of hosts that are sampled: Consul and Kubernetes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::health::Health;

/// What a host is at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    Down,
    /// Something of it is lost, but not what matters: neither.
    Other,
    /// Nobody knows: the sample does not count.
    Unknown,
}

/// What became of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Started,
    Stopped,
}

#[derive(Debug, Default)]
struct Host {
    /// The same state so many times in a row.
    run: Option<(State, usize)>,
    /// What it is taken for: the last state that stood for all samples.
    stable: Option<State>,
    /// What was told last.
    told: Option<Change>,
}

/// All hosts.
#[derive(Debug)]
pub(crate) struct Hosts {
    samples: usize,
    hosts: BTreeMap<String, Host>,
}

impl Hosts {
    /// `samples` equal states in a row are believed.
    pub(crate) fn new(samples: usize) -> Self {
        Self {
            samples: samples.max(1),
            hosts: BTreeMap::new(),
        }
    }

    /// What is to be told after a look. What is not [`told`](Self::told) is named again at the next one.
    pub(crate) fn see(&mut self, states: &BTreeMap<String, State>) -> Vec<(String, Change)> {
        let mut changes = Vec::new();
        for (name, state) in states {
            let host = self.hosts.entry(name.clone()).or_default();
            if *state == State::Unknown {
                continue;
            }
            let run = match host.run {
                Some((same, run)) if same == *state => run.saturating_add(1),
                _ => 1,
            };
            host.run = Some((*state, run));
            if run < self.samples {
                continue;
            }
            // The first state that is known is where a host begins, not a change. A host that is down already cannot be
            // told from one that was never there.
            let began = host.stable.is_none();
            host.stable = Some(*state);
            if began {
                host.told = match state {
                    State::Down => Some(Change::Stopped),
                    State::Up | State::Other | State::Unknown => Some(Change::Started),
                };
            }
            match (state, host.told) {
                (State::Down, Some(Change::Started)) => changes.push((name.clone(), Change::Stopped)),
                (State::Up, Some(Change::Stopped)) => changes.push((name.clone(), Change::Started)),
                _ => {}
            }
        }
        changes
    }

    /// Forgets hosts that are not there any more.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.hosts.retain(|name, _| keep(name));
    }

    /// It was told.
    pub(crate) fn told(&mut self, name: &str, change: Change) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.told = Some(change);
        }
    }
}

/// Rests until the next look, beating meanwhile. Gives whether to stop.
pub(crate) async fn rest(interval: Duration, health: &Health, stop: &CancellationToken) -> bool {
    /// The loop is missed after 30 s.
    const BEAT: Duration = Duration::from_secs(5);
    let next = Instant::now() + interval;
    loop {
        health.beat();
        let now = Instant::now();
        if now >= next {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep((next - now).min(BEAT)) => {}
            () = stop.cancelled() => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one host's states, one look after the other, come to.
    fn story(samples: usize, states: &[State]) -> Vec<Option<Change>> {
        let mut hosts = Hosts::new(samples);
        states
            .iter()
            .map(|state| {
                let changes = hosts.see(&BTreeMap::from([("cmp1".to_owned(), *state)]));
                for (host, change) in &changes {
                    hosts.told(host, *change);
                }
                changes.first().map(|(_, change)| *change)
            })
            .collect()
    }

    #[test]
    fn mw20_stories() {
        use State::{Down, Other, Unknown, Up};
        const NONE: Option<Change> = None;
        const STARTED: Option<Change> = Some(Change::Started);
        const STOPPED: Option<Change> = Some(Change::Stopped);
        for (name, samples, states, expected) in [
            (
                "dies and returns",
                1,
                vec![Up, Down, Down, Up],
                vec![NONE, STOPPED, NONE, STARTED],
            ),
            (
                "down from the beginning",
                1,
                vec![Down, Down, Up, Down],
                vec![NONE, NONE, STARTED, STOPPED],
            ),
            (
                "unknown samples do not count",
                1,
                vec![Up, Unknown, Up, Unknown, Down],
                vec![NONE, NONE, NONE, NONE, STOPPED],
            ),
            (
                "two samples",
                2,
                vec![Up, Up, Down, Down, Up, Up],
                vec![NONE, NONE, NONE, STOPPED, NONE, STARTED],
            ),
            (
                "a flicker with two samples",
                2,
                vec![Up, Up, Down, Up, Down, Up],
                vec![NONE; 6],
            ),
            (
                "no STARTED without a STOPPED",
                2,
                vec![Up, Up, Down, Up, Up],
                vec![NONE; 5],
            ),
            (
                "something is lost, then all",
                1,
                vec![Up, Other, Down, Other, Up],
                vec![NONE, NONE, STOPPED, NONE, STARTED],
            ),
            (
                "something is lost and found",
                1,
                vec![Up, Other, Up],
                vec![NONE; 3],
            ),
            (
                "unknown for long",
                2,
                vec![Up, Up, Down, Unknown, Unknown, Down],
                vec![NONE, NONE, NONE, NONE, NONE, STOPPED],
            ),
        ] {
            assert_eq!(story(samples, &states), expected, "{name}");
        }
    }

    #[test]
    fn what_was_not_told_is_named_again() {
        let mut hosts = Hosts::new(1);
        let at = |state| BTreeMap::from([("cmp1".to_owned(), state)]);
        assert!(hosts.see(&at(State::Up)).is_empty());
        assert_eq!(hosts.see(&at(State::Down)).len(), 1);
        assert_eq!(hosts.see(&at(State::Down)).len(), 1, "the report was not kept");
        hosts.told("cmp1", Change::Stopped);
        assert!(hosts.see(&at(State::Down)).is_empty());
    }
}
