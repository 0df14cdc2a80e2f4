//! The handlers: take an authorised request, ask the registry, show what it says.

pub(crate) mod extensions;
pub(crate) mod healthcheck;
pub(crate) mod hosts;
pub(crate) mod metrics;
pub(crate) mod notifications;
pub(crate) mod refused;
pub(crate) mod segments;
pub(crate) mod versions;
pub(crate) mod vmoves;

use uuid::Uuid;

use crate::request_id::is_canonical;

/// The id that a path names. Ids are compared as texts, so other spellings of a UUID name nothing.
fn exact<T: From<Uuid>>(text: &str) -> Option<T> {
    Uuid::parse_str(text)
        .ok()
        .filter(|_| is_canonical(text))
        .map(T::from)
}
