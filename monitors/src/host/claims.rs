//! Which of the bridges tells.
//!
//! Every bridge sets one private attribute on its node: that it is there, and what it has taken on. Private attributes live
//! in the memory of the cluster and cost no change of the CIB. They are read when there is something to tell, and by those
//! who may stand by.

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_pacemaker::{Bridge, Claim, ClaimState, CrmMon, Time, delay, overtaking, same_event};
use tokio::time::Instant;

use super::tools::Cluster;

/// The attribute's name.
const ATTRIBUTE: &str = "tachi-bridge";
/// What a claim is kept for after the API has answered: longer than any other bridge waits.
pub(crate) const KEPT: Duration = Duration::from_secs(600);
/// Attributes of a node that rejoins are gone: said anew this often.
const AGAIN: Duration = Duration::from_secs(60);

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
        let others: Vec<_> = said
            .unwrap_or_default()
            .iter()
            .filter(|(bridge, _)| bridge != me)
            .collect();
        let claims = others
            .iter()
            .filter_map(|(bridge, value)| Some((bridge.as_str(), claim_on(value, node, key)?)));
        let claims: Vec<_> = claims.collect();
        if let Some((bridge, _)) = claims
            .iter()
            .find(|(_, claim)| claim.state == ClaimState::Accepted)
        {
            self.waits.remove(node);
            self.withdraw(node);
            return Word::Told((*bridge).to_owned());
        }
        let about = others
            .iter()
            .filter_map(|(bridge, value)| Some((bridge.clone(), claim_about(value, node)?)));
        if let Some((bridge, claim)) = overtaking(key, now.wall, about) {
            self.waits.remove(node);
            self.withdraw(node);
            return Word::Overtaken {
                bridge,
                key: claim.key,
            };
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
        let taken = claims
            .iter()
            .find(|(_, claim)| claim.state == ClaimState::Spooled);
        if let Some((bridge, claim)) = taken {
            let known = wait
                .other
                .as_ref()
                .is_some_and(|(who, beat, _)| who == bridge && *beat == claim.beat);
            if !known {
                wait.other = Some(((*bridge).to_owned(), claim.beat, now));
            }
        }
        let (due, first) = (now >= wait.due, wait.first);
        // It counts on every half turn while it lives.
        let worked_on = taken.is_some()
            && wait
                .other
                .as_ref()
                .is_some_and(|(_, _, since)| now - *since < turn * 2);
        if worked_on {
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
        let before = claims
            .iter()
            .any(|(bridge, claim)| claim.state == ClaimState::Intended && *bridge < me);
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
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_secs(5);

    fn mon() -> CrmMon {
        CrmMon::parse(
            r#"<crm_mon><summary><current_dc present="true" name="ctl1" with_quorum="true"/></summary><nodes>
            <node name="ctl1" type="member" online="true"/><node name="ctl2" type="member" online="true"/>
            <node name="cmp1" type="remote" online="true"/><node name="cmp2" type="remote" online="false"/></nodes></crm_mon>"#,
        )
        .unwrap()
    }

    fn at(steady: Instant) -> Moment {
        let wall = chrono::DateTime::from_timestamp(1_795_277_700, 0).unwrap();
        Moment { wall, steady }
    }

    fn said(values: &[(&str, &str)]) -> Vec<(String, String)> {
        values
            .iter()
            .map(|(bridge, value)| ((*bridge).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn whose(claims: &mut Claims, me: &str, values: &[(&str, &str)], now: Instant) -> Word {
        claims.whose(me, &mon(), Some(&said(values)), "cmp2", "fenced:7", at(now))
    }

    #[tokio::test(start_paused = true)]
    async fn mw08_the_bridge_on_the_dc_tells_and_the_others_hear_of_it() {
        let all = [("ctl1", "1"), ("ctl2", "1"), ("cmp1", "1")];
        let start = Instant::now();
        assert_eq!(whose(&mut Claims::new(TURN), "ctl1", &all, start), Word::Mine);
        let mut other = Claims::new(TURN);
        assert_eq!(whose(&mut other, "ctl2", &all, start), Word::Wait);
        let told = [("ctl1", "1;cmp2=fenced:7/accepted/1"), ("ctl2", "1")];
        assert_eq!(
            whose(&mut other, "ctl2", &told, start + TURN / 2),
            Word::Told("ctl1".to_owned())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn mw08_nobody_waits_for_the_bridge_on_the_host_that_is_gone() {
        // Just fenced, and still shown online.
        let said = said(&[("cmp1", "1"), ("cmp2", "1")]);
        let word = Claims::new(TURN).whose(
            "cmp2",
            &mon(),
            Some(&said),
            "cmp1",
            "fenced:7",
            at(Instant::now()),
        );
        assert_eq!(word, Word::Mine);
    }

    /// Pacemaker's fencers each set the time of a fencing themselves.
    #[tokio::test(start_paused = true)]
    async fn mw08_a_claim_dated_by_another_nodes_clock_is_a_claim_on_the_same_fencing() {
        let start = Instant::now();
        for key in ["fenced:1795158416", "started:fenced:1795158416"] {
            let claim = format!("1;cmp2={}/accepted/1", key.replace("416", "417"));
            let said = said(&[("ctl1", &claim), ("ctl2", "1")]);
            let word = Claims::new(TURN).whose("ctl2", &mon(), Some(&said), "cmp2", key, at(start));
            assert_eq!(word, Word::Told("ctl1".to_owned()), "{key}");
        }
    }

    /// A bridge whose machine was stopped for minutes wakes up with what it knew before.
    #[tokio::test(start_paused = true)]
    async fn mw08_what_another_bridge_has_told_since_is_not_told_over() {
        let start = Instant::now();
        let said = said(&[
            ("ctl1", "1;cmp2=started:fenced:1795277586/accepted/1"),
            ("ctl2", "1"),
        ]);
        let mut claims = Claims::new(TURN);
        let mut word = |key: &str, when| claims.whose("ctl2", &mon(), Some(&said), "cmp2", key, at(when));
        let overtaken = Word::Overtaken {
            bridge: "ctl1".to_owned(),
            key: "started:fenced:1795277586".to_owned(),
        };
        for key in [
            "started:fenced:1795277525",
            "fenced:1795277525",
            "lost:fenced:1795277525",
        ] {
            for turns in 0..6 {
                assert_eq!(word(key, start + TURN * turns), overtaken, "{key}");
            }
        }
        assert_eq!(word("fenced:1795277600", start), Word::Wait, "that is new");
    }

    #[tokio::test(start_paused = true)]
    async fn mw08_what_the_api_has_not_answered_overtakes_nothing() {
        let said = said(&[
            ("ctl2", "1;cmp2=started:fenced:1795277586/spooled/1"),
            ("ctl1", "1"),
        ]);
        let mut claims = Claims::new(TURN);
        let word = claims.whose(
            "ctl1",
            &mon(),
            Some(&said),
            "cmp2",
            "started:fenced:1795277525",
            at(Instant::now()),
        );
        assert_eq!(word, Word::Mine);
    }

    #[tokio::test(start_paused = true)]
    async fn mw08_who_stands_by_takes_over_when_nobody_tells() {
        let all = [("ctl1", "1"), ("ctl2", "1"), ("cmp1", "1")];
        let start = Instant::now();
        let mut second = Claims::new(TURN);
        let mut third = Claims::new(TURN);
        for half_turns in 0..2 {
            assert_eq!(
                whose(&mut second, "ctl2", &all, start + TURN / 2 * half_turns),
                Word::Wait
            );
            assert_eq!(
                whose(&mut third, "cmp1", &all, start + TURN / 2 * half_turns),
                Word::Wait
            );
        }
        assert_eq!(
            whose(&mut second, "ctl2", &all, start + TURN),
            Word::Wait,
            "it says that it will"
        );
        assert_eq!(second.value(true), "1;cmp2=fenced:7/intended/0");
        assert_eq!(whose(&mut second, "ctl2", &all, start + TURN), Word::Mine);
        assert_eq!(whose(&mut third, "cmp1", &all, start + TURN), Word::Wait);
        assert_eq!(whose(&mut third, "cmp1", &all, start + TURN * 2), Word::Wait);
        assert_eq!(whose(&mut third, "cmp1", &all, start + TURN * 2), Word::Mine);
    }

    #[tokio::test(start_paused = true)]
    async fn mw08_a_bridge_that_waits_for_the_api_is_left_alone_while_it_lives() {
        let start = Instant::now();
        let mut other = Claims::new(TURN);
        let mut now = start;
        for beat in 0..20 {
            let claim = format!("1;cmp2=fenced:7/spooled/{beat}");
            assert_eq!(
                whose(&mut other, "ctl2", &[("ctl1", &claim), ("ctl2", "1")], now),
                Word::Wait,
                "{beat}"
            );
            now += TURN / 2;
        }
        // It died: its beat stands still.
        let claim = [("ctl1", "1;cmp2=fenced:7/spooled/19"), ("ctl2", "1")];
        assert_eq!(whose(&mut other, "ctl2", &claim, now), Word::Wait);
        let later = now + TURN * 2;
        assert_eq!(whose(&mut other, "ctl2", &claim, later), Word::Wait, "it says so");
        assert_eq!(whose(&mut other, "ctl2", &claim, later), Word::Mine);
    }

    #[tokio::test(start_paused = true)]
    async fn claims_on_something_else_are_no_claims() {
        let start = Instant::now();
        for (name, value) in [
            ("another node", "1;cmp1=fenced:7/accepted/1"),
            ("an earlier report", "1;cmp2=fenced:1/accepted/1"),
            ("its own old value", "1;cmp2=fenced:7/nonsense/1"),
            ("not there any more", "0"),
        ] {
            let said = [("ctl9", value), ("cmp1", "1")];
            let word = whose(&mut Claims::new(TURN), "cmp1", &said, start);
            assert_eq!(word, Word::Mine, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_answer_of_the_cluster_the_dc_goes_first() {
        let now = Instant::now();
        let mut claims = Claims::new(TURN);
        assert_eq!(
            claims.whose("ctl1", &mon(), None, "cmp2", "k", at(now)),
            Word::Mine
        );
        let mut claims = Claims::new(TURN);
        assert_eq!(
            claims.whose("ctl2", &mon(), None, "cmp2", "k", at(now)),
            Word::Wait
        );
        let later = now + TURN;
        let mut word = || claims.whose("ctl2", &mon(), None, "cmp2", "k", at(later));
        assert_eq!([word(), word()], [Word::Wait, Word::Mine], "it says so first");
    }
}
