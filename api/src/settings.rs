//! The options of the API, read from the configuration files.

mod binding;
mod http;

pub use self::http::{Http, MetricsSettings, WebBoard, http, workers};
pub use binding::binding;
