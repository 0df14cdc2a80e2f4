//! The credentials of a cloud: `auth`, and the authentication settings beside it.

use tachi_keystone::{ApplicationCredential, Credentials, Domain, ResourceRef, Scope};

use crate::node::{Map, Node};

/// The authentication method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Password,
    /// A password without the settings that only the generic plugin knows.
    PasswordOfV3,
    ApplicationCredential,
}

/// Reads `auth_type`.
pub(crate) fn kind(config: &Map) -> Result<Kind, String> {
    let text = |key: &str| config.get(key).and_then(Node::as_text);
    let (kind, old) = (text("auth_type"), text("auth_plugin"));
    let named = kind.unwrap_or("password");
    // openstacksdk reads the old option, and then does not use it.
    if old.is_some_and(|old| old != named) {
        return Err("auth_plugin is set; use auth_type instead".to_owned());
    }
    match named {
        "password" => Ok(Kind::Password),
        "v3password" => Ok(Kind::PasswordOfV3),
        "v3applicationcredential" | "application_credential" => Ok(Kind::ApplicationCredential),
        other => Err(format!(
            "auth_type {other:?} is not supported; supported: password, v3password, v3applicationcredential"
        )),
    }
}

/// The two places of an authentication setting: `auth`, and beside it.
pub(crate) struct Layers<'a> {
    pub(crate) auth: &'a Map,
    pub(crate) top_level: &'a Map,
}

/// Settings with their aliases. A setting in `auth` that is in none of these lists is refused.
const USERNAME: &[&str] = &["username", "user_name"];
const USER_ID: &[&str] = &["user_id"];
const PROJECT_ID: &[&str] = &["project_id", "tenant_id"];
const PROJECT_NAME: &[&str] = &["project_name", "tenant_name"];
const COMMON_SETTINGS: &[&[&str]] = &[
    &["auth_url"],
    USERNAME,
    USER_ID,
    &["user_domain_id"],
    &["user_domain_name"],
    PROJECT_ID,
    PROJECT_NAME,
    &["project_domain_id"],
    &["project_domain_name"],
    &["domain_id"],
    &["domain_name"],
    &["system_scope"],
    &["trust_id"],
    &["password"],
];
const DEFAULTS: &[&[&str]] = &[&["default_domain_id"], &["default_domain_name"]];
const APPLICATION: &[&[&str]] = &[
    &["application_credential_id"],
    &["application_credential_name"],
    &["application_credential_secret"],
];
/// Settings beside `auth` that openstacksdk treats as part of it.
const TOKENS: &[&str] = &["auth_token", "token", "passcode"];

impl Layers<'_> {
    /// Returns the value of a setting, from either place and under any of its names.
    pub(crate) fn get(&self, names: &[&str]) -> Result<Option<&str>, String> {
        let mut found: Option<&str> = None;
        for map in [self.auth, self.top_level] {
            for name in names {
                let value = match map.get(*name) {
                    Some(Node::List(_) | Node::Map(_)) => {
                        return Err(format!("{name} is a list or a mapping"));
                    }
                    other => other.and_then(Node::as_text),
                };
                let Some(value) = value else { continue };
                if found.is_some_and(|before| before != value) {
                    return Err(format!(
                        "{} has two different values: in auth, beside it, or under its old name {}",
                        names.first().unwrap_or(name),
                        names.last().unwrap_or(name)
                    ));
                }
                found = Some(value);
            }
        }
        Ok(found)
    }

    pub(crate) fn required(&self, names: &[&str]) -> Result<&str, String> {
        let missing = || format!("it has no {}", names.first().unwrap_or(&"such setting"));
        self.get(names)?.ok_or_else(missing)
    }

    /// Reads an id, or a name with its domain. The id wins, as in keystoneauth.
    fn named(
        &self,
        id: &[&str],
        name: &[&str],
        domain: Option<Domain>,
    ) -> Result<Option<ResourceRef>, String> {
        if let Some(id) = self.get(id)? {
            return Ok(Some(ResourceRef::Id(id.to_owned())));
        }
        let name = self.get(name)?;
        Ok(name.map(|name| ResourceRef::name(name, domain)))
    }

    /// Reads the domain of a user or project: its own, else the shared one, else the default. The id wins, as in
    /// keystoneauth.
    fn domain(&self, own: [&str; 2], others: &[[&str; 2]]) -> Result<Option<Domain>, String> {
        let all = || std::iter::once(&own).chain(others);
        for [id, _] in all() {
            if let Some(id) = self.get(&[id])? {
                return Ok(Some(Domain::Id(id.to_owned())));
            }
        }
        for [_, name] in all() {
            if let Some(name) = self.get(&[name])? {
                return Ok(Some(Domain::Name(name.to_owned())));
            }
        }
        Ok(None)
    }

    /// Refuses settings that would be dropped.
    fn check(&self, kind: Kind) -> Result<(), String> {
        let more = match kind {
            Kind::Password => DEFAULTS,
            Kind::PasswordOfV3 => &[],
            Kind::ApplicationCredential => APPLICATION,
        };
        let is_known = |key: &&String| {
            COMMON_SETTINGS
                .iter()
                .chain(more)
                .any(|names| names.contains(&key.as_str()))
        };
        let set = |(key, value): (_, &Node)| (!value.is_empty()).then_some(key);
        let mut strange = self.auth.iter().filter_map(set).filter(|key| !is_known(key));
        if let Some(key) = strange.next() {
            return Err(format!(
                "auth has {key}, which is not supported with this auth_type"
            ));
        }
        let mut tokens = TOKENS
            .iter()
            .filter(|key| self.top_level.get(**key).is_some_and(|value| !value.is_empty()));
        match tokens.next() {
            Some(key) => Err(format!(
                "it has {key}, which is not supported with this auth_type"
            )),
            None => Ok(()),
        }
    }
}

/// Reads the credentials.
pub(crate) fn credentials(layers: &Layers<'_>, kind: Kind) -> Result<Credentials, String> {
    layers.check(kind)?;
    let of_project = layers.get(PROJECT_ID)?.is_some() || layers.get(PROJECT_NAME)?.is_some();
    // If a project is named, an unprefixed domain applies to both user and project.
    let mut others: Vec<[&str; 2]> = Vec::new();
    others.extend(of_project.then_some(["domain_id", "domain_name"]));
    others.extend((kind == Kind::Password).then_some(["default_domain_id", "default_domain_name"]));
    let user = || {
        let domain = layers.domain(["user_domain_id", "user_domain_name"], &others)?;
        layers.named(USER_ID, USERNAME, domain)
    };
    let project = || {
        let domain = layers.domain(["project_domain_id", "project_domain_name"], &others)?;
        layers.named(PROJECT_ID, PROJECT_NAME, domain)
    };
    match kind {
        Kind::Password | Kind::PasswordOfV3 => Ok(Credentials::Password {
            user: user()?.ok_or("it has no username")?,
            password: layers.required(&["password"])?.into(),
            scope: scope(layers, project()?, of_project)?,
        }),
        Kind::ApplicationCredential => {
            if scope(layers, project()?, of_project)? != Scope::Default {
                return Err(
                    "it has an application credential together with a project, domain, trust or system_scope; a \
                     credential is valid only for its own project. Delete the others"
                        .to_owned(),
                );
            }
            let secret = layers.required(&["application_credential_secret"])?;
            let id = layers.get(&["application_credential_id"])?;
            let name = layers.get(&["application_credential_name"])?;
            let credential = match (id, name, user()?) {
                (Some(id), ..) => ApplicationCredential::Id(id.to_owned()),
                (None, Some(name), Some(user)) => ApplicationCredential::Name {
                    name: name.to_owned(),
                    user,
                },
                (None, Some(_), None) => {
                    return Err("it has application_credential_name, but no username".to_owned());
                }
                (None, None, _) => {
                    return Err(
                        "it has neither application_credential_id nor application_credential_name".to_owned(),
                    );
                }
            };
            Ok(Credentials::ApplicationCredential {
                credential,
                secret: secret.into(),
            })
        }
    }
}

/// Reads the scope of the token.
fn scope(layers: &Layers<'_>, project: Option<ResourceRef>, of_project: bool) -> Result<Scope, String> {
    let domain = if of_project {
        None
    } else {
        layers.domain(["domain_id", "domain_name"], &[])?
    };
    let trust = layers.get(&["trust_id"])?.map(str::to_owned);
    Scope::only(project, domain, trust, layers.get(&["system_scope"])?).map_err(|error| error.to_string())
}
