//! `[oslo_policy]`: the policy files.

use std::path::{Path, PathBuf};

use tachi_config::Reader;

/// The policy files and their reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySettings {
    /// `policy_file`: searched in `folders` if it has no folder of its own.
    pub file: PathBuf,
    /// `policy_dirs`: folders whose files are read after it, in the order of their names.
    pub dirs: Vec<PathBuf>,
    /// Folders of the configuration; the first one with a file counts.
    pub folders: Vec<PathBuf>,
    /// True if the operator named the file, so that a missing one is worth a warning.
    pub file_is_named: bool,
    /// Options of reading the rules.
    pub options: tachi_policy::Options,
}

/// Reads `[oslo_policy]`.
pub fn policy(r: &mut Reader<'_>) -> PolicySettings {
    const G: &str = "oslo_policy";
    let defaults = tachi_policy::Options::default();
    let file_is_named = r.is_set(G, "policy_file");
    let file = r
        .string(G, "policy_file")
        .default("policy.yaml".into())
        .unit("path")
        .help("rules of the API; a relative path starts at the configuration's folder")
        .get();
    let dirs = r
        .list(G, "policy_dirs")
        .default(vec!["policy.d".into()])
        .help("folders whose files are read after `policy_file`")
        .get();
    let default_rule = r
        .string(G, "policy_default_rule")
        .default(defaults.default_rule)
        .help("rule that applies where a rule is not defined")
        .get();
    let enforce_new_defaults = r
        .bool(G, "enforce_new_defaults")
        .default(false)
        .help("ignores old defaults of rules")
        .get();
    // The option is read so that a wrong value is reported. No rule is for tokens of one scope only, so there is nothing to enforce.
    r.bool(G, "enforce_scope")
        .default(true)
        .help("accepted without effect: no rule is for tokens of one scope only")
        .get();
    PolicySettings {
        file: file.into(),
        dirs: dirs.into_iter().map(PathBuf::from).collect(),
        folders: Vec::new(),
        file_is_named,
        options: tachi_policy::Options {
            default_rule,
            enforce_new_defaults,
        },
    }
}

/// Returns the folders where `policy.yaml` is searched: beside each configuration file and in each configuration folder, then the usual
/// configuration folders of a service.
pub fn policy_folders(config_files: &[PathBuf], config_dirs: &[PathBuf]) -> Vec<PathBuf> {
    let beside = config_files.iter().filter_map(|file| {
        let folder = file.parent()?;
        Some(
            if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            }
            .to_owned(),
        )
    });
    let usual = ["/etc/tachi", "/etc/masakari"].map(PathBuf::from);
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in beside.chain(config_dirs.iter().cloned()).chain(usual) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}
