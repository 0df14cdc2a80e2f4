//! Explanations of hosts and instances.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::tests::{NOW, fine, recovery, waiting};
use super::super::{Facts, FindingCode, assess};
use super::*;
use crate::entity::host::MaintenanceReason;
use crate::recovery::Life;
use crate::{RecoveryId, ServerId, WaitsFor};

fn blockers(explanation: &Explanation<'_>) -> Vec<(Need, FindingCode)> {
    let needs = explanation.needs.iter();
    needs
        .flat_map(|(need, blockers)| blockers.iter().map(|finding| (*need, finding.code)))
        .collect()
}

/// A subject is found by its name, its ID, or a prefix of its ID.
#[test]
fn a_protected_subject_is_explained_by_its_met_requirements() {
    let situation = assess(&fine(), NOW);
    let id = ServerId(Uuid::from_u128(3)).to_string();
    let by_id = situation.explain(&id);
    assert_eq!(by_id, situation.explain("vm-3"));
    assert!(matches!(by_id[0].subject, HostOrInstance::Instance(instance) if &*instance.host == "b"));
    for name in ["a", "vm-1"] {
        let [one] = &situation.explain(name)[..] else {
            panic!("{name}");
        };
        assert_eq!(one.subject.protection(), Protection::Protected);
        assert_eq!(blockers(one), []);
        let has_all = one.needs.len() == Need::ALL.len();
        assert_eq!(has_all, name == "vm-1", "{name}: only an instance runs");
    }
    assert_eq!(situation.explain("0000").len(), 6, "all begin so");
    assert_eq!(situation.explain("000").len(), 0, "too short for an id");
    assert_eq!(situation.explain("nobody"), []);
}

/// The blockers of one host apply to it and its instances, not to others.
#[test]
fn an_unprotected_subject_has_only_its_own_reasons() {
    let mut facts = fine();
    facts.fencing.without = vec!["a".into()];
    facts.segments[0].hosts[1].maintenance = Some(MaintenanceReason::Operator);
    let computes = facts.computes.as_mut().unwrap();
    computes
        .value
        .iter_mut()
        .find(|service| service.host == "c")
        .unwrap()
        .up = false;
    let situation = assess(&facts, NOW);
    let why = |name: &str| blockers(&situation.explain(name)[0]);
    // The only running host is the one without a device.
    let room = (Need::Room, FindingCode::FewHosts);
    assert_eq!(
        why("vm-1"),
        [(Need::Provable, FindingCode::HostWithoutFence), room]
    );
    assert_eq!(why("a"), why("vm-1"));
    assert_eq!(why("vm-3"), [(Need::Meant, FindingCode::HostOnMaintenance), room]);
    assert_eq!(why("vm-5"), [(Need::HostUp, FindingCode::HostDown), room]);
    let of_a = &situation.explain("vm-1")[0];
    let (_, found) = of_a
        .needs
        .iter()
        .find(|(need, _)| *need == Need::Provable)
        .unwrap();
    assert_eq!(found[0].subjects, ["a"]);
}

/// Every instance that needs an operator says so, whatever other findings exist.
#[test]
fn every_reason_is_in_the_explanation() {
    let mut facts = fine();
    facts.engines.clear();
    facts.waiting.push(waiting(1, WaitsFor::Absence));
    let situation = assess(&facts, NOW);
    let (waits, engine) = (
        (Need::Movable, FindingCode::MoveNeedsPerson),
        (Need::Engine, FindingCode::NoEngine),
    );
    assert_eq!(blockers(&situation.explain("vm-1")[0]), [waits, engine]);
    assert_eq!(blockers(&situation.explain("vm-2")[0]), [engine]);
    for instance in situation.instances.iter().flatten() {
        let codes = blockers(&situation.explain(&instance.id.to_string())[0]);
        let codes: BTreeSet<FindingCode> = codes.into_iter().map(|(_, code)| code).collect();
        let host = situation
            .hosts
            .iter()
            .find(|host| *host.name == *instance.host)
            .unwrap();
        assert_eq!(codes, &*instance.reasons | &host.reasons, "{}", instance.name);
    }
}

/// An instance that waits for an operator has its own reason; a heartbeat of its dead host is not part of it.
#[test]
fn a_requirement_is_met_only_if_that_is_known() {
    let holds = |facts: &Facts, expected: Need| {
        let situation = assess(facts, NOW);
        let one = &situation.explain("vm-1")[0];
        let (need, blockers) = one.needs.iter().find(|(need, _)| *need == expected).unwrap();
        (one.holds(*need, blockers), blockers.len())
    };
    let host_up = |facts: &Facts| holds(facts, Need::HostUp);
    let runs = |facts: &Facts| holds(facts, Need::Runs);
    let mut facts = fine();
    assert_eq!(
        (host_up(&facts), runs(&facts)),
        ((Some(true), 0), (Some(true), 0))
    );
    facts.waiting.push(waiting(1, WaitsFor::Absence));
    assert_eq!(runs(&facts), (None, 0), "it may have been lost in transit");
    facts.waiting.clear();
    let computes = facts.computes.as_mut().unwrap();
    computes
        .value
        .iter_mut()
        .find(|service| service.host == "a")
        .unwrap()
        .up = false;
    assert_eq!((host_up(&facts), runs(&facts)), ((Some(false), 1), (None, 0)));
    facts.waiting.push(waiting(1, WaitsFor::Absence));
    assert_eq!((host_up(&facts), runs(&facts)), ((Some(false), 1), (None, 0)));
    facts.segments[0].hosts[0].maintenance = Some(MaintenanceReason::Operator);
    assert_eq!(host_up(&facts), (Some(false), 0), "no reason is needed");
    facts.computes = None;
    assert_eq!(host_up(&facts), (None, 0));
}

/// Covers R36.
#[test]
fn a_hold_blocks_the_evacuation_of_its_host() {
    let mut facts = fine();
    facts.segments[0].hosts[0].recovery = Some((RecoveryId(Uuid::from_u128(9)), Life::Open));
    facts.recoveries.push(recovery("a", WaitsFor::Approval));
    let situation = assess(&facts, NOW);
    let held = (Need::Movable, FindingCode::RecoveryHeld);
    assert!(blockers(&situation.explain("a")[0]).contains(&held));
    assert!(!blockers(&situation.explain("b")[0]).contains(&held));
}
