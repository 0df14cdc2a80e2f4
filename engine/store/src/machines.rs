//! The machines that hosts' devices are known to switch.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Set,
};
use tachi_domain::Timestamp;
use tachi_domain::machine_id::{KnownMachine, MachineId};
use tachi_domain::recovery::Life;
use tachi_engine::ports::JournalError;
use tachi_engine::ports::machines::{Entry, MachineLine, Machines, NewMachine};

use crate::convert::Cell;
use crate::database::Database;
use crate::entity::fence_machine::{ActiveModel, Column, Entity, Model};
use crate::entity::{host as host_table, recovery};
use crate::error::{Failure, Stop, is_unique_violation};
use crate::transaction::{Transaction, Tx, TxOutcome};

/// The table of the machines behind the fence devices of hosts.
#[derive(Clone)]
pub struct MachineTable {
    db: Database,
}

impl MachineTable {
    pub(crate) fn of(db: &Database) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl Machines for MachineTable {
    async fn known_of(
        &self,
        devices: &[(&str, String, Option<&MachineId>)],
    ) -> Result<Vec<Entry>, JournalError> {
        let read = match devices {
            [(host, device, answers)] => known(self.db.reader(), host, device, *answers)
                .await
                .map(|entry| vec![entry]),
            _ => known_of(self.db.reader(), devices).await,
        };
        read.map_err(|stop| stop.journal("reading the machines behind the fence devices"))
    }

    async fn register(&self, new: &[NewMachine]) -> Result<usize, JournalError> {
        let register = RegisterMachines {
            new,
            now: self.db.now(),
        };
        let recorded = self.db.write(&register).await;
        recorded.map_err(|stop| stop.journal("storing new machines behind the fence devices"))
    }

    async fn note(
        &self,
        host: &str,
        device: &str,
        foreign: Option<Option<&MachineId>>,
    ) -> Result<(), JournalError> {
        let note = Note {
            place: (host, device),
            answers: foreign.map(|machine| machine.map(ToString::to_string).unwrap_or_default()),
            now: self.db.now(),
        };
        let noted = self.db.write(&note).await;
        noted.map_err(|stop| stop.journal("storing the machine behind a fence device"))
    }

    async fn confirm(
        &self,
        host: &str,
        device: &str,
        (was, is): (Option<&MachineId>, Option<&MachineId>),
        by: &str,
    ) -> Result<bool, JournalError> {
        let confirm = Confirm {
            place: (host, device),
            was: was.map(ToString::to_string),
            is: is.map(ToString::to_string),
            by,
            now: self.db.now(),
        };
        let confirmed = self.db.write(&confirm).await;
        confirmed.map_err(|stop| stop.journal("confirming the machine behind a fence device"))
    }

    async fn machines(&self) -> Result<Vec<MachineLine>, JournalError> {
        let read = lines(&self.db).await;
        read.map_err(|stop| stop.journal("reading the machines behind the fence devices"))
    }
}

type HostDevice<'a> = (&'a str, &'a str);

async fn row(
    db: &impl sea_orm::ConnectionTrait,
    (host, device): HostDevice<'_>,
) -> Result<Option<Model>, Stop> {
    let found = Entity::find()
        .filter(Column::Host.eq(host))
        .filter(Column::Device.eq(device));
    Ok(found.one(db).await?)
}

async fn known(
    db: &impl sea_orm::ConnectionTrait,
    host: &str,
    device: &str,
    answers: Option<&MachineId>,
) -> Result<Entry, Stop> {
    let row = row(db, (host, device)).await?;
    let other_hosts = match answers {
        Some(machine) => other_devices(db, host, machine).await?,
        None => Vec::new(),
    };
    Ok(entry(row.as_ref(), other_hosts)?)
}

/// Reads the entries of several devices with two queries. Both tables are read completely: they have a row per device
/// and host, and the caller asks about hundreds of devices.
async fn known_of(
    db: &impl sea_orm::ConnectionTrait,
    devices: &[(&str, String, Option<&MachineId>)],
) -> Result<Vec<Entry>, Stop> {
    let rows = Entity::find().all(db).await?;
    let registered: Vec<String> = host_table::Entity::find()
        .select_only()
        .column(host_table::Column::Name)
        .filter(host_table::Column::Deleted.eq(0))
        .into_tuple()
        .all(db)
        .await?;
    let registered: BTreeSet<String> = registered.into_iter().collect();
    let mut by_place: HashMap<HostDevice<'_>, &Model> = HashMap::with_capacity(rows.len());
    let mut by_machine: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for row in &rows {
        by_place.insert((&row.host, &row.device), row);
        // By the expected machine or, if there is none, by the one that responds.
        if let Some(machine) = row.machine.as_deref().or(row.answers.as_deref())
            && registered.contains(&row.host)
        {
            by_machine.entry(machine).or_default().insert(&row.host);
        }
    }
    let entries = devices.iter().map(|(host, device, answers)| {
        let row = by_place.get(&(*host, device.as_str())).copied();
        let machine = answers.map(ToString::to_string);
        let hosts = machine.and_then(|machine| by_machine.get(machine.as_str()));
        let others = hosts.into_iter().flatten().filter(|name| *name != host);
        entry(row, others.map(|name| (*name).to_owned()).collect())
    });
    Ok(entries.collect::<Result<_, _>>()?)
}

fn entry(row: Option<&Model>, elsewhere: Vec<String>) -> Result<Entry, Failure> {
    let Some(row) = row else {
        let known = KnownMachine {
            elsewhere,
            ..KnownMachine::default()
        };
        return Ok(Entry { known, noted: false });
    };
    Ok(Entry {
        noted: row.answers.is_some(),
        known: KnownMachine {
            expected: machine(row, "machine", row.machine.as_deref())?,
            confirmed: row.said_by.is_some(),
            elsewhere,
        },
    })
}

/// Returns the other registered hosts with this machine: by the machine expected of their devices or, if there is none,
/// by the one that responds.
async fn other_devices(
    db: &impl sea_orm::ConnectionTrait,
    host: &str,
    machine: &MachineId,
) -> Result<Vec<String>, Stop> {
    let machine = machine.to_string();
    let unknown = Condition::all()
        .add(Column::Machine.is_null())
        .add(Column::Answers.eq(&machine));
    let named: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Host)
        .filter(Column::Host.ne(host))
        .filter(Condition::any().add(Column::Machine.eq(&machine)).add(unknown))
        .into_tuple()
        .all(db)
        .await?;
    if named.is_empty() {
        return Ok(named);
    }
    // Hosts that were deleted do not count, because their machines return under other names.
    let mut registered: Vec<String> = host_table::Entity::find()
        .select_only()
        .column(host_table::Column::Name)
        .filter(host_table::Column::Name.is_in(named))
        .filter(host_table::Column::Deleted.eq(0))
        .into_tuple()
        .all(db)
        .await?;
    registered.sort_unstable();
    Ok(registered)
}

fn machine(row: &Model, column: &'static str, text: Option<&str>) -> Result<Option<MachineId>, Failure> {
    let cell = Cell {
        table: "fence_machine",
        row: &row.host,
        column,
    };
    text.map(|text| cell.parse(text, |text| text.parse().ok()))
        .transpose()
}

struct RegisterMachines<'a> {
    new: &'a [NewMachine],
    now: Timestamp,
}

#[async_trait]
impl Transaction for RegisterMachines<'_> {
    type Output = usize;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<usize>, Stop> {
        let busy: Vec<String> = recovery::Entity::find()
            .select_only()
            .column(recovery::Column::HostName)
            .filter(recovery::Column::Life.ne(Life::Closed.as_str()))
            .into_tuple()
            .all(tx)
            .await?;
        let busy: BTreeSet<String> = busy.into_iter().collect();
        let mut recorded = 0;
        for line in self.new {
            let place = (line.host.as_str(), line.device.as_str());
            let before = row(tx, place).await?;
            let known = before.as_ref().is_some_and(|row| row.machine.is_some());
            if known
                || busy.contains(&line.host)
                || !other_devices(tx, &line.host, &line.machine).await?.is_empty()
            {
                continue;
            }
            let written = put(tx, place, before, |row| {
                row.machine = Set(Some(line.machine.to_string()));
                row.since = Set(self.now.micros());
                row.answers = Set(None);
                row.answered_at = Set(None);
            });
            match written.await {
                // Another engine is storing machines at the same time; the next round stores the rest.
                Err(Stop::Failed(Failure::Db(error))) if is_unique_violation(&error) => {
                    return Ok(TxOutcome::Undo(0));
                }
                written => written?,
            }
            recorded += 1;
        }
        Ok(TxOutcome::Keep(recorded))
    }
}

struct Note<'a> {
    place: HostDevice<'a>,
    answers: Option<String>,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Note<'_> {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<()>, Stop> {
        let before = row(tx, self.place).await?;
        let noted = before.as_ref().and_then(|row| row.answers.clone());
        if noted == self.answers {
            return Ok(TxOutcome::Undo(()));
        }
        let written = put(tx, self.place, before, |row| {
            row.answered_at = Set(self.answers.is_some().then_some(self.now.micros()));
            row.answers = Set(self.answers.clone());
        });
        match written.await {
            Err(Stop::Failed(Failure::Db(error))) if is_unique_violation(&error) => Ok(TxOutcome::Undo(())),
            written => written.map(TxOutcome::Keep),
        }
    }
}

struct Confirm<'a> {
    place: HostDevice<'a>,
    was: Option<String>,
    is: Option<String>,
    by: &'a str,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Confirm<'_> {
    type Output = bool;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<bool>, Stop> {
        let before = row(tx, self.place).await?;
        let was = before.as_ref().and_then(|row| row.machine.clone());
        if was != self.was {
            return Ok(TxOutcome::Undo(false));
        }
        if self.is.is_none() {
            if let Some(row) = before {
                Entity::delete_by_id(row.id).exec(tx).await?;
            }
            return Ok(TxOutcome::Keep(true));
        }
        put(tx, self.place, before, |row| {
            row.machine = Set(self.is.clone());
            row.since = Set(self.now.micros());
            row.said_by = Set(Some(self.by.chars().take(255).collect()));
            row.before = Set(was);
            row.answers = Set(None);
            row.answered_at = Set(None);
        })
        .await?;
        Ok(TxOutcome::Keep(true))
    }
}

/// Changes the row of a device, or creates it.
async fn put(
    tx: &Tx,
    (host, device): HostDevice<'_>,
    before: Option<Model>,
    change: impl FnOnce(&mut ActiveModel),
) -> Result<(), Stop> {
    if let Some(row) = before {
        let mut row = ActiveModel::from(row);
        change(&mut row);
        row.update(tx).await?;
        return Ok(());
    }
    let mut row = ActiveModel {
        host: Set(host.to_owned()),
        device: Set(device.to_owned()),
        since: Set(0),
        ..Default::default()
    };
    change(&mut row);
    row.insert(tx).await?;
    Ok(())
}

async fn lines(db: &Database) -> Result<Vec<MachineLine>, Stop> {
    let rows = Entity::find()
        .order_by_asc(Column::Host)
        .order_by_asc(Column::Device)
        .all(db.reader())
        .await?;
    let line = |row: Model| {
        let answers = row.answers.as_deref();
        let answered_at = Timestamp::from_micros(row.answered_at.unwrap_or_default());
        let foreign = machine(&row, "answers", answers.filter(|text| !text.is_empty()))?;
        Ok::<_, Failure>(MachineLine {
            machine: machine(&row, "machine", row.machine.as_deref())?,
            foreign: answers.map(|_| (foreign, answered_at)),
            since: Timestamp::from_micros(row.since),
            said_by: row.said_by,
            host: row.host,
            device: row.device,
        })
    };
    Ok(rows.into_iter().map(line).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests;
