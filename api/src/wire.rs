//! Types of requests and answers: schemas of bodies, and views of entities. This module does not depend on HTTP.

pub(crate) mod boot_guard;
pub(crate) mod extension;
pub(crate) mod failure;
pub(crate) mod fields;
pub(crate) mod freeze;
pub(crate) mod host;
pub(crate) mod notification;
pub(crate) mod payload;
pub(crate) mod plan;
mod repr;
pub(crate) mod rules;
pub(crate) mod segment;
mod shown;
pub(crate) mod signature;
pub(crate) mod upkeep;
pub(crate) mod vmove;
pub(crate) mod word;

pub(crate) use fields::Problems;
