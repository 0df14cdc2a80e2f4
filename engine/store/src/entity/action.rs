//! `tachi_action`: what operators ask of recoveries.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_action")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) recovery_id: i64,
    /// The recovery's `word_number` of it.
    pub(crate) number: i64,
    /// A word of `Word`.
    pub(crate) word: String,
    pub(crate) said_by: String,
    /// By the database's clock.
    pub(crate) at: i64,
    /// JSON of a `Wait`: what the recovery waited for.
    pub(crate) given_for: Option<String>,
    /// NULL until an engine has heard it.
    pub(crate) heard_at: Option<i64>,
    pub(crate) heard_epoch: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
