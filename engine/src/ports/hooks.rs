//! The operator's hooks.

use async_trait::async_trait;
use tachi_domain::hooks::{Hook, HookOutcome};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRun {
    pub hook: Hook,
    /// The JSON document that is passed to it.
    pub document: String,
    /// A key that is the same for every run of this hook in this recovery, so that the receiver recognises a repetition.
    pub key: String,
    /// Some of the document's facts by name, for programs that read no JSON.
    pub facts: Vec<(&'static str, String)>,
}

/// A runner of hooks.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Runs a hook to its end or timeout. Every failure is an outcome. `None` means that the hook was not started,
    /// because too many are running.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends a running program; its outcome is then unknown.
    async fn run(&self, run: HookRun) -> Option<HookOutcome>;
}

/// A runner for engines without hooks: every run fails.
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
