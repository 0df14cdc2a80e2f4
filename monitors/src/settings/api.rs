//! `[api]`: how the API is reached, in the words of keystoneauth.

use std::path::PathBuf;
use std::time::Duration;

use tachi_config::{Ini, Reader, Refusal};
use tachi_instance_ha::{ApplicationCredential, Credentials, Domain, Interface, Named, Options, Scope};

const G: &str = "api";

/// The section that `[api] auth_section` names, if it does.
pub(super) fn auth_section(ini: &Ini) -> Option<String> {
    let known = tachi_config::KnownOptions::default();
    let mut r = Reader::new(ini, &known);
    r.string(G, "auth_section").optional()
}

pub(super) fn read(r: &mut Reader<'_>) -> Options {
    let section = r.string(G, "auth_section").optional();
    let g = section.as_deref().unwrap_or(G);
    let region = r.string(G, "region").default("RegionOne".to_owned()).optional();
    let interface = match r
        .choice(G, "api_interface", &["public", "internal", "admin"])
        .default("public")
        .get()
    {
        "internal" => Interface::Internal,
        "admin" => Interface::Admin,
        _ => Interface::Public,
    };
    let auth_url = r.url(g, "auth_url", &["http", "https"]).get();
    let credentials = credentials(r, g);
    let path = |r: &mut Reader<'_>, option: &str| r.string(g, option).optional().map(PathBuf::from);
    let ca_file = path(r, "cafile");
    let (certificate, key) = (path(r, "certfile"), path(r, "keyfile"));
    let insecure = r.bool(g, "insecure").default(false).get();
    let second = Duration::from_secs(1);
    let timeout = r
        .seconds(g, "timeout")
        .default(second * 20)
        .range(second..=second * 600)
        .get();
    let client_certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        // One file may hold both.
        (Some(both), None) => Some((both.clone(), both)),
        (None, Some(_)) => {
            r.refuse(
                g,
                "keyfile",
                Refusal::new("stands without certfile", "add certfile"),
            );
            None
        }
        (None, None) => None,
    };
    let mut options = Options::new(auth_url, credentials);
    options.region = region;
    options.interface = interface;
    options.ca_file = ca_file;
    options.client_certificate = client_certificate;
    options.insecure = insecure;
    options.timeout = timeout;
    options.connect_timeout = options.connect_timeout.min(timeout);
    options
}

fn credentials(r: &mut Reader<'_>, g: &str) -> Credentials {
    let kind = r
        .choice(
            g,
            "auth_type",
            &["password", "v3password", "v2password", "v3applicationcredential"],
        )
        .default("password")
        .get();
    let text = |r: &mut Reader<'_>, option: &str| r.string(g, option).optional();
    let (default_id, default_name) = (text(r, "default_domain_id"), text(r, "default_domain_name"));
    // The id wins where templates render both.
    let domain = |id: Option<String>, name: Option<String>| {
        let default = || default_id.clone().map(Domain::Id);
        let default_by_name = || default_name.clone().map(Domain::Name);
        id.map(Domain::Id)
            .or(name.map(Domain::Name))
            .or_else(default)
            .or_else(default_by_name)
    };
    let (user_id, username) = (text(r, "user_id"), text(r, "username"));
    let (user_domain_id, user_domain_name) = (text(r, "user_domain_id"), text(r, "user_domain_name"));
    let user = named(user_id, username, domain(user_domain_id, user_domain_name));
    let (project_id, project_name) = (text(r, "project_id"), text(r, "project_name"));
    let (project_domain_id, project_domain_name) =
        (text(r, "project_domain_id"), text(r, "project_domain_name"));
    let project = named(
        project_id,
        project_name,
        domain(project_domain_id, project_domain_name),
    );
    let (domain_id, domain_name) = (text(r, "domain_id"), text(r, "domain_name"));
    let system = text(r, "system_scope");
    if text(r, "trust_id").is_some() {
        let refusal = Refusal::new(
            "is not supported",
            "use a user of its own, or an application credential",
        );
        r.refuse(g, "trust_id", refusal);
    }
    let (credential_id, credential_name) = (
        text(r, "application_credential_id"),
        text(r, "application_credential_name"),
    );
    if kind == "v3applicationcredential" {
        let secret = r.secret(g, "application_credential_secret").get();
        let credential = match (credential_id, credential_name, user) {
            (Some(id), _, _) => ApplicationCredential::Id(id),
            (None, Some(name), Some(user)) => ApplicationCredential::Name { name, user },
            (None, name, _) => {
                let missing = if name.is_some() {
                    "username"
                } else {
                    "application_credential_id"
                };
                r.string(g, missing).get();
                ApplicationCredential::Id(String::new())
            }
        };
        return Credentials::ApplicationCredential { credential, secret };
    }
    let password = r.secret(g, "password").get();
    let user = user.unwrap_or_else(|| Named::Id(r.string(g, "username").get()));
    let scope = match (project, domain_id, domain_name) {
        (Some(project), _, _) => Scope::Project(project),
        (None, Some(id), _) => Scope::Domain(Domain::Id(id)),
        (None, None, Some(name)) => Scope::Domain(Domain::Name(name)),
        (None, None, None) if system.as_deref() == Some("all") => Scope::System,
        (None, None, None) => Scope::Default,
    };
    Credentials::Password {
        user,
        password,
        scope,
    }
}

fn named(id: Option<String>, name: Option<String>, domain: Option<Domain>) -> Option<Named> {
    id.map(Named::Id)
        .or_else(|| name.map(|name| Named::Name { name, domain }))
}
