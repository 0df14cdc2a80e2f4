//! `notifications`, a table of Masakari with four additional columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notifications")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) notification_uuid: String,
    pub(crate) generated_time: DateTime,
    pub(crate) source_host_uuid: String,
    #[sea_orm(column_name = "type")]
    pub(crate) kind: String,
    pub(crate) payload: Option<String>,
    #[sea_orm(
        column_type = "Enum { name: sea_orm::sea_query::IntoIden::into_iden(\"notification_status\"), variants: Vec::new() }"
    )]
    pub(crate) status: String,
    pub(crate) failover_segment_uuid: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) created_at: Option<DateTime>,
    pub(crate) updated_at: Option<DateTime>,
    pub(crate) deleted_at: Option<DateTime>,
    /// The row's own id once it is deleted, so that its name is free again.
    pub(crate) deleted: Option<i64>,
    /// Our column; NULL in rows of Masakari's own API.
    pub(crate) repeat_key: Option<i64>,
    /// Our column: JSON of a `Reporter`.
    pub(crate) reporter: Option<String>,
    /// Our column: JSON of the host's boot at the time of the report, according to its monitors, and that time.
    pub(crate) reported_boot: Option<String>,
    /// Our column: true once the report's subject was seen running again.
    pub(crate) running_again: Option<bool>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
