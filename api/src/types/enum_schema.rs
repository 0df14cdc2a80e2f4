//! Schemas of fields in answers whose Rust type is not specific enough.

use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
use utoipa::openapi::{Object, Type};

/// Returns the schema of one of these words.
pub(super) fn values(values: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(values))
        .build()
}

/// Returns the schema of one of these words or null.
pub(super) fn nullable_string_enum(values: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(values.map(Some).chain([None])))
        .build()
}
