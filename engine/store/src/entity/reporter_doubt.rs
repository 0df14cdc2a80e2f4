//! `reporter_doubt`: claims that Nova has contradicted.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reporter_doubt")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    /// The hash of the claimant's identity.
    pub(crate) voice: String,
    pub(crate) recovery_uuid: String,
    pub(crate) host_name: String,
    pub(crate) at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
