//! How many notifications whoever is no administrator may create for one segment in a minute (R18): a monitor that is wrong, or
//! a compute host that was taken over, does not keep the engines busy with the whole segment.
//!
//! The segment of a host is learnt from what is accepted, so that nothing has to be looked up; until then the host stands for
//! itself. All of it is in the memory of one process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tachi_domain::SegmentId;

const WINDOW: Duration = Duration::from_secs(60);

/// So many names of hosts are remembered, and so many counted that nobody knows; what is invented beyond shares one count.
const MOST: usize = 10_000;

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Segment(SegmentId),
    Host(String),
    Rest,
}

#[derive(Debug, Default)]
struct Counts {
    /// When this minute began.
    since: Duration,
    counted: HashMap<Key, u32>,
    segments: HashMap<String, SegmentId>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ReportLimit {
    /// `None` for any number.
    most: Option<u32>,
    counts: Mutex<Counts>,
}

impl ReportLimit {
    /// So many a minute; 0 for any number.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most: (most > 0).then_some(most),
            counts: Mutex::default(),
        }
    }

    /// One more about this host, at this moment of the boot-time clock.
    ///
    /// # Errors
    ///
    /// It is one too many: how long until there is a place again.
    pub(crate) fn take(&self, hostname: &str, now: Duration) -> Result<(), Duration> {
        let Some(most) = self.most else {
            return Ok(());
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(counts.since) >= WINDOW {
            counts.since = now;
            counts.counted.clear();
        }
        let mut key = match counts.segments.get(hostname) {
            Some(segment) => Key::Segment(*segment),
            None => Key::Host(hostname.to_owned()),
        };
        if counts.counted.len() >= MOST && !counts.counted.contains_key(&key) {
            key = Key::Rest;
        }
        let left = WINDOW.saturating_sub(now.saturating_sub(counts.since));
        let count = counts.counted.entry(key).or_default();
        if *count >= most {
            return Err(left);
        }
        *count += 1;
        Ok(())
    }

    /// The registry has said in which segment the host is.
    pub(crate) fn learn(&self, hostname: &str, segment: Option<SegmentId>) {
        let (Some(segment), Some(_)) = (segment, self.most) else {
            return;
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.segments.get(hostname) == Some(&segment) {
            return;
        }
        if counts.segments.len() >= MOST {
            counts.segments.clear();
        }
        counts.segments.insert(hostname.to_owned(), segment);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    fn segment(number: u128) -> SegmentId {
        Uuid::from_u128(number).into()
    }

    #[test]
    fn r18_hosts_of_one_segment_are_counted_together_and_others_are_not() {
        let limit = ReportLimit::new(3);
        for (host, number) in [("a1", 1), ("a2", 1), ("b1", 2)] {
            limit.learn(host, Some(segment(number)));
        }
        for host in ["a1", "a2", "a1", "b1"] {
            assert_eq!(limit.take(host, at(0)), Ok(()), "{host}");
        }
        assert_eq!(limit.take("a2", at(10)), Err(Duration::from_secs(50)));
        assert_eq!(limit.take("b1", at(10)), Ok(()));
        assert_eq!(limit.take("new", at(10)), Ok(()), "its segment is not known yet");
        assert_eq!(limit.take("a2", at(59)), Err(Duration::from_secs(1)));
        assert_eq!(limit.take("a2", at(60)), Ok(()));
    }

    #[test]
    fn r18_a_host_that_moves_is_counted_where_it_is() {
        let limit = ReportLimit::new(1);
        limit.learn("a", Some(segment(1)));
        assert_eq!(limit.take("a", at(0)), Ok(()));
        limit.learn("a", None);
        assert!(limit.take("a", at(1)).is_err());
        limit.learn("a", Some(segment(2)));
        assert_eq!(limit.take("a", at(1)), Ok(()));
    }

    #[test]
    fn r18_invented_names_cost_bounded_memory_and_take_nobody_elses_place() {
        let limit = ReportLimit::new(2);
        limit.learn("real", Some(segment(1)));
        assert_eq!(limit.take("real", at(0)), Ok(()));
        let let_in = (0..MOST * 2)
            .filter(|number| limit.take(&format!("x{number}"), at(0)).is_ok())
            .count();
        assert_eq!(let_in, MOST - 1 + 2);
        assert_eq!(limit.take("real", at(0)), Ok(()));
        for number in 0..MOST * 2 {
            limit.learn(&format!("x{number}"), Some(segment(3)));
        }
        let counts = limit.counts.lock().unwrap();
        assert!(counts.counted.len() <= MOST + 1 && counts.segments.len() <= MOST);
    }

    #[test]
    fn zero_is_no_limit() {
        let limit = ReportLimit::new(0);
        assert!((0..10_000).all(|_| limit.take("a", at(0)).is_ok()));
    }
}
