//! Reports that were not accepted. Nobody decides by them: they are kept so that somebody can ask later why nothing happened.

use crate::words::words;

words! {
    /// Why a report was not accepted.
    RefusalReason {
        /// It only repeats an earlier one.
        Duplicate = "duplicate",
        /// Its host is on maintenance.
        OnMaintenance = "on_maintenance",
        /// Its reporter may not make it.
        NotYours = "not_yours",
        /// Too many of one reporter in a minute.
        TooMany = "too_many",
        /// No host is registered under its name.
        UnknownHost = "unknown_host",
        /// What it says is not what such a report has to say.
        Malformed = "malformed",
        /// The database failed.
        Failed = "failed",
    }
}

impl RefusalReason {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Duplicate => "it only repeats an earlier one (409)",
            Self::OnMaintenance => "the host was on maintenance (409)",
            Self::NotYours => "[api] reporter_binding: its reporter may not report it (403)",
            Self::TooMany => {
                "its reporter had made more than [api] notifications_per_segment within a minute (429)"
            }
            Self::UnknownHost => "no host was registered under this name (400)",
            Self::Malformed => "its payload or its fence evidence is not what such a report has to say (400)",
            Self::Failed => "the database failed, and may have written it nevertheless (500 or 503)",
        }
    }
}
