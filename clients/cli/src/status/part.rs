//! A segment or a host of a region.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use tachi_domain::situation::Severity;
use tachi_operator::search::{MatchQuality, best_matches};
use tachi_operator::{CountsView, Failure, FindingView, HostView, SegmentView, SituationView};

use super::findings::NAMED;
use crate::out;

/// The part of a region that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    Segment(String),
    Host(String),
}

impl Selection {
    /// Finds the named part: by its name, its id or an id prefix; `segment:NAME` and `host:NAME` choose between two of the same name.
    pub(super) fn named(requested: &str, situation: &SituationView) -> Result<Self, Failure> {
        let requested = requested.trim();
        let (by, mut segments) = segments(situation, requested);
        let (how, mut hosts) = hosts(situation, requested);
        // A part with this name comes before parts with this id prefix, of either kind.
        match by.cmp(&how) {
            Ordering::Less => hosts.clear(),
            Ordering::Greater => segments.clear(),
            Ordering::Equal => {}
        }
        match (segments.as_slice(), hosts.as_slice()) {
            ([one], []) => return Ok(Self::Segment((*one).to_owned())),
            ([], [one]) => return Ok(Self::Host((*one).to_owned())),
            ([], []) => {}
            (segments, hosts) => {
                let segments = segments.iter().map(|name| format!("segment:{name}"));
                let could: Vec<String> = segments
                    .chain(hosts.iter().map(|name| format!("host:{name}")))
                    .map(|name| format!("`{}`", out::plain(&name)))
                    .collect();
                return Err(Failure::usage(format!(
                    "{requested:?} is ambiguous, write one of {}",
                    could.join(", ")
                )));
            }
        }
        if let Some(name) = requested.strip_prefix("segment:")
            && let [one] = self::segments(situation, name).1.as_slice()
        {
            return Ok(Self::Segment((*one).to_owned()));
        }
        if let Some(name) = requested.strip_prefix("host:")
            && let [one] = self::hosts(situation, name).1.as_slice()
        {
            return Ok(Self::Host((*one).to_owned()));
        }
        let segments = some(situation.segments.iter().map(|segment| segment.name.as_str()));
        let hosts = some(situation.hosts.iter().map(|host| host.name.as_str()));
        Err(Failure::from_text(format!(
            "no segment or host named {requested:?}. Segments: {segments}. Hosts: {hosts}. For an instance use `tachi show NAME`"
        )))
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Segment(_) => "segment",
            Self::Host(_) => "host",
        }
    }

    pub(super) fn name(&self) -> &str {
        let (Self::Segment(name) | Self::Host(name)) = self;
        name
    }

    fn has_host(&self, host: &HostView) -> bool {
        match self {
            Self::Segment(name) => host.segment.as_ref() == Some(name),
            Self::Host(name) => host.name == *name,
        }
    }

    /// Reduces the situation to the part, in the same format.
    pub(crate) fn of(&self, mut situation: SituationView) -> SituationView {
        situation.hosts.retain(|host| self.has_host(host));
        let hosts: BTreeSet<String> = situation.hosts.iter().map(|host| host.name.clone()).collect();
        situation.instances = match self {
            Self::Segment(name) => {
                situation.segments.retain(|segment| segment.name == *name);
                situation.segments.first().and_then(|one| one.instances)
            }
            Self::Host(name) => {
                for segment in &mut situation.segments {
                    segment.hosts.retain(|host| host.name == *name);
                }
                situation.segments.retain(|segment| !segment.hosts.is_empty());
                situation.hosts.first().and_then(|host| host.instances)
            }
        };
        situation.recoveries.retain(|row| hosts.contains(&row.host));
        situation.monitors.retain(|monitor| hosts.contains(&monitor.host));
        situation
            .needs_person
            .recoveries
            .retain(|recovery| hosts.contains(&recovery.host));
        situation
            .needs_person
            .instances
            .retain(|instance| hosts.contains(&instance.host));
        let mut subjects: BTreeSet<String> = situation
            .segments
            .iter()
            .map(|segment| format!("segment {}", segment.name))
            .collect();
        subjects.extend(hosts);
        situation.findings = about(&situation.findings, &subjects, &situation.hosts);
        let grades = situation.findings.iter().map(|finding| finding.grade);
        situation.grade = grades.max().unwrap_or(Severity::Ok);
        situation
    }
}

/// Returns findings about one of the subjects, reduced to these, and region-wide findings that are a reason of one of the hosts.
fn about(all: &[FindingView], subjects: &BTreeSet<String>, hosts: &[HostView]) -> Vec<FindingView> {
    let reasons: BTreeSet<&str> = hosts
        .iter()
        .flat_map(|host| &host.reasons)
        .map(|code| code.as_str())
        .collect();
    let named: BTreeSet<&str> = all
        .iter()
        .filter(|finding| finding.is_about(|one| subjects.contains(one)))
        .map(|finding| finding.code.as_str())
        .collect();
    let of_part = |finding: &FindingView| {
        let code = finding.code.as_str();
        finding.is_about(|one| subjects.contains(one)) || (reasons.contains(code) && !named.contains(code))
    };
    let mut selected = Vec::new();
    for finding in all {
        if !of_part(finding) {
            continue;
        }
        let mut part = finding.about(|one| subjects.contains(one));
        if part.subjects.len() < finding.subjects.len() {
            part.instances = part.subjects.iter().map(|one| concerned(one, hosts)).sum();
        }
        selected.push(part);
    }
    selected
}

/// Returns the number of instances that a subject is, or has.
fn concerned(subject: &str, hosts: &[HostView]) -> u64 {
    match hosts.iter().find(|host| host.name == subject) {
        Some(host) => host.instances.map_or(0, CountsView::included),
        None => 1,
    }
}

fn segments<'a>(situation: &'a SituationView, requested: &str) -> (MatchQuality, Vec<&'a str>) {
    let called = |segment: &&SegmentView| (segment.id.clone(), segment.name.clone());
    let (how, found) = best_matches(requested, &situation.segments, called);
    (how, found.into_iter().map(|one| one.name.as_str()).collect())
}

/// Finds hosts by name or id. Hosts in no segment have no id.
fn hosts<'a>(situation: &'a SituationView, requested: &str) -> (MatchQuality, Vec<&'a str>) {
    let registered = situation.segments.iter().flat_map(|segment| &segment.hosts);
    let registered = registered.map(|host| (host.id.as_str(), host.name.as_str()));
    let strangers = situation.hosts.iter().filter(|host| host.segment.is_none());
    let all = registered.chain(strangers.map(|host| ("", host.name.as_str())));
    let (how, found) = best_matches(requested, all, |(id, name)| {
        ((*id).to_owned(), (*name).to_owned())
    });
    (how, found.into_iter().map(|(_, name)| name).collect())
}

/// Returns the first few names.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = names.collect();
    let mut names: Vec<String> = all.iter().take(NAMED).map(|name| out::plain(name)).collect();
    if all.len() > NAMED {
        names.push(format!("{} more", all.len() - NAMED));
    }
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::HostId;
    use tachi_domain::situation::FindingCode;
    use uuid::Uuid;

    use super::super::common::tests::{fine, host, judged};
    use super::*;

    fn view() -> SituationView {
        SituationView::from(&fine())
    }

    #[test]
    fn a_part_is_found_by_its_name_and_by_its_id_and_never_guessed() {
        let snapshot = view();
        assert_eq!(
            Selection::named(" all ", &snapshot).unwrap(),
            Selection::Segment("all".into())
        );
        assert_eq!(
            Selection::named("b", &snapshot).unwrap(),
            Selection::Host("b".into())
        );
        assert_eq!(
            Selection::named("host:b", &snapshot).unwrap(),
            Selection::Host("b".into())
        );
        let nobody = Selection::named("nobody", &snapshot).unwrap_err();
        assert!(!nobody.is_usage());
        let message = nobody.chain();
        assert!(message.contains("Segments: all. Hosts: a, b."), "{message}");

        let mut both = fine();
        both.tables.segments[0].segment.name = "a".into();
        both.situation = judged(&both.tables);
        let both = SituationView::from(&both);
        let several = Selection::named("a", &both).unwrap_err();
        assert!(several.is_usage());
        let message = several.chain();
        assert!(message.contains("`segment:a`, `host:a`"), "{message}");
        assert_eq!(
            Selection::named("segment:a", &both).unwrap(),
            Selection::Segment("a".into())
        );
        assert_eq!(
            Selection::named("host:a", &both).unwrap(),
            Selection::Host("a".into())
        );
    }

    #[test]
    fn a_name_comes_before_ids_that_begin_so() {
        let mut snapshot = fine();
        let id = Uuid::from_u128(0xbeef_0002 << 96);
        snapshot.tables.segments[0].hosts[0] = host("beef0002", false, None);
        snapshot.tables.segments[0].hosts[1].host.id = HostId(id);
        snapshot.situation = judged(&snapshot.tables);
        let snapshot = SituationView::from(&snapshot);
        let part = |requested: &str| Selection::named(requested, &snapshot).unwrap();
        assert_eq!(part("beef0002"), Selection::Host("beef0002".into()));
        assert_eq!(part("host:beef0002"), Selection::Host("beef0002".into()));
        assert_eq!(part("BEEF000"), Selection::Host("b".into()));
        assert_eq!(part(&id.to_string()), Selection::Host("b".into()));
    }

    #[test]
    fn what_is_wrong_elsewhere_is_not_told_of_a_part() {
        use tachi_domain::entity::host::MaintenanceReason;
        let mut snapshot = fine();
        for place in 0..2 {
            let name = ["a", "b"][place];
            snapshot.tables.segments[0].hosts[place] = host(name, false, Some(MaintenanceReason::Operator));
        }
        snapshot.tables.segments[0].hosts.push(host("c", false, None));
        snapshot.situation = judged(&snapshot.tables);
        let whole = SituationView::from(&snapshot);
        let about = |part: &Selection| part.of(whole.clone());
        let b = about(&Selection::Host("b".into()));
        let of = |view: &SituationView, code: &str| {
            let found = view.findings.iter().find(|finding| finding.code.as_str() == code);
            found.map(|one| one.subjects.clone())
        };
        assert_eq!(of(&b, "HOST_ON_MAINTENANCE"), Some(vec!["b".to_owned()]));
        assert_eq!((b.hosts.len(), b.segments[0].hosts.len()), (1, 1));
        let c = about(&Selection::Host("c".into()));
        assert_eq!(of(&c, "HOST_ON_MAINTENANCE"), None);
        let segment = about(&Selection::Segment("all".into()));
        assert_eq!(of(&segment, "HOST_ON_MAINTENANCE").map(|all| all.len()), Some(2));

        // Instances are found by their host, as another host may have one of the same name.
        let mut down = whole.clone();
        down.findings = vec![FindingView {
            code: FindingCode::InstanceDown,
            grade: Severity::Err,
            subjects: vec!["web".to_owned(), "web".to_owned(), "db".to_owned()],
            hosts: vec!["a".to_owned(), "z".to_owned(), "z".to_owned()],
            instances: 3,
            since: None,
            ends_by: None,
            text: "it should run and does not".to_owned(),
            fix: None,
            page: String::new(),
            acknowledged_until: None,
        }];
        let about = |part: &Selection| part.of(down.clone());
        for (part, names) in [
            (Selection::Segment("all".into()), vec!["web"]),
            (Selection::Host("a".into()), vec!["web"]),
            (Selection::Host("b".into()), vec![]),
        ] {
            let snapshot = about(&part);
            let found: Vec<&String> = snapshot
                .findings
                .iter()
                .flat_map(|finding| &finding.subjects)
                .collect();
            assert_eq!(found, names, "{part:?}");
            assert_eq!(snapshot.grade == Severity::Err, !names.is_empty(), "{part:?}");
        }

        // Without an engine nothing is protected anywhere, and each part shows that.
        snapshot.tables.engines.clear();
        snapshot.situation = judged(&snapshot.tables);
        let part = Selection::Host("c".into()).of(SituationView::from(&snapshot));
        assert_eq!(
            (of(&part, "NO_ENGINE"), part.grade),
            (Some(Vec::new()), Severity::Err)
        );
    }
}
