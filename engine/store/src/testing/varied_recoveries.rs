//! Recoveries whose operator states differ.

use sea_orm::ConnectionTrait as _;
use tachi_domain::ApprovedWait;
use tachi_domain::entity::host::HostAttributes;
use tachi_domain::entity::segment::SegmentChange;
use tachi_domain::recovery::OperatorCommand;
use tachi_engine::ports::journal::ClaimedRecovery;
use tachi_engine::ports::{Hosts as _, OperatorJournal as _, Segments as _};

use super::Bench;

impl Bench {
    /// Creates recoveries of hosts with a different operator's action or change each; the segment of the last three is
    /// disabled.
    pub(crate) async fn varied_recoveries(&self) -> Vec<ClaimedRecovery> {
        let registry = self.store.registry();
        let (enabled, disabled) = (self.segment("s1").await, self.segment("s2").await);
        let (mut claims, mut hosts) = (Vec::new(), Vec::new());
        for name in ["calm", "spoken-of", "frozen", "disabled", "maintained", "deleted"] {
            let segment = if claims.len() < 3 { &enabled } else { &disabled };
            let host = self.host(segment, name).await;
            self.stopped(&host).await;
            claims.push(self.claim_newest("engine").await);
            hosts.push(host.id);
        }
        self.store
            .operator_journal()
            .submit(
                claims[1].id,
                OperatorCommand::Approve,
                &ApprovedWait::Current,
                "alice",
            )
            .await
            .unwrap();
        let disable = SegmentChange {
            enabled: Some(false),
            ..SegmentChange::default()
        };
        registry.update_segment(disabled.id, &disable).await.unwrap();
        let maintain = HostAttributes {
            on_maintenance: Some(true),
            ..HostAttributes::default()
        };
        registry
            .update_host(disabled.id, hosts[4], &maintain)
            .await
            .unwrap();
        // The API refuses this while the recovery is open, but another program may not.
        let delete = "UPDATE hosts SET deleted = id WHERE name = 'deleted'";
        self.store.db.writer().execute_unprepared(delete).await.unwrap();
        claims
    }
}
