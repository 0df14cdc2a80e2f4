//! `recovery_proof`: proofs that a host was off.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recovery_proof")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) recovery_id: i64,
    pub(crate) epoch: i64,
    pub(crate) kind: String,
    pub(crate) read_by: String,
    pub(crate) read_from: String,
    pub(crate) evidence: String,
    pub(crate) at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
