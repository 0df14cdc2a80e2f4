//! The request id that correlates the logs of services.
//!
//! The id belongs to all work for one request, in calls of any depth. It is therefore stored in the task and not passed
//! through every signature. Every request to another `OpenStack` service contains it.

use std::future::Future;
use std::sync::Arc;

use tachi_domain::RecoveryId;

tokio::task_local! {
    static ID: Arc<str>;
}

/// Runs `work` under `id`, which has the form `req-UUID`. Tasks that `work` spawns do not inherit it.
pub async fn under<F: Future>(id: Arc<str>, work: F) -> F::Output {
    ID.scope(id, work).await
}

/// Returns the id of this task's current work; `None` outside of [`under`].
pub fn current() -> Option<Arc<str>> {
    ID.try_with(Arc::clone).ok()
}

/// Returns the id of all work for a recovery, the same for all engines: one search finds it in Nova's log and in ours.
pub fn of_recovery(id: RecoveryId) -> Arc<str> {
    Arc::from(format!("req-{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_has_the_same_id_on_every_engine() {
        let id: RecoveryId = "6128798E-1111-4222-8333-0123456789AB".parse().unwrap();
        assert_eq!(&*of_recovery(id), "req-6128798e-1111-4222-8333-0123456789ab");
    }

    #[tokio::test]
    async fn the_id_exists_only_during_the_work() {
        assert_eq!(current(), None);
        let ids = under(Arc::from("req-1"), async {
            let inner = under(Arc::from("req-2"), async { current() }).await;
            (current(), inner)
        })
        .await;
        assert_eq!(ids, (Some(Arc::from("req-1")), Some(Arc::from("req-2"))));
        assert_eq!(current(), None);
    }
}
