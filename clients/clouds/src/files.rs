//! Sources of cloud settings: `clouds.yaml`, `secure.yaml`, `clouds-public.yaml`, and environment variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::CloudError;
use crate::node::{self, Map, Node};

/// Default name of the cloud that the `OS_*` variables define; `OS_CLOUD_NAME` overrides it.
pub const ENVIRONMENT: &str = "envvars";

/// Variable with the path of `clouds.yaml`.
const CLOUDS_FILE_VARIABLE: &str = "OS_CLIENT_CONFIG_FILE";

/// Variables that select a cloud but do not define one.
const SELECTOR_VARIABLES: [&str; 5] = [
    "OS_CLOUD",
    "OS_REGION_NAME",
    CLOUDS_FILE_VARIABLE,
    "OS_CLIENT_SECURE_FILE",
    "OS_CLOUD_NAME",
];

/// Prefixes of variables that are not settings of a cloud.
const FOREIGN_PREFIXES: [&str; 3] = ["OS_TEST", "OS_STD", "OS_LOG"];

/// The process environment that a command reads.
#[derive(Clone, Debug, Default)]
pub struct ProcessEnvironment {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Folders that are searched for files, in this order.
    pub folders: Vec<PathBuf>,
}

impl ProcessEnvironment {
    /// Reads the environment of this process.
    pub fn current() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let variables: BTreeMap<String, String> = std::env::vars_os().filter_map(text).collect();
        let absolute = |name: &str| {
            let paths = variables.get(name).map(std::env::split_paths);
            paths.into_iter().flatten().find(|path| path.is_absolute())
        };
        let home = std::env::home_dir().map(|home| home.join(".config"));
        let folders = [
            Some(PathBuf::from(".")),
            absolute("XDG_CONFIG_HOME").map(|folder| folder.join("openstack")),
            home.map(|folder| folder.join("openstack")),
            Some(
                absolute("XDG_CONFIG_DIRS")
                    .unwrap_or_else(|| "/etc/xdg".into())
                    .join("openstack"),
            ),
            Some("/etc/openstack".into()),
        ];
        Self {
            folders: folders.into_iter().flatten().collect(),
            variables,
        }
    }

    /// Returns a variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// Returns the name of the cloud that the `OS_*` variables define.
    pub fn environment(&self) -> &str {
        self.variable("OS_CLOUD_NAME").unwrap_or(ENVIRONMENT)
    }

    /// Returns the cloud that the `OS_*` variables define, if any.
    fn variables(&self) -> Option<Map> {
        // Two underscores occur in oslo.config's variables, which are a service's options.
        let is_setting = |name: &str| {
            name.starts_with("OS_")
                && !name.contains("__")
                && !FOREIGN_PREFIXES.iter().any(|other| name.starts_with(other))
        };
        let all = self.variables.iter().filter(|(name, _)| is_setting(name));
        let makes = all
            .clone()
            .any(|(name, _)| !SELECTOR_VARIABLES.contains(&name.as_str()));
        let key = |name: &String| name.strip_prefix("OS_").unwrap_or(name).to_ascii_lowercase();
        let all = all.map(|(name, value)| (key(name), Node::Text(value.clone())));
        makes.then(|| all.collect())
    }

    pub(crate) fn makes_cloud(&self) -> bool {
        self.variables().is_some()
    }

    /// Returns the `clouds.yaml` that is read, if there is one.
    pub fn clouds_file(&self) -> Option<PathBuf> {
        self.file("clouds", Some(CLOUDS_FILE_VARIABLE))
            .filter(|path| path.exists())
    }

    /// True if the `clouds.yaml` is in the current folder, or a variable names it: it was put there for this shell.
    pub fn is_clouds_file_local(&self) -> bool {
        self.variable(CLOUDS_FILE_VARIABLE).is_some()
            || self
                .clouds_file()
                .is_some_and(|path| path.parent() == Some(Path::new(".")))
    }

    fn listing(&self) -> String {
        let all: Vec<String> = self
            .folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        all.join(", ")
    }

    /// Returns the first file of a kind.
    fn file(&self, kind: &str, variable: Option<&str>) -> Option<PathBuf> {
        let named = variable
            .and_then(|variable| self.variable(variable))
            .map(PathBuf::from);
        let each = |folder: &PathBuf| ["yaml", "yml", "json"].map(|end| folder.join(format!("{kind}.{end}")));
        named.or_else(|| self.folders.iter().flat_map(each).find(|path| path.exists()))
    }
}

/// A cloud's settings before they are merged.
pub(crate) struct Found {
    /// The cloud's own settings.
    pub(crate) own: Map,
    /// The settings that its profile adds.
    pub(crate) profile: Map,
    /// The file or variables that define the cloud, for messages.
    pub(crate) config_source: String,
    /// True if environment variables define the cloud.
    pub(crate) is_environment: bool,
}

/// Finds a cloud.
pub(crate) fn find(name: &str, environment: &ProcessEnvironment) -> Result<Found, CloudError> {
    let file = environment.file("clouds", Some(CLOUDS_FILE_VARIABLE));
    let mut clouds = match &file {
        Some(path) => clouds_of(path)?,
        None => Map::new(),
    };
    if let Some(path) = environment.file("secure", Some("OS_CLIENT_SECURE_FILE")) {
        node::merge(&mut clouds, clouds_of(&path)?);
    }
    let own = clouds.remove(name);
    let is_environment = name == environment.environment();
    let shown = file.as_deref().map(|path| path.display().to_string());
    let config_source = match &shown {
        _ if is_environment => format!("the OS_ variables of this shell (cloud {name:?})"),
        Some(file) => format!("{file}, cloud {name:?}"),
        None => format!("cloud {name:?}"),
    };
    let at = |why: &str| CloudError(format!("{config_source}: {why}"));
    let own = match (own, is_environment) {
        (Some(_), true) => {
            return Err(CloudError(format!(
                "cloud {name:?} is in {}, and the OS_ variables of this shell define a cloud of the same name; rename \
                 the one in the file, or set OS_CLOUD_NAME for the other",
                shown.unwrap_or_default()
            )));
        }
        (Some(Node::Map(own)), false) => own,
        (Some(_), false) => return Err(at("it is not a mapping")),
        (None, true) => environment
            .variables()
            .ok_or_else(|| at("none of them is set; source an openrc file first"))?,
        (None, false) => {
            let names: Vec<&str> = clouds.keys().map(String::as_str).collect();
            return Err(CloudError(match &shown {
                Some(file) if names.is_empty() => {
                    format!("{file}: there is no cloud {name:?}, and no other cloud")
                }
                Some(file) => format!(
                    "{file}: there is no cloud {name:?}; available: {}",
                    names.join(", ")
                ),
                None => format!(
                    "cloud {name:?}: there is no clouds.yaml in {}; set OS_CLIENT_CONFIG_FILE for another path",
                    environment.listing()
                ),
            }));
        }
    };
    Ok(Found {
        profile: profile_of(&own, environment).map_err(|why| at(&why))?,
        own,
        config_source,
        is_environment,
    })
}

/// Reads the clouds of a file.
fn clouds_of(path: &Path) -> Result<Map, CloudError> {
    match section(path, "clouds")? {
        Some(Node::Map(clouds)) => Ok(clouds),
        None | Some(Node::Null) => Ok(Map::new()),
        Some(Node::Text(_) | Node::List(_)) => {
            Err(CloudError(format!("{}: clouds is not a mapping", path.display())))
        }
    }
}

fn section(path: &Path, name: &str) -> Result<Option<Node>, CloudError> {
    let wrong = |why: String| CloudError(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    match node::parse(&text).map_err(wrong)? {
        Node::Map(mut all) => Ok(all.remove(name)),
        Node::Null => Ok(None),
        Node::Text(_) | Node::List(_) => Err(wrong("it is not a mapping".to_owned())),
    }
}

/// Reads the cloud's profile.
fn profile_of(own: &Map, environment: &ProcessEnvironment) -> Result<Map, String> {
    // `cloud` is the old name of this setting. It is not used if the new one is there, even without a value.
    let named = own
        .get("profile")
        .or_else(|| own.get("cloud"))
        .and_then(Node::as_text);
    let Some(name) = named.filter(|name| *name != environment.environment()) else {
        return Ok(Map::new());
    };
    let file = environment.file("clouds-public", None);
    if let Some(path) = &file
        && let Some(Node::Map(mut all)) = section(path, "public-clouds").map_err(|error| error.to_string())?
        && let Some(Node::Map(profile)) = all.remove(name)
    {
        if profile.contains_key("profile") {
            return Err(format!(
                "profile {name} refers to another profile, which is not supported"
            ));
        }
        return Ok(profile);
    }
    Err(format!(
        "profile {name} is not in clouds-public.yaml, and the profiles that openstacksdk includes or downloads are \
         not supported; copy auth_url, region_name and its other settings into the cloud"
    ))
}
