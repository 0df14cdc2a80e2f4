//! Users, projects, tokens, endpoints.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::tenants::{Tenants, plain_id};

/// Keystone's `[token] allow_expired_window`: two days.
pub(crate) const ALLOW_EXPIRED_WINDOW: chrono::Duration = chrono::Duration::days(2);

/// A user.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) default_project: String,
    /// Role names by project id.
    pub(crate) roles: HashMap<String, Vec<String>>,
    pub(crate) description: String,
}

/// A project.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A role.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// An application credential.
#[derive(Debug, Clone)]
pub(crate) struct AppCredential {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) user_id: String,
    pub(crate) project_id: String,
    pub(crate) roles: Vec<String>,
    /// The access rules of its tokens, as requested; null for no limit.
    pub(crate) access_rules: serde_json::Value,
}

/// The scope of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    Project(String),
    System,
    None,
}

/// A token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) scope: Scope,
    pub(crate) roles: Vec<String>,
    pub(crate) method: &'static str,
    pub(crate) app_credential: Option<String>,
    pub(crate) audit_id: String,
    pub(crate) issued: DateTime<Utc>,
    pub(crate) expires: DateTime<Utc>,
}

impl Token {
    pub(crate) fn project_id(&self) -> Option<&str> {
        match &self.scope {
            Scope::Project(id) => Some(id),
            Scope::System | Scope::None => None,
        }
    }

    pub(crate) fn has_role(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role == name)
    }
}

/// A catalog entry.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) service_id: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    /// May contain `$(tenant_id)s` or `$(project_id)s`.
    pub(crate) url: String,
    pub(crate) region: String,
}

/// The region of a sandbox with one region.
pub(crate) const REGION: &str = "RegionOne";

/// Keystone's data.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) users: Vec<User>,
    pub(crate) projects: Vec<Project>,
    pub(crate) roles: Vec<Role>,
    pub(crate) app_credentials: Vec<AppCredential>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) tokens: HashMap<String, Token>,
}

impl Store {
    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(crate) fn project(&self, id: &str) -> Option<&Project> {
        self.projects.iter().find(|project| project.id == id)
    }
}

/// Keystone, shared by all services.
#[derive(Debug)]
pub(crate) struct Keystone {
    store: Mutex<Store>,
    lifetime: Duration,
}

impl Keystone {
    /// Creates the users and projects of the region. Every user has `password`, unless `passwords` names another.
    pub(crate) fn new(tenants: &Tenants, password: &str, lifetime: Duration) -> Self {
        let projects: Vec<Project> = tenants
            .projects
            .iter()
            .map(|project| Project {
                id: project.id.clone(),
                name: project.name.to_owned(),
            })
            .collect();
        let mut names: Vec<&str> = tenants
            .users
            .iter()
            .flat_map(|user| user.roles)
            .copied()
            .collect();
        names.sort_unstable();
        names.dedup();
        let roles = names
            .iter()
            .map(|name| Role {
                id: plain_id(),
                name: (*name).to_owned(),
            })
            .collect();
        let users = tenants
            .users
            .iter()
            .map(|tenant| {
                let project = tenants.project_id(tenant.project).unwrap_or_default().to_owned();
                let roles: Vec<String> = tenant.roles.iter().map(|role| (*role).to_owned()).collect();
                let mut by_project = HashMap::from([(project.clone(), roles.clone())]);
                if tenant.user == "admin" {
                    // As after a bootstrap and the usual grants: admin has its role in every project.
                    by_project.extend(projects.iter().map(|other| (other.id.clone(), roles.clone())));
                }
                User {
                    id: tenant.user_id.clone(),
                    name: tenant.user.to_owned(),
                    password: password.to_owned(),
                    default_project: project,
                    roles: by_project,
                    description: String::new(),
                }
            })
            .collect();
        let store = Store {
            users,
            projects,
            roles,
            ..Store::default()
        };
        Self {
            store: Mutex::new(store),
            lifetime,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Adds a service to a region of the catalog, or changes its URL. Regions that were added later are listed first.
    pub(crate) fn register(&self, region: &str, kind: &str, name: &str, url: &str) {
        let mut store = self.lock();
        let of = |endpoint: &&mut Endpoint| endpoint.kind == kind && endpoint.region == region;
        if let Some(endpoint) = store.endpoints.iter_mut().find(of) {
            url.clone_into(&mut endpoint.url);
            name.clone_into(&mut endpoint.name);
            return;
        }
        let endpoint = Endpoint {
            service_id: plain_id(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            url: url.to_owned(),
            region: region.to_owned(),
        };
        let at = if region == REGION {
            store.endpoints.len()
        } else {
            0
        };
        store.endpoints.insert(at, endpoint);
    }

    /// Creates an application credential for a user in its default project, and returns its id.
    pub(crate) fn add_app_credential(&self, user: &str, name: &str, secret: &str) -> Option<String> {
        let mut store = self.lock();
        let owner = store.users.iter().find(|candidate| candidate.name == user)?;
        let credential = AppCredential {
            id: plain_id(),
            name: name.to_owned(),
            secret: secret.to_owned(),
            user_id: owner.id.clone(),
            project_id: owner.default_project.clone(),
            roles: owner
                .roles
                .get(&owner.default_project)
                .cloned()
                .unwrap_or_default(),
            access_rules: serde_json::Value::Null,
        };
        let id = credential.id.clone();
        store.app_credentials.push(credential);
        Some(id)
    }

    /// Returns the token if it is valid at `now`.
    pub(crate) fn token(&self, id: &str, now: DateTime<Utc>) -> Option<Token> {
        self.lock()
            .tokens
            .get(id)
            .filter(|token| token.expires > now)
            .cloned()
    }

    /// Returns the token if it is valid at `now` or has expired within the window of `allow_expired`.
    pub(crate) fn token_even_ended(&self, id: &str, now: DateTime<Utc>) -> Option<Token> {
        self.token(id, now - ALLOW_EXPIRED_WINDOW)
    }

    /// Revokes every token, as a rotation of Fernet keys does. Returns their number.
    pub(crate) fn revoke_all(&self) -> usize {
        let mut store = self.lock();
        let count = store.tokens.len();
        store.tokens.clear();
        count
    }
}
