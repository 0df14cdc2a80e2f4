//! Aborts a migration after a number of statements, like a crash.

use std::cell::Cell;

use sea_orm_migration::prelude::DbErr;

tokio::task_local! {
    static LEFT: Cell<u32>;
}

/// Runs `work`, in which only the first `statements` statements succeed.
pub(crate) async fn after<F: Future>(statements: u32, work: F) -> F::Output {
    LEFT.scope(Cell::new(statements), work).await
}

/// Called after each statement that changes something.
pub(crate) fn after_a_statement() -> Result<(), DbErr> {
    LEFT.try_with(|left| match left.get().checked_sub(1) {
        Some(fewer) => {
            left.set(fewer);
            Ok(())
        }
        None => Err(DbErr::Custom("crashed".to_owned())),
    })
    .unwrap_or(Ok(()))
}
