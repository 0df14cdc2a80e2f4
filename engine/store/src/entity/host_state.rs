//! `host_state`: the reasons why hosts are in maintenance.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "host_state")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) host_uuid: String,
    pub(crate) why: String,
    pub(crate) recovery_id: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
