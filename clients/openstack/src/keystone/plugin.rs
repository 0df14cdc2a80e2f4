//! Our authentication as a plugin for osauth's session.

use std::sync::Arc;

use async_trait::async_trait;
use openstack::{EndpointFilters, Error, ErrorKind};
use osauth::AuthType;
use osauth::services::ServiceType;
use reqwest::{Client, RequestBuilder, Url};
use tachi_domain::fault::FaultClass;
use tachi_engine::ports::CallError;
use tachi_keystone::{Catalog, CatalogError, Need, Region, ServiceEndpoint, ServiceQuery};

use super::Keystone;

/// A service that is called through the session. osauth's own service types would discover versions, and with them
/// another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Nova, at its address in the catalogue.
    Compute,
    /// Placement, at its address in the catalogue.
    Placement,
    /// Keystone, at the address that issued the token.
    Identity,
}

impl Service {
    /// The project's name, for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Compute => "nova",
            Self::Placement => "placement",
            Self::Identity => "keystone",
        }
    }
}

impl ServiceType for Service {
    fn catalog_type(&self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Placement => "placement",
            Self::Identity => "identity",
        }
    }

    fn version_discovery_supported(&self) -> bool {
        false
    }
}

/// [`Keystone`] as an osauth authentication type.
#[derive(Clone, Debug)]
pub(crate) struct Plugin(pub(crate) Arc<Keystone>);

#[async_trait]
impl AuthType for Plugin {
    async fn authenticate(&self, _client: &Client, request: RequestBuilder) -> Result<RequestBuilder, Error> {
        let token = self.0.token(Need::Quick).await.map_err(into_osauth)?;
        Ok(request.header("x-auth-token", token.value.clone()))
    }

    async fn get_endpoint(
        &self,
        _client: &Client,
        service_type: &str,
        _filters: &EndpointFilters,
    ) -> Result<Url, Error> {
        if service_type == Service::Identity.catalog_type() {
            return Ok(self.0.keystone.base().clone());
        }
        let token = self.0.token(Need::Quick).await.map_err(into_osauth)?;
        let located = if service_type == Service::Placement.catalog_type() {
            self.0.placement(&token.catalog)
        } else {
            self.0.nova(&token.catalog)
        };
        located
            .map(|located| located.url)
            .map_err(|error| Error::new(ErrorKind::EndpointNotFound, error.to_string()))
    }

    /// Does nothing, so that a session can be created while Keystone is down: the first call fetches the token.
    async fn refresh(&self, _client: &Client) -> Result<(), Error> {
        Ok(())
    }
}

impl Keystone {
    /// Finds Nova in a catalogue.
    pub(crate) fn nova(&self, catalog: &Catalog) -> Result<ServiceEndpoint, CatalogError> {
        let compute = &self.compute;
        let types = [compute.service_type.as_str()];
        catalog.find(&self.service_query(&types, compute.service_name.as_deref(), &self.region))
    }

    /// Finds Placement in a catalogue, in Nova's region, even if there are other regions.
    pub(crate) fn placement(&self, catalog: &Catalog) -> Result<ServiceEndpoint, CatalogError> {
        let region = match self.nova(catalog) {
            Ok(ServiceEndpoint {
                region: Some(region), ..
            }) => Region::Named(region),
            Ok(ServiceEndpoint { region: None, .. })
            | Err(CatalogError::Missing(_) | CatalogError::Unusable(_)) => self.region.clone(),
            Err(ambiguous @ CatalogError::Ambiguous(_)) => return Err(ambiguous),
        };
        catalog.find(&self.service_query(&[Service::Placement.catalog_type()], None, &region))
    }

    fn service_query<'a>(
        &'a self,
        types: &'a [&'a str],
        name: Option<&'a str>,
        region: &'a Region,
    ) -> ServiceQuery<'a> {
        ServiceQuery {
            types,
            name,
            interface: self.compute.interface,
            region,
            region_option: self.region_option,
        }
    }
}

/// Converts an error to osauth's, which has only a kind and a text. The session fetches the token first, so this loses
/// nothing in practice.
fn into_osauth(error: CallError) -> Error {
    let kind = match error.fault.class {
        FaultClass::Fatal => ErrorKind::AuthenticationFailed,
        FaultClass::Transient => ErrorKind::ProtocolError,
        FaultClass::Permanent | FaultClass::Conflict => ErrorKind::OperationFailed,
    };
    Error::new(kind, error.fault.text)
}

/// Returns the class of an error that osauth returned before anything was sent.
pub(crate) fn class_of(error: &Error) -> FaultClass {
    match error.kind() {
        ErrorKind::AuthenticationFailed
        | ErrorKind::AccessDenied
        | ErrorKind::EndpointNotFound
        | ErrorKind::InvalidResponse
        | ErrorKind::InvalidConfig => FaultClass::Fatal,
        ErrorKind::ProtocolError | ErrorKind::OperationTimedOut | ErrorKind::InternalServerError => {
            FaultClass::Transient
        }
        ErrorKind::ResourceNotFound
        | ErrorKind::TooManyItems
        | ErrorKind::InvalidInput
        | ErrorKind::IncompatibleApiVersion
        | ErrorKind::Conflict
        | ErrorKind::OperationFailed
        | _ => FaultClass::Permanent,
    }
}
