//! The operator's hooks.

use async_trait::async_trait;
use tachi_domain::hooks::{Hook, HookOutcome};

/// One run of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRun {
    /// What to run.
    pub hook: Hook,
    /// What it is told: one JSON document.
    pub document: String,
    /// The same for every run of this hook in this recovery, so that whoever is asked can tell a repetition.
    pub key: String,
    /// A few of the document's facts by name, for programs that read no JSON.
    pub facts: Vec<(&'static str, String)>,
}

/// Runs hooks.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Runs a hook to its end, or to the end of its time. Every way in which it can fail is an outcome; `None` means that it
    /// was not begun, because too many are running already.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends a program that is running; what came of it is not known then.
    async fn run(&self, run: HookRun) -> Option<HookOutcome>;
}

/// For engines without hooks: every run fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

#[async_trait]
impl Hooks for NoHooks {
    async fn run(&self, _run: HookRun) -> Option<HookOutcome> {
        Some(HookOutcome {
            verdict: tachi_domain::hooks::HookVerdict::Failed,
            text: "this engine runs no hooks".into(),
        })
    }
}
