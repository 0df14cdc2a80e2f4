//! `tachi_job`: scheduled jobs of engines.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tachi_job")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) name: String,
    /// The number of starts.
    pub(crate) run: i64,
    /// The scheduled time of the last start.
    pub(crate) due_at: Option<i64>,
    pub(crate) begun_at: i64,
    pub(crate) begun_by: String,
    /// `None` while the job runs, or if the engine that started it is gone.
    pub(crate) ended_at: Option<i64>,
    pub(crate) grade: Option<String>,
    pub(crate) details: String,
    /// The time of the last run with nothing worse than a warning.
    pub(crate) good_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
