//! `fence_machine`: the machine behind each device of a host.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "fence_machine")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) host: String,
    pub(crate) device: String,
    /// A `MachineId`; NULL until one is known.
    pub(crate) machine: Option<String>,
    pub(crate) since: i64,
    /// The operator who set the machine; NULL if it was learned.
    pub(crate) said_by: Option<String>,
    /// The machine that was expected before.
    pub(crate) before: Option<String>,
    /// The machine that responds instead of the expected one: a `MachineId`, or an empty text if the device states
    /// none.
    pub(crate) answers: Option<String>,
    pub(crate) answered_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
