//! Checks the dependencies between the crates: binaries -> adapters -> engine -> domain; and between the floors of the program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates that each of our crates may depend on. A crate that is missing here fails the test: decide where it belongs.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tachi-domain", &[]),
    ("tachi-driver", &["tachi-domain"]),
    ("tachi-engine", &["tachi-domain", "tachi-driver"]),
    // Read models for operators, used by the API and the commands.
    ("tachi-operator", &["tachi-domain", "tachi-engine"]),
    // The rules of recoveries, read from the configuration.
    ("tachi-rules", &["tachi-config", "tachi-domain", "tachi-engine"]),
    ("tachi-config", &[]),
    // The logs of both programs, with their options.
    ("tachi-log", &["tachi-config"]),
    // Signals, tasks and the service manager, for both programs.
    ("tachi-daemon", &[]),
    ("tachi-migrations", &[]),
    ("tachi-sandbox", &[]),
    // Adapters depend on the engine's ports, and the store on its schema; none depends on another. They read
    // their options themselves, as the log and the login do.
    (
        "tachi-store",
        &["tachi-domain", "tachi-engine", "tachi-migrations"],
    ),
    ("tachi-audit", &["tachi-config", "tachi-engine"]),
    ("tachi-bus", &["tachi-config", "tachi-domain", "tachi-engine"]),
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
    (
        "tachi-hooks",
        &["tachi-config", "tachi-domain", "tachi-engine", "tachi-text"],
    ),
    (
        "tachi-witnesses",
        &["tachi-config", "tachi-domain", "tachi-engine"],
    ),
    (
        "tachi-api",
        &[
            "tachi-config",
            "tachi-daemon",
            "tachi-domain",
            "tachi-engine",
            "tachi-operator",
            "tachi-policy",
        ],
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
            "tachi-daemon",
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
            "tachi-daemon",
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
            "tachi-rules",
            "tachi-store",
            "tachi-witnesses",
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

/// The modules of the program's crate root, from the lowest: each imports those before it alone.
const FLOORS: &[&str] = &["logging", "settings", "wiring", "database", "cmd"];

/// A source file of the program.
struct SourceFile {
    path: PathBuf,
    text: String,
    /// The number of modules between the file and the crate root, its own included.
    depth: usize,
}

/// Reads the files of a floor: its own, and those of its folder.
fn floor(name: &str) -> Vec<SourceFile> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let read = |path: PathBuf| SourceFile {
        text: std::fs::read_to_string(&path).unwrap(),
        depth: path.strip_prefix(&source).unwrap().components().count()
            - usize::from(path.ends_with("mod.rs")),
        path,
    };
    let mut files = vec![read(source.join(format!("{name}.rs")))];
    let mut folders = vec![source.join(name)];
    while let Some(folder) = folders.pop() {
        if !folder.exists() {
            continue;
        }
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(read(path));
            }
        }
    }
    files
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Returns the name at the start of a text.
fn first_name(text: &str) -> &str {
    text.split(|letter| !is_name(letter)).next().unwrap()
}

/// Returns the text before the brace that closes the one before the text.
fn to_matching_brace(text: &str) -> &str {
    let mut open = 1_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return &text[..at];
        }
    }
    text
}

/// Returns the items of a list, without those of lists inside it.
fn items(list: &str) -> Vec<&str> {
    let mut open = 0_usize;
    let items = list.split(|letter| {
        match letter {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        letter == ',' && open == 0
    });
    items.map(str::trim).collect()
}

/// Returns the parts of a text that are the bodies of its inline modules.
fn inline_modules(text: &str) -> Vec<Range<usize>> {
    let starts = text.match_indices("mod ").filter_map(|(at, word)| {
        let name = first_name(&text[at + word.len()..]);
        let body = at + word.len() + name.len() + " {".len();
        let is_inline = !text[..at].ends_with(is_name) && text[..body.min(text.len())].ends_with(" {");
        (is_inline && !name.is_empty()).then_some(body)
    });
    starts
        .map(|body| body..body + to_matching_brace(&text[body..]).len())
        .collect()
}

/// True if the path names this module of the crate root; `depth` modules are between the path and the root.
fn names(path: &str, depth: usize, module: &str) -> bool {
    if let Some(list) = path.strip_prefix('{') {
        let list = items(to_matching_brace(list));
        return list.iter().any(|item| names(item, depth, module));
    }
    match path.strip_prefix("super::") {
        Some(rest) => depth > 0 && names(rest, depth - 1, module),
        None => depth == 0 && (path.starts_with('*') || first_name(path) == module),
    }
}

/// True if the text of a file imports or names this module of the crate root.
fn imports(text: &str, depth: usize, module: &str) -> bool {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let inline = inline_modules(&text);
    let starts_here = |at: usize| !text[..at].ends_with(is_name) && !text[..at].ends_with("super::");
    let mut of_crate = text.match_indices("crate::");
    let mut of_parent = text.match_indices("super::");
    of_crate.any(|(at, word)| starts_here(at) && names(&text[at + word.len()..], 0, module))
        || of_parent.any(|(at, _)| {
            let around = inline.iter().filter(|body| body.contains(&at)).count();
            starts_here(at) && names(&text[at..], depth + around, module)
        })
}

#[test]
fn an_import_of_a_module_is_found_in_each_form() {
    // The module is `cmd`.
    let cases = [
        ("use crate::cmd;", 1, true),
        ("use crate::cmd::x;", 3, true),
        ("fn f() { crate::cmd::x() }", 2, true),
        ("use crate::{wiring, cmd};", 1, true),
        ("use crate::{\n    cmd::{self, x},\n    wiring,\n};", 1, true),
        ("use crate::{wiring::{self, Base}, cmd::x};", 1, true),
        (
            "use crate::{wiring::{a::{b, c}, d}, settings};\nuse std::cmd;",
            1,
            false,
        ),
        ("use crate::{settings::cmd};", 1, false),
        ("use crate::{settings::{cmd, x}};", 1, false),
        ("use crate::settings::cmd;", 1, false),
        ("use crate::cmd_line;", 1, false),
        ("use crate::*;", 2, true),
        ("use crate::settings::*;", 2, false),
        ("use super::cmd::x;", 1, true),
        ("use super::{wiring, cmd};", 1, true),
        ("use super::*;", 1, true),
        ("use super::cmd::x;", 2, false),
        ("use super::*;", 2, false),
        ("use super::super::cmd;", 2, true),
        ("use super::super::cmd;", 3, false),
        ("use super::super::super::{settings, cmd::x};", 3, true),
        ("pub(in super::super) fn f() {}", 2, false),
        ("use is_super::cmd;", 1, false),
        ("mod tests {\n    use super::cmd;\n}", 1, false),
        ("mod tests {\n    use super::*;\n}", 1, false),
        ("mod tests {\n    use super::super::cmd;\n}", 1, true),
        ("mod tests {}\nuse super::cmd;", 1, true),
        ("mod tests;\nuse super::cmd;", 1, true),
        ("// Not crate::cmd.\n/// Nor [`crate::cmd`].", 1, false),
    ];
    for (text, depth, expected) in cases {
        assert_eq!(imports(text, depth, "cmd"), expected, "{text:?} at depth {depth}");
    }
}

#[test]
fn every_module_of_the_program_is_a_floor() {
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/main.rs");
    let main = std::fs::read_to_string(main).unwrap();
    let modules: BTreeSet<&str> = main
        .lines()
        .filter_map(|line| {
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            let line = line.strip_prefix("pub ").unwrap_or(line);
            line.strip_prefix("mod ").map(first_name)
        })
        .collect();
    assert_eq!(modules, FLOORS.iter().copied().collect());
}

#[test]
fn no_floor_of_the_program_imports_one_above_it() {
    let mut wrong = Vec::new();
    for (number, name) in FLOORS.iter().enumerate() {
        for file in floor(name) {
            for above in &FLOORS[number + 1..] {
                if imports(&file.text, file.depth, above) {
                    wrong.push(format!("{} -> src/{above}", file.path.display()));
                }
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
