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

fn words(words: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .build()
}

fn or_null(words: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words.map(Some).chain([None])))
        .build()
}

fn several(each: Object) -> Array {
    ArrayBuilder::new().items(each).build()
}

pub(crate) fn return_verdict() -> Object {
    words(crate::VERDICTS.iter().copied())
}

pub(crate) fn monitor_kind() -> Object {
    words(MonitorKind::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn resume() -> Object {
    words(Resume::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn heartbeat_use() -> Object {
    words(HeartbeatUse::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn freeze_scope() -> Object {
    words(FreezeScope::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn grade() -> Object {
    words(Severity::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn grade_or_null() -> Object {
    or_null(Severity::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn protection() -> Object {
    words(Protection::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn disk_place() -> Object {
    words(DiskPlace::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn code() -> Object {
    words(FindingCode::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn codes() -> Array {
    several(code())
}

pub(crate) fn aspects() -> Array {
    several(words(Aspect::ALL.iter().map(|word| word.as_str())))
}

pub(crate) fn room() -> Object {
    words(Room::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn need() -> Object {
    words(Need::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn method() -> Object {
    words(RecoveryMethod::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn notification_kind() -> Object {
    words(NotificationType::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn kind() -> Object {
    words(RecoveryKind::ALL.iter().map(|word| word.as_str()))
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
    words(Life::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn life_or_null() -> Object {
    or_null(Life::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn why() -> Object {
    or_null(MaintenanceReason::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn move_status() -> Object {
    or_null(VmoveStatus::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn waits_for() -> Object {
    words(WaitsFor::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn ended_by() -> Array {
    several(words(EndedBy::ALL.iter().map(|word| word.as_str())))
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
