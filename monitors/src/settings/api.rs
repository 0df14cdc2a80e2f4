//! `[api]`: the connection to the API, with keystoneauth's options.

use std::time::Duration;

use tachi_config::{Reader, Refusal};
use tachi_instance_ha::Options;
use tachi_keystone::settings::{Identity, credential_secret, domain, password, tls};
use tachi_keystone::{ApplicationCredential, Credentials, Interface, ResourceRef, Scope};

const G: &str = "api";

pub(super) fn read(r: &mut Reader<'_>) -> Options {
    let section = r
        .string(G, "auth_section")
        .help("name of another section with `auth_url`, user and password")
        .optional();
    let g = section.as_deref().unwrap_or(G);
    let region = r
        .string(G, "region")
        .default("RegionOne".to_owned())
        .help("region of the Instance-HA API in the catalogue")
        .optional();
    let interface = r
        .choice(G, "api_interface", &["public", "internal", "admin"])
        .default("public")
        .help("its interface in the catalogue")
        .get();
    let auth_url = r.url(g, "auth_url", &["http", "https"]).help("Keystone").get();
    let credentials = credentials(r, g);
    let tls = tls(r, g);
    let second = Duration::from_secs(1);
    let timeout = r
        .seconds(g, "timeout")
        .default(second * 20)
        .range(second..=second * 600)
        .help("timeout for an answer")
        .get();
    let mut options = Options::new(auth_url, credentials);
    options.interface = Interface::parse(interface).unwrap_or_default();
    let keystone = &mut options.keystone;
    keystone.region = region.into();
    keystone.region_option = "[api] region";
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
        .help("method of Tachi's own login to Keystone; v2password counts as password")
        .get();
    let default = domain(r, g, "default_domain");
    let identity = Identity::read(r, g, default.as_ref());
    let of_domain = domain(r, g, "domain");
    let system = r.string(g, "system_scope");
    let system = system.help("`all`: a token of the whole cloud").optional();
    let trust = r.string(g, "trust_id");
    let trust = trust
        .help("the trust that the token is for, in place of a project")
        .optional();
    let secret = credential_secret(r, g).optional();
    let password = password(r, g).optional();
    let others = identity.project.is_some() || of_domain.is_some() || kind == "v3applicationcredential";
    if trust.is_some() && others {
        let refusal = Refusal::new(
            "is set together with a project, a domain or an application credential, but a token has one scope",
            "write one of them",
        );
        r.refuse(g, "trust_id", refusal);
    }
    if kind == "v3applicationcredential" {
        if secret.is_none() {
            r.miss(g, "application_credential_secret");
        }
        if identity.credential.is_none() {
            // A name identifies a credential only together with a user.
            let named = identity.credential_name.is_some();
            r.miss(
                g,
                if named {
                    "username"
                } else {
                    "application_credential_id"
                },
            );
        }
        return Credentials::ApplicationCredential {
            credential: identity
                .credential
                .unwrap_or_else(|| ApplicationCredential::Id(String::new())),
            secret: secret.unwrap_or_default(),
        };
    }
    if password.is_none() {
        r.miss(g, "password");
    }
    if identity.user.is_none() {
        r.miss(g, "username");
    }
    let scope = match (identity.project, of_domain, trust) {
        (Some(project), ..) => Scope::Project(project),
        (None, Some(domain), _) => Scope::Domain(domain),
        (None, None, Some(trust)) => Scope::Trust(trust),
        (None, None, None) if system.as_deref() == Some("all") => Scope::System,
        (None, None, None) => Scope::Default,
    };
    Credentials::Password {
        user: identity.user.unwrap_or_else(|| ResourceRef::Id(String::new())),
        password: password.unwrap_or_default(),
        scope,
    }
}
