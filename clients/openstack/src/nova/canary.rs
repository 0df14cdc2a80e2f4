//! Canary servers, for a live drill.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tachi_domain::ServerId;
use tachi_domain::nova::Server;
use tachi_engine::ports::CallError;
use tachi_engine::ports::canaries::{Canaries, CanaryOrder, Networks};
use tracing::instrument;

use super::version::Feature;
use super::{Nova, placement, server, write};
use crate::fault::{Effect, ErrorScope};
use crate::session::Call;

fn body(order: &CanaryOrder) -> Value {
    let networks = match &order.networks {
        Networks::None => json!("none"),
        Networks::Auto => json!("auto"),
        Networks::Of(id) => json!([{ "uuid": id }]),
    };
    json!({"server": {
        "name": order.name, "host": order.host, "imageRef": order.image, "flavorRef": order.flavor,
        "networks": networks, "metadata": order.metadata,
    }})
}

#[derive(Deserialize)]
struct Made {
    server: Id,
}

#[derive(Deserialize)]
struct Id {
    id: ServerId,
}

/// The calls of a live drill to Nova and Placement. [`Nova`] does not have them, so no recovery is given them.
#[derive(Clone, Debug)]
pub struct CanaryCalls(Arc<Nova>);

impl CanaryCalls {
    /// Makes the calls with the session of `nova`.
    pub fn of(nova: Arc<Nova>) -> Self {
        Self(nova)
    }
}

#[async_trait]
impl Canaries for CanaryCalls {
    #[instrument(name = "nova::build_canary", skip_all, fields(host = %order.host), err(level = "debug"))]
    async fn build_canary(&self, order: &CanaryOrder) -> Result<ServerId, CallError> {
        let path = ["servers"];
        let request = Call {
            about: ErrorScope::Service,
            ..write(
                Method::POST,
                &path,
                Some(body(order)),
                Effect::Once,
                self.0.session.now(),
            )
        };
        let answer = self.0.call(Feature::CANARIES, request).await?;
        let Made { server } = answer.json()?;
        Ok(server.id)
    }

    #[instrument(name = "nova::delete_canary", skip_all, fields(server = %id), err(level = "debug"))]
    async fn delete_canary(&self, id: ServerId) -> Result<(), CallError> {
        let id = id.to_string();
        let path = ["servers", &id];
        let request = write(
            Method::DELETE,
            &path,
            None,
            Effect::Idempotent,
            self.0.session.now(),
        );
        match self.0.call(Feature::ACTIONS, request).await {
            Err(error) if !error.fault.is_gone() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    #[instrument(name = "nova::canaries", skip_all, err(level = "debug"))]
    async fn own_servers(&self) -> Result<Vec<Server>, CallError> {
        server::own(&self.0).await
    }

    #[instrument(name = "nova::consumers_on", skip_all, fields(host = %host), err(level = "debug"))]
    async fn consumers_on(&self, host: &str) -> Result<Option<BTreeSet<String>>, CallError> {
        placement::consumers_on(&self.0, host).await
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
            body(&order),
            json!({"server": {"name": "canary", "host": "c1", "imageRef": "i", "flavorRef": "f", "networks": "none",
                              "metadata": {"k": "v"}}})
        );
        order.networks = Networks::Of("n".into());
        assert_eq!(body(&order)["server"]["networks"], json!([{"uuid": "n"}]));
        order.networks = Networks::Auto;
        assert_eq!(body(&order)["server"]["networks"], "auto");
    }
}
