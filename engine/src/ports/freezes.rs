//! What operators have frozen.

use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::freeze::{Freeze, FreezeScope};

use super::JournalError;

/// What an engine signs with on the roll if it keeps freezes. Who freezes something makes sure that each does.
pub const KEPT: &str = "freezes";

/// For so long the end of a freeze is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// A freeze that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFreeze {
    /// How much.
    pub scope: FreezeScope,
    /// The uuid of the segment, the host or the instance; empty for everything.
    pub target: String,
    /// What that is called; for people.
    pub name: String,
    /// For how long from now.
    pub lasts: Duration,
    /// Who says it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// It ends early if a second host of a segment dies.
    pub unless_worse: bool,
}

/// A freeze that is in force, or was until just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeLine {
    /// What, until when, who, why.
    pub freeze: Freeze,
    /// What nothing is begun of, by id.
    pub target: String,
    /// When it was said, by the database's clock.
    pub since: Timestamp,
    /// How long it lasts yet, by the same clock.
    pub left: Duration,
}

/// What came of wanting a freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freezing {
    /// It is in force.
    Begun {
        /// As it was written.
        line: FreezeLine,
        /// The one that it takes the place of, which would have ended earlier.
        before: Option<FreezeLine>,
    },
    /// Nothing was written: this one of the same is in force and lasts longer, or ends for fewer reasons. Nobody ends that of another
    /// early by wanting less.
    Longer(FreezeLine),
}

/// What is to be told of a freeze, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FreezeNews {
    /// Its time is nearly over.
    EndsSoon(FreezeLine),
    /// Its time is over.
    Ended(FreezeLine),
}

/// Freezes, as people and who tends them see them. Recoveries hear of them in each of their transactions.
#[async_trait]
pub trait Freezes: Send + Sync {
    /// Freezes something, in place of a shorter freeze of the same. From the commit on no intent is written that has not seen it.
    ///
    /// # Errors
    ///
    /// The database failed; it may be frozen all the same.
    async fn freeze(&self, new: &NewFreeze) -> Result<Freezing, JournalError>;

    /// Ends the freeze of this number; `None` if it is not in force. One that has taken its place goes on: whoever ends a freeze has
    /// seen which.
    ///
    /// # Errors
    ///
    /// The database failed; it may have ended all the same.
    async fn thaw(&self, number: i64, by: &str) -> Result<Option<FreezeLine>, JournalError>;

    /// Those in force, the one that ends first first.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn freezes(&self) -> Result<Vec<FreezeLine>, JournalError>;

    /// Notes which have ended, and which will within `soon`: each is given out once, whoever asks. Forgets those of long ago.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn tend_freezes(&self, soon: Duration) -> Result<Vec<FreezeNews>, JournalError>;
}
