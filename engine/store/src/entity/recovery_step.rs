//! `recovery_step`: the step journal.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "recovery_step")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) recovery_id: i64,
    pub(crate) epoch: i64,
    pub(crate) task: String,
    pub(crate) instance_uuid: Option<String>,
    pub(crate) kind: String,
    pub(crate) progress: f64,
    pub(crate) failed: bool,
    pub(crate) text: String,
    pub(crate) at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
