//! A connection or transaction that adapts statements and responses to each database.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
    StreamTrait as _,
};

use crate::failure_kind::FailureKind;
use crate::server::{ANSWER_TIMEOUT, Health};
use crate::sqlite;

/// A wrapper of a connection that no statement can bypass. On `SQLite` it adapts the form of times, see
/// [`sqlite::with_six_digits`]. On a server it limits the time of a response, and records a lost server.
pub(crate) struct Conn<C> {
    pub(crate) db: C,
    /// The health of a server; `None` for `SQLite`.
    health: Option<Arc<Health>>,
    /// True if a lost query is sent again.
    retries_queries: bool,
}

impl<C> Conn<C> {
    pub(crate) fn new(db: C, health: Option<Arc<Health>>) -> Self {
        Self {
            db,
            health,
            retries_queries: false,
        }
    }

    /// Sends each lost query again. For pools only, where the second query uses another connection; in a transaction it
    /// would be sent after the transaction's end.
    pub(crate) fn with_query_retries(mut self) -> Self {
        self.retries_queries = self.health.is_some();
        self
    }

    /// True if an INSERT can return rows although the query builder assumes that it cannot.
    pub(crate) fn returns_inserted_rows(&self) -> bool {
        self.health.as_ref().is_some_and(|health| health.returns_rows())
    }

    /// Wraps another connection in the same way.
    pub(crate) fn with<D>(&self, db: D) -> Conn<D> {
        Conn::new(db, self.health.clone())
    }

    /// Waits for a response within a time limit, and records a server that seems lost.
    pub(crate) async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, DbErr>> + Send,
    ) -> Result<T, DbErr> {
        #[cfg(test)]
        statements::count();
        let Some(health) = &self.health else {
            return answer.await;
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer)
            .await
            .unwrap_or_else(|_| {
                let late = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
                Err(DbErr::Conn(RuntimeErr::Internal(late)))
            });
        if let Err(error) = &answer
            && FailureKind::of(error) == FailureKind::Lost
        {
            health.record_failure();
        }
        answer
    }
}

/// True if the statement is a query, and either it or its response was lost.
fn is_lost<T>(statement: &Statement, answer: &Result<T, DbErr>) -> bool {
    statement.sql.starts_with("SELECT ")
        && answer
            .as_ref()
            .is_err_and(|error| FailureKind::of(error) == FailureKind::Lost)
}

impl<C: ConnectionTrait> Conn<C> {
    fn adapt(&self, statement: Statement) -> Statement {
        if self.db.get_database_backend() == DbBackend::Sqlite {
            sqlite::with_six_digits(statement)
        } else {
            statement
        }
    }

    /// Sends a query, and sends it again if it was lost and that is permitted.
    async fn query_with_retry<T, F>(
        &self,
        statement: Statement,
        ask: impl Fn(Statement) -> F + Send,
    ) -> Result<T, DbErr>
    where
        F: Future<Output = Result<T, DbErr>> + Send,
    {
        let statement = self.adapt(statement);
        let copy = self.retries_queries.then(|| statement.clone());
        let answer = self.answer(ask(statement)).await;
        match copy {
            Some(copy) if is_lost(&copy, &answer) => self.answer(ask(copy)).await,
            _ => answer,
        }
    }
}

impl Conn<DatabaseConnection> {
    /// Reads all rows and converts each as it arrives, so that large rows are not kept in memory twice.
    pub(crate) async fn each<T: Send>(
        &self,
        statement: Statement,
        take: impl Fn(QueryResult) -> Result<T, DbErr> + Send + Sync,
    ) -> Result<Vec<T>, DbErr> {
        let take = &take;
        let read = |statement| async move {
            let mut rows = self.db.stream_raw(statement).await?;
            let mut taken = Vec::new();
            while let Some(row) = rows.try_next().await? {
                taken.push(take(row)?);
            }
            Ok(taken)
        };
        self.query_with_retry(statement, read).await
    }
}

#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Conn<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.answer(self.db.execute_raw(self.adapt(statement))).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.answer(self.db.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let ask = |statement| self.db.query_one_raw(statement);
        self.query_with_retry(statement, ask).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let ask = |statement| self.db.query_all_raw(statement);
        self.query_with_retry(statement, ask).await
    }

    fn support_returning(&self) -> bool {
        self.db.support_returning()
    }
}

/// The number of times that this thread has waited for a response of a database.
#[cfg(test)]
pub(crate) mod statements {
    use std::cell::Cell;

    thread_local! {
        static TIMES: Cell<u32> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        TIMES.with(|times| times.set(times.get() + 1));
    }

    pub(crate) fn times() -> u32 {
        TIMES.with(Cell::get)
    }
}
