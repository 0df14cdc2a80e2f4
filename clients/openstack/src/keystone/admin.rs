//! Administration of Keystone for the monitors: a role, a user, application credentials.

use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tachi_engine::ports::CallError;

use crate::answer::Answer;
use crate::fault::{Effect, ErrorScope};
use crate::keystone::plugin::Service;
use crate::session::{Call, RequestPath, Session};

/// An entry of one of Keystone's lists.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NamedResource {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The description.
    #[serde(default)]
    pub description: Option<String>,
}

/// A new application credential.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// The id.
    pub id: String,
    /// The secret, which Keystone returns only once.
    pub secret: SecretString,
}

#[derive(Deserialize)]
struct Made {
    id: String,
    secret: Option<String>,
}

impl Session {
    async fn identity(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&'static str, String)],
        body: Option<Value>,
        effect: Effect,
    ) -> Result<Answer, CallError> {
        let place = RequestPath::Path(path);
        self.call(&Call {
            service: Service::Identity,
            method,
            place,
            query,
            version: None,
            subject: None,
            body,
            effect,
            about: ErrorScope::Object,
            started_at: self.now(),
        })
        .await
    }

    /// Finds the entry of `kind`, such as `roles`, with this name, in this domain if one is given.
    ///
    /// # Errors
    ///
    /// Keystone failed, or refuses this session's user.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so the future may be dropped.
    pub async fn identity_named(
        &self,
        kind: &'static str,
        name: &str,
        domain: Option<&str>,
    ) -> Result<Option<NamedResource>, CallError> {
        let mut query = vec![("name", name.to_owned())];
        query.extend(domain.map(|domain| ("domain_id", domain.to_owned())));
        let answer = self
            .identity(Method::GET, &[kind], &query, None, Effect::Read)
            .await?;
        // Without a domain, Keystone may also list entries of other owners, so the name is compared again.
        Ok(listed(&answer, kind)?
            .into_iter()
            .find(|found| found.name == name))
    }

    /// Lists the application credentials of a user.
    ///
    /// # Errors
    ///
    /// The same as for [`Session::identity_named`].
    ///
    /// # Cancel safety
    ///
    /// Changes nothing, so the future may be dropped.
    pub async fn application_credentials(&self, user: &str) -> Result<Vec<NamedResource>, CallError> {
        let path = ["users", user, "application_credentials"];
        let answer = self.identity(Method::GET, &path, &[], None, Effect::Read).await?;
        listed(&answer, "application_credentials")
    }

    /// Creates a role.
    ///
    /// # Errors
    ///
    /// The same as for [`Session::identity_named`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the role may have been created nevertheless.
    pub async fn create_role(&self, name: &str) -> Result<String, CallError> {
        let body = json!({"role": {"name": name, "description": "May report failures to Tachi; no other permissions"}});
        let answer = self
            .identity(Method::POST, &["roles"], &[], Some(body), Effect::Once)
            .await?;
        Ok(made(&answer, "role")?.id)
    }

    /// Creates a user.
    ///
    /// # Errors
    ///
    /// The same as for [`Session::identity_named`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the user may have been created nevertheless.
    pub async fn create_user(
        &self,
        name: &str,
        domain: &str,
        description: &str,
        password: &SecretString,
    ) -> Result<String, CallError> {
        let body = json!({"user": {
            "name": name, "domain_id": domain, "description": description, "enabled": true,
            "password": password.expose_secret(),
        }});
        let answer = self
            .identity(Method::POST, &["users"], &[], Some(body), Effect::Once)
            .await?;
        Ok(made(&answer, "user")?.id)
    }

    /// Sets a user's password.
    ///
    /// # Errors
    ///
    /// The same as for [`Session::identity_named`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the password may have been set nevertheless.
    pub async fn set_password(&self, user: &str, password: &SecretString) -> Result<(), CallError> {
        let body = json!({"user": {"password": password.expose_secret()}});
        let path = ["users", user];
        self.identity(Method::PATCH, &path, &[], Some(body), Effect::Idempotent)
            .await
            .map(drop)
    }

    /// Grants a user a role in a project.
    ///
    /// # Errors
    ///
    /// The same as for [`Session::identity_named`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the role may have been granted nevertheless.
    pub async fn grant(&self, project: &str, user: &str, role: &str) -> Result<(), CallError> {
        let path = ["projects", project, "users", user, "roles", role];
        self.identity(Method::PUT, &path, &[], None, Effect::Idempotent)
            .await
            .map(drop)
    }

    /// Creates an application credential of this session's own user, who must be `user`, with one of the user's roles.
    ///
    /// # Errors
    ///
    /// The same as for [`Session::identity_named`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the credential may have been created nevertheless; its secret is lost then.
    pub async fn create_application_credential(
        &self,
        user: &str,
        name: &str,
        role: &str,
    ) -> Result<NewCredential, CallError> {
        let body = json!({"application_credential": {
            "name": name, "roles": [{"name": role}], "unrestricted": false,
            "description": "For a monitor, created by `tachi setup monitors`",
        }});
        let path = ["users", user, "application_credentials"];
        let answer = self
            .identity(Method::POST, &path, &[], Some(body), Effect::Once)
            .await?;
        let made = made(&answer, "application_credential")?;
        let secret = made.secret.ok_or_else(|| answer.malformed("no secret"))?;
        Ok(NewCredential {
            id: made.id,
            secret: secret.into(),
        })
    }

    /// Deletes an application credential. Succeeds if it does not exist.
    ///
    /// # Errors
    ///
    /// The same as for [`Session::identity_named`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the credential may have been deleted nevertheless.
    pub async fn delete_application_credential(&self, user: &str, id: &str) -> Result<(), CallError> {
        let path = ["users", user, "application_credentials", id];
        match self
            .identity(Method::DELETE, &path, &[], None, Effect::Idempotent)
            .await
        {
            Err(error) if error.fault.status != Some(404) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn listed(answer: &Answer, key: &str) -> Result<Vec<NamedResource>, CallError> {
    let mut whole: Value = answer.json()?;
    let rows = whole.get_mut(key).map(Value::take).unwrap_or_default();
    serde_json::from_value(rows).map_err(|_| answer.malformed(&format!("no list of {key}")))
}

fn made(answer: &Answer, key: &str) -> Result<Made, CallError> {
    let mut whole: Value = answer.json()?;
    let one = whole.get_mut(key).map(Value::take).unwrap_or_default();
    serde_json::from_value(one).map_err(|_| answer.malformed(&format!("no {key}")))
}
