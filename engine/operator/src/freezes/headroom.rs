//! Headroom that remains in a segment while a frozen host is off.

use tachi_domain::freeze::FreezeScope;

use super::FreezeTarget;
use crate::snapshot::RegionSnapshot;

/// Returns a note for an operator who freezes a host, since the next step usually is to switch it off. Until it is on again, the segment
/// tolerates one failure less. `None` if the headroom is unknown, or if the host is down in Nova already.
pub(super) fn headroom_note(what: &FreezeTarget, snapshot: &RegionSnapshot) -> Option<String> {
    if what.scope != FreezeScope::Host {
        return None;
    }
    let name = &what.name;
    let host = snapshot.situation.hosts.iter().find(|host| host.name == *name)?;
    let segment = host.segment.as_ref().filter(|_| host.up != Some(false))?;
    let segments = &snapshot.situation.segments;
    let headroom = segments
        .iter()
        .find(|forecast| forecast.name == *segment)?
        .headroom?;
    let at_least = if headroom.exact { "" } else { "at least " };
    Some(match headroom.hosts.checked_sub(1) {
        Some(left) => format!(
            "without {name}, segment {segment} tolerates {at_least}{left} more host failures (now {at_least}{})",
            headroom.hosts
        ),
        None => format!(
            "segment {segment} tolerates no further host failure: while {name} is off, there may be no room for the instances of another failed host"
        ),
    })
}

#[cfg(test)]
mod tests {
    use tachi_domain::forecast::Headroom;

    use super::super::tests::fine;
    use super::*;

    #[test]
    fn a_freeze_reports_the_headroom_without_the_host() {
        let mut snapshot = fine();
        let shortage = |snapshot: &RegionSnapshot, scope, name| {
            headroom_note(&FreezeTarget::find(scope, name, snapshot).unwrap(), snapshot)
        };
        assert_eq!(
            shortage(&snapshot, FreezeScope::Host, "a"),
            None,
            "it is not known"
        );
        let has = |snapshot: &mut RegionSnapshot, hosts, exact| {
            snapshot.situation.segments[0].headroom = Some(Headroom { hosts, exact });
        };
        has(&mut snapshot, 1, true);
        assert_eq!(
            shortage(&snapshot, FreezeScope::Host, "a").as_deref(),
            Some("without a, segment all tolerates 0 more host failures (now 1)")
        );
        assert_eq!(shortage(&snapshot, FreezeScope::Segment, "all"), None);
        has(&mut snapshot, 3, false);
        assert_eq!(
            shortage(&snapshot, FreezeScope::Host, "a").as_deref(),
            Some("without a, segment all tolerates at least 2 more host failures (now at least 3)")
        );
        has(&mut snapshot, 0, true);
        let tight = shortage(&snapshot, FreezeScope::Host, "a").unwrap();
        assert!(
            tight.starts_with("segment all tolerates no further host failure: while a is off"),
            "{tight}"
        );
        for host in &mut snapshot.situation.hosts {
            host.up = Some(false);
        }
        assert_eq!(
            shortage(&snapshot, FreezeScope::Host, "a"),
            None,
            "it is off already"
        );
    }
}
