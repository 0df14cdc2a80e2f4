//! Rejected reports. No decision uses them: they show operators why a report had no effect.

use crate::string_enum::string_enum;

string_enum! {
    /// The reason why a report was not accepted.
    RefusalReason {
        /// The report only repeats an earlier one.
        Duplicate = "duplicate",
        /// The host is in maintenance.
        OnMaintenance = "on_maintenance",
        /// The reporter may not make this report.
        NotYours = "not_yours",
        /// The reporter has made too many reports in a minute.
        TooMany = "too_many",
        /// No host is registered under this name.
        UnknownHost = "unknown_host",
        /// The report lacks what such a report must contain, or is invalid.
        Malformed = "malformed",
        /// The database failed.
        Failed = "failed",
    }
}

impl RefusalReason {
    /// Returns the reason for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Duplicate => "it only repeats an earlier one (409)",
            Self::OnMaintenance => "the host was in maintenance (409)",
            Self::NotYours => "[api] reporter_binding: its reporter may not report it (403)",
            Self::TooMany => {
                "its reporter had made more than [api] notifications_per_segment within a minute (429)"
            }
            Self::UnknownHost => "no host was registered under this name (400)",
            Self::Malformed => "its payload or its fence evidence is invalid (400)",
            Self::Failed => "the database failed, and may have written it nevertheless (500 or 503)",
        }
    }
}
