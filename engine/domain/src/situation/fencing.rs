//! Assessment of fencing: can hosts be confirmed off?

use std::collections::BTreeMap;
use std::time::Duration;

use super::engines::{age, is_alive};
use super::{
    AssessContext, DeviceTest, Engine, Facts, Finding, FindingCode, Findings, Protection, ProtectionState,
};
use crate::policy::FencingMode;

/// Number of consecutive failed tests that rules out an accident.
const MIN_FAILED_TESTS: u32 = 2;

/// Time after the start of an engine within which it tests each device of an ordinary region.
const FIRST_TESTS_DURATION: Duration = Duration::from_mins(2);

pub(super) fn assess_region(facts: &Facts, all: &mut ProtectionState, found: &mut Findings) {
    let fencing = &facts.fencing;
    let mut nobody = |code: FindingCode, text: &str, fix: &str| {
        found.note(Finding::new(code, text).fix(fix));
        all.worsen(Protection::Unprotected, code);
    };
    if fencing.stopped {
        let text = "all fencing is stopped, so every recovery is put on hold";
        nobody(FindingCode::FencingStopped, text, "set [fencing] enabled = true");
    }
    if fencing.mode == FencingMode::DryRun {
        let text = "fencing mode is dry-run, so every recovery is put on hold and nothing is recovered";
        let fix = if fencing.has_devices {
            "set [fencing] mode = engine"
        } else {
            "set [fencing] mode = external"
        };
        nobody(FindingCode::FencingDryRun, text, fix);
    }
    if fencing.mode == FencingMode::Engine && !fencing.has_devices {
        let text =
            "fencing mode is engine and no power controller is configured, so no host can be confirmed off";
        nobody(
            FindingCode::NoFenceDevice,
            text,
            "set [fencing] devices_file = FILE",
        );
    }
    if let Some(trouble) = &fencing.trouble {
        let text = format!("the fence devices cannot be read: {trouble}");
        found.note(Finding::new(FindingCode::FenceFileUnreadable, text).fix("tachi fence test --all"));
    }
    for machine in &fencing.foreign {
        let text = format!(
            "its device {} {}; the device's answers are ignored",
            machine.device, machine.what
        );
        found.note(
            Finding::new(FindingCode::FenceForeignMachine, text)
                .about(&machine.host, 0)
                .since(machine.since)
                .fix(format!("tachi fence trust {}", machine.host)),
        );
    }
}

/// Judges whether the fence devices of a host can confirm it off.
pub(super) fn assess_host(
    host: &str,
    ctx: &AssessContext<'_>,
    protection_state: &mut ProtectionState,
    found: &mut Findings,
) {
    let fencing = &ctx.facts.fencing;
    if !fencing.mode.queries_devices() || !fencing.has_devices {
        return;
    }
    let instances = ctx.instances_on(host);
    if fencing.without.iter().any(|name| name == host) {
        let text = "no fence device is configured for it, so it cannot be confirmed off";
        found.note(
            Finding::new(FindingCode::HostWithoutFence, text)
                .about(host, instances)
                .fix("tachi fence test --all"),
        );
        protection_state.worsen(Protection::Unprotected, FindingCode::HostWithoutFence);
        return;
    }
    let foreign: Vec<&str> = fencing
        .foreign
        .iter()
        .filter(|machine| machine.host == host)
        .map(|machine| machine.device.as_str())
        .collect();
    if !foreign.is_empty() {
        protection_state.worsen(Protection::Degraded, FindingCode::FenceForeignMachine);
    }
    let believed = |test: &&DeviceTest| !foreign.contains(&test.target.as_str());
    let tests = ctx.tests.get(host).into_iter().flatten().copied();
    let tests: Vec<&DeviceTest> = tests.filter(believed).collect();
    let good: Vec<&str> = tests
        .iter()
        .filter(|test| test.is_good(ctx.now))
        .map(|test| test.device.as_str())
        .collect();
    let bad: Vec<&DeviceTest> = tests
        .iter()
        .copied()
        .filter(|test| test.fault.is_some())
        .collect();
    let fix = format!("tachi fence test {host}");
    let render = |test: &DeviceTest| {
        // A device's own text may be a sentence, and more follows here.
        let fault = test.fault.as_deref().unwrap_or_default().trim_end_matches('.');
        format!("{}: {fault}", test.device)
    };
    if let Some(worst) = bad.iter().max_by_key(|test| test.failures) {
        let since = bad.iter().map(|test| test.as_of).min();
        let hopeless = good.is_empty() && bad.iter().all(|test| test.failures >= MIN_FAILED_TESTS);
        if hopeless {
            let faults: Vec<String> = bad.iter().map(|test| render(test)).collect();
            let finding = Finding::new(FindingCode::FenceFailing, faults.join("; "));
            found.note(finding.about(host, instances).since(since).fix(fix));
            protection_state.worsen(Protection::Unprotected, FindingCode::FenceFailing);
            return;
        }
        let rest = if good.is_empty() {
            "failed once".to_owned()
        } else {
            format!("{} works", good.join(", "))
        };
        let finding = Finding::new(
            FindingCode::FenceLevelFailing,
            format!("{}; {rest}", render(worst)),
        );
        found.note(finding.about(host, instances).since(since).fix(fix));
        protection_state.worsen(Protection::Degraded, FindingCode::FenceLevelFailing);
        return;
    }
    if good.is_empty() && foreign.is_empty() {
        let is_starting = |engine: &Engine| {
            is_alive(engine.seen_at, ctx.now) && age(engine.started_at, ctx.now) < FIRST_TESTS_DURATION
        };
        let text = if ctx.facts.engines.iter().any(is_starting) {
            "its fence devices are not tested yet: an engine has just started, which tests them within 2 min (unless [fencing] \
             self_test_interval is 0)"
        } else {
            "its fence devices have no recent test"
        };
        let finding = Finding::new(FindingCode::FenceNotTested, text).about(host, instances);
        found.note(finding.fix(fix));
        protection_state.worsen(Protection::Unknown, FindingCode::FenceNotTested);
    } else if good.is_empty() {
        protection_state.worsen(Protection::Unprotected, FindingCode::FenceForeignMachine);
    }
}

/// Groups the last tests of devices by host.
pub(super) fn by_host(facts: &Facts) -> BTreeMap<&str, Vec<&DeviceTest>> {
    let mut tests: BTreeMap<&str, Vec<&DeviceTest>> = BTreeMap::new();
    for test in facts.fencing.tests.iter().flatten() {
        tests.entry(&test.host).or_default().push(test);
    }
    tests
}
