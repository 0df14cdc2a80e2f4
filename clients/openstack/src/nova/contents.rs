//! The instances on a host and the operations that affect it, read between two reads of its service record.

use tachi_engine::ports::{CallError, Contents};

use super::{Nova, migration, server, service};

/// A list leaves out a cell that is down without a word, and the record of a service there shows it: the look after the lists is what
/// each list with nothing on it would be followed by otherwise.
pub(super) async fn read(nova: &Nova, host: &str, shown: bool) -> Result<Contents, CallError> {
    let before = shown || service::get(nova, host).await?.is_some();
    let (migrations, _) = migration::touching_as_listed(nova, host).await?;
    let (servers, _) = server::on_as_listed(nova, host).await?;
    let service = service::get(nova, host).await?.filter(|_| before);
    Ok(Contents {
        service,
        migrations,
        servers,
    })
}
