//! Checks the dependencies between the crates: binaries -> adapters -> engine -> domain; and between the floors of the program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The crates that each of our crates may depend on. A crate that is missing here fails the test: decide where it belongs.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tachi-domain", &[]),
    ("tachi-driver", &["tachi-domain"]),
    ("tachi-engine", &["tachi-domain", "tachi-driver"]),
    // Read models for operators, used by the API and the commands.
    ("tachi-operator", &["tachi-domain", "tachi-engine"]),
    ("tachi-config", &[]),
    // The logs of both programs, with their options.
    ("tachi-log", &["tachi-config"]),
    ("tachi-migrations", &[]),
    ("tachi-sandbox", &[]),
    // Adapters depend on the engine's ports, and the store on its schema; none depends on another.
    (
        "tachi-store",
        &["tachi-domain", "tachi-engine", "tachi-migrations"],
    ),
    ("tachi-audit", &["tachi-engine"]),
    ("tachi-bus", &["tachi-domain", "tachi-engine"]),
    ("tachi-events", &["tachi-domain", "tachi-engine"]),
    // Cleaning of foreign text for logs. It depends on no other crate, so that it cannot link two adapters.
    ("tachi-text", &[]),
    // Login and catalogue, for the server's client and for the monitors'; reads its options as both write them.
    ("tachi-keystone", &["tachi-config", "tachi-text"]),
    // Files and variables of operators' clouds.
    ("tachi-clouds", &["tachi-keystone"]),
    (
        "tachi-openstack",
        &["tachi-domain", "tachi-engine", "tachi-keystone", "tachi-text"],
    ),
    // The table of fence agents whose success means "off", for the engine's devices and for the monitors.
    ("tachi-agents", &[]),
    (
        "tachi-fence",
        &["tachi-agents", "tachi-domain", "tachi-engine", "tachi-text"],
    ),
    ("tachi-hooks", &["tachi-domain", "tachi-engine", "tachi-text"]),
    (
        "tachi-api",
        &["tachi-domain", "tachi-engine", "tachi-operator", "tachi-policy"],
    ),
    // The policy language, pure; it names the nearest rule as the configuration names the nearest option.
    ("tachi-policy", &["tachi-config"]),
    // The monitors depend on neither engine nor domain: they use the API.
    ("tachi-instance-ha", &["tachi-keystone", "tachi-text"]),
    ("tachi-libvirt", &[]),
    ("tachi-pacemaker", &["tachi-agents"]),
    ("tachi-spool", &[]),
    (
        "tachi-monitor",
        &[
            "tachi-config",
            "tachi-instance-ha",
            "tachi-keystone",
            "tachi-libvirt",
            "tachi-log",
            "tachi-pacemaker",
            "tachi-spool",
        ],
    ),
    // The commands as people see them. They know neither the server's code nor the database.
    (
        "tachi-cli",
        &[
            "tachi-clouds",
            "tachi-config",
            "tachi-domain",
            "tachi-engine",
            "tachi-instance-ha",
            "tachi-keystone",
            "tachi-operator",
        ],
    ),
    // The demo and the commands of a simulated region. The program starts the API and the engine for them.
    (
        "tachi-demo",
        &[
            "tachi-cli",
            "tachi-clouds",
            "tachi-domain",
            "tachi-engine",
            "tachi-instance-ha",
            "tachi-keystone",
            "tachi-operator",
            "tachi-sandbox",
        ],
    ),
    // The binary wires them.
    (
        "tachi",
        &[
            "tachi-api",
            "tachi-audit",
            "tachi-bus",
            "tachi-cli",
            "tachi-config",
            "tachi-demo",
            "tachi-domain",
            "tachi-engine",
            "tachi-events",
            "tachi-fence",
            "tachi-hooks",
            "tachi-keystone",
            "tachi-log",
            "tachi-openstack",
            "tachi-operator",
            "tachi-policy",
            "tachi-store",
        ],
    ),
    // The contract of every journal, for tests of the store and of the simulation.
    ("tachi-contract", &["tachi-domain", "tachi-driver"]),
    // Clocks, events and rows for tests of several crates.
    ("tachi-testkit", &["tachi-domain", "tachi-driver", "tachi-engine"]),
    ("tachi-tests", &[]),
];

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns each package with the project's packages that it depends on at run time.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let ours = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                // Development dependencies draw no arrow: the binary does not have them.
                .filter(|dependency| dependency["kind"].is_null() && !dependency["path"].is_null())
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), ours)
        })
        .collect()
}

#[test]
fn the_arrows_between_the_crates_go_one_way() {
    let mut wrong = Vec::new();
    for (package, depends_on) in arrows() {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package) else {
            wrong.push(format!("{package} is not in the list of this test"));
            continue;
        };
        for target in depends_on
            .iter()
            .filter(|target| !allowed.contains(&target.as_str()))
        {
            wrong.push(format!("{package} -> {target}"));
        }
    }
    assert!(wrong.is_empty(), "forbidden arrows:\n{}", wrong.join("\n"));
}

/// The floors of the program, from the lowest: each imports those before it alone.
const FLOORS: &[&str] = &["settings", "wiring", "database", "cmd"];

/// Returns the text of a floor: its file, and those of its folder.
fn floor(name: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut text = std::fs::read_to_string(source.join(format!("{name}.rs"))).unwrap();
    let mut folders = vec![source.join(name)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

/// True if the text names this module of its crate, alone or in a list.
fn imports(text: &str, module: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        words.map(str::to_owned).collect()
    };
    text.split("crate::")
        .skip(1)
        .any(|rest| match rest.strip_prefix('{') {
            Some(list) => words(list.split('}').next().unwrap())
                .iter()
                .any(|word| word == module),
            None => words(rest).first().is_some_and(|word| word == module),
        })
}

#[test]
fn no_floor_of_the_program_imports_one_above_it() {
    let mut wrong = Vec::new();
    for (number, name) in FLOORS.iter().enumerate() {
        let text = floor(name);
        for above in &FLOORS[number + 1..] {
            if imports(&text, above) {
                wrong.push(format!("src/{name} -> src/{above}"));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden arrows:\n{}", wrong.join("\n"));
}

#[test]
fn every_crate_in_the_list_exists() {
    let arrows = arrows();
    for (package, _) in ALLOWED {
        assert!(
            arrows.contains_key(*package),
            "{package} is gone: take it out of the list"
        );
    }
}

#[test]
fn every_crate_obeys_the_workspaces_lints_and_takes_its_versions_from_there() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let manifest = std::fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        let name = package["name"].as_str().unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{name} does not inherit the lints"
        );
        let body = manifest.split("[workspace").next().unwrap();
        for section in ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"] {
            // The root's own dependencies come after its workspace tables.
            let text = if name == "tachi" { manifest.as_str() } else { body };
            let Some((_, rest)) = text.split_once(&format!("\n{section}\n")) else {
                continue;
            };
            for line in rest.lines().take_while(|line| !line.starts_with('[')) {
                let line = line.split('#').next().unwrap().trim();
                let inherits = line.is_empty() || line.ends_with(".workspace = true");
                assert!(
                    inherits,
                    "{name} {section}: `{line}` names a version or a feature of its own"
                );
            }
        }
    }
}
