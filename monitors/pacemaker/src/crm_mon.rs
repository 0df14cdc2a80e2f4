//! Parser of `crm_mon --output-as=xml`, and of the older `crm_mon -X`.

use serde::{Deserialize, Serialize};

use crate::device::same_node;
use crate::xml::{Element, tail, walk, yes};
use crate::{Error, Time, parse_time};

const WHAT: &str = "the output of crm_mon";

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Runs corosync and pacemakerd.
    Member,
    /// Runs `pacemaker-remoted` only.
    Remote,
    /// A container or virtual machine that a resource of the cluster runs: not a machine that can be fenced.
    Guest,
    /// `ping` nodes and what later versions invent.
    Other,
}

/// One line of the list of nodes. Field names are Pacemaker's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Pacemaker's attributes, each independent of the others"
)]
pub struct Node {
    /// The cluster's name for it.
    pub name: String,
    /// Member, remote, guest.
    pub kind: Kind,
    /// The cluster takes it for reachable. Also `true` for seconds on end while a dead remote is being reconnected.
    pub online: bool,
    /// Its state is unknown and its fencing is pending.
    pub unclean: bool,
    /// It is joining.
    pub pending: bool,
    /// An operator asked that nothing be done to it.
    pub maintenance: bool,
    /// It is shutting down in order.
    pub shutdown: bool,
}

/// A resource, at any depth of groups, clones and bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name; of a remote's connection, the remote's name.
    pub id: String,
    /// `Started`, `Stopped`, `Starting`, ...
    pub role: String,
    /// The role that an operator has set.
    pub target_role: Option<String>,
    /// Pacemaker may start and stop it.
    pub managed: bool,
    /// Its last operation failed. A dead remote's connection can be `Started` and failed.
    pub failed: bool,
    /// The nodes that run it; of a remote's connection, those that hold it.
    pub nodes: Vec<String>,
}

/// The result of a fencing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FenceStatus {
    /// The device reports success.
    Success,
    /// The device refused or did not answer.
    Failed,
    /// Not finished; also for every word that later versions invent.
    Pending,
}

/// One entry of the fencing history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceEvent {
    /// `off`, `reboot`, `on`.
    pub action: String,
    /// The node's name.
    pub target: String,
    /// The result.
    pub status: FenceStatus,
    /// The node whose fencer executed it; `a human` if an operator confirmed it by hand.
    pub delegate: Option<String>,
    /// The requesting program.
    pub client: Option<String>,
    /// The requesting node.
    pub origin: Option<String>,
    /// When it ended, by the cluster's clock; never there while pending.
    pub completed: Option<Time>,
}

/// One output of `crm_mon`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one statement of the output, independent of the others"
)]
pub struct CrmMon {
    /// A DC is there and its partition has quorum.
    pub quorate: bool,
    /// The output does not state whether it has quorum.
    pub unstated: bool,
    /// The DC's name.
    pub dc: Option<String>,
    /// The state of pacemakerd; `None` on a remote.
    pub pacemakerd: Option<String>,
    /// The cluster fences at all.
    pub stonith_enabled: bool,
    /// The whole cluster is in maintenance.
    pub maintenance: bool,
    /// The time of the output, if stated.
    pub at: Option<Time>,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// All resources.
    pub resources: Vec<Resource>,
    /// The fencing history, newest first, as far as the cluster still has it.
    pub fences: Vec<FenceEvent>,
    /// The output holds a fencing history. `crm_mon` prints none where nothing was ever fenced, and none where it was not asked.
    pub history: bool,
}

impl CrmMon {
    /// Reads the output of `crm_mon --output-as=xml` or of `crm_mon -X`.
    ///
    /// # Errors
    ///
    /// If it is not that, is cut off, reports an error of its own, or names a node twice.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut read = Reading::default();
        walk(WHAT, text, |path, element| read.open(path, element), |_| ())?;
        read.finish()
    }

    /// The entries of the fencing history about a node. The fencer keeps a name as the caller wrote it, and compares without
    /// regard to case.
    pub fn fences_of<'m>(&'m self, node: &'m str) -> impl Iterator<Item = &'m FenceEvent> {
        self.fences
            .iter()
            .filter(move |fence| same_node(&fence.target, node))
    }

    /// A resource by its name.
    pub fn resource(&self, id: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.id == id)
    }
}

fn shape(problem: impl Into<String>) -> Error {
    Error::Shape {
        what: WHAT,
        problem: problem.into(),
    }
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one attribute of the text")]
struct Reading {
    quorate: bool,
    stated: bool,
    dc: Option<String>,
    pacemakerd: Option<String>,
    stonith_enabled: bool,
    maintenance: bool,
    exact: Option<Time>,
    rough: Option<Time>,
    listed: bool,
    nodes: Vec<Node>,
    resources: Vec<Resource>,
    fences: Vec<FenceEvent>,
    history: bool,
    /// The bundle around what is read, and the nodes that bundles make.
    bundle: String,
    guests: Vec<String>,
}

impl Reading {
    fn open(&mut self, path: &[String], element: &Element<'_>) -> Result<(), Error> {
        if let [root] = path {
            return match root.as_str() {
                "pacemaker-result" | "crm_mon" => Ok(()),
                other => Err(shape(format!(
                    "begins with <{}>",
                    other.chars().take(64).collect::<String>()
                ))),
            };
        }
        match tail(path, 1).as_slice() {
            ["pacemakerd"] => {
                self.pacemakerd = element.text("state")?.map(Into::into);
                self.exact = time(element, "last_updated")?;
            }
            ["summary", "current_dc"] => {
                let present = element.flag("present")?;
                self.stated = !present || element.text("with_quorum")?.is_some();
                self.quorate = present && element.flag("with_quorum")?;
                self.dc = element.text("name")?.filter(|_| present).map(Into::into);
            }
            ["summary", "last_update"] => self.rough = time(element, "time")?,
            ["summary", "cluster_options"] => {
                self.stonith_enabled = element.flag("stonith-enabled")?;
                self.maintenance = element.flag("maintenance-mode")?;
            }
            ["nodes"] => self.listed = true,
            ["nodes", "node"] => self.nodes.push(node(element)?),
            ["resources", .., "resource"] => self.resources.push(resource(element)?),
            ["resources", .., "resource", "node"] => {
                if let (Some(resource), Some(name)) = (self.resources.last_mut(), element.text("name")?) {
                    resource.nodes.push(name.into_owned());
                }
            }
            ["resources", .., "bundle"] => self.bundle = element.text("id")?.unwrap_or_default().into_owned(),
            ["resources", .., "bundle", "replica"] => {
                let number = element.text("id")?.unwrap_or_default();
                self.guests.push(format!("{}-{number}", self.bundle));
            }
            ["fence_history"] => self.history = element.text("status")?.is_none_or(|status| status == "0"),
            // Attempts that failed stand apart since 2.0 of the schema; later versions nest them.
            ["fence_history", .., "fence_event"] => self.fences.push(fence(element)?),
            ["status"] => {
                let code = element.text("code")?.unwrap_or_default();
                if code != "0" {
                    let message = element.text("message")?.unwrap_or_default();
                    return Err(shape(format!("is an error: {code} {message}")));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<CrmMon, Error> {
        if !self.listed {
            return Err(shape("lists no nodes"));
        }
        for node in &mut self.nodes {
            if node.kind == Kind::Remote && self.guests.iter().any(|guest| same_node(guest, &node.name)) {
                node.kind = Kind::Guest;
            }
        }
        let mut names: Vec<String> = self
            .nodes
            .iter()
            .map(|node| node.name.to_ascii_lowercase())
            .collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(shape(format!(
                "names the node {:?} twice",
                pair.first().map_or("", String::as_str)
            )));
        }
        // Newest first whatever the order they were printed in: pending ones are the newest of all.
        self.fences
            .sort_by_key(|fence| std::cmp::Reverse((fence.completed.is_none(), fence.completed)));
        Ok(CrmMon {
            quorate: self.quorate,
            unstated: !self.stated,
            dc: self.dc,
            pacemakerd: self.pacemakerd,
            stonith_enabled: self.stonith_enabled,
            maintenance: self.maintenance,
            at: self.rough.max(self.exact),
            nodes: self.nodes,
            resources: self.resources,
            fences: self.fences,
            history: self.history,
        })
    }
}

/// A time that is there must be one: a wrong one could only be older or younger than the truth.
fn time(element: &Element<'_>, name: &str) -> Result<Option<Time>, Error> {
    element
        .text(name)?
        .filter(|text| !text.is_empty())
        .map(|text| parse_time(&text))
        .transpose()
}

fn node(element: &Element<'_>) -> Result<Node, Error> {
    let kind = match element.text("type")?.as_deref() {
        Some("member") => Kind::Member,
        Some("remote") if element.text("id_as_resource")?.is_some() => Kind::Guest,
        Some("remote") => Kind::Remote,
        _ => Kind::Other,
    };
    Ok(Node {
        name: element.need("name")?,
        kind,
        online: element.flag("online")?,
        unclean: element.flag("unclean")?,
        pending: element.flag("pending")?,
        maintenance: element.flag("maintenance")?,
        shutdown: element.flag("shutdown")?,
    })
}

fn resource(element: &Element<'_>) -> Result<Resource, Error> {
    Ok(Resource {
        id: element.need("id")?,
        role: element.text("role")?.unwrap_or_default().into_owned(),
        target_role: element.text("target_role")?.map(Into::into),
        managed: element.text("managed")?.is_none_or(|value| yes(&value)),
        failed: element.flag("failed")?,
        nodes: Vec::new(),
    })
}

fn fence(element: &Element<'_>) -> Result<FenceEvent, Error> {
    let completed = time(element, "completed")?;
    let status = match element.need("status")?.as_str() {
        // A success without a time proves nothing about when.
        "success" if completed.is_some() => FenceStatus::Success,
        "failed" => FenceStatus::Failed,
        _ => FenceStatus::Pending,
    };
    let optional = |name: &str| -> Result<Option<String>, Error> { Ok(element.text(name)?.map(Into::into)) };
    Ok(FenceEvent {
        action: element.need("action")?,
        target: element.need("target")?,
        status,
        delegate: optional("delegate")?,
        client: optional("client")?,
        origin: optional("origin")?,
        completed,
    })
}
