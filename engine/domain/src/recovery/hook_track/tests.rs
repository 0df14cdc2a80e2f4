use super::*;
use crate::Timestamp;
use crate::hooks::Defaults;

const HOLD: Duration = Duration::from_secs(60);

/// One hook, its track, and its journal.
struct Bench {
    hooks: Vec<Hook>,
    track: HookTrack,
    journal: String,
    record: Record,
    at: u64,
}

impl Bench {
    fn new(entries: &[&str]) -> Self {
        let hooks = entries
            .iter()
            .map(|entry| Hook::parse(entry, Defaults::default()).unwrap())
            .collect();
        Self {
            hooks,
            track: HookTrack::default(),
            journal: serde_json::to_string(&HookTrack::default()).unwrap(),
            record: Record::default(),
            at: 0,
        }
    }

    fn now(&self) -> DecisionTime {
        DecisionTime {
            elapsed: Elapsed::from_millis(self.at),
            wall: Timestamp::from_micros(0),
        }
    }

    fn written(&mut self, record: Record) {
        if record.head {
            self.journal = serde_json::to_string(&self.track).unwrap();
        }
        self.record = record;
    }

    fn pass_in(&mut self, phase: Phase, may_begin: bool) -> Gate {
        let mut record = Record::default();
        let now = self.now();
        let gate = self
            .track
            .pass(phase, &self.hooks, may_begin, HOLD, now, &mut record);
        self.written(record);
        gate
    }

    fn pass(&mut self) -> Gate {
        self.pass_in(Phase::Pre, true)
    }

    fn later(&mut self, millis: u64) -> Gate {
        self.at += millis;
        self.pass()
    }

    fn answer(&mut self, attempt: u32, verdict: HookVerdict) -> &mut Self {
        self.answer_in(Phase::Pre, attempt, verdict)
    }

    fn answer_in(&mut self, phase: Phase, attempt: u32, verdict: HookVerdict) -> &mut Self {
        let outcome = HookOutcome {
            verdict,
            text: "so it ended".into(),
        };
        let mut record = Record::default();
        let now = self.now();
        self.track
            .answered((phase, 0, attempt), &self.hooks, &outcome, now, &mut record);
        self.written(record);
        self
    }

    /// Kills the owner; the next one reads the journal.
    fn take_over(&mut self) -> &mut Self {
        self.track = serde_json::from_str(&self.journal).unwrap();
        self.track.forget_answers();
        self
    }
}

fn run(attempt: u32) -> Gate {
    Gate::Run { number: 0, attempt }
}

#[test]
fn a_hook_is_journalled_before_it_is_run_and_after() {
    let mut bench = Bench::new(&["exec:/x"]);
    assert_eq!(bench.pass(), run(1));
    assert!(bench.record.head);
    assert_eq!(bench.record.steps[0].kind, StepKind::Intent);
    assert_eq!(
        bench.record.steps[0].text,
        "running hook exec:/x, for at most 30 s"
    );
    assert_eq!(bench.pass(), Gate::Wait);
    assert!(bench.record.is_empty(), "waiting writes nothing");
    bench.answer(1, HookVerdict::GoOn);
    assert!(bench.record.head);
    assert_eq!(bench.record.steps[0].progress.to_bits(), 1.0_f64.to_bits());
    assert_eq!(bench.pass(), Gate::Open);
    assert_eq!(bench.take_over().pass(), Gate::Open, "it is not run again");
}

#[test]
fn without_hooks_every_gate_is_open() {
    let mut bench = Bench::new(&[]);
    for phase in Phase::ALL {
        assert_eq!(bench.pass_in(phase, false), Gate::Open);
    }
    assert!(bench.record.is_empty());
}

#[test]
fn hooks_are_run_one_after_the_other() {
    let mut bench = Bench::new(&["exec:/x", "exec:/y"]);
    assert_eq!(bench.pass(), run(1));
    assert_eq!(
        bench.answer(1, HookVerdict::GoOn).pass(),
        Gate::Run {
            number: 1,
            attempt: 1
        }
    );
}

#[test]
fn each_result_of_a_hook_has_its_effect() {
    use HookVerdict::{Failed, GoOn, Skip};
    let said = "hook exec:/x: so it ended";
    let cases = [
        ("well", "exec:/x", Phase::Pre, GoOn, Gate::Open),
        (
            "nothing more",
            "exec:/x",
            Phase::Pre,
            Skip,
            Gate::Skip(said.into()),
        ),
        (
            "nothing more, before the moves",
            "exec:/x",
            Phase::Main,
            Skip,
            Gate::Skip(said.into()),
        ),
        (
            "nothing more, at the end",
            "exec:/x",
            Phase::Post,
            Skip,
            Gate::Open,
        ),
        ("badly", "exec:/x", Phase::Pre, Failed, Gate::Abort(said.into())),
        (
            "badly, at the end",
            "exec:/x",
            Phase::Post,
            Failed,
            Gate::Abort(said.into()),
        ),
        (
            "badly, and never mind",
            "exec:/x #on_failure=continue",
            Phase::Pre,
            Failed,
            Gate::Open,
        ),
    ];
    for (case, entry, phase, verdict, gate) in cases {
        let mut bench = Bench::new(&[entry]);
        assert_eq!(bench.pass_in(phase, true), run(1), "{case}");
        bench.answer_in(phase, 1, verdict);
        assert!(bench.record.head, "{case}: its outcome is journalled");
        assert_eq!(bench.pass_in(phase, true), gate, "{case}");
        assert_eq!(
            bench.take_over().pass_in(phase, true),
            gate,
            "{case}, by the next owner"
        );
        let observed = bench.track.with_remarks("done");
        let quiet = matches!((verdict, phase), (GoOn, _) | (Skip, Phase::Post));
        assert_eq!(observed == "done", quiet, "{case}: {observed}");
    }
}

#[test]
fn a_failed_run_is_repeated_as_often_as_was_asked_for_and_later_each_time() {
    let mut bench = Bench::new(&["exec:/x #retries=2&idempotent=true"]);
    assert_eq!(bench.pass(), run(1));
    assert_eq!(bench.answer(1, HookVerdict::Failed).pass(), Gate::Wait);
    assert_eq!(bench.later(999), Gate::Wait);
    assert_eq!(bench.later(1), run(2));
    assert_eq!(bench.answer(2, HookVerdict::Failed).later(1_999), Gate::Wait);
    assert_eq!(bench.later(1), run(3));
    assert!(matches!(
        bench.answer(3, HookVerdict::Failed).pass(),
        Gate::Abort(_)
    ));
}

#[test]
fn a_run_with_an_unknown_result_is_repeated_only_if_idempotent() {
    let cases = [
        ("not idempotent", "exec:/x", 38_000, "abort"),
        (
            "not idempotent, never mind",
            "exec:/x #on_failure=continue",
            38_000,
            "open",
        ),
        ("idempotent", "exec:/x #idempotent=true", 38_000, "run"),
        (
            "idempotent, an address",
            "https://h/x#idempotent=true&timeout=5",
            66_000,
            "run",
        ),
    ];
    for (case, entry, after, expected) in cases {
        let mut bench = Bench::new(&[entry]);
        assert_eq!(bench.pass(), run(1), "{case}");
        assert_eq!(
            bench.take_over().pass(),
            Gate::Wait,
            "{case}: it may still be running"
        );
        assert_eq!(bench.later(after - 1), Gate::Wait, "{case}: still");
        let observed = match bench.later(1) {
            Gate::Abort(_) => "abort",
            Gate::Open => "open",
            Gate::Run { attempt: 2, .. } => "run",
            Gate::Run { .. } | Gate::Wait | Gate::Skip(_) => "something else",
        };
        assert_eq!(observed, expected, "{case}");
    }
}

#[test]
fn an_answer_to_a_former_owner_or_an_earlier_run_is_ignored() {
    let mut bench = Bench::new(&["exec:/x #idempotent=true"]);
    assert_eq!(bench.pass(), run(1));
    assert_eq!(bench.take_over().answer(1, HookVerdict::GoOn).pass(), Gate::Wait);
    assert_eq!(bench.later(38_000), run(2));
    assert_eq!(bench.answer(1, HookVerdict::Skip).pass(), Gate::Wait);
    assert_eq!(bench.answer(2, HookVerdict::GoOn).pass(), Gate::Open);
}

#[test]
fn a_hook_that_kills_its_engine_is_not_repeated_forever() {
    let mut bench = Bench::new(&["exec:/x #idempotent=true"]);
    let mut runs = 0;
    let mut gate = bench.pass();
    while matches!(gate, Gate::Run { .. }) {
        runs += 1;
        assert!(runs < 10);
        gate = bench.take_over().later(38_000);
    }
    assert_eq!(runs, 4);
    assert!(matches!(gate, Gate::Abort(_)), "{gate:?}");
}

#[test]
fn a_run_that_was_not_begun_is_begun_later_and_counts_for_nothing() {
    let mut bench = Bench::new(&["exec:/x"]);
    assert_eq!(bench.pass(), run(1));
    let now = bench.now();
    bench.track.not_sent((Phase::Pre, 0, 1), now);
    assert_eq!(bench.pass(), Gate::Wait);
    assert_eq!(bench.later(1_000), run(1));
    assert_eq!(bench.answer(1, HookVerdict::GoOn).pass(), Gate::Open);
}

/// Covers R5.
#[test]
fn a_late_answer_that_an_earlier_run_did_not_start_does_not_start_a_second_run() {
    let mut bench = Bench::new(&["exec:/x #idempotent=true"]);
    assert_eq!(bench.pass(), run(1));
    assert_eq!(bench.take_over().later(38_000), run(2));
    let now = bench.now();
    bench.track.not_sent((Phase::Pre, 0, 1), now);
    assert_eq!(bench.later(1_000), Gate::Wait, "the second is running");
}

#[test]
fn nothing_is_begun_while_something_forbids_it() {
    let mut bench = Bench::new(&["exec:/x #retries=1&idempotent=true"]);
    assert_eq!(bench.pass_in(Phase::Pre, false), Gate::Wait);
    assert!(bench.record.is_empty());
    assert_eq!(bench.pass(), run(1));
    bench.answer(1, HookVerdict::Failed);
    bench.at += 60_000;
    assert_eq!(bench.pass_in(Phase::Pre, false), Gate::Wait, "nor repeated");
    assert_eq!(bench.pass(), run(2));
}
