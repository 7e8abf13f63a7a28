//! Where long judgements run: on threads of their own, and not more at once than threads serve traffic.
//!
//! Promises: a long judgement does not stop other requests; what waits for its turn waits in order, as a part of its
//! request, and goes when the request goes. It bounds no memory: what waits is held within the budget of buffered
//! bytes.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// Long judgements at once for each thread that serves traffic. `--workers` says how much of the machine the proxy may
/// take, and a thread that serves should not share a core with many that judge.
pub const JUDGEMENTS_PER_WORKER: usize = 1;

/// The turns of one process.
#[derive(Debug, Default)]
pub struct Judging {
    /// Made at the first judgement, in the runtime whose threads are counted.
    turns: OnceLock<Arc<Semaphore>>,
}

impl Judging {
    /// Runs a judgement when it is its turn. An error is a judgement that broke: nothing was permitted.
    pub async fn run<T: Send + 'static>(
        &self,
        judge: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let turns = self.turns.get_or_init(|| {
            let workers = Handle::current().metrics().num_workers();
            Arc::new(Semaphore::new(workers * JUDGEMENTS_PER_WORKER))
        });
        // Never closed, so that there is always a turn to come.
        let turn = turns.clone().acquire_owned().await.ok();
        // The turn is the thread's: it is over when the judgement is, though nobody may wait for it any more.
        spawn_blocking(move || {
            let judged = judge();
            drop(turn);
            judged
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    fn on<F: Future>(workers: usize, test: F) -> F::Output {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(workers).enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn as_many_judge_at_once_as_threads_serve_and_one_more_waits() {
        for workers in [1, 3] {
            on(workers, async {
                let limit = workers * JUDGEMENTS_PER_WORKER;
                let judging = Arc::new(Judging::default());
                let (together, (begun, begins)) = (Arc::new(Barrier::new(limit + 1)), channel());
                let mut running = tokio::task::JoinSet::new();
                for _ in 0..=limit {
                    let (judging, together, begun) = (judging.clone(), together.clone(), begun.clone());
                    running.spawn(async move {
                        let judge = move || {
                            begun.send(()).unwrap();
                            together.wait();
                        };
                        judging.run(judge).await.unwrap();
                    });
                }
                for _ in 0..limit {
                    begins.recv_timeout(Duration::from_secs(20)).unwrap();
                }
                assert!(begins.recv_timeout(Duration::from_millis(50)).is_err(), "one over");
                // The threads that wait and this one: they end, and the last has its turn.
                together.wait();
                begins.recv_timeout(Duration::from_secs(20)).unwrap();
                (0..limit).for_each(|_| {
                    drop(std::thread::spawn({
                        let together = together.clone();
                        move || together.wait()
                    }))
                });
                while running.join_next().await.is_some() {}
            });
        }
    }

    #[test]
    fn a_request_that_goes_gives_its_place_up_and_a_judgement_that_broke_its_turn() {
        on(1, async {
            let judging = Judging::default();
            assert!(judging.run(|| panic!("a broken judge")).await.is_err());
            let (end, ended) = channel::<()>();
            let first = judging.run(move || ended.recv());
            tokio::pin!(first);
            let moment = Duration::from_millis(20);
            assert!(tokio::time::timeout(moment, &mut first).await.is_err(), "it judges");
            let gone = tokio::time::timeout(moment, judging.run(|| unreachable!("nobody waits for it")));
            assert!(gone.await.is_err(), "it waits");
            drop(end);
            first.await.unwrap().unwrap_err();
            assert_eq!(judging.run(|| 7).await.unwrap(), 7);
        });
    }
}
