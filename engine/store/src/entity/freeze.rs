//! `tachi_freeze`: operators' freezes.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_freeze")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) scope: String,
    /// The uuid of a segment, a host or an instance; empty for everything.
    pub(crate) target: String,
    /// The target's name, for people.
    pub(crate) name: String,
    pub(crate) since: i64,
    pub(crate) until_at: i64,
    pub(crate) said_by: String,
    pub(crate) reason: String,
    pub(crate) unless_worse: bool,
    /// True once the event about its coming end was emitted.
    pub(crate) noticed: bool,
    /// `None` until its end has been recorded, even if its time has expired.
    pub(crate) ended_at: Option<i64>,
    pub(crate) ended_by: Option<String>,
    #[sea_orm(unique)]
    pub(crate) open_key: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
