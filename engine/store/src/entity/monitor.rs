//! `tachi_monitor`: monitors that sign that they are at work.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_monitor")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) host: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) kind: String,
    pub(crate) version: String,
    /// A JSON object: what does not work, by part.
    pub(crate) troubles: String,
    /// A JSON array: the hosts it watches.
    pub(crate) watches: String,
    /// Whether it can judge them now.
    pub(crate) watching: bool,
    /// A JSON object: what it says beside that; NULL if an API wrote the row that knew of nothing.
    pub(crate) says: Option<String>,
    pub(crate) signed_at: i64,
    /// The boot of its host; NULL unless its heartbeats count.
    pub(crate) boot_id: Option<String>,
    /// A JSON array: the last few heartbeats of that boot.
    pub(crate) beats: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
