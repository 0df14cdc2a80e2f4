//! The second half of a seed's faults. It has a separate generator, so that additions leave the first half
//! unchanged.

use crate::rng::Rng;

/// The worst moments for a host's return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReturnMoment {
    Proof,
    ForcedDown,
    Evacuate,
    Moved,
}

#[expect(clippy::struct_excessive_bools, reason = "each is drawn for itself")]
#[derive(Clone, Debug)]
pub(crate) struct ExtraFaults {
    /// True if recoveries power the hosts on again that they powered off.
    pub power_on: bool,
    /// Number of the call at which the engine dies; 0 for never.
    pub crash_at_call: u64,
    pub crash_after_call: bool,
    /// Number of the answer at which the engine dies; 0 for never.
    pub crash_at_answer: u64,
    /// Outage of Nova, from and to.
    pub nova_down: Option<(u64, u64)>,
    /// True if the process may be stopped between its last check and a call's first byte, which R4 cannot
    /// prevent.
    pub slips: bool,
    /// Outage of the database, from and to.
    pub outage: Option<(u64, u64)>,
    /// True if wake-ups are lost, late or duplicated.
    pub bad_wakes: bool,
    /// Time of an engine's wall-clock jump in ms, and its size in seconds.
    pub clock_jump: Option<(u64, i64)>,
    /// Time that the report spends in a spool, in ms.
    pub late_report: Option<u64>,
    /// Interval of the repeated report, in ms.
    pub report_again: Option<u64>,
    /// True if the first report has UNKNOWN, in mode external.
    pub unknown_first: bool,
    pub third_failure: bool,
    /// Delay from the start of the first rebuild to the death of its host, in ms.
    pub dest_dies: Option<u64>,
    pub return_moment: Option<ReturnMoment>,
    /// True if users send calls for their instances while the host is dead.
    pub user_calls: bool,
    /// True if the dead host's queue is not purged before its nova-compute starts, contrary to `tachi host
    /// return`.
    pub queue_kept: bool,
    /// Time of the death of an instance's process on a running host, in ms.
    pub vm_fails: Option<u64>,
    /// Time of the failure of one of the host's processes, in ms.
    pub process_fails: Option<u64>,
    /// True if hosts have a second level: the outlet they are plugged into.
    pub outlets: bool,
}

impl ExtraFaults {
    pub(crate) fn draw(seed: u64, calm: bool, chaos_end: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed_0002);
        let mut times = |percent: u64, low: u64, high: u64| {
            let drawn = rng.between(low, high.max(low));
            (rng.percent(percent) && !calm).then_some(drawn)
        };
        let crash_at_call = times(35, 1, 40).unwrap_or(0);
        let crash_at_answer = times(25, 1, 120).unwrap_or(0);
        let outage = times(20, 2_000, chaos_end).map(|from| (from, from));
        let clock_jump = times(25, 2_000, chaos_end);
        let late_report = times(12, 31_000, 300_000);
        let report_again = times(40, 2_000, 30_000);
        let dest_dies = times(20, 200, 12_000);
        let return_moment = times(25, 0, 3);
        let vm_fails = times(30, 1_000, chaos_end);
        let process_fails = times(20, 1_000, chaos_end);
        let nova_down = times(6, 5_000, 60_000).map(|from| (from, from + 600_000));
        let mut yes = |percent: u64| rng.percent(percent) && !calm;
        let crash_after_call = yes(50);
        let bad_wakes = yes(50);
        let unknown_first = yes(20);
        let third_failure = yes(12);
        let user_calls = yes(25);
        let queue_kept = yes(15);
        let slips = yes(4);
        let forward = yes(50);
        let outage = outage.map(|(from, _)| (from, from + rng.between(300, 45_000)));
        let jump = i64::try_from(rng.between(60, 7_200)).unwrap();
        let outlets = rng.percent(40) && !calm;
        Self {
            power_on: seed % 4 == 1,
            crash_at_call,
            crash_after_call,
            crash_at_answer,
            nova_down,
            slips,
            outage,
            bad_wakes,
            clock_jump: clock_jump.map(|at| (at, if forward { jump } else { -jump })),
            late_report,
            report_again,
            unknown_first,
            third_failure,
            dest_dies,
            return_moment: return_moment.map(|which| match which {
                0 => ReturnMoment::Proof,
                1 => ReturnMoment::ForcedDown,
                2 => ReturnMoment::Evacuate,
                _ => ReturnMoment::Moved,
            }),
            user_calls,
            queue_kept,
            vm_fails,
            process_fails,
            outlets,
        }
    }
}
