//! Instances: what would become of each.

use std::collections::{BTreeMap, BTreeSet};

use super::freezes::Frozen;
use super::hosts::Assessed;
use super::{Code, Facts, Finding, Findings, Look, Protection, Standing, Waiting};
use crate::id::ServerId;
use crate::recovery::Life;
use crate::wait::{Wait, WaitsFor};

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceSituation {
    /// Nova's id.
    pub id: ServerId,
    /// Its name.
    pub name: String,
    /// Its host by Nova's word.
    pub host: String,
    /// What would become of it if that died now.
    pub protection: Protection,
    /// Why.
    pub reasons: BTreeSet<Code>,
    /// Why policy leaves it where it is, if it does.
    pub left: Option<String>,
}

/// How many are on each host, as listed last.
pub(super) fn numbers(facts: &Facts) -> BTreeMap<&str, u64> {
    let on = facts.instances.iter().flat_map(|known| &known.value.on);
    on.map(|(host, all)| (host.as_str(), all.len() as u64)).collect()
}

/// All of them, by host; those that wait for a person are told even if nobody has listed any.
pub(super) fn assess(
    look: &Look<'_>,
    hosts: &[Assessed<'_>],
    found: &mut Findings,
) -> Option<Vec<InstanceSituation>> {
    waiting(look, found);
    let Some(known) = &look.facts.instances else {
        let text = "no engine has listed Nova's instances yet";
        found.note(Finding::new(Code::InstancesNotListed, text));
        return None;
    };
    let mut common = Standing::good();
    if !known.value.complete {
        let text = "an engine is listing Nova's instances, and is not through";
        found.note(Finding::new(Code::InstancesNotListed, text));
    }
    if !known.is_fresh(look.now) {
        let text = "Nova's instances were listed too long ago";
        found.note(Finding::new(Code::FactsOld, text).since(known.as_of));
        common.worsen(Protection::Unknown, Code::FactsOld);
    }
    let of: BTreeMap<&str, &Standing> = hosts.iter().map(|host| (host.name, &host.standing)).collect();
    let waiting: BTreeMap<ServerId, &Waiting> =
        look.facts.waiting.iter().map(|one| (one.server, one)).collect();
    let mut told = BTreeSet::new();
    let mut all = Vec::new();
    for (host, instances) in &known.value.on {
        for one in instances.iter() {
            let mut standing = common.clone();
            match of.get(host.as_str()) {
                Some(own) => standing.and(own),
                // Nova has an instance on a host of which it shows no service.
                None => standing.worsen(Protection::Unprotected, Code::HostUnknownToNova),
            }
            Frozen::hold(&mut standing, look.ice.servers.contains(&one.id));
            if one.moving {
                standing.worsen(Protection::Degraded, Code::InstanceMoving);
            }
            if let Some(waiting) = waiting.get(&one.id) {
                told.insert(one.id);
                standing = down(waiting);
            } else if look.facts.away.contains(&one.id) {
                standing = Standing::good();
                standing.worsen(Protection::Down, Code::HostUnderRecovery);
            } else if one.left.is_some() {
                standing.protection = Protection::NotMeant;
            }
            all.push(InstanceSituation {
                id: one.id,
                name: one.name.clone(),
                host: host.clone(),
                protection: standing.protection,
                reasons: standing.reasons,
                left: one.left.clone(),
            });
        }
    }
    // One that Nova shows nowhere, or nobody has listed since.
    for one in waiting.values().filter(|one| !told.contains(&one.server)) {
        let standing = down(one);
        all.push(InstanceSituation {
            id: one.server,
            name: one.name.clone(),
            host: one.host.clone(),
            protection: standing.protection,
            reasons: standing.reasons,
            left: None,
        });
    }
    all.sort_by(|one, other| one.host.cmp(&other.host).then_with(|| one.name.cmp(&other.name)));
    Some(all)
}

fn down(waiting: &Waiting) -> Standing {
    let mut standing = Standing::good();
    standing.worsen(Protection::Down, code(waiting));
    standing
}

fn code(waiting: &Waiting) -> Code {
    let what = waiting.wait.as_ref().map_or(WaitsFor::GivenUp, |wait| wait.what);
    if what.is_held() {
        Code::MoveNeedsPerson
    } else {
        Code::MoveFailed
    }
}

/// For what, and about whom.
fn about(wait: Option<&Wait>) -> String {
    let Some(wait) = wait else {
        return WaitsFor::GivenUp.sentence().to_owned();
    };
    let on: Vec<&str> = wait.on.iter().map(String::as_str).collect();
    if on.is_empty() {
        wait.what.sentence().to_owned()
    } else {
        format!("{} ({})", wait.what.sentence(), on.join(", "))
    }
}

/// What waits for a person: instances, and recoveries that are held.
fn waiting(look: &Look<'_>, found: &mut Findings) {
    for one in &look.facts.waiting {
        let finding = Finding::new(code(one), about(one.wait.as_ref()));
        found.note(
            finding
                .about(&one.name, 1)
                .since(one.wait.as_ref().map(|wait| wait.since))
                .fix("tachi vmove list --needs-person"),
        );
    }
    let open = look.facts.recoveries.iter().filter(|one| one.life == Life::Open);
    for one in open {
        let Some(wait) = one.wait.as_ref().filter(|wait| wait.what.is_held()) else {
            continue;
        };
        found.note(
            Finding::new(Code::RecoveryHeld, about(Some(wait)))
                .about(&one.host, look.instances_on(&one.host))
                .since(wait.since)
                .fix(format!("tachi recovery show {}", one.id)),
        );
    }
}
