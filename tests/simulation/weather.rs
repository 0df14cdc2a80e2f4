//! The faults of one seed.

use std::time::Duration;

use tachi_domain::policy::{BareNormal, FencingMode};

use crate::faults::Faults;
use crate::liars::Liars;
use crate::machines::Bmc;
use crate::more_weather::ExtraFaults;
use crate::refusals::Refusals;
use crate::rng::Rng;
use crate::storms::Storms;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Its power is cut.
    Plug,
    /// Its system hangs: nothing runs, but the power is on.
    Hang,
    /// It is isolated, and its guests run on.
    Isolated,
    /// It is healthy.
    FalseAlarm,
}

#[expect(clippy::struct_excessive_bools, reason = "each is drawn for itself")]
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub engines: usize,
    pub servers: usize,
    pub mode: FencingMode,
    pub bare_normal: BareNormal,
    pub failure: Failure,
    pub reported: &'static str,
    pub bmc: Bmc,
    pub chaos_end: u64,
    pub end: u64,
    /// Percent of calls that get no answer in time.
    pub lost: u64,
    /// Percent of calls that Nova answers with 503.
    pub unavailable: u64,
    /// Percent of commits before or after which the engine dies.
    pub crash: u64,
    /// Number of the commit at which the engine dies.
    pub crash_at: u64,
    pub crash_after: bool,
    /// Percent of commits whose answer is lost.
    pub database: u64,
    /// Percent of rebuilds that fail.
    pub rebuild_fails: u64,
    /// Percent of rebuilds that are recorded as failed although the guest runs.
    pub fails_after_spawn: u64,
    /// Percent of rebuilds during which the destination's nova-compute restarts.
    pub compute_restarts: u64,
    /// Percent of lists that are empty because the cell is down at that moment.
    pub cell_blips: u64,
    /// Percent of evacuations refused with "instance not found".
    pub not_found: u64,
    pub cast_lost: u64,
    pub conductor_down: Option<(u64, u64)>,
    /// Time of a destination's death.
    pub second_failure: Option<u64>,
    /// Time at which an operator powers the failed host on.
    pub comes_back: Option<u64>,
    /// True if nova-compute restarts the guests that Nova shows as running.
    pub resume_guests: bool,
    pub live_migration: bool,
    /// True if an operator disabled the host before the run.
    pub foreign: bool,
    /// Percent of an operator's checks that lead to an action.
    pub meddling: u64,
    pub rebuild_millis: u64,
    pub pauses: Vec<(u64, u64)>,
    /// Suspensions of engines' machines with their clocks: time and duration in ms.
    pub suspensions: Vec<(u64, u64)>,
    /// Duration of the engine's stop after the first forced_down and before its answer, in ms.
    pub stopped_at_put: Option<u64>,
    /// Percent of commits after which the process is stopped before it makes its calls.
    pub stopped: u64,
    pub deletes: bool,
    pub in_flight: u32,
    pub more: ExtraFaults,
    pub storms: Storms,
    pub refusals: Refusals,
    pub liars: Option<Liars>,
    pub faults: Faults,
}

impl Weather {
    #[expect(clippy::too_many_lines, reason = "one draw after the other")]
    pub(crate) fn draw(seed: u64, rng: &mut Rng) -> Self {
        let mode = if rng.percent(25) {
            FencingMode::External
        } else {
            FencingMode::Engine
        };
        let failure = match (mode, rng.between(0, 99)) {
            (FencingMode::External, _) | (_, 0..=34) => Failure::Plug,
            (_, 35..=59) => Failure::Hang,
            (_, 60..=92) => Failure::Isolated,
            _ => Failure::FalseAlarm,
        };
        let bmc = match rng.between(0, 99) {
            0..=59 => Bmc::Truth,
            60..=74 => Bmc::OffOnce,
            75..=82 => Bmc::Unknown,
            83..=91 => Bmc::Dead,
            _ => Bmc::NoEffect,
        };
        let chaos_end = rng.between(40_000, 240_000);
        let calm = rng.percent(15);
        let mut some = |percent: u64, high: u64| {
            let drawn = rng.between(0, high);
            let chance = rng.percent(percent);
            if calm || !chance { 0 } else { drawn }
        };
        let (lost, unavailable) = (some(50, 25), some(40, 25));
        let (crash, database) = (some(35, 20), some(25, 10));
        let (rebuild_fails, cast_lost) = (some(30, 30), some(25, 30));
        let (fails_after_spawn, compute_restarts) = (some(25, 15), some(20, 15));
        let (cell_blips, not_found) = (some(25, 10), some(25, 80));
        let crash_at = some(60, 40);
        let meddling = some(30, 40);
        let stopped = some(30, 8);
        let times = |rng: &mut Rng, percent: u64, low: u64, high: u64| {
            let at = rng.between(low, high);
            (rng.percent(percent) && !calm).then_some(at)
        };
        let second_failure = times(rng, 30, 8_000, 120_000);
        let comes_back = times(rng, 25, 15_000, 200_000);
        let conductor_down =
            times(rng, 20, 2_000, 60_000).map(|from| (from, from + rng.between(5_000, 90_000)));
        let mut pauses = Vec::new();
        if rng.percent(40) && !calm {
            for _ in 0..rng.between(1, 4) {
                let from = rng.between(2_000, chaos_end);
                let long = rng.percent(30);
                pauses.push((
                    from,
                    if long {
                        rng.between(60_000, 200_000)
                    } else {
                        rng.between(300, 12_000)
                    },
                ));
            }
        }
        let mut weather = Self {
            engines: rng.below(5) + 1,
            servers: rng.below(6) + 1,
            mode,
            bare_normal: BareNormal::Wait(Duration::ZERO),
            failure,
            reported: if mode == FencingMode::External || rng.percent(50) {
                "NORMAL"
            } else {
                "UNKNOWN"
            },
            bmc: if calm { Bmc::Truth } else { bmc },
            chaos_end,
            // After three rounds of five minutes per instance, the engine gives up on instances that Nova
            // loses.
            end: 12_000_000,
            lost,
            unavailable,
            crash,
            crash_at,
            crash_after: rng.percent(50),
            database,
            rebuild_fails,
            fails_after_spawn,
            compute_restarts,
            cell_blips,
            not_found,
            cast_lost,
            conductor_down,
            second_failure,
            comes_back,
            // A confirmation counts until the next heartbeat check. So with external fencing guests must not
            // start by themselves, as documented.
            resume_guests: mode == FencingMode::Engine && rng.percent(60),
            live_migration: rng.percent(20),
            foreign: rng.percent(10),
            meddling,
            rebuild_millis: if rng.percent(15) {
                rng.between(60_000, 200_000)
            } else {
                rng.between(2_000, 30_000)
            },
            pauses,
            suspensions: Vec::new(),
            stopped_at_put: None,
            stopped,
            deletes: rng.percent(20),
            in_flight: if rng.percent(30) { 1 } else { 64 },
            more: ExtraFaults::draw(seed, calm, chaos_end),
            storms: Storms::draw(seed, mode),
            refusals: if calm {
                Refusals::default()
            } else {
                Refusals::draw(seed, chaos_end)
            },
            liars: None,
            faults: Faults::default(),
        };
        weather.draw_false_off(seed);
        weather.draw_stops(seed, calm);
        weather.draw_liars(seed, calm);
        weather.draw_faults(seed, calm);
        weather
    }

    /// Draws with a separate generator, so that other faults do not change.
    fn draw_stops(&mut self, seed: u64, calm: bool) {
        let mut rng = Rng::new(seed ^ 0x5eed_0019);
        let drawn = rng.percent(8) && !calm;
        let millis = rng.between(20_000, 240_000);
        self.stopped_at_put = drawn.then_some(millis);
        let often = if rng.percent(12) && !calm {
            rng.between(1, 4)
        } else {
            0
        };
        let chaos_end = self.chaos_end;
        let mut one = || (rng.between(2_000, chaos_end), rng.between(3_000, 240_000));
        self.suspensions = (0..often).map(|_| one()).collect();
    }
}
