//! Data that only a controller has, read through its API.

use serde_json::{Map, Value};
use tachi_operator::from_nova::SegmentRule;
use tachi_operator::{AuditView, Failure, FromNovaView, ReturnView};

use super::{Act, MAX_PAGES, Remote, is_unknown_path};
use crate::out::waiting;

/// Lines of the audit logs of one machine, the newest first.
pub struct AuditLines {
    pub machine: String,
    pub lines: Vec<Map<String, Value>>,
    pub unread: Vec<String>,
}

impl Remote {
    /// Returns the checks and steps of a host's return to service.
    pub async fn host_return(&self, host: &str) -> Result<ReturnView, Failure> {
        let (what, path) = (self.to_string(), ["hosts", host, "return"]);
        match waiting(&what, self.client.get_operator(&path, &[])).await {
            Ok(body) => self.read(&body, "return"),
            Err(failed) if is_unknown_path(&failed) => Err(self.too_old()),
            Err(failed) if matches!(failed.status, Some(404 | 409)) => {
                Err(self.failed(&failed, Act::Request))
            }
            Err(failed) => Err(self.failed(&failed, Act::Read)),
        }
    }

    /// Returns the segments and hosts that would be created from Nova.
    pub async fn proposal(&self, by: SegmentRule, default_zone: &str) -> Result<FromNovaView, Failure> {
        let query = [
            ("by", by.as_str().to_owned()),
            ("default_zone", default_zone.to_owned()),
        ];
        let what = self.to_string();
        match waiting(&what, self.client.get_operator(&["from-nova"], &query)).await {
            Ok(body) => self.read(&body, "from_nova"),
            Err(failed) if failed.status == Some(404) => Err(self.too_old()),
            Err(failed) if failed.status == Some(409) => Err(self.failed(&failed, Act::Request)),
            Err(failed) => Err(self.failed(&failed, Act::Read)),
        }
    }

    /// Returns the newest lines of the audit logs of the machine that answers; all of them without `last`.
    pub async fn audit(
        &self,
        host: Option<&str>,
        recovery: Option<&str>,
        last: Option<usize>,
    ) -> Result<AuditLines, Failure> {
        let mut lines = AuditLines {
            machine: String::new(),
            lines: Vec::new(),
            unread: Vec::new(),
        };
        let mut marker: Option<String> = None;
        let what = self.to_string();
        for _ in 0..MAX_PAGES {
            let left = last.map(|last| last.saturating_sub(lines.lines.len()));
            let query = [
                ("host", host.map(str::to_owned)),
                ("recovery", recovery.map(str::to_owned)),
                ("limit", left.map(|left| left.to_string())),
                ("marker", marker.clone()),
            ];
            let query = query.into_iter().filter_map(|(key, value)| Some((key, value?)));
            let query: Vec<(&str, String)> = query.collect();
            let request = self.get::<AuditView>(&["audit"], &query, "audit");
            let page = waiting(&what, request).await?;
            if marker.is_none() && page.logs.is_empty() {
                return Err(Failure::from_text(format!(
                    "the machine {} of {self} has no audit log yet",
                    page.machine
                )));
            }
            if marker.is_some() && page.machine != lines.machine {
                return Err(Failure::from_text(format!(
                    "{self} has several machines: {} returned the newest lines, and {} the older ones. Each has its own logs: request fewer lines (--last), or run the command on the intended controller",
                    lines.machine, page.machine
                )));
            }
            let is_last = page.marker.is_none() || page.marker == marker || page.lines.is_empty();
            lines.machine = page.machine;
            lines.lines.extend(page.lines);
            lines.unread = page.unread;
            marker = page.marker;
            if is_last || last.is_some_and(|last| lines.lines.len() >= last) {
                return Ok(lines);
            }
        }
        Err(Failure::from_text(format!(
            "{self} returns its audit log without end: request the last lines (--last)"
        )))
    }
}
