//! `tachi_job`: what engines do by the clock.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_job")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) name: String,
    /// How often it was begun.
    pub(crate) run: i64,
    /// For which time it was begun last.
    pub(crate) due_at: Option<i64>,
    pub(crate) begun_at: i64,
    pub(crate) begun_by: String,
    /// `None` while it runs, or if who has begun it has gone.
    pub(crate) ended_at: Option<i64>,
    pub(crate) grade: Option<String>,
    pub(crate) details: String,
    /// When it last ended with nothing worse than a warning.
    pub(crate) good_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
