//! Lists of Nova, read page by page.
//!
//! Of the link to the next page only the marker is used: the link's host is wrong behind some proxies, and a token must
//! go only to the host of the first page. A list is returned completely or not at all.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use tachi_domain::fault::FaultClass;
use tachi_engine::ports::CallError;

use super::version::Feature;
use super::{Nova, read};
use crate::answer::Answer;
use crate::fault::{self, ErrorScope};

/// Limit of restarts of a list whose marker was deleted meanwhile.
const MAX_RESTARTS: u32 = 3;

/// A list to read.
pub(super) struct List<'a> {
    pub(super) feature: Feature,
    pub(super) path: &'a [&'a str],
    pub(super) query: Vec<(&'static str, String)>,
    /// The key of the items in the body. The links are under the same key with the suffix `_links`.
    pub(super) key: &'static str,
    /// The key of an item's marker.
    pub(super) marker: &'static str,
}

/// A page reader's decision about an item.
pub(super) enum Take {
    /// Continue with the next item.
    More,
    /// Stop: this item and the following ones are not needed.
    Enough,
}

/// A finished list.
pub(super) struct Whole<T> {
    pub(super) items: Vec<T>,
    /// True if more than one page was read, so that the items may be of different moments.
    pub(super) many_pages: bool,
}

/// Reads pages until they end or `read` stops. `read` gets the response for its error texts.
pub(super) async fn list<T, F>(nova: &Nova, list: &List<'_>, read: F) -> Result<Whole<T>, CallError>
where
    T: Send,
    F: Fn(&Answer, &Value, &mut Vec<T>) -> Result<Take, CallError> + Send + Sync,
{
    let limit = nova.session.list_timeout();
    let whole = Box::pin(restarting(nova, list, &read));
    tokio::time::timeout(limit, whole)
        .await
        .unwrap_or_else(|_| Err(too_long(list, limit)))
}

fn too_long(list: &List<'_>, limit: Duration) -> CallError {
    let text = format!(
        "nova: GET /{}: all pages took longer than {limit:?}",
        list.path.join("/")
    );
    fault::unsent(FaultClass::Transient, text)
}

async fn restarting<T, F>(nova: &Nova, list: &List<'_>, read: &F) -> Result<Whole<T>, CallError>
where
    T: Send,
    F: Fn(&Answer, &Value, &mut Vec<T>) -> Result<Take, CallError> + Send + Sync,
{
    let mut restarts = 0;
    loop {
        match once(nova, list, read).await? {
            Some(whole) => return Ok(whole),
            None if restarts < MAX_RESTARTS => restarts += 1,
            None => {
                let text = format!(
                    "nova: GET /{}: objects at page markers were deleted too often",
                    list.path.join("/")
                );
                return Err(fault::unsent(FaultClass::Transient, text));
            }
        }
    }
}

/// Reads the list once; `None` if Nova refused a marker because its object has been deleted since.
async fn once<T, F>(nova: &Nova, list: &List<'_>, read: &F) -> Result<Option<Whole<T>>, CallError>
where
    T: Send,
    F: Fn(&Answer, &Value, &mut Vec<T>) -> Result<Take, CallError> + Send + Sync,
{
    let mut items = Vec::new();
    let mut seen = HashSet::new();
    let mut marker: Option<String> = None;
    loop {
        let (answer, page, next) = match one(nova, list, marker.clone()).await {
            Err(error) if marker.is_some() && error.fault.status == Some(400) => return Ok(None),
            outcome => outcome?,
        };
        for item in &page {
            if matches!(read(&answer, item, &mut items)?, Take::Enough) {
                return Ok(Some(Whole {
                    items,
                    many_pages: marker.is_some(),
                }));
            }
        }
        let Some(next) = next else {
            return Ok(Some(Whole {
                items,
                many_pages: marker.is_some(),
            }));
        };
        if !seen.insert(next.clone()) {
            return Err(answer.malformed(&format!("the pages repeat from marker {next}")));
        }
        marker = Some(next);
    }
}

/// Reads one page and returns it with the marker of the next page.
pub(super) async fn one(
    nova: &Nova,
    list: &List<'_>,
    marker: Option<String>,
) -> Result<(Answer, Vec<Value>, Option<String>), CallError> {
    let mut query = list.query.clone();
    query.push(("limit", nova.session.page_size().to_string()));
    query.extend(marker.map(|marker| ("marker", marker)));
    let request = read(list.path, &query, ErrorScope::Service);
    let answer = nova.call(list.feature, request).await?;
    let mut body: Value = answer.json()?;
    let Some(Value::Array(page)) = body.get_mut(list.key).map(Value::take) else {
        return Err(answer.malformed(&format!("no list of {}", list.key)));
    };
    let next = next_marker(nova, list, &answer, &body, &page)?;
    Ok((answer, page, next))
}

fn next_marker(
    nova: &Nova,
    list: &List<'_>,
    answer: &Answer,
    body: &Value,
    page: &[Value],
) -> Result<Option<String>, CallError> {
    let links = body.get(format!("{}_links", list.key)).and_then(Value::as_array);
    let next = links
        .into_iter()
        .flatten()
        .find(|link| link.get("rel").and_then(Value::as_str) == Some("next"));
    if let Some(link) = next {
        let href = link.get("href").and_then(Value::as_str).unwrap_or("");
        return match marker_of(href) {
            Some(marker) => Ok(Some(marker)),
            None => Err(answer.malformed("a link to the next page without a marker")),
        };
    }
    // Some proxies and old releases drop the link, so after a full page without a link the next page is requested, too.
    let full = usize::try_from(nova.session.page_size()).is_ok_and(|size| page.len() >= size);
    let marker = page
        .last()
        .and_then(|item| item.get(list.marker))
        .and_then(Value::as_str);
    Ok(marker.filter(|_| full).map(ToOwned::to_owned))
}

fn marker_of(href: &str) -> Option<String> {
    // The base is for links without a host.
    let base = reqwest::Url::parse("http://nova").ok()?;
    let url = base.join(href).ok()?;
    url.query_pairs()
        .find(|(key, value)| key == "marker" && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}
