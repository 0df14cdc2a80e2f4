//! Policy files: found, read, and read again when they change.

use std::fs::{self, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tachi_daemon::FileBacked;
use tachi_operator::Failure;
use tachi_policy::{LoadReport, Source};
use tokio_util::sync::CancellationToken;

use super::Policy;
use crate::settings::PolicySettings;

/// Maximum size of a file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Fingerprint of a file, by which a change is noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Print {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Print {
    fn of(path: PathBuf, file: &Metadata) -> Self {
        Self {
            path,
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// Result of a check.
#[derive(Debug, PartialEq, Eq)]
enum ReloadResult {
    /// No change.
    Same,
    /// New rules are in force.
    Replaced,
    /// The files cannot be used; the previous rules stay in force.
    Unchanged,
}

/// The policy files, with the rules in force.
pub struct PolicyFiles {
    settings: PolicySettings,
    policy: Policy,
    /// The fingerprints of the last reading; `None` reads the files in any case.
    loaded_prints: Option<Vec<Print>>,
}

impl PolicyFiles {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// A file cannot be read or is not a policy file. A process does not start with a part of its rules.
    pub fn open(settings: &PolicySettings) -> Result<Self, Failure> {
        let loaded_prints = prints(settings);
        let loaded = load(settings, &loaded_prints)?;
        if settings.file_is_named && find(settings, &settings.file).is_none() {
            tracing::warn!(
                file = %settings.file.display(),
                "policy_file not found; using the defaults until it exists"
            );
        }
        log_warnings(&loaded);
        Ok(Self {
            settings: settings.clone(),
            policy: Policy::new(loaded.rules),
            loaded_prints: Some(loaded_prints),
        })
    }

    /// Reads the rules of the files as they are now, for a command.
    ///
    /// # Errors
    ///
    /// Those of [`PolicyFiles::open`].
    pub fn read(settings: &PolicySettings) -> Result<LoadReport, Failure> {
        load(settings, &prints(settings))
    }

    /// Returns the rules in force, which are updated later too.
    pub fn policy(&self) -> Policy {
        self.policy.clone()
    }

    /// Reads the files again if they have changed. Errors in them are logged once, not at every check.
    fn check_files(&mut self) -> ReloadResult {
        let now = prints(&self.settings);
        if self.loaded_prints.as_ref() == Some(&now) {
            return ReloadResult::Same;
        }
        let loaded = load(&self.settings, &now);
        let files = now.len();
        self.loaded_prints = Some(now);
        match loaded {
            Ok(loaded) => {
                log_warnings(&loaded);
                self.policy.replace(loaded.rules);
                tracing::info!(files, "policy reloaded");
                ReloadResult::Replaced
            }
            Err(error) => {
                tracing::error!(error = %error.chain(), "policy reload failed; keeping the previous policy");
                ReloadResult::Unchanged
            }
        }
    }

    /// Checks every second, and reads at once on SIGHUP, until it is stopped.
    pub async fn watch(self, stop: CancellationToken) {
        tachi_daemon::watch(self, stop).await;
    }
}

impl FileBacked for PolicyFiles {
    const NAME: &'static str = "the policy";

    fn invalidate(&mut self) {
        self.loaded_prints = None;
    }

    fn recheck(&mut self) {
        self.check_files();
    }
}

fn log_warnings(loaded: &LoadReport) {
    for warning in &loaded.warnings {
        tracing::warn!(%warning, "policy warning");
    }
}

fn load(settings: &PolicySettings, files: &[Print]) -> Result<LoadReport, Failure> {
    let mut sources = Vec::new();
    for file in files {
        sources.extend(source(&file.path)?);
    }
    Policy::load(&sources, &settings.options).map_err(|error| Failure::new("reading the policy", error))
}

/// Returns a file's text; `None` if it was removed since it was found.
fn source(path: &Path) -> Result<Option<Source>, Failure> {
    let wrong = |error| Failure::new(format!("reading the policy file {}", path.display()), error);
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(wrong)?;
    Ok(Some(Source::new(path.display().to_string(), text)))
}

/// Returns the existing files in the order in which they count: the policy file, then each folder's by name.
fn prints(settings: &PolicySettings) -> Vec<Print> {
    let mut prints: Vec<Print> = find(settings, &settings.file).into_iter().collect();
    for folder in &settings.dirs {
        let mut inside: Vec<Print> = candidates(settings, folder)
            .filter_map(|folder| fs::read_dir(folder).ok())
            .take(1)
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| !is_hidden(path))
            .filter_map(print)
            .collect();
        inside.sort_by(|a, b| a.path.cmp(&b.path));
        prints.extend(inside);
    }
    prints
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn find(settings: &PolicySettings, name: &Path) -> Option<Print> {
    candidates(settings, name).find_map(print)
}

/// Returns the path itself if it is absolute, else the path in each folder.
fn candidates<'a>(settings: &'a PolicySettings, name: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
    settings.folders.iter().map(move |folder| folder.join(name))
}

fn print(path: PathBuf) -> Option<Print> {
    let file = fs::metadata(&path).ok()?;
    file.is_file().then(|| Print::of(path, &file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    struct Harness {
        folder: tempfile::TempDir,
        settings: PolicySettings,
    }

    const RULE: &str = "os_masakari_api:segments:index";

    impl Harness {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let settings = PolicySettings {
                file: "policy.yaml".into(),
                dirs: vec!["policy.d".into()],
                folders: vec![folder.path().join("none"), folder.path().to_owned()],
                file_is_named: false,
                options: tachi_policy::Options::default(),
            };
            Self { folder, settings }
        }

        /// Writes as editors do: a new file, moved over the old one.
        fn write(&self, name: &str, text: &str) {
            let path = self.folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let new = path.with_extension("new~");
            fs::write(&new, text).unwrap();
            fs::rename(new, path).unwrap();
        }

        fn rule(&self, name: &str, role: &str) {
            self.write(name, &format!("{RULE}: role:{role}\n"));
        }
    }

    fn accepts(files: &PolicyFiles, role: &str) -> bool {
        let identity = Identity {
            roles: vec![role.to_owned()],
            ..Identity::default()
        };
        files.policy().would_allow(RULE, identity)
    }

    #[test]
    fn files_come_go_and_change_without_a_restart() {
        let harness = Harness::new();
        let mut files = PolicyFiles::open(&harness.settings).unwrap();
        assert!(accepts(&files, "admin") && !accepts(&files, "a"), "defaults");
        assert_eq!(files.check_files(), ReloadResult::Same);
        harness.rule("policy.yaml", "a");
        assert_eq!(files.check_files(), ReloadResult::Replaced);
        assert!(accepts(&files, "a") && !accepts(&files, "admin"));
        assert_eq!(files.check_files(), ReloadResult::Same);
        harness.rule("policy.yaml", "b");
        assert_eq!(files.check_files(), ReloadResult::Replaced, "the same size");
        assert!(accepts(&files, "b"));
        harness.rule("policy.d/20.yaml", "d");
        harness.rule("policy.d/10.yaml", "c");
        harness.rule("policy.d/.hidden", "e");
        assert_eq!(files.check_files(), ReloadResult::Replaced);
        assert!(accepts(&files, "d"), "the last of the folder by name");
        fs::remove_file(harness.folder.path().join("policy.d/20.yaml")).unwrap();
        assert_eq!(files.check_files(), ReloadResult::Replaced);
        assert!(accepts(&files, "c"));
        fs::remove_dir_all(harness.folder.path().join("policy.d")).unwrap();
        fs::remove_file(harness.folder.path().join("policy.yaml")).unwrap();
        assert_eq!(files.check_files(), ReloadResult::Replaced);
        assert!(accepts(&files, "admin"), "defaults again");
    }

    #[test]
    fn a_broken_file_changes_nothing_and_is_told_once() {
        let harness = Harness::new();
        harness.rule("policy.yaml", "a");
        let mut files = PolicyFiles::open(&harness.settings).unwrap();
        harness.write("policy.yaml", "- no\n- mapping\n");
        assert_eq!(files.check_files(), ReloadResult::Unchanged);
        assert_eq!(files.check_files(), ReloadResult::Same);
        assert!(accepts(&files, "a"));
        fs::write(harness.folder.path().join("policy.yaml"), b"\xff\xfe").unwrap();
        assert_eq!(files.check_files(), ReloadResult::Unchanged);
        assert!(accepts(&files, "a"));
        harness.rule("policy.yaml", "b");
        assert_eq!(files.check_files(), ReloadResult::Replaced);
        assert!(accepts(&files, "b"));
    }

    #[test]
    fn a_process_does_not_start_on_a_broken_file() {
        let harness = Harness::new();
        harness.write("policy.yaml", "a: [\n");
        let error = PolicyFiles::open(&harness.settings).err().unwrap().chain();
        assert!(error.contains("policy.yaml:"), "{error}");
    }

    #[test]
    fn the_first_folder_that_has_the_file_counts_and_whole_paths_are_taken_as_they_are() {
        let harness = Harness::new();
        harness.rule("policy.yaml", "a");
        harness.rule("none/policy.yaml", "b");
        assert!(accepts(&PolicyFiles::open(&harness.settings).unwrap(), "b"));
        let other_file = PolicySettings {
            file: harness.folder.path().join("policy.yaml"),
            ..harness.settings.clone()
        };
        assert!(accepts(&PolicyFiles::open(&other_file).unwrap(), "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_watch_finds_a_change_and_ends_when_told() {
        let harness = Harness::new();
        let files = PolicyFiles::open(&harness.settings).unwrap();
        let policy = files.policy();
        let stop = CancellationToken::new();
        let watch = tokio::task::spawn(files.watch(stop.clone()));
        harness.rule("policy.yaml", "a");
        let identity = || Identity {
            roles: vec!["a".to_owned()],
            ..Identity::default()
        };
        while !policy.would_allow(RULE, identity()) {
            tokio::time::sleep(tachi_daemon::POLL_INTERVAL).await;
        }
        stop.cancel();
        watch.await.unwrap();
    }
}
