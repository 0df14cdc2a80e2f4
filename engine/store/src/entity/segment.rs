//! `failover_segments`, a table of Masakari.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "failover_segments")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) service_type: String,
    pub(crate) enabled: Option<bool>,
    pub(crate) description: Option<String>,
    #[sea_orm(
        column_type = "Enum { name: sea_orm::sea_query::IntoIden::into_iden(\"recovery_methods\"), variants: Vec::new() }"
    )]
    pub(crate) recovery_method: String,
    pub(crate) created_at: Option<DateTime>,
    pub(crate) updated_at: Option<DateTime>,
    pub(crate) deleted_at: Option<DateTime>,
    /// The row's own id once it is deleted, so that its name is free again.
    pub(crate) deleted: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
