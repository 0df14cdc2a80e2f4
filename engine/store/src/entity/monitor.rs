//! `tachi_monitor`: heartbeats of monitors.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_monitor")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) host: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) kind: String,
    pub(crate) version: String,
    /// A JSON object: problems by subsystem.
    pub(crate) troubles: String,
    /// A JSON array: the hosts that the monitor watches.
    pub(crate) watches: String,
    /// True if the monitor can judge them now.
    pub(crate) watching: bool,
    /// A JSON object: the additional fields of the heartbeat; NULL if an older API wrote the row.
    pub(crate) says: Option<String>,
    pub(crate) signed_at: i64,
    /// The boot of the monitor's host; NULL unless the heartbeats count.
    pub(crate) boot_id: Option<String>,
    /// A JSON array: the latest heartbeats of that boot.
    pub(crate) beats: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
