//! The rate limit of notifications: a reporter that is no administrator may create a limited number per segment and minute. A
//! faulty monitor or a compromised compute host then cannot keep the engines busy with the whole segment. Each reporter has its
//! own count, so that none can use up another's. The first report about a failed host is always accepted.
//!
//! The segment of a host is known from accepted notifications, so no lookup is needed. Until then the host has a count of its
//! own. All counts are in the memory of one process.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tachi_domain::SegmentId;
use tachi_domain::entity::notification::{NewNotification, NotificationType};

const WINDOW: Duration = Duration::from_secs(60);

/// Maximum number of remembered host names, and of counts. Names beyond that share one count.
const MAX_NAMES: usize = 10_000;

/// The scope of a count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum LimitScope {
    Segment(SegmentId),
    Host(String),
    Rest,
}

/// A reporter and a scope.
type Account = (String, LimitScope);

#[derive(Debug, Default)]
struct Counts {
    /// The start of the current minute.
    since: Duration,
    counted: HashMap<Account, u32>,
    /// The hosts that were reported as stopped, with their reporters.
    stopped: HashSet<(String, String)>,
    segments: HashMap<String, SegmentId>,
}

#[derive(Debug)]
pub(crate) struct ReportLimit {
    /// `None` for no limit.
    most: Option<u32>,
    counts: Mutex<Counts>,
}

impl ReportLimit {
    /// Creates a limit of `most` notifications per minute; 0 for no limit.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most: (most > 0).then_some(most),
            counts: Mutex::default(),
        }
    }

    /// Counts a report, at this time of the boot clock.
    ///
    /// # Errors
    ///
    /// The limit is exceeded; the value is the time until the count is reset.
    pub(crate) fn count(&self, new: &NewNotification, now: Duration) -> Result<(), Duration> {
        let Some(most) = self.most else {
            return Ok(());
        };
        let reporter = new
            .reporter
            .as_deref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(counts.since) >= WINDOW {
            counts.since = now;
            counts.counted.clear();
            counts.stopped.clear();
        }
        let first = new.kind == NotificationType::ComputeHost
            && counts.stopped.len() < MAX_NAMES
            && counts.stopped.insert((reporter.clone(), new.hostname.clone()));
        let place = match counts.segments.get(&new.hostname) {
            Some(segment) => LimitScope::Segment(*segment),
            None => LimitScope::Host(new.hostname.clone()),
        };
        let mut account = (reporter, place);
        if counts.counted.len() >= MAX_NAMES && !counts.counted.contains_key(&account) {
            account.1 = LimitScope::Rest;
        }
        let left = WINDOW.saturating_sub(now.saturating_sub(counts.since));
        let count = counts.counted.entry(account).or_default();
        if *count >= most && !first {
            return Err(left);
        }
        *count = count.saturating_add(1);
        Ok(())
    }

    /// Records the segment of a host, as returned by the registry.
    pub(crate) fn remember(&self, hostname: &str, segment: Option<SegmentId>) {
        let (Some(segment), Some(_)) = (segment, self.most) else {
            return;
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.segments.get(hostname) == Some(&segment) {
            return;
        }
        if counts.segments.len() >= MAX_NAMES {
            counts.segments.clear();
        }
        counts.segments.insert(hostname.to_owned(), segment);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tachi_domain::entity::notification::NotificationType::{ComputeHost, Process, Vm};
    use tachi_domain::{Reporter, Timestamp};
    use uuid::Uuid;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    fn segment(number: u128) -> SegmentId {
        Uuid::from_u128(number).into()
    }

    fn of(kind: NotificationType, reporter: &str, host: &str) -> NewNotification {
        let reporter = Reporter {
            user_id: reporter.into(),
            ..Reporter::default()
        };
        NewNotification {
            kind,
            hostname: host.into(),
            generated_time: Timestamp::from_micros(0),
            payload: BTreeMap::new(),
            evidence: None,
            reporter: Some(Box::new(reporter)),
        }
    }

    fn vm(host: &str) -> NewNotification {
        of(Vm, "m", host)
    }

    /// Covers R18.
    #[test]
    fn hosts_of_one_segment_are_counted_together_and_others_are_not() {
        let limit = ReportLimit::new(3);
        for (host, number) in [("a1", 1), ("a2", 1), ("b1", 2)] {
            limit.remember(host, Some(segment(number)));
        }
        for host in ["a1", "a2", "a1", "b1"] {
            assert_eq!(limit.count(&vm(host), at(0)), Ok(()), "{host}");
        }
        assert_eq!(limit.count(&vm("a2"), at(10)), Err(Duration::from_secs(50)));
        assert_eq!(limit.count(&vm("b1"), at(10)), Ok(()));
        assert_eq!(
            limit.count(&vm("new"), at(10)),
            Ok(()),
            "its segment is not known yet"
        );
        assert_eq!(limit.count(&vm("a2"), at(59)), Err(Duration::from_secs(1)));
        assert_eq!(limit.count(&vm("a2"), at(60)), Ok(()));
    }

    /// Covers T7.
    #[test]
    fn a_reporter_uses_up_only_its_own_count() {
        let limit = ReportLimit::new(2);
        limit.remember("a1", Some(segment(1)));
        let taken = (0..100).filter(|_| limit.count(&of(Vm, "flood", "a1"), at(0)).is_ok());
        assert_eq!(taken.count(), 2);
        assert_eq!(limit.count(&of(Vm, "other", "a1"), at(0)), Ok(()));
    }

    /// Covers T7.
    #[test]
    fn the_first_report_of_a_stopped_host_is_never_refused() {
        let limit = ReportLimit::new(2);
        for host in ["a1", "a2"] {
            limit.remember(host, Some(segment(1)));
        }
        while limit.count(&of(Process, "m", "a1"), at(0)).is_ok() {}
        for host in ["a1", "a2"] {
            assert_eq!(limit.count(&of(ComputeHost, "m", host), at(0)), Ok(()), "{host}");
            assert!(
                limit.count(&of(ComputeHost, "m", host), at(1)).is_err(),
                "{host} again"
            );
        }
    }

    /// Covers R18.
    #[test]
    fn a_host_that_moves_is_counted_where_it_is() {
        let limit = ReportLimit::new(1);
        limit.remember("a", Some(segment(1)));
        assert_eq!(limit.count(&vm("a"), at(0)), Ok(()));
        limit.remember("a", None);
        assert!(limit.count(&vm("a"), at(1)).is_err());
        limit.remember("a", Some(segment(2)));
        assert_eq!(limit.count(&vm("a"), at(1)), Ok(()));
    }

    /// Covers R18.
    #[test]
    fn invented_names_cost_bounded_memory_and_displace_no_others() {
        let limit = ReportLimit::new(2);
        limit.remember("real", Some(segment(1)));
        assert_eq!(limit.count(&vm("real"), at(0)), Ok(()));
        let let_in = (0..MAX_NAMES * 2)
            .filter(|number| limit.count(&vm(&format!("x{number}")), at(0)).is_ok())
            .count();
        assert_eq!(let_in, MAX_NAMES - 1 + 2);
        assert_eq!(limit.count(&vm("real"), at(0)), Ok(()));
        for number in 0..MAX_NAMES * 2 {
            let host = format!("x{number}");
            limit.remember(&host, Some(segment(3)));
            _ = limit.count(&of(ComputeHost, "m", &host), at(0));
        }
        let counts = limit.counts.lock().unwrap();
        assert!(
            counts.counted.len() <= MAX_NAMES + 1
                && counts.segments.len() <= MAX_NAMES
                && counts.stopped.len() <= MAX_NAMES
        );
    }

    #[test]
    fn zero_is_no_limit() {
        let limit = ReportLimit::new(0);
        assert!((0..10_000).all(|_| limit.count(&vm("a"), at(0)).is_ok()));
    }
}
