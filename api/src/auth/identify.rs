//! Identification of tokens: the cache first, then Keystone, with one request for all concurrent callers of a token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tachi_engine::ports::Clock;
use tokio::sync::Semaphore;

use super::cache::{Key, TokenCache};
use super::{CacheOptions, Identity};
use crate::error::ApiError;
use crate::metrics;
use crate::ports::{TokenValidator, Unavailable};

/// Maximum number of concurrent validations in Keystone, so that invented tokens cannot make the API flood Keystone.
const MAX_CONCURRENT_VALIDATIONS: usize = 32;

/// Maximum time that a validation waits for a permit. Cached tokens never wait.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of pending validations at which abandoned ones are removed.
const SWEEP_THRESHOLD: usize = 64;

/// The tokens that are acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenRequirement {
    /// Tokens that are valid now.
    Valid,
    /// Valid tokens, and tokens that expired recently.
    ValidOrExpired,
}

type Outcome = Result<Option<Arc<Identity>>, Arc<Unavailable>>;
type PendingValidation = BoxFuture<'static, Outcome>;

/// Determines the identity behind a token.
pub(crate) struct Identifier {
    shared: Arc<PendingQueries>,
    /// Pending validations. Weak references: when the last waiting caller gives up, the validation is cancelled.
    pending: Mutex<HashMap<Key, WeakShared<PendingValidation>>>,
}

struct PendingQueries {
    validator: Arc<dyn TokenValidator>,
    cache: TokenCache,
    clock: Arc<dyn Clock>,
    permits: Semaphore,
}

#[derive(Debug, thiserror::Error)]
#[error("{MAX_CONCURRENT_VALIDATIONS} other token validations were pending for {} s", PERMIT_TIMEOUT.as_secs())]
struct TooMany;

impl Identifier {
    pub(crate) fn new(
        validator: Arc<dyn TokenValidator>,
        cache: CacheOptions,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            shared: Arc::new(PendingQueries {
                validator,
                cache: TokenCache::new(cache),
                clock,
                permits: Semaphore::new(MAX_CONCURRENT_VALIDATIONS),
            }),
            pending: Mutex::default(),
        }
    }

    /// Returns the identity behind `token`; `None` if the token is not acceptable.
    pub(super) async fn identify(
        &self,
        token: &str,
        accept: TokenRequirement,
    ) -> Result<Option<Arc<Identity>>, ApiError> {
        let key = Key::of(token, false);
        let (cache, now) = (&self.shared.cache, self.shared.clock.boot());
        match (cache.get(&key, now), accept) {
            (Some(known @ Some(_)), _) | (Some(known @ None), TokenRequirement::Valid) => {
                metrics::cache_lookup(true);
                return Ok(known);
            }
            (None, _) | (Some(None), TokenRequirement::ValidOrExpired) => {}
        }
        let key = if accept == TokenRequirement::ValidOrExpired {
            let key = Key::of(token, true);
            if let Some(known) = cache.get(&key, now) {
                metrics::cache_lookup(true);
                return Ok(known);
            }
            key
        } else {
            key
        };
        metrics::cache_lookup(false);
        let answer = self.join(&key, token, accept).await;
        self.pending().remove(&key);
        answer.map_err(ApiError::from)
    }

    /// Returns the pending validation of this token, or starts one.
    fn join(&self, key: &Key, token: &str, accept: TokenRequirement) -> Shared<PendingValidation> {
        let mut pending = self.pending();
        if let Some(flight) = pending.get(key).and_then(WeakShared::upgrade) {
            return flight;
        }
        if pending.len() >= SWEEP_THRESHOLD {
            pending.retain(|_, flight| flight.upgrade().is_some());
        }
        let shared = Arc::clone(&self.shared);
        let (answered, token) = (key.clone(), token.to_owned());
        let flight = async move { shared.validate(answered, &token, accept).await }
            .boxed()
            .shared();
        if let Some(weak) = flight.downgrade() {
            pending.insert(key.clone(), weak);
        }
        flight
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Key, WeakShared<PendingValidation>>> {
        // Every change is a single insert, remove or sweep, so a poisoned map is still consistent.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingQueries {
    async fn validate(&self, key: Key, token: &str, accept: TokenRequirement) -> Outcome {
        let permit = tokio::time::timeout(PERMIT_TIMEOUT, self.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            let source = Box::new(TooMany);
            return Err(Arc::new(Unavailable { source }));
        };
        let answer = match accept {
            TokenRequirement::Valid => self.validator.validate(token).await,
            TokenRequirement::ValidOrExpired => self.validator.validate_expired(token).await,
        };
        let identity = answer.map_err(Arc::new)?.map(Arc::new);
        self.cache
            .put(key, identity.clone(), self.clock.boot(), self.clock.wall());
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures_util::future::join_all;
    use tachi_testkit::ManualClock;

    use super::*;

    /// A validator that answers when the test lets it.
    struct SlowValidator {
        validations: AtomicUsize,
        open: Semaphore,
        fails: bool,
    }

    impl SlowValidator {
        fn new(fails: bool) -> Arc<Self> {
            Arc::new(Self {
                validations: AtomicUsize::new(0),
                open: Semaphore::new(0),
                fails,
            })
        }
    }

    #[async_trait]
    impl TokenValidator for SlowValidator {
        async fn validate(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
            self.validations.fetch_add(1, Ordering::SeqCst);
            self.open.acquire().await.unwrap().forget();
            if self.fails {
                return Err(Unavailable {
                    source: "down".into(),
                });
            }
            let user_id = token.to_owned();
            Ok((token != "bad").then(|| Identity {
                user_id,
                ..Identity::default()
            }))
        }

        async fn validate_expired(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
            self.validate(token).await
        }
    }

    fn identifier(validator: &Arc<SlowValidator>) -> Arc<Identifier> {
        Arc::new(Identifier::new(
            validator.clone(),
            CacheOptions::default(),
            Arc::<ManualClock>::default(),
        ))
    }

    #[tokio::test]
    async fn a_hundred_concurrent_callers_cost_one_validation() {
        for (token, fails) in [("good", false), ("bad", false), ("good", true)] {
            let validator = SlowValidator::new(fails);
            let identifier = identifier(&validator);
            let asking = (0..100).map(|_| identifier.identify(token, TokenRequirement::Valid));
            let mut asking = Box::pin(join_all(asking));
            assert!((&mut asking).now_or_never().is_none(), "all of them wait");
            validator.open.add_permits(1);
            for answer in asking.await {
                assert_eq!(answer.is_err(), fails);
                let user = answer.ok().flatten().map(|identity| identity.user_id.clone());
                assert_eq!(user.as_deref(), (token == "good" && !fails).then_some("good"));
            }
            assert_eq!(validator.validations.load(Ordering::SeqCst), 1, "{token} {fails}");
            assert!(identifier.pending().is_empty());
        }
    }

    #[tokio::test]
    async fn a_validation_continues_when_the_first_caller_gives_up() {
        let validator = SlowValidator::new(false);
        let identifier = identifier(&validator);
        let mut first = Box::pin(identifier.identify("good", TokenRequirement::Valid));
        let mut second = Box::pin(identifier.identify("good", TokenRequirement::Valid));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        validator.open.add_permits(1);
        assert!(second.await.unwrap().is_some());
        assert_eq!(validator.validations.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_abandoned_validation_is_repeated() {
        let validator = SlowValidator::new(false);
        let identifier = identifier(&validator);
        for _ in 0..200 {
            let mut asking = Box::pin(identifier.identify("good", TokenRequirement::Valid));
            assert!((&mut asking).now_or_never().is_none());
        }
        assert_eq!(identifier.pending().len(), 1);
        for n in 0..1000 {
            let token = n.to_string();
            let mut asking = Box::pin(identifier.identify(&token, TokenRequirement::Valid));
            assert!((&mut asking).now_or_never().is_none());
        }
        assert!(
            identifier.pending().len() <= SWEEP_THRESHOLD,
            "abandoned validations are removed"
        );
        validator.open.add_permits(1);
        assert!(
            identifier
                .identify("good", TokenRequirement::Valid)
                .await
                .unwrap()
                .is_some()
        );
    }

    #[tokio::test]
    async fn different_tokens_do_not_wait_for_each_other() {
        let validator = SlowValidator::new(false);
        let identifier = identifier(&validator);
        let mut stuck = Box::pin(identifier.identify("stuck", TokenRequirement::Valid));
        assert!((&mut stuck).now_or_never().is_none());
        let mut other = Box::pin(identifier.identify("other", TokenRequirement::Valid));
        assert!((&mut other).now_or_never().is_none());
        validator.open.add_permits(2);
        assert_eq!(other.await.unwrap().unwrap().user_id, "other");
        assert_eq!(stuck.await.unwrap().unwrap().user_id, "stuck");
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_tokens_do_not_flood_keystone() {
        let validator = SlowValidator::new(false);
        let identifier = identifier(&validator);
        validator.open.add_permits(1);
        assert!(
            identifier
                .identify("known", TokenRequirement::Valid)
                .await
                .unwrap()
                .is_some()
        );
        let names: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let asking = names
            .iter()
            .map(|token| identifier.identify(token, TokenRequirement::Valid));
        let mut asking = Box::pin(join_all(asking));
        assert!((&mut asking).now_or_never().is_none());
        assert_eq!(
            validator.validations.load(Ordering::SeqCst),
            1 + MAX_CONCURRENT_VALIDATIONS
        );
        assert!(
            identifier
                .identify("known", TokenRequirement::Valid)
                .await
                .unwrap()
                .is_some(),
            "a known token does not wait"
        );
        let longer = PERMIT_TIMEOUT + Duration::from_secs(1);
        assert!(tokio::time::timeout(longer, &mut asking).await.is_err());
        validator.open.add_permits(MAX_CONCURRENT_VALIDATIONS);
        let answers = asking.await;
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(
            failed,
            1000 - MAX_CONCURRENT_VALIDATIONS,
            "each waiter that timed out gets an error"
        );
        validator.open.add_permits(1);
        assert!(
            identifier
                .identify("later", TokenRequirement::Valid)
                .await
                .unwrap()
                .is_some(),
            "permits are released"
        );
    }
}
