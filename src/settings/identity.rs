//! `[keystone_authtoken]` and `os_privileged_user_*`: who callers are, and who we are to Nova.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use tachi_api::TokenOptions;
use tachi_config::{Reader, Refusal};
use tachi_openstack::{CatalogInfo, Credentials, IdOrName, Options, Project};

use super::is_given;

const AUTHTOKEN: &str = "keystone_authtoken";

/// How callers of the API are known.
pub(crate) enum AuthStrategy {
    /// By a Keystone token.
    Keystone {
        /// How Keystone is asked; `None` if nothing is configured.
        session: Option<Box<Options>>,
        /// What a refused caller is told.
        www_authenticate_uri: String,
        /// How long an answer is believed.
        cache: Duration,
        /// How often Keystone is asked again when no connection could be made.
        retries: u32,
        /// Which tokens are taken for what.
        tokens: TokenOptions,
    },
    /// Not at all: everyone is an administrator. For development.
    Noauth2,
}

fn by_name(name: impl Into<String>) -> IdOrName {
    IdOrName::from_name(name)
}

fn by_id(id: impl Into<String>) -> IdOrName {
    IdOrName::from_id(id)
}

/// `auth_strategy` and `[keystone_authtoken]`.
pub(super) fn auth_strategy(r: &mut Reader<'_>, session: Option<&Options>) -> AuthStrategy {
    let strategy = r
        .choice("DEFAULT", "auth_strategy", &["keystone", "noauth2"])
        .default("keystone")
        .get();
    let uri = r.string(AUTHTOKEN, "www_authenticate_uri").optional();
    let cache = r
        .seconds(AUTHTOKEN, "token_cache_time")
        .default(Duration::from_secs(300))
        .get();
    let retries = r
        .int(AUTHTOKEN, "http_request_max_retries")
        .default(3)
        .range(0..=10)
        .get();
    let defaults = TokenOptions::default();
    let tokens = TokenOptions {
        service_roles: r
            .list(AUTHTOKEN, "service_token_roles")
            .default(defaults.service_roles)
            .get(),
        service_roles_required: r
            .bool(AUTHTOKEN, "service_token_roles_required")
            .default(defaults.service_roles_required)
            .get(),
        service_type: r.string(AUTHTOKEN, "service_type").optional(),
    };
    // Read so that a wrong value is told; a request without an identity is refused with 401 either way.
    r.bool(AUTHTOKEN, "delay_auth_decision").default(false).get();
    if strategy == "noauth2" {
        return AuthStrategy::Noauth2;
    }
    let www_authenticate_uri = uri
        .or_else(|| session.map(|session| session.auth_url.clone()))
        .unwrap_or_default();
    AuthStrategy::Keystone {
        session: session.cloned().map(Box::new),
        www_authenticate_uri,
        cache,
        retries,
        tokens,
    }
}

/// How our own user logs in to Keystone.
pub(super) fn keystone_authtoken(r: &mut Reader<'_>) -> Option<Options> {
    // Who we are may stand in a section of another name; how Keystone is reached may not.
    let section = r.string(AUTHTOKEN, "auth_section").optional();
    let section = section.as_deref().unwrap_or(AUTHTOKEN);
    let kind = r
        .choice(
            section,
            "auth_type",
            &["password", "v3password", "v3applicationcredential"],
        )
        .default("password")
        .get();
    let auth_url = r.string(section, "auth_url").optional();
    let username = r.string(section, "username").optional();
    let user_id = r.string(section, "user_id").optional();
    let password = r.secret(section, "password").optional();
    let project_name = r.string(section, "project_name").optional();
    let project_id = r.string(section, "project_id").optional();
    let default_domain = r.string(section, "default_domain_name").optional();
    let user_domain = r
        .string(section, "user_domain_name")
        .optional()
        .or(default_domain.clone())
        .map(by_name);
    let user_domain = r
        .string(section, "user_domain_id")
        .optional()
        .map(by_id)
        .or(user_domain);
    let project_domain = r
        .string(section, "project_domain_name")
        .optional()
        .or(default_domain)
        .map(by_name);
    let project_domain = r
        .string(section, "project_domain_id")
        .optional()
        .map(by_id)
        .or(project_domain);
    let credential_id = r.string(section, "application_credential_id").optional();
    let credential_name = r.string(section, "application_credential_name").optional();
    let credential_secret = r.secret(section, "application_credential_secret").optional();
    let region = r.string(AUTHTOKEN, "region_name").optional();
    let ca_file = r.string(AUTHTOKEN, "cafile").optional().map(PathBuf::from);
    let client_certificate = client_certificate(r, AUTHTOKEN);
    let insecure = r.bool(AUTHTOKEN, "insecure").default(false).get();
    let connect_timeout = r.seconds(AUTHTOKEN, "http_connect_timeout").optional();
    let timeout = r.seconds(AUTHTOKEN, "timeout").optional();
    // Has no effect: Keystone is asked at auth_url, where our own token comes from.
    r.string(AUTHTOKEN, "interface").default("internal".into()).get();
    let auth_url = auth_url?;
    let user = user_id.map(by_id).or_else(|| username.map(by_name));
    let credentials = if kind == "v3applicationcredential" {
        match (credential_id, credential_name, user, credential_secret) {
            (Some(id), _, _, Some(secret)) => Credentials::ApplicationCredential { id, secret },
            (None, Some(name), Some(user), Some(secret)) => Credentials::NamedApplicationCredential {
                name,
                user,
                user_domain,
                secret,
            },
            _ => {
                return missing(
                    r,
                    section,
                    "application_credential_id",
                    "with application_credential_secret",
                );
            }
        }
    } else {
        let (Some(user), Some(password)) = (user, password) else {
            return missing(r, section, "username", "with password");
        };
        let Some(project) = project_id.map(by_id).or_else(|| project_name.map(by_name)) else {
            return missing(r, section, "project_name", "the project our own user logs in to");
        };
        Credentials::Password {
            user,
            user_domain,
            password,
            project: Project {
                project,
                domain: project_domain,
            },
        }
    };
    let mut options = Options {
        region,
        ca_file,
        client_certificate,
        insecure,
        ..Options::new(auth_url, credentials)
    };
    // keystonemiddleware has one limit for both.
    options.connect_timeout = connect_timeout.unwrap_or(options.connect_timeout);
    options.timeout = timeout.or(connect_timeout).unwrap_or(options.timeout);
    Some(options)
}

/// `certfile` and `keyfile`; without the latter the former holds both.
fn client_certificate(r: &mut Reader<'_>, section: &str) -> Option<(PathBuf, PathBuf)> {
    let certificate = r.string(section, "certfile").optional().map(PathBuf::from);
    let key = r.string(section, "keyfile").optional().map(PathBuf::from);
    if certificate.is_none() && key.is_some() {
        r.refuse(
            section,
            "keyfile",
            Refusal::new("is set, and certfile is not", "write certfile too, or neither"),
        );
    }
    let certificate = certificate?;
    let key = key.unwrap_or_else(|| certificate.clone());
    Some((certificate, key))
}

fn missing(r: &mut Reader<'_>, section: &str, option: &str, what: &str) -> Option<Options> {
    r.refuse(
        section,
        option,
        Refusal::new("is missing, and auth_url is set", format!("write it, {what}")),
    );
    None
}

/// `os_privileged_user_*`; without a URL there, the user of `[keystone_authtoken]` is used.
pub(super) fn nova(r: &mut Reader<'_>, authtoken: Option<Options>) -> Option<Options> {
    const G: &str = "DEFAULT";
    let auth_url = r.string(G, "os_privileged_user_auth_url").optional();
    let user = r.string(G, "os_privileged_user_name").optional();
    let password: Option<SecretString> = r.secret(G, "os_privileged_user_password").optional();
    let tenant = r.string(G, "os_privileged_user_tenant").optional();
    let user_domain = r.string(G, "os_user_domain_name").default("default".into()).get();
    let project_domain = r
        .string(G, "os_project_domain_name")
        .default("default".into())
        .get();
    let region = r.string(G, "os_region_name").optional();
    let compute = r
        .parsed(
            G,
            "nova_catalog_admin_info",
            |text| {
                text.parse::<CatalogInfo>().map_err(|error| {
                    Refusal::new(error.to_string(), "write compute:nova:publicURL or the like")
                })
            },
            |info| {
                format!(
                    "{}:{}",
                    info.service_type,
                    info.service_name.as_deref().unwrap_or_default()
                )
            },
        )
        .optional()
        .unwrap_or_else(|| CatalogInfo {
            service_name: Some("nova".into()),
            ..CatalogInfo::default()
        });
    let ca_file = r
        .string(G, "nova_ca_certificates_file")
        .optional()
        .map(PathBuf::from);
    let insecure = r.bool(G, "nova_api_insecure").default(false).get();
    let deadline = r
        .seconds("recovery", "call_deadline")
        .default(Duration::from_secs(20))
        .get();
    let options = match (auth_url, user, password.filter(is_given), tenant) {
        (Some(auth_url), Some(user), Some(password), Some(tenant)) => {
            let credentials = Credentials::Password {
                user: by_name(user),
                user_domain: Some(by_name(user_domain)),
                password,
                project: Project {
                    project: by_name(tenant),
                    domain: Some(by_name(project_domain)),
                },
            };
            Options::new(auth_url, credentials)
        }
        (Some(_), ..) => {
            r.refuse(
                G,
                "os_privileged_user_name",
                Refusal::new(
                    "is incomplete",
                    "write os_privileged_user_name, os_privileged_user_password and os_privileged_user_tenant",
                ),
            );
            return None;
        }
        (None, ..) => authtoken?,
    };
    Some(Options {
        region,
        compute,
        ca_file,
        insecure,
        timeout: deadline,
        ..options
    })
}
