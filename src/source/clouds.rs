//! `clouds.yaml`, as the OpenStack client reads it: where a cloud's Keystone is, and as whom it is asked.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tachi_instance_ha::Options;
use tachi_keystone::{ApplicationCredential, Credentials, Domain, Interface, Named, Scope};

use crate::cmd::Failure;

/// What is known of `name`.
pub(super) fn options(name: &str) -> Result<Options, Failure> {
    let places = Places::here();
    let Some((file, mut cloud)) = places.read("clouds", "OS_CLIENT_CONFIG_FILE", name)? else {
        return Err(Failure::usage(format!(
            "cloud {name:?}: there is no clouds.yaml in {}; OS_CLIENT_CONFIG_FILE names another place",
            places.listing()
        )));
    };
    let at = format!("{}, cloud {name:?}", file.display());
    if cloud.is_null() {
        return Err(Failure::usage(format!(
            "{}: there is no cloud {name:?}",
            file.display()
        )));
    }
    if let Some((_, secret)) = places.read("secure", "OS_CLIENT_SECURE_FILE", name)? {
        merge(&mut cloud, secret);
    }
    of(&cloud, &at).map_err(|why| Failure::usage(format!("{at}: {why}")))
}

/// The folders in which the files are looked for.
struct Places(Vec<PathBuf>);

impl Places {
    fn here() -> Self {
        let home = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".config")));
        let home = home.map(|home| home.join("openstack"));
        let all = [Some(PathBuf::from(".")), home, Some("/etc/openstack".into())];
        Self(all.into_iter().flatten().collect())
    }

    fn listing(&self) -> String {
        let all: Vec<String> = self.0.iter().map(|place| place.display().to_string()).collect();
        all.join(", ")
    }

    /// The first file of this kind, and what it says of a cloud: null if nothing.
    fn read(&self, kind: &str, variable: &str, name: &str) -> Result<Option<(PathBuf, Value)>, Failure> {
        let named = std::env::var_os(variable).filter(|path| !path.is_empty());
        let each = |folder: &PathBuf| ["yaml", "yml"].map(|end| folder.join(format!("{kind}.{end}")));
        let there = || self.0.iter().flat_map(each).find(|path| path.exists());
        let found = named.map(PathBuf::from).or_else(there);
        let Some(path) = found else { return Ok(None) };
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Failure::new(format!("reading {}", path.display()), error).of_usage())?;
        let value = cloud_in(&text, name, &path)?;
        Ok(Some((path, value)))
    }
}

fn cloud_in(text: &str, name: &str, path: &Path) -> Result<Value, Failure> {
    let all: Option<Value> = serde_saphyr::from_str(text)
        // What the parser shows of the text may be a password.
        .map_err(|_| Failure::usage(format!("{} is not YAML that can be read", path.display())))?;
    let cloud = all.as_ref().and_then(|all| all.get("clouds")?.get(name));
    Ok(cloud.cloned().unwrap_or_default())
}

/// What `over` says counts.
fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (under, over) => *under = over,
    }
}

/// Text; numbers and truths are what YAML makes of some.
fn text(map: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    let found = keys.iter().find_map(|key| map.get(*key))?;
    match found {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn truth(map: &Map<String, Value>, key: &str) -> Option<bool> {
    match text(map, &[key])?.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        _ => Some(false),
    }
}

fn of(cloud: &Value, at: &str) -> Result<Options, String> {
    let empty = Map::new();
    let cloud = cloud.as_object().ok_or("it is not a mapping")?;
    if cloud.contains_key("profile") && !cloud.contains_key("auth") {
        return Err("profiles of vendors are not read: write auth and its companions into it".to_owned());
    }
    let auth = cloud.get("auth").and_then(Value::as_object).unwrap_or(&empty);
    let auth_url = text(auth, &["auth_url"]).ok_or("it has no auth_url in auth")?;
    let mut options = Options::new(auth_url, credentials(cloud, auth)?);
    let first = |key: &str| cloud.get(key).and_then(|all| all.get(0)).and_then(Value::as_str);
    let word = text(cloud, &["interface", "endpoint_type"]).unwrap_or_else(|| "public".to_owned());
    options.interface = Interface::parse(&word)
        .ok_or_else(|| format!("interface {word:?} is none of public, internal and admin"))?;
    let keystone = &mut options.keystone;
    keystone.region = text(cloud, &["region_name"]).or_else(|| first("regions").map(str::to_owned)).into();
    keystone.tls.ca_file = text(cloud, &["cacert"]).map(PathBuf::from);
    keystone.tls.client_certificate = text(cloud, &["cert"]).map(|own| {
        let key = text(cloud, &["key"]).unwrap_or_else(|| own.clone());
        (PathBuf::from(own), PathBuf::from(key))
    });
    keystone.tls.insecure = truth(cloud, "insecure") == Some(true) || truth(cloud, "verify") == Some(false);
    keystone.user_agent = concat!("tachi/", env!("CARGO_PKG_VERSION"));
    at.clone_into(&mut options.written_in);
    Ok(options)
}

fn credentials(cloud: &Map<String, Value>, auth: &Map<String, Value>) -> Result<Credentials, String> {
    let default = text(cloud, &["default_domain"]).or_else(|| text(auth, &["default_domain"]));
    let domain = |id: &str, name: &str| {
        let id = text(auth, &[id]).or_else(|| default.clone().filter(|_| !auth.contains_key(name)));
        id.map(Domain::Id)
            .or_else(|| text(auth, &[name]).map(Domain::Name))
    };
    let user = || {
        let by_name = || {
            let name = text(auth, &["username", "user_name"])?;
            let domain = domain("user_domain_id", "user_domain_name");
            Some(Named::Name { name, domain })
        };
        text(auth, &["user_id"]).map(Named::Id).or_else(by_name)
    };
    let kind = text(cloud, &["auth_type"]).unwrap_or_else(|| "password".to_owned());
    match kind.as_str() {
        "password" | "v3password" => Ok(Credentials::Password {
            user: user().ok_or("it has no username in auth")?,
            password: text(auth, &["password"])
                .ok_or("it has no password in auth")?
                .into(),
            scope: scope(auth, &domain),
        }),
        "v3applicationcredential" | "application_credential" => {
            let secret = text(auth, &["application_credential_secret"])
                .ok_or("it has no application_credential_secret in auth")?;
            let by_name = || {
                let name = text(auth, &["application_credential_name"])?;
                Some(ApplicationCredential::Name { name, user: user()? })
            };
            let credential = text(auth, &["application_credential_id"])
                .map(ApplicationCredential::Id)
                .or_else(by_name)
                .ok_or("it has no application_credential_id in auth, nor the name of one and its user")?;
            Ok(Credentials::ApplicationCredential {
                credential,
                secret: secret.into(),
            })
        }
        other => Err(format!(
            "auth_type {other:?} is not known here: password and v3applicationcredential are"
        )),
    }
}

fn scope(auth: &Map<String, Value>, domain: &impl Fn(&str, &str) -> Option<Domain>) -> Scope {
    if let Some(id) = text(auth, &["project_id", "tenant_id"]) {
        return Scope::Project(Named::Id(id));
    }
    if let Some(name) = text(auth, &["project_name", "tenant_name"]) {
        let domain = domain("project_domain_id", "project_domain_name");
        return Scope::Project(Named::Name { name, domain });
    }
    if text(auth, &["system_scope"]).is_some_and(|scope| scope == "all") {
        return Scope::System;
    }
    let of_domain = text(auth, &["domain_id"]).map(Domain::Id);
    let of_domain = of_domain.or_else(|| text(auth, &["domain_name"]).map(Domain::Name));
    of_domain.map_or(Scope::Default, Scope::Domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        let cloud = cloud_in(text, "one", Path::new("clouds.yaml")).map_err(|error| error.chain())?;
        of(&cloud, "clouds.yaml")
    }

    #[test]
    fn a_cloud_is_read_as_the_openstack_client_reads_it() {
        let options = read(
            "clouds:\n  one:\n    auth: {auth_url: 'https://k/v3', username: alice, password: 1234, project_name: ops,\n      \
             user_domain_name: Default, project_domain_id: default}\n    region_name: RegionOne\n    interface: internal\n    \
             verify: false\n    cacert: /ca.pem\n",
        )
        .unwrap();
        assert_eq!(options.keystone.auth_url, "https://k/v3");
        assert_eq!(options.keystone.region.name(), Some("RegionOne"));
        assert_eq!(
            (options.interface, options.keystone.tls.insecure),
            (Interface::Internal, true)
        );
        let Credentials::Password { user, scope, .. } = options.keystone.credentials else {
            panic!("not a password");
        };
        let named = |name: &str, domain| Named::Name {
            name: name.to_owned(),
            domain: Some(domain),
        };
        assert_eq!(user, named("alice", Domain::Name("Default".to_owned())));
        assert_eq!(
            scope,
            Scope::Project(named("ops", Domain::Id("default".to_owned())))
        );

        let options = read(
            "clouds:\n  one:\n    auth_type: v3applicationcredential\n    auth: {auth_url: 'http://k', application_credential_id: i,\n      \
             application_credential_secret: s}\n",
        )
        .unwrap();
        let Credentials::ApplicationCredential { credential, .. } = options.keystone.credentials else {
            panic!("not an application credential");
        };
        assert_eq!(credential, ApplicationCredential::Id("i".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_is_shown() {
        let auth = "auth: {auth_url: 'http://k', username: u, password: hunter2}";
        for (text, part) in [
            ("clouds: {one: 7}", "not a mapping"),
            ("clouds: {one: {auth: {}}}", "auth_url"),
            ("clouds: {one: {auth: {auth_url: x}}}", "username"),
            ("clouds: {one: {auth: {auth_url: x, username: u}}}", "password"),
            ("clouds: {one: {profile: vexxhost}}", "profiles"),
            (
                &format!("clouds:\n  one:\n    auth_type: v3oidcpassword\n    {auth}\n"),
                "v3oidcpassword",
            ),
            (
                &format!("clouds:\n  one:\n    interface: secret\n    {auth}\n"),
                "interface",
            ),
            ("clouds:\n  one: {auth: {password: 'hunter2\n", "not YAML"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(part) && !told.contains("hunter2"), "{text}: {told}");
        }
    }

    #[test]
    fn secrets_may_be_in_a_file_of_their_own() {
        let mut cloud =
            serde_json::json!({"auth": {"username": "u", "password": "wrong"}, "region_name": "r"});
        merge(&mut cloud, serde_json::json!({"auth": {"password": "right"}}));
        merge(&mut cloud, Value::Null);
        assert_eq!(
            cloud,
            serde_json::json!({"auth": {"username": "u", "password": "right"}, "region_name": "r"})
        );
    }
}
