//! Conversions from rows to the domain's types.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::entity::vmove::{VmoveStatus, VmoveType};
use tachi_domain::entity::{Host, Notification, Segment, Stamps, Vmove};
use tachi_domain::recovery::InstanceResolution;
use tachi_domain::recovery::OffClaim;
use tachi_domain::{Reporter, Timestamp, recovery};
use uuid::Uuid;

use crate::entity;
use crate::error::Failure;
use crate::time::from_column;

/// The location of a value, for the message about an invalid one.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'a> {
    pub(crate) table: &'static str,
    pub(crate) row: &'a str,
    pub(crate) column: &'static str,
}

impl Cell<'_> {
    fn corrupt(self, value: impl Into<String>) -> Failure {
        Failure::Corrupt {
            table: self.table,
            row: self.row.to_owned(),
            column: self.column,
            value: value.into(),
        }
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(self, text: &str) -> Result<T, Failure> {
        serde_json::from_str(text).map_err(|_| self.corrupt(text))
    }

    /// Parses the fencing claim of reports.
    pub(crate) fn off_claim(self, text: &str) -> Result<OffClaim, Failure> {
        serde_json::from_str(text).map_err(|_| self.corrupt(text))
    }

    /// Parses the operators' resolutions for single instances.
    pub(crate) fn move_words(self, text: &str) -> Result<Vec<InstanceResolution>, Failure> {
        serde_json::from_str(text).map_err(|_| self.corrupt(text))
    }

    pub(crate) fn reporter(self, text: &str) -> Result<Reporter, Failure> {
        serde_json::from_str(text).map_err(|_| self.corrupt(text))
    }

    pub(crate) fn id<T: From<Uuid>>(self, text: &str) -> Result<T, Failure> {
        Uuid::parse_str(text).map(T::from).map_err(|_| self.corrupt(text))
    }

    /// Parses a value that `parse` knows.
    pub(crate) fn parse<T>(self, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, Failure> {
        parse(text).ok_or_else(|| self.corrupt(text))
    }

    /// Converts a number that is never negative.
    pub(crate) fn count(self, number: i64) -> Result<u64, Failure> {
        u64::try_from(number).map_err(|_| self.corrupt(number.to_string()))
    }
}

/// Converts a number to the database's form.
pub(crate) fn signed(what: &'static str, number: u64) -> Result<i64, Failure> {
    i64::try_from(number).map_err(|_| Failure::Range {
        what,
        value: number.to_string(),
    })
}

fn stamps(created_at: Option<NaiveDateTime>, updated_at: Option<NaiveDateTime>) -> Stamps {
    Stamps {
        // Masakari's schema permits NULL, but its rows never contain it.
        created_at: created_at.map_or(Timestamp::from_micros(0), from_column),
        updated_at: updated_at.map(from_column),
    }
}

pub(crate) fn segment(row: entity::segment::Model) -> Result<Segment, Failure> {
    let cell = |column| Cell {
        table: "failover_segments",
        row: &row.uuid,
        column,
    };
    Ok(Segment {
        row: row.id,
        id: cell("uuid").id(&row.uuid)?,
        recovery_method: cell("recovery_method").parse(&row.recovery_method, RecoveryMethod::from_value)?,
        enabled: is_enabled(&row),
        stamps: stamps(row.created_at, row.updated_at),
        name: row.name,
        service_type: row.service_type,
        description: row.description,
    })
}

/// True if a segment is enabled. Rows from before that column exists are enabled.
pub(crate) fn is_enabled(row: &entity::segment::Model) -> bool {
    row.enabled.unwrap_or(true)
}

/// Converts a host of `segment`.
pub(crate) fn host(row: entity::host::Model, segment: Segment) -> Result<Host, Failure> {
    let cell = Cell {
        table: "hosts",
        row: &row.uuid,
        column: "uuid",
    };
    Ok(Host {
        row: row.id,
        id: cell.id(&row.uuid)?,
        segment,
        reserved: row.reserved.unwrap_or(false),
        on_maintenance: row.on_maintenance.unwrap_or(false),
        stamps: stamps(row.created_at, row.updated_at),
        name: row.name,
        kind: row.kind,
        control_attributes: row.control_attributes,
    })
}

pub(crate) fn notification(row: entity::notification::Model) -> Result<Notification, Failure> {
    let cell = |column| Cell {
        table: "notifications",
        row: &row.notification_uuid,
        column,
    };
    let segment = row
        .failover_segment_uuid
        .as_deref()
        .map(|id| cell("failover_segment_uuid").id(id))
        .transpose()?;
    Ok(Notification {
        row: row.id,
        id: cell("notification_uuid").id(&row.notification_uuid)?,
        kind: cell("type").parse(&row.kind, NotificationType::from_value)?,
        generated_time: from_column(row.generated_time),
        source_host: cell("source_host_uuid").id(&row.source_host_uuid)?,
        segment,
        payload: payload(cell("payload"), row.payload.as_deref())?,
        status: cell("status").parse(&row.status, NotificationStatus::from_value)?,
        stamps: stamps(row.created_at, row.updated_at),
        reporter: row
            .reporter
            .as_deref()
            .map(|text| cell("reporter").reporter(text).map(Box::new))
            .transpose()?,
        message: row.message,
    })
}

/// Parses a payload. A value that is not a text, which the API never accepts, is kept as JSON.
pub(crate) fn payload(cell: Cell<'_>, text: Option<&str>) -> Result<BTreeMap<String, String>, Failure> {
    let Some(text) = text else {
        return Ok(BTreeMap::new());
    };
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| cell.corrupt(text))?;
    Ok(map
        .into_iter()
        .map(|(key, value)| match value {
            serde_json::Value::String(text) => (key, text),
            other @ (serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_)) => (key, other.to_string()),
        })
        .collect())
}

pub(crate) fn vmove(row: entity::vmove::Model) -> Result<Vmove, Failure> {
    let cell = |column| Cell {
        table: "vmoves",
        row: &row.uuid,
        column,
    };
    let kind = row
        .kind
        .as_deref()
        .map(|kind| cell("type").parse(kind, VmoveType::from_value))
        .transpose()?;
    let status = row
        .status
        .as_deref()
        .map(|status| cell("status").parse(status, VmoveStatus::from_value))
        .transpose()?;
    Ok(Vmove {
        row: row.id,
        id: cell("uuid").id(&row.uuid)?,
        notification: cell("notification_uuid").id(&row.notification_uuid)?,
        kind,
        status,
        start_time: row.start_time.map(from_column),
        end_time: row.end_time.map(from_column),
        stamps: stamps(row.created_at, row.updated_at),
        instance_uuid: row.instance_uuid,
        instance_name: row.instance_name,
        source_host: row.source_host,
        dest_host: row.dest_host,
        message: row.message,
    })
}

/// Returns the location of a value in the row of a recovery.
pub(crate) fn recovery_cell<'a>(row: &'a entity::recovery::Model, column: &'static str) -> Cell<'a> {
    Cell {
        table: "recovery",
        row: &row.uuid,
        column,
    }
}

/// Returns the reporters of a recovery's subject.
pub(crate) fn reporters(row: &entity::recovery::Model) -> Result<Vec<Reporter>, Failure> {
    let Some(text) = &row.reporters else {
        return Ok(Vec::new());
    };
    let cell = recovery_cell(row, "reporters");
    serde_json::from_str(text).map_err(|_| cell.corrupt(text.as_str()))
}

pub(crate) fn life(row: &entity::recovery::Model) -> Result<recovery::Life, Failure> {
    recovery_cell(row, "life").parse(&row.life, recovery::Life::from_value)
}

pub(crate) fn recovery_kind(row: &entity::recovery::Model) -> Result<recovery::RecoveryKind, Failure> {
    recovery_cell(row, "kind").parse(&row.kind, recovery::RecoveryKind::from_value)
}
