//! `tachi_refusal`: reports that were not accepted, counted by ten minutes.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_refusal")]
pub struct Model {
    /// When the ten minutes began.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) slot: i64,
    /// The process that counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) writer: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) number: i64,
    /// Empty for those of too many hosts.
    pub(crate) host: String,
    pub(crate) kind: String,
    /// Empty for too many.
    pub(crate) reporter: String,
    pub(crate) reason: String,
    pub(crate) times: i64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
