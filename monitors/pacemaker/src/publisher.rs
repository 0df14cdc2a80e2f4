//! Election of the bridge that reports.
//!
//! Bridges see each other through node attributes that the cluster keeps in memory (they are never in the CIB). The
//! first in line reports at once and announces it in an attribute; the others wait their turn and report only if no
//! other has by then, or if the one that started has stopped. The API's own rejection of duplicates is the last
//! safety net.

use std::fmt::Display;
use std::time::Duration;

use crate::{Kind, Time};

/// The longest wait of the last in a long line.
const MAX_TURNS: u32 = 12;

/// A bridge that can report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    pub node: String,
    /// The kind of its node. Members learn of a fencing first, through the cluster's alerts.
    pub kind: Kind,
    /// True if it runs on the cluster's DC.
    pub dc: bool,
}

/// Returns the bridges before `me` in line, each with its node, and true if that is a remote. The bridge on the DC is
/// first, then members, then remotes.
fn before<'a>(me: &str, bridges: &'a [Bridge]) -> Vec<(bool, &'a str)> {
    let mut line: Vec<_> = bridges
        .iter()
        .map(|bridge| (!bridge.dc, bridge.kind != Kind::Member, bridge.node.as_str()))
        .collect();
    line.sort_unstable();
    line.dedup();
    // A bridge that is not in line comes last.
    line.into_iter()
        .take_while(|(_, _, node)| *node != me)
        .map(|(_, remote, node)| (remote, node))
        .collect()
}

/// Returns the delay of the bridge on `me`: the one on the DC is first, then members, then remotes.
pub fn delay(me: &str, bridges: &[Bridge], turn: Duration) -> Duration {
    let place = before(me, bridges).len();
    turn * u32::try_from(place).unwrap_or(MAX_TURNS).min(MAX_TURNS)
}

/// True if the bridge on `me` is not needed while no other fails: the bridge of a member is before it in line, or two
/// on remotes are. One of those two may be on the very host that fails.
pub fn is_spare(me: &str, bridges: &[Bridge]) -> bool {
    let before = before(me, bridges);
    before.len() >= 2 || before.iter().any(|(remote, _)| !remote)
}

/// Limit of the difference, in seconds, between two nodes' times of one fencing. No node is fenced, back, and fenced
/// again within this time.
const MAX_DATE_SKEW_SECONDS: u64 = 5;

/// Splits a key into the part without the date, and the date, if that is a fencing's: `started:fenced` and 7 of
/// `started:fenced:7`.
fn dated(key: &str) -> Option<(&str, i64)> {
    let (what, at) = key.rsplit_once(':')?;
    let fencing = what.rsplit(':').next() == Some("fenced");
    let at = at.parse().ok()?;
    fencing.then_some((what, at))
}

/// True if two bridges' keys mean the same event. Each node's fencer dates a fencing by its own clock, at the end of
/// it: one that ends close to a full second has two keys.
pub fn same_event(one: &str, other: &str) -> bool {
    one == other
        || dated(one)
            .zip(dated(other))
            .is_some_and(|((what, at), (also, then))| {
                what == also && at.abs_diff(then) <= MAX_DATE_SKEW_SECONDS
            })
}

/// True if `other` is a later event of the same node than `one`: a later fencing, or a state that followed the same
/// one. Keys without a fencing's time never follow.
fn follows(other: &str, one: &str) -> bool {
    dated(other)
        .zip(dated(one))
        .is_some_and(|((what, at), (before, then))| {
            if at.abs_diff(then) <= MAX_DATE_SKEW_SECONDS {
                what.ends_with(&format!(":{before}"))
            } else {
                at > then
            }
        })
}

/// Returns the claim of the latest event after the event `key`. One that is dated later than `now` comes from a clock
/// that is ahead, and shows nothing about the order.
pub fn later_claim<T>(
    key: &str,
    now: Time,
    claims: impl IntoIterator<Item = (T, ReportClaim)>,
) -> Option<(T, ReportClaim)> {
    let latest = now.timestamp().saturating_add_unsigned(MAX_DATE_SKEW_SECONDS);
    let counts = |claim: &ReportClaim| {
        claim.state == ClaimState::Accepted
            && follows(&claim.key, key)
            && dated(&claim.key).is_some_and(|(_, at)| at <= latest)
    };
    let claims = claims.into_iter().filter(|(_, claim)| counts(claim));
    claims.reduce(|best, next| {
        if follows(&next.1.key, &best.1.key) {
            next
        } else {
            best
        }
    })
}

/// The progress of a bridge's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimState {
    /// The bridge will report, unless a bridge before it in line does.
    Intended,
    /// The report is on the bridge's disk.
    Spooled,
    /// The API has answered.
    Accepted,
}

/// A bridge's claim of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportClaim {
    /// The report's key.
    pub key: String,
    /// The progress.
    pub state: ClaimState,
    /// A counter that rises until the report is accepted, so that others see that the bridge is still working on it.
    pub beat: u64,
}

impl Display for ReportClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            ClaimState::Intended => "intended",
            ClaimState::Spooled => "spooled",
            ClaimState::Accepted => "accepted",
        };
        write!(f, "{}/{state}/{}", self.key, self.beat)
    }
}

impl ReportClaim {
    /// Parses an attribute's value; `None` if it is not a claim.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let claim = Self {
            key: parts.next().filter(|key| !key.is_empty())?.to_owned(),
            state: match parts.next()? {
                "intended" => ClaimState::Intended,
                "spooled" => ClaimState::Spooled,
                "accepted" => ClaimState::Accepted,
                _ => return None,
            },
            beat: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(node: &str, kind: Kind, dc: bool) -> Bridge {
        Bridge {
            node: node.to_owned(),
            kind,
            dc,
        }
    }

    /// Covers MW8.
    #[test]
    fn who_goes_first() {
        let turn = Duration::from_secs(5);
        let line = [
            bridge("cmp1", Kind::Remote, false),
            bridge("ctl1", Kind::Member, false),
            bridge("ctl3", Kind::Member, true),
            bridge("cmp2", Kind::Remote, false),
            bridge("ctl2", Kind::Member, false),
        ];
        for (me, expected) in [
            ("ctl3", 0),
            ("ctl1", 5),
            ("ctl2", 10),
            ("cmp1", 15),
            ("cmp2", 20),
            ("new", 25),
        ] {
            assert_eq!(delay(me, &line, turn), Duration::from_secs(expected), "{me}");
        }
        assert_eq!(
            delay("cmp1", &[], turn),
            Duration::ZERO,
            "alone, or the others are unknown"
        );
        for (me, spare) in [("ctl3", false), ("ctl1", true), ("cmp1", true), ("new", true)] {
            assert_eq!(is_spare(me, &line), spare, "{me}");
        }
        let remotes: Vec<_> = ["cmp1", "cmp2", "cmp3"]
            .map(|node| bridge(node, Kind::Remote, false))
            .into();
        for (me, spare) in [("cmp1", false), ("cmp2", false), ("cmp3", true), ("new", true)] {
            assert_eq!(is_spare(me, &remotes), spare, "{me} of remotes alone");
        }
        let many: Vec<_> = (0..300)
            .map(|i| bridge(&format!("cmp{i:03}"), Kind::Remote, false))
            .collect();
        assert_eq!(
            delay("cmp299", &many, turn),
            Duration::from_secs(60),
            "the longest wait"
        );
        let twice = [
            bridge("cmp1", Kind::Remote, false),
            bridge("cmp1", Kind::Remote, false),
            bridge("cmp2", Kind::Remote, false),
        ];
        assert_eq!(delay("cmp2", &twice, turn), turn, "a node that is listed twice");
    }

    /// Covers MW8.
    #[test]
    fn what_has_come_after_a_report_is_known_by_its_key() {
        for (other, one, after) in [
            ("started:fenced:1795277586", "started:fenced:1795277525", true),
            ("fenced:1795277586", "started:fenced:1795277525", true),
            ("started:fenced:1795277525", "fenced:1795277525", true),
            ("started:fenced:1795277526", "fenced:1795277525", true),
            ("lost:started:fenced:5", "started:fenced:5", true),
            ("fenced:1795277525", "fenced:1795277525", false),
            ("fenced:1795277525", "fenced:1795277526", false),
            ("fenced:1795277525", "started:fenced:1795277525", false),
            ("started:fenced:1795277525", "fenced:1795277586", false),
            ("unfenced:5", "fenced:5", false),
            ("lost:first", "lost:first", false),
            ("started:lost:first", "lost:first", false),
            ("fenced:9223372036854775807", "fenced:-9223372036854775808", true),
        ] {
            assert_eq!(follows(other, one), after, "{other} after {one}");
        }
    }

    /// Covers MW8.
    #[test]
    fn of_what_has_come_after_the_latest_counts_and_nothing_of_a_clock_that_is_ahead() {
        let now = chrono::DateTime::from_timestamp(1000, 0).unwrap();
        let accepted = |key: &str| ReportClaim {
            key: key.to_owned(),
            state: ClaimState::Accepted,
            beat: 0,
        };
        let latest = |key: &str, claims: &[&str]| {
            let claims = claims.iter().map(|key| ((), accepted(key)));
            later_claim(key, now, claims).map(|((), claim)| claim.key)
        };
        for (claims, expected) in [
            (
                &["fenced:500", "started:fenced:900", "fenced:900"][..],
                Some("started:fenced:900"),
            ),
            (
                &["fenced:900", "started:fenced:900", "fenced:500"],
                Some("started:fenced:900"),
            ),
            (&["fenced:1005", "fenced:900"], Some("fenced:1005")),
            (&["fenced:1006", "fenced:900"], Some("fenced:900")),
            (&["fenced:9223372036854775807"], None),
            (&["fenced:100", "lost:first", "unfenced:900"], None),
            (&[], None),
        ] {
            assert_eq!(latest("fenced:100", claims).as_deref(), expected, "{claims:?}");
        }
        let spooled = ReportClaim {
            state: ClaimState::Spooled,
            ..accepted("fenced:900")
        };
        assert_eq!(later_claim("fenced:100", now, [((), spooled)]), None);
    }

    /// Covers MW8.
    #[test]
    fn one_fencing_that_two_nodes_date_a_second_apart_is_one_event() {
        for (one, other, same) in [
            ("fenced:1795158416", "fenced:1795158416", true),
            ("fenced:1795158416", "fenced:1795158417", true),
            ("started:fenced:1795158421", "started:fenced:1795158416", true),
            ("lost:started:fenced:9", "lost:started:fenced:10", true),
            ("fenced:1795158416", "fenced:1795158422", false),
            ("fenced:1795158416", "started:fenced:1795158416", false),
            ("lost:first", "lost:first", true),
            ("lost:first", "lost:fenced:1", false),
            ("started:1", "started:2", false),
            ("fenced:-9223372036854775808", "fenced:9223372036854775807", false),
        ] {
            assert_eq!(same_event(one, other), same, "{one} {other}");
            assert_eq!(same_event(other, one), same, "{other} {one}");
        }
    }

    #[test]
    fn claims_are_read_back() {
        for claim in [
            ReportClaim {
                key: "fenced:1795158416".to_owned(),
                state: ClaimState::Spooled,
                beat: 0,
            },
            ReportClaim {
                key: "started:fenced:7".to_owned(),
                state: ClaimState::Accepted,
                beat: u64::MAX,
            },
        ] {
            assert_eq!(ReportClaim::parse(&claim.to_string()), Some(claim));
        }
        for text in [
            "",
            "x",
            "x/accepted",
            "/accepted/1",
            "x/other/1",
            "x/accepted/-1",
            "x/accepted/1/2",
        ] {
            assert_eq!(ReportClaim::parse(text), None, "{text:?}");
        }
    }
}
