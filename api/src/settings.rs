//! The options of the API, read from the configuration files.

mod binding;
mod http;
mod policy;

pub use self::http::{Http, MetricsSettings, WebBoard, http, workers};
pub use binding::binding;
pub use policy::{PolicySettings, policy, policy_folders};
