//! The pace against a model of Nova: seconds until instances are back, with all requests at once, with the former window
//! that starts as a guess, and with the one that learns.
//!
//! The model of the small Nova was fitted to a real one of 40 servers on two cores, which gave for the first, the median and
//! the last: 24 queued 10.8, 21.4, 22.4 s (the model 12.8, 21.2, 23.8); 4 queued 2.9, 11.2, 20.0 s (3.1, 12.3, 20.7).

mod drawing;
mod engine;
mod nova;

use engine::{Pace, Trajectory, Trial, guess, learner};
use nova::Kind;

/// A Nova on one machine with two cores that everything shares.
const SMALL: Kind = Kind {
    processors: 2.0,
    friction: 0.01,
    workers: 1_000,
    take_up: (0.3, 0.25),
    rebuild: (0.6, 0.65),
    spread: 0.6,
    poll: 0.04,
    slows: None,
};

/// Returns a Nova that picks up `rate` evacuations a second, and shares its processors among all requests.
fn sharing(rate: f64) -> Kind {
    let processors = match rate {
        ..2.0 => 1.0,
        ..10.0 => 2.0,
        ..50.0 => 4.0,
        ..100.0 => 8.0,
        _ => 16.0,
    };
    Kind {
        processors,
        friction: 0.0,
        workers: 1_000,
        take_up: (0.05, processors / rate),
        rebuild: (2.0, 0.0),
        spread: 0.6,
        poll: 0.005,
        slows: None,
    }
}

/// Returns a Nova that picks them up one after the other.
fn in_turn(rate: f64) -> Kind {
    Kind {
        processors: 1.0,
        workers: 1,
        take_up: (0.0, 1.0 / rate),
        ..sharing(rate)
    }
}

const RATES: [f64; 5] = [1.0, 3.0, 16.0, 60.0, 200.0];

/// Returns a number of instances for which the pace matters beside the time of a single one.
fn enough(rate: f64) -> usize {
    if rate < 10.0 { 60 } else { 400 }
}

/// The means over several runs.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    first: f64,
    median: f64,
    mean: f64,
    last: f64,
    /// The last instance of the quarter that was requested first.
    urgent: f64,
    /// The number of poll requests per instance.
    polls: f64,
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

fn figures(course: &Trajectory) -> Figures {
    let mut back = course.back.clone();
    let urgent = back[..back.len() / 4].iter().copied().fold(0.0, f64::max);
    back.sort_by(f64::total_cmp);
    Figures {
        first: back[0],
        median: back[back.len() / 2],
        mean: back.iter().sum::<f64>() / number(back.len()),
        last: back[back.len() - 1],
        urgent,
        polls: number(course.polls) / number(back.len()),
    }
}

fn of(kind: Kind, (hosts, engines, each): (usize, usize, usize), pace: &Pace) -> Figures {
    const RUNS: u32 = 2;
    let mut mean = Figures::default();
    for seed in 1..=u64::from(RUNS) {
        let trial = Trial {
            kind,
            engines,
            hosts,
            each,
            seed,
        };
        let one = figures(&trial.run(pace));
        for (sum, one) in [
            (&mut mean.first, one.first),
            (&mut mean.median, one.median),
            (&mut mean.mean, one.mean),
            (&mut mean.last, one.last),
            (&mut mean.urgent, one.urgent),
            (&mut mean.polls, one.polls),
        ] {
            *sum += one / f64::from(RUNS);
        }
    }
    mean
}

#[test]
fn a_small_nova_returns_the_mean_instance_in_two_thirds_of_the_time() {
    for (each, part) in [(40, 0.70), (200, 0.90)] {
        let was = of(SMALL, (1, 1, each), &guess(24));
        let now = of(SMALL, (1, 1, each), &learner());
        let single = of(SMALL, (1, 1, 1), &learner());
        let all = of(SMALL, (1, 1, each), &Pace::Loop);
        assert!(now.mean < part * was.mean, "{each}: {now:?} after {was:?}");
        assert!(now.mean < 0.66 * now.last, "{each}: {now:?}");
        assert!(
            now.first < 1.5 * single.first,
            "{each}: {now:?}, {single:?} alone"
        );
        assert!(
            now.last < 1.1 * all.last && now.last < 1.02 * was.last,
            "{each}: {now:?} after {was:?}"
        );
        assert!(now.urgent < now.median, "{each}: {now:?}");
        assert!(now.polls < 0.75, "{each}: {now:?}");
    }
}

#[test]
fn the_last_instance_is_back_as_soon_as_with_all_requests_at_once() {
    for rate in RATES {
        for (name, kind) in [("sharing", sharing(rate)), ("in turn", in_turn(rate))] {
            let each = (1, 1, enough(rate));
            let now = of(kind, each, &learner());
            let all = of(kind, each, &Pace::Loop);
            let single = of(kind, (1, 1, 1), &learner());
            let was = of(kind, each, &guess(24));
            // A poll takes time, which matters where all evacuations together take hardly longer than one.
            let late = now.last - 1.1 * all.last;
            assert!(late < 0.7, "{name} {rate}: {now:?}, {all:?} at once");
            assert!(
                now.first < 1.5 * single.first,
                "{name} {rate}: {now:?}, {single:?} alone"
            );
            assert!(now.mean < 1.1 * was.mean, "{name} {rate}: {now:?} after {was:?}");
            // Otherwise the start and the time of each destination are most of the total.
            if number(each.2) / rate > 10.0 {
                assert!(now.urgent < now.median, "{name} {rate}: {now:?}");
                assert!(now.mean < 0.62 * now.last, "{name} {rate}: {now:?}");
            }
        }
    }
}

#[test]
fn a_nova_that_shares_gives_the_mean_instance_back_sooner_than_with_a_guess() {
    for (rate, part) in [(1.0, 0.98), (3.0, 0.95)] {
        let was = of(sharing(rate), (1, 1, 40), &guess(24));
        let now = of(sharing(rate), (1, 1, 40), &learner());
        assert!(now.mean < part * was.mean, "{rate}: {now:?} after {was:?}");
        assert!(now.first < 0.6 * was.first, "{rate}: {now:?} after {was:?}");
    }
}

#[test]
fn a_nova_that_slows_to_a_tenth_is_neither_flooded_nor_left_idle() {
    for rate in [3.0, 60.0, 200.0] {
        let each = enough(rate);
        let at = 2.0 + 0.3 * number(each) / rate;
        for (name, kind) in [("sharing", sharing(rate)), ("in turn", in_turn(rate))] {
            let kind = Kind {
                slows: Some((at, 10.0)),
                ..kind
            };
            let now = of(kind, (1, 1, each), &learner());
            let all = of(kind, (1, 1, each), &Pace::Loop);
            // Two rebuilds, which take 20 s each now: the model gives slots only once it knows the wait.
            let slack = 1.1 * all.last + 16.0;
            assert!(now.last < slack, "{name} {rate}: {now:?}, {all:?} at once");
            assert!(
                now.mean < 1.3 * all.mean,
                "{name} {rate}: {now:?}, {all:?} at once"
            );
        }
    }
}

#[test]
fn several_hosts_and_several_engines_share_one_nova() {
    for engines in [1, 5] {
        let small = (5, engines, 20);
        let was = of(SMALL, small, &guess(24));
        let now = of(SMALL, small, &learner());
        assert!(
            now.mean < 0.8 * was.mean,
            "{engines} engines: {now:?} after {was:?}"
        );
        assert!(
            now.last < 0.95 * was.last,
            "{engines} engines: {now:?} after {was:?}"
        );
        for kind in [sharing(16.0), in_turn(16.0), in_turn(60.0)] {
            let all = of(kind, (5, engines, 40), &Pace::Loop);
            let now = of(kind, (5, engines, 40), &learner());
            // Several engines do not get equal parts of it, so one of them finishes later than the others.
            let most = if engines == 1 { 1.15 } else { 1.2 };
            assert!(
                now.last < most * all.last,
                "{engines} engines: {now:?}, {all:?} at once"
            );
        }
    }
}

#[test]
fn a_naturally_slow_nova_is_not_starved() {
    let slow = Kind {
        take_up: (1.0, 0.01),
        ..sharing(16.0)
    };
    let now = of(slow, (1, 1, 400), &learner());
    assert!(
        now.last < 25.0,
        "a second until it is taken up, and as many hands as one likes: {now:?}"
    );
    let rebuild = Kind {
        rebuild: (20.0, 0.0),
        spread: 0.1,
        ..in_turn(100.0)
    };
    for each in [40, 400] {
        let now = of(rebuild, (1, 1, each), &learner());
        let all = of(rebuild, (1, 1, each), &Pace::Loop);
        assert!(now.last < 1.05 * all.last, "{each}: {now:?}, {all:?} at once");
    }
    let jumps = Kind {
        take_up: (0.1, 0.01),
        processors: 100.0,
        slows: Some((4.0, 10.0)),
        ..slow
    };
    let was = of(jumps, (1, 1, 400), &guess(24));
    let now = of(jumps, (1, 1, 400), &learner());
    assert!(now.last < was.last, "{now:?} after {was:?}");
}
