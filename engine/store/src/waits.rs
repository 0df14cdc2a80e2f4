//! The blockers of recoveries and moves, as columns.

use std::collections::BTreeSet;

use sea_orm::DbErr;
use serde::Serialize;
use tachi_domain::{Timestamp, Wait, WaitsFor};

use crate::convert::Cell;
use crate::error::{Failure, Stop};

/// The columns `waits_for`, `waits_on` and `waits_since`.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitColumns {
    pub(crate) what: Option<String>,
    pub(crate) on: Option<String>,
    pub(crate) since: Option<i64>,
}

impl WaitColumns {
    pub(crate) fn of(wait: &Wait) -> Result<Self, Stop> {
        Ok(Self {
            what: Some(wait.what.as_str().to_owned()),
            on: (!wait.on.is_empty()).then(|| json(&wait.on)).transpose()?,
            since: Some(wait.since.micros()),
        })
    }

    /// Parses the columns; `None` in rows of an older version.
    pub(crate) fn read(self, table: &'static str, row: &str) -> Result<Option<Wait>, Failure> {
        let cell = |column| Cell { table, row, column };
        let Some(what) = self.what else {
            return Ok(None);
        };
        let on: Option<BTreeSet<String>> = self.on.map(|on| cell("waits_on").json(&on)).transpose()?;
        Ok(Some(Wait {
            what: cell("waits_for").parse(&what, WaitsFor::from_value)?,
            on: on.unwrap_or_default(),
            since: Timestamp::from_micros(self.since.unwrap_or_default()),
        }))
    }
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, DbErr> {
    serde_json::to_string(value).map_err(|error| DbErr::Json(error.to_string()))
}
