//! The same work on many items by all processors.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::memory;

/// Threads beyond one per processor where each thread also reads or writes: while some wait for
/// a device, the processors are kept busy, and the device has several requests to order.
const WAITING: usize = 2;

/// Bytes for one worker with its chunks, its compressor and its open pack, and for what all share:
/// a capture with one worker took 72 MiB at its peak (level small: 112), a restore with one and
/// those that wait 109, each further worker 50 (86).
const WORKER_MEMORY: u64 = 112 << 20;

/// Number of threads that keep all processors busy by calculating alone; fewer when their buffers
/// would not fit the memory that is free.
pub(crate) fn workers() -> usize {
    let processors = thread::available_parallelism().map_or(2, usize::from);
    that_fit(processors, memory::available())
}

fn that_fit(processors: usize, memory: u64) -> usize {
    let fit = usize::try_from(memory / WORKER_MEMORY).unwrap_or(usize::MAX);
    processors.min(fit).max(1)
}

/// Number of threads that keep all processors and the devices busy when each thread reads,
/// calculates and writes in turn.
pub(crate) fn mixed_workers() -> usize {
    workers() + WAITING
}

/// Calls `each` for every item, on this many threads; each thread has a scratch of its own, whose
/// buffers are reused from item to item. The first error ends it.
pub(crate) fn for_each<T: Send, S, E: Send>(
    threads: usize,
    items: impl Iterator<Item = T> + Send,
    scratch: impl Fn() -> Result<S, E> + Sync,
    each: impl Fn(T, &mut S) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let items = Mutex::new(items);
    let stop = AtomicBool::new(false);
    let work = || {
        let mut scratch = scratch()?;
        while !stop.load(Ordering::Acquire) {
            let item = items.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(item) = item else { break };
            each(item, &mut scratch).inspect_err(|_| stop.store(true, Ordering::Release))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let results: Vec<_> = threads.into_iter().map(join).collect();
        results.into_iter().collect()
    })
}

/// The result of a thread; a panic in it goes on here.
pub(crate) fn join<T, E>(thread: thread::ScopedJoinHandle<'_, Result<T, E>>) -> Result<T, E> {
    thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn workers_are_as_many_as_memory_allows_and_at_least_one() {
        assert_eq!(that_fit(8, 64 << 30), 8);
        assert_eq!(that_fit(8, 450 << 20), 4);
        // A machine with 256 MiB has this left.
        assert_eq!(that_fit(2, 160 << 20), 1);
        assert_eq!(that_fit(2, 0), 1);
    }

    #[test]
    fn every_item_is_met_once_and_an_error_ends_it() {
        let sum = AtomicU64::new(0);
        let add = |item: u64, (): &mut ()| {
            sum.fetch_add(item, Ordering::Relaxed);
            Ok(())
        };
        for_each(4, 1..=100, || Ok::<_, u64>(()), add).unwrap();
        assert_eq!(sum.load(Ordering::Relaxed), 5050);
        let fail = |item: u64, (): &mut ()| {
            if item == 50 { Err(item) } else { Ok(()) }
        };
        assert_eq!(for_each(4, 1.., || Ok(()), fail), Err(50));
    }
}
