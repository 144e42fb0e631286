//! On which threads work waits for the disk.
//!
//! A publish may hold a thread for as long as a slow disk takes. If the addresses of hosts and the
//! shared pace had to wait for the same thread, a connection that was lost meanwhile could not be
//! dialled again, and the source would seem to be away.

use tokio::runtime::Handle;

tokio::task_local! {
    static DISK: Handle;
}

/// Does `work`, whose waits for the disk happen on the blocking threads of `disk` instead of on those
/// of the runtime that does it.
pub async fn with_disk<F: Future>(disk: Handle, work: F) -> F::Output {
    DISK.scope(disk, work).await
}

/// Where to wait for the disk: as [`with_disk`] says, or where everything else waits.
pub fn disk() -> Handle {
    DISK.try_with(Handle::clone).unwrap_or_else(|_| Handle::current())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// With one thread for both, a connection that was lost while a slow disk held a publish could
    /// not be dialled again: the look-up of the address waited behind the publish.
    #[test]
    fn a_disk_that_hangs_holds_up_nothing_else() {
        let one_thread = || -> Runtime {
            Builder::new_current_thread().max_blocking_threads(1).enable_time().build().unwrap()
        };
        let (main, slow) = (one_thread(), one_thread());
        let (let_go, held) = mpsc::channel();
        let work = with_disk(slow.handle().clone(), async move {
            let publish = disk().spawn_blocking(move || held.recv());
            let address = tokio::task::spawn_blocking(|| "found");
            let found = tokio::time::timeout(Duration::from_secs(60), address).await;
            let_go.send("published").unwrap();
            (found.expect("it waits for the disk").unwrap(), publish.await.unwrap().unwrap())
        });
        assert_eq!(main.block_on(work), ("found", "published"));
    }
}
