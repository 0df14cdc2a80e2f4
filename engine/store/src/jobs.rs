//! Scheduled jobs of engines. The start of a run increments its number in a counted update, so that of two engines only
//! one succeeds.

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, Set};
use tachi_domain::Timestamp;
use tachi_domain::situation::Severity;
use tachi_engine::ports::{JobEnd, JobLine, Jobs, JournalError};
use tracing::instrument;

use crate::convert::{Cell, signed};
use crate::database::Database;
use crate::entity::job::{ActiveModel, Column, Entity, Model};
use crate::error::{Failure, Stop, is_unique_violation};
use crate::transaction::{Transaction, Tx, TxOutcome};

#[derive(Clone)]
pub struct JobTable {
    db: Database,
}

impl JobTable {
    pub(crate) fn of(db: &Database) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl Jobs for JobTable {
    #[instrument(name = "store::jobs", level = "debug", skip_all)]
    async fn jobs(&self) -> Result<Vec<JobLine>, JournalError> {
        let read = list(&self.db).await;
        read.map_err(|stop| stop.journal("reading the jobs"))
    }

    #[instrument(name = "store::begin_job", level = "debug", skip_all, fields(name))]
    async fn begin_job(
        &self,
        name: &str,
        last_run: u64,
        due: Option<Timestamp>,
        by: &str,
    ) -> Result<bool, JournalError> {
        let now = self.db.now();
        let begin = Begin {
            name,
            last_run,
            due,
            by,
            now,
        };
        let begun = self.db.write(&begin).await;
        begun.map_err(|stop| stop.journal("starting a job"))
    }

    #[instrument(name = "store::end_job", level = "debug", skip_all, fields(name, run))]
    async fn end_job(
        &self,
        name: &str,
        run: u64,
        grade: Severity,
        details: &str,
    ) -> Result<bool, JournalError> {
        let end = End {
            name,
            run,
            result: JobEnd {
                at: self.db.now(),
                grade,
                details: details.to_owned(),
            },
        };
        let ended = self.db.write(&end).await;
        ended.map_err(|stop| stop.journal("storing the result of a job"))
    }
}

async fn list(db: &Database) -> Result<Vec<JobLine>, Stop> {
    let rows = Entity::find().order_by_asc(Column::Name).all(db.reader()).await?;
    let lines = rows.iter().map(line);
    Ok(lines.collect::<Result<_, _>>()?)
}

fn line(row: &Model) -> Result<JobLine, Failure> {
    let cell = |column| Cell {
        table: "tachi_job",
        row: &row.name,
        column,
    };
    let end = match (row.ended_at, &row.grade) {
        (Some(at), Some(grade)) => Some(JobEnd {
            at: Timestamp::from_micros(at),
            grade: cell("grade").parse(grade, Severity::from_value)?,
            details: row.details.clone(),
        }),
        _ => None,
    };
    Ok(JobLine {
        run: cell("run").count(row.run)?,
        due: row.due_at.map(Timestamp::from_micros),
        begun_at: Timestamp::from_micros(row.begun_at),
        by: row.begun_by.clone(),
        end,
        good_at: row.good_at.map(Timestamp::from_micros),
        name: row.name.clone(),
    })
}

struct Begin<'a> {
    name: &'a str,
    last_run: u64,
    due: Option<Timestamp>,
    by: &'a str,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Begin<'_> {
    type Output = bool;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<bool>, Stop> {
        if self.last_run == 0 {
            let first = ActiveModel {
                name: Set(self.name.to_owned()),
                run: Set(1),
                due_at: Set(self.due.map(Timestamp::micros)),
                begun_at: Set(self.now.micros()),
                begun_by: Set(self.by.to_owned()),
                ended_at: Set(None),
                grade: Set(None),
                details: Set(String::new()),
                good_at: Set(None),
            };
            return match Entity::insert(first).exec_without_returning(tx).await {
                Ok(_) => Ok(TxOutcome::Keep(true)),
                Err(error) if is_unique_violation(&error) => Ok(TxOutcome::Undo(false)),
                Err(error) => Err(Stop::Failed(Failure::Db(error))),
            };
        }
        let run = signed("run", self.last_run)?;
        let mut begin = Entity::update_many()
            .col_expr(Column::Run, Expr::value(run.saturating_add(1)))
            .col_expr(Column::BegunAt, Expr::value(self.now.micros()))
            .col_expr(Column::BegunBy, Expr::value(self.by))
            .col_expr(Column::EndedAt, Expr::value(None::<i64>))
            .col_expr(Column::Grade, Expr::value(None::<String>))
            .col_expr(Column::Details, Expr::value(""))
            .filter(Column::Name.eq(self.name))
            .filter(Column::Run.eq(run));
        if let Some(due) = self.due {
            begin = begin.col_expr(Column::DueAt, Expr::value(due.micros()));
        }
        let written = begin.exec(tx).await?;
        Ok(TxOutcome::Keep(written.rows_affected == 1))
    }
}

struct End<'a> {
    name: &'a str,
    run: u64,
    result: JobEnd,
}

#[async_trait]
impl Transaction for End<'_> {
    type Output = bool;

    async fn run(&self, tx: &Tx) -> Result<TxOutcome<bool>, Stop> {
        let JobEnd { at, grade, details } = &self.result;
        let mut end = Entity::update_many()
            .col_expr(Column::EndedAt, Expr::value(at.micros()))
            .col_expr(Column::Grade, Expr::value(grade.as_str()))
            .col_expr(Column::Details, Expr::value(details.as_str()))
            .filter(Column::Name.eq(self.name))
            .filter(Column::Run.eq(signed("run", self.run)?))
            .filter(Column::EndedAt.is_null());
        if matches!(grade, Severity::Ok | Severity::Info | Severity::Warn) {
            end = end.col_expr(Column::GoodAt, Expr::value(at.micros()));
        }
        let ended = end.exec(tx).await?;
        Ok(TxOutcome::Keep(ended.rows_affected == 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    async fn only(table: &JobTable) -> JobLine {
        let mut all = table.jobs().await.unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[tokio::test]
    async fn one_of_two_starts_of_a_job_succeeds_and_an_end_belongs_to_its_run() {
        let bench = Bench::new().await;
        let (table, other) = (bench.store.jobs(), bench.another().await.jobs().clone());
        let due = Timestamp::from_micros(7);
        let (one, two) = tokio::join!(
            table.begin_job("doctor", 0, Some(due), "a"),
            other.begin_job("doctor", 0, Some(due), "b")
        );
        assert!(one.unwrap() ^ two.unwrap(), "the first run is one's alone");
        assert!(
            table
                .end_job("doctor", 1, Severity::Warn, "it's \"so\"\n\u{1F4A3}")
                .await
                .unwrap()
        );
        assert!(
            !other.end_job("doctor", 1, Severity::Ok, "").await.unwrap(),
            "it has ended"
        );
        let begun = bench.clock_wall();
        let line = only(table).await;
        assert_eq!((line.run, line.due, line.good_at), (1, Some(due), Some(begun)));
        assert_eq!(line.end.unwrap().details, "it's \"so\"\n\u{1F4A3}");

        bench.clock.set_wall_on(60);
        let (one, two) = tokio::join!(
            table.begin_job("doctor", 1, None, "c"),
            other.begin_job("doctor", 1, Some(Timestamp::from_micros(8)), "c")
        );
        assert!(one.unwrap() ^ two.unwrap(), "the second too");
        let line = only(table).await;
        assert_eq!((line.run, &*line.by, line.end), (2, "c", None));
        assert_eq!(line.begun_at, bench.clock_wall());
        assert!(
            !table.end_job("doctor", 1, Severity::Ok, "late").await.unwrap(),
            "of an older run"
        );
        assert!(table.end_job("doctor", 2, Severity::Err, "no").await.unwrap());
        let line = only(table).await;
        assert_eq!(line.good_at, Some(begun), "not what has failed");
        assert!(!table.begin_job("doctor", 1, None, "d").await.unwrap());
        assert!(
            !table.begin_job("purge", 3, None, "d").await.unwrap(),
            "there is no such job"
        );
    }

    #[tokio::test]
    async fn a_manual_start_keeps_the_scheduled_time() {
        let bench = Bench::new().await;
        let table = bench.store.jobs();
        let due = Some(Timestamp::from_micros(7));
        assert!(table.begin_job("purge", 0, due, "engine").await.unwrap());
        assert!(table.begin_job("purge", 1, None, "a person").await.unwrap());
        assert_eq!(only(table).await.due, due);
    }
}
