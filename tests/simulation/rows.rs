//! A recovery's notification and its host, as a new owner reads them.

use std::collections::BTreeMap;

use tachi_domain::entity::Stamps;
use tachi_domain::entity::host::Host;
use tachi_domain::entity::notification::{Notification, NotificationType};
use tachi_domain::entity::segment::Segment;
use tachi_domain::recovery::{RecoveryKind, retry};
use tachi_domain::{NotificationId, SegmentId, Timestamp};
use uuid::Uuid;

use crate::journal::{Journal, RecIx, RepeatedReport};
use crate::nova::{HostIx, host_name, server_id, stamp};
use crate::reserve::host_id;
use crate::storms::recovery_id;

const SEGMENT: SegmentId = SegmentId(Uuid::from_u128(1));

impl Journal {
    pub(crate) fn notification(&self, rec: RecIx) -> Notification {
        let row = &self.recs[rec];
        let named = row.server.map(|server| server_id(server).to_string());
        let (kind, payload): (_, Vec<(&str, &str)>) = match row.kind {
            RecoveryKind::Host => (
                NotificationType::ComputeHost,
                vec![
                    ("event", row.event),
                    ("cluster_status", "OFFLINE"),
                    ("host_status", row.reported),
                ],
            ),
            RecoveryKind::Vm => (
                NotificationType::Vm,
                vec![
                    ("event", "LIFECYCLE"),
                    ("vir_domain_event", "STOPPED_FAILED"),
                    ("instance_uuid", named.as_deref().unwrap_or_default()),
                ],
            ),
            RecoveryKind::Process => (
                NotificationType::Process,
                vec![("event", "STOPPED"), ("process_name", "nova-compute")],
            ),
            RecoveryKind::Drain | RecoveryKind::Giveback => (NotificationType::ComputeHost, Vec::new()),
        };
        let as_reported = || {
            let fields = payload.into_iter().map(|(key, value)| (key.into(), value.into()));
            let fields: BTreeMap<String, String> = fields.collect();
            match row.again {
                Some(RepeatedReport { of, own_stamp }) if row.kind == RecoveryKind::Host => {
                    let has_evidence = row
                        .off_claim
                        .as_ref()
                        .is_some_and(|claim| claim.evidence.is_some());
                    retry::payload(recovery_id(of), own_stamp, has_evidence, fields)
                }
                _ => fields,
            }
        };
        let planned = self.plans.get(&rec).cloned();
        Notification {
            row: 1,
            id: NotificationId(Uuid::from_u128(0x70 + u128::try_from(rec).unwrap())),
            kind,
            generated_time: stamp(row.observed_at),
            source_host: host_id(row.host),
            segment: Some(SEGMENT),
            payload: planned.unwrap_or_else(as_reported),
            status: row.status,
            message: row.message.clone(),
            reporter: row.reporter.clone().map(Box::new),
            stamps: Stamps {
                created_at: stamp(row.opened),
                updated_at: None,
            },
        }
    }

    pub(crate) fn host(&self, host: HostIx) -> Host {
        let stamps = Stamps {
            created_at: Timestamp::from_micros(0),
            updated_at: None,
        };
        Host {
            row: 1,
            id: host_id(host),
            name: host_name(host),
            segment: Segment {
                row: 1,
                id: SEGMENT,
                name: "segment".into(),
                service_type: "COMPUTE".into(),
                enabled: true,
                description: None,
                recovery_method: self.reserve.method,
                stamps,
            },
            kind: "COMPUTE".into(),
            control_attributes: "SSH".into(),
            reserved: false,
            on_maintenance: self.maintenance_of(host).is_some(),
            stamps,
        }
    }
}
