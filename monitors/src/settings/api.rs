//! `[api]`: how the API is reached, in the words of keystoneauth.

use std::time::Duration;

use tachi_config::{Ini, Reader, Refusal};
use tachi_instance_ha::Options;
use tachi_keystone::settings::{Identity, domain, tls};
use tachi_keystone::{ApplicationCredential, Credentials, Interface, Named, Scope};

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
    let interface = r
        .choice(G, "api_interface", &["public", "internal", "admin"])
        .default("public")
        .get();
    let auth_url = r.url(g, "auth_url", &["http", "https"]).get();
    let credentials = credentials(r, g);
    let tls = tls(r, g);
    let second = Duration::from_secs(1);
    let timeout = r
        .seconds(g, "timeout")
        .default(second * 20)
        .range(second..=second * 600)
        .get();
    let mut options = Options::new(auth_url, credentials);
    options.interface = Interface::parse(interface).unwrap_or_default();
    let keystone = &mut options.keystone;
    keystone.region = region;
    keystone.tls = tls;
    keystone.timeout = timeout;
    keystone.connect_timeout = keystone.connect_timeout.min(timeout);
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
    let default = domain(r, g, "default_domain");
    let identity = Identity::read(r, g, default.as_ref());
    let of_domain = domain(r, g, "domain");
    let system = text(r, "system_scope");
    if text(r, "trust_id").is_some() {
        let refusal = Refusal::new(
            "is not supported",
            "use a user of its own, or an application credential",
        );
        r.refuse(g, "trust_id", refusal);
    }
    if kind == "v3applicationcredential" {
        let secret = r.secret(g, "application_credential_secret").get();
        let credential = identity.credential.unwrap_or_else(|| {
            let by_name = text(r, "application_credential_name").is_some();
            let missing = if by_name {
                "username"
            } else {
                "application_credential_id"
            };
            r.string(g, missing).get();
            ApplicationCredential::Id(String::new())
        });
        return Credentials::ApplicationCredential { credential, secret };
    }
    let password = r.secret(g, "password").get();
    let user = identity
        .user
        .unwrap_or_else(|| Named::Id(r.string(g, "username").get()));
    let scope = match (identity.project, of_domain) {
        (Some(project), _) => Scope::Project(project),
        (None, Some(domain)) => Scope::Domain(domain),
        (None, None) if system.as_deref() == Some("all") => Scope::System,
        (None, None) => Scope::Default,
    };
    Credentials::Password {
        user,
        password,
        scope,
    }
}
