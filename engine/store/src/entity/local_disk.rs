//! `tachi_local_disk`: the instances on the local disk of each host.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_local_disk")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) host: String,
    /// A JSON array: the ids of the instances.
    pub(crate) instances: String,
    /// The time since which it has been so.
    pub(crate) changed_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
