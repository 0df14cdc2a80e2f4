//! Scenarios of freezes.

use tachi_domain::freeze::{FreezeScope, FreezeStatus};
use tachi_domain::recovery::{Life, RecoveryKind};

use crate::scenarios::{Script, ends, fresh};
use crate::{Answer, Draft, Found, NO_COMMANDS, Operation, OperatorView, Outcome, number};

/// The target of a freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everything.
    Region,
    /// The segment.
    Segment,
    /// A host.
    Host(usize),
    /// An instance.
    Instance(u32),
}

impl Target {
    /// Returns the scope.
    pub const fn scope(self) -> FreezeScope {
        match self {
            Self::Region => FreezeScope::Region,
            Self::Segment => FreezeScope::Segment,
            Self::Host(_) => FreezeScope::Host,
            Self::Instance(_) => FreezeScope::Instance,
        }
    }
}

/// The freezes in the view of a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeView {
    /// The freezes of its host, the segment and the region, in the order of their creation.
    pub over: Vec<FreezeScope>,
    /// The frozen instances.
    pub instances: Vec<u32>,
    /// Other frozen hosts, for the recovery of an instance.
    pub hosts: Vec<String>,
    /// True if a freeze has ended since the report.
    pub thawed: bool,
}

impl FreezeView {
    /// No freeze.
    pub const NOTHING: Self = Self {
        over: Vec::new(),
        instances: Vec::new(),
        hosts: Vec::new(),
        thawed: false,
    };
}

impl From<FreezeStatus> for FreezeView {
    fn from(frozen: FreezeStatus) -> Self {
        Self {
            over: frozen.over.iter().map(|one| one.scope).collect(),
            instances: frozen.instances.into_keys().map(number).collect(),
            hosts: frozen.hosts.into_keys().collect(),
            thawed: frozen.thawed > 0,
        }
    }
}

fn view_of(over: &[FreezeScope], thawed: bool) -> OperatorView {
    let freeze_view = FreezeView {
        over: over.to_vec(),
        thawed,
        ..FreezeView::NOTHING
    };
    OperatorView {
        freeze_view,
        ..NO_COMMANDS
    }
}

pub(crate) fn freezes(script: &mut Script) {
    use FreezeScope::{Host, Region, Segment};
    let freeze = |script: &mut Script, what, minutes| {
        script.line(Operation::Freeze { what, minutes }, Answer::Done);
    };
    let thaw = |script: &mut Script, what| script.line(Operation::Thaw { what }, Answer::Done);
    // A freeze that had expired before the report does not matter.
    freeze(script, Target::Host(0), 1);
    script.pass(120);
    script.opened(0, 0);
    script.beat(0, 1, 1_000, Outcome::Written(NO_COMMANDS));
    // Returns each relevant freeze, and no other.
    freeze(script, Target::Host(0), 60);
    freeze(script, Target::Host(1), 60);
    script.beat(0, 1, 2_000, Outcome::Written(view_of(&[Host], false)));
    // A write that starts an action is refused completely, whatever has decided it; any other is written.
    let begins = |servers: &[u32]| Draft {
        unless_frozen: Some(servers.to_vec()),
        order: Some((Some(1), 600)),
        moves: vec![(1, true, "mine".into())],
        ..Draft::default()
    };
    let refused = |on: &[FreezeScope]| Outcome::Frozen(view_of(on, false));
    script.commit(0, 1, begins(&[]), refused(&[Host]));
    script.commit(0, 1, begins(&[9]), Outcome::Written(view_of(&[Host], false)));
    freeze(script, Target::Region, 5);
    freeze(script, Target::Segment, 10);
    script.commit(
        0,
        1,
        Draft::default(),
        Outcome::Written(view_of(&[Host, Region, Segment], false)),
    );
    // A new owner gets the freezes with the claim.
    let found = Found {
        epoch: 2,
        millis: 0,
        moves: vec!["mine".into()],
        operator_view: view_of(&[Host, Region, Segment], false),
        ..fresh()
    };
    script.claim(0, 1, Some(found));
    // Expired, whether or not its end was recorded.
    script.pass(300);
    script.beat(0, 2, 3_000, Outcome::Written(view_of(&[Host, Segment], true)));
    thaw(script, Target::Segment);
    thaw(script, Target::Segment);
    script.beat(0, 2, 4_000, Outcome::Written(view_of(&[Host], true)));
    // The same target again replaces the first; a worse state since then. A repetition does no harm.
    freeze(script, Target::Host(0), 90);
    script.beat(0, 2, 5_000, Outcome::Written(view_of(&[Host], true)));
    let worse = |script: &mut Script, made| {
        let draft = Draft {
            worse: vec![made],
            ..Draft::default()
        };
        script.commit(0, 2, draft, Outcome::Written(view_of(&[], true)));
    };
    worse(script, 5);
    worse(script, 5);
    // The end of a freeze does not end a later one of the same target.
    freeze(script, Target::Host(0), 30);
    let late = Draft {
        worse: vec![5, 1],
        ..Draft::default()
    };
    script.commit(0, 2, late, Outcome::Written(view_of(&[Host], true)));
    thaw(script, Target::Host(0));
    // Instances are reported separately, and other hosts to the recoveries that may find their instance there.
    freeze(script, Target::Instance(7), 60);
    let mut view = view_of(&[], true);
    view.freeze_view.instances = vec![7];
    script.beat(0, 2, 6_000, Outcome::Written(view.clone()));
    script.commit(0, 2, begins(&[7]), Outcome::Frozen(view.clone()));
    script.commit(0, 2, begins(&[8]), Outcome::Written(view.clone()));
    script.pass(60);
    script.report_instance(2, 7, Some(1));
    view.freeze_view.hosts = vec![crate::host_name(1)];
    view.freeze_view.thawed = false;
    let found = Found {
        kind: RecoveryKind::Vm,
        operator_view: view.clone(),
        ..fresh()
    };
    script.claim(1, 0, Some(found));
    thaw(script, Target::Instance(7));
    view.freeze_view.instances = Vec::new();
    view.freeze_view.thawed = true;
    script.beat(1, 1, 1_000, Outcome::Written(view));
}

/// Checks the freeze at the end of a drain.
pub(crate) fn drained(script: &mut Script) {
    let ends_frozen = |minutes| Draft {
        freeze: Some(minutes),
        unless_recovered: Some(0),
        ..ends(Life::Closed)
    };
    let of = |kind| Found { kind, ..fresh() };
    script.drain(0, Some(0));
    script.claim(0, 0, Some(of(RecoveryKind::Drain)));
    // An instance of it is being recovered, which may stop and start it; one of another host does not matter.
    script.report_instance(1, 2, Some(1));
    script.report_instance(0, 1, Some(2));
    let refused = Outcome::InstancesUnderRecovery(vec![1]);
    script.commit(0, 1, ends_frozen(30), refused);
    // Unless it has moved here since its report.
    let with_moved = Draft {
        left: vec![2, 7],
        ..ends_frozen(30)
    };
    let refused = Outcome::InstancesUnderRecovery(vec![1, 2]);
    script.commit(0, 1, with_moved, refused);
    for vm in [1, 2] {
        script.claim(vm, 0, Some(of(RecoveryKind::Vm)));
        script.written(vm, ends(Life::Closed));
    }
    // An operator's freeze may end early. The drain's is in force beside it.
    let what = Target::Host(0);
    script.line(Operation::Freeze { what, minutes: 60 }, Answer::Done);
    script.written(0, ends_frozen(30));
    script.report(0, false, Some(3));
    let host = FreezeScope::Host;
    let found = Found {
        operator_view: view_of(&[host, host], false),
        ..fresh()
    };
    script.claim(3, 0, Some(found));
    let worse = Draft {
        worse: vec![0],
        ..Draft::default()
    };
    script.commit(3, 1, worse, Outcome::Written(view_of(&[host], true)));
    // A shorter freeze stays too: only its operator knows when that work is done.
    script.drain(1, Some(4));
    script.claim(4, 0, Some(of(RecoveryKind::Drain)));
    let what = Target::Host(1);
    script.line(Operation::Freeze { what, minutes: 10 }, Answer::Done);
    let longer = Draft {
        unless_recovered: Some(1),
        ..ends_frozen(30)
    };
    script.written(4, longer);
    script.pass(60);
    script.report(1, false, Some(5));
    let found = Found {
        operator_view: view_of(&[host, host], false),
        ..fresh()
    };
    script.claim(5, 0, Some(found));
}
