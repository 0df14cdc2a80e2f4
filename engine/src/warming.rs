//! Keeping the way to Nova ready, so that a recovery does not begin with a login.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::ports::Compute;

/// How often it is looked. A token that lasts longer than the next calls need is not renewed.
const LOOK: Duration = Duration::from_secs(60);

/// Makes ready at once and looks again every minute. What is wrong is told when it begins and when it is over, long
/// before a host dies. Never ends.
pub(crate) async fn keep_ready(compute: Arc<dyn Compute>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        looks.tick().await;
        match compute.make_ready().await {
            Ok(()) if failing => {
                failing = false;
                tracing::info!("Nova can be spoken to again");
            }
            Ok(()) => {}
            Err(error) if failing => {
                tracing::debug!(why = error.fault.text, "Nova still cannot be spoken to");
            }
            Err(error) => {
                failing = true;
                tracing::warn!(
                    why = error.fault.text,
                    "Nova cannot be spoken to: while that is so, a host that dies is not recovered"
                );
            }
        }
    }
}
