//! What `tachi status` looks at, and what is unprotected and why.

use tachi_domain::Timestamp;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::machine_id::MachineId;
use tachi_domain::policy::{BareNormal, FencingMode};
use tachi_domain::recovery::Life;
use tachi_engine::ports::Doubted;
use tachi_engine::ports::machines::MachineLine;
use tachi_engine::ports::operator::{HostView, MoveLine, RecoverySummary, SegmentView};
use tachi_engine::ports::roll::{Backlog, EngineLine};

use super::super::waits;
use super::roll;

/// A notification that waits longer than this for an engine is worth telling.
const WAITED_LONG_SECONDS: i64 = 30;

/// What a fact of an engine begins with if there is nothing to worry about.
const GOOD: &str = "ok";

/// How hosts are proven off.
#[derive(Clone, Debug)]
pub(in crate::cmd) struct Fencing {
    pub(in crate::cmd) mode: FencingMode,
    /// The power controller, if one is configured.
    pub(in crate::cmd) device: Option<String>,
    /// What NORMAL is worth without evidence.
    pub(super) bare_normal: BareNormal,
    /// Why the devices cannot be read.
    pub(super) trouble: Option<String>,
    /// The registered hosts that have no device.
    pub(super) without: Vec<String>,
    /// Devices that answer for another machine than is expected.
    pub(super) foreign: Vec<MachineLine>,
}

/// How many hosts of a kind are named in a line.
const NAMED: usize = 5;

impl Fencing {
    /// In a line.
    pub(in crate::cmd) fn line(&self) -> String {
        match (self.mode, &self.device) {
            (FencingMode::Engine, Some(device)) => {
                format!("engine: the power of hosts is read and cut through {device}")
            }
            (FencingMode::Engine, None) => {
                "engine, but no power controller is configured: nothing can be proven off".into()
            }
            (FencingMode::DryRun, _) => {
                "dry-run: what would be done is said, nothing is switched off and nothing recovered".into()
            }
            (FencingMode::External, _) => {
                let bare = match self.bare_normal {
                    BareNormal::Refuse => "without evidence it is refused".to_owned(),
                    BareNormal::Wait(time) => format!(
                        "without evidence it counts after {} s of silence, as with Masakari: a host that runs on without its \
                         nova-compute is then evacuated all the same; configure fence devices, or set [fencing] \
                         normal_without_evidence = refuse",
                        time.as_secs()
                    ),
                };
                format!(
                    "external: a notification's host_status NORMAL is taken for somebody else's proof; {bare}"
                )
            }
        }
    }
}

/// The fact that is about the region and not about the engine that signs it.
const OF_THE_REGION: &str = "hypervisors";

/// Everything at one moment.
pub(super) struct Seen {
    pub(super) now: Timestamp,
    pub(super) fencing: Fencing,
    pub(super) database: String,
    pub(super) segments: Vec<SegmentView>,
    /// Open and watching.
    pub(super) recoveries: Vec<RecoverySummary>,
    /// Instances that are down, or may be, and wait for a person.
    pub(super) waiting: Vec<MoveLine>,
    pub(super) engines: Vec<EngineLine>,
    pub(super) backlog: Backlog,
    /// Reporters that are set aside, or should be.
    pub(super) doubted: Vec<Doubted>,
}

/// Why a host is not protected now, or may not be; `None` if there is nothing to say.
pub(super) fn host_is_out(view: &HostView) -> Option<&'static str> {
    match (view.recovery, view.why) {
        (Some((_, Life::Open)), _) => Some("under recovery"),
        (_, Some(MaintenanceReason::Operator)) => Some("on maintenance: an operator has put it there"),
        (_, Some(MaintenanceReason::Recovery)) => {
            Some("on maintenance: it was recovered and is not back at work")
        }
        (_, Some(MaintenanceReason::Process)) => Some("on maintenance: one of its processes has failed"),
        (Some((_, Life::Watching | Life::Closed)) | None, None) => None,
    }
}

/// The recoveries that wait for a person.
pub(super) fn held(seen: &Seen) -> impl Iterator<Item = &RecoverySummary> {
    let open = seen.recoveries.iter().filter(|row| row.life == Life::Open);
    open.filter(|row| waits::what(row.wait.as_ref()).is_held())
}

pub(super) fn instances(count: usize) -> String {
    match count {
        1 => "1 instance".to_owned(),
        count => format!("{count} instances"),
    }
}

/// What is unprotected and why, weightiest first. Empty if everything is as it should be.
pub(super) fn unprotected(seen: &Seen) -> Vec<String> {
    let mut told = Vec::new();
    engines(seen, &mut told);
    if seen.fencing.mode == FencingMode::DryRun {
        told.push(
            "every host: fencing mode is dry-run, so every recovery is held and nothing recovered".into(),
        );
    }
    if seen.fencing.mode == FencingMode::Engine && seen.fencing.device.is_none() {
        told.push(
            "every host: fencing mode is engine and no power controller is configured, so no host can be proven off"
                .into(),
        );
    }
    if let Some(trouble) = &seen.fencing.trouble {
        told.push(format!("the fence devices cannot be read: {trouble}"));
    }
    let without = &seen.fencing.without;
    if !without.is_empty() {
        let more = without.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let named = without.iter().take(NAMED).map(String::as_str);
        told.push(format!(
            "hosts without a fence device, which cannot be proven off: {}{more}",
            named.collect::<Vec<_>>().join(", ")
        ));
    }
    for line in &seen.fencing.foreign {
        told.push(foreign(line, seen.now));
    }
    if let Some(oldest) = seen.backlog.oldest_new {
        let waited = (seen.now.micros() - oldest.micros()) / 1_000_000;
        if waited > WAITED_LONG_SECONDS {
            told.push(format!(
                "{} notifications nobody has begun to work on, the oldest for {waited} s",
                seen.backlog.new
            ));
        }
    }
    for row in held(seen) {
        let message = row.message.as_deref().unwrap_or_default();
        told.push(format!(
            "host {}: its recovery {} is held, waiting for {}: {message}",
            row.host,
            row.id,
            waits::what(row.wait.as_ref())
        ));
    }
    if !seen.waiting.is_empty() {
        told.push(format!(
            "{} that recoveries cannot bring back without a person: `tachi vmove list --needs-person`",
            instances(seen.waiting.len())
        ));
    }
    for one in &seen.doubted {
        let number = one.number;
        let state = if one.aside {
            format!(
                "is set aside, so that what it reports begins nothing ({} reports kept)",
                one.unheard
            )
        } else {
            "is heard although Nova contradicts it, because too many would be set aside: look whether Nova is right".into()
        };
        told.push(format!(
            "reporter {} {state}: {}; tachi reporter lift {number} once that is mended",
            one.reporter, one.why
        ));
    }
    if seen.segments.iter().all(|view| view.hosts.is_empty()) {
        told.push("everything: no host is registered, so no failure can be reported".into());
    }
    for view in &seen.segments {
        segment(view, &mut told);
    }
    told
}

/// A device whose word does not count, and what to do about it.
fn foreign(line: &MachineLine, now: Timestamp) -> String {
    let text = |machine: Option<&MachineId>| machine.map_or_else(|| "none".to_owned(), ToString::to_string);
    let (answers, since) = match &line.foreign {
        Some((answers, since)) => (text(answers.as_ref()), super::super::when::ago(*since, now)),
        None => ("none".to_owned(), String::new()),
    };
    let what = match &line.machine {
        Some(expected) => {
            format!("answers for another machine: expected {expected}, {answers} answers, first {since}")
        }
        None => format!("answers for a machine that other hosts have too: {answers}, first {since}"),
    };
    format!(
        "host {}: its fence device {} {what}. Nothing it says counts until `tachi fence confirm {}`",
        line.host, line.device, line.host
    )
}

fn engines(seen: &Seen, told: &mut Vec<String>) {
    let (alive, silent): (Vec<_>, Vec<_>) = seen
        .engines
        .iter()
        .partition(|line| roll::is_alive(line, seen.now));
    if alive.is_empty() {
        let last = silent.iter().map(|line| line.seen_at).max();
        let since = last.map_or_else(String::new, |last| {
            format!(
                ", the last one signed {}",
                super::super::when::ago(last, seen.now)
            )
        });
        told.push(format!("everything: no engine runs{since}"));
    }
    for line in silent {
        told.push(format!(
            "engine {} is silent: it signed {}; another takes over what it had within seconds, if one runs",
            line.signature.name,
            super::super::when::ago(line.seen_at, seen.now)
        ));
    }
    for line in &alive {
        for (part, how) in &line.signature.facts {
            if part != OF_THE_REGION && !how.starts_with(GOOD) {
                told.push(format!("engine {}: {part} is {how}", line.signature.name));
            }
        }
    }
    // Every engine looks at the same hypervisors: the one that signed last tells of them.
    let last = alive.iter().max_by_key(|line| line.seen_at);
    let hypervisors = last.and_then(|line| line.signature.facts.get(OF_THE_REGION));
    if let Some(how) = hypervisors.filter(|how| !how.starts_with(GOOD)) {
        told.extend(how.split("; ").map(|one| format!("{OF_THE_REGION} {one}")));
    }
}

fn segment(view: &SegmentView, told: &mut Vec<String>) {
    let name = &view.segment.name;
    if !view.segment.enabled {
        told.push(format!(
            "segment {name} with its {} hosts: it is disabled, nothing of it is recovered",
            view.hosts.len()
        ));
        return;
    }
    let usable = |host: &&HostView| host_is_out(host).is_none();
    let reserved: Vec<_> = view.hosts.iter().filter(|view| view.host.reserved).collect();
    let ready = reserved.iter().copied().filter(usable).count();
    let working = view.hosts.iter().filter(|view| !view.host.reserved);
    let working = working.filter(usable).count();
    match view.segment.recovery_method {
        RecoveryMethod::ReservedHost if ready == 0 => told.push(format!(
            "segment {name}: its method is reserved_host and none of its {} reserved hosts is ready",
            reserved.len()
        )),
        RecoveryMethod::AutoPriority | RecoveryMethod::RhPriority if ready == 0 => told.push(format!(
            "segment {name}: no reserved host is ready ({} registered), so only Nova's own choice of a host is left",
            reserved.len()
        )),
        RecoveryMethod::Auto if working < 2 && !view.hosts.is_empty() => told.push(format!(
            "segment {name}: fewer than two of its hosts work, so instances may have nowhere to go"
        )),
        RecoveryMethod::Auto
        | RecoveryMethod::ReservedHost
        | RecoveryMethod::AutoPriority
        | RecoveryMethod::RhPriority => {}
    }
    for host in &view.hosts {
        // What is under recovery is told with its recovery.
        if let Some(why) = host_is_out(host)
            && !matches!(host.recovery, Some((_, Life::Open)))
        {
            told.push(format!("host {} of segment {name}: {why}", host.host.name));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tachi_domain::entity::{Host, Segment, Stamps};
    use tachi_domain::{HostId, RecoveryId, Reporter, SegmentId};
    use tachi_engine::ports::roll::Signature;
    use uuid::Uuid;

    use super::*;

    const NOW: i64 = 1_700_000_000_000_000;

    fn stamps() -> Stamps {
        Stamps {
            created_at: Timestamp::from_micros(NOW),
            updated_at: None,
        }
    }

    pub(in super::super) fn host(name: &str, reserved: bool, why: Option<MaintenanceReason>) -> HostView {
        HostView {
            host: Host {
                row: 1,
                id: HostId(Uuid::from_u128(1)),
                name: name.into(),
                segment: segment_of("all", RecoveryMethod::Auto),
                kind: "COMPUTE".into(),
                control_attributes: "SSH".into(),
                reserved,
                on_maintenance: why.is_some(),
                stamps: stamps(),
            },
            why,
            recovery: None,
        }
    }

    fn segment_of(name: &str, recovery_method: RecoveryMethod) -> Segment {
        Segment {
            row: 1,
            id: SegmentId(Uuid::from_u128(1)),
            name: name.into(),
            service_type: "COMPUTE".into(),
            enabled: true,
            description: None,
            recovery_method,
            stamps: stamps(),
        }
    }

    pub(in super::super) fn engine(name: &str, seconds_ago: i64, facts: &[(&str, &str)]) -> EngineLine {
        EngineLine {
            signature: Signature {
                name: name.into(),
                version: "1".into(),
                started_at: Timestamp::from_micros(NOW),
                facts: facts
                    .iter()
                    .map(|(part, how)| ((*part).to_owned(), (*how).to_owned()))
                    .collect(),
            },
            seen_at: Timestamp::from_micros(NOW).minus_seconds(seconds_ago),
            beat: 3,
        }
    }

    /// Two hosts, an engine, a controller: nothing to worry about.
    pub(in super::super) fn fine() -> Seen {
        Seen {
            now: Timestamp::from_micros(NOW),
            fencing: Fencing {
                mode: FencingMode::Engine,
                device: Some("https://maas".into()),
                bare_normal: BareNormal::Refuse,
                trouble: None,
                without: Vec::new(),
                foreign: Vec::new(),
            },
            database: "sqlite".into(),
            segments: vec![SegmentView {
                segment: segment_of("all", RecoveryMethod::Auto),
                hosts: vec![host("a", false, None), host("b", false, None)],
            }],
            recoveries: Vec::new(),
            waiting: Vec::new(),
            engines: vec![engine("e1", 4, &[("broker", "ok: connected")])],
            backlog: Backlog::default(),
            doubted: Vec::new(),
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    #[test]
    fn whatever_takes_protection_away_is_told() {
        type Change = fn(&mut Seen);
        let cases: &[(&str, Change, &[&str])] = &[
            ("all is well", |_| {}, &[]),
            (
                "no engine has ever run",
                |seen| seen.engines.clear(),
                &["everything: no engine runs"],
            ),
            (
                "the engine is silent",
                |seen| seen.engines = vec![engine("e1", 300, &[])],
                &[
                    "no engine runs, the last one signed 5 min ago",
                    "engine e1 is silent",
                ],
            ),
            (
                "one of two is",
                |seen| seen.engines.push(engine("e2", 21, &[])),
                &["engine e2 is silent"],
            ),
            (
                "an engine without its broker",
                |seen| seen.engines = vec![engine("e1", 1, &[("broker", "down: no route to host")])],
                &["engine e1: broker is down: no route to host"],
            ),
            (
                "hypervisors that nobody watches are told once, however many engines see them",
                |seen| {
                    let how =
                        "c5: in no segment, so not recovered; c6: down at Nova, and nobody has reported it";
                    seen.engines = vec![
                        engine("e1", 1, &[("hypervisors", how)]),
                        engine("e2", 4, &[("hypervisors", how)]),
                    ];
                },
                &[
                    "hypervisors c5: in no segment, so not recovered",
                    "hypervisors c6: down at Nova, and nobody has reported it",
                ],
            ),
            (
                "Nova is away",
                |seen| seen.engines = vec![engine("e1", 1, &[("nova", "away for 50 s: refused")])],
                &["engine e1: nova is away for 50 s: refused"],
            ),
            (
                "a mode that needs a device, and none",
                |seen| seen.fencing.device = None,
                &["no power controller is configured"],
            ),
            (
                "a devices' file with problems",
                |seen| seen.fencing.trouble = Some("line 3: no".into()),
                &["the fence devices cannot be read: line 3: no"],
            ),
            (
                "hosts that no device is for",
                |seen| seen.fencing.without = (1..=7).map(|number| format!("c{number}")).collect(),
                &["hosts without a fence device, which cannot be proven off: c1, c2, c3, c4, c5 and 2 more"],
            ),
            (
                "t9: a device that answers for another machine",
                |seen| {
                    seen.fencing.foreign = vec![MachineLine {
                        host: "a".into(),
                        device: "bmc".into(),
                        machine: Some("guid=1".parse().unwrap()),
                        since: seen.now.minus_seconds(900),
                        said_by: None,
                        foreign: Some((Some("guid=2".parse().unwrap()), seen.now.minus_seconds(30))),
                    }];
                },
                &[
                    "host a: its fence device bmc answers for another machine: expected guid=1, guid=2 answers, first 30 s ago",
                ],
            ),
            (
                "a mode that does nothing",
                |seen| seen.fencing.mode = FencingMode::DryRun,
                &["fencing mode is dry-run"],
            ),
            (
                "an engine that does not take what comes",
                |seen| {
                    seen.backlog.new = 2;
                    seen.backlog.oldest_new = Some(seen.now.minus_seconds(31));
                },
                &["2 notifications nobody has begun to work on, the oldest for 31 s"],
            ),
            (
                "a reporter that is set aside, and one that is not because too many would be",
                |seen| {
                    let doubted = |number, aside| Doubted {
                        number,
                        reporter: Reporter {
                            host: Some("c9".into()),
                            ..Reporter::default()
                        },
                        since: seen.now,
                        why: "it lied".into(),
                        aside,
                        unheard: 4,
                    };
                    seen.doubted = vec![doubted(1, true), doubted(2, false)];
                },
                &[
                    "reporter nobody (bound to c9) is set aside, so that what it reports begins nothing (4 reports kept): it lied; \
                     tachi reporter lift 1",
                    "is heard although Nova contradicts it",
                ],
            ),
            (
                "no host at all",
                |seen| seen.segments.clear(),
                &["no host is registered"],
            ),
            (
                "a disabled segment",
                |seen| seen.segments[0].segment.enabled = false,
                &["segment all with its 2 hosts: it is disabled"],
            ),
            (
                "a host on maintenance leaves one",
                |seen| seen.segments[0].hosts[0] = host("a", false, Some(MaintenanceReason::Recovery)),
                &[
                    "fewer than two",
                    "host a of segment all: on maintenance: it was recovered",
                ],
            ),
            (
                "a reserved host that is not there",
                |seen| seen.segments[0].segment.recovery_method = RecoveryMethod::ReservedHost,
                &["none of its 0 reserved hosts is ready"],
            ),
            (
                "one that is",
                |seen| {
                    seen.segments[0].segment.recovery_method = RecoveryMethod::RhPriority;
                    seen.segments[0].hosts.push(host("r", true, None));
                },
                &[],
            ),
            (
                "one that is out",
                |seen| {
                    seen.segments[0].segment.recovery_method = RecoveryMethod::AutoPriority;
                    let out = host("r", true, Some(MaintenanceReason::Operator));
                    seen.segments[0].hosts.push(out);
                },
                &[
                    "no reserved host is ready (1 registered)",
                    "host r of segment all",
                ],
            ),
            (
                "a host under recovery is told with its recovery, not twice",
                |seen| {
                    let id = RecoveryId(Uuid::from_u128(9));
                    seen.segments[0]
                        .hosts
                        .push(host("c", false, Some(MaintenanceReason::Recovery)));
                    seen.segments[0].hosts[2].recovery = Some((id, Life::Open));
                },
                &[],
            ),
        ];
        for (name, change, expected) in cases {
            let mut seen = fine();
            change(&mut seen);
            let told = unprotected(&seen);
            assert_eq!(told.len(), expected.len(), "{name}: {told:?}");
            for (line, part) in told.iter().zip(*expected) {
                assert!(line.contains(part), "{name}: {line}");
            }
        }
    }
}
