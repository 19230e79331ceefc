//! The same work for many hosts, side by side and bounded.

use std::future::Future;

use tokio::task::JoinSet;

/// Does `work` for each item, at most `parallel` at once and in their order, and gives each result to `on_result` as it comes.
/// Work that is not to begin any more, because the user stops the run, sees to that itself.
pub async fn fan_out<T, R, F>(
    items: impl IntoIterator<Item = T>,
    parallel: usize,
    work: impl Fn(T) -> F,
    mut on_result: impl FnMut(R),
) where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let mut waiting = items.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < parallel.max(1) {
            let Some(item) = waiting.next() else { break };
            running.spawn(work(item));
        }
        match running.join_next().await {
            None => return,
            Some(Ok(result)) => on_result(result),
            // Tasks are never aborted, so this is a panic, which is not for a loop over hosts to hide.
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_than_the_bound_run_at_once_and_all_are_done() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut results = Vec::new();
        let work = |item: usize| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                item
            }
        };
        fan_out(0..20, 3, work, |item| results.push(item)).await;
        results.sort_unstable();
        assert_eq!(results, (0..20).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }
}
