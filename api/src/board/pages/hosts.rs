//! The page of all hosts.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use tachi_domain::recovery::Life;
use tachi_operator::{Flags, HostView, MonitorView, RegisteredView, SituationView};

use super::pieces::{Piece, link, many, mark, nova, total, watched};

/// What the letters of the flags mean.
const FLAGS: &str =
    "R under recovery, F frozen, M on maintenance, P waits for a person, N not meant to be recovered";

/// All of them.
#[derive(Template)]
#[template(path = "hosts.html")]
pub(super) struct Hosts<'a> {
    hosts: Vec<Row<'a>>,
    /// The numbers of the fence levels that any host has.
    levels: Vec<u32>,
}

struct Row<'a> {
    view: &'a HostView,
    /// Where the field above the table looks, in small letters.
    search: String,
    state: Piece,
    flags: String,
    monitors: Piece,
    /// Of each of the region's levels how the host's is; nothing if it has none of that number.
    levels: Vec<(u32, Piece)>,
    why: String,
    recovery: Piece,
}

impl<'a> Hosts<'a> {
    pub(super) fn of(seen: &'a SituationView) -> Self {
        let registered = seen.segments.iter().flat_map(|segment| &segment.hosts);
        let registered: BTreeMap<&str, &RegisteredView> =
            registered.map(|one| (one.name.as_str(), one)).collect();
        let mut monitors: BTreeMap<&str, Vec<&MonitorView>> = BTreeMap::new();
        for one in &seen.monitors {
            monitors.entry(&one.host).or_default().push(one);
        }
        let levels = seen.hosts.iter().flat_map(|host| &host.levels);
        let levels: BTreeSet<u32> = levels.map(|one| one.level).collect();
        let flags = Flags::of(seen);
        let row = |view: &'a HostView| {
            let name = view.name.as_str();
            let registered = registered.get(name).copied();
            let monitors = monitors.get(name).map_or(&[][..], Vec::as_slice);
            Row::of(view, registered, monitors, &levels, flags.host(view, registered))
        };
        Self {
            hosts: seen.hosts.iter().map(row).collect(),
            levels: levels.iter().copied().collect(),
        }
    }
}

impl<'a> Row<'a> {
    fn of(
        view: &'a HostView,
        registered: Option<&RegisteredView>,
        monitors: &[&MonitorView],
        levels: &BTreeSet<u32>,
        flags: String,
    ) -> Self {
        let recovery = registered.and_then(|one| Some((one.recovery?, one.life?)));
        let state = match recovery {
            // What is reported of a host that Nova hears is examined first.
            Some((_, Life::Open)) if view.up == Some(true) => {
                mark("degraded", "reported dead: being examined")
            }
            Some((_, Life::Open)) => mark("down", "dead: being recovered"),
            Some((_, Life::Watching | Life::Closed)) | None => mark(view.protection.as_str(), ""),
        };
        let reasons: Vec<&str> = view.reasons.iter().map(|code| code.as_str()).collect();
        let why = reasons.join(", ");
        let search = format!(
            "{} {} {} {why} {}",
            view.name,
            view.segment.as_deref().unwrap_or("no segment"),
            view.protection.as_str(),
            if recovery.is_some() { "recovery dead" } else { "" }
        );
        let level = |number: &u32| {
            let own = view.levels.iter().find(|one| one.level == *number);
            let told = own.map(|one| {
                if one.good {
                    mark("ok", "works")
                } else {
                    mark("err", "fails")
                }
            });
            (*number, told.unwrap_or_else(Piece::nothing))
        };
        Self {
            view,
            search: search.to_lowercase(),
            state,
            flags,
            monitors: watched(monitors),
            levels: levels.iter().map(level).collect(),
            why,
            recovery: recovery.map_or_else(Piece::nothing, |(id, life)| link("recovery", id, life.as_str())),
        }
    }
}
