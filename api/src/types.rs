//! Types of requests and answers: schemas of bodies, and views of entities. This module does not depend on HTTP.

pub(crate) mod action;
pub(crate) mod boot_guard;
mod enum_schema;
pub(crate) mod extension;
pub(crate) mod failure;
pub(crate) mod fields;
pub(crate) mod freeze;
pub(crate) mod heartbeat;
pub(crate) mod host;
pub(crate) mod maintenance;
pub(crate) mod notification;
pub(crate) mod payload;
pub(crate) mod plan;
mod repr;
pub(crate) mod rules;
pub(crate) mod segment;
pub(crate) mod vmove;

pub(crate) use fields::Problems;
