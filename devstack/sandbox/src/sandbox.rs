//! The sandbox as a process: one listener, one driver task, and the addresses and credentials for clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::ServiceExt;
use axum::extract::Request;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Layer;
use tower::util::MapRequestLayer;

use crate::SandboxError;
use crate::keystone::{Keystone, REGION};
use crate::maas::MaasServer;
use crate::model::tenants::plain_id;
use crate::region::Region;
use crate::settings::RegionSettings;
use crate::web::{SandboxState, middleware, router};

/// Timeout of open connections at a stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Options of a sandbox.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    pub region: RegionSettings,
    /// The address to listen on.
    pub listen: IpAddr,
    /// The port; 0 for any free port.
    pub port: u16,
    /// Password of every user, and key of `/admin`; random if not given.
    pub password: Option<String>,
    /// Lifetime of tokens (real time).
    pub token_lifetime: Duration,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            region: RegionSettings::default(),
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            password: None,
            token_lifetime: Duration::from_hours(1),
        }
    }
}

/// Addresses of the services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urls {
    /// The listener: `http://127.0.0.1:PORT`.
    pub base: String,
    /// Keystone, with `/v3`.
    pub identity: String,
    /// Nova, with `/v2.1`.
    pub compute: String,
    /// MAAS, without `/api/2.0`.
    pub maas: String,
    /// The outlets of the machines, with an interface like MAAS's.
    pub outlets: String,
    /// The sandbox's admin interface.
    pub admin: String,
}

/// Credentials for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Keystone's URL.
    pub auth_url: String,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Project name.
    pub project_name: String,
    /// Domain of user and project.
    pub domain_name: String,
    /// Region in the catalog.
    pub region_name: String,
}

/// A running sandbox.
#[derive(Debug)]
pub struct Sandbox {
    app: SandboxState,
    address: SocketAddr,
    password: String,
    region_name: String,
    server: JoinHandle<Result<(), std::io::Error>>,
}

impl Sandbox {
    /// Opens the listener and starts the region.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        let password = options.password.unwrap_or_else(plain_id);
        let region = Region::new(options.region);
        let keystone = region.read(|state| Keystone::new(&state.tenants, &password, options.token_lifetime));
        let requested = SocketAddr::new(options.listen, options.port);
        Self::open(requested, region, Arc::new(keystone), password, REGION).await
    }

    /// Starts another region of the same cloud. The Keystone of this one serves both, and its catalog lists the other region
    /// first.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn start_beside(&self, name: &str, options: SandboxOptions) -> Result<Self, SandboxError> {
        let region = Region::new(options.region);
        let keystone = Arc::clone(&self.app.keystone);
        let requested = SocketAddr::new(options.listen, options.port);
        Self::open(requested, region, keystone, self.password.clone(), name).await
    }

    async fn open(
        requested: SocketAddr,
        region: Region,
        keystone: Arc<Keystone>,
        password: String,
        region_name: &str,
    ) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::Listen {
            address: requested,
            source,
        };
        let listener = TcpListener::bind(requested).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let base = base_url(address);
        let app = SandboxState {
            region,
            keystone,
            maas: Arc::new(MaasServer::new()),
            base: base.into(),
            admin_key: password.as_str().into(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        for (kind, name, path) in [
            ("identity", "keystone", "/identity"),
            ("compute", "nova", "/compute/v2.1"),
            ("image", "glance", "/image"),
            ("network", "neutron", "/network"),
            ("placement", "placement", "/placement"),
        ] {
            // One Keystone serves all regions, at its own address.
            if kind != "identity" || region_name == REGION {
                app.keystone
                    .register(region_name, kind, name, &format!("{}{path}", app.base));
            }
        }
        app.tasks.spawn(app.region.clone().drive(app.stop.clone()));
        let server = serve(listener, app.clone());
        Ok(Self {
            app,
            address,
            password,
            region_name: region_name.to_owned(),
            server,
        })
    }

    /// Returns the address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the addresses of the services.
    pub fn urls(&self) -> Urls {
        let base = self.app.base.to_string();
        Urls {
            identity: format!("{base}/identity/v3"),
            compute: format!("{base}/compute/v2.1"),
            maas: format!("{base}/MAAS"),
            outlets: format!("{base}/PDU/MAAS"),
            admin: format!("{base}/admin"),
            base,
        }
    }

    /// Returns the administrator's credentials.
    pub fn credentials(&self) -> Credentials {
        self.credentials_of("admin", "admin")
    }

    /// Returns the credentials of another user: `demo` in `demo`; `masakari`, `nova` and `masakari-monitor` in `service`.
    pub fn credentials_of(&self, user: &str, project: &str) -> Credentials {
        Credentials {
            auth_url: self.urls().identity,
            username: user.to_owned(),
            password: self.password.clone(),
            project_name: project.to_owned(),
            domain_name: "Default".into(),
            region_name: self.region_name.clone(),
        }
    }

    /// Returns a `clouds.yaml` with the clouds `tachi-sandbox` (administrator) and `tachi-sandbox-demo` (an ordinary user).
    pub fn clouds_yaml(&self) -> String {
        let cloud = |cloud: &str, user: &str, project: &str| {
            let login = self.credentials_of(user, project);
            // Scalars are quoted as JSON, so that no password can break the file.
            let password = serde_json::Value::String(login.password);
            format!(
                "  {cloud}:\n    auth_type: password\n    auth:\n      auth_url: {}\n      username: {}\n      \
                 password: {password}\n      project_name: {}\n      user_domain_name: {domain}\n      \
                 project_domain_name: {domain}\n    region_name: {}\n    identity_api_version: 3\n",
                login.auth_url,
                login.username,
                login.project_name,
                login.region_name,
                domain = login.domain_name,
            )
        };
        let admin = cloud("tachi-sandbox", "admin", "admin");
        let demo = cloud("tachi-sandbox-demo", "demo", "demo");
        format!("clouds:\n{admin}{demo}")
    }

    /// Adds a service to the catalog; `$(tenant_id)s` in the URL becomes the token's project.
    pub fn register_endpoint(&self, service_type: &str, name: &str, url: &str) {
        self.app
            .keystone
            .register(&self.region_name, service_type, name, url);
    }

    /// Creates an application credential for a user, and returns its id. `None` if there is no such user.
    pub fn add_application_credential(&self, user: &str, name: &str, secret: &str) -> Option<String> {
        self.app.keystone.add_app_credential(user, name, secret)
    }

    /// Revokes every token, as a rotation of Keystone's keys does. Returns their number.
    pub fn revoke_tokens(&self) -> usize {
        self.app.keystone.revoke_all()
    }

    /// Returns MAAS's API key: `consumer:token:secret`.
    pub fn maas_api_key(&self) -> String {
        self.app.maas.api_key()
    }

    /// Returns the key for the header `X-Sandbox-Key` of `/admin`.
    pub fn admin_key(&self) -> &str {
        &self.password
    }

    /// Returns the handle to the region.
    pub fn region(&self) -> &Region {
        &self.app.region
    }

    /// Stops the server: accepts no new connections, and closes open ones after two seconds.
    ///
    /// # Errors
    ///
    /// The server had failed before.
    pub async fn stop(self) -> Result<(), SandboxError> {
        self.app.stop.cancel();
        self.app.tasks.close();
        let mut server = self.server;
        let outcome = if let Ok(outcome) = tokio::time::timeout(DRAIN, &mut server).await {
            outcome
        } else {
            server.abort();
            server.await
        };
        self.app.tasks.wait().await;
        match outcome {
            Ok(Err(source)) => Err(SandboxError::Serve { source }),
            // An aborted task was aborted here.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

fn serve(listener: TcpListener, app: SandboxState) -> JoinHandle<Result<(), std::io::Error>> {
    let stop = app.stop.clone();
    let tasks = app.tasks.clone();
    let service = MapRequestLayer::new(middleware::trim_slash).layer(router(app));
    tasks.spawn(async move {
        axum::serve(listener, ServiceExt::<Request>::into_make_service(service))
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await
    })
}

fn base_url(address: SocketAddr) -> String {
    // Clients of a listener on all addresses need one of them.
    let ip = if address.ip().is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        address.ip()
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
