//! `tachi status`.

pub(crate) mod roll;
mod seen;
mod tree;

use std::io::IsTerminal as _;
use std::time::Duration;

use tachi_engine::ports::machines::MachineLine;
use tachi_engine::ports::operator::MoveFilter;
use tachi_engine::ports::{Machines as _, OperatorDesk as _, Roll as _};

use self::seen::{Fencing, Seen};
use super::{Failure, command_settings};
use crate::cli::{Format, StatusArgs};
use crate::out;
use crate::settings::Settings;
use crate::wiring::{Base, existing};

/// Between two looks of `--watch`.
const LOOK: Duration = Duration::from_secs(2);

/// Clears a terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Says what is protected, what is not and why, and what is going on.
pub(crate) async fn run(args: StatusArgs) -> Result<u8, Failure> {
    let settings = command_settings(&args.config)?;
    let base = existing(&settings).await?;
    loop {
        let looked = look(&settings, &base).await;
        if args.watch && std::io::stdout().is_terminal() {
            out::line(CLEAR);
        }
        match looked {
            Ok(seen) => match args.format {
                Format::Table => tree::lines(&seen, args.all_hosts).iter().for_each(out::line),
                Format::Json => out::line(tree::as_json(&seen).to_string()),
            },
            // Who watches wants to see the database come back too.
            Err(error) if args.watch => out::note(format!("tachi: {}; trying again", error.chain())),
            Err(error) => return Err(error),
        }
        if !args.watch {
            return Ok(crate::DONE);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(settings: &Settings, base: &Base) -> Result<Seen, Failure> {
    let wrong = |error| Failure::new("reading the database", error);
    let segments = base.store.region().await.map_err(wrong)?;
    let hosts = segments.iter().flat_map(|view| &view.hosts);
    let hosts: Vec<&str> = hosts.map(|view| view.host.name.as_str()).collect();
    let machines = base.store.machines().await.map_err(wrong)?;
    let here = |line: &MachineLine| line.foreign.is_some() && hosts.contains(&line.host.as_str());
    let mut fencing = fencing_of(settings).of(&hosts, settings);
    fencing.foreign = machines.into_iter().filter(here).collect();
    Ok(Seen {
        now: base.clock.wall(),
        fencing,
        database: settings.database.to_string(),
        segments,
        recoveries: base.store.recoveries(false).await.map_err(wrong)?,
        waiting: base.store.moves(MoveFilter::NeedsPerson).await.map_err(wrong)?,
        engines: base.store.engines().await.map_err(wrong)?,
        backlog: base.store.backlog().await.map_err(wrong)?,
        doubted: base.store.doubted_reporters().await.map_err(wrong)?,
    })
}

pub(super) fn fencing_of(settings: &Settings) -> Fencing {
    Fencing {
        mode: settings.policy.fencing,
        device: settings.fencing.place(),
        bare_normal: settings.policy.bare_normal,
        trouble: None,
        without: Vec::new(),
        foreign: Vec::new(),
    }
}

impl Fencing {
    /// The same, with what the devices' file says of these hosts.
    fn of(self, hosts: &[&str], settings: &Settings) -> Self {
        if !self.mode.asks_devices() || self.device.is_none() {
            return self;
        }
        let topology = match settings.fencing.topology() {
            Ok(topology) => topology,
            Err(error) => {
                let trouble = Some(error.chain());
                return Self { trouble, ..self };
            }
        };
        let bare = hosts
            .iter()
            .filter(|host| topology.resolve(host).levels().is_empty());
        Self {
            without: bare.map(|host| (*host).to_owned()).collect(),
            ..self
        }
    }
}
