//! `notifications`, as Masakari has it, and four columns more.

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
    /// Ours; NULL in what Masakari's own API has written.
    pub(crate) repeat_key: Option<i64>,
    /// Ours: JSON of a `Reporter`.
    pub(crate) reporter: Option<String>,
    /// Ours: JSON of the boot of the host when it was reported, as its monitors tell it, and when that was.
    pub(crate) reported_boot: Option<String>,
    /// Ours: what it reports was seen running again since.
    pub(crate) running_again: Option<bool>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
