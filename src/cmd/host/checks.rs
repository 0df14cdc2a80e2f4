//! What speaks for and against putting a recovered host to work again.

use tachi_domain::ServerId;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::nova::{Migration, MigrationStatus, MigrationType, Server, Service};
use tachi_engine::ports::operator::{HostView, RecoverySummary};
use tachi_operator::progress;

use super::closing::Closing;

/// Names in a line; the rest is counted.
const NAMED: usize = 10;

/// What is known of a host. What Nova was asked for may be an error.
pub(super) struct Facts {
    pub(super) view: HostView,
    /// The recovery of it that is open.
    pub(super) open: Option<RecoverySummary>,
    /// An engine waits for its nova-compute.
    pub(super) watched: bool,
    pub(super) engine_runs: bool,
    /// The instances of its last recovery.
    pub(super) vmoves: Vec<Vmove>,
    pub(super) service: Result<Option<Service>, String>,
    pub(super) migrations: Result<Vec<Migration>, String>,
    pub(super) servers: Result<Vec<Server>, String>,
}

impl Facts {
    /// The evacuations from the host that are in one of these states.
    pub(super) fn evacuations(&self, states: &[MigrationStatus]) -> Vec<&Migration> {
        let of = self.migrations.as_deref().unwrap_or_default().iter();
        of.filter(|record| {
            record.kind == MigrationType::Evacuation
                && record.source.as_deref() == Some(self.view.host.name.as_str())
                && states.contains(&record.status)
        })
        .collect()
    }

    /// Nova was asked for the host's instances, and this is none of them.
    pub(super) fn is_elsewhere(&self, server: ServerId) -> bool {
        self.servers
            .as_ref()
            .is_ok_and(|here| here.iter().all(|one| one.id != server))
    }

    /// Nova's record of the host, if it is known.
    pub(super) fn service(&self) -> Option<&Service> {
        self.service.as_ref().ok()?.as_ref()
    }
}

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Speaks for it.
    Good,
    /// Speaks neither for nor against, but should be read.
    Note,
    /// Speaks against it.
    Bad,
    /// Could not be found out, which speaks against it too.
    Unknown,
}

impl Verdict {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "WAIT",
            Self::Unknown => "ASK",
        }
    }
}

/// A check.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) verdict: Verdict,
    pub(super) text: String,
}

/// All of them.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut all = Vec::new();
    let mut say = |verdict, text: String| all.push(Check { verdict, text });
    recovery(facts, &mut say);
    evacuations(facts, &mut say);
    service(facts, &mut say);
    instances(facts, &mut say);
    all
}

fn recovery(facts: &Facts, say: &mut impl FnMut(Verdict, String)) {
    match &facts.open {
        Some(open) => {
            let progress = progress(open.moves).unwrap_or_else(|| "no instance is moved yet".into());
            let message = open
                .message
                .as_deref()
                .map_or(String::new(), |text| format!("; {text}"));
            say(
                Verdict::Bad,
                format!(
                    "recovery {} is open ({progress}{message}): keep the host off",
                    open.id
                ),
            );
        }
        None => say(Verdict::Good, "no recovery of the host is open".into()),
    }
    if facts.watched && !facts.engine_runs {
        let text = "no engine runs, so nobody clears forced_down when nova-compute is back: start one";
        say(Verdict::Bad, text.into());
    }
    if facts.view.why == Some(MaintenanceReason::Operator) {
        let text = "an operator has put the host on maintenance: ask who and why before taking that back";
        say(Verdict::Note, text.into());
    }
}

fn evacuations(facts: &Facts, say: &mut impl FnMut(Verdict, String)) {
    if let Err(error) = &facts.migrations {
        say(
            Verdict::Unknown,
            format!("Nova's migrations cannot be read: {error}"),
        );
        return;
    }
    let Closing {
        under_way,
        left_over,
        not_closed,
        starts,
    } = Closing::of(facts);
    if under_way.is_empty() && not_closed.is_empty() {
        say(Verdict::Good, "every evacuation from the host is closed".into());
    }
    if !under_way.is_empty() {
        let ids = names(under_way.iter().map(|record| record.server.to_string()));
        say(
            Verdict::Bad,
            format!(
                "{} evacuations from the host are under way: a nova-compute that starts now destroys what is left of \
                 those instances even if their evacuation fails; keep the host off: {ids}",
                under_way.len()
            ),
        );
    }
    if !left_over.is_empty() {
        let ids = names(left_over.iter().map(|record| record.server.to_string()));
        say(
            Verdict::Note,
            format!(
                "{} evacuations from the host were never picked up, and others have moved their instances since; a start of \
                 its nova-compute closes them: {ids}",
                left_over.len()
            ),
        );
    }
    if !not_closed.is_empty() {
        let often = if starts > 1 {
            format!(
                "; it closes one of each instance at a time, so forced_down stays refused until it has started {starts} \
                 times"
            )
        } else {
            String::new()
        };
        say(
            Verdict::Bad,
            format!(
                "{} evacuations from the host are done and not closed: a start of its nova-compute removes the old \
                 copies and closes them{often}",
                not_closed.len()
            ),
        );
    }
    let all = facts.migrations.as_deref().unwrap_or_default().iter();
    let others: Vec<String> = all
        .filter(|record| record.kind != MigrationType::Evacuation && !record.status.is_over())
        .map(|record| format!("{} ({})", record.server, record.status))
        .collect();
    if !others.is_empty() {
        say(
            Verdict::Bad,
            format!(
                "{} other migrations with the host are unfinished, so these instances may run on two hosts: {}",
                others.len(),
                names(others)
            ),
        );
    }
}

fn service(facts: &Facts, say: &mut impl FnMut(Verdict, String)) {
    let name = &facts.view.host.name;
    let service = match &facts.service {
        Err(error) => {
            let text = format!("Nova's record of the host cannot be read: {error}");
            return say(Verdict::Unknown, text);
        }
        Ok(None) => {
            return say(
                Verdict::Bad,
                format!("Nova knows no compute service on a host called {name}"),
            );
        }
        Ok(Some(service)) => service,
    };
    if service.forced_down {
        let text = if facts.watched {
            "forced_down is set: an engine clears it once nova-compute is back and its evacuations are closed"
        } else {
            "forced_down is set, and no engine waits for the host: clear it by hand once nova-compute is back"
        };
        say(Verdict::Bad, text.into());
    } else if service.up {
        say(Verdict::Good, "nova-compute is up".into());
    } else {
        say(Verdict::Bad, "nova-compute is not up".into());
    }
    if !service.enabled {
        let reason = service.disabled_reason.as_deref().unwrap_or("no reason given");
        let ours = reason.contains("[tachi ");
        let whose = if ours { "by a recovery" } else { "by somebody else" };
        say(
            Verdict::Note,
            format!("the service is disabled {whose} ({reason}): the last step enables it"),
        );
    }
}

fn instances(facts: &Facts, say: &mut impl FnMut(Verdict, String)) {
    match &facts.servers {
        Err(error) => say(
            Verdict::Unknown,
            format!("the host's instances cannot be read: {error}"),
        ),
        Ok(servers) => {
            let busy: Vec<String> = servers
                .iter()
                .filter_map(|server| {
                    let task = server.task_state.as_deref()?;
                    Some(format!("{} ({}, {task})", server.name, server.id))
                })
                .collect();
            if !busy.is_empty() {
                say(
                    Verdict::Note,
                    format!(
                        "AT RISK: {} instances that Nova keeps on the host have a task under way, which waits in the \
                         queue of the host: empty it before nova-compute starts: {}",
                        busy.len(),
                        names(busy)
                    ),
                );
            }
            if !servers.is_empty() {
                say(
                    Verdict::Note,
                    format!(
                        "{} instances are still on the host as Nova sees it: {}",
                        servers.len(),
                        names(
                            servers
                                .iter()
                                .map(|server| format!("{} ({})", server.name, server.id))
                        )
                    ),
                );
            }
        }
    }
    let needy: Vec<String> = facts
        .vmoves
        .iter()
        .filter(|one| one.status == Some(VmoveStatus::Failed))
        .map(|one| {
            let why = one.message.as_deref().unwrap_or("see the vmove");
            format!("{} ({}): {why}", one.instance_name, one.instance_uuid)
        })
        .collect();
    if !needy.is_empty() {
        let text = format!(
            "{} instances of the last recovery need a person: {}",
            needy.len(),
            names(needy)
        );
        say(Verdict::Note, text);
    }
}

fn names(all: impl IntoIterator<Item = String>) -> String {
    let mut all: Vec<String> = all.into_iter().collect();
    let count = all.len();
    if count > NAMED {
        all.truncate(NAMED);
        all.push(format!("and {} more", count - NAMED));
    }
    let joined = all.join(", ");
    joined
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use tachi_domain::entity::segment::RecoveryMethod;
    use tachi_domain::entity::{Host, Segment, Stamps};
    use tachi_domain::nova::{PowerState, VmState};
    use tachi_domain::recovery::{Life, RecoveryKind};
    use tachi_domain::{
        HostId, MigrationId, NotificationId, RecoveryId, SegmentId, ServerId, ServiceId, Timestamp,
    };
    use tachi_engine::ports::operator::MoveCounts;
    use uuid::Uuid;

    use super::*;

    fn stamps() -> Stamps {
        Stamps {
            created_at: Timestamp::from_micros(1),
            updated_at: None,
        }
    }

    pub(in super::super) fn evacuation(status: &str) -> Migration {
        Migration {
            id: MigrationId(1),
            server: ServerId(Uuid::from_u128(3)),
            kind: MigrationType::Evacuation,
            status: status.into(),
            source: Some("cmp1".into()),
            dest: Some("cmp2".into()),
            created_at: None,
        }
    }

    pub(in super::super) fn server(task: Option<&str>) -> Server {
        Server {
            id: ServerId(Uuid::from_u128(3)),
            name: "vm\u{1b}1".into(),
            host: Some("cmp1".into()),
            vm_state: VmState::Active,
            task_state: task.map(Into::into),
            power_state: PowerState::Running,
            locked: false,
            locked_reason: None,
            metadata: std::collections::BTreeMap::new(),
            volume_backed: true,
            launched: true,
            fault: None,
            about: tachi_domain::nova::About::default(),
            needs: None,
        }
    }

    fn open() -> RecoverySummary {
        RecoverySummary {
            id: RecoveryId(Uuid::from_u128(9)),
            notification: NotificationId(Uuid::from_u128(8)),
            kind: RecoveryKind::Host,
            host: "cmp1".into(),
            host_id: HostId(Uuid::from_u128(1)),
            segment: None,
            moves: MoveCounts {
                pending: 1,
                ..MoveCounts::default()
            },
            life: Life::Open,
            status: "running".into(),
            wait: None,
            message: None,
            owner: None,
            opened_at: Timestamp::from_micros(1),
        }
    }

    /// A host that is back and was never enabled again.
    pub(in super::super) fn back() -> Facts {
        Facts {
            view: HostView {
                host: Host {
                    row: 1,
                    id: HostId(Uuid::from_u128(1)),
                    name: "cmp1".into(),
                    segment: Segment {
                        row: 1,
                        id: SegmentId(Uuid::from_u128(2)),
                        name: "all".into(),
                        service_type: "COMPUTE".into(),
                        enabled: true,
                        description: None,
                        recovery_method: RecoveryMethod::Auto,
                        stamps: stamps(),
                    },
                    kind: "COMPUTE".into(),
                    control_attributes: "SSH".into(),
                    reserved: false,
                    on_maintenance: true,
                    stamps: stamps(),
                },
                why: Some(MaintenanceReason::Recovery),
                recovery: None,
            },
            open: None,
            watched: false,
            engine_runs: true,
            vmoves: Vec::new(),
            service: Ok(Some(Service {
                id: ServiceId(Uuid::from_u128(4)),
                host: "cmp1".into(),
                enabled: false,
                disabled_reason: Some("Masakari detected host failed. [tachi 9]".into()),
                up: true,
                forced_down: false,
                last_heartbeat: None,
                nova_now: None,
            })),
            migrations: Ok(vec![evacuation("completed")]),
            servers: Ok(Vec::new()),
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    #[test]
    fn r12_what_speaks_against_a_return_is_told() {
        use Verdict::{Bad, Note, Unknown};
        type Change = fn(&mut Facts);
        let cases: &[(&str, Change, Verdict, &str)] = &[
            ("back", |_| {}, Note, "disabled by a recovery"),
            (
                "a recovery is open",
                |f| f.open = Some(open()),
                Bad,
                "is open (0/1 instances back",
            ),
            (
                "an evacuation is under way",
                |f| f.migrations = Ok(vec![evacuation("pre-migrating")]),
                Bad,
                "keep the host off",
            ),
            (
                "an evacuation is not closed",
                |f| f.migrations = Ok(vec![evacuation("done")]),
                Bad,
                "done and not closed",
            ),
            (
                "two of one instance are not closed",
                |f| {
                    let mut younger = evacuation("done");
                    younger.id = MigrationId(2);
                    f.migrations = Ok(vec![evacuation("done"), younger]);
                },
                Bad,
                "until it has started 2 times",
            ),
            (
                "one was never picked up, and its instance has moved",
                |f| {
                    let mut lost = evacuation("accepted");
                    (lost.id, lost.dest) = (MigrationId(2), None);
                    f.migrations = Ok(vec![evacuation("completed"), lost]);
                },
                Note,
                "were never picked up",
            ),
            (
                "a live migration is unfinished",
                |f| {
                    let mut other = evacuation("running");
                    other.kind = MigrationType::LiveMigration;
                    f.migrations = Ok(vec![other]);
                },
                Bad,
                "may run on two hosts",
            ),
            (
                "forced down, and watched",
                |f| {
                    f.watched = true;
                    set(f, |service| service.forced_down = true);
                },
                Bad,
                "an engine clears it",
            ),
            (
                "forced down, and nobody watches",
                |f| set(f, |service| service.forced_down = true),
                Bad,
                "clear it by hand",
            ),
            (
                "watched, and no engine",
                |f| {
                    f.watched = true;
                    f.engine_runs = false;
                },
                Bad,
                "start one",
            ),
            ("not up", |f| set(f, |service| service.up = false), Bad, "not up"),
            (
                "unknown to Nova",
                |f| f.service = Ok(None),
                Bad,
                "knows no compute service",
            ),
            (
                "Nova does not answer for it",
                |f| f.service = Err("503".into()),
                Unknown,
                "503",
            ),
            (
                "nor for its migrations",
                |f| f.migrations = Err("503".into()),
                Unknown,
                "503",
            ),
            (
                "nor for its instances",
                |f| f.servers = Err("503".into()),
                Unknown,
                "503",
            ),
            (
                "a task waits in its queue",
                |f| f.servers = Ok(vec![server(Some("powering-on"))]),
                Note,
                "AT RISK: 1 instances",
            ),
            (
                "an instance was left",
                |f| f.servers = Ok(vec![server(None)]),
                Note,
                "1 instances are still on the host as Nova sees it: vm 1 (",
            ),
            (
                "an operator's maintenance",
                |f| f.view.why = Some(MaintenanceReason::Operator),
                Note,
                "ask who and why",
            ),
        ];
        for (name, change, verdict, part) in cases {
            let mut facts = back();
            change(&mut facts);
            let told = checks(&facts);
            let found = told.iter().find(|check| check.text.contains(part));
            assert_eq!(
                found.map(|check| check.verdict),
                Some(*verdict),
                "{name}: {told:?}"
            );
            let against = told.iter().any(|check| matches!(check.verdict, Bad | Unknown));
            assert_eq!(against, matches!(verdict, Bad | Unknown), "{name}: {told:?}");
        }
    }

    fn set(facts: &mut Facts, change: impl FnOnce(&mut Service)) {
        if let Ok(Some(service)) = &mut facts.service {
            change(service);
        }
    }

    #[test]
    fn long_lists_are_counted() {
        let text = names((0..12).map(|number| format!("vm{number}")));
        assert!(text.ends_with("vm9, and 2 more"), "{text}");
    }
}
