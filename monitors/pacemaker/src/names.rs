//! The mapping between the cluster's names for machines and Nova's.

use std::collections::BTreeMap;

/// The mapping from names of the cluster to names of hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Configured by an operator: cluster's name to host's name.
    pub map: BTreeMap<String, String>,
    /// All existing hosts, if known.
    pub hosts: Vec<String>,
}

/// The reason why a node of the cluster is not a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// More than one host fits.
    #[error("node {node} could be any of the hosts {}: name the host in node_map", .hosts.join(", "))]
    Ambiguous {
        /// The cluster's name.
        node: String,
        /// The matching hosts.
        hosts: Vec<String>,
    },
    /// No host fits.
    #[error("node {node} is not a registered host: register it, or map it to one in node_map")]
    Unknown {
        /// The cluster's name.
        node: String,
    },
}

impl Names {
    /// Returns the host's name: the map's, then the identical name, then the one host that differs only in its domain.
    /// Without a list of hosts, returns the map's name or the identical one.
    ///
    /// # Errors
    ///
    /// Several hosts fit, or none.
    pub fn host(&self, node: &str) -> Result<String, NameError> {
        // An operator's entry decides before a host that has this node's name by chance.
        if let Some(host) = self.mapped(node) {
            return Ok(host.to_owned());
        }
        if self.hosts.is_empty() || self.hosts.iter().any(|host| host == node) {
            return Ok(node.to_owned());
        }
        let alike: Vec<_> = self
            .hosts
            .iter()
            .filter(|host| same_machine(host, node))
            .collect();
        match alike.as_slice() {
            [host] => Ok((*host).clone()),
            [] => Err(NameError::Unknown {
                node: node.to_owned(),
            }),
            many => Err(NameError::Ambiguous {
                node: node.to_owned(),
                hosts: many.iter().map(|host| (*host).clone()).collect(),
            }),
        }
    }

    /// Returns the map's entry of a node. Pacemaker compares names of nodes ignoring case.
    fn mapped(&self, node: &str) -> Option<&str> {
        let pair = self
            .map
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(node))?;
        Some(pair.1)
    }

    /// Returns the cluster's node on the machine of this host name.
    pub fn node_of<'n>(&self, host: &str, nodes: &[&'n str]) -> Option<&'n str> {
        let nodes = nodes.iter().copied();
        let exact = nodes.clone().find(|node| *node == host);
        let mapped = || {
            nodes
                .clone()
                .find(|node| self.mapped(node).is_some_and(|name| name == host))
        };
        let alike = || {
            let mut alike = nodes.clone().filter(|node| same_machine(node, host));
            alike.next().filter(|_| alike.next().is_none())
        };
        // An operator's entry decides before a node that has this host's name by chance.
        mapped().or(exact).or_else(alike)
    }
}

/// True if one name is the other without its domain. Two different full names are never the same machine.
pub(crate) fn same_machine(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let (short, long) = (short.to_lowercase(), long.to_lowercase());
    short == long
        || (!short.is_empty()
            && long
                .strip_prefix(&short)
                .is_some_and(|domain| domain.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(map: &[(&str, &str)], hosts: &[&str]) -> Names {
        Names {
            map: map
                .iter()
                .map(|(node, host)| ((*node).to_owned(), (*host).to_owned()))
                .collect(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        }
    }

    /// Covers MW13.
    #[test]
    fn names_of_nodes_become_names_of_hosts() {
        for (name, map, hosts, node, expected) in [
            ("nothing known", &[][..], &[][..], "cmp1", Some("cmp1")),
            (
                "map without a list",
                &[("cmp1", "nova1")],
                &[],
                "cmp1",
                Some("nova1"),
            ),
            (
                "map before the very name",
                &[("cmp1", "nova1")],
                &["cmp1", "nova1"],
                "cmp1",
                Some("nova1"),
            ),
            (
                "map before the domain",
                &[("cmp1", "nova1")],
                &["cmp1.example.org"],
                "cmp1",
                Some("nova1"),
            ),
            (
                "full name registered",
                &[],
                &["cmp1.example.org", "cmp10.example.org"],
                "cmp1",
                Some("cmp1.example.org"),
            ),
            (
                "short name registered",
                &[],
                &["cmp1", "cmp2"],
                "cmp1.example.org",
                Some("cmp1"),
            ),
            (
                "another case",
                &[],
                &["CMP1.example.org"],
                "cmp1",
                Some("CMP1.example.org"),
            ),
            ("two domains", &[], &["cmp1.a", "cmp1.b"], "cmp1", None),
            ("another full name", &[], &["cmp1.a"], "cmp1.b", None),
            ("a name that begins alike", &[], &["cmp11"], "cmp1", None),
            (
                "map in another case",
                &[("CMP1", "nova1")],
                &[],
                "cmp1",
                Some("nova1"),
            ),
            ("stranger", &[], &["cmp1"], "ctl1", None),
        ] {
            assert_eq!(names(map, hosts).host(node).ok().as_deref(), expected, "{name}");
        }
    }

    /// Covers MW13.
    #[test]
    fn the_own_node_is_found_under_every_name() {
        let nodes = ["ctl1", "cmp1.example.org", "cmp2"];
        for (name, map, host, expected) in [
            ("very name", &[][..], "cmp2", Some("cmp2")),
            ("short host name", &[], "cmp1", Some("cmp1.example.org")),
            ("full host name", &[], "cmp2.example.org", Some("cmp2")),
            ("map", &[("ctl1", "nova7")], "nova7", Some("ctl1")),
            (
                "map before the very name",
                &[("ctl1", "cmp2")],
                "cmp2",
                Some("ctl1"),
            ),
            ("stranger", &[], "elsewhere", None),
        ] {
            assert_eq!(names(map, &[]).node_of(host, &nodes), expected, "{name}");
        }
        assert_eq!(names(&[], &[]).node_of("cmp1", &["cmp1.a", "cmp1.b"]), None);
    }
}
