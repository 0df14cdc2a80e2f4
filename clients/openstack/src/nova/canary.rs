//! Canary servers, for a live drill. They are not behind the engine's port, so no recovery can create or delete a
//! server.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tachi_domain::ServerId;
use tachi_domain::nova::Server;
use tachi_engine::ports::CallError;
use tracing::instrument;

use super::version::Feature;
use super::{Nova, Request, placement, server};
use crate::fault::{Effect, ErrorScope};

/// The networks of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Networks {
    /// No network.
    None,
    /// Nova selects the project's network.
    Auto,
    /// This network, by its id.
    Of(String),
}

/// A server to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryOrder {
    /// The name.
    pub name: String,
    /// The service host on which the server is to be created.
    pub host: String,
    /// The image, by its id.
    pub image: String,
    /// The flavor, by its id.
    pub flavor: String,
    /// The networks.
    pub networks: Networks,
    /// The metadata.
    pub metadata: BTreeMap<String, String>,
}

impl CanaryOrder {
    fn body(&self) -> Value {
        let networks = match &self.networks {
            Networks::None => json!("none"),
            Networks::Auto => json!("auto"),
            Networks::Of(id) => json!([{ "uuid": id }]),
        };
        json!({"server": {
            "name": self.name, "host": self.host, "imageRef": self.image, "flavorRef": self.flavor,
            "networks": networks, "metadata": self.metadata,
        }})
    }
}

#[derive(Deserialize)]
struct Made {
    server: Id,
}

#[derive(Deserialize)]
struct Id {
    id: ServerId,
}

/// A client of Nova and Placement for live drills.
#[derive(Clone, Copy, Debug)]
pub struct Canaries<'a>(&'a Nova);

impl Nova {
    /// Returns the calls that no recovery makes.
    pub fn canaries(&self) -> Canaries<'_> {
        Canaries(self)
    }
}

impl Canaries<'_> {
    /// Requests a server in the session's project. If the response is lost, the caller does not learn the id;
    /// [`Self::all`] lists the server.
    ///
    /// # Errors
    ///
    /// The same as for [`ServerCalls::evacuate`](tachi_engine::ports::ServerCalls::evacuate).
    #[instrument(name = "nova::build_canary", skip_all, fields(host = %order.host), err(level = "debug"))]
    pub async fn build(&self, order: &CanaryOrder) -> Result<ServerId, CallError> {
        let request = Request {
            method: Method::POST,
            path: &["servers"],
            query: &[],
            body: Some(order.body()),
            effect: Effect::Once,
            about: ErrorScope::Service,
            started_at: self.0.session.now(),
        };
        let answer = self.0.call(Feature::CANARIES, request).await?;
        let Made { server } = answer.json()?;
        Ok(server.id)
    }

    /// Deletes a server. Succeeds if it does not exist.
    ///
    /// # Errors
    ///
    /// The same as for [`ServerCalls::unlock`](tachi_engine::ports::ServerCalls::unlock).
    #[instrument(name = "nova::delete_canary", skip_all, fields(server = %id), err(level = "debug"))]
    pub async fn delete(&self, id: ServerId) -> Result<(), CallError> {
        let id = id.to_string();
        let request = Request {
            method: Method::DELETE,
            path: &["servers", &id],
            query: &[],
            body: None,
            effect: Effect::Idempotent,
            about: ErrorScope::Object,
            started_at: self.0.session.now(),
        };
        match self.0.call(Feature::ACTIONS, request).await {
            Err(error) if !error.fault.is_gone() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Lists the servers of the session's project.
    ///
    /// # Errors
    ///
    /// The same as for [`Compute::servers_on`](tachi_engine::ports::Compute::servers_on).
    #[instrument(name = "nova::canaries", skip_all, err(level = "debug"))]
    pub async fn all(&self) -> Result<Vec<Server>, CallError> {
        server::own(self.0).await
    }

    /// Returns the ids of a host's consumers in Placement: servers, and migrations that hold allocations there.
    /// `None` if they cannot be determined.
    ///
    /// # Errors
    ///
    /// The same as for [`Compute::servers_on`](tachi_engine::ports::Compute::servers_on).
    #[instrument(name = "nova::consumers_on", skip_all, fields(host = %host), err(level = "debug"))]
    pub async fn consumers_on(&self, host: &str) -> Result<Option<BTreeSet<String>>, CallError> {
        placement::consumers_on(self.0, host).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_requested_on_its_host_with_all_given_options() {
        let mut order = CanaryOrder {
            name: "canary".into(),
            host: "c1".into(),
            image: "i".into(),
            flavor: "f".into(),
            networks: Networks::None,
            metadata: [("k".to_owned(), "v".to_owned())].into(),
        };
        assert_eq!(
            order.body(),
            json!({"server": {"name": "canary", "host": "c1", "imageRef": "i", "flavorRef": "f", "networks": "none",
                              "metadata": {"k": "v"}}})
        );
        order.networks = Networks::Of("n".into());
        assert_eq!(order.body()["server"]["networks"], json!([{"uuid": "n"}]));
        order.networks = Networks::Auto;
        assert_eq!(order.body()["server"]["networks"], "auto");
    }
}
