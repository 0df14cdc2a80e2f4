//! Newtypes for ids, so that a host's id can never be passed as a server's id.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

uuid_id! {
    /// The id of a failover segment.
    SegmentId;
    /// The id of a host of a failover segment.
    HostId;
    /// The id of a notification.
    NotificationId;
    /// The id of a recovery, the durable work that one accepted notification causes.
    RecoveryId;
    /// The id of a Nova server (an instance).
    ServerId;
    /// The id of a Nova service record (`os-services`).
    ServiceId;
    /// The id of a vmove: one instance in a host recovery, as the API shows it.
    VmoveId;
}

/// Nova's integer id of a migration record. It grows with every record: a higher id was created later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MigrationId(pub u64);

impl std::fmt::Display for MigrationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
