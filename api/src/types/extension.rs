//! Extensions. The API is not extensible, but clients expect the list.

use serde::Serialize;
use utoipa::ToSchema;

/// An extension in an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Extension)]
pub(crate) struct ExtensionView {
    name: &'static str,
    pub(crate) alias: &'static str,
    description: &'static str,
    namespace: &'static str,
    updated: &'static str,
    #[schema(value_type = Vec<Object>)]
    links: [(); 0],
    /// The policy rule for callers that may see this extension.
    #[serde(skip)]
    pub(crate) rule: &'static str,
}

const fn extension(
    name: &'static str,
    alias: &'static str,
    description: &'static str,
    rule: &'static str,
) -> ExtensionView {
    ExtensionView {
        name,
        alias,
        description,
        namespace: "",
        updated: "",
        links: [],
        rule,
    }
}

/// All extensions, ordered by alias.
pub(crate) const ALL: &[ExtensionView] = &[
    extension(
        "Extensions",
        "extensions",
        "The extensions of this API.",
        "os_masakari_api:extensions:discoverable",
    ),
    extension(
        "Notifications",
        "notifications",
        "Reports of failures.",
        "os_masakari_api:notifications:discoverable",
    ),
    extension(
        "Hosts",
        "os-hosts",
        "Compute hosts of segments.",
        "os_masakari_api:os-hosts:discoverable",
    ),
    extension(
        "Segments",
        "segments",
        "Groups of hosts that take over instances from each other.",
        "os_masakari_api:segments:discoverable",
    ),
    extension(
        "Versions",
        "versions",
        "Versions of this API.",
        "os_masakari_api:versions:discoverable",
    ),
    extension(
        "vmoves",
        "vmoves",
        "Instances of failed hosts and their new hosts.",
        "os_masakari_api:vmoves:discoverable",
    ),
];
