//! The sandbox over real HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may end where it likes"
)]

#[path = "http/admin.rs"]
mod admin;
#[path = "http/cloud.rs"]
mod cloud;
#[path = "http/faults.rs"]
mod faults;
#[path = "http/keystone.rs"]
mod keystone;
#[path = "http/maas.rs"]
mod maas;
#[path = "http/migrations.rs"]
mod migrations;
#[path = "http/recovery.rs"]
mod recovery;
#[path = "http/scale.rs"]
mod scale;
#[path = "http/servers.rs"]
mod servers;
#[path = "http/services.rs"]
mod services;
