//! The rules of recoveries and the engine's pace, read from configuration files. Defaults are those of the domain and of the engine.

mod pace;
mod policy;

pub use pace::pace;
pub use policy::{expiry, policy};
