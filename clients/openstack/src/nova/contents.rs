//! The instances on a host and the operations that affect it, read between two reads of its service record.

use tachi_engine::ports::{CallError, Contents};

use super::{Nova, migration, server, service};

/// Reads the lists. Nova's lists silently omit a cell that is down, and the service record of a host in that cell shows
/// it. The read of the record after the lists replaces the check that would otherwise follow each empty list.
pub(super) async fn read(nova: &Nova, host: &str, shown: bool) -> Result<Contents, CallError> {
    let before = shown || service::get(nova, host).await?.is_some();
    let (migrations, _) = migration::list_touching(nova, host).await?;
    let (servers, _) = server::list_on(nova, host).await?;
    let service = service::get(nova, host).await?.filter(|_| before);
    Ok(Contents {
        service,
        migrations,
        servers,
    })
}
