//! Faults by name: drawn for a seed, counted when they happen, printed when a seed fails.

macro_rules! mishaps {
    ($($name:ident => $text:literal,)+) => {
        /// A fault or event of a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Mishap {
            $($name,)+
        }

        impl Mishap {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)+];

            pub(crate) const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

mishaps! {
    DiesBeforeCommit => "engine dies before a commit",
    DiesAfterCommit => "engine dies after a commit",
    DiesBeforeCall => "engine dies before a call's first byte",
    DiesAfterCall => "engine dies after a call's first byte",
    DiesAtAnswer => "engine dies when an answer arrives",
    LetsGo => "engine stops gracefully and releases its claims",
    Stopped => "engine is stopped and continues",
    StoppedAfterCommit => "engine is stopped right after a commit",
    Suspended => "engine is suspended with its clocks",
    SuspendedAtFirstByte => "engine is suspended with its clocks between a commit and a call's first byte",
    StoppedAtPut => "engine is stopped between forced_down and its first check",
    LateThread => "call is late after its commit",
    ClockJump => "wall clock jumps",
    WakeLost => "wake-up is lost",
    WakeLate => "wake-up is late",
    WakeTwice => "wake-up arrives twice",
    CommitLostWritten => "commit answer lost, committed",
    CommitLostUnwritten => "commit answer lost, not committed",
    CommitSlow => "commit is slow",
    BeatLost => "heartbeat's answer is lost",
    AuditFails => "audit log cannot be written",
    ClaimLost => "claim's answer is lost",
    DatabaseDown => "database does not answer for a while",
    Refused400 => "Nova answers 400",
    Refused401 => "Nova answers 401",
    Refused404 => "Nova answers 404",
    Refused409 => "Nova answers 409",
    Refused429 => "Nova answers 429",
    Failed5xx => "Nova answers 5xx, call had no effect",
    Failed5xxDone => "Nova answers 5xx, call took effect",
    TimeoutNothing => "timeout, call never arrived",
    TimeoutAtOnce => "timeout, call took effect immediately",
    TimeoutLater => "timeout, call took effect later",
    AnswerTwice => "answer arrives twice",
    NovaDown => "Nova is down for ten minutes",
    NovaDeaf => "Nova receives no heartbeats for a while",
    StoppedAtFirstByte => "engine is stopped between the last check and the first byte",
    ListsSlow => "lists are slow",
    CellHidden => "cell is down, lists are empty",
    CastLost => "cast is lost",
    ConductorsDown => "conductors are down",
    RebuildSlow => "rebuild takes minutes",
    RebuildFails => "rebuild fails",
    NoValidHost => "no valid host",
    DestinationDies => "destination dies during a rebuild",
    SecondHost => "second host fails",
    ThirdHost => "third host fails at the same time",
    LiveMigration => "live migration is unfinished",
    ReportLate => "report is delivered late",
    ReportAgain => "report is repeated",
    ReportJoins => "report joins a recovery that was about to end without it",
    ReportUnknown => "report with UNKNOWN, fencing is external",
    FalseAlarm => "report about a healthy host",
    Lie => "reporter lies",
    ReportRefused => "report is refused: its reporter lacks permission",
    NormalDiscarded => "NORMAL is treated as UNKNOWN: its reporter lacks permission",
    Silenced => "nova-compute of a hypervisor is stopped, its guests run on",
    PowerUnknown => "power controller reports unknown",
    PowerDead => "power controller does not answer",
    PowerNoEffect => "power controller ignores commands",
    PowerForeign => "power controller answers for another machine",
    PowerNamed => "power controller names another machine",
    PowerEverOff => "power controller always reports off",
    PowerFlickers => "power controller reports a false off once",
    LevelFails => "a fence level fails, the next one is tried",
    HostBack => "host comes back",
    HeldAtBoot => "boot guard holds the host",
    BackAtProof => "host comes back right after its proof",
    BackAtForcedDown => "host comes back when it is forced down",
    BackAtEvacuate => "host comes back after the first evacuate",
    BackAtMoved => "host comes back when the first instance has moved",
    CastQueued => "user's call waits in the dead host's queue",
    CastRun => "returning host runs a queued call",
    StartFails => "a failed instance does not start",
    ColdMoved => "a failed instance is moved to another host",
    WaitedForDisk => "an instance on a local disk waited for its host",
    LeftForDisk => "an instance is left on the local disk of its host",
    SegmentDisabled => "operator disables the segment",
    HostEdited => "operator puts the host in maintenance",
    Approved => "operator approves",
    Rejected => "operator rejects",
    Vouched => "operator confirms a host off",
    FailureConfirmed => "operator confirms that an instance does not run",
    FailedAfterSpawn => "rebuild is recorded as failed, and its guest runs",
    ForeignNotFound => "a proxy answers 404",
    ApiLags => "an API server lags behind and refuses evacuations",
    TaskStays => "a task stays set, and Nova refuses the evacuation",
    ComputeRestarts => "nova-compute of a destination restarts during a rebuild",
    CellBlips => "cell is down only while the list is read",
    CellQuery => "cell is down only during a direct query",
    OwnerLocks => "owner locks an instance",
    InstanceDeleted => "owner deletes an instance",
    OwnerStops => "owner stops an excluded instance of a host that is away",
    ExcludedStarted => "excluded instance is started on its host, which is back",
    VmReport => "instance fails and is reported",
    Frozen => "operator freezes something",
    Thawed => "operator ends a freeze",
    Drained => "operator drains a host",
    DrainFreezes => "a drain freezes its host as it ends",
    GivenBack => "operator gives back to a host",
    DrainAborted => "operator aborts a drain",
    DrainGivesWay => "a drained host is recovered, and the drain ends",
    ProcessReport => "process fails and is reported",
    LostOnItsWay => "instance is on its way to a host that has died, and runs nowhere",
    ArrivesAtDead => "instance arrives at a host that has died",
    HasRunAtDead => "instance ran at a host that has died, and Nova shows it elsewhere",
    Reverts => "owner reverts a resize",
    RevertsToDead => "owner reverts a resize to a host that has died",
    Lags => "lagging replica of Nova's database answers",
    StoppedAtLag => "engine is stopped before it reads a lagging replica's answer",
    FailsOver => "journal's database loses its last commits",
    FailsOverStopped => "journal's database loses its last commits while an engine is stopped",
    ServiceDeleted => "record of a compute service is deleted",
    ServiceRegistered => "compute service is registered again",
    VouchedInDeafness => "operator confirms a host off while Nova receives no heartbeats",
    OrderUnsent => "engine is stopped between an order's commit and its call",
    TwoOperators => "two operators act at once",
    BareNormal => "NORMAL without evidence of a host whose nova-compute is down",
    BeatsAlone => "monitors of a host send heartbeats while its nova-compute is down",
    Retried => "operator retries a failed recovery",
    DrainDestinationDies => "destination of a drain dies",
    FreezeExpires => "freeze expires during a recovery",
}

impl Mishap {
    /// Returns the minimum occurrences per 1,000 seeds, where asserted: for newer kinds and for pairs of
    /// faults. The limits are far below the drawn shares, so that runs of a few thousand seeds pass.
    pub(crate) const fn least(self) -> u64 {
        match self {
            Self::LostOnItsWay
            | Self::Reverts
            | Self::Lags
            | Self::FailsOver
            | Self::ServiceRegistered
            | Self::VouchedInDeafness
            | Self::OrderUnsent
            | Self::TwoOperators
            | Self::BareNormal
            | Self::BeatsAlone
            | Self::LeftForDisk
            | Self::WaitedForDisk
            | Self::Retried => KIND,
            Self::ArrivesAtDead | Self::HasRunAtDead => KIND / 5,
            Self::DrainDestinationDies
            | Self::FreezeExpires
            | Self::StoppedAtLag
            | Self::FailsOverStopped => PAIR,
            _ => 0,
        }
    }
}

/// Minimum occurrences of a kind and of a pair, per 1,000 seeds.
const KIND: u64 = 50;
const PAIR: u64 = 5;

const COUNT: usize = Mishap::ALL.len();

/// Occurrences of each fault.
#[derive(Clone, Debug)]
pub(crate) struct Mishaps([u64; COUNT]);

impl Default for Mishaps {
    fn default() -> Self {
        Self([0; COUNT])
    }
}

impl Mishaps {
    pub(crate) fn happened(&mut self, what: Mishap) {
        self.0[what as usize] += 1;
    }

    pub(crate) fn count(&self, what: Mishap) -> u64 {
        self.0[what as usize]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, one) in self.0.iter_mut().zip(other.0) {
            *sum += one;
        }
    }

    /// Returns the names on one line, for a failing seed.
    pub(crate) fn line(&self) -> String {
        let names: Vec<&str> = Mishap::ALL
            .iter()
            .filter(|what| self.count(**what) > 0)
            .map(|what| what.text())
            .collect();
        names.join("; ")
    }
}
