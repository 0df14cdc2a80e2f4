//! Newer kinds of faults: the share of seeds of each, and the faults of one seed. Each kind has its own
//! generator, so that seeds without the kind do not change.

use std::sync::OnceLock;

use tachi_domain::policy::FencingMode;

use crate::arrivals::PlannedDeparture;
use crate::crowd::{Crowd, Retry};
use crate::failover::Failover;
use crate::hearsay::{BareNormalReport, DeafConfirmation};
use crate::lag::Lag;
use crate::local_disks::LocalDisks;
use crate::mishap::Mishap;
use crate::nova::HostIx;
use crate::rng::Rng;
use crate::unsent::Unsent;
use crate::weather::Weather;
use crate::world::World;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal, $percent:literal;)+) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)+];

            const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }

            /// Returns the percentage of seeds that have the kind.
            const fn percent(self) -> u64 {
                match self {
                    $(Self::$name => $percent,)+
                }
            }
        }
    };
}

kinds! {
    /// A move to a dying host: the instance arrives after its death, or has run there before it.
    Arriving = "arriving", 20;
    /// A resize that its owner reverts to a host that is being drained or dies.
    Reverts = "reverts", 15;
    /// A lagging replica of Nova's database.
    Lag = "lag", 8;
    /// A failover of the journal's database that loses the last commits.
    Failover = "failover", 8;
    /// A deleted record of a compute service, created again by the next start of nova-compute.
    Registered = "registered", 24;
    /// An operator's confirmation that a host is off while Nova receives no heartbeats.
    DeafConfirmation = "deaf-word", 17;
    /// An engine that is stopped between the commit of an order and its call, while other state changes.
    Unsent = "unsent", 25;
    /// Two operators who act at the same time.
    Crowd = "crowd", 9;
    /// A report of a host as off, without evidence, while only its nova-compute is down.
    BareNormalReport = "bare-word", 12;
    /// An operator's retry of a failed recovery.
    Retry = "retry", 25;
    /// Heartbeats of bound monitors, also while nova-compute of their host is down.
    Monitors = "monitors", 40;
    /// The death of a drain's destination while an instance is on its way there.
    DrainDeath = "drain-death", 5;
    /// A failed instance that does not start on its host.
    StartFails = "start-fails", 30;
    /// Instances on the local disk of their host that wait for it or stay.
    LocalDisk = "local-disk", 30;
}

/// Returns the share of a kind; `SIM_SHARES=lag=100,crowd=0` overrides it.
fn percent(kind: Kind) -> u64 {
    static OVERRIDES: OnceLock<Vec<(String, u64)>> = OnceLock::new();
    let given = OVERRIDES.get_or_init(|| {
        let text = std::env::var("SIM_SHARES").unwrap_or_default();
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<(String, u64)> = pairs
            .map(|(label, share)| (label.to_owned(), share.parse().unwrap()))
            .collect();
        let known = |label: &str| label == "all" || Kind::ALL.iter().any(|kind| kind.label() == label);
        assert!(
            pairs.iter().all(|(label, _)| known(label)),
            "SIM_SHARES={text}: not a kind"
        );
        pairs
    });
    let named = |name: &str| {
        given
            .iter()
            .find(|(label, _)| label == name)
            .map(|(_, share)| *share)
    };
    named(kind.label())
        .or_else(|| named("all"))
        .unwrap_or_else(|| kind.percent())
}

/// True if the mishap can happen in this seed: its kind, if it has one, is drawn.
pub(crate) fn can_happen(what: Mishap) -> bool {
    let kind = match what {
        Mishap::LostOnItsWay | Mishap::ArrivesAtDead | Mishap::HasRunAtDead => Kind::Arriving,
        Mishap::Reverts | Mishap::RevertsToDead => Kind::Reverts,
        Mishap::Lags | Mishap::StoppedAtLag => Kind::Lag,
        Mishap::FailsOver | Mishap::FailsOverStopped => Kind::Failover,
        Mishap::ServiceDeleted | Mishap::ServiceRegistered => Kind::Registered,
        Mishap::VouchedInDeafness => Kind::DeafConfirmation,
        Mishap::OrderUnsent => Kind::Unsent,
        Mishap::TwoOperators => Kind::Crowd,
        Mishap::BareNormal | Mishap::BeatsAlone => Kind::BareNormalReport,
        Mishap::Retried => Kind::Retry,
        Mishap::DrainDestinationDies => Kind::DrainDeath,
        Mishap::StartFails | Mishap::ColdMoved => Kind::StartFails,
        Mishap::WaitedForDisk | Mishap::LeftForDisk => Kind::LocalDisk,
        _ => return true,
    };
    percent(kind) > 0
}

/// The faults of one seed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub arriving: Vec<PlannedDeparture>,
    pub reverts: bool,
    pub lag: Option<Lag>,
    pub failovers: Vec<Failover>,
    pub registered: Option<u64>,
    pub deaf_confirmation: Option<DeafConfirmation>,
    pub unsent: Option<Unsent>,
    pub crowd: Vec<Crowd>,
    pub bare_normal_report: Option<BareNormalReport>,
    /// The retried report and its time.
    pub retry: Option<Retry>,
    /// Outage of a host's nova-compute, from and to; its guests run.
    pub compute_down: Option<(HostIx, u64, u64)>,
    pub drain_death: Option<Rng>,
    /// Failing starts of failed instances, and slow moves to another host.
    pub start_fails: Option<Rng>,
    pub local_disks: Option<LocalDisks>,
    /// True if bound monitors send heartbeats.
    pub monitors: bool,
}

/// Returns the generator of a kind if the seed has it.
fn drawn(seed: u64, kind: Kind) -> Option<Rng> {
    let mut rng = Rng::new(seed ^ (0x5eed_0200 + kind as u64));
    rng.percent(percent(kind)).then_some(rng)
}

impl World {
    pub(crate) fn plan_faults(&mut self) {
        self.plan_arrivals();
        self.plan_reverts();
        self.plan_failovers();
        self.plan_registering();
        self.plan_hearsay();
        self.plan_operators();
        self.plan_drain_death();
        self.read_local_disks();
    }
}

impl Weather {
    /// Must be last: it changes earlier draws.
    pub(crate) fn draw_faults(&mut self, seed: u64, calm: bool) {
        if calm {
            return;
        }
        if let Some(rng) = drawn(seed, Kind::Retry) {
            self.draw_retry(rng);
        }
        let engine = self.mode == FencingMode::Engine;
        let chaos_end = self.chaos_end;
        let faults = &mut self.faults;
        let of = |kind: Kind| drawn(seed, kind);
        faults.arriving = of(Kind::Arriving).map(crate::arrivals::draw).unwrap_or_default();
        faults.reverts = of(Kind::Reverts).is_some();
        faults.lag = of(Kind::Lag).map(Lag::draw);
        if let Some(mut rng) = of(Kind::Failover) {
            let count = 1 + rng.below(2);
            faults.failovers = (0..count).map(|_| Failover::draw(&mut rng, chaos_end)).collect();
        }
        faults.registered = of(Kind::Registered).map(|mut rng| rng.between(5_000, chaos_end));
        faults.unsent = of(Kind::Unsent)
            .filter(|_| engine)
            .map(|mut rng| Unsent::draw(&mut rng));
        if let Some(mut rng) = of(Kind::Crowd) {
            let count = 1 + rng.below(3);
            faults.crowd = (0..count).map(|_| Crowd::draw(&mut rng, chaos_end)).collect();
        }
        faults.drain_death = of(Kind::DrainDeath);
        if let Some(mut rng) = of(Kind::StartFails) {
            let at = rng.between(1_000, chaos_end);
            self.more.vm_fails.get_or_insert(at);
            faults.start_fails = Some(rng);
        }
        faults.monitors = of(Kind::Monitors).is_some();
        faults.local_disks = of(Kind::LocalDisk).map(LocalDisks::draw);
        if let Some(rng) = of(Kind::BareNormalReport) {
            self.draw_bare_normal_report(rng);
        } else if let Some(rng) = of(Kind::DeafConfirmation).filter(|_| engine) {
            self.draw_deaf_confirmation(rng);
        }
    }
}
