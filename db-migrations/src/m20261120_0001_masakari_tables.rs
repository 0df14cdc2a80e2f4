//! Masakari's four tables, as of its last migration (`13adff5efb9a`). On an existing database missing parts are added,
//! and columns that are too narrow are widened.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::columns::{
    Enumeration, NOTIFICATION_STATUS, RECOVERY_METHODS, Storage, date_time, long_text, text, text_or_null,
};
use crate::indexes::{Plain, unique};
use crate::inspect::{columns, has_enumeration};
use crate::statement::{change, create};
use crate::widen::{storage, widen};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: &[Plain] = &[
    Plain {
        table: "failover_segments",
        name: "segments_service_type_idx",
        columns: &["service_type"],
    },
    Plain {
        table: "hosts",
        name: "hosts_type_idx",
        columns: &["type"],
    },
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let storage = storage(db).await?;
        widen(db, &storage).await?;
        for enumeration in [RECOVERY_METHODS, NOTIFICATION_STATUS] {
            create_enumeration(db, &enumeration).await?;
        }
        create(db, &mut segments(&storage)).await?;
        create(db, &mut hosts(&storage)).await?;
        create(db, &mut notifications(&storage)).await?;
        late_columns(db).await?;
        create(db, &mut vmoves(&storage)).await?;
        for index in INDEXES {
            index.create(db).await?;
        }
        Ok(())
    }
}

async fn create_enumeration(db: &impl ConnectionTrait, enumeration: &Enumeration) -> Result<(), DbErr> {
    if db.get_database_backend() != DbBackend::Postgres || has_enumeration(db, enumeration.type_name).await? {
        return Ok(());
    }
    change(db, &enumeration.create_type()).await.map(|_| ())
}

fn segments(storage: &Storage) -> TableCreateStatement {
    let backend = storage.backend;
    let mut table = storage.masakari_table("failover_segments");
    table
        .col(text("uuid", 36))
        .col(text("name", 255))
        .col(text("service_type", 255))
        .col(ColumnDef::new("enabled").boolean().default(true))
        .col(long_text(backend, "description"))
        .col(RECOVERY_METHODS.column(backend, "recovery_method"))
        .index(&mut unique("uniq_segment0name0deleted", &["name", "deleted"]))
        .index(&mut unique("uniq_segments0uuid", &["uuid"]));
    table
}

fn hosts(storage: &Storage) -> TableCreateStatement {
    let mut segment = ForeignKey::create();
    segment
        .from("hosts", "failover_segment_id")
        .to("failover_segments", "uuid");
    let mut table = storage.masakari_table("hosts");
    table
        .col(text("uuid", 36))
        .col(text("name", 255))
        .col(ColumnDef::new("reserved").boolean().default(false))
        .col(text("type", 255))
        .col(long_text(storage.backend, "control_attributes").not_null())
        .col(ColumnDef::new("on_maintenance").boolean().default(false))
        .col(text("failover_segment_id", 36))
        .index(&mut unique("uniq_host0name0deleted", &["name", "deleted"]))
        .index(&mut unique("uniq_host0uuid", &["uuid"]))
        .foreign_key(&mut segment);
    table
}

fn notifications(storage: &Storage) -> TableCreateStatement {
    let backend = storage.backend;
    let mut table = storage.masakari_table("notifications");
    table
        .col(text("notification_uuid", 36))
        .col(date_time(backend, "generated_time").not_null())
        .col(text("source_host_uuid", 36))
        .col(text("type", 36))
        .col(long_text(backend, "payload"))
        .col(NOTIFICATION_STATUS.column(backend, "status"))
        .col(text_or_null("failover_segment_uuid", 36))
        .col(long_text(backend, "message"))
        .index(&mut unique("uniq_notification0uuid", &["notification_uuid"]));
    table
}

/// Adds the columns of Masakari's last migration to the table.
async fn late_columns(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let found = columns(db, "notifications").await?;
    let late = [
        ("failover_segment_uuid", text_or_null("failover_segment_uuid", 36)),
        ("message", long_text(db.get_database_backend(), "message")),
    ];
    for (name, column) in late {
        if !found.iter().any(|there| there == name) {
            let mut alter = Table::alter();
            alter.table("notifications").add_column(column);
            crate::statement::alter(db, &alter).await?;
        }
    }
    Ok(())
}

fn vmoves(storage: &Storage) -> TableCreateStatement {
    let backend = storage.backend;
    let mut table = storage.masakari_table("vmoves");
    table
        .col(text("uuid", 36))
        .col(text("notification_uuid", 36))
        .col(text("instance_uuid", 36))
        .col(text("instance_name", 255))
        .col(text_or_null("source_host", 255))
        .col(text_or_null("dest_host", 255))
        .col(date_time(backend, "start_time"))
        .col(date_time(backend, "end_time"))
        .col(text_or_null("type", 36))
        .col(text_or_null("status", 255))
        .col(long_text(backend, "message"))
        .index(&mut unique("uniq_vmove0uuid", &["uuid"]));
    table
}
