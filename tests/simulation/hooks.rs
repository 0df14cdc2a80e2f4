//! The operators' hooks, drawn by seed, and their invariants.

use std::collections::BTreeMap;

use tachi_domain::hooks::{Flows, Hook, HookCall, HookOutcome, HookTarget, HookVerdict, OnFailure, Phase};
use tachi_domain::recovery::Observation;

use crate::journal::RecIx;
use crate::mishap::Mishap;
use crate::rng::Rng;
use crate::world::{Event, Owner, World, note};

const TIMEOUT: u64 = 5_000;

/// The hooks of one seed and their runs.
#[derive(Debug)]
pub(crate) struct HookPlan {
    pub flows: Flows,
    rng: Rng,
    runs: BTreeMap<(RecIx, Phase, u8), Runs>,
}

#[derive(Debug, Default)]
struct Runs {
    count: u32,
    /// End of the latest run, in ms.
    until: u64,
}

impl HookPlan {
    /// Uses a separate generator, so that seeds without hooks do not change.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x0048_4f4f_4b53);
        let mut flows = Flows::default();
        if rng.percent(30) {
            let flow = &mut flows.host_auto;
            for hooks in [&mut flow.pre, &mut flow.main, &mut flow.post] {
                for _ in 0..rng.below(3) {
                    hooks.push(hook(&mut rng));
                }
            }
        }
        Self {
            flows,
            rng,
            runs: BTreeMap::new(),
        }
    }
}

fn hook(rng: &mut Rng) -> Hook {
    let idempotent = rng.percent(40);
    Hook {
        target: HookTarget::Exec {
            program: "/bin/hook".into(),
            args: Vec::new(),
        },
        timeout: std::time::Duration::from_millis(TIMEOUT),
        retries: u32::from(idempotent && rng.percent(50)),
        on_failure: if rng.percent(70) {
            OnFailure::Continue
        } else {
            OnFailure::Abort
        },
        idempotent,
    }
}

impl World {
    /// Runs a hook. It continues even if its engine dies, and ends within its timeout.
    pub(crate) fn run_hook(&mut self, owner: Owner, call: &HookCall) {
        self.stats.hooks += 1;
        let hook_plan = &mut self.hook_plan;
        let millis = if hook_plan.rng.percent(10) {
            TIMEOUT
        } else {
            hook_plan.rng.between(10, TIMEOUT - 1)
        };
        let verdict = match hook_plan.rng.between(0, 99) {
            _ if millis == TIMEOUT => HookVerdict::Failed,
            0..=74 => HookVerdict::GoOn,
            75..=79 => HookVerdict::Skip,
            _ => HookVerdict::Failed,
        };
        let runs = hook_plan
            .runs
            .entry((owner.rec, call.phase, call.number))
            .or_default();
        let overlap = runs.until > self.now;
        runs.count += 1;
        runs.until = self.now + millis;
        let count = runs.count;
        note!(
            self,
            "hook {:?} {} of {} runs: {verdict:?}",
            call.phase,
            call.number,
            owner.rec
        );
        // Writes that the database lost are not visible.
        let forgotten = self.mishaps.count(Mishap::FailsOver) > 0;
        if count > 1 && !call.hook.idempotent && !forgotten {
            self.violate(format!(
                "a hook of {} that is not idempotent ran {count} times",
                owner.rec
            ));
        }
        if overlap {
            self.violate(format!("a hook of {} ran twice at the same time", owner.rec));
        }
        let observation = Observation::Hook {
            phase: call.phase,
            number: call.number,
            attempt: call.attempt,
            outcome: HookOutcome {
                verdict,
                text: "simulated".into(),
            },
        };
        self.after(
            millis,
            Event::Answer {
                owner,
                observation: Box::new(observation),
            },
        );
    }

    /// True if a hook before the fence has ended the recovery and the recovery shows it.
    pub(crate) fn was_skipped(&self, rec: RecIx) -> bool {
        let message = self.journal.recs[rec].message.as_deref().unwrap_or_default();
        message.starts_with("skipped: hook") && !self.hook_plan.flows.host_auto.pre.is_empty()
    }

    /// Checks that no evacuation starts while an earlier hook runs on any engine.
    pub(crate) fn check_no_hook_runs(&mut self, rec: RecIx) {
        let now = self.now;
        let running = self
            .hook_plan
            .runs
            .iter()
            .any(|((of, phase, _), runs)| *of == rec && *phase != Phase::Post && runs.until > now);
        if running {
            self.violate(format!("recovery {rec} evacuates while a hook is running"));
        }
    }
}
