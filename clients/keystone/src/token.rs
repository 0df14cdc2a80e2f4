//! A token and its lifetime.

use std::time::Duration;

use reqwest::header::HeaderValue;

use crate::catalog::Catalog;

/// A token with its catalogue.
#[derive(Debug)]
pub struct Token {
    /// The value, marked as sensitive: `Debug` hides it.
    pub value: HeaderValue,
    /// Number of the renewal, to recognize what was derived from an older token.
    pub generation: u64,
    /// The id of the user that the token represents, if Keystone returned it.
    pub user: Option<String>,
    /// The catalogue of services.
    pub catalog: Catalog,
    /// Keystone's clock minus the local one when the token was issued, in seconds, if known.
    pub skew_seconds: Option<i64>,
    /// Time of receipt, by the caller's clock.
    pub(crate) received_at: Duration,
    /// Lifetime according to Keystone.
    pub(crate) lifetime: Duration,
}

impl Token {
    /// True if the token is valid for a call that starts now: it outlives the call by some seconds.
    pub(crate) fn is_valid(&self, now: Duration) -> bool {
        now.saturating_sub(self.received_at)
            < self
                .lifetime
                .saturating_sub(Duration::from_mins(1).min(self.lifetime / 10))
    }

    /// True if the token should be renewed: ten minutes before it expires, or a quarter of a short lifetime.
    pub(crate) fn expires_soon(&self, now: Duration) -> bool {
        now.saturating_sub(self.received_at)
            >= self
                .lifetime
                .saturating_sub(Duration::from_mins(10).min(self.lifetime / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_ends_however_short_it_lives() {
        // (life, age, good, ends soon), in seconds
        let cases = [
            (3600, 0, true, false),
            (3600, 2999, true, false),
            (3600, 3000, true, true),
            (3600, 3539, true, true),
            (3600, 3540, false, true),
            (60, 44, true, false),
            (60, 45, true, true),
            (60, 54, false, true),
            (0, 0, false, true),
        ];
        for (lifetime, age, good, soon) in cases {
            let received_at = Duration::from_secs(1000);
            let token = Token {
                value: HeaderValue::from_static("t"),
                generation: 1,
                user: None,
                catalog: Catalog::default(),
                skew_seconds: None,
                received_at,
                lifetime: Duration::from_secs(lifetime),
            };
            let now = received_at + Duration::from_secs(age);
            assert_eq!(
                (token.is_valid(now), token.expires_soon(now)),
                (good, soon),
                "life {lifetime}, age {age}"
            );
        }
    }
}
