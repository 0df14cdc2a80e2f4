//! Tells that a working loop still turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A loop beats it every time round; whoever looks after the process sees whether it has moved since the last look. Clones
/// are the same pulse.
#[derive(Clone, Debug, Default)]
pub struct Liveness(Arc<AtomicU64>);

impl Liveness {
    /// The loop is alive.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has beaten.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
