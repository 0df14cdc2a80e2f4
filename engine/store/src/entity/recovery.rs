//! `recovery`: claims and states of recoveries.

use sea_orm::entity::prelude::*;

#[expect(clippy::struct_excessive_bools, reason = "each is a column")]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recovery")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) uuid: String,
    pub(crate) notification_uuid: String,
    pub(crate) kind: String,
    pub(crate) host_uuid: String,
    pub(crate) host_name: String,
    pub(crate) life: String,
    pub(crate) open_key: Option<String>,
    pub(crate) epoch: i64,
    pub(crate) seq: i64,
    pub(crate) beat: i64,
    pub(crate) owner: Option<String>,
    pub(crate) elapsed_ms: i64,
    pub(crate) state: Option<String>,
    pub(crate) proven_off: bool,
    pub(crate) opened_at: i64,
    /// The time at which the first attempt was opened; NULL in a first attempt.
    pub(crate) first_reported_at: Option<i64>,
    pub(crate) word_number: i64,
    pub(crate) word: Option<String>,
    /// The operator of the last action; for a plan, the operator who requested it.
    pub(crate) word_by: Option<String>,
    pub(crate) word_at: Option<i64>,
    pub(crate) joined_normal: bool,
    /// JSON of an `OffClaim`.
    pub(crate) off_word: Option<String>,
    /// JSON of a list of `Reporter`: all reporters of the recovery's subject, each once.
    pub(crate) reporters: Option<String>,
    /// JSON of a list of `InstanceResolution`.
    pub(crate) move_words: Option<String>,
    /// A value of `WaitsFor`; NULL in rows of an older version.
    pub(crate) waits_for: Option<String>,
    /// JSON of a list of names.
    pub(crate) waits_on: Option<String>,
    pub(crate) waits_since: Option<i64>,
    /// True if a failover of the database has lost writes of an owner.
    pub(crate) rewound: bool,
    /// True if it ended because the report was a false alarm and nothing was done.
    pub(crate) dismissed: bool,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
