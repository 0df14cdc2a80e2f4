//! The choice of the next move, over all recoveries of an engine.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::Urgency;

/// Every fourth slot goes to the recovery that has waited longest with nothing in flight, whatever the urgency of the
/// others.
const ROUND_ROBIN_SLOT_INTERVAL: u64 = 4;

/// The input of [`allot`] for one recovery.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryDemand<'a> {
    /// The number of evacuations in flight.
    pub busy: u32,
    /// The time since which it has had nothing in flight or got no slot; any clock.
    pub waits_since: Duration,
    /// The moves that wait only for a permit, most urgent first.
    pub ready: &'a [(Urgency, u32)],
}

/// Divides `free` slots among `recoveries` and returns the number for each, in their order. `free` is the unused part of
/// `window`, and `given` is the number of slots ever given.
///
/// The most urgent move goes first, whichever recovery it belongs to; among equals, the recovery with the fewest in flight.
/// But every recovery keeps one in flight while all of them fit into half of the window. If they do not, every fourth slot
/// is given round-robin, so that no recovery waits forever behind the urgent moves of others.
pub fn allot(free: u32, window: u32, given: u64, recoveries: &[RecoveryDemand<'_>]) -> Vec<u32> {
    let mut shares = vec![0_u32; recoveries.len()];
    let mut left = free;
    let mut idle: Vec<(Duration, usize)> = recoveries
        .iter()
        .enumerate()
        .filter(|(_, recovery)| recovery.busy == 0 && !recovery.ready.is_empty())
        .map(|(at, recovery)| (recovery.waits_since, at))
        .collect();
    idle.sort_unstable();
    let open = recoveries
        .iter()
        .filter(|recovery| recovery.busy > 0 || !recovery.ready.is_empty())
        .count();
    let all_fit = u32::try_from(open).is_ok_and(|open| open <= window / 2);
    let mut idle = idle.into_iter().map(|(_, at)| at);
    if all_fit {
        for at in idle.by_ref().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            shares[at] = 1;
            left -= 1;
        }
    }
    let mut heap: BinaryHeap<_> = (0..recoveries.len())
        .filter_map(|at| bid(&recoveries[at], shares[at], at))
        .collect();
    let mut turn = given;
    while left > 0 {
        turn = turn.wrapping_add(1);
        if turn.is_multiple_of(ROUND_ROBIN_SLOT_INTERVAL)
            && let Some(at) = idle.by_ref().find(|at| shares[*at] == 0)
        {
            // The recovery's bid in the heap is now one slot behind; it is corrected when it comes up.
            shares[at] = 1;
            left -= 1;
            continue;
        }
        let Some(bidding) = heap.pop() else { break };
        let at = bidding.at;
        match bid(&recoveries[at], shares[at], at) {
            // A round-robin slot was given in between.
            Some(now) if now != bidding => heap.push(now),
            Some(_) => {
                shares[at] += 1;
                left -= 1;
                heap.extend(bid(&recoveries[at], shares[at], at));
            }
            None => {}
        }
    }
    shares
}

/// A recovery's bid for its next slot; the greatest wins.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SlotBid {
    urgency: Urgency,
    busy: Reverse<u32>,
    waits_since: Reverse<Duration>,
    place: Reverse<usize>,
    at: usize,
}

fn bid(recovery: &RecoveryDemand<'_>, share: u32, at: usize) -> Option<SlotBid> {
    let mut before = share;
    let urgency = recovery.ready.iter().find_map(|(urgency, count)| {
        if before < *count {
            Some(*urgency)
        } else {
            before -= count;
            None
        }
    })?;
    Some(SlotBid {
        urgency,
        busy: Reverse(recovery.busy.saturating_add(share)),
        waits_since: Reverse(recovery.waits_since),
        place: Reverse(at),
        at,
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LOW: Urgency = Urgency {
        tagged: false,
        priority: 0,
    };
    const HIGH: Urgency = Urgency {
        tagged: true,
        priority: 7,
    };

    fn recovery(busy: u32, since: u64, ready: &[(Urgency, u32)]) -> RecoveryDemand<'_> {
        RecoveryDemand {
            busy,
            waits_since: Duration::from_secs(since),
            ready,
        }
    }

    #[test]
    #[expect(clippy::type_complexity, reason = "a table of cases")]
    fn slots_go_to_urgent_moves_and_some_to_every_recovery() {
        let low = [(LOW, 40)];
        let high = [(HIGH, 40)];
        let few = [(HIGH, 2), (LOW, 40)];
        let none = [];
        let cases: [(&str, u32, u32, Vec<RecoveryDemand<'_>>, Vec<u32>); 9] = [
            ("one alone has all", 24, 24, vec![recovery(0, 0, &low)], vec![24]),
            (
                "equals have equal parts",
                24,
                24,
                vec![recovery(0, 0, &low), recovery(0, 0, &low), recovery(0, 1, &low)],
                vec![8, 8, 8],
            ),
            (
                "who has more under way gets less",
                4,
                24,
                vec![recovery(10, 0, &low), recovery(3, 0, &low)],
                vec![0, 4],
            ),
            (
                "the urgent has all but one each",
                24,
                24,
                vec![recovery(0, 0, &low), recovery(0, 0, &high), recovery(0, 0, &low)],
                vec![1, 22, 1],
            ),
            (
                "what is urgent of one comes before the rest of both",
                6,
                24,
                vec![recovery(5, 0, &low), recovery(9, 0, &few)],
                vec![4, 2],
            ),
            (
                "who has one under way waits for the urgent",
                5,
                24,
                vec![recovery(1, 0, &low), recovery(9, 0, &high)],
                vec![0, 5],
            ),
            ("nothing wanted", 24, 24, vec![recovery(0, 0, &none)], vec![0]),
            ("nothing free", 0, 24, vec![recovery(0, 0, &low)], vec![0]),
            (
                "no more than is wanted",
                24,
                24,
                vec![recovery(0, 0, &[(LOW, 1)]), recovery(0, 0, &[(LOW, 2)])],
                vec![1, 2],
            ),
        ];
        for (name, free, window, recoveries, expected) in cases {
            assert_eq!(allot(free, window, 0, &recoveries), expected, "{name}");
        }
    }

    #[test]
    fn more_recoveries_than_slots_are_served_round_robin() {
        let low = [(LOW, 40)];
        let high = [(HIGH, 10_000)];
        let mut recoveries = vec![recovery(6, 0, &high)];
        recoveries.extend((0..100).map(|n| recovery(0, 100 - n, &low)));
        let shares = allot(8, 8, 0, &recoveries);
        assert_eq!(shares[0], 6);
        assert_eq!(shares[100], 1, "waits longest");
        assert_eq!(shares[99], 1);
        assert_eq!(shares.iter().sum::<u32>(), 8);
    }

    /// Covers R13.
    #[test]
    fn fairness_no_recovery_starves_behind_a_stream_of_urgent_moves() {
        // One slot becomes free at a time, and a recovery with endlessly many urgent moves bids for each.
        let low = [(LOW, 1)];
        let high = [(HIGH, u32::MAX)];
        let mut since: Vec<u64> = vec![0; 50];
        let mut served = [false; 50];
        for given in 0..250_u64 {
            let mut recoveries = vec![recovery(9, 0, &high)];
            recoveries.extend(since.iter().map(|since| recovery(0, *since, &low)));
            let shares = allot(1, 24, given, &recoveries);
            if let Some(at) = shares[1..].iter().position(|share| *share == 1) {
                served[at] = true;
                since[at] = given + 1;
            }
        }
        assert!(served.iter().all(|served| *served));
    }

    fn readies() -> impl Strategy<Value = Vec<(Urgency, u32)>> {
        vec((any::<bool>(), -3_i64..3, 1_u32..9), 0..4).prop_map(|mut ready| {
            ready.sort_by_key(|(tagged, priority, _)| Reverse((*tagged, *priority)));
            ready
                .into_iter()
                .map(|(tagged, priority, count)| (Urgency { tagged, priority }, count))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn all_free_slots_are_used_and_no_more(
            free in 0_u32..40,
            more in 0_u32..40,
            given in any::<u64>(),
            demands in vec((0_u32..5, 0_u64..9, readies()), 0..30),
        ) {
            let recoveries: Vec<RecoveryDemand<'_>> =
                demands.iter().map(|(busy, since, ready)| recovery(*busy, *since, ready)).collect();
            let shares = allot(free, free + more, given, &recoveries);
            let want = |recovery: &RecoveryDemand<'_>| recovery.ready.iter().map(|(_, count)| count).sum::<u32>();
            let demanded: u32 = recoveries.iter().map(want).sum();
            prop_assert_eq!(shares.iter().sum::<u32>(), free.min(demanded));
            for (recovery, share) in recoveries.iter().zip(&shares) {
                prop_assert!(*share <= want(recovery));
            }
            prop_assert_eq!(&shares, &allot(free, free + more, given, &recoveries));
        }
    }
}
