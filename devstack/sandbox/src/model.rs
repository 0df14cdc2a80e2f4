//! The region's state and its events: pure, without sockets, tasks or clocks.
//!
//! Time is an argument ([`State::advance`]); events that are due until then are handled first, each at its own time. Two
//! states are separate: Nova's records ([`server`], [`migration`], the service rows of [`host`]), and the machines'
//! real state ([`host::Guest`] and the [`crate::ledger`]).

pub(crate) mod actions;
pub(crate) mod agenda;
pub(crate) mod agent;
pub(crate) mod aggregate;
pub(crate) mod boot;
pub(crate) mod cast;
pub(crate) mod catalog;
pub(crate) mod cold_migration;
pub(crate) mod concurrent_rebuilds;
pub(crate) mod conductor;
pub(crate) mod evacuate;
pub(crate) mod fault;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod inventory;
pub(crate) mod live_migration;
pub(crate) mod maas;
pub(crate) mod migration;
pub(crate) mod power;
pub(crate) mod rebuild;
pub(crate) mod refusal;
pub(crate) mod rng;
pub(crate) mod scheduler;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod state;
pub(crate) mod tenants;
pub(crate) mod world;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use host::HostIx;
pub(crate) use refusal::{Caller, Refusal};
pub(crate) use server::ServerIx;
pub(crate) use state::State;
pub(crate) use world::World;
