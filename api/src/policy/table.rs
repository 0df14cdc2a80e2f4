//! The policy rules: names, defaults and descriptions. Defaults, the sample file and the documentation use this list.

use tachi_policy::{Operation, RuleDefault};

const ADMIN: &str = "rule:admin_api";
const READERS: &str =
    "rule:admin_api or (role:reader and is_service_project:True and not role:masakari_monitor)";
const CREATE: &str = "rule:os_masakari_api:notifications:create";
const EVERY_CALLER: &str = "@";
const READING: &str =
    "(rule:admin_api or (role:reader and is_service_project:True)) and not role:masakari_monitor";
const OPERATORS: &str = "rule:admin_api and not role:masakari_monitor";
const BOOT_GUARD_CALLERS: &str = "rule:admin_api or role:service or role:masakari_monitor";

/// Returns all rules of this API.
pub const fn policy_rules() -> &'static [RuleDefault] {
    RULES
}

const fn op(method: &'static str, path: &'static str) -> Operation {
    Operation { method, path }
}

const SEGMENTS: &str = "/v1/segments";
const SEGMENT: &str = "/v1/segments/{segment}";
const HOSTS: &str = "/v1/segments/{segment}/hosts";
const HOST: &str = "/v1/segments/{segment}/hosts/{host}";
const NOTIFICATIONS: &str = "/v1/notifications";
const NOTIFICATION: &str = "/v1/notifications/{notification}";
const VMOVES: &str = "/v1/notifications/{notification}/vmoves";
const VMOVE: &str = "/v1/notifications/{notification}/vmoves/{vmove}";
const MONITOR: &str = "/v1/monitors/{hostname}/{kind}";
const BOOT_GUARD: &str = "/v1/boot-guard/{hostname}";
const EXTENSIONS: &str = "/v1/extensions";
const EXTENSION: &str = "/v1/extensions/{alias}";
const SITUATION: &str = "/operator/v1/situation";
const FINDINGS: &str = "/operator/v1/findings";
const FORECAST: &str = "/operator/v1/forecast";
const SCHEDULE: &str = "/operator/v1/schedule";
const EVENTS: &str = "/operator/v1/events";
const HOSTS_PATH: &str = "/operator/v1/hosts";
const OF_HOST: &str = "/operator/v1/hosts/{hostname}/explanation";
const HOST_PAST: &str = "/operator/v1/hosts/{hostname}/past";
const OF_INSTANCE: &str = "/operator/v1/instances/{instance}/explanation";
const RECOVERIES: &str = "/operator/v1/recoveries";
const RECOVERY: &str = "/operator/v1/recoveries/{recovery}";
const ACTIONS_PATH: &str = "/operator/v1/words";
const HOSTED: &str = "/operator/v1/hosted-instances";
const INSTANCES_PATH: &str = "/operator/v1/instances";
const FAILURE: &str = "/operator/v1/hosts/{hostname}/failure";
const DRAIN: &str = "/operator/v1/hosts/{hostname}/drain";
const GIVEBACK: &str = "/operator/v1/hosts/{hostname}/giveback";
const REPORT: &str = "/operator/v1/recoveries/{recovery}/report";
const RETRY: &str = "/operator/v1/recoveries/{recovery}/retry";
const AUDIT: &str = "/operator/v1/audit";
const FROM_NOVA: &str = "/operator/v1/from-nova";
const RETURN: &str = "/operator/v1/hosts/{hostname}/return";
const REPORTERS: &str = "/operator/v1/reporters";
const LIFT: &str = "/operator/v1/reporters/{reporter}/lift";
const FORGET: &str = "/operator/v1/monitors/{hostname}/{kind}";
const FREEZES: &str = "/operator/v1/freezes";
const FREEZE: &str = "/operator/v1/freezes/{freeze}";

#[rustfmt::skip] // A rule each.
const RULES: &[RuleDefault] = &[
    RuleDefault::new("context_is_admin", "role:admin",
        "The administrators: callers that the check is_admin:True admits, and with it every unchanged rule.", &[]),
    RuleDefault::new("admin_or_owner", "is_admin:True or project_id:%(project_id)s",
        "An administrator, or any caller with a token for a project. No default uses it.", &[]),
    RuleDefault::new("admin_api", "is_admin:True",
        "An administrator. The rules below refer to it.", &[]),

    RuleDefault::new("os_masakari_api:segments:index", READERS,
        "List failover segments.", &[op("GET", SEGMENTS)]),
    RuleDefault::new("os_masakari_api:segments:detail", READERS,
        "Show a failover segment.", &[op("GET", SEGMENT)]),
    RuleDefault::new("os_masakari_api:segments:create", ADMIN,
        "Create a failover segment.", &[op("POST", SEGMENTS)]),
    RuleDefault::new("os_masakari_api:segments:update", ADMIN,
        "Change a failover segment: its name, its recovery method, or whether it is enabled.", &[op("PUT", SEGMENT)]),
    RuleDefault::new("os_masakari_api:segments:delete", ADMIN,
        "Delete a failover segment with its hosts.", &[op("DELETE", SEGMENT)]),
    RuleDefault::new("os_masakari_api:segments:discoverable", ADMIN,
        "See segments in the list of extensions.", &[]),

    RuleDefault::new("os_masakari_api:os-hosts:index", READERS,
        "List the hosts of a segment.", &[op("GET", HOSTS)]),
    RuleDefault::new("os_masakari_api:os-hosts:detail", READERS,
        "Show a host.", &[op("GET", HOST)]),
    RuleDefault::new("os_masakari_api:os-hosts:create", ADMIN,
        "Add a host to a segment.", &[op("POST", HOSTS)]),
    RuleDefault::new("os_masakari_api:os-hosts:update", ADMIN,
        "Change a host: reserve it, or set or clear its maintenance.", &[op("PUT", HOST)]),
    RuleDefault::new("os_masakari_api:os-hosts:delete", ADMIN,
        "Remove a host from a segment.", &[op("DELETE", HOST)]),
    RuleDefault::new("os_masakari_api:os-hosts:discoverable", ADMIN,
        "See hosts in the list of extensions.", &[]),

    RuleDefault::new("os_masakari_api:notifications:index", READERS,
        "List notifications.", &[op("GET", NOTIFICATIONS)]),
    RuleDefault::new("os_masakari_api:notifications:detail", READERS,
        "Show a notification and the progress of its recovery.", &[op("GET", NOTIFICATION)]),
    RuleDefault::new("os_masakari_api:notifications:create", ADMIN,
        "Report a failure, as monitors do. Add \" or role:masakari_monitor\" for a user of monitors without other \
         permissions.", &[op("POST", NOTIFICATIONS)]),
    RuleDefault::new("os_masakari_api:notifications:create:compute_host", CREATE,
        "Report a failed host. %(hostname)s, %(type)s, %(user_name)s and %(bound_host)s are available in this rule \
         and the next two: the host and type of the report, the reporter, and the host that the reporter is bound \
         to.", &[op("POST", NOTIFICATIONS)]),
    RuleDefault::new("os_masakari_api:notifications:create:process", CREATE,
        "Report a failed process.", &[op("POST", NOTIFICATIONS)]),
    RuleDefault::new("os_masakari_api:notifications:create:vm", CREATE,
        "Report a failed instance.", &[op("POST", NOTIFICATIONS)]),
    RuleDefault::new("os_masakari_api:notifications:discoverable", ADMIN,
        "See notifications in the list of extensions.", &[]),

    RuleDefault::new("os_masakari_api:vmoves:index", READERS,
        "List the moves of instances that a notification caused.", &[op("GET", VMOVES)]),
    RuleDefault::new("os_masakari_api:vmoves:detail", READERS,
        "Show a move.", &[op("GET", VMOVE)]),
    RuleDefault::new("os_masakari_api:vmoves:discoverable", ADMIN,
        "See moves in the list of extensions.", &[]),

    RuleDefault::new("os_masakari_api:extensions:index", ADMIN,
        "List extensions.", &[op("GET", EXTENSIONS)]),
    RuleDefault::new("os_masakari_api:extensions:detail", ADMIN,
        "Show an extension.", &[op("GET", EXTENSION)]),
    RuleDefault::new("os_masakari_api:extensions:discoverable", ADMIN,
        "See extensions in the list of extensions.", &[]),

    RuleDefault::new("os_masakari_api:versions:index", EVERY_CALLER,
        "Exists for Masakari's policy files; no code uses it, because the list of versions needs no rule.", &[]),
    RuleDefault::new("os_masakari_api:versions:discoverable", EVERY_CALLER,
        "See versions in the list of extensions.", &[]),

    RuleDefault::new("os_masakari_api:operator:read", READING,
        "See what `tachi status`, `tachi forecast`, `tachi show`, `tachi recovery`, `tachi instance \
         list`, `tachi freeze list`, `tachi jobs list`, `tachi monitor list --muted`, `tachi audit show`, \
         `tachi host return` and `tachi setup import` show: an administrator, or a reader of the project of Tachi's \
         own user ([keystone_authtoken] project_name). Not for monitors.",
        &[op("GET", SITUATION), op("GET", FINDINGS), op("GET", FORECAST), op("GET", SCHEDULE), op("GET", EVENTS), op("GET", HOSTS_PATH), op("GET", OF_HOST), op("GET", HOST_PAST), op("GET", OF_INSTANCE),
            op("GET", RECOVERIES), op("GET", RECOVERY), op("GET", REPORT), op("GET", HOSTED), op("GET", INSTANCES_PATH), op("GET", FREEZES), op("GET", FAILURE), op("GET", DRAIN),
            op("GET", GIVEBACK), op("GET", REPORTERS),
            op("GET", AUDIT), op("GET", RETURN), op("GET", FROM_NOVA)]),
    RuleDefault::new("os_masakari_api:operator:act", OPERATORS,
        "Approve, abort and retry recoveries and resolve their instances; freeze and thaw; drain hosts and return \
         instances to them; unmute reporters and remove monitors. Not for monitors.",
        &[op("POST", ACTIONS_PATH), op("POST", FREEZES), op("DELETE", FREEZE), op("POST", DRAIN), op("POST", GIVEBACK),
            op("POST", RETRY), op("POST", LIFT), op("DELETE", FORGET)]),
    RuleDefault::new("os_masakari_api:operator:power", OPERATORS,
        "Report that a host is dead: the engine cuts its power before its instances are recovered. All other power \
         actions need `tachi fence` on a controller. Not for monitors.", &[op("POST", FAILURE)]),
    RuleDefault::new("os_masakari_api:operator:vouch", OPERATORS,
        "With operator:act: confirm that an instance does not run on a host where it might. A wrong confirmation \
         makes it run twice. Not for monitors.", &[]),

    RuleDefault::new("tachi:boot-guard:detail", BOOT_GUARD_CALLERS,
        "Query whether nova-compute on a host may start, as the boot guard of a hypervisor does. The answer contains \
         the id of a recovery and no other data.", &[op("GET", BOOT_GUARD)]),
    RuleDefault::new("tachi:monitors:sign", BOOT_GUARD_CALLERS,
        "Record a monitor's heartbeat and the hosts that it watches; monitors send it every 10 s. A monitor that is \
         bound to a host may do so for that host only.", &[op("PUT", MONITOR)]),
    RuleDefault::new("tachi:evidence:create", ADMIN,
        "Send fence evidence in the header X-Tachi-Fence-Evidence of a notification. \
         Never give this to monitors on compute hosts: a caller that may report a host as off can make its instances \
         run twice. The header of any other caller is ignored.", &[]),
];
