//! `tachi_refusal`: rejected reports, counted per ten minutes.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_refusal")]
pub struct Model {
    /// The start of the ten minutes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) slot: i64,
    /// The process that counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) writer: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) number: i64,
    /// The host; empty if reports about too many hosts were rejected.
    pub(crate) host: String,
    pub(crate) kind: String,
    /// The reporter; empty if there were too many.
    pub(crate) reporter: String,
    pub(crate) reason: String,
    pub(crate) times: i64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
