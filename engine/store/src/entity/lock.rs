//! `tachi_lock`: rows that serve as locks.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_lock")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) uuid: String,
    pub(crate) seq: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
