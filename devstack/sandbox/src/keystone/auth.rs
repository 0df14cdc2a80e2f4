//! Authentication requests and the issue of tokens.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::KeystoneError;
use super::store::{ALLOW_EXPIRED_WINDOW, AppCredential, Keystone, Scope, Store, Token, User};
use crate::model::tenants::plain_id;

/// Number of stored tokens above which those that have expired long ago are dropped.
const SWEEP_THRESHOLD: usize = 1024;

struct Identity {
    user_id: String,
    method: &'static str,
    credential: Option<AppCredential>,
    /// The scope of the token in a token-to-token request.
    previous_scope: Option<Scope>,
}

impl Keystone {
    /// Checks a request's identity and scope, and issues a token.
    pub(super) fn authenticate(&self, body: &Value, now: DateTime<Utc>) -> Result<Token, KeystoneError> {
        let auth = body
            .get("auth")
            .ok_or_else(|| KeystoneError::bad_request("auth is a required property"))?;
        let identity = auth
            .get("identity")
            .ok_or_else(|| KeystoneError::bad_request("identity is a required property"))?;
        let methods = identity.get("methods").and_then(Value::as_array);
        let method = methods
            .and_then(|list| list.first())
            .and_then(Value::as_str)
            .unwrap_or_default();
        let mut store = self.lock();
        let who = match method {
            "password" => by_password(&store, identity)?,
            "application_credential" => by_credential(&store, identity)?,
            "token" => by_token(&store, identity, now)?,
            _ => return Err(KeystoneError::unauthorized()),
        };
        let user = store.user(&who.user_id).ok_or_else(KeystoneError::unauthorized)?;
        let (scope, roles) = match who.credential.as_ref() {
            Some(credential) if auth.get("scope").is_none() => (
                Scope::Project(credential.project_id.clone()),
                credential.roles.clone(),
            ),
            Some(_) => return Err(KeystoneError::unauthorized()),
            None => scope(&store, user, auth.get("scope"), who.previous_scope)?,
        };
        let lifetime = chrono::Duration::from_std(self.lifetime()).unwrap_or(chrono::Duration::hours(1));
        let token = Token {
            id: format!("gAAAAAB{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
            user_id: who.user_id,
            scope,
            roles,
            method: who.method,
            app_credential: who.credential.map(|credential| credential.id),
            audit_id: plain_id(),
            issued: now,
            expires: now + lifetime,
        };
        if store.tokens.len() >= SWEEP_THRESHOLD {
            store
                .tokens
                .retain(|_, token| token.expires > now - ALLOW_EXPIRED_WINDOW);
        }
        store.tokens.insert(token.id.clone(), token.clone());
        Ok(token)
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// True if the user is in the default domain, the only one.
fn in_default_domain(value: &Value) -> bool {
    let Some(domain) = value.get("domain") else {
        return true;
    };
    let id = text(domain, "id").is_none_or(|id| id == "default");
    id && text(domain, "name").is_none_or(|name| name.eq_ignore_ascii_case("default"))
}

fn find_user<'a>(store: &'a Store, user: &Value) -> Option<&'a User> {
    if let Some(id) = text(user, "id") {
        return store.user(id);
    }
    let name = text(user, "name").filter(|_| in_default_domain(user))?;
    store.users.iter().find(|candidate| candidate.name == name)
}

fn by_password(store: &Store, identity: &Value) -> Result<Identity, KeystoneError> {
    let user = identity
        .pointer("/password/user")
        .ok_or_else(|| KeystoneError::bad_request("password is required"))?;
    let found = find_user(store, user).ok_or_else(KeystoneError::unauthorized)?;
    if text(user, "password") != Some(found.password.as_str()) {
        return Err(KeystoneError::unauthorized());
    }
    Ok(Identity {
        user_id: found.id.clone(),
        method: "password",
        credential: None,
        previous_scope: None,
    })
}

fn by_credential(store: &Store, identity: &Value) -> Result<Identity, KeystoneError> {
    let given = identity
        .get("application_credential")
        .ok_or_else(|| KeystoneError::bad_request("application_credential is required"))?;
    let found = if let Some(id) = text(given, "id") {
        store
            .app_credentials
            .iter()
            .find(|credential| credential.id == id)
    } else {
        let user = given
            .get("user")
            .and_then(|user| find_user(store, user))
            .ok_or_else(KeystoneError::unauthorized)?;
        let name = text(given, "name").ok_or_else(KeystoneError::unauthorized)?;
        store
            .app_credentials
            .iter()
            .find(|credential| credential.user_id == user.id && credential.name == name)
    };
    let found = found
        .filter(|credential| text(given, "secret") == Some(credential.secret.as_str()))
        .ok_or_else(KeystoneError::unauthorized)?;
    let (user_id, credential) = (found.user_id.clone(), Some(found.clone()));
    Ok(Identity {
        user_id,
        method: "application_credential",
        credential,
        previous_scope: None,
    })
}

fn by_token(store: &Store, identity: &Value, now: DateTime<Utc>) -> Result<Identity, KeystoneError> {
    let id = identity
        .pointer("/token/id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let token = store
        .tokens
        .get(id)
        .filter(|token| token.expires > now)
        .ok_or_else(KeystoneError::unauthorized)?;
    Ok(Identity {
        user_id: token.user_id.clone(),
        method: "token",
        credential: None,
        previous_scope: Some(token.scope.clone()),
    })
}

fn scope(
    store: &Store,
    user: &User,
    requested: Option<&Value>,
    previous_scope: Option<Scope>,
) -> Result<(Scope, Vec<String>), KeystoneError> {
    let project_id = match requested {
        None => match previous_scope {
            Some(Scope::Project(id)) => id,
            Some(other) => return Ok((other, Vec::new())),
            None => user.default_project.clone(),
        },
        Some(requested) if requested.get("system").is_some() => {
            let roles = user.roles.get(&user.default_project).cloned().unwrap_or_default();
            if !roles.iter().any(|role| role == "admin") {
                return Err(KeystoneError::unauthorized());
            }
            return Ok((Scope::System, roles));
        }
        Some(Value::String(scope_name)) if scope_name == "unscoped" => return Ok((Scope::None, Vec::new())),
        Some(requested) => {
            let project = requested.get("project").ok_or_else(KeystoneError::unauthorized)?;
            let found = if let Some(id) = text(project, "id") {
                store.project(id)
            } else {
                let name = text(project, "name").filter(|_| in_default_domain(project));
                store
                    .projects
                    .iter()
                    .find(|candidate| Some(candidate.name.as_str()) == name)
            };
            found.ok_or_else(KeystoneError::unauthorized)?.id.clone()
        }
    };
    let roles = user
        .roles
        .get(&project_id)
        .cloned()
        .ok_or_else(KeystoneError::unauthorized)?;
    Ok((Scope::Project(project_id), roles))
}
