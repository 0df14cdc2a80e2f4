//! Objects that can be frozen, found by name or id.

use std::collections::BTreeSet;
use std::fmt;

use tachi_domain::ServerId;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::situation::InstanceSituation;
use tachi_engine::ports::operator::SegmentView;

use super::view::FreezeView;
use crate::actions::ActionError;
use crate::search;
use crate::snapshot::RegionSnapshot;

/// The maximum number of matches that are listed if there are several.
const MAX_LISTED: usize = 6;

/// The maximum length of a stored name, in characters.
const MAX_NAME: usize = 96;

/// An object that can be frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeTarget {
    /// The kind of object.
    pub scope: FreezeScope,
    /// The object's id; empty for a region.
    pub target: String,
    /// The object's name, for people; empty for a region.
    pub name: String,
    /// The hosts of a segment, or the host itself; empty for a region and for an instance.
    hosts: BTreeSet<String>,
}

impl fmt::Display for FreezeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            FreezeScope::Region => f.write_str("everything"),
            FreezeScope::Segment | FreezeScope::Host | FreezeScope::Instance => {
                write!(f, "{} {}", self.scope, self.name)
            }
        }
    }
}

impl FreezeTarget {
    /// Finds a registered segment or host, or an instance seen in Nova, by its name or id.
    ///
    /// # Errors
    ///
    /// There is no match, or there are several.
    pub fn find(scope: FreezeScope, query: &str, snapshot: &RegionSnapshot) -> Result<Self, ActionError> {
        let query = query.trim();
        let segments = &snapshot.tables.segments;
        let (found, where_to_look) = match scope {
            FreezeScope::Region => (vec![(String::new(), String::new())], String::new()),
            FreezeScope::Segment => {
                let all = segments.iter().map(|view| &view.segment);
                let all = all.map(|instance| (instance.id.to_string(), instance.name.clone()));
                (candidates(query, all), "see `openstack segment list`".to_owned())
            }
            FreezeScope::Host => {
                let all = segments.iter().flat_map(|view| &view.hosts);
                let all = all.map(|view| (view.host.id.to_string(), view.host.name.clone()));
                let why = "no segment has a host of that name or id, and other hosts are neither fenced nor evacuated";
                (candidates(query, all), why.to_owned())
            }
            FreezeScope::Instance => instances(query, snapshot),
        };
        let (target, name) = only(scope.as_str(), query, found, &where_to_look)?;
        let of = |view: &SegmentView| view.hosts.iter().map(|one| one.host.name.clone()).collect();
        let hosts = match scope {
            FreezeScope::Region | FreezeScope::Instance => BTreeSet::new(),
            FreezeScope::Host => [name.clone()].into(),
            FreezeScope::Segment => {
                let own = segments.iter().find(|view| view.segment.id.to_string() == target);
                own.map(of).unwrap_or_default()
            }
        };
        Ok(Self {
            scope,
            target,
            name: printable(&name),
            hosts,
        })
    }

    /// Returns the host's name; empty if the object is not a host.
    pub fn host(&self) -> &str {
        match self.scope {
            FreezeScope::Host => &self.name,
            FreezeScope::Region | FreezeScope::Segment | FreezeScope::Instance => "",
        }
    }

    /// True if a host of this name belongs to the object.
    pub fn has_host(&self, name: &str) -> bool {
        self.scope == FreezeScope::Region || self.hosts.contains(name)
    }

    /// True if the instance belongs to the object.
    pub fn has(&self, instance: &InstanceSituation) -> bool {
        match self.scope {
            FreezeScope::Instance => instance.id.to_string() == self.target,
            FreezeScope::Region | FreezeScope::Segment | FreezeScope::Host => self.has_host(&instance.host),
        }
    }
}

/// Strips control characters and shortens the name: owners choose names, and terminals show them.
fn printable(name: &str) -> String {
    let clean = name
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character });
    clean.take(MAX_NAME).collect()
}

/// Returns the ids and names of the best matches.
fn candidates(query: &str, all: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    search::best_matches(query, all, Clone::clone).1
}

fn instances(query: &str, snapshot: &RegionSnapshot) -> (Vec<(String, String)>, String) {
    let Some(all) = &snapshot.situation.instances else {
        // No engine has listed the instances yet, so a complete id is accepted unchecked.
        let id: Option<ServerId> = query.parse().ok();
        let found = id.into_iter().map(|id| (id.to_string(), id.to_string()));
        let why = "no engine has read Nova's instances yet, so only a complete id is accepted";
        return (found.collect(), why.to_owned());
    };
    let all = all
        .iter()
        .map(|instance| (instance.id.to_string(), instance.name.to_string()));
    let why = "no engine has read such an instance from Nova; a new one is read within half a minute";
    (candidates(query, all), why.to_owned())
}

fn only(
    kind: &str,
    query: &str,
    found: Vec<(String, String)>,
    where_to_look: &str,
) -> Result<(String, String), ActionError> {
    if found.len() > 1 {
        let each = |(id, name): &(String, String)| format!("{id} {}", printable(name));
        let more = found.len().saturating_sub(MAX_LISTED);
        let more = (more > 0).then(|| format!("and {more} more"));
        let each = found.iter().take(MAX_LISTED).map(each).chain(more);
        return Err(ActionError::Ambiguous(search::several_matches(
            query,
            &format!("{kind}s"),
            each,
        )));
    }
    let one = found.into_iter().next();
    one.ok_or_else(|| ActionError::Unknown(search::no_match(query, kind, where_to_look)))
}

/// Returns the freeze in force of an object.
///
/// # Errors
///
/// There is no match, or there are several.
pub fn frozen(scope: FreezeScope, query: &str, listed: &[FreezeView]) -> Result<FreezeView, ActionError> {
    let query = query.trim();
    let own = || listed.iter().filter(|view| view.scope == scope);
    let id = |view: &FreezeView| view.id.clone().unwrap_or_default();
    // A host may be frozen twice, by its drain and by an operator. The operator's is ended first: `tachi host undrain` ends the other.
    let target = if scope == FreezeScope::Region {
        String::new()
    } else {
        let all: BTreeSet<_> = own()
            .map(|view| (id(view), view.name.clone().unwrap_or_default()))
            .collect();
        let kind = format!("frozen {scope}");
        only(
            &kind,
            query,
            candidates(query, all.into_iter()),
            "see `tachi freeze list`",
        )?
        .0
    };
    let view = own()
        .filter(|view| id(view) == target)
        .min_by_key(|view| view.by_drain);
    let none = || ActionError::Unknown("the region is not frozen: see `tachi freeze list`".to_owned());
    view.cloned().ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tachi_domain::Timestamp;
    use tachi_domain::freeze::Freeze;
    use tachi_domain::situation::Protection;
    use tachi_engine::ports::FreezeLine;
    use uuid::Uuid;

    use super::super::tests::fine;
    use super::*;

    fn instance(number: u128, name: &str) -> InstanceSituation {
        InstanceSituation {
            id: ServerId(Uuid::from_u128(number)),
            name: name.into(),
            host: "a".into(),
            protection: Protection::Protected,
            reasons: BTreeSet::new().into(),
            left: None,
            disk: None,
        }
    }

    fn render_frozen(found: Result<FreezeTarget, ActionError>) -> String {
        found.map_or_else(
            |error| error.to_string(),
            |what| format!("{what} = {}", what.target),
        )
    }

    #[test]
    fn a_target_is_found_by_name_or_id_and_never_guessed() {
        let mut snapshot = fine();
        let id = |number: u128| Uuid::from_u128(number).to_string();
        let (one, two) = (0xaaaa_0001_u128 << 96, 0xaaaa_0002_u128 << 96);
        snapshot.situation.instances = Some(vec![
            instance(one, "vm"),
            instance(two, "vm"),
            instance(3, "bad\u{1b}[2J\n"),
            instance(4, &"x".repeat(300)),
        ]);
        let find = |scope, query: &str| render_frozen(FreezeTarget::find(scope, query, &snapshot));
        assert_eq!(find(FreezeScope::Region, ""), "everything = ");
        let all = id(1);
        assert_eq!(find(FreezeScope::Segment, "all"), format!("segment all = {all}"));
        assert_eq!(find(FreezeScope::Segment, &all), format!("segment all = {all}"));
        assert!(find(FreezeScope::Segment, "ALL").contains("no segment has the name \"ALL\""));
        assert!(find(FreezeScope::Host, "c").contains("no segment has a host of that name or id"));
        assert!(find(FreezeScope::Host, "").contains("no host has the name \"\""));
        let several = find(FreezeScope::Instance, "vm");
        assert!(
            several.contains("matches several") && several.contains(&id(one)),
            "{several}"
        );
        assert!(find(FreezeScope::Instance, "aaaa").contains("matches several"));
        let by_prefix = find(FreezeScope::Instance, "AAAA0001");
        assert_eq!(by_prefix, format!("instance vm = {}", id(one)));
        let hostile = find(FreezeScope::Instance, &id(3));
        assert!(!hostile.contains(['\u{1b}', '\n']), "{hostile:?}");
        let long = FreezeTarget::find(FreezeScope::Instance, &id(4), &snapshot).unwrap();
        assert_eq!(long.name.len(), MAX_NAME);
        let unknown = find(FreezeScope::Instance, "x\u{1b}[2J");
        assert!(
            unknown.contains("no engine has read") && !unknown.contains('\u{1b}'),
            "{unknown}"
        );
    }

    #[test]
    fn before_the_first_listing_only_a_complete_id_is_accepted() {
        let mut snapshot = fine();
        snapshot.situation.instances = None;
        let id = Uuid::from_u128(7).to_string();
        let found = FreezeTarget::find(FreezeScope::Instance, &id, &snapshot).unwrap();
        assert_eq!(
            (found.target.as_str(), found.name.as_str()),
            (id.as_str(), id.as_str())
        );
        let short = render_frozen(FreezeTarget::find(FreezeScope::Instance, &id[..12], &snapshot));
        assert!(short.contains("only a complete id"), "{short}");
    }

    #[test]
    fn hosts_and_instances_belong_to_what_is_frozen() {
        let snapshot = fine();
        let of_a = instance(1, "vm");
        for (scope, name, host, other) in [
            (FreezeScope::Region, "", true, true),
            (FreezeScope::Segment, "all", true, false),
            (FreezeScope::Host, "a", true, false),
            (FreezeScope::Host, "b", false, false),
        ] {
            let what = FreezeTarget::find(scope, name, &snapshot).unwrap();
            assert_eq!(
                (what.has(&of_a), what.has_host("z")),
                (host, other),
                "{scope} {name}"
            );
        }
    }

    #[test]
    fn a_freeze_is_ended_by_what_the_list_shows() {
        let line = |scope, target: &str, name: &str| {
            FreezeView::from(&FreezeLine {
                freeze: Freeze {
                    number: 1,
                    scope,
                    name: name.into(),
                    until: Timestamp::from_micros(0),
                    by: "alice".into(),
                    reason: "firmware".into(),
                    unless_worse: false,
                },
                target: target.into(),
                since: Timestamp::from_micros(0),
                left: Duration::from_secs(1),
                by_drain: false,
            })
        };
        let listed = [
            line(FreezeScope::Host, "1111-a", "cmp1"),
            line(FreezeScope::Instance, "2222-a", "vm"),
            line(FreezeScope::Instance, "3333-a", "vm"),
            line(FreezeScope::Host, "1111-a", "cmp1"),
        ];
        let find = |scope, query: &str| {
            let found = frozen(scope, query, &listed);
            found.map_or_else(|error| error.to_string(), |view| view.id.unwrap_or_default())
        };
        assert_eq!(find(FreezeScope::Host, "cmp1"), "1111-a");
        assert_eq!(find(FreezeScope::Instance, "3333"), "3333-a");
        assert!(find(FreezeScope::Instance, "vm").contains("matches several"));
        // `tachi host undrain` ends the drain's freeze.
        let mut both = [
            line(FreezeScope::Host, "1111-a", "cmp1"),
            line(FreezeScope::Host, "1111-a", "cmp1"),
        ];
        (both[0].by_drain, both[1].number) = (true, 2);
        assert_eq!(frozen(FreezeScope::Host, "cmp1", &both).unwrap().number, 2);
        assert!(find(FreezeScope::Segment, "cmp1").contains("no frozen segment has the name"));
        assert!(find(FreezeScope::Region, "").contains("the region is not frozen"));
    }
}
