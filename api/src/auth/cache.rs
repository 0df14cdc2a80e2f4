//! A cache of Keystone's answers about tokens. Its size is bounded, so that invented tokens cannot fill the memory.
//! Valid and invalid tokens have separate maps, so that invented tokens cannot evict valid ones. Tokens are stored as
//! hashes: a memory dump contains no usable token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tachi_domain::Timestamp;

use super::Identity;

/// The cache key of a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    hash: [u8; 32],
    /// True if an expired token is acceptable too. That question can have another answer, so it has a key of its own.
    accepts_expired: bool,
}

impl Key {
    pub(super) fn of(token: &str, accepts_expired: bool) -> Self {
        Self {
            hash: Sha256::digest(token.as_bytes()).into(),
            accepts_expired,
        }
    }
}

/// Lifetimes and size of the token cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// `token_cache_time`: the lifetime of a valid token in the cache. A revoked token is accepted for that long. Zero
    /// disables caching.
    pub valid_for: Duration,
    /// The lifetime of an invalid token in the cache. Zero disables caching.
    pub invalid_for: Duration,
    /// Maximum number of cached tokens, for valid and for invalid tokens each.
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

pub(super) struct TokenCache {
    options: CacheOptions,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    good: HashMap<Key, (Arc<Identity>, Duration)>,
    bad: HashMap<Key, ((), Duration)>,
}

impl TokenCache {
    pub(super) fn new(options: CacheOptions) -> Self {
        Self {
            options,
            entries: Mutex::default(),
        }
    }

    /// Returns the cached answer for `token` at `now` (boot clock): unknown, invalid, or the identity of its user.
    #[expect(
        clippy::option_option,
        reason = "the three answers are unknown, invalid and valid"
    )]
    pub(super) fn get(&self, token: &Key, now: Duration) -> Option<Option<Arc<Identity>>> {
        let entries = self.lock();
        if let Some((identity, until)) = entries.good.get(token) {
            return (now < *until).then(|| Some(Arc::clone(identity)));
        }
        let ((), until) = entries.bad.get(token)?;
        (now < *until).then_some(None)
    }

    /// Caches Keystone's answer, but not beyond the token's expiry unless expired tokens are accepted too.
    pub(super) fn put(&self, token: Key, answer: Option<Arc<Identity>>, now: Duration, wall: Timestamp) {
        let mut entries = self.lock();
        let capacity = self.options.capacity;
        if let Some(identity) = answer {
            let end = identity.expires_at.filter(|_| !token.accepts_expired);
            let left = end.map_or(Duration::MAX, |end| {
                Duration::from_micros(u64::try_from(end.micros_since(wall)).unwrap_or(0))
            });
            let until = now.saturating_add(self.options.valid_for.min(left));
            entries.bad.remove(&token);
            keep(&mut entries.good, token, identity, until, now, capacity);
        } else {
            let until = now.saturating_add(self.options.invalid_for);
            entries.good.remove(&token);
            keep(&mut entries.bad, token, (), until, now, capacity);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Every change is a single insert or remove, so a poisoned map is still consistent.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Inserts an entry. If the map is full, it drops expired entries, and else the one that expires first.
fn keep<T>(
    map: &mut HashMap<Key, (T, Duration)>,
    token: Key,
    value: T,
    until: Duration,
    now: Duration,
    capacity: usize,
) {
    map.remove(&token);
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
    map.insert(token, (value, until));
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);

    fn key(token: &str) -> Key {
        Key::of(token, false)
    }

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
            ("expired on arrival", -1, 0, false),
        ];
        for (name, ends_in, after, expected) in cases {
            let cache = TokenCache::new(CacheOptions::default());
            cache.put(key("t"), Some(identity(ends_in)), seconds(10), WALL);
            let got = cache.get(&key("t"), seconds(10 + after));
            assert_eq!(got.is_some_and(|answer| answer.is_some()), expected, "{name}");
        }
    }

    #[test]
    fn bad_tokens_are_remembered_for_a_short_while() {
        let cache = TokenCache::new(CacheOptions::default());
        cache.put(key("t"), None, seconds(0), WALL);
        assert_eq!(cache.get(&key("t"), seconds(9)), Some(None));
        assert_eq!(cache.get(&key("t"), seconds(10)), None);
    }

    #[test]
    fn the_newer_answer_wins() {
        let cache = TokenCache::new(CacheOptions::default());
        cache.put(key("t"), Some(identity(3600)), seconds(0), WALL);
        cache.put(key("t"), None, seconds(1), WALL);
        assert_eq!(cache.get(&key("t"), seconds(2)), Some(None));
        cache.put(key("t"), Some(identity(3600)), seconds(3), WALL);
        assert_eq!(cache.get(&key("t"), seconds(4)), Some(Some(identity(3600))));
    }

    #[test]
    fn made_up_tokens_neither_grow_it_nor_push_good_ones_out() {
        let options = CacheOptions {
            capacity: 4,
            ..CacheOptions::default()
        };
        let cache = TokenCache::new(options);
        cache.put(key("good"), Some(identity(3600)), seconds(0), WALL);
        for n in 0..100 {
            cache.put(key(&format!("made up {n}")), None, seconds(0), WALL);
        }
        assert_eq!(cache.lock().bad.len(), 4);
        assert!(cache.get(&key("good"), seconds(1)).is_some());
        for n in 0..100 {
            cache.put(key(&format!("good {n}")), Some(identity(3600)), seconds(n), WALL);
        }
        assert_eq!(cache.lock().good.len(), 4);
        assert!(
            cache.get(&key("good 99"), seconds(100)).is_some(),
            "the newest is kept"
        );
    }

    #[test]
    fn an_answer_about_an_expired_token_is_not_reused_elsewhere() {
        let cache = TokenCache::new(CacheOptions::default());
        cache.put(Key::of("t", true), Some(identity(-60)), seconds(0), WALL);
        assert_eq!(cache.get(&key("t"), seconds(1)), None);
        let again = cache.get(&Key::of("t", true), seconds(1));
        assert!(again.is_some_and(|answer| answer.is_some()));
        assert_eq!(cache.get(&Key::of("t", true), seconds(300)), None);
    }

    #[test]
    fn a_cache_key_contains_no_part_of_its_token() {
        let shown = format!("{:?}", key("gAAAAA-secret"));
        assert!(!shown.contains("gAAAAA"), "{shown}");
        assert_ne!(key("a"), key("b"));
    }
}
