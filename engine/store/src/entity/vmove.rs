//! `vmoves`, a table of Masakari.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "vmoves")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) uuid: String,
    pub(crate) notification_uuid: String,
    pub(crate) instance_uuid: String,
    pub(crate) instance_name: String,
    pub(crate) source_host: Option<String>,
    pub(crate) dest_host: Option<String>,
    pub(crate) start_time: Option<DateTime>,
    pub(crate) end_time: Option<DateTime>,
    #[sea_orm(column_name = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) created_at: Option<DateTime>,
    pub(crate) updated_at: Option<DateTime>,
    pub(crate) deleted_at: Option<DateTime>,
    /// The row's own id once it is deleted, so that its name is free again.
    pub(crate) deleted: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
