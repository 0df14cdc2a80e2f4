//! The database's rows, one file per table. They never leave this crate.
#![allow(unreachable_pub, reason = "what the derive writes is `pub`")]

pub(crate) mod action;
pub(crate) mod engine;
pub(crate) mod fact;
pub(crate) mod failed_instance;
pub(crate) mod fence_machine;
pub(crate) mod fence_order;
pub(crate) mod freeze;
pub(crate) mod host;
pub(crate) mod host_reservation;
pub(crate) mod host_state;
pub(crate) mod instance_restart;
pub(crate) mod job;
pub(crate) mod local_disk;
pub(crate) mod lock;
pub(crate) mod meta;
pub(crate) mod monitor;
pub(crate) mod notification;
pub(crate) mod recovery;
pub(crate) mod recovery_move;
pub(crate) mod recovery_proof;
pub(crate) mod recovery_step;
pub(crate) mod refusal;
pub(crate) mod reporter_aside;
pub(crate) mod reporter_doubt;
pub(crate) mod segment;
pub(crate) mod vmove;
