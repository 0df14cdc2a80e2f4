//! `reporter_aside`: muted reporters, and those that are not muted only because there would be too many.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reporter_aside")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    /// The hash of the reporter's identity.
    #[sea_orm(unique)]
    pub(crate) voice: String,
    /// JSON of a `Reporter`.
    pub(crate) reporter: String,
    pub(crate) since: i64,
    /// The reason, for people.
    pub(crate) why: String,
    /// True if the reporter's reports start nothing; otherwise it is only listed.
    pub(crate) aside: bool,
    /// The number of reports that have been stored without effect since.
    pub(crate) unheard: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
