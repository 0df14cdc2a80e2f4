//! A simulated `OpenStack` region: Keystone, Nova, hypervisors and MAAS in one process that speaks real HTTP.
//!
//! The demo and the tests of a recovery engine run against it. It does not depend on the engine, so that it is an
//! independent witness of a recovery.
//!
//! ```text
//!   HTTP   keystone   nova   glance/neutron/placement   maas   admin
//!              \        |               |                |      /
//!   handle                       Region (one lock, one driver task)
//!                                       |
//!   model      State: hosts, guests, servers, migrations, agenda of due events   -> Ledger (who ran where)
//! ```
//!
//! Two states are separate. Nova's records hold where an instance *should* be; the ledger holds where its guest
//! *executed*, and only the machines write it. [`Region::double_runs`] and [`Region::lost`] read the ledger, never
//! Nova.
//!
//! ```no_run
//! # async fn example() -> Result<(), tachi_sandbox::SandboxError> {
//! use tachi_sandbox::{Boot, Sandbox, SandboxOptions};
//!
//! let sandbox = Sandbox::start(SandboxOptions::default()).await?;
//! let servers = sandbox.region().boot(&Boot::on("compute-001", 10).metadata("HA_Enabled", "True"))?;
//! sandbox.region().faults().power_loss("compute-001")?;
//! assert_eq!(sandbox.region().lost(&servers).len(), 10);
//! sandbox.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Names and places
//!
//! Hypervisors are `compute-001` and on (Nova's service host, MAAS's host name), their nodes `compute-001.sandbox`
//! (Nova's hypervisor host name): the two differ intentionally. Racks are `rack-1` and on, conductors `control-1` and
//! `control-2`. Users: `admin`, `demo`, `masakari`, `nova`, `masakari-monitor`, all with the sandbox's one password.
//! The services live under `/identity`, `/compute`, `/image`, `/network`, `/placement` and `/MAAS` of one listener,
//! and under `/PDU/MAAS` the outlets the machines are plugged into, as a second way to their power.
//!
//! # The admin interface
//!
//! Every function of [`Region`] is also available as JSON under `/admin`, with the header `X-Sandbox-Key` (the admin
//! password, see [`Sandbox::admin_key`]) or with an administrator's `X-Auth-Token`:
//!
//! | request | body | what |
//! |---|---|---|
//! | `GET /admin/hosts[/{name}]` | | real states of the machines |
//! | `POST /admin/hosts/{name}/power` | `{"on": false}` | cuts or restores the power |
//! | `POST /admin/hosts/{name}/link` | `{"up": false}` | cuts or restores the link to the control network |
//! | `POST /admin/hosts/{name}/agent` | `{"running": false}` | stops or starts nova-compute |
//! | `POST /admin/hosts/{name}/bmc` | any of `powered`, `query` [`PowerQuery`], `query_delay_millis`, `command`
//! [`PowerCommand`], `power_type` | how MAAS and BMC behave |
//! | `DELETE /admin/hosts/{name}/queue` | | empties `compute.<host>` |
//! | `POST /admin/racks/{name}/power` | `{"on": false}` | cuts or restores the power of a rack with its BMCs |
//! | `POST /admin/controllers/{name}` | `{"up": false}` | stops or starts conductors and scheduler |
//! | `GET /admin/servers[/{id}]` | | Nova's record and the ledger side by side |
//! | `POST /admin/servers` | [`Boot`] | servers that run at once |
//! | `POST /admin/servers/{id}/state` | `{"vm_state": "error"}` | writes Nova's record |
//! | `POST /admin/servers/{id}/half-move` | `{"dest": "compute-002", "kind": "live-migration", "guest_at_dest":
//! true}` | creates an interrupted move |
//! | `POST /admin/servers/{id}/crash` | | the guest ends, Nova does not notice |
//! | `GET /admin/ledger` | | [`LedgerReport`] |
//! | `POST /admin/ledger/lost` | `{"servers": [...]}` | the servers that run nowhere |
//! | `GET /admin/requests[?journal=true]`, `DELETE` | | counters per route, and the journal |
//! | `GET /admin/faults`, `POST`, `DELETE` | `{"move": `[`MoveFaultRule`]`}` or `{"api": `[`ApiFault`]`}` | faults in
//! force |
//! | `POST /admin/settings` | any of `rebuild_millis`, `rebuild_spread_millis`, `conductor_millis`, `conductor_rate`,
//! `action_millis`, `boot_millis`, `service_down_millis`, `resume_guests` | speeds |
//! | `DELETE /admin/tokens` | | ends every token |
//! | `POST /admin/endpoints` | `{"type": "instance-ha", "name": "masakari", "url": "..."}` | the catalog |
//!
//! # What it does not simulate
//!
//! Cells, creation of server groups through the API, quotas, networks, volumes, most of Placement's own API, console,
//! resize and shelve. BMCs are reached through MAAS only.

mod admin;
mod clock;
mod error;
mod glance;
mod keystone;
mod ledger;
mod maas;
mod model;
mod neutron;
mod nova;
mod placement;
mod region;
mod region_time;
mod sandbox;
mod settings;
mod web;

pub use clock::Clock;
pub use error::SandboxError;
pub use ledger::{DoubleRun, LedgerReport, Run};
pub use model::fault::{MoveFault, MoveFaultRule};
pub use model::maas::{PowerCommand, PowerQuery};
pub use model::migration::MigrationKind;
pub use model::server::{TaskState, VmState};
pub use region::{Boot, Faults, HostSnapshot, MigrationSnapshot, Operator, Region, ServerSnapshot};
pub use region_time::RegionTime;
pub use sandbox::{Credentials, Sandbox, SandboxOptions, Urls};
pub use settings::{Fleet, RegionSettings};
pub use web::faults::{ApiEffect, ApiFault, ApiFaults};
pub use web::requests::{RequestEntry, RequestLog};
