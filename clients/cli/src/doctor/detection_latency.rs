//! Worst-case time from the power loss of a host to the first evacuation. It adds what monitors report of themselves, what Nova's silence
//! and the fence devices may take by the configuration, and our own part. The time of Nova's own calls is not included.

use std::time::Duration;

use tachi_domain::level::{Level, tried_at_worst};
use tachi_domain::monitor::MonitorKind;
use tachi_domain::policy::{BareNormal, FencingMode, Policy};
use tachi_domain::situation::Severity;
use tachi_operator::SituationView;

use super::checks::{Check, check};

/// Name of the check.
pub const NAME: &str = "worst-case-time";

/// Rules of the engine.
pub struct Rules {
    pub policy: Policy,
    pub sweep: Duration,
    pub warning: Duration,
    /// The levels of each registered host; empty if the engine does not fence with devices.
    pub levels: Vec<(String, Vec<Level>)>,
}

/// Sum of the parts.
#[derive(Default)]
struct Sum {
    seconds: u64,
    parts: Vec<String>,
    /// Additional parts of unknown length.
    unknown: Vec<String>,
}

impl Sum {
    fn add(&mut self, time: Duration, what: impl Into<String>) {
        let seconds = whole(time);
        self.seconds = self.seconds.saturating_add(seconds);
        self.parts.push(format!("{seconds} {}", what.into()));
    }
}

/// Returns whole seconds, rounded up.
fn whole(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Checks the worst-case time.
pub fn of(rules: &Rules, situation: &SituationView) -> Check {
    let mut sum = Sum::default();
    let noticed = notice(situation, &mut sum);
    let engine = rules.sweep + rules.policy.tick;
    silence(rules, noticed + engine, &mut sum);
    fence(rules, &mut sum);
    sum.add(engine, "engine");
    let (known, parts) = (sum.seconds, sum.parts.join(" + "));
    let warning = whole(rules.warning);
    let mut details = if sum.unknown.is_empty() {
        format!("power loss to first evacuation at most {known} s = {parts}")
    } else {
        let unknown = sum.unknown.join("; ");
        format!("power loss to first evacuation {known} s = {parts}, plus an unknown time: {unknown}")
    };
    let grade = if known > warning {
        details = format!("{details}; worst_case_warning is {warning} s");
        Severity::Warn
    } else if sum.unknown.is_empty() {
        Severity::Ok
    } else {
        Severity::Unknown
    };
    check(NAME, grade, details)
}

/// Adds the time until the report, by the slowest running host monitor.
fn notice(situation: &SituationView, sum: &mut Sum) -> Duration {
    let working = situation.monitors.iter().filter(|monitor| {
        monitor.kind == MonitorKind::Host && monitor.grade != Severity::Err && monitor.watches > 0
    });
    let notices = working.filter_map(|one| Some((one, one.notice.as_ref()?)));
    let Some((monitor, notice)) = notices.max_by_key(|(_, notice)| notice.seconds) else {
        sum.unknown
            .push("until the host is reported (no running host monitor reports its settings)".to_owned());
        return Duration::ZERO;
    };
    let time = Duration::from_secs(notice.seconds.into());
    sum.add(time, format!("host monitor of {} ({})", monitor.host, notice.by));
    if !notice.beside.is_empty() {
        sum.unknown.push(notice.beside.clone());
    }
    time
}

/// Adds the time by which Nova's silence outlasts the report. Both start with the power loss.
fn silence(rules: &Rules, reported: Duration, sum: &mut Sum) {
    let policy = &rules.policy;
    let (silent, what) = match (policy.fencing, policy.bare_normal) {
        (FencingMode::External, BareNormal::Wait(wait)) => {
            (wait, "silence at Nova (normal_without_evidence = wait)")
        }
        (FencingMode::Engine | FencingMode::DryRun | FencingMode::External, _) => {
            (policy.silent_after(), "silence at Nova")
        }
    };
    let more = silent.saturating_sub(reported);
    if !more.is_zero() {
        sum.add(more, what);
    }
}

/// Adds the levels of the host that takes longest.
fn fence(rules: &Rules, sum: &mut Sum) {
    let policy = &rules.policy;
    match policy.fencing {
        FencingMode::Engine => {}
        FencingMode::External => {
            sum.unknown
                .push("for external fencing (mode external)".to_owned());
            return;
        }
        FencingMode::DryRun => {
            sum.unknown.push("until an operator ends mode dry-run".to_owned());
            return;
        }
    }
    let tried = rules
        .levels
        .iter()
        .map(|(host, levels)| (host, tried_at_worst(levels, policy)));
    let longest = |tried: &[(&Level, Duration)]| tried.iter().map(|(_, time)| *time).sum::<Duration>();
    let tried = tried.filter(|(_, tried)| !tried.is_empty());
    let Some((host, tried)) = tried.max_by_key(|(_, tried)| longest(tried)) else {
        sum.unknown
            .push("until hosts are confirmed off (no registered host has a fence device)".to_owned());
        return;
    };
    let last = tried.len().saturating_sub(1);
    for (at, (level, time)) in tried.into_iter().enumerate() {
        // Two "off" readings are the proof.
        let confirmed = if at == last {
            policy.power_confirm
        } else {
            Duration::ZERO
        };
        sum.add(time + confirmed, format!("{level} of {host}"));
    }
}

#[cfg(test)]
pub mod tests {
    use tachi_domain::level::{Device, Target};
    use tachi_operator::{MonitorView, NoticeView};

    use super::super::super::status::common::tests::fine;
    use super::*;

    pub fn rules(levels: &[u64]) -> Rules {
        let level = |(number, limit): (u32, &u64)| Level {
            number,
            devices: vec![Device {
                target: Target {
                    device: format!("d{number}"),
                    kind: "ipmi".into(),
                    endpoint: String::new(),
                    plug: None,
                },
                limit: Some(Duration::from_secs(*limit)),
                poll: None,
                call: Some(Duration::from_secs(5)),
                attempts: 2,
            }],
        };
        let levels: Vec<Level> = (1..).zip(levels).map(level).collect();
        Rules {
            policy: Policy {
                fencing: FencingMode::Engine,
                ..Policy::default()
            },
            sweep: Duration::from_secs(2),
            warning: Duration::from_secs(180),
            levels: vec![("a".into(), Vec::new()), ("b".into(), levels)],
        }
    }

    fn region(notices: &[(Severity, u32, &str)]) -> SituationView {
        let mut situation = SituationView::from(&fine());
        let monitor = |(grade, seconds, beside): &(Severity, u32, &str)| MonitorView {
            host: "ctl-1".into(),
            kind: MonitorKind::Host,
            grade: *grade,
            signed_at: situation.at,
            version: "1".into(),
            trouble: String::new(),
            watches: 2,
            guests: None,
            notice: Some(NoticeView {
                seconds: *seconds,
                by: "looks".into(),
                beside: (*beside).to_owned(),
            }),
            heartbeat_use: tachi_domain::monitor::HeartbeatUse::Unknown,
        };
        situation.monitors = notices.iter().map(monitor).collect();
        situation
    }

    #[test]
    fn what_is_known_is_added_up_and_what_is_not_is_named() {
        let external = |bare_normal| {
            let mut rules = rules(&[]);
            rules.policy.fencing = FencingMode::External;
            rules.policy.bare_normal = bare_normal;
            rules
        };
        let learned_timeout = (Severity::Ok, 44, "");
        for (rules, notices, grade, text) in [
            (
                rules(&[30]),
                &[learned_timeout][..],
                Severity::Ok,
                "power loss to first evacuation at most 90 s = 44 host monitor of ctl-1 (looks) + 43 level 1 (d1) of b + 3 engine",
            ),
            (
                rules(&[30, 90]),
                &[learned_timeout],
                Severity::Warn,
                "at most 190 s = 44 host monitor of ctl-1 (looks) + 40 level 1 (d1) of b + 103 level 2 (d2) of b + 3 engine; \
                 worst_case_warning is 180 s",
            ),
            (
                rules(&[30]),
                &[
                    (Severity::Err, 600, ""),
                    (Severity::Warn, 3, "until Pacemaker sees it"),
                ],
                Severity::Unknown,
                "59 s = 3 host monitor of ctl-1 (looks) + 10 silence at Nova + 43 level 1 (d1) of b + 3 engine, plus an unknown time: \
                 until Pacemaker sees it",
            ),
            (
                rules(&[]),
                &[learned_timeout],
                Severity::Unknown,
                "47 s = 44 host monitor of ctl-1 (looks) + 3 engine, plus an unknown time: until hosts are confirmed off",
            ),
            (
                rules(&[200]),
                &[],
                Severity::Warn,
                "plus an unknown time: until the host is reported (no running host monitor reports its settings); worst_case_warning is \
                 180 s",
            ),
            (
                external(BareNormal::Wait(Duration::from_secs(180))),
                &[learned_timeout],
                Severity::Warn,
                "134 silence at Nova (normal_without_evidence = wait) + 3 engine, plus an unknown time: for external fencing (mode external)",
            ),
            (
                external(BareNormal::Refuse),
                &[learned_timeout],
                Severity::Unknown,
                "47 s = 44 host monitor",
            ),
        ] {
            let found = of(&rules, &region(notices));
            assert_eq!(found.grade, grade, "{}", found.details);
            assert!(found.details.contains(text), "{}\n{text}", found.details);
        }
    }
}
