//! Input of `tachi status`.

use tachi_domain::count;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::recovery::Life;
use tachi_operator::RegisteredView;

/// Returns why a host is not protected now, or may not be; `None` if there is nothing to show.
pub(super) fn host_is_out(view: &RegisteredView) -> Option<&'static str> {
    match (view.life, view.why) {
        (Some(Life::Open), _) => Some("under recovery"),
        (_, Some(MaintenanceReason::Operator)) => Some("in maintenance, set by an operator"),
        (_, Some(MaintenanceReason::Recovery)) => {
            Some("in maintenance: recovered, not yet returned to service")
        }
        (_, Some(MaintenanceReason::Process)) => {
            Some("disabled and in maintenance: one of its processes has failed")
        }
        (Some(Life::Watching | Life::Closed) | None, None) => None,
    }
}

pub(crate) fn instances(number: usize) -> String {
    count(number, "instance", "instances")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use tachi_domain::Timestamp;
    use tachi_domain::entity::segment::RecoveryMethod;
    use tachi_domain::entity::{Host, Segment, Stamps};
    use tachi_domain::policy::{BareNormal, FencingMode, LocalDiskRules};
    use tachi_domain::situation::{
        ComputeService, Facts, Instances, Situation, TimedFact, assess, forecast_region,
    };
    use tachi_domain::{HostId, SegmentId};
    use tachi_engine::ports::engine_registry::{Backlog, EngineHeartbeat, EngineRow};
    use tachi_engine::ports::operator::{HostView, SegmentView};
    use tachi_engine::situation::{CloudSnapshot, ConfiguredFacts, Tables};
    use tachi_operator::{Fencing, RegionSnapshot, SnapshotSource};
    use uuid::Uuid;

    use super::*;

    const NOW: i64 = 1_700_000_000_000_000;

    fn stamps() -> Stamps {
        Stamps {
            created_at: Timestamp::from_micros(NOW),
            updated_at: None,
        }
    }

    pub(crate) fn host(name: &str, reserved: bool, why: Option<MaintenanceReason>) -> HostView {
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

    pub(in super::super) fn engine(name: &str, seconds_ago: i64, facts: &[(&str, &str)]) -> EngineRow {
        EngineRow {
            heartbeat: EngineHeartbeat {
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

    /// Builds a region with two hosts, an engine and a controller, and current Nova data.
    pub(crate) fn fine() -> RegionSnapshot {
        let tables = Tables {
            segments: vec![SegmentView {
                segment: segment_of("all", RecoveryMethod::Auto),
                hosts: vec![host("a", false, None), host("b", false, None)],
            }],
            recoveries: Vec::new(),
            waiting: Vec::new(),
            moves: Vec::new(),
            engines: vec![engine("e1", 4, &[("broker", "ok: connected")])],
            backlog: Backlog::default(),
            muted_reporters: Vec::new(),
            failed: std::collections::BTreeMap::new(),
            machines: Vec::new(),
            freezes: Vec::new(),
            monitors: Vec::new(),
            local_disks: Arc::default(),
            acknowledged: Vec::new(),
        };
        RegionSnapshot {
            now: Timestamp::from_micros(NOW),
            fencing: Fencing {
                mode: FencingMode::External,
                device: None,
                bare_normal: BareNormal::Refuse,
            },
            place: SnapshotSource {
                region: None,
                database: "sqlite".into(),
            },
            looked_at: None,
            ages: Vec::new(),
            tests: Vec::new(),
            facts: facts_of(&tables),
            forecast: Arc::new(forecast_region(&facts_of(&tables), Timestamp::from_micros(NOW))),
            situation: judged(&tables),
            tables,
        }
    }

    /// Assesses the facts of [`facts_of`].
    pub(crate) fn judged(tables: &Tables) -> Situation {
        assess(&facts_of(tables), Timestamp::from_micros(NOW))
    }

    /// Builds the facts, with a Nova that shows every registered host up, and no instances.
    pub(crate) fn facts_of(tables: &Tables) -> Facts {
        let now = Timestamp::from_micros(NOW);
        let compute = |name: &str| ComputeService {
            host: name.into(),
            up: true,
            enabled: true,
            cell_down: false,
            ambiguous: false,
            drained: false,
            forced_down: false,
            since: now,
        };
        let watched = CloudSnapshot {
            computes: Some(TimedFact {
                as_of: now,
                value: tables.hosts().into_iter().map(compute).collect(),
            }),
            instances: Some(TimedFact {
                as_of: now,
                value: Instances {
                    complete: true,
                    listing_since: None,
                    on: [].into(),
                },
            }),
            tests: None,
            rooms: None,
            holds: None,
            joint_losses: None,
        };
        let configured = ConfiguredFacts {
            fencing: tachi_domain::situation::Fencing::without_devices(FencingMode::External),
            local_disk: LocalDiskRules::default(),
        };
        tables.facts(watched, configured)
    }
}
