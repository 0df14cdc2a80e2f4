//! Remembers for a while what Keystone said of a token. Bounded, so that made-up tokens cannot fill the memory, and good
//! and bad ones are kept apart, so that made-up tokens cannot push good ones out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tachi_domain::Timestamp;

use super::Identity;

/// Longer tokens are asked for every time. Keystone's are some hundred bytes.
const LONGEST_TOKEN: usize = 4096;

/// How long Keystone's answers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// `token_cache_time`: how long a valid token is taken for valid. A revoked one is let in for so long. Zero asks
    /// every time.
    pub valid_for: Duration,
    /// How long a bad token is taken for bad. Zero asks every time.
    pub invalid_for: Duration,
    /// The most tokens kept, of either kind.
    pub capacity: usize,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            valid_for: Duration::from_mins(5),
            invalid_for: Duration::from_secs(10),
            capacity: 1024,
        }
    }
}

/// The cache.
pub(crate) struct TokenCache {
    options: CacheOptions,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    good: HashMap<Box<str>, (Arc<Identity>, Duration)>,
    bad: HashMap<Box<str>, ((), Duration)>,
}

impl TokenCache {
    pub(crate) fn new(options: CacheOptions) -> Self {
        Self {
            options,
            entries: Mutex::default(),
        }
    }

    /// What is known of `token` at `now` (of the boot clock): nothing, that it is bad, or whose it is.
    #[expect(
        clippy::option_option,
        reason = "unknown, known bad and known good are three answers"
    )]
    pub(crate) fn get(&self, token: &str, now: Duration) -> Option<Option<Arc<Identity>>> {
        let entries = self.lock();
        if let Some((identity, until)) = entries.good.get(token) {
            return (now < *until).then(|| Some(Arc::clone(identity)));
        }
        let ((), until) = entries.bad.get(token)?;
        (now < *until).then_some(None)
    }

    /// Remembers Keystone's answer, but never beyond the token's own end.
    pub(crate) fn put(&self, token: &str, answer: Option<Arc<Identity>>, now: Duration, wall: Timestamp) {
        if token.len() > LONGEST_TOKEN {
            return;
        }
        let mut entries = self.lock();
        let capacity = self.options.capacity;
        if let Some(identity) = answer {
            let left = identity.expires_at.map_or(Duration::MAX, |end| {
                Duration::from_micros(u64::try_from(end.micros_since(wall)).unwrap_or(0))
            });
            let until = now.saturating_add(self.options.valid_for.min(left));
            entries.bad.remove(token);
            keep(&mut entries.good, token, identity, until, now, capacity);
        } else {
            let until = now.saturating_add(self.options.invalid_for);
            entries.good.remove(token);
            keep(&mut entries.bad, token, (), until, now, capacity);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Every change is a single insert or remove, so a poisoned map is still a good one.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Inserts; drops what is over, and if that is not enough what is over first.
fn keep<T>(
    map: &mut HashMap<Box<str>, (T, Duration)>,
    token: &str,
    value: T,
    until: Duration,
    now: Duration,
    capacity: usize,
) {
    map.remove(token);
    if until <= now || capacity == 0 {
        return;
    }
    if map.len() >= capacity {
        map.retain(|_, (_, until)| *until > now);
    }
    if map.len() >= capacity {
        let first = map
            .iter()
            .min_by_key(|(_, (_, until))| *until)
            .map(|(token, _)| token.clone());
        if let Some(first) = first {
            map.remove(&first);
        }
    }
    map.insert(token.into(), (value, until));
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn identity(ends_in_seconds: i64) -> Arc<Identity> {
        let expires_at = Some(WALL.minus_seconds(-ends_in_seconds));
        Arc::new(Identity {
            user_id: "u".to_owned(),
            expires_at,
            ..Identity::default()
        })
    }

    #[test]
    fn good_tokens_are_believed_until_the_limit_or_their_own_end() {
        let cases = [
            ("fresh", 3600, 0, true),
            ("just before the limit", 3600, 299, true),
            ("at the limit", 3600, 300, false),
            ("just before its end", 60, 59, true),
            ("at its end", 60, 60, false),
            ("over when it came", -1, 0, false),
        ];
        for (name, ends_in, after, expected) in cases {
            let cache = TokenCache::new(CacheOptions::default());
            cache.put("t", Some(identity(ends_in)), seconds(10), WALL);
            let got = cache.get("t", seconds(10 + after));
            assert_eq!(got.is_some_and(|answer| answer.is_some()), expected, "{name}");
        }
    }

    #[test]
    fn bad_tokens_are_remembered_for_a_short_while() {
        let cache = TokenCache::new(CacheOptions::default());
        cache.put("t", None, seconds(0), WALL);
        assert_eq!(cache.get("t", seconds(9)), Some(None));
        assert_eq!(cache.get("t", seconds(10)), None);
    }

    #[test]
    fn the_newer_answer_wins() {
        let cache = TokenCache::new(CacheOptions::default());
        cache.put("t", Some(identity(3600)), seconds(0), WALL);
        cache.put("t", None, seconds(1), WALL);
        assert_eq!(cache.get("t", seconds(2)), Some(None));
        cache.put("t", Some(identity(3600)), seconds(3), WALL);
        assert_eq!(cache.get("t", seconds(4)), Some(Some(identity(3600))));
    }

    #[test]
    fn made_up_tokens_neither_grow_it_nor_push_good_ones_out() {
        let options = CacheOptions {
            capacity: 4,
            ..CacheOptions::default()
        };
        let cache = TokenCache::new(options);
        cache.put("good", Some(identity(3600)), seconds(0), WALL);
        for n in 0..100 {
            cache.put(&format!("made up {n}"), None, seconds(0), WALL);
        }
        assert_eq!(cache.lock().bad.len(), 4);
        assert!(cache.get("good", seconds(1)).is_some());
        for n in 0..100 {
            cache.put(&format!("good {n}"), Some(identity(3600)), seconds(n), WALL);
        }
        assert_eq!(cache.lock().good.len(), 4);
        assert!(cache.get("good 99", seconds(100)).is_some(), "the newest is kept");
    }

    #[test]
    fn huge_tokens_are_not_kept() {
        let cache = TokenCache::new(CacheOptions::default());
        let token = "x".repeat(LONGEST_TOKEN + 1);
        cache.put(&token, Some(identity(3600)), seconds(0), WALL);
        assert_eq!(cache.get(&token, seconds(0)), None);
    }
}
