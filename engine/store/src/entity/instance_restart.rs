//! `instance_restart`: restarts of instances by recoveries, with their times.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instance_restart")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) recovery_id: i64,
    pub(crate) instance_uuid: String,
    pub(crate) at: i64,
    /// The time at which the instance was moved to another host.
    pub(crate) moved_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
