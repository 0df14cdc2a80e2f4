//! An in-memory registry that follows the contract of the port.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Mutex, MutexGuard, atomic};

use async_trait::async_trait;
use tachi_domain::entity::host::{HostAttributes, HostFilter, NewHost};
use tachi_domain::entity::notification::{NewNotification, NotificationFilter, NotificationStatus};
use tachi_domain::entity::segment::{NewSegment, SegmentChange, SegmentFilter};
use tachi_domain::entity::vmove::VmoveFilter;
use tachi_domain::entity::{Host, Notification, Segment, Stamps, TaskProgress, Vmove};
use tachi_domain::evidence::GivenEvidence;
use tachi_domain::monitor::{MonitorHeartbeat, MonitorKind};
use tachi_domain::situation::Monitor;
use tachi_domain::{HostId, NotificationId, SegmentId, ServerId, Timestamp, VmoveId};
use tachi_engine::ports::registry::{BootHold, Page, SortKey};
use tachi_engine::ports::{
    BootHolds, Hosts, JournalError, Monitors, Notifications, ReceivedHeartbeat, RefusalLog, Refusals,
    Registry, RegistryError, Reports, Segments,
};
use uuid::Uuid;

type Done<T> = Result<T, RegistryError>;

#[derive(Default)]
pub(super) struct Rows {
    pub(super) segments: Vec<Segment>,
    pub(super) hosts: Vec<Host>,
    pub(super) notifications: Vec<Notification>,
    /// The evidence of each notification, in the order of `notifications`.
    pub(super) evidence: Vec<Option<GivenEvidence>>,
    pub(super) vmoves: Vec<Vmove>,
    pub(super) progress: Vec<TaskProgress>,
    pub(super) boot_holds: BTreeMap<String, BootHold>,
    pub(super) signatures: Vec<MonitorHeartbeat>,
    pub(super) refusals: Vec<Refusals>,
}

/// Each row gets the next integer id, and the same number of seconds as creation time.
#[derive(Default)]
pub(super) struct Fake {
    rows: Mutex<Rows>,
    next: AtomicI64,
    /// True if every call fails.
    pub(super) broken: AtomicBool,
}

impl Fake {
    pub(super) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    fn open(&self) -> Done<MutexGuard<'_, Rows>> {
        if self.broken.load(atomic::Ordering::SeqCst) {
            return Err(RegistryError::Database {
                operation: "asking a broken fake",
                source: "broken".into(),
            });
        }
        Ok(self.rows())
    }

    pub(super) fn row_and_stamps(&self) -> (i64, Stamps) {
        let row = self.next.fetch_add(1, atomic::Ordering::SeqCst) + 1;
        let created_at = Timestamp::from_micros(row * 1_000_000);
        (
            row,
            Stamps {
                created_at,
                updated_at: None,
            },
        )
    }
}

impl Rows {
    fn in_use(&self, segment: SegmentId) -> bool {
        self.notifications.iter().any(|notification| {
            notification.status.is_open()
                && self
                    .hosts
                    .iter()
                    .any(|host| host.segment.id == segment && host.id == notification.source_host)
        })
    }
}

/// A sort key. An absent value sorts first.
#[derive(PartialEq, PartialOrd)]
enum Cell {
    Absent,
    Number(i64),
    Text(String),
}

trait Row: Clone {
    fn row(&self) -> i64;
    fn cell(&self, column: &str) -> Cell;
}

fn common(column: &str, row: i64, stamps: Stamps) -> Cell {
    match column {
        "id" => Cell::Number(row),
        "created_at" => Cell::Number(stamps.created_at.micros()),
        "updated_at" => stamps
            .updated_at
            .map_or(Cell::Absent, |time| Cell::Number(time.micros())),
        "deleted" => Cell::Number(0),
        "deleted_at" => Cell::Absent,
        other => panic!("the API let sort key {other} through"),
    }
}

fn text(text: impl ToString) -> Cell {
    Cell::Text(text.to_string())
}

fn maybe(value: Option<impl ToString>) -> Cell {
    value.map_or(Cell::Absent, text)
}

impl Row for Segment {
    fn row(&self) -> i64 {
        self.row
    }

    fn cell(&self, column: &str) -> Cell {
        match column {
            "uuid" => text(self.id),
            "name" => text(&self.name),
            "service_type" => text(&self.service_type),
            "enabled" => text(self.enabled),
            "description" => maybe(self.description.as_ref()),
            "recovery_method" => text(self.recovery_method),
            other => common(other, self.row, self.stamps),
        }
    }
}

impl Row for Host {
    fn row(&self) -> i64 {
        self.row
    }

    fn cell(&self, column: &str) -> Cell {
        match column {
            "uuid" => text(self.id),
            "name" => text(&self.name),
            "type" => text(&self.kind),
            "control_attributes" => text(&self.control_attributes),
            "reserved" => text(self.reserved),
            "on_maintenance" => text(self.on_maintenance),
            "failover_segment_id" => text(self.segment.id),
            other => common(other, self.row, self.stamps),
        }
    }
}

impl Row for Notification {
    fn row(&self) -> i64 {
        self.row
    }

    fn cell(&self, column: &str) -> Cell {
        match column {
            "notification_uuid" => text(self.id),
            "generated_time" => Cell::Number(self.generated_time.micros()),
            "type" => text(self.kind),
            "payload" => text(format!("{:?}", self.payload)),
            "status" => text(self.status),
            "source_host_uuid" => text(self.source_host),
            "failover_segment_uuid" => maybe(self.segment),
            "message" => maybe(self.message.as_ref()),
            other => common(other, self.row, self.stamps),
        }
    }
}

impl Row for Vmove {
    fn row(&self) -> i64 {
        self.row
    }

    fn cell(&self, column: &str) -> Cell {
        let time = |time: Option<Timestamp>| time.map_or(Cell::Absent, |time| Cell::Number(time.micros()));
        match column {
            "uuid" => text(self.id),
            "notification_uuid" => text(self.notification),
            "instance_uuid" => text(&self.instance_uuid),
            "instance_name" => text(&self.instance_name),
            "source_host" => maybe(self.source_host.as_ref()),
            "dest_host" => maybe(self.dest_host.as_ref()),
            "start_time" => time(self.start_time),
            "end_time" => time(self.end_time),
            "type" => maybe(self.kind),
            "status" => maybe(self.status),
            "message" => maybe(self.message.as_ref()),
            other => common(other, self.row, self.stamps),
        }
    }
}

fn compare<R: Row>(sort: &[SortKey], a: &R, b: &R) -> Ordering {
    for key in sort {
        let order = a.cell(&key.column).partial_cmp(&b.cell(&key.column)).unwrap();
        let order = if key.descending { order.reverse() } else { order };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn page<R: Row, F>(all: &[R], page: &Page<F>, keep: impl Fn(&R, &F) -> bool) -> Done<Vec<R>> {
    let marker = match page.marker {
        Some(marker) => Some(
            all.iter()
                .find(|row| row.row() == marker)
                .ok_or(RegistryError::MarkerNotFound { marker })?,
        ),
        None => None,
    };
    let mut found: Vec<R> = all
        .iter()
        .filter(|row| keep(row, &page.filter))
        .filter(|row| marker.is_none_or(|marker| compare(&page.sort, marker, *row).is_lt()))
        .cloned()
        .collect();
    found.sort_by(|a, b| compare(&page.sort, a, b));
    found.truncate(usize::try_from(page.limit).unwrap());
    Ok(found)
}

/// True if a filter matches a value.
fn lets<T: PartialEq<U>, U>(filter: Option<&T>, value: U) -> bool {
    filter.is_none_or(|requested| *requested == value)
}

#[async_trait]
impl Segments for Fake {
    async fn list_segments(&self, requested: &Page<SegmentFilter>) -> Done<Vec<Segment>> {
        page(&self.open()?.segments, requested, |segment, filter| {
            lets(filter.recovery_method.as_ref(), segment.recovery_method.as_str())
                && lets(filter.service_type.as_ref(), segment.service_type.as_str())
                && lets(filter.enabled.as_ref(), segment.enabled)
                && lets(filter.row.as_ref(), segment.row)
        })
    }

    async fn get_segment(&self, id: SegmentId) -> Done<Option<Segment>> {
        Ok(self
            .open()?
            .segments
            .iter()
            .find(|segment| segment.id == id)
            .cloned())
    }

    async fn create_segment(&self, new: &NewSegment) -> Done<Segment> {
        let mut rows = self.open()?;
        if rows.segments.iter().any(|segment| segment.name == new.name) {
            return Err(RegistryError::SegmentExists {
                name: new.name.clone(),
            });
        }
        let (row, stamps) = self.row_and_stamps();
        let segment = Segment {
            row,
            id: Uuid::new_v4().into(),
            name: new.name.clone(),
            service_type: new.service_type.clone(),
            enabled: new.enabled,
            description: new.description.clone(),
            recovery_method: new.recovery_method,
            stamps,
        };
        rows.segments.push(segment.clone());
        Ok(segment)
    }

    async fn update_segment(&self, id: SegmentId, change: &SegmentChange) -> Done<Segment> {
        let mut rows = self.open()?;
        let in_use = rows.in_use(id);
        let taken = change.name.as_ref().is_some_and(|name| {
            rows.segments
                .iter()
                .any(|segment| segment.id != id && segment.name == *name)
        });
        let not_found = RegistryError::SegmentNotFound { segment: id };
        let segment = rows
            .segments
            .iter_mut()
            .find(|segment| segment.id == id)
            .ok_or(not_found)?;
        let only_enabled = *change
            == SegmentChange {
                enabled: change.enabled,
                ..SegmentChange::default()
            };
        if in_use && !only_enabled {
            return Err(RegistryError::InUse);
        }
        if taken {
            return Err(RegistryError::SegmentExists {
                name: change.name.clone().unwrap(),
            });
        }
        *segment = change.applied_to(segment.clone());
        segment.stamps.updated_at = Some(Timestamp::from_micros(1_000_000_000_000));
        Ok(segment.clone())
    }

    async fn delete_segment(&self, id: SegmentId) -> Done<()> {
        let mut rows = self.open()?;
        if rows.segments.iter().all(|segment| segment.id != id) {
            return Err(RegistryError::SegmentNotFound { segment: id });
        }
        if rows.in_use(id) {
            return Err(RegistryError::InUse);
        }
        rows.segments.retain(|segment| segment.id != id);
        rows.hosts.retain(|host| host.segment.id != id);
        Ok(())
    }
}

#[async_trait]
impl Hosts for Fake {
    async fn list_hosts(&self, segment: SegmentId, requested: &Page<HostFilter>) -> Done<Vec<Host>> {
        let rows = self.open()?;
        if rows.segments.iter().all(|known| known.id != segment) {
            return Err(RegistryError::SegmentNotFound { segment });
        }
        page(&rows.hosts, requested, |host, HostFilter { attributes, row }| {
            host.segment.id == segment
                && lets(row.as_ref(), host.row)
                && lets(attributes.kind.as_ref(), host.kind.as_str())
                && lets(attributes.name.as_ref(), host.name.as_str())
                && lets(
                    attributes.control_attributes.as_ref(),
                    host.control_attributes.as_str(),
                )
                && lets(attributes.on_maintenance.as_ref(), host.on_maintenance)
                && lets(attributes.reserved.as_ref(), host.reserved)
        })
    }

    async fn get_host(&self, segment: SegmentId, id: HostId) -> Done<Option<Host>> {
        let rows = self.open()?;
        Ok(rows
            .hosts
            .iter()
            .find(|host| host.id == id && host.segment.id == segment)
            .cloned())
    }

    async fn create_host(&self, segment: SegmentId, new: &NewHost) -> Done<Host> {
        let mut rows = self.open()?;
        let not_found = RegistryError::SegmentNotFound { segment };
        let segment = rows
            .segments
            .iter()
            .find(|known| known.id == segment)
            .cloned()
            .ok_or(not_found)?;
        if rows.hosts.iter().any(|host| host.name == new.name) {
            return Err(RegistryError::HostExists {
                name: new.name.clone(),
            });
        }
        let (row, stamps) = self.row_and_stamps();
        let host = Host {
            row,
            id: Uuid::new_v4().into(),
            name: new.name.clone(),
            segment,
            kind: new.kind.clone(),
            control_attributes: new.control_attributes.clone(),
            reserved: new.reserved,
            on_maintenance: new.on_maintenance,
            stamps,
        };
        rows.hosts.push(host.clone());
        Ok(host)
    }

    async fn changeable_host(&self, segment: SegmentId, id: HostId, change: &HostAttributes) -> Done<Host> {
        let rows = self.open()?;
        let host = rows
            .hosts
            .iter()
            .find(|host| host.id == id && host.segment.id == segment)
            .ok_or(RegistryError::HostNotFound { host: id, segment })?;
        if rows.in_use(segment) && !change.only_sets_maintenance() {
            return Err(RegistryError::InUse);
        }
        Ok(host.clone())
    }

    async fn update_host(&self, segment: SegmentId, id: HostId, change: &HostAttributes) -> Done<Host> {
        let mut rows = self.open()?;
        let in_use = rows.in_use(segment);
        let taken = change
            .name
            .as_ref()
            .is_some_and(|name| rows.hosts.iter().any(|host| host.id != id && host.name == *name));
        let host = rows
            .hosts
            .iter_mut()
            .find(|host| host.id == id && host.segment.id == segment)
            .ok_or(RegistryError::HostNotFound { host: id, segment })?;
        if in_use && !change.only_sets_maintenance() {
            return Err(RegistryError::InUse);
        }
        if taken {
            return Err(RegistryError::HostExists {
                name: change.name.clone().unwrap(),
            });
        }
        let change = change.clone();
        host.name = change.name.unwrap_or_else(|| host.name.clone());
        host.kind = change.kind.unwrap_or_else(|| host.kind.clone());
        host.control_attributes = change
            .control_attributes
            .unwrap_or_else(|| host.control_attributes.clone());
        host.reserved = change.reserved.unwrap_or(host.reserved);
        host.on_maintenance = change.on_maintenance.unwrap_or(host.on_maintenance);
        Ok(host.clone())
    }

    async fn delete_host(&self, segment: SegmentId, id: HostId) -> Done<()> {
        let mut rows = self.open()?;
        if rows
            .hosts
            .iter()
            .all(|host| host.id != id || host.segment.id != segment)
        {
            return Err(RegistryError::HostNotFound { host: id, segment });
        }
        if rows.in_use(segment) {
            return Err(RegistryError::InUse);
        }
        rows.hosts.retain(|host| host.id != id);
        Ok(())
    }
}

#[async_trait]
impl Notifications for Fake {
    async fn list_notifications(&self, requested: &Page<NotificationFilter>) -> Done<Vec<Notification>> {
        page(&self.open()?.notifications, requested, |notification, filter| {
            lets(filter.row.as_ref(), notification.row)
                && lets(filter.status.as_ref(), notification.status.as_str())
                && lets(filter.kind.as_ref(), notification.kind.as_str())
                && lets(filter.source_host.as_ref(), notification.source_host.to_string())
                && filter
                    .generated_since
                    .is_none_or(|since| notification.generated_time >= since)
        })
    }

    async fn get_notification(&self, id: NotificationId) -> Done<Option<Notification>> {
        Ok(self
            .open()?
            .notifications
            .iter()
            .find(|notification| notification.id == id)
            .cloned())
    }

    async fn list_vmoves(&self, of: NotificationId, requested: &Page<VmoveFilter>) -> Done<Vec<Vmove>> {
        page(&self.open()?.vmoves, requested, |vmove, filter| {
            let status = vmove.status.map(tachi_domain::entity::vmove::VmoveStatus::as_str);
            let kind = vmove.kind.map(tachi_domain::entity::vmove::VmoveType::as_str);
            vmove.notification == of
                && lets(filter.row.as_ref(), vmove.row)
                && filter
                    .status
                    .as_deref()
                    .is_none_or(|requested| status == Some(requested))
                && filter
                    .kind
                    .as_deref()
                    .is_none_or(|requested| kind == Some(requested))
        })
    }

    async fn get_vmove(&self, notification: NotificationId, id: VmoveId) -> Done<Option<Vmove>> {
        let rows = self.open()?;
        Ok(rows
            .vmoves
            .iter()
            .find(|vmove| vmove.id == id && vmove.notification == notification)
            .cloned())
    }

    async fn progress(&self, _: NotificationId) -> Done<Vec<TaskProgress>> {
        Ok(self.open()?.progress.clone())
    }
}

#[async_trait]
impl Reports for Fake {
    async fn accept_notification(
        &self,
        new: &NewNotification,
        window_seconds: u32,
        now: Timestamp,
    ) -> Done<Notification> {
        let mut rows = self.open()?;
        let name = || new.hostname.clone();
        let host = rows.hosts.iter().find(|host| host.name == new.hostname).cloned();
        let host = host.ok_or_else(|| RegistryError::UnknownHostName { name: name() })?;
        if host.on_maintenance {
            return Err(RegistryError::OnMaintenance { name: name() });
        }
        let since = new.generated_time.minus_seconds(window_seconds.into());
        let duplicate = rows.notifications.iter().any(|known| {
            known.kind == new.kind
                && known.source_host == host.id
                && known.payload == new.payload
                && known.generated_time >= since
        });
        if duplicate {
            return Err(RegistryError::Duplicate);
        }
        let (row, _) = self.row_and_stamps();
        let notification = Notification {
            row,
            id: Uuid::new_v4().into(),
            kind: new.kind,
            generated_time: new.generated_time,
            source_host: host.id,
            segment: Some(host.segment.id),
            payload: new.payload.clone(),
            status: NotificationStatus::New,
            message: None,
            reporter: new.reporter.clone(),
            stamps: Stamps {
                created_at: now.whole_seconds(),
                updated_at: None,
            },
        };
        rows.notifications.push(notification.clone());
        rows.evidence.push(new.evidence.as_deref().cloned());
        Ok(notification)
    }
}

#[async_trait]
impl BootHolds for Fake {
    async fn boot_hold(&self, host: &str) -> Done<Option<BootHold>> {
        Ok(self.open()?.boot_holds.get(host).copied())
    }
}

impl Registry for Fake {}

#[async_trait]
impl RefusalLog for Fake {
    async fn write_refusals(&self, rows: &[Refusals]) -> Result<(), JournalError> {
        let mut all = self
            .open()
            .map_err(|error| JournalError::new("counting", error))?;
        all.refusals.extend(rows.iter().cloned());
        Ok(())
    }

    async fn forget_refusals(&self, _: Timestamp) -> Result<(), JournalError> {
        Ok(())
    }
}

#[async_trait]
impl Monitors for Fake {
    async fn store_heartbeats(
        &self,
        heartbeats: &[ReceivedHeartbeat],
    ) -> Result<BTreeSet<(String, MonitorKind)>, JournalError> {
        let mut rows = self.open().map_err(|error| JournalError::new("signing", error))?;
        let signatures = heartbeats.iter().map(|one| one.heartbeat.clone());
        let (strange, known): (Vec<_>, Vec<_>) = signatures.partition(|one| one.host == "stranger");
        rows.signatures.extend(known);
        Ok(strange.into_iter().map(|one| (one.host, one.kind)).collect())
    }

    async fn monitors(&self) -> Result<Vec<Monitor>, JournalError> {
        Ok(Vec::new())
    }

    async fn local_disks(&self) -> Result<BTreeMap<String, BTreeSet<ServerId>>, JournalError> {
        Ok(BTreeMap::new())
    }

    async fn forget_monitor(&self, _: &str, _: MonitorKind) -> Result<bool, JournalError> {
        Ok(false)
    }
}
