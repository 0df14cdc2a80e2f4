//! `fence_machine`: which machine each device of a host switches.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "fence_machine")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) host: String,
    pub(crate) device: String,
    /// A `MachineId`; nothing while none was learnt.
    pub(crate) machine: Option<String>,
    pub(crate) since: i64,
    /// The person who has said so; nothing if it was learnt.
    pub(crate) said_by: Option<String>,
    /// What was expected before.
    pub(crate) before: Option<String>,
    /// What answers although it should not: a `MachineId`, or an empty text for no word at all.
    pub(crate) answers: Option<String>,
    pub(crate) answered_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
