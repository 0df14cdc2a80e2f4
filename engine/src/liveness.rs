//! The liveness counter of a working loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that a loop advances in every iteration, for a supervisor that checks its progress. Clones share the
/// counter.
#[derive(Clone, Debug, Default)]
pub struct Liveness(Arc<AtomicU64>);

impl Liveness {
    /// Advances the counter.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
