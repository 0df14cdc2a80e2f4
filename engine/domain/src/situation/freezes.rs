//! Assessment of freezes, which block all recoveries in their scope.

use std::collections::BTreeSet;

use super::{
    ActiveFreeze, AssessContext, Facts, Finding, FindingCode, Findings, Protection, ProtectionState,
    Severity, is_alive,
};
use crate::freeze::FreezeScope;
use crate::id::ServerId;

/// The segments, hosts and instances that have a freeze of their own.
#[derive(Default)]
pub(super) struct DirectFreeze<'a> {
    pub(super) segments: BTreeSet<&'a str>,
    pub(super) hosts: BTreeSet<&'a str>,
    pub(super) servers: BTreeSet<ServerId>,
}

impl DirectFreeze<'_> {
    /// Lowers the protection if `frozen`.
    pub(super) fn hold(protection_state: &mut ProtectionState, frozen: bool) {
        if frozen {
            protection_state.worsen(Protection::Unprotected, FindingCode::Frozen);
        }
    }
}

pub(super) fn direct_freezes(facts: &Facts) -> DirectFreeze<'_> {
    let mut frozen = DirectFreeze::default();
    for ice in &facts.freezes {
        let name = ice.freeze.name.as_str();
        match ice.freeze.scope {
            FreezeScope::Region => {}
            FreezeScope::Segment => {
                frozen.segments.insert(name);
            }
            FreezeScope::Host => {
                frozen.hosts.insert(name);
            }
            FreezeScope::Instance => frozen.servers.extend(ice.server),
        }
    }
    frozen
}

/// Reports each freeze. A freeze that a running engine ignores is an error: relying on it is worse than having none.
pub(super) fn assess(ctx: &AssessContext<'_>, all: &mut ProtectionState, found: &mut Findings) {
    let engines = ctx.facts.engines.iter();
    let alive = engines.filter(|engine| is_alive(engine.seen_at, ctx.now));
    let deaf: Vec<&str> = alive
        .filter(|engine| !engine.supports_freezes)
        .map(|engine| engine.name.as_str())
        .collect();
    for ice in &ctx.facts.freezes {
        if ice.freeze.scope == FreezeScope::Region {
            DirectFreeze::hold(all, true);
        }
        let mut finding = Finding::new(FindingCode::Frozen, text(ice, &deaf)).since(ice.since);
        if !deaf.is_empty() {
            finding = finding.graded(Severity::Err);
        }
        let drained = is_drained(ice, ctx);
        if drained {
            finding.text = format!("disabled in Nova and {}", finding.text);
        }
        let finding = about(finding, ice, ctx);
        // The end of the drain is refused while an operator has frozen the host, too: that freeze's finding has its end.
        let is_frozen_twice = ctx.facts.freezes.iter().any(|other| {
            !other.by_drain
                && (other.freeze.scope, &other.freeze.name) == (ice.freeze.scope, &ice.freeze.name)
        });
        found.note(match (drained && ice.by_drain, is_frozen_twice) {
            (true, true) => finding,
            (true, false) => finding.fix(format!("tachi host undrain {} --reason TEXT", ice.freeze.name)),
            (false, _) => finding.fix(ice.freeze.thaw()),
        });
    }
}

fn text(ice: &ActiveFreeze, deaf: &[&str]) -> String {
    let terms = ice.freeze.terms();
    if deaf.is_empty() {
        return format!("frozen {terms}: no fencing, no evacuation");
    }
    format!(
        "frozen {terms}, and an engine of an older version ignores it, so it may be fenced and moved: stop {}",
        deaf.join(", ")
    )
}

/// True for a freeze of a host that a drain has disabled in Nova: one finding shows both. A host that others have disabled is
/// enabled by hand, so it has a separate finding.
fn is_drained(ice: &ActiveFreeze, ctx: &AssessContext<'_>) -> bool {
    let mut hosts = ctx.facts.segments.iter().flat_map(|segment| &segment.hosts);
    ice.freeze.scope == FreezeScope::Host
        && hosts.any(|host| {
            host.name == ice.freeze.name && host.maintenance.is_none() && ctx.is_frozen_by_drain(host)
        })
}

fn about(finding: Finding, ice: &ActiveFreeze, ctx: &AssessContext<'_>) -> Finding {
    let name = ice.freeze.name.as_str();
    let segments = &ctx.facts.segments;
    match ice.freeze.scope {
        // A freeze of the region is about everything, so it has no subject.
        FreezeScope::Region => Finding {
            instances: ctx.instance_counts.values().sum(),
            ..finding
        },
        FreezeScope::Segment => {
            let own = segments.iter().filter(|segment| segment.name == name);
            let hosts = own.flat_map(|segment| &segment.hosts);
            let instances = hosts.map(|host| ctx.instances_on(&host.name)).sum();
            finding.about(format!("segment {name}"), instances)
        }
        FreezeScope::Host => finding.about(name, ctx.instances_on(name)),
        FreezeScope::Instance => {
            let host = ice.server.and_then(|server| ctx.host_of(server));
            finding.about_instance(ice.server, name, host.unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::tests::{NOW, engine, fine, ice, instance};
    use super::super::{Recovery, Situation, assess};
    use super::*;
    use crate::id::RecoveryId;
    use crate::recovery::{Life, RecoveryKind};

    fn frozen(scope: FreezeScope, name: &str) -> Facts {
        Facts {
            freezes: vec![ice(scope, name)],
            ..fine()
        }
    }

    fn only_finding(situation: &Situation) -> (&str, Vec<&str>, Severity, u64) {
        let [finding] = &situation.findings[..] else {
            panic!("{:?}", situation.findings);
        };
        assert_eq!(finding.code, FindingCode::Frozen);
        let subjects = finding.subjects.iter().map(String::as_str).collect();
        (&finding.text, subjects, finding.grade, finding.instances)
    }

    #[test]
    fn only_frozen_objects_are_unprotected() {
        for (scope, name, subjects, bare) in [
            (FreezeScope::Region, "", vec![], 6),
            (FreezeScope::Segment, "s1", vec!["segment s1"], 6),
            (FreezeScope::Host, "a", vec!["a"], 2),
            (FreezeScope::Instance, "vm-1", vec!["vm-1"], 1),
            // A host that is no longer registered is not protected anyway.
            (FreezeScope::Host, "z", vec!["z"], 0),
        ] {
            let situation = assess(&frozen(scope, name), NOW);
            let (text, about, grade, instances) = only_finding(&situation);
            assert_eq!(
                (about, grade, instances),
                (subjects, Severity::Warn, bare),
                "{scope}"
            );
            assert!(
                text.ends_with("by alice (firmware): no fencing, no evacuation"),
                "{text}"
            );
            let counts = situation.counts.unwrap();
            assert_eq!(
                (counts.unprotected, counts.protected),
                (bare, 6 - bare),
                "{scope}"
            );
        }
    }

    /// The host of an instance that was not listed is unknown.
    #[test]
    fn each_frozen_instance_of_a_finding_has_a_host() {
        let mut facts = frozen(FreezeScope::Instance, "vm-1");
        facts.freezes[0].server = Some(instance(1).id);
        let mut other = ice(FreezeScope::Instance, "vm-77");
        other.server = Some(instance(77).id);
        facts.freezes.insert(0, other);
        let situation = assess(&facts, NOW);
        let (_, subjects, ..) = only_finding(&situation);
        assert_eq!(subjects, ["vm-77", "vm-1"]);
        assert_eq!(situation.findings[0].hosts, ["", "a"]);
    }

    #[test]
    fn a_drained_host_is_one_finding_that_ends_with_one_command() {
        let mut facts = frozen(FreezeScope::Host, "b");
        let drain = |facts: &mut Facts, drained| {
            let compute = &mut facts.computes.as_mut().unwrap().value[1];
            (compute.enabled, compute.drained) = (false, drained);
        };
        // A host that others have disabled is enabled by hand: a command that ends a drain would refuse it.
        drain(&mut facts, false);
        let situation = assess(&facts, NOW);
        let fixes = situation
            .findings
            .iter()
            .map(|finding| finding.fix.as_deref().unwrap());
        let both = [
            "tachi thaw host b",
            "openstack compute service set --enable b nova-compute",
        ];
        assert_eq!(fixes.collect::<Vec<_>>(), both);
        drain(&mut facts, true);
        // An operator's freeze of a drained host is ended first.
        let situation = assess(&facts, NOW);
        assert!(
            only_finding(&situation)
                .0
                .starts_with("disabled in Nova and frozen")
        );
        assert_eq!(situation.findings[0].fix.as_deref(), Some("tachi thaw host b"));
        facts.freezes[0].by_drain = true;
        let situation = assess(&facts, NOW);
        let (text, about, ..) = only_finding(&situation);
        assert!(text.starts_with("disabled in Nova and frozen"), "{text}");
        assert_eq!(about, ["b"]);
        let fix = situation.findings[0].fix.as_deref();
        assert_eq!(fix, Some("tachi host undrain b --reason TEXT"));
        // With an operator's freeze beside it, only that one's end is accepted.
        facts.freezes.push(ice(FreezeScope::Host, "b"));
        let situation = assess(&facts, NOW);
        let fixes: Vec<_> = situation
            .findings
            .iter()
            .filter_map(|finding| finding.fix.as_deref())
            .collect();
        assert_eq!(fixes, ["tachi thaw host b"]);
        // Another freeze does not explain why it is disabled.
        facts.freezes = vec![ice(FreezeScope::Segment, "s1")];
        let situation = assess(&facts, NOW);
        let codes: Vec<_> = situation.findings.iter().map(|finding| finding.code).collect();
        assert!(codes.contains(&FindingCode::HostDisabled) && codes.contains(&FindingCode::Frozen));
        // A drain that runs, that has failed, or whose freeze has ended.
        facts.freezes.clear();
        let only = |facts: &Facts| {
            let situation = assess(facts, NOW);
            let [finding] = &situation.findings[..] else {
                panic!("{:?}", situation.findings);
            };
            (finding.code, finding.fix.clone().unwrap())
        };
        let undrain = "tachi host undrain b --reason TEXT".to_owned();
        assert_eq!(only(&facts), (FindingCode::HostDisabled, undrain));
        let id = RecoveryId(Uuid::from_u128(9));
        facts.recoveries.push(Recovery {
            id,
            kind: RecoveryKind::Drain,
            host: "b".to_owned(),
            life: Life::Open,
            wait: None,
            instances: 1,
            back: 0,
            message: None,
        });
        assert_eq!(
            only(&facts),
            (FindingCode::HostDisabled, format!("tachi recovery show {id}"))
        );
        facts.recoveries.clear();
        // A reserved host is disabled anyway: it is not drained.
        facts.freezes = vec![ice(FreezeScope::Host, "b")];
        facts.segments[0].hosts[1].reserved = true;
        let situation = assess(&facts, NOW);
        assert!(only_finding(&situation).0.starts_with("frozen"));
    }

    #[test]
    fn a_freeze_that_a_running_engine_ignores_is_an_error() {
        let mut facts = frozen(FreezeScope::Host, "a");
        let mut stopped = engine("ctl-1:6:x", 40_000, &[]);
        stopped.supports_freezes = false;
        facts.engines.push(stopped);
        assert_eq!(
            only_finding(&assess(&facts, NOW)).2,
            Severity::Warn,
            "it has stopped"
        );
        facts.engines[0].supports_freezes = false;
        let situation = assess(&facts, NOW);
        let (text, _, grade, _) = only_finding(&situation);
        assert_eq!(grade, Severity::Err);
        assert!(text.contains("may be fenced and moved: stop ctl-1:7:x"), "{text}");
    }
}
