//! `recovery_move`: the instances of a recovery.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recovery_move")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) vmove_uuid: String,
    pub(crate) recovery_id: i64,
    pub(crate) instance_uuid: String,
    pub(crate) open_key: Option<String>,
    pub(crate) rank: i64,
    pub(crate) state: String,
    /// A value of `WaitsFor`. In rows of an older version it is NULL, as are the four columns below.
    pub(crate) waits_for: Option<String>,
    /// JSON of a list of names.
    pub(crate) waits_on: Option<String>,
    pub(crate) waits_since: Option<i64>,
    /// JSON of a list of `WrittenOff`.
    pub(crate) written_off: Option<String>,
    /// JSON of a list of hosts.
    pub(crate) may_run: Option<String>,
    /// The operator who acknowledged the instance after it was given up.
    pub(crate) seen_to: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
