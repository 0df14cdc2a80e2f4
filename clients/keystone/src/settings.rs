//! Credentials and TLS settings, with keystoneauth's option names.

use std::path::PathBuf;

use secrecy::SecretString;
use tachi_config::{Reader, Refusal, Setting};

use crate::credentials::{ApplicationCredential, Domain, ResourceRef};
use crate::http::Tls;

/// The credentials of one section, before the scope is known.
#[derive(Debug)]
pub struct Identity {
    /// The user.
    pub user: Option<ResourceRef>,
    /// The project.
    pub project: Option<ResourceRef>,
    /// An application credential, by id or by name and user.
    pub credential: Option<ApplicationCredential>,
    /// The name of an application credential, without its user.
    pub credential_name: Option<String>,
}

impl Identity {
    /// Reads user, project and application credential. `default` is the domain for names without one.
    pub fn read(r: &mut Reader<'_>, section: &str, default: Option<&Domain>) -> Self {
        let mut thing = |what: &'static str, id: &str, name: &str, domain: &str| {
            let id = r
                .string(section, id)
                .help(format!("the {what}, by id"))
                .optional();
            let name = r.string(section, name).help(format!("the {what}, by name"));
            let name = name.optional();
            let domain = self::domain(r, section, domain).or_else(|| default.cloned());
            // If a template sets both, the id wins.
            id.map(ResourceRef::Id)
                .or_else(|| name.map(|name| ResourceRef::name(name, domain)))
        };
        let user = thing("user", "user_id", "username", "user_domain");
        let project = thing("project", "project_id", "project_name", "project_domain");
        let id = r
            .string(section, "application_credential_id")
            .help("an application credential, by id")
            .optional();
        let name = r
            .string(section, "application_credential_name")
            .help("an application credential, by name and user")
            .optional();
        let by_name = || {
            Some(ApplicationCredential::Name {
                name: name.clone()?,
                user: user.clone()?,
            })
        };
        Self {
            credential: id.map(ApplicationCredential::Id).or_else(by_name),
            credential_name: name,
            user,
            project,
        }
    }
}

/// Returns the setting `password`.
pub fn password<'r, 'i>(r: &'r mut Reader<'i>, section: &str) -> Setting<'r, 'i, SecretString> {
    r.secret(section, "password").help("the user's password")
}

/// Returns the setting `application_credential_secret`.
pub fn credential_secret<'r, 'i>(r: &'r mut Reader<'i>, section: &str) -> Setting<'r, 'i, SecretString> {
    let secret = r.secret(section, "application_credential_secret");
    secret.help("the secret of the application credential")
}

/// Reads a domain by `WHAT_id`, else by `WHAT_name`.
pub fn domain(r: &mut Reader<'_>, section: &str, what: &str) -> Option<Domain> {
    let of = what.replace('_', " ");
    let id = r.string(section, &format!("{what}_id"));
    let id = id.help(format!("the {of}, by id")).optional();
    let name = r.string(section, &format!("{what}_name"));
    let name = name.help(format!("the {of}, by name")).optional();
    id.map(Domain::Id).or_else(|| name.map(Domain::Name))
}

/// Reads `cafile`, `certfile`, `keyfile` and `insecure`. Without `keyfile` the certificate's file holds both.
pub fn tls(r: &mut Reader<'_>, section: &str) -> Tls {
    let mut path = |option: &str, help: &'static str| {
        let path = r.string(section, option).unit("path").help(help);
        path.optional().map(PathBuf::from)
    };
    let ca_file = path("cafile", "certificate authorities, replacing the system's");
    let certificate = path("certfile", "the client certificate");
    let key = path(
        "keyfile",
        "key of the client certificate; by default in `certfile`",
    );
    if certificate.is_none() && key.is_some() {
        let refusal = Refusal::new("is set, but certfile is not", "set both, or neither");
        r.refuse(section, "keyfile", refusal);
    }
    let client_certificate = certificate.map(|file| (file.clone(), key.unwrap_or(file)));
    Tls {
        ca_file,
        client_certificate,
        insecure: r
            .bool(section, "insecure")
            .default(false)
            .help("disables certificate checks")
            .get(),
    }
}
