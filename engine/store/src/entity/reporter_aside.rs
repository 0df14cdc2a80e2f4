//! `reporter_aside`: reporters that are set aside, and those that should be and are too many.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reporter_aside")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    /// The hash of its voice.
    #[sea_orm(unique)]
    pub(crate) voice: String,
    /// JSON of a `Reporter`.
    pub(crate) reporter: String,
    pub(crate) since: i64,
    /// For people.
    pub(crate) why: String,
    /// Whether what it says begins nothing; else it is only told of.
    pub(crate) aside: bool,
    /// How many reports have been kept of it since.
    pub(crate) unheard: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
