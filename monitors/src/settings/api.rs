//! `[api]`: the connection to the API, with keystoneauth's options.

use std::time::Duration;

use tachi_config::{Reader, Refusal};
use tachi_instance_ha::Options;
use tachi_keystone::settings::{Identity, credential_secret, domain, password, tls};
use tachi_keystone::{ApplicationCredential, Credentials, Domain, Interface, ResourceRef, Scope};

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
        .help("interface of that API in the catalogue")
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
    let credential = kind == "v3applicationcredential";
    let has_domain_id = of_domain
        .as_ref()
        .is_some_and(|domain| matches!(domain, Domain::Id(_)));
    // A credential has its own project.
    let project = identity.project.clone().filter(|_| !credential);
    let option = match (&trust, &system) {
        (Some(_), _) => "trust_id",
        (None, Some(_)) => "system_scope",
        (None, None) if has_domain_id => "domain_id",
        (None, None) => "domain_name",
    };
    let scope = Scope::only(project, of_domain, trust, system.as_deref()).unwrap_or_else(|error| {
        r.refuse(g, option, Refusal::new(error.to_string(), "write one of them"));
        Scope::Default
    });
    if credential && scope != Scope::Default {
        let refusal = Refusal::new(
            "is set together with an application credential, which has its own project",
            "write one of them",
        );
        r.refuse(g, option, refusal);
    }
    if kind == "v3applicationcredential" {
        if secret.is_none() {
            r.report_missing(g, "application_credential_secret");
        }
        if identity.credential.is_none() {
            // A name identifies a credential only together with a user.
            let named = identity.credential_name.is_some();
            r.report_missing(
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
        r.report_missing(g, "password");
    }
    if identity.user.is_none() {
        r.report_missing(g, "username");
    }
    Credentials::Password {
        user: identity.user.unwrap_or_else(|| ResourceRef::Id(String::new())),
        password: password.unwrap_or_default(),
        scope,
    }
}
