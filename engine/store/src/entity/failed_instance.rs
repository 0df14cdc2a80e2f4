//! `tachi_failed_instance`: the instances whose last recovery has failed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_failed_instance")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) instance_uuid: String,
    /// The end of that recovery.
    pub(crate) failed_at: i64,
    /// The message of its notification.
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
