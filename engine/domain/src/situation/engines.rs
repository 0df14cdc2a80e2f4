//! Assessment of the engines, of their queue, and of their view of Nova.

use std::time::Duration;

use super::{Engine, Facts, Finding, FindingCode, Findings, Protection, ProtectionState, Severity, number};
use crate::timestamp::Timestamp;

/// Age of the last heartbeat after which an engine counts as silent. Engines send one every 5 s; their clocks may differ slightly.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(20);

/// Time a notification may wait for an engine before that is reported.
const MAX_QUEUE_WAIT: Duration = Duration::from_secs(30);

/// The name of an engine's connection to Nova among its parts.
const NOVA: &str = "nova";

pub(super) fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(now.micros_since(at)).unwrap_or(0))
}

/// True if a heartbeat sent at `seen_at` is recent.
pub fn is_alive(seen_at: Timestamp, now: Timestamp) -> bool {
    age(seen_at, now) <= HEARTBEAT_TIMEOUT
}

pub(super) fn assess(facts: &Facts, now: Timestamp, all: &mut ProtectionState, found: &mut Findings) {
    let fresh = facts.computes.as_ref().is_some_and(|known| known.is_fresh(now));
    // Until the first listing is complete there is no stale data: INSTANCES_NOT_LISTED reports that.
    let listing = facts.instances.as_ref().is_none_or(|known| !known.value.complete);
    let (alive, silent): (Vec<&Engine>, Vec<_>) = facts
        .engines
        .iter()
        .partition(|engine| is_alive(engine.seen_at, now));
    if alive.is_empty() {
        let last = silent.iter().map(|engine| engine.seen_at).max();
        let text = if last.is_some() {
            "no engine runs: no heartbeat recently"
        } else {
            "no engine runs"
        };
        found.note(
            Finding::new(FindingCode::NoEngine, text)
                .since(last)
                .fix("systemctl start masakari-engine"),
        );
        all.worsen(Protection::Unprotected, FindingCode::NoEngine);
    } else {
        for engine in silent.iter().filter(|engine| !is_replaced(engine, &alive)) {
            let text = "no heartbeat recently; another engine takes over its recoveries";
            found.note(
                Finding::new(FindingCode::EngineSilent, text)
                    .about(&engine.name, 0)
                    .since(engine.seen_at),
            );
        }
        nova(&alive, all, found);
        if !fresh && !listing {
            let (text, since) = match &facts.computes {
                Some(known) => ("no engine has read Nova's services recently", Some(known.as_of)),
                None => ("no engine has read Nova's services yet", None),
            };
            found.note(Finding::new(FindingCode::FactsOld, text).since(since));
        }
    }
    // Without an engine the data goes stale as a consequence, so FACTS_OLD is then no finding of its own.
    if !fresh {
        let code = if listing {
            FindingCode::InstancesNotListed
        } else {
            FindingCode::FactsOld
        };
        all.worsen(Protection::Unknown, code);
    }
    if let Some(oldest) = facts
        .queue
        .oldest
        .filter(|oldest| age(*oldest, now) > MAX_QUEUE_WAIT)
    {
        let new = usize::try_from(facts.queue.new).unwrap_or(usize::MAX);
        let text = format!(
            "{} no engine has started",
            number(new, "notification that", "notifications that")
        );
        found.note(
            Finding::new(FindingCode::QueueStalls, text)
                .since(oldest)
                .fix("tachi recovery list"),
        );
        all.worsen(Protection::Unprotected, FindingCode::QueueStalls);
    }
    for reporter in &facts.muted_reporters {
        muted_reporter(reporter, found);
    }
}

/// True if a later engine runs on the same machine.
fn is_replaced(engine: &Engine, alive: &[&Engine]) -> bool {
    let begun = |engine: &Engine| (engine.name.clone(), engine.started_at);
    alive.iter().any(|other| replaces(&begun(other), &begun(engine)))
}

/// True if the first engine was started in place of the second: on the same machine, and not before it.
pub fn replaces((name, begun): &(String, Timestamp), (of, before): &(String, Timestamp)) -> bool {
    let machine = |name: &str| name.split(':').next().map(str::to_owned);
    machine(name) == machine(of) && begun >= before
}

/// Reports the parts of engines that do not work. If Nova answers none of the engines, that is one finding for all of them.
fn nova(alive: &[&Engine], all: &mut ProtectionState, found: &mut Findings) {
    let without = |engine: &&&Engine| engine.parts.get(NOVA).is_some_and(|part| !part.is_working);
    let away = alive.iter().filter(without).count() == alive.len();
    if away && let Some(part) = alive.first().and_then(|engine| engine.parts.get(NOVA)) {
        let text = format!("Nova does not answer any engine: {}", part.text);
        found.note(Finding::new(FindingCode::NovaAway, text).fix("openstack compute service list"));
        all.worsen(Protection::Unprotected, FindingCode::NovaAway);
    }
    for engine in alive {
        for (name, part) in &engine.parts {
            let is_reported = away && name == NOVA;
            if !part.is_working && !is_reported {
                let text = format!("{name} is {}", part.text);
                found.note(Finding::new(FindingCode::EnginePart, text).about(&engine.name, 0));
            }
        }
    }
}

fn muted_reporter(reporter: &super::MutedReporter, found: &mut Findings) {
    let text = if reporter.is_muted {
        format!(
            "muted: its reports are stored and start nothing ({} so far): {}",
            number(
                usize::try_from(reporter.ignored_reports).unwrap_or(usize::MAX),
                "report",
                "reports"
            ),
            reporter.why
        )
    } else {
        format!(
            "still trusted although Nova contradicts it, because muting it would exceed the limit; check whether Nova is right: {}",
            reporter.why
        )
    };
    found.note(
        Finding::new(FindingCode::ReporterDoubted, text)
            .graded(Severity::Warn)
            .about(format!("reporter {}", reporter.reporter), 0)
            .since(reporter.since)
            .fix(format!("tachi monitor unmute {}", reporter.number)),
    );
}
