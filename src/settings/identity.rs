//! `[keystone_authtoken]` and `os_privileged_user_*`: the identity of callers, and our own identity in Nova.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use tachi_api::TokenOptions;
use tachi_config::{MasakariSeconds, Reader, Refusal};
use tachi_keystone::settings::{Identity, credential_secret, domain, password, tls};
use tachi_keystone::{Credentials, Domain, Region, ResourceRef, Scope, Tls};
use tachi_openstack::{CatalogInfo, Options};

use super::is_given;

const AUTHTOKEN: &str = "keystone_authtoken";

/// Authentication of API callers.
pub(crate) enum AuthStrategy {
    /// Callers have a Keystone token.
    Keystone {
        /// Access to Keystone; `None` if it is not configured.
        session: Option<Box<Options>>,
        /// URI that a refused caller gets.
        www_authenticate_uri: String,
        /// Time that an answer is cached.
        cache: Duration,
        /// Number of retries if no connection to Keystone could be made.
        retries: u32,
        /// Rules for accepting tokens.
        tokens: TokenOptions,
    },
    /// No authentication: everyone is an administrator. For development.
    Noauth2,
}

/// `auth_strategy` and `[keystone_authtoken]`.
pub(super) fn auth_strategy(r: &mut Reader<'_>, session: Option<&Options>) -> AuthStrategy {
    let strategy = r
        .choice("DEFAULT", "auth_strategy", &["keystone", "noauth2"])
        .default("keystone")
        .help("authentication of callers: by Keystone tokens, or none, for development")
        .get();
    let uri = r
        .string(AUTHTOKEN, "www_authenticate_uri")
        .unit("URL")
        .help("Keystone address in a refusal (401); `auth_url` unless set")
        .optional();
    let cache = MasakariSeconds {
        section: AUTHTOKEN,
        option: "token_cache_time",
        help: "how long the validation of a token is cached. 0 or less: no cache",
        instead: "each request is validated by Keystone",
    }
    .read(r, Duration::from_secs(300))
    .unwrap_or_default();
    let retries = r
        .int(AUTHTOKEN, "http_request_max_retries")
        .default(3)
        .range(0..=10)
        .unit("times")
        .help("number of retries if the connection to Keystone fails")
        .get();
    let defaults = TokenOptions::default();
    let tokens = TokenOptions {
        service_roles: r
            .list(AUTHTOKEN, "service_token_roles")
            .default(defaults.service_roles)
            .help("roles of service tokens; one of them is enough")
            .get(),
        service_roles_required: r
            .bool(AUTHTOKEN, "service_token_roles_required")
            .default(defaults.service_roles_required)
            .help("refuses a service token without such a role, which is otherwise ignored")
            .get(),
        service_type: r
            .string(AUTHTOKEN, "service_type")
            .help("service type of this API in access rules of application credentials, instance-ha; unless set tokens with such rules \
                are refused")
            .optional(),
    };
    // The option is read so that a wrong value is reported; a request without an identity is refused with 401 either way.
    r.bool(AUTHTOKEN, "delay_auth_decision")
        .default(false)
        .help("accepted without effect: a request without an identity gets 401 either way")
        .get();
    if strategy == "noauth2" {
        return AuthStrategy::Noauth2;
    }
    let www_authenticate_uri = uri
        .or_else(|| session.map(|session| session.keystone.auth_url.clone()))
        .unwrap_or_default();
    AuthStrategy::Keystone {
        session: session.cloned().map(Box::new),
        www_authenticate_uri,
        cache,
        retries,
        tokens,
    }
}

/// Reads the login of our own user in Keystone.
pub(super) fn keystone_authtoken(r: &mut Reader<'_>) -> Option<Options> {
    // User and password may be in a section of another name; the connection options may not.
    let section = r
        .string(AUTHTOKEN, "auth_section")
        .help("name of another section with user and password")
        .optional();
    let section = section.as_deref().unwrap_or(AUTHTOKEN);
    let kind = r
        .choice(
            section,
            "auth_type",
            &["password", "v3password", "v3applicationcredential"],
        )
        .default("password")
        .help("method of Tachi's own login to Keystone")
        .get();
    let auth_url = r
        .string(section, "auth_url")
        .unit("URL")
        .help("Keystone")
        .optional();
    let default = domain(r, section, "default_domain");
    let identity = Identity::read(r, section, default.as_ref());
    let password = password(r, section).optional();
    let credential_secret = credential_secret(r, section).optional();
    let region = keystone_region(r);
    let tls = tls(r, AUTHTOKEN);
    let connect_timeout = r
        .seconds(AUTHTOKEN, "http_connect_timeout")
        .help("timeout for connecting to Keystone")
        .optional();
    let timeout = r
        .seconds(AUTHTOKEN, "timeout")
        .help("timeout for an answer of Keystone; `http_connect_timeout` unless set")
        .optional();
    // The option has no effect: Keystone is called at auth_url, where our own token comes from.
    r.string(AUTHTOKEN, "interface")
        .default("internal".into())
        .help("accepted without effect: Keystone is called at `auth_url`")
        .get();
    let auth_url = auth_url?;
    let credentials = if kind == "v3applicationcredential" {
        let (Some(credential), Some(secret)) = (identity.credential, credential_secret) else {
            return missing(
                r,
                section,
                "application_credential_id",
                "with application_credential_secret",
            );
        };
        Credentials::ApplicationCredential { credential, secret }
    } else {
        let (Some(user), Some(password)) = (identity.user, password) else {
            return missing(r, section, "username", "with password");
        };
        let Some(project) = identity.project else {
            return missing(r, section, "project_name", "the project of Tachi's own user");
        };
        Credentials::Password {
            user,
            password,
            scope: Scope::Project(project),
        }
    };
    let mut options = Options::new(auth_url, credentials);
    let keystone = &mut options.keystone;
    keystone.region = region;
    keystone.tls = tls;
    // keystonemiddleware has one limit for both.
    keystone.connect_timeout = connect_timeout.unwrap_or(keystone.connect_timeout);
    keystone.timeout = timeout.or(connect_timeout).unwrap_or(keystone.timeout);
    Some(options)
}

/// Reads the region of Keystone, which is usually that of Nova too.
fn keystone_region(r: &mut Reader<'_>) -> Region {
    let region = r
        .string(AUTHTOKEN, "region_name")
        .help("region of Keystone in the catalogue, and of Nova where `os_region_name` is not set and Nova has an endpoint there")
        .optional();
    region.map_or(Region::Unset, Region::Preferred)
}

fn missing(r: &mut Reader<'_>, section: &str, option: &str, what: &str) -> Option<Options> {
    r.refuse(
        section,
        option,
        Refusal::new("is missing, and auth_url is set", format!("write it, {what}")),
    );
    None
}

/// Refuses a login of which some options are set and not all. True if that is so.
fn refuse_half(r: &mut Reader<'_>, parts: &[(&str, bool)]) -> bool {
    let first = |wanted: bool| parts.iter().find(|(_, set)| *set == wanted);
    let (Some((set, _)), Some((missing, _))) = (first(true), first(false)) else {
        return false;
    };
    r.refuse(
        "DEFAULT",
        missing,
        Refusal::new(
            format!("is missing, and {set} is set"),
            "write it, or remove all os_privileged_user_ options: the user of [keystone_authtoken] calls Nova then",
        ),
    );
    true
}

/// `os_privileged_user_*`; without any of them the user of `[keystone_authtoken]` is used.
pub(super) fn nova(r: &mut Reader<'_>, authtoken: Option<Options>) -> Option<Options> {
    const G: &str = "DEFAULT";
    let auth_url = r
        .string(G, "os_privileged_user_auth_url")
        .unit("URL")
        .help("Keystone of the user that calls Nova; unless set the user of `[keystone_authtoken]` calls it")
        .optional();
    let user = r
        .string(G, "os_privileged_user_name")
        .help("name of that user")
        .optional();
    let password: Option<SecretString> = r
        .secret(G, "os_privileged_user_password")
        .help("password of that user")
        .optional();
    let tenant = r
        .string(G, "os_privileged_user_tenant")
        .help("project of that user")
        .optional();
    let user_domain = r
        .string(G, "os_user_domain_name")
        .default("default".into())
        .help("domain of that user")
        .get();
    let project_domain = r
        .string(G, "os_project_domain_name")
        .default("default".into())
        .help("domain of that project")
        .get();
    let region = r
        .string(G, "os_region_name")
        .help("region of Nova in the catalogue; unless set `[keystone_authtoken] region_name` or the only region. With several regions \
            the services do not start")
        .optional();
    let compute = r
        .parsed(
            G,
            "nova_catalog_admin_info",
            |text| {
                text.parse::<CatalogInfo>().map_err(|error| {
                    Refusal::new(error.to_string(), "write compute:nova:publicURL or similar")
                })
            },
            ToString::to_string,
        )
        .help("Nova in the catalogue: type:name:interface")
        .optional()
        .unwrap_or_else(|| CatalogInfo {
            service_name: Some("nova".into()),
            ..CatalogInfo::default()
        });
    let ca_file = r
        .string(G, "nova_ca_certificates_file")
        .unit("path")
        .help("CA certificates for Nova")
        .optional()
        .map(PathBuf::from);
    let insecure = r
        .bool(G, "nova_api_insecure")
        .default(false)
        .help("skips the check of Nova's certificate")
        .get();
    let region = region.map_or_else(|| keystone_region(r), Region::Named);
    let password = password.filter(is_given);
    let parts = [
        ("os_privileged_user_auth_url", auth_url.is_some()),
        ("os_privileged_user_name", user.is_some()),
        ("os_privileged_user_password", password.is_some()),
        ("os_privileged_user_tenant", tenant.is_some()),
    ];
    let mut options = match (auth_url, user, password, tenant) {
        (Some(auth_url), Some(user), Some(password), Some(tenant)) => {
            let credentials = Credentials::Password {
                user: ResourceRef::name(user, Some(Domain::Name(user_domain))),
                password,
                scope: Scope::Project(ResourceRef::name(tenant, Some(Domain::Name(project_domain)))),
            };
            Options::new(auth_url, credentials)
        }
        _ if refuse_half(r, &parts) => return None,
        _ => authtoken?,
    };
    options.compute = compute;
    let keystone = &mut options.keystone;
    keystone.region = region;
    keystone.region_option = "os_region_name";
    keystone.tls = Tls {
        ca_file,
        insecure,
        ..std::mem::take(&mut keystone.tls)
    };
    Some(options)
}
