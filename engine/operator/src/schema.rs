//! OpenAPI schemas of enums that are stored and sent as fixed words.

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationType;
use tachi_domain::entity::segment::RecoveryMethod;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::forecast::Room;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::monitor::{HeartbeatUse, MonitorKind, Resume};
use tachi_domain::power::Power;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::{Aspect, DiskPlace, FindingCode, Need, Protection, Severity};
use tachi_domain::{EndedBy, WaitsFor};
use utoipa::PartialSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
use utoipa::openapi::{Array, ArrayBuilder, Object, RefOr, Schema, Type};

/// Returns the names of a view's fields, from its schema.
pub fn members<T: PartialSchema>() -> Vec<String> {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object.properties.into_keys().collect(),
        RefOr::T(_) | RefOr::Ref(_) => Vec::new(),
    }
}

fn values(values: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(values))
        .build()
}

fn or_null(values: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(values.map(Some).chain([None])))
        .build()
}

fn several(each: Object) -> Array {
    ArrayBuilder::new().items(each).build()
}

pub(crate) fn return_verdict() -> Object {
    values(crate::VERDICTS.iter().copied())
}

pub(crate) fn monitor_kind() -> Object {
    values(MonitorKind::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn resume() -> Object {
    values(Resume::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn heartbeat_use() -> Object {
    values(HeartbeatUse::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn freeze_scope() -> Object {
    values(FreezeScope::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn grade() -> Object {
    values(Severity::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn grade_or_null() -> Object {
    or_null(Severity::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn protection() -> Object {
    values(Protection::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn disk_place() -> Object {
    values(DiskPlace::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn code() -> Object {
    values(FindingCode::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn codes() -> Array {
    several(code())
}

pub(crate) fn aspects() -> Array {
    several(values(Aspect::ALL.iter().map(|value| value.as_str())))
}

pub(crate) fn room() -> Object {
    values(Room::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn need() -> Object {
    values(Need::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn method() -> Object {
    values(RecoveryMethod::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn notification_kind() -> Object {
    values(NotificationType::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn kind() -> Object {
    values(RecoveryKind::ALL.iter().map(|value| value.as_str()))
}

pub(crate) const fn power_name(power: Power) -> &'static str {
    match power {
        Power::On => "on",
        Power::Off => "off",
        Power::Unknown => "unknown",
    }
}

pub(crate) fn power() -> Object {
    or_null(
        [Power::On, Power::Off, Power::Unknown]
            .into_iter()
            .map(power_name),
    )
}

pub(crate) fn life() -> Object {
    values(Life::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn life_or_null() -> Object {
    or_null(Life::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn why() -> Object {
    or_null(MaintenanceReason::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn move_status() -> Object {
    or_null(VmoveStatus::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn waits_for() -> Object {
    values(WaitsFor::ALL.iter().map(|value| value.as_str()))
}

pub(crate) fn ended_by() -> Array {
    several(values(EndedBy::ALL.iter().map(|value| value.as_str())))
}

#[cfg(test)]
mod tests {
    use super::members;
    use crate::{FailedView, ForgottenView, FreezeView, FrozenView, LiftedView, RetriedView};

    #[test]
    fn views_have_the_documented_fields() {
        for (all, one) in [
            (members::<FailedView>(), "notification"),
            (members::<ForgottenView>(), "kind"),
            (members::<FreezeView>(), "number"),
            (members::<FrozenView>(), "freeze"),
            (members::<LiftedView>(), "lifted"),
            (members::<RetriedView>(), "recovery"),
        ] {
            assert!(all.iter().any(|name| name == one), "{one}: {all:?}");
        }
    }
}
