//! What a server is, whatever it does just now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// What rules about instances look at, and no decision about a move besides. What Nova does not show is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The project it belongs to.
    pub project: String,
    /// When it was made, by Nova's clock.
    pub created: Option<Timestamp>,
    /// The image it was made of; `None` if it boots from a volume.
    pub image: Option<String>,
    /// What Nova remembers of that image's properties.
    pub image_properties: BTreeMap<String, String>,
    /// The extra specs of its flavor, as they were when it was made.
    pub flavor_properties: BTreeMap<String, String>,
}
