//! Witnesses and failure domains that an operator has configured: inputs of the guards besides Nova and the database.

pub mod domains_file;
mod failure_domains;
mod settings;

pub use failure_domains::FailureDomains;
pub use settings::SurroundingSettings;
