//! The properties of a server that do not depend on its state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// The properties that rules for instances use, and no other decision about a move. A property that Nova does not show is
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceTraits {
    pub project: String,
    /// The time of creation, by Nova's clock.
    pub created: Option<Timestamp>,
    /// The image it was created from; `None` if it boots from a volume.
    pub image: Option<String>,
    /// The properties of that image, as Nova has stored them.
    pub image_properties: BTreeMap<String, String>,
    /// The extra specs of its flavor at the time of creation.
    pub flavor_properties: BTreeMap<String, String>,
}
