//! `tachi_action`: operators' actions on recoveries.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_action")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) recovery_id: i64,
    /// The recovery's `word_number` for this action.
    pub(crate) number: i64,
    /// A value of `OperatorCommand`.
    pub(crate) word: String,
    pub(crate) said_by: String,
    /// The time by the database's clock.
    pub(crate) at: i64,
    /// JSON of a `Wait`: the recovery's blocker at that time.
    pub(crate) given_for: Option<String>,
    /// NULL until an engine has processed the action.
    pub(crate) heard_at: Option<i64>,
    pub(crate) heard_epoch: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
