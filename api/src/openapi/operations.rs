//! `OpenAPI` metadata for each route.

mod controller;
mod maintenance;
mod notifications;
mod operator;
mod others;
mod plans;
mod segments;

use std::borrow::Cow;

use http::Method;
use serde_json::Value;

use crate::routes::{RouteInfo, routes};

/// A method of a path.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) id: Cow<'static, str>,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) about: &'static str,
    pub(super) list: Option<List>,
    /// The query parameters of an operation that is not a registry list.
    pub(super) query: &'static [Filter],
    pub(super) body: Option<RequestBody>,
    pub(super) success: Success,
    /// Statuses with a special cause, or that not every route has.
    pub(super) refusals: &'static [(u16, &'static str)],
}

impl Operation {
    /// Returns the policy rule of the operation's route.
    pub(super) fn rule(&self) -> Option<&'static str> {
        let found = routes()
            .into_iter()
            .find(|route| route.method == self.method && route.path == self.path);
        found?.rule
    }
}

/// The query parameters of a list, besides paging.
#[derive(Clone, Copy)]
pub(super) struct List {
    pub(super) sort_keys: &'static [&'static str],
    pub(super) filters: &'static [Filter],
}

#[derive(Clone, Copy)]
pub(super) struct Filter {
    pub(super) name: &'static str,
    pub(super) kind: FilterKind,
    pub(super) about: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum FilterKind {
    /// A text that must match exactly. A value that matches nothing gives an empty list.
    Exact,
    Boolean,
    Time,
    Number,
    /// One of these values.
    OneOf(&'static [&'static str]),
}

/// A request body, with its schema and examples.
#[derive(Clone, Copy)]
pub(super) struct RequestBody {
    pub(super) schema: fn() -> Value,
    pub(super) examples: fn() -> Value,
}

/// The answer of a successful request.
#[derive(Clone, Copy)]
pub(super) enum Success {
    /// Without authentication: the status and the schema.
    Open(u16, &'static str),
    /// One object under its key: the status, the key, the schema, and links to follow-up operations.
    One(u16, &'static str, &'static str, &'static [Link]),
    /// A list under its key: the key and the schema of the items.
    Many(&'static str, &'static str),
    /// A text in one of these media types.
    Text(&'static [&'static str]),
    /// A stream of events.
    Stream,
    /// 204 without a body.
    Nothing,
    /// Only errors: the route exists to answer 405.
    Never,
}

/// A link to a follow-up operation: its name, the operation, and the sources of its parameters.
pub(super) type Link = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// The tags, each with its description.
pub(super) const TAGS: &[(&str, &str)] = &[
    (
        "segments",
        "Groups of hosts that take over instances from each other",
    ),
    ("hosts", "Compute hosts of a segment"),
    ("notifications", "Reports of failures"),
    ("vmoves", "Instances of a failed host and their new hosts"),
    (
        "operator",
        "The region from the operator's view, read from the database; routes that query Nova are marked",
    ),
    ("monitors", "Heartbeats of monitors"),
    ("boot guard", "Permission for nova-compute to start"),
    ("extensions", "The extensions of this API"),
    ("versions", "Versions of this API"),
    ("service", "The service itself"),
    (
        "refused",
        "Routes that answer 405, for compatibility with Masakari",
    ),
];

const fn exact(name: &'static str, about: &'static str) -> Filter {
    Filter {
        name,
        kind: FilterKind::Exact,
        about,
    }
}

const fn boolean(name: &'static str, about: &'static str) -> Filter {
    Filter {
        name,
        kind: FilterKind::Boolean,
        about,
    }
}

/// The default values of an operation.
const DEFAULT_OPERATION: Operation = Operation {
    method: Method::GET,
    path: "",
    id: Cow::Borrowed(""),
    tag: "",
    summary: "",
    about: "",
    list: None,
    query: &[],
    body: None,
    success: Success::Nothing,
    refusals: &[],
};

/// Returns the operations of all routes.
pub(super) fn table() -> Vec<Operation> {
    let mut table = segments::segments();
    table.extend(segments::hosts());
    table.extend(notifications::notifications());
    table.extend(operator::operator());
    table.extend(plans::plans());
    table.extend(maintenance::operations());
    table.extend(controller::controller());
    table.extend(others::others());
    table.extend(never());
    table
}

/// Returns the operations that always answer 405. Their texts are generated.
fn never() -> Vec<Operation> {
    let not_allowed = routes().into_iter().filter(|route| route.not_allowed);
    not_allowed
        .map(|route| Operation {
            path: route.path,
            id: id_of(&route).into(),
            method: route.method,
            tag: "refused",
            summary: "Method not allowed (Masakari compatibility)",
            success: Success::Never,
            ..DEFAULT_OPERATION
        })
        .collect()
}

/// Returns an id such as `refusePutNotificationsNotification`.
fn id_of(route: &RouteInfo) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = [route.method.as_str()]
        .into_iter()
        .chain(words)
        .filter(|word| !matches!(*word, "" | "v1"));
    words.fold("refuse".to_owned(), |mut id, word| {
        let (first, rest) = word.split_at(1);
        id.push_str(&first.to_ascii_uppercase());
        id.push_str(&rest.to_ascii_lowercase());
        id
    })
}
