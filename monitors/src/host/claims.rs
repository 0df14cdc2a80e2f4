//! Which of the bridges tells.
//!
//! Every bridge sets one private attribute on its node: that it is there, and what it has taken on. Private attributes live
//! in the memory of the cluster and cost no change of the CIB. They are read when there is something to tell, and by those
//! who may stand by.

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_pacemaker::{Bridge, Claim, ClaimState, CrmMon, Kind, Time, delay, overtaking, same_event};
use tokio::time::Instant;

use super::tools::Cluster;

/// The attribute's name.
const ATTRIBUTE: &str = "tachi-bridge";
/// What a claim is kept for after the API has answered: longer than any other bridge waits.
pub(crate) const KEPT: Duration = Duration::from_secs(600);
/// Attributes of a node that rejoins are gone: said anew this often.
const AGAIN: Duration = Duration::from_secs(60);

/// For so many turns after its own the word of one remote alone is waited upon.
const PATIENCE: u32 = 2;

/// Whose word it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// This bridge's, now.
    Mine,
    /// Not decided yet.
    Wait,
    /// Another bridge has told it, and the API has answered.
    Told(String),
    /// Another bridge has told what came after it, and the API has answered.
    Overtaken {
        /// Which bridge.
        bridge: String,
        /// The key of what it has told last.
        key: String,
    },
}

/// A moment on two clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The one that the keys of reports are dated by.
    pub(crate) wall: Time,
    /// The one that waits are measured by.
    pub(crate) steady: Instant,
}

#[derive(Debug)]
struct Mine {
    claim: Claim,
    at: Instant,
}

#[derive(Debug)]
struct Wait {
    key: String,
    due: Instant,
    /// Nobody is before this bridge in line.
    first: bool,
    /// Who else works on it, how far he was, and when that was first seen.
    other: Option<(String, u64, Instant)>,
}

/// What this bridge knows of the others.
#[derive(Debug)]
pub(crate) struct Claims {
    turn: Duration,
    mine: BTreeMap<String, Mine>,
    waits: BTreeMap<String, Wait>,
    announced: Option<(Instant, String)>,
}

impl Claims {
    /// Each bridge in line waits one `turn` longer than the one before it.
    pub(crate) fn new(turn: Duration) -> Self {
        Self {
            turn,
            mine: BTreeMap::new(),
            waits: BTreeMap::new(),
            announced: None,
        }
    }

    /// Reads what all bridges say; nothing if that cannot be had.
    pub(crate) async fn read(&self, cluster: &dyn Cluster) -> Option<Vec<(String, String)>> {
        match cluster.attributes(ATTRIBUTE).await {
            Ok(attributes) => Some(attributes),
            Err(error) => {
                tracing::warn!(error = %error, "the other bridges cannot be asked; the API knows duplicates");
                None
            }
        }
    }

    /// Whose word the report `key` about `node` is, given what all bridges said.
    pub(crate) fn whose(
        &mut self,
        me: &str,
        mon: &CrmMon,
        said: Option<&[(String, String)]>,
        node: &str,
        key: &str,
        now: Moment,
    ) -> Word {
        // Nobody tells of himself: who is dead has not, and who is not is no judge of it.
        let others: Vec<_> = said
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
            .filter(|(_, claim)| overtaking(key, now.wall, [((), claim.clone())]).is_some())
            .collect();
        if let Some(word) = trust.settled(&claims, &since, key, now.wall) {
            self.waits.remove(node);
            self.withdraw(node);
            return word;
        }
        let now = now.steady;
        let turn = self.turn;
        let fresh = self
            .waits
            .get(node)
            .is_none_or(|wait| !same_event(&wait.key, key));
        if fresh {
            let wait = match said {
                Some(said) => {
                    // Nobody tells of himself, and he may still be shown online.
                    let mut line = line(me, mon, said);
                    line.retain(|bridge| bridge.node != node);
                    delay(me, &line, turn)
                }
                // Without a word from the others the DC's bridge goes first.
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
            return Word::Mine;
        };
        // The word of one remote alone is waited upon for a while, and no longer: it may be false.
        let patient = !trust.is_member(me) && now < wait.due + turn * PATIENCE;
        let taken = trust
            .believed(in_state(ClaimState::Spooled))
            .or_else(|| in_state(ClaimState::Spooled).next().filter(|_| patient));
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
        // It counts on every half turn while it lives.
        let worked_on = taken.is_some()
            && wait
                .other
                .as_ref()
                .is_some_and(|(_, _, since)| now - *since < turn * 2);
        let perhaps_told = patient && (in_state(ClaimState::Accepted).next().is_some() || !since.is_empty());
        if worked_on || perhaps_told {
            self.withdraw(node);
            return Word::Wait;
        }
        if !due {
            return Word::Wait;
        }
        if first {
            self.waits.remove(node);
            return Word::Mine;
        }
        // Who is not the first in line says what he is going to do, and listens once more: two that see the same at the
        // same moment would both tell.
        let intended = self
            .mine
            .get(node)
            .is_some_and(|mine| same_event(&mine.claim.key, key) && mine.claim.state == ClaimState::Intended);
        let before = in_state(ClaimState::Intended)
            .any(|(bridge, _)| bridge < me && (patient || (trust.is_member(bridge) && trust.weighs(bridge))));
        if intended && !before {
            self.waits.remove(node);
            return Word::Mine;
        }
        if !intended {
            self.claim(node, key, ClaimState::Intended, now);
        }
        Word::Wait
    }

    fn claim(&mut self, node: &str, key: &str, state: ClaimState, now: Instant) {
        let claim = Claim {
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

    /// Forgets what it waited for about nodes of which there is nothing to tell any more.
    pub(crate) fn settle(&mut self, open: impl Fn(&str) -> bool) {
        self.waits.retain(|node, _| open(node));
        self.mine
            .retain(|node, mine| mine.claim.state != ClaimState::Intended || open(node));
    }

    /// This bridge tells it.
    pub(crate) fn take(&mut self, node: &str, key: &str, now: Instant) {
        self.claim(node, key, ClaimState::Spooled, now);
    }

    /// What this bridge has taken on and the API has not answered yet.
    pub(crate) fn open(&self) -> Vec<String> {
        let open = self
            .mine
            .iter()
            .filter(|(_, mine)| mine.claim.state == ClaimState::Spooled);
        open.map(|(node, _)| node.clone()).collect()
    }

    /// The API has answered.
    pub(crate) fn accepted(&mut self, node: &str) {
        if let Some(mine) = self.mine.get_mut(node) {
            mine.claim.state = ClaimState::Accepted;
        }
    }

    /// Tells the others, if there is anything new.
    pub(crate) async fn announce(&mut self, cluster: &dyn Cluster, now: Instant) {
        let turn = self.turn;
        self.mine
            .retain(|_, mine| mine.claim.state == ClaimState::Spooled || now - mine.at < KEPT);
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
            .is_some_and(|(at, said)| *said == value && now - *at < AGAIN);
        if known {
            return;
        }
        match cluster.set_attribute(ATTRIBUTE, &value).await {
            Ok(()) => self.announced = Some((now, value)),
            Err(error) => {
                tracing::warn!(error = %error, "the other bridges cannot be told; the API knows duplicates");
                // Tried again with the next beat, not at once.
                self.announced = Some((now, String::new()));
            }
        }
    }

    /// Leaves the line.
    pub(crate) async fn leave(&self, cluster: &dyn Cluster) {
        if let Err(error) = cluster.set_attribute(ATTRIBUTE, &self.value(false)).await {
            tracing::debug!(error = %error, "the other bridges cannot be told that this one ends");
        }
    }

    /// What others read: whether this bridge is in line, and what it has told.
    fn value(&self, there: bool) -> String {
        let claims = self.mine.iter().filter(|(node, _)| !node.contains([';', '=']));
        let claims = claims.map(|(node, mine)| format!(";{node}={}", mine.claim));
        std::iter::once(u8::from(there).to_string())
            .chain(claims)
            .collect()
    }
}

/// Whose word about another bridge's report counts.
///
/// Whoever is root on a remote may write anything into its attribute. A bridge on a member believes members only. One on a
/// remote, which may be alone with other remotes, believes two of them; the word of one alone only makes it wait. What is
/// told twice because of that is known to the API.
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

    /// Whether this bridge's word counts at all.
    fn weighs(&self, bridge: &str) -> bool {
        self.is_member(bridge) || (self.kind(bridge) == Some(Kind::Remote) && !self.is_member(self.me))
    }

    /// What others have told for good, if they are believed: the report itself, or what has come `since`.
    fn settled(
        &self,
        claims: &[(&str, Claim)],
        since: &[(&str, Claim)],
        key: &str,
        wall: Time,
    ) -> Option<Word> {
        let accepted = claims
            .iter()
            .filter(|(_, claim)| claim.state == ClaimState::Accepted)
            .map(|(bridge, claim)| (*bridge, claim));
        if let Some((bridge, _)) = self.believed(accepted) {
            return Some(Word::Told(bridge.to_owned()));
        }
        self.believed(since.iter().map(|(bridge, claim)| (*bridge, claim)))?;
        let weighty = since.iter().filter(|(bridge, _)| self.weighs(bridge)).cloned();
        let (bridge, claim) = overtaking(key, wall, weighty)?;
        Some(Word::Overtaken {
            bridge: bridge.to_owned(),
            key: claim.key,
        })
    }

    /// One of `claims`, if those who make them are believed: a member, or two.
    fn believed<'c>(
        &self,
        claims: impl Iterator<Item = (&'c str, &'c Claim)>,
    ) -> Option<(&'c str, &'c Claim)> {
        let claims: Vec<_> = claims.filter(|(bridge, _)| self.weighs(bridge)).collect();
        let member = claims.iter().find(|(bridge, _)| self.is_member(bridge));
        let two = claims.first().filter(|_| claims.len() >= 2);
        member.or(two).copied()
    }
}

/// Whether enough others are before the bridge on `me` in line, given what all bridges said.
pub(crate) fn is_spare(me: &str, mon: &CrmMon, said: &[(String, String)]) -> bool {
    tachi_pacemaker::is_spare(me, &line(me, mon, said))
}

/// What a bridge says about a node, in the value of its attribute.
fn claim_about(value: &str, node: &str) -> Option<Claim> {
    let mut parts = value.split(';').filter_map(|part| part.split_once('='));
    let (_, claim) = parts.find(|(of, _)| *of == node)?;
    Claim::parse(claim)
}

/// The same about one report.
fn claim_on(value: &str, node: &str, key: &str) -> Option<Claim> {
    claim_about(value, node).filter(|claim| same_event(&claim.key, key))
}

/// The bridges that are there, on nodes that are online; this one always.
fn line(me: &str, mon: &CrmMon, said: &[(String, String)]) -> Vec<Bridge> {
    let there = |name: &str| {
        name == me
            || said
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
