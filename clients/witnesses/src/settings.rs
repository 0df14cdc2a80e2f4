//! `[fencing] storm_witnesses` and `storm_failure_domains_file`: inputs of the guards besides Nova and the database.

use std::path::{Path, PathBuf};

use tachi_config::{Reader, Refusal};

use crate::domains_file;

const G: &str = "fencing";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SurroundingSettings {
    /// File of the failure domains, one per line.
    pub domains_file: Option<PathBuf>,
    /// Addresses that accept a TCP connection, `HOST:PORT` each.
    pub witnesses: Vec<String>,
}

impl SurroundingSettings {
    /// Reads the options.
    pub fn read(r: &mut Reader<'_>) -> Self {
        Self {
            domains_file: r
                .parsed(
                    G,
                    "storm_failure_domains_file",
                    |text: &str| match domains_file::read(Path::new(text)) {
                        Ok(_) => Ok(PathBuf::from(text)),
                        Err(why) => Err(Refusal::new(
                            format!("cannot be used: {why}"),
                            "write lines such as rack:r7 = compute-01 compute-02",
                        )),
                    },
                    |path: &PathBuf| path.display().to_string(),
                )
                .unit("path")
                .help("file of failure domains, one per line")
                .optional(),
            witnesses: r
                .parsed(
                    G,
                    "storm_witnesses",
                    |text: &str| {
                        let each = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                        let addresses: Vec<String> = each.map(str::to_owned).collect();
                        match addresses.iter().find(|entry| !is_place(entry)) {
                            None => Ok(addresses),
                            Some(entry) => Err(Refusal::new(
                                format!("{entry:?} is not an address"),
                                "write HOST:PORT, several separated by commas, such as 10.0.0.1:22",
                            )),
                        }
                    },
                    |addresses: &Vec<String>| addresses.join(","),
                )
                .help("witnesses as `HOST:PORT`: addresses that an engine with network can reach")
                .optional()
                .unwrap_or_default(),
        }
    }
}

/// True for `HOST:PORT`; an IPv6 address is in brackets.
fn is_place(entry: &str) -> bool {
    let Some((host, port)) = entry.rsplit_once(':') else {
        return false;
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_good = if let Some(address) = bare {
        address.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        !host.is_empty() && !host.starts_with('-') && host.len() <= 253 && host.chars().all(fits)
    };
    host_is_good && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_is_a_host_and_a_port_and_nothing_else() {
        for (entry, expected) in [
            ("10.0.0.1:22", true),
            ("gateway.example:443", true),
            ("[fd00::1]:22", true),
            ("fd00::1:22", false),
            ("gateway", false),
            ("gateway:0", false),
            ("gateway:70000", false),
            ("-oProxy:22", false),
            ("http://gateway:80", false),
            (":22", false),
        ] {
            assert_eq!(is_place(entry), expected, "{entry}");
        }
    }
}
