//! The table of routes: method, path without a project id, policy rule and handler.

use axum::routing::{MethodRouter, delete, get, post, put};
use http::Method;

use crate::handlers::{
    actions, boot_guard, controller, event_streams, extensions, failures, freezes, hosts, maintenance,
    monitors, not_allowed, notifications, operator, plans, segments, versions, vmoves,
};
use crate::policy::Rule;
use crate::state::ApiState;

/// A row of the table.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// The policy rule; `None` if every valid token is sufficient.
    pub(crate) rule: Option<Rule>,
    /// True if the route exists only to answer 405.
    pub(crate) not_allowed: bool,
    pub(crate) handler: MethodRouter<ApiState>,
}

/// A route, for documentation and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    pub method: Method,
    /// The path, with its parameters in braces. Paths below `/v1` also exist with a project id after `/v1`.
    pub path: &'static str,
    /// The policy rule; `None` if every valid token is sufficient.
    pub rule: Option<&'static str>,
    /// True if the route exists only to answer 405.
    pub not_allowed: bool,
}

/// Returns all routes that need a token.
pub fn routes() -> Vec<RouteInfo> {
    let table = table().into_iter();
    table
        .map(
            |Route {
                 method,
                 path,
                 rule,
                 not_allowed,
                 ..
             }| RouteInfo {
                method,
                path,
                rule: rule.map(|Rule(name)| name),
                not_allowed,
            },
        )
        .collect()
}

const SEGMENTS: &str = "/v1/segments";
const SEGMENT: &str = "/v1/segments/{segment}";
const HOSTS: &str = "/v1/segments/{segment}/hosts";
const HOST: &str = "/v1/segments/{segment}/hosts/{host}";
const NOTIFICATIONS: &str = "/v1/notifications";
const NOTIFICATION: &str = "/v1/notifications/{notification}";
const VMOVES: &str = "/v1/notifications/{notification}/vmoves";
const VMOVE: &str = "/v1/notifications/{notification}/vmoves/{vmove}";
const BOOT_GUARD: &str = "/v1/boot-guard/{hostname}";
pub(crate) const MONITOR: &str = "/v1/monitors/{hostname}/{kind}";
const EXTENSIONS: &str = "/v1/extensions";
const EXTENSION: &str = "/v1/extensions/{alias}";

/// The root of the routes for operators. They have no form with a project id.
pub(crate) const OPERATOR: &str = "/operator/v1";
const READ: &str = "os_masakari_api:operator:read";
const FAILURE: &str = "/operator/v1/hosts/{hostname}/failure";
const DRAIN: &str = "/operator/v1/hosts/{hostname}/drain";
const GIVEBACK: &str = "/operator/v1/hosts/{hostname}/giveback";
pub(crate) const ACT: &str = "os_masakari_api:operator:act";
const POWER: &str = "os_masakari_api:operator:power";

/// Returns the table of routes.
#[rustfmt::skip] // A line for a route.
pub(crate) fn table() -> Vec<Route> {
    vec![
        ruled(Method::GET, SEGMENTS, "os_masakari_api:segments:index", get(segments::list)),
        ruled(Method::POST, SEGMENTS, "os_masakari_api:segments:create", post(segments::create)),
        ruled(Method::GET, SEGMENT, "os_masakari_api:segments:detail", get(segments::show)),
        ruled(Method::PUT, SEGMENT, "os_masakari_api:segments:update", put(segments::update)),
        ruled(Method::DELETE, SEGMENT, "os_masakari_api:segments:delete", delete(segments::delete)),
        ruled(Method::GET, HOSTS, "os_masakari_api:os-hosts:index", get(hosts::list)),
        ruled(Method::POST, HOSTS, "os_masakari_api:os-hosts:create", post(hosts::create)),
        ruled(Method::GET, HOST, "os_masakari_api:os-hosts:detail", get(hosts::show)),
        ruled(Method::PUT, HOST, "os_masakari_api:os-hosts:update", put(hosts::update)),
        ruled(Method::DELETE, HOST, "os_masakari_api:os-hosts:delete", delete(hosts::delete)),
        ruled(Method::GET, NOTIFICATIONS, "os_masakari_api:notifications:index", get(notifications::list)),
        ruled(Method::POST, NOTIFICATIONS, "os_masakari_api:notifications:create", post(notifications::create)),
        ruled(Method::GET, NOTIFICATION, "os_masakari_api:notifications:detail", get(notifications::show)),
        ruled(Method::GET, VMOVES, "os_masakari_api:vmoves:index", get(vmoves::list)),
        ruled(Method::GET, VMOVE, "os_masakari_api:vmoves:detail", get(vmoves::show)),
        ruled(Method::GET, BOOT_GUARD, "tachi:boot-guard:detail", get(boot_guard::show)),
        ruled(Method::PUT, MONITOR, "tachi:monitors:sign", put(monitors::heartbeat)),
        ruled(Method::GET, EXTENSIONS, "os_masakari_api:extensions:index", get(extensions::list)),
        ruled(Method::GET, EXTENSION, "os_masakari_api:extensions:detail", get(extensions::show)),
        ruled(Method::GET, "/operator/v1/situation", READ, get(operator::situation)),
        ruled(Method::GET, "/operator/v1/findings", READ, get(operator::findings)),
        ruled(Method::GET, "/operator/v1/forecast", READ, get(operator::forecast)),
        ruled(Method::GET, "/operator/v1/hosts", READ, get(operator::hosts)),
        ruled(Method::GET, "/operator/v1/hosts/{hostname}/explanation", READ, get(operator::of_host)),
        ruled(Method::GET, "/operator/v1/hosts/{hostname}/past", READ, get(operator::past)),
        ruled(Method::GET, FAILURE, READ, get(failures::preview)),
        ruled(Method::POST, FAILURE, POWER, post(failures::report)),
        ruled(Method::GET, DRAIN, READ, get(plans::drain_outlook)),
        ruled(Method::POST, DRAIN, ACT, post(plans::drain)),
        ruled(Method::GET, GIVEBACK, READ, get(plans::giveback_outlook)),
        ruled(Method::POST, GIVEBACK, ACT, post(plans::giveback)),
        ruled(Method::GET, "/operator/v1/hosted-instances", READ, get(operator::hosted_instances)),
        ruled(Method::GET, "/operator/v1/instances", READ, get(operator::instances)),
        ruled(Method::GET, "/operator/v1/instances/{instance}/explanation", READ, get(operator::of_instance)),
        ruled(Method::GET, "/operator/v1/recoveries", READ, get(operator::recoveries)),
        ruled(Method::GET, "/operator/v1/recoveries/{recovery}", READ, get(operator::recovery)),
        ruled(Method::GET, "/operator/v1/recoveries/{recovery}/report", READ, get(operator::report)),
        ruled(Method::POST, "/operator/v1/recoveries/{recovery}/retry", ACT, post(maintenance::retry)),
        ruled(Method::GET, "/operator/v1/reporters", READ, get(maintenance::reporters)),
        ruled(Method::GET, "/operator/v1/audit", READ, get(controller::audit)),
        ruled(Method::GET, "/operator/v1/from-nova", READ, get(controller::from_nova)),
        ruled(Method::GET, "/operator/v1/hosts/{hostname}/return", READ, get(controller::host_return)),
        ruled(Method::POST, "/operator/v1/reporters/{reporter}/lift", ACT, post(maintenance::unmute)),
        ruled(Method::DELETE, "/operator/v1/monitors/{hostname}/{kind}", ACT, delete(maintenance::forget)),
        ruled(Method::GET, "/operator/v1/schedule", READ, get(operator::schedule)),
        ruled(Method::GET, "/operator/v1/events", READ, get(event_streams::listen)),
        ruled(Method::POST, "/operator/v1/words", ACT, post(actions::submit)),
        ruled(Method::GET, "/operator/v1/freezes", READ, get(freezes::list)),
        ruled(Method::POST, "/operator/v1/freezes", ACT, post(freezes::freeze)),
        ruled(Method::DELETE, "/operator/v1/freezes/{freeze}", ACT, delete(freezes::thaw)),
        open(Method::GET, "/v1", get(versions::show)),
        open(Method::GET, "/v1/", get(versions::show)),
        open(Method::GET, "/v1/versions/{id}", get(versions::show_by_id)),
        // Methods that are never allowed: 405 where Masakari's resource router answers 405, 404 everywhere else.
        never(Method::GET, "/v1/versions", get(not_allowed::index)),
        never(Method::PUT, NOTIFICATION, put(not_allowed::update)),
        never(Method::DELETE, NOTIFICATION, delete(not_allowed::delete)),
        never(Method::POST, VMOVES, post(not_allowed::create)),
        never(Method::PUT, VMOVE, put(not_allowed::update)),
        never(Method::DELETE, VMOVE, delete(not_allowed::delete)),
        never(Method::POST, EXTENSIONS, post(not_allowed::create)),
        never(Method::PUT, EXTENSION, put(not_allowed::update)),
        never(Method::DELETE, EXTENSION, delete(not_allowed::delete)),
        never(Method::GET, "/v1/segments/new", get(not_allowed::new)),
        never(Method::GET, "/v1/segments/{segment}/edit", get(not_allowed::edit)),
        never(Method::POST, "/v1/segments/{segment}/action", post(not_allowed::action)),
        never(Method::GET, "/v1/segments/{segment}/hosts/new", get(not_allowed::new)),
        never(Method::GET, "/v1/segments/{segment}/hosts/{host}/edit", get(not_allowed::edit)),
        never(Method::GET, "/v1/notifications/new", get(not_allowed::new)),
        never(Method::GET, "/v1/notifications/{notification}/edit", get(not_allowed::edit)),
        never(Method::POST, "/v1/notifications/{notification}/action", post(not_allowed::action)),
        never(Method::GET, "/v1/notifications/{notification}/vmoves/new", get(not_allowed::new)),
        never(Method::GET, "/v1/notifications/{notification}/vmoves/{vmove}/edit", get(not_allowed::edit)),
        never(Method::GET, "/v1/extensions/new", get(not_allowed::new)),
        never(Method::GET, "/v1/extensions/{alias}/edit", get(not_allowed::edit)),
    ]
}

fn ruled(method: Method, path: &'static str, rule: &'static str, handler: MethodRouter<ApiState>) -> Route {
    Route {
        method,
        path,
        rule: Some(Rule(rule)),
        not_allowed: false,
        handler,
    }
}

fn open(method: Method, path: &'static str, handler: MethodRouter<ApiState>) -> Route {
    Route {
        method,
        path,
        rule: None,
        not_allowed: false,
        handler,
    }
}

fn never(method: Method, path: &'static str, handler: MethodRouter<ApiState>) -> Route {
    Route {
        not_allowed: true,
        ..open(method, path, handler)
    }
}
