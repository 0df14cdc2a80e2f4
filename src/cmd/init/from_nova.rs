//! `tachi setup import`: segments and hosts from Nova. The command creates them with the requests that a client would send, to the API's
//! own router in this process: with the same checks, events and audit log lines.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use axum::http::Method;
use clap::ValueEnum as _;
use serde_json::{Value, json};
use tachi_api::QueryError;
use tachi_cli::arguments::{DEFAULT_ZONE, FromNovaArgs, Method as RecoveryMethod, SegmentRule};
use tachi_cli::out::answer::{self, ProgressReporter};
use tachi_cli::process_owner::who;
use tachi_cli::source;
use tachi_cli::source::Source as _;
use tachi_domain::guard::matches;
use tachi_domain::reserved::Aggregate;
use tachi_domain::{Timestamp, count};
use tachi_engine::SystemClock;
use tachi_engine::ports::operator::SegmentView;
use tachi_engine::ports::{Aggregates as _, CallError, Clock, CloudLists as _, OperatorJournal as _};
use tachi_fence::Fencers;
use tachi_openstack::Nova;
use tachi_operator::{Failure, FromNovaView, members};
use tachi_store::Store;

use crate::cmd::command_settings;
use crate::cmd::local::{LocalController, LocalOperation};
use crate::settings::{Fencing, Settings};
use crate::wiring;
use crate::wiring::{Base, failure_domains};

use plan::{Plan, lines};

pub(super) async fn run(args: FromNovaArgs) -> Result<u8, Failure> {
    let made = ["made".to_owned()];
    answer::accepts(&args.shape, members::<FromNovaView>().into_iter().chain(made))?;
    if let Some(api) = source::cloud(&args.source)? {
        let view = api.proposal(args.by, &args.default_zone).await?;
        let not_made = "nothing was created: run `tachi setup import --apply` on a controller";
        return print_plan(&view, &args, not_made, api.now());
    }
    let settings = command_settings(&args.source.config)?;
    let base = wiring::existing(&settings).await?;
    let racks = match args.by {
        SegmentRule::Rack => Some(racks(settings.surroundings.domains_file.as_deref())?),
        SegmentRule::Zone | SegmentRule::Aggregate => None,
    };
    let known = ExistingRecords::read(&settings, &base).await?.by(racks);
    let plan = known.plan(args.by, &args.default_zone);
    let view = plan.view(without_level(&settings.fencing, &known.hosts)?);
    let now = base.clock.wall();
    if plan.is_empty() || !args.apply {
        return print_plan(&view, &args, "nothing was created: add --apply", now);
    }
    let meanwhile = ProgressReporter::of(&args.shape, now);
    for line in lines(&view, args.method) {
        meanwhile.report(line);
    }
    let made = carry_out(settings, &base, &plan, args.method, COMMAND).await?;
    answer::object(
        &args.shape,
        now,
        || with_made(&view, made),
        |_| {
            let hosts = count(made, "host is in its segment", "hosts are in their segments");
            vec![format!("{hosts} now: see `tachi status`")]
        },
    )?;
    Ok(crate::DONE)
}

/// Shows what would be created, and if it is not created, what to do.
fn print_plan(
    view: &FromNovaView,
    args: &FromNovaArgs,
    not_made: &str,
    now: Timestamp,
) -> Result<u8, Failure> {
    answer::object(
        &args.shape,
        now,
        || with_made(view, 0),
        |_| {
            let end = if view.segments.is_empty() {
                Some("nothing to do")
            } else {
                (!args.apply).then_some(not_made)
            };
            let end = end.map(str::to_owned);
            lines(view, args.method).into_iter().chain(end).collect()
        },
    )?;
    Ok(crate::DONE)
}

/// Adds the number of created hosts, for programs.
fn with_made(view: &FromNovaView, made: usize) -> Value {
    let mut view = json!(view);
    if let Some(members) = view.as_object_mut() {
        members.insert("made".to_owned(), json!(made));
    }
    view
}

/// Returns what would be created, for the API. Nothing is created.
pub(crate) async fn proposal(
    store: &Store,
    nova: &Nova,
    (fencing, domains_file): (&Fencing, Option<&Path>),
    (by, default_zone): (&str, Option<&str>),
) -> Result<FromNovaView, QueryError> {
    let by = SegmentRule::from_str(by, false).map_err(QueryError::Refused)?;
    let racks = match by {
        SegmentRule::Rack => Some(racks(domains_file).map_err(|why| QueryError::Refused(why.chain()))?),
        SegmentRule::Zone | SegmentRule::Aggregate => None,
    };
    let known = ExistingRecords::ask(store, nova).await?.by(racks);
    // The devices' file belongs to the engine: the API's user need not be able to read it.
    let without = without_level(fencing, &known.hosts).unwrap_or_else(|why| {
        Some(format!(
            "the hosts with a fence level are not known here: {}",
            why.chain()
        ))
    });
    Ok(known.plan(by, default_zone.unwrap_or(DEFAULT_ZONE)).view(without))
}

/// Plans segments for hosts that are in none: by aggregate if only that leaves the segments as
/// they are, else by zone.
pub(in crate::cmd) async fn missing(settings: &Settings, base: &Base) -> Result<MissingHosts, Failure> {
    let known = ExistingRecords::read(settings, base).await?;
    let by_zone = known.plan(SegmentRule::Zone, DEFAULT_ZONE);
    if by_zone.adds_only() {
        return Ok(MissingHosts(by_zone));
    }
    let by_aggregate = known.plan(SegmentRule::Aggregate, DEFAULT_ZONE);
    Ok(MissingHosts(
        if by_aggregate.adds_only() && by_aggregate.places() == by_zone.places() {
            by_aggregate
        } else {
            by_zone
        },
    ))
}

/// Hosts that are in no segment, with their planned segments.
pub(in crate::cmd) struct MissingHosts(Plan);

impl MissingHosts {
    pub(in crate::cmd) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::cmd) fn lines(&self) -> Vec<String> {
        lines(&self.0.view(None), RecoveryMethod::Auto)
    }

    /// Puts them into their segments; returns their number.
    pub(in crate::cmd) async fn put(
        &self,
        settings: Settings,
        base: &Base,
        command: &str,
    ) -> Result<usize, Failure> {
        carry_out(settings, base, &self.0, RecoveryMethod::Auto, command).await
    }
}

/// Name of `tachi setup import` in the audit log.
const COMMAND: &str = "tachi setup import";

/// Does the same as `--apply`, without output, for our own region; returns the number of created hosts.
pub(in crate::cmd) async fn protect_all(settings: Settings, base: &Base) -> Result<usize, Failure> {
    let plan = ExistingRecords::read(&settings, base)
        .await?
        .plan(SegmentRule::Zone, DEFAULT_ZONE);
    if plan.is_empty() {
        return Ok(0);
    }
    carry_out(settings, base, &plan, RecoveryMethod::Auto, COMMAND).await
}

/// The racks of the configuration, each with the patterns of its hosts.
struct Racks(BTreeMap<String, Vec<String>>);

/// Prefix of failure domains that are racks.
const RACK: &str = "rack:";

/// Reads the racks; fails if there are none: an operator who asks for segments by rack must not get others.
fn racks(domains_file: Option<&Path>) -> Result<Racks, Failure> {
    let Some(file) = domains_file else {
        return Err(Failure::usage(
            "--by rack: no file lists the racks: write lines such as `rack:r7 = compute-01 compute-02` into a \
             file, and name it in [fencing] storm_failure_domains_file",
        ));
    };
    let domains = failure_domains::read(file);
    let domains = domains.map_err(|why| Failure::usage(format!("--by rack: {}: {why}", file.display())))?;
    let racks = domains.into_iter().filter_map(|(name, patterns)| {
        let name = name.strip_prefix(RACK)?;
        Some((name.to_owned(), patterns))
    });
    let racks: BTreeMap<_, _> = racks.collect();
    if racks.is_empty() {
        return Err(Failure::usage(format!(
            "--by rack: no line of {} names a rack: write lines such as `rack:r7 = compute-01 compute-02`",
            file.display()
        )));
    }
    Ok(Racks(racks))
}

impl Racks {
    /// Returns the racks as aggregates of these hosts.
    fn on(&self, hosts: &BTreeSet<String>) -> Vec<Aggregate> {
        let rack = |(name, patterns): (&String, &Vec<String>)| Aggregate {
            id: 0,
            name: name.clone(),
            zone: None,
            hosts: {
                let fits = |host: &&String| patterns.iter().any(|pattern| matches(pattern, host));
                hosts.iter().filter(fits).cloned().collect()
            },
            metadata: BTreeMap::new(),
        };
        self.0.iter().map(rack).collect()
    }
}

/// The hosts and aggregates of Nova, and the existing segments.
struct ExistingRecords {
    hosts: BTreeSet<String>,
    aggregates: Vec<Aggregate>,
    region: Vec<SegmentView>,
}

impl ExistingRecords {
    async fn read(settings: &Settings, base: &Base) -> Result<Self, Failure> {
        let nova = wiring::nova(settings, &base.clock).await?;
        Self::ask(&base.store, &nova).await.map_err(|why| match why {
            QueryError::Unknown(text) | QueryError::Refused(text) | QueryError::Marker(text) => {
                Failure::from_text(text)
            }
            QueryError::Unavailable { what, source, .. } => Failure::new(what, source),
        })
    }

    async fn ask(store: &Store, nova: &Nova) -> Result<Self, QueryError> {
        let unavailable = |what| {
            move |error: CallError| QueryError::Unavailable {
                service: "Nova",
                what,
                source: Box::new(error),
            }
        };
        let services = nova
            .services()
            .await
            .map_err(unavailable("listing Nova's services"))?;
        let aggregates = nova.aggregates().await;
        let aggregates = aggregates.map_err(unavailable("listing Nova's aggregates"))?;
        let region = store.operator_journal().region().await;
        let region = region.map_err(|error| QueryError::Unavailable {
            service: "The database",
            what: "reading the segments",
            source: Box::new(error),
        })?;
        let hosts: BTreeSet<String> = services.computes.into_keys().collect();
        if hosts.is_empty() {
            return Err(QueryError::Refused(
                "Nova has no compute service: there is nothing to protect yet".to_owned(),
            ));
        }
        Ok(Self {
            hosts,
            aggregates,
            region,
        })
    }

    /// Replaces the aggregates by the racks, if there are any.
    fn by(mut self, racks: Option<Racks>) -> Self {
        if let Some(racks) = racks {
            self.aggregates = racks.on(&self.hosts);
        }
        self
    }

    fn plan(&self, by: SegmentRule, default_zone: &str) -> Plan {
        Plan::of(by, default_zone, &self.hosts, &self.aggregates, &self.region)
    }
}

/// Creates the planned objects; returns the number of created hosts.
async fn carry_out(
    settings: Settings,
    base: &Base,
    plan: &Plan,
    method: RecoveryMethod,
    command: &str,
) -> Result<usize, Failure> {
    let doing = LocalOperation {
        by: &who(None)?,
        command,
        host: "",
        intent: "creates segments and hosts from Nova",
        not_done: "nothing was created",
    };
    let operator_journal = LocalController::open(settings, base, &doing).await?;
    let mut made = 0;
    let ended = make(&operator_journal, plan, method.as_str(), &mut made).await;
    let done = count(made, "host was created", "hosts were created");
    operator_journal.close(&done, ended.is_err()).await;
    ended.map_err(|error| error.below(&format!("{done}, and the command can be run again for the rest")))?;
    Ok(made)
}

/// Creates the planned objects and counts the hosts.
async fn make(
    operator_journal: &LocalController,
    plan: &Plan,
    method: &str,
    count: &mut usize,
) -> Result<(), Failure> {
    for segment in &plan.segments {
        let id = if let Some(id) = &segment.id {
            id.to_string()
        } else {
            let body = json!({"segment": {
                "name": segment.name, "recovery_method": method, "service_type": "COMPUTE",
            }});
            let made = operator_journal.ask(Method::POST, "/v1/segments", &body).await;
            let made =
                made.map_err(|why| Failure::from_text(format!("creating segment {}: {why}", segment.name)))?;
            let id = made["segment"]["uuid"].as_str().map(str::to_owned);
            id.ok_or_else(|| Failure::from_text("the API has created a segment but did not return its id"))?
        };
        for host in &segment.hosts {
            let body = json!({"host": {"name": host, "type": "COMPUTE", "control_attributes": "SSH"}});
            let made = operator_journal
                .ask(Method::POST, &format!("/v1/segments/{id}/hosts"), &body)
                .await;
            made.map_err(|why| Failure::from_text(format!("creating host {host}: {why}")))?;
            *count += 1;
        }
    }
    Ok(())
}

/// Lists the hosts that no device can switch off; `None` if every host has a level.
fn without_level(fencing: &Fencing, hosts: &BTreeSet<String>) -> Result<Option<String>, Failure> {
    if !fencing.is_configured() {
        return Ok(Some(
            "no fence device is configured, so Tachi cannot confirm any host off".to_owned(),
        ));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let fencers = Fencers::new(fencing.topology()?, clock);
    let bare: Vec<&str> = hosts
        .iter()
        .map(String::as_str)
        .filter(|host| fencers.resolve(host).levels().is_empty())
        .collect();
    Ok((!bare.is_empty()).then(|| {
        format!(
            "fence levels: {} of {} have one; none: {}",
            hosts.len() - bare.len(),
            count(hosts.len(), "host", "hosts"),
            bare.join(", ")
        )
    }))
}
