//! `hosts`, a table of Masakari.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hosts")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) reserved: Option<bool>,
    #[sea_orm(column_name = "type")]
    pub(crate) kind: String,
    pub(crate) control_attributes: String,
    pub(crate) on_maintenance: Option<bool>,
    pub(crate) failover_segment_id: String,
    pub(crate) created_at: Option<DateTime>,
    pub(crate) updated_at: Option<DateTime>,
    pub(crate) deleted_at: Option<DateTime>,
    /// The row's own id once it is deleted, so that its name is free again.
    pub(crate) deleted: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl Related<super::segment::Entity> for Entity {
    fn to() -> RelationDef {
        Entity::belongs_to(super::segment::Entity)
            .from(Column::FailoverSegmentId)
            .to(super::segment::Column::Uuid)
            .into()
    }
}

impl ActiveModelBehavior for ActiveModel {}
