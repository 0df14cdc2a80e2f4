//! A connection or transaction that speaks to each database as it needs.

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use crate::sqlite;

/// Wraps a connection so that no statement can bypass what the database needs; see [`sqlite::with_six_digits`].
pub(crate) struct Conn<C>(pub(crate) C);

impl<C: ConnectionTrait> Conn<C> {
    fn adapt(&self, statement: Statement) -> Statement {
        if self.0.get_database_backend() == DbBackend::Sqlite {
            sqlite::with_six_digits(statement)
        } else {
            statement
        }
    }
}

#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Conn<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.0.execute_raw(self.adapt(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.0.query_one_raw(self.adapt(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.query_all_raw(self.adapt(statement)).await
    }

    fn support_returning(&self) -> bool {
        self.0.support_returning()
    }
}
