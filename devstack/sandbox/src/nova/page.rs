//! `limit`, `marker` and the link to the next page.

use serde_json::{Value, json};

use super::answer::Answer;
use crate::web::encode;

/// The query of a list request.
#[derive(Debug, Default)]
pub(super) struct Page {
    pairs: Vec<(String, String)>,
}

impl Page {
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        Self { pairs }
    }

    /// Returns the last value of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(key, _)| key.as_str())
    }

    /// Returns the page size: the requested one, at most `most`.
    pub(super) fn limit(&self, most: usize) -> Result<usize, Answer> {
        match self.get("limit") {
            None => Ok(most),
            Some(text) => text.parse::<usize>().map(|limit| limit.min(most)).map_err(|_| {
                Answer::bad_request(format!("Invalid input for query parameters limit. Value: {text}"))
            }),
        }
    }

    /// Returns the next link. Nova adds it to every full page, even if it was the last one.
    pub(super) fn next(&self, url: &str, rows: usize, limit: usize, last: Option<String>) -> Option<Value> {
        let last = last.filter(|_| limit > 0 && rows == limit)?;
        let remaining = self.pairs.iter().filter(|(key, _)| key != "marker");
        let pairs = remaining
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .chain([("marker", last.as_str())]);
        Some(json!([{"rel": "next", "href": format!("{url}?{}", encode::query(pairs))}]))
    }
}
