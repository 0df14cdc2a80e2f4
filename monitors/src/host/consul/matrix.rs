//! The networks that must have lost a host.

use std::path::Path;

use serde::Deserialize;

use super::Link;
use crate::failure::Failure;
use crate::host::samples::State;

/// The file in the Python monitor's format.
#[derive(Debug, Deserialize)]
struct Raw {
    sequence: Vec<String>,
    matrix: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    health: Vec<String>,
    #[serde(default)]
    action: Vec<String>,
}

/// The networks in order, and the vectors for which a host is reported as stopped.
#[derive(Debug)]
pub(crate) struct Matrix {
    sequence: Vec<String>,
    recovery: Vec<Vec<Link>>,
}

impl Matrix {
    /// Loads the file, or the built-in matrix if no file is named or it does not exist.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::built_in());
        };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                Self::parse(&text).map_err(|why| Failure::usage(format!("{}: {why}", path.display())))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), "matrix not found; using the built-in one");
                Ok(Self::built_in())
            }
            Err(error) => Err(Failure::new(format!("reading {}", path.display()), error)),
        }
    }

    /// A host is reported as stopped when the storage network has lost it, whatever the other networks show.
    fn built_in() -> Self {
        let both = [Link::Up, Link::Down];
        let recovery = both
            .iter()
            .flat_map(|manage| both.iter().map(|tenant| vec![*manage, *tenant, Link::Down]));
        Self {
            sequence: ["manage", "tenant", "storage"].map(str::to_owned).to_vec(),
            recovery: recovery.collect(),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let raw: Raw = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        if raw.sequence.is_empty() {
            return Err("sequence names no network".to_owned());
        }
        for (place, network) in raw.sequence.iter().enumerate() {
            if !["manage", "tenant", "storage"].contains(&network.as_str()) {
                return Err(format!("sequence: {network} is not manage, tenant or storage"));
            }
            if raw.sequence.iter().take(place).any(|before| before == network) {
                return Err(format!("sequence: {network} is listed twice"));
            }
        }
        let mut recovery = Vec::new();
        for row in &raw.matrix {
            let vector: Option<Vec<Link>> = row.health.iter().map(|state_text| known(state_text)).collect();
            let vector = vector
                .ok_or_else(|| format!("health: {:?} has a value other than up and down", row.health))?;
            if vector.len() != raw.sequence.len() {
                return Err(format!(
                    "health: {:?} needs one value for each network",
                    row.health
                ));
            }
            match row.action.as_slice() {
                [] => {}
                [one] if one == "recovery" => recovery.push(vector),
                other => return Err(format!("action: {other:?} is neither empty nor recovery")),
            }
        }
        Ok(Self {
            sequence: raw.sequence,
            recovery,
        })
    }

    /// The networks, in the order of the vectors.
    pub(crate) fn sequence(&self) -> &[String] {
        &self.sequence
    }

    /// Returns a host's state over all networks; of a vector with unknown places, the state that all their values
    /// give.
    pub(crate) fn state(&self, vector: &[Link]) -> State {
        let Some(place) = vector.iter().position(|link| *link == Link::Unknown) else {
            return self.complete(vector);
        };
        let [up, down] = [Link::Up, Link::Down].map(|link| {
            let mut vector = vector.to_vec();
            vector
                .iter_mut()
                .skip(place)
                .take(1)
                .for_each(|unknown| *unknown = link);
            self.state(&vector)
        });
        match (up, down) {
            (one, other) if one == other => one,
            (State::Up | State::Other, State::Up | State::Other) => State::Other,
            _ => State::Unknown,
        }
    }

    fn complete(&self, vector: &[Link]) -> State {
        if self.recovery.iter().any(|row| row == vector) {
            return State::Down;
        }
        // Some network has lost it, but not the deciding ones.
        if vector.contains(&Link::Down) {
            State::Other
        } else {
            State::Up
        }
    }
}

fn known(state_text: &str) -> Option<Link> {
    match state_text {
        "up" => Some(Link::Up),
        "down" => Some(Link::Down),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers F6.
    #[test]
    fn the_built_in_matrix() {
        use Link::{Down, Unknown, Up};
        let matrix = Matrix::built_in();
        for (vector, expected) in [
            ([Up, Up, Up], State::Up),
            ([Down, Up, Up], State::Other),
            ([Down, Down, Up], State::Other),
            ([Up, Up, Down], State::Down),
            ([Down, Down, Down], State::Down),
            // The result does not depend on the unknown network.
            ([Up, Unknown, Down], State::Down),
            ([Unknown, Unknown, Down], State::Down),
            ([Up, Up, Unknown], State::Unknown),
            ([Unknown, Unknown, Unknown], State::Unknown),
            // The host is not down in either case.
            ([Up, Unknown, Up], State::Other),
            ([Down, Unknown, Up], State::Other),
        ] {
            assert_eq!(matrix.state(&vector), expected, "{vector:?}");
        }
    }

    /// Covers MW20.
    #[test]
    fn files() {
        let single = "sequence: ['manage']\nmatrix:\n  - health: ['up']\n    action: []\n  - health: ['down']\n    action: ['recovery']\n";
        let matrix = Matrix::parse(single).unwrap();
        assert_eq!(matrix.state(&[Link::Down]), State::Down);
        assert_eq!(matrix.state(&[Link::Up]), State::Up);
        for (name, text) in [
            ("not YAML", "sequence: ["),
            ("no networks", "sequence: []\nmatrix: []"),
            ("a network twice", "sequence: [manage, manage]\nmatrix: []"),
            ("an unknown network", "sequence: [mars]\nmatrix: []"),
            (
                "a short vector",
                "sequence: [manage, tenant]\nmatrix: [{health: [up], action: []}]",
            ),
            (
                "another word",
                "sequence: [manage]\nmatrix: [{health: [sideways], action: []}]",
            ),
            (
                "another action",
                "sequence: [manage]\nmatrix: [{health: [up], action: [dance]}]",
            ),
        ] {
            assert!(Matrix::parse(text).is_err(), "{name}");
        }
    }
}
