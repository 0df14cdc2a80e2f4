//! `host_reservation`: the recoveries that hold reserved hosts.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "host_reservation")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) recovery_id: i64,
    pub(crate) host_uuid: String,
    pub(crate) host_name: String,
    /// The host while it is held, and NULL afterwards.
    pub(crate) open_key: Option<String>,
    pub(crate) state: String,
    pub(crate) was_enabled: bool,
    pub(crate) was_reason: Option<String>,
    pub(crate) aggregates: String,
    pub(crate) taken_at: i64,
    pub(crate) over_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
