//! Waiting for conditions: what a test waits for has a name and a limit.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Looks this often; conditions are read over the network.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Waits until `look` finds something.
///
/// # Errors
/// When the limit is over: says what was waited for; or the first error of `look`.
pub async fn until<T, F, Look>(what: &str, limit: Duration, mut look: Look) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
    Look: FnMut() -> F,
{
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        anyhow::ensure!(Instant::now() < end, "waited {limit:?} in vain for: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
