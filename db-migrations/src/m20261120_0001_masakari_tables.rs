//! Masakari's four tables, as its last migration (`13adff5efb9a`) leaves them. On an existing database only what is
//! missing is added.

use sea_orm_migration::prelude::*;

use crate::columns::{date_time, make_type, masakari_table, text, text_or_null, typed_word};
use crate::indexes::{index, unique};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        segments(manager).await?;
        hosts(manager).await?;
        notifications(manager).await?;
        vmoves(manager).await
    }
}

async fn segments(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    if manager.has_table("failover_segments").await? {
        return Ok(());
    }
    let methods = ["auto", "reserved_host", "auto_priority", "rh_priority"];
    make_type(manager, "recovery_methods", &methods).await?;
    let mut table = masakari_table(backend, "failover_segments");
    table
        .col(text("uuid", 36))
        .col(text("name", 255))
        .col(text("service_type", 255))
        .col(ColumnDef::new("enabled").boolean().default(true))
        .col(ColumnDef::new("description").text())
        .col(typed_word(
            backend,
            "recovery_method",
            "recovery_methods",
            &methods,
        ));
    manager.create_table(table).await?;
    unique(
        manager,
        "failover_segments",
        "uniq_segment0name0deleted",
        &["name", "deleted"],
    )
    .await?;
    unique(manager, "failover_segments", "uniq_segments0uuid", &["uuid"]).await?;
    index(
        manager,
        "failover_segments",
        "segments_service_type_idx",
        &["service_type"],
    )
    .await
}

async fn hosts(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    if manager.has_table("hosts").await? {
        return Ok(());
    }
    let mut segment = ForeignKey::create();
    segment
        .from("hosts", "failover_segment_id")
        .to("failover_segments", "uuid");
    let mut table = masakari_table(backend, "hosts");
    table
        .col(text("uuid", 36))
        .col(text("name", 255))
        .col(ColumnDef::new("reserved").boolean().default(false))
        .col(text("type", 255))
        .col(ColumnDef::new("control_attributes").text().not_null())
        .col(ColumnDef::new("on_maintenance").boolean().default(false))
        .col(text("failover_segment_id", 36))
        .foreign_key(&mut segment);
    manager.create_table(table).await?;
    unique(manager, "hosts", "uniq_host0name0deleted", &["name", "deleted"]).await?;
    unique(manager, "hosts", "uniq_host0uuid", &["uuid"]).await?;
    index(manager, "hosts", "hosts_type_idx", &["type"]).await
}

async fn notifications(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    if manager.has_table("notifications").await? {
        return notification_columns(manager).await;
    }
    let statuses = ["new", "running", "error", "failed", "ignored", "finished"];
    make_type(manager, "notification_status", &statuses).await?;
    let mut table = masakari_table(backend, "notifications");
    table
        .col(text("notification_uuid", 36))
        .col(date_time(backend, "generated_time").not_null())
        .col(text("source_host_uuid", 36))
        .col(text("type", 36))
        .col(ColumnDef::new("payload").text())
        .col(typed_word(backend, "status", "notification_status", &statuses))
        .col(text_or_null("failover_segment_uuid", 36))
        .col(ColumnDef::new("message").text());
    manager.create_table(table).await?;
    unique(
        manager,
        "notifications",
        "uniq_notification0uuid",
        &["notification_uuid"],
    )
    .await
}

/// What Masakari's last migration added to the table.
async fn notification_columns(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut message = ColumnDef::new("message");
    message.text();
    let late = [
        ("failover_segment_uuid", text_or_null("failover_segment_uuid", 36)),
        ("message", message),
    ];
    for (name, column) in late {
        if !manager.has_column("notifications", name).await? {
            let mut alter = Table::alter();
            alter.table("notifications").add_column(column);
            manager.alter_table(alter).await?;
        }
    }
    Ok(())
}

async fn vmoves(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    if manager.has_table("vmoves").await? {
        return Ok(());
    }
    let mut table = masakari_table(backend, "vmoves");
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
        .col(ColumnDef::new("message").text());
    manager.create_table(table).await?;
    unique(manager, "vmoves", "uniq_vmove0uuid", &["uuid"]).await
}
