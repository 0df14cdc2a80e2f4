//! Who we are and how servers are known, in the words of keystoneauth.

use std::path::PathBuf;

use tachi_config::{Reader, Refusal};

use crate::credentials::{ApplicationCredential, Domain, Named};
use crate::http::Tls;

/// What one section says of who we are, before it is known what for.
#[derive(Debug)]
pub struct Identity {
    /// The user.
    pub user: Option<Named>,
    /// The project.
    pub project: Option<Named>,
    /// An application credential, by id or by name and user.
    pub credential: Option<ApplicationCredential>,
}

impl Identity {
    /// Reads user, project and application credential. `default` is the domain of what is given without one.
    pub fn read(r: &mut Reader<'_>, section: &str, default: Option<&Domain>) -> Self {
        let mut thing = |id: &str, name: &str, domain: &str| {
            let id = r.string(section, id).optional();
            let name = r.string(section, name).optional();
            let domain = self::domain(r, section, domain).or_else(|| default.cloned());
            // The id wins where templates render both.
            id.map(Named::Id)
                .or_else(|| name.map(|name| Named::name(name, domain)))
        };
        let user = thing("user_id", "username", "user_domain");
        let project = thing("project_id", "project_name", "project_domain");
        let id = r.string(section, "application_credential_id").optional();
        let name = r.string(section, "application_credential_name").optional();
        let by_name = || {
            Some(ApplicationCredential::Name {
                name: name?,
                user: user.clone()?,
            })
        };
        Self {
            credential: id.map(ApplicationCredential::Id).or_else(by_name),
            user,
            project,
        }
    }
}

/// A domain by `WHAT_id`, else by `WHAT_name`.
pub fn domain(r: &mut Reader<'_>, section: &str, what: &str) -> Option<Domain> {
    let id = r.string(section, &format!("{what}_id")).optional();
    let name = r.string(section, &format!("{what}_name")).optional();
    id.map(Domain::Id).or_else(|| name.map(Domain::Name))
}

/// Reads `cafile`, `certfile`, `keyfile` and `insecure`. Without `keyfile` the certificate's file holds both.
pub fn tls(r: &mut Reader<'_>, section: &str) -> Tls {
    let mut path = |option: &str| r.string(section, option).optional().map(PathBuf::from);
    let ca_file = path("cafile");
    let (certificate, key) = (path("certfile"), path("keyfile"));
    if certificate.is_none() && key.is_some() {
        let refusal = Refusal::new("is set, and certfile is not", "write certfile too, or neither");
        r.refuse(section, "keyfile", refusal);
    }
    let client_certificate = certificate.map(|file| (file.clone(), key.unwrap_or(file)));
    Tls {
        ca_file,
        client_certificate,
        insecure: r.bool(section, "insecure").default(false).get(),
    }
}
