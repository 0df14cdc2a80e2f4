use std::sync::Mutex;

use async_trait::async_trait;
use tachi_domain::fault::{Fault, FaultClass};

use super::*;
use crate::ports::ProviderLine;

/// A Placement that counts its requests.
#[derive(Default)]
struct Placement {
    generations: Mutex<BTreeMap<String, u64>>,
    requests: Mutex<u64>,
    refuses: Mutex<Option<u16>>,
}

impl Placement {
    fn of(hosts: usize) -> Self {
        let names = (0..hosts).map(|number| (format!("n{number:04}"), 1));
        Self {
            generations: Mutex::new(names.collect()),
            ..Self::default()
        }
    }

    fn change(&self, id: &str) {
        *self.generations.lock().unwrap().get_mut(id).unwrap() += 1;
    }

    fn count_requests(&self, requests: u64) -> Result<(), CallError> {
        *self.requests.lock().unwrap() += requests;
        match *self.refuses.lock().unwrap() {
            None => Ok(()),
            status => Err(CallError {
                fault: Fault {
                    class: if status == Some(500) {
                        FaultClass::Transient
                    } else {
                        FaultClass::Permanent
                    },
                    status,
                    maybe_done: false,
                    text: "placement: refused".into(),
                },
                source: None,
            }),
        }
    }

    fn cost(&self) -> u64 {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

#[async_trait]
impl Port for Placement {
    async fn providers(&self) -> Result<Vec<ProviderLine>, CallError> {
        self.count_requests(1)?;
        let all = self.generations.lock().unwrap().clone();
        let lines = all
            .into_iter()
            .map(|(id, generation)| ProviderLine { id, generation });
        Ok(lines.collect())
    }
    async fn nodes(&self) -> Result<BTreeMap<String, String>, CallError> {
        self.count_requests(1)?;
        let all = self.generations.lock().unwrap().clone();
        Ok(all
            .into_keys()
            .map(|id| (id.clone(), id.replace('n', "h")))
            .collect())
    }
    async fn provider(&self, id: &str) -> Result<Option<(u64, Provider)>, CallError> {
        self.count_requests(3)?;
        let generation = self.generations.lock().unwrap()[id];
        // Two kinds of hosts.
        let sort = id.bytes().last().unwrap() % 2;
        let provider = Provider {
            traits: Arc::new([format!("CUSTOM_{sort}")].into()),
            ..Provider::default()
        };
        Ok(Some((generation, provider)))
    }
    async fn all_aggregates(&self) -> Result<Vec<Aggregate>, CallError> {
        self.count_requests(1)?;
        Ok(Vec::new())
    }
    async fn groups(&self) -> Result<Vec<Group>, CallError> {
        self.count_requests(1)?;
        Ok(Vec::new())
    }
}

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

#[tokio::test]
async fn the_requests_per_round_are_bounded() {
    for (hosts, first, rounds) in [(10, 34, 1), (100, 64, 5), (1_000, 64, 50)] {
        let placement = Placement::of(hosts);
        let mut rooms = Rooms::default();
        let mut took = 0;
        let mut most = 0;
        while took == 0 || rooms.state.unread > 0 {
            rooms.poll(&placement, NOW).await;
            took += 1;
            let cost = placement.cost();
            if took == 1 {
                assert_eq!(cost, first, "{hosts} hosts: the first round");
            }
            most = most.max(cost);
        }
        assert_eq!(took, rounds, "{hosts} hosts");
        assert!(most <= 64, "{hosts} hosts: {most}");
        assert_eq!(rooms.snapshot().unwrap().value.providers.len(), hosts);
        // Nothing changes any more: only the list, the aggregates and occasionally the groups are read.
        let mut quiet = 0;
        for _ in 0..4 {
            rooms.poll(&placement, NOW).await;
            quiet += placement.cost();
        }
        assert_eq!(quiet, 9, "{hosts} hosts: four quiet rounds");
    }
}

#[tokio::test]
async fn a_changed_provider_that_is_not_read_yet_is_dropped() {
    let placement = Placement::of(30);
    let mut rooms = Rooms::resume(["gone".to_owned()]);
    rooms.poll(&placement, NOW).await;
    rooms.poll(&placement, NOW).await;
    let observed = rooms.take_changed();
    assert_eq!(observed.len(), 31);
    assert!(
        observed.contains(&("gone".to_owned(), None)),
        "no data of the previous hosts remains"
    );
    assert!(rooms.take_changed().is_empty());
    for number in 0..30 {
        placement.change(&format!("n{number:04}"));
    }
    rooms.poll(&placement, NOW).await;
    let observed = rooms.take_changed();
    let forgotten = observed.iter().filter(|(_, provider)| provider.is_none()).count();
    assert_eq!((observed.len(), forgotten), (30, 10));
    assert_eq!(rooms.state.unread, 10);
}

#[tokio::test]
async fn a_refusal_is_reported_with_its_remedy_until_it_ends() {
    let placement = Placement::of(3);
    let mut rooms = Rooms::default();
    for (status, advice) in [(403, "role admin"), (404, "catalogue"), (500, "refused")] {
        *placement.refuses.lock().unwrap() = Some(status);
        rooms.poll(&placement, NOW).await;
        let problem = rooms.snapshot().unwrap().value.state.trouble.unwrap();
        assert!(problem.contains(advice), "{status}: {problem}");
        assert_eq!(rooms.state.refused, status != 500, "{status}");
    }
    *placement.refuses.lock().unwrap() = None;
    rooms.poll(&placement, NOW).await;
    assert_eq!(rooms.snapshot().unwrap().value.state, RoomsState::default());
}

/// One failed read keeps the data valid; after a minute of failures nothing is.
#[tokio::test]
async fn data_stays_valid_for_a_while_after_a_transient_failure() {
    let placement = Placement::of(3);
    let mut rooms = Rooms::default();
    rooms.poll(&placement, NOW).await;
    let observed = |rooms: &Rooms| {
        let observed = rooms.snapshot().unwrap();
        (observed.as_of, observed.value.state.trouble.is_some())
    };
    *placement.refuses.lock().unwrap() = Some(500);
    let later = |seconds: i64| NOW.minus_seconds(-seconds);
    for seconds in [15, 30, 45] {
        rooms.poll(&placement, later(seconds)).await;
        assert_eq!(observed(&rooms), (NOW, false), "{seconds}");
    }
    rooms.poll(&placement, later(60)).await;
    assert_eq!(observed(&rooms), (later(60), true));
    *placement.refuses.lock().unwrap() = None;
    rooms.poll(&placement, later(75)).await;
    assert_eq!(observed(&rooms), (later(75), false));
    // A denied request is reported at once.
    *placement.refuses.lock().unwrap() = Some(403);
    rooms.poll(&placement, later(90)).await;
    assert_eq!(observed(&rooms), (later(90), true));
    assert!(rooms.state.refused);
}

#[tokio::test]
async fn equal_traits_are_stored_once() {
    let mut rooms = Rooms::default();
    rooms.poll(&Placement::of(8), NOW).await;
    let providers = rooms.snapshot().unwrap().value.providers;
    let traits: BTreeSet<_> = providers
        .values()
        .map(|provider| Arc::as_ptr(&provider.traits))
        .collect();
    assert_eq!((providers.len(), traits.len()), (8, 2));
}
