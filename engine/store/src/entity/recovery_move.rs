//! `recovery_move`: the instances of a recovery.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recovery_move")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) vmove_uuid: String,
    pub(crate) recovery_id: i64,
    pub(crate) instance_uuid: String,
    pub(crate) open_key: Option<String>,
    pub(crate) rank: i64,
    pub(crate) state: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
