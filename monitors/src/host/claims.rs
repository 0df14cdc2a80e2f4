//! Claims: they decide which of the bridges reports.
//!
//! Every bridge sets one private attribute on its node: its presence, and its claims. The cluster keeps private
//! attributes in memory, so they cost no change of the CIB. They are read when there is a report to send, and by
//! bridges that may stand by.

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_pacemaker::{Bridge, ClaimState, CrmMon, Kind, ReportClaim, Time, delay, later_claim, same_event};
use tokio::time::Instant;

use super::tools::Cluster;

/// The attribute's name.
const ATTRIBUTE: &str = "tachi-bridge";
/// Time for which a claim is kept after the API has answered: longer than any other bridge waits.
pub(crate) const CLAIM_LIFETIME: Duration = Duration::from_secs(600);
/// Interval of repeating the attribute: a node that rejoins loses its own.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// Number of turns after its own that a bridge waits for the claim of a single remote.
const EXTRA_TURNS: u32 = 2;

/// The decision which bridge reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReportingBridge {
    /// This bridge reports now.
    Mine,
    /// There is no decision yet.
    Wait,
    /// Another bridge has reported it, and the API has answered.
    Reported(String),
    /// Another bridge has reported a later event, and the API has answered.
    Superseded {
        /// The other bridge.
        bridge: String,
        /// The key of its last report.
        key: String,
    },
}

/// A moment on two clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TwoClockTime {
    /// The clock that dates the keys of reports.
    pub(crate) wall: Time,
    /// The clock that measures waits.
    pub(crate) steady: Instant,
}

#[derive(Debug)]
struct Mine {
    claim: ReportClaim,
    at: Instant,
}

#[derive(Debug)]
struct Wait {
    key: String,
    due: Instant,
    /// True if no bridge is before this one in line.
    first: bool,
    /// Another bridge that claims the report, its progress, and the first observation of that progress.
    other: Option<(String, u64, Instant)>,
}

/// This bridge's knowledge of the others.
#[derive(Debug)]
pub(crate) struct Claims {
    turn: Duration,
    mine: BTreeMap<String, Mine>,
    waits: BTreeMap<String, Wait>,
    announced: Option<(Instant, String)>,
}

impl Claims {
    /// Creates the claims of a bridge. Each bridge in line waits one `turn` longer than the one before it.
    pub(crate) fn new(turn: Duration) -> Self {
        Self {
            turn,
            mine: BTreeMap::new(),
            waits: BTreeMap::new(),
            announced: None,
        }
    }

    /// Reads all bridges' attributes; `None` if that fails.
    pub(crate) async fn read(&self, cluster: &dyn Cluster) -> Option<Vec<(String, String)>> {
        match cluster.attributes(ATTRIBUTE).await {
            Ok(attributes) => Some(attributes),
            Err(error) => {
                tracing::warn!(error = %error, "failed to read the other bridges' claims; the API rejects duplicates");
                None
            }
        }
    }

    /// Decides which bridge sends the report `key` about `node`, given all bridges' attributes.
    pub(crate) fn decide(
        &mut self,
        me: &str,
        mon: &CrmMon,
        attributes: Option<&[(String, String)]>,
        node: &str,
        key: &str,
        now: TwoClockTime,
    ) -> ReportingBridge {
        // No bridge reports its own node: a dead bridge cannot have reported, and a running one cannot judge its own
        // node.
        let others: Vec<_> = attributes
            .unwrap_or_default()
            .iter()
            .filter(|(bridge, _)| bridge != me && bridge != node)
            .collect();
        let trust = Trust { mon, me };
        let claims = others
            .iter()
            .filter_map(|(bridge, value)| Some((bridge.as_str(), claim_on(value, node, key)?)));
        let claims: Vec<_> = claims.collect();
        let in_state = |state| {
            let claims = claims.iter().filter(move |(_, claim)| claim.state == state);
            claims.map(|(bridge, claim)| (*bridge, claim))
        };
        let since = others
            .iter()
            .filter_map(|(bridge, value)| Some((bridge.as_str(), claim_about(value, node)?)));
        let since: Vec<_> = since
            .filter(|(_, claim)| later_claim(key, now.wall, [((), claim.clone())]).is_some())
            .collect();
        if let Some(decision) = trust.final_report(&claims, &since, key, now.wall) {
            self.waits.remove(node);
            self.withdraw(node);
            return decision;
        }
        let now = now.steady;
        let turn = self.turn;
        let fresh = self
            .waits
            .get(node)
            .is_none_or(|wait| !same_event(&wait.key, key));
        if fresh {
            let wait = match attributes {
                Some(attributes) => {
                    // No bridge reports its own node, and that node may still be shown online.
                    let mut line = line(me, mon, attributes);
                    line.retain(|bridge| bridge.node != node);
                    delay(me, &line, turn)
                }
                // If the other bridges' attributes cannot be read, the DC's bridge goes first.
                None if mon.dc.as_deref() == Some(me) => Duration::ZERO,
                None => turn,
            };
            let wait = Wait {
                key: key.to_owned(),
                due: now + wait,
                first: wait.is_zero(),
                other: None,
            };
            self.waits.insert(node.to_owned(), wait);
        }
        let Some(wait) = self.waits.get_mut(node) else {
            return ReportingBridge::Mine;
        };
        // The claim of a single remote is waited for only for a limited time: it may be false.
        let may_wait = !trust.is_member(me) && now < wait.due + turn * EXTRA_TURNS;
        let taken = trust
            .trusted_claim(in_state(ClaimState::Spooled))
            .or_else(|| in_state(ClaimState::Spooled).next().filter(|_| may_wait));
        if let Some((bridge, claim)) = taken {
            let known = wait
                .other
                .as_ref()
                .is_some_and(|(who, beat, _)| who == bridge && *beat == claim.beat);
            if !known {
                wait.other = Some((bridge.to_owned(), claim.beat, now));
            }
        }
        let (due, first) = (now >= wait.due, wait.first);
        // A running bridge increments it at every half turn.
        let has_progress = taken.is_some()
            && wait
                .other
                .as_ref()
                .is_some_and(|(_, _, since)| now - *since < turn * 2);
        let may_be_reported =
            may_wait && (in_state(ClaimState::Accepted).next().is_some() || !since.is_empty());
        if has_progress || may_be_reported {
            self.withdraw(node);
            return ReportingBridge::Wait;
        }
        if !due {
            return ReportingBridge::Wait;
        }
        if first {
            self.waits.remove(node);
            return ReportingBridge::Mine;
        }
        // A bridge that is not the first in line announces its intention, and reads again. Otherwise two bridges that
        // see the same event at the same moment would both report.
        let intended = self
            .mine
            .get(node)
            .is_some_and(|mine| same_event(&mine.claim.key, key) && mine.claim.state == ClaimState::Intended);
        let before = in_state(ClaimState::Intended).any(|(bridge, _)| {
            bridge < me && (may_wait || (trust.is_member(bridge) && trust.is_trusted(bridge)))
        });
        if intended && !before {
            self.waits.remove(node);
            return ReportingBridge::Mine;
        }
        if !intended {
            self.claim(node, key, ClaimState::Intended, now);
        }
        ReportingBridge::Wait
    }

    fn claim(&mut self, node: &str, key: &str, state: ClaimState, now: Instant) {
        let claim = ReportClaim {
            key: key.to_owned(),
            state,
            beat: 0,
        };
        self.mine.insert(node.to_owned(), Mine { claim, at: now });
    }

    fn withdraw(&mut self, node: &str) {
        if self
            .mine
            .get(node)
            .is_some_and(|mine| mine.claim.state == ClaimState::Intended)
        {
            self.mine.remove(node);
        }
    }

    /// Forgets the waits about nodes without a pending report.
    pub(crate) fn release_closed(&mut self, open: impl Fn(&str) -> bool) {
        self.waits.retain(|node, _| open(node));
        self.mine
            .retain(|node, mine| mine.claim.state != ClaimState::Intended || open(node));
    }

    /// Claims the report for this bridge.
    pub(crate) fn take(&mut self, node: &str, key: &str, now: Instant) {
        self.claim(node, key, ClaimState::Spooled, now);
    }

    /// Returns this bridge's claims that the API has not answered yet.
    pub(crate) fn open(&self) -> Vec<String> {
        let open = self
            .mine
            .iter()
            .filter(|(_, mine)| mine.claim.state == ClaimState::Spooled);
        open.map(|(node, _)| node.clone()).collect()
    }

    /// Records that the API has answered.
    pub(crate) fn accepted(&mut self, node: &str) {
        if let Some(mine) = self.mine.get_mut(node) {
            mine.claim.state = ClaimState::Accepted;
        }
    }

    /// Announces the claims to the others, if they have changed.
    pub(crate) async fn announce(&mut self, cluster: &dyn Cluster, now: Instant) {
        let turn = self.turn;
        self.mine
            .retain(|_, mine| mine.claim.state == ClaimState::Spooled || now - mine.at < CLAIM_LIFETIME);
        let beaten = self
            .announced
            .as_ref()
            .is_none_or(|(at, _)| now - *at >= turn / 2);
        for mine in self
            .mine
            .values_mut()
            .filter(|mine| beaten && mine.claim.state == ClaimState::Spooled)
        {
            mine.claim.beat += 1;
        }
        let value = self.value(true);
        let known = self
            .announced
            .as_ref()
            .is_some_and(|(at, announced)| *announced == value && now - *at < REPEAT_INTERVAL);
        if known {
            return;
        }
        match cluster.set_attribute(ATTRIBUTE, &value).await {
            Ok(()) => self.announced = Some((now, value)),
            Err(error) => {
                tracing::warn!(error = %error, "failed to announce claims to the other bridges; the API rejects duplicates");
                // Retried with the next heartbeat, not at once.
                self.announced = Some((now, String::new()));
            }
        }
    }

    /// Announces that this bridge leaves the line.
    pub(crate) async fn leave(&self, cluster: &dyn Cluster) {
        if let Err(error) = cluster.set_attribute(ATTRIBUTE, &self.value(false)).await {
            tracing::debug!(error = %error, "failed to announce the shutdown to the other bridges");
        }
    }

    /// Returns the attribute's value: the presence of this bridge, and its claims.
    fn value(&self, there: bool) -> String {
        let claims = self.mine.iter().filter(|(node, _)| !node.contains([';', '=']));
        let claims = claims.map(|(node, mine)| format!(";{node}={}", mine.claim));
        std::iter::once(u8::from(there).to_string())
            .chain(claims)
            .collect()
    }
}

/// Trust in another bridge's claims.
///
/// Root on a remote can write anything into its attribute. A bridge on a member trusts members only. One on a remote,
/// which may be alone with other remotes, trusts two of them; the claim of a single one only makes it wait. The API
/// rejects the resulting duplicates.
struct Trust<'m> {
    mon: &'m CrmMon,
    me: &'m str,
}

impl Trust<'_> {
    fn kind(&self, bridge: &str) -> Option<Kind> {
        let node = self.mon.nodes.iter().find(|node| node.name == bridge);
        node.map(|node| node.kind)
    }

    fn is_member(&self, bridge: &str) -> bool {
        self.kind(bridge) == Some(Kind::Member)
    }

    /// True if this bridge's claims count.
    fn is_trusted(&self, bridge: &str) -> bool {
        self.is_member(bridge) || (self.kind(bridge) == Some(Kind::Remote) && !self.is_member(self.me))
    }

    /// Returns the final reports of trusted bridges: the report itself, or a later one (`since`).
    fn final_report(
        &self,
        claims: &[(&str, ReportClaim)],
        since: &[(&str, ReportClaim)],
        key: &str,
        wall: Time,
    ) -> Option<ReportingBridge> {
        let accepted = claims
            .iter()
            .filter(|(_, claim)| claim.state == ClaimState::Accepted)
            .map(|(bridge, claim)| (*bridge, claim));
        if let Some((bridge, _)) = self.trusted_claim(accepted) {
            return Some(ReportingBridge::Reported(bridge.to_owned()));
        }
        self.trusted_claim(since.iter().map(|(bridge, claim)| (*bridge, claim)))?;
        let trusted = since
            .iter()
            .filter(|(bridge, _)| self.is_trusted(bridge))
            .cloned();
        let (bridge, claim) = later_claim(key, wall, trusted)?;
        Some(ReportingBridge::Superseded {
            bridge: bridge.to_owned(),
            key: claim.key,
        })
    }

    /// Returns one of `claims` if its claimants are trusted: a member, or two bridges.
    fn trusted_claim<'c>(
        &self,
        claims: impl Iterator<Item = (&'c str, &'c ReportClaim)>,
    ) -> Option<(&'c str, &'c ReportClaim)> {
        let claims: Vec<_> = claims.filter(|(bridge, _)| self.is_trusted(bridge)).collect();
        let member = claims.iter().find(|(bridge, _)| self.is_member(bridge));
        let two = claims.first().filter(|_| claims.len() >= 2);
        member.or(two).copied()
    }
}

/// True if enough others are before the bridge on `me` in line, given all bridges' attributes.
pub(crate) fn is_spare(me: &str, mon: &CrmMon, attributes: &[(String, String)]) -> bool {
    tachi_pacemaker::is_spare(me, &line(me, mon, attributes))
}

/// Parses a bridge's claim about a node from the value of its attribute.
fn claim_about(value: &str, node: &str) -> Option<ReportClaim> {
    let mut parts = value.split(';').filter_map(|part| part.split_once('='));
    let (_, claim) = parts.find(|(of, _)| *of == node)?;
    ReportClaim::parse(claim)
}

/// Parses a bridge's claim to one report about a node.
fn claim_on(value: &str, node: &str, key: &str) -> Option<ReportClaim> {
    claim_about(value, node).filter(|claim| same_event(&claim.key, key))
}

/// Returns the present bridges, on nodes that are online; this bridge is always included.
fn line(me: &str, mon: &CrmMon, attributes: &[(String, String)]) -> Vec<Bridge> {
    let there = |name: &str| {
        name == me
            || attributes
                .iter()
                .any(|(bridge, value)| bridge == name && value.starts_with('1'))
    };
    let nodes = mon
        .nodes
        .iter()
        .filter(|node| (node.online || node.name == me) && there(&node.name));
    nodes
        .map(|node| Bridge {
            node: node.name.clone(),
            kind: node.kind,
            dc: mon.dc.as_deref() == Some(node.name.as_str()),
        })
        .collect()
}

#[cfg(test)]
mod tests;
