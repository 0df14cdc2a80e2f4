//! Mutations: rules removed at the ports, and the proof that the simulation notices each. Mutations of the
//! decision core are in `tests/mutations`.

use std::process::Command;
use std::sync::OnceLock;

/// Name, rule, and changed behaviour.
const PORT_MUTATIONS: &[(&str, &str, &str)] = &[
    ("epoch", "R1", "writes do not check the claim"),
    (
        "standby",
        "R1",
        "a new owner reads a standby that is one transaction behind",
    ),
    ("unsure", "R1", "a commit whose answer is lost counts as held"),
    ("beat", "R2", "calls go out however old the last heartbeat is"),
    ("database-clock", "R2", "the database's clock is not checked"),
    ("wall-clock", "R3", "elapsed time is the wall clock's"),
    ("intent", "R4", "calls go out however old their intent is"),
    (
        "join",
        "R6",
        "a second recovery of a host is opened beside an open one",
    ),
    ("move-key", "R6", "two recoveries may move the same instance"),
    ("intent-write", "R7", "the intent to evacuate is not written"),
    ("terminal-write", "R7", "the end of a move is not written"),
    (
        "send-twice",
        "R8",
        "an evacuation is sent twice by the HTTP client",
    ),
    (
        "exclusion",
        "R12",
        "a host's open recovery does not keep other writes out",
    ),
    (
        "monitors",
        "R15",
        "heartbeats of a host's own monitors are ignored",
    ),
    (
        "machine",
        "R17",
        "a power controller is trusted although it names another machine",
    ),
    (
        "joined",
        "R19",
        "a recovery ends without a report that has just joined it",
    ),
    (
        "frozen",
        "ADR 0051",
        "writes that start an action on a frozen object are accepted",
    ),
    ("sweep", "R21", "engines look for work on wake-ups only"),
    (
        "retry",
        "R31",
        "a retry repeats the failed recovery's claim about the host",
    ),
    (
        "boot-guard",
        "R25",
        "nova-compute of a fenced host starts at once",
    ),
];

/// Mutations that break no rule in these seeds: the run fails because a counter of refusals stays zero.
const COUNTERS: &[(&str, &str)] = &[("database-clock", "no writes refused as too late in ")];

/// True if the rule is left out at the ports (`SIM_MUTATE=epoch,pause`).
pub(crate) fn mutated(which: &str) -> bool {
    static LIST: OnceLock<String> = OnceLock::new();
    let list = LIST.get_or_init(|| std::env::var("SIM_MUTATE").unwrap_or_default());
    !list.is_empty() && list.split(',').any(|one| one == which)
}

/// Runs this program without one rule; returns the failing seed and its failure.
fn caught(name: &str, seeds: &str) -> Option<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "whole_recoveries"])
        .env("SIM_MUTATE", name)
        .env("SIM_SEEDS", seeds)
        .env_remove("SIM_SEED")
        .env_remove("SIM_FROM")
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find(|line| line.starts_with("SIM_SEED=") && !line.contains("cargo"));
    if output.status.success() {
        return None;
    }
    let Some(line) = line else {
        let (_, count) = COUNTERS.iter().find(|(mutation, _)| *mutation == name)?;
        let zero = text.lines().find(|line| line.starts_with(count))?;
        return Some(zero.to_owned());
    };
    // The seed must pass without the mutation.
    let seed = line.trim_start_matches("SIM_SEED=").split(':').next()?;
    let alone = Command::new(std::env::current_exe().unwrap())
        .arg("whole_recoveries")
        .env("SIM_SEED", seed)
        .env_remove("SIM_MUTATE")
        .output()
        .unwrap();
    assert!(alone.status.success(), "{line}, and without {name} too");
    Some(line.to_owned())
}

/// Covers R1, R2, R3, R4, R6, R7, R8, R12, R19, R21, R25.
#[test]
fn slow_each_rule_that_is_left_out_at_the_ports_is_noticed() {
    let mut missed = Vec::new();
    for (name, rule, what) in PORT_MUTATIONS {
        // Counted mutations use as many seeds as an ordinary run.
        let is_counted = COUNTERS.iter().any(|(mutation, _)| mutation == name);
        match caught(name, if is_counted { "3000" } else { "10000" }) {
            Some(line) => println!("caught  {rule:4} {name}: {line}"),
            None => missed.push(format!("{rule} {name}: {what}")),
        }
    }
    assert!(missed.is_empty(), "not noticed in 10,000 seeds: {missed:#?}");
}
