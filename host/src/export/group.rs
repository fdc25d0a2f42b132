//! One exporter as the stage sees it: a queue, and the lanes (threads with an instance each) that empty it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::delivery::Delivery;
use super::handover::Handover;
use super::lane::{Control, Lane};
use super::room::Room;
use super::status::{Status, Summary};
use super::{Exporter, Terms};
use crate::budget::{Budget, Share};
use crate::patience::Patience;
use crate::tasks::Tasks;

/// Questions and orders that wait for one lane, at most.
const CONTROLS: usize = 16;
/// An exporter that is asked has this long to answer: between two batches it answers at once.
const ANSWER: Duration = Duration::from_secs(2);

/// Bytes of traces that may wait for an exporter that is not required; it loses what comes beyond. In what it is busy with they count, too.
const UNWAITED_BYTES: usize = 64 * 1024 * 1024;

/// A delivery on its way to one exporter.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub delivery: Arc<Delivery>,
    /// Whether the delivery waits for this exporter.
    pub counts: bool,
    /// Those of its rows that are left; `None`: all.
    pub rows: Option<Vec<usize>>,
    /// Whether it takes a place in the queue. What a lane gave back to the others takes none: the queue may be full, and nobody waits to give back.
    pub has_place: bool,
    /// What it takes of the bytes that may wait for an exporter that nobody waits for.
    pub _share: Option<Arc<Share>>,
}

/// What lanes are made with.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub tasks: Tasks,
    pub patience: Arc<Patience>,
    /// Told when the stage cannot go on.
    pub failed: mpsc::Sender<anyhow::Error>,
}

/// An exporter's name, terms, queue and lanes.
#[derive(Debug)]
pub(super) struct Group {
    pub name: String,
    pub status: Status,
    pub items: async_channel::Receiver<Item>,
    pub room: Room,
    required: AtomicBool,
    max_traces: AtomicUsize,
    leaving: AtomicBool,
    queue: async_channel::Sender<Item>,
    /// Bytes that may wait for it while nobody waits for it: those for which somebody does are bounded before they come here.
    unwaited: Budget,
    lanes: Mutex<Vec<mpsc::Sender<Control>>>,
}

impl Group {
    /// A group without lanes.
    pub fn new(name: String, terms: Terms) -> Group {
        // The room is what bounds it.
        let (queue, items) = async_channel::unbounded();
        Group {
            name,
            status: Status::default(),
            items,
            room: Room::new(terms.queue),
            required: AtomicBool::new(terms.required),
            max_traces: AtomicUsize::new(terms.max_traces),
            leaving: AtomicBool::new(false),
            queue,
            unwaited: Budget::new(UNWAITED_BYTES),
            lanes: Mutex::default(),
        }
    }

    pub fn is_required(&self) -> bool {
        self.required.load(Ordering::Relaxed)
    }

    /// Whether it has been taken out: what it does not take now, it will never be asked to take.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Traces that it is offered in one call, at most.
    pub fn max_traces(&self) -> usize {
        self.max_traces.load(Ordering::Relaxed).max(1)
    }

    /// Queues a delivery: waits for room if it counts, drops it if not.
    pub async fn offer(&self, delivery: &Arc<Delivery>, counts: bool) {
        let share = if counts { None } else { self.unwaited.try_take(delivery.bytes()).map(Arc::new) };
        let has_room = if counts { self.room.enter().await } else { share.is_some() && self.room.try_enter() };
        let item = Item {
            delivery: Arc::clone(delivery),
            counts,
            rows: None,
            has_place: true,
            _share: share,
        };
        if has_room && self.queue.try_send(item).is_ok() {
            return;
        }
        let rows = delivery.all_rows();
        if counts {
            // It was taken out meanwhile, so nobody waits for it.
            let settled = delivery.done(&self.name, rows.into_iter().map(|row| (row, None)));
            delivery.settle(settled).await;
        } else {
            self.status.dropped.fetch_add(rows.len() as u64, Ordering::Relaxed);
        }
    }

    /// Puts back rows that a lane which ends has not delivered.
    pub fn requeue(&self, item: &Item, rows: Vec<usize>) {
        let item = Item {
            rows: Some(rows),
            has_place: false,
            ..item.clone()
        };
        // Fails only when the group has been taken out, or the host stops: then the log has it.
        drop(self.queue.try_send(item));
    }

    /// A lane has taken an item from the queue.
    pub fn left_queue(&self, item: &Item) {
        if item.has_place {
            self.room.leave();
        }
    }

    /// Adds a lane per exporter.
    pub fn start(self: &Arc<Self>, exporters: Vec<Box<dyn Exporter>>, means: &Means) -> std::io::Result<()> {
        for exporter in exporters {
            let (control, orders) = mpsc::channel(CONTROLS);
            let number = {
                let mut lanes = self.lanes();
                lanes.push(control);
                lanes.len()
            };
            let lane = Lane::new(Arc::clone(self), exporter, orders, means);
            let name = if number == 1 { format!("export-{}", self.name) } else { format!("export-{}-{number}", self.name) };
            means.tasks.spawn_thread(name, move || lane.run())?;
        }
        Ok(())
    }

    /// Puts `exporters` in the place of those that run, each at a batch boundary, all or none. Returns those for which there is no lane yet.
    ///
    /// # Errors
    /// Why the first that failed could not take over, or that a lane came to no boundary within this time; those that run go on.
    pub async fn swap(&self, exporters: Vec<Box<dyn Exporter>>, within: Duration) -> Result<Vec<Box<dyn Exporter>>, String> {
        let lanes = self.lanes().clone();
        let wanted = exporters.len();
        let mut exporters = exporters.into_iter();
        let (mut orders, mut all_ready, mut all_go, mut all_done) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for successor in exporters.by_ref().take(lanes.len()) {
            let ((ready, is_ready), (start, go), (done, is_done)) = (oneshot::channel(), oneshot::channel(), oneshot::channel());
            orders.push(Handover { successor, ready, go, done });
            all_ready.push(is_ready);
            all_go.push(start);
            all_done.push(is_done);
        }
        let gone = || format!("the exporter {:?} has ended", self.name);
        let prepared = async {
            for (lane, order) in lanes.iter().zip(orders) {
                lane.send(Control::Swap(order)).await.map_err(|_| gone())?;
            }
            for ready in all_ready {
                ready.await.map_err(|_| gone())??;
            }
            Ok::<_, String>(())
        };
        match tokio::time::timeout(within, prepared).await {
            Ok(prepared) => prepared?,
            Err(_) => {
                let within = within.as_secs_f64();
                return Err(format!("the exporter {:?}, which runs on, came to no end of its call within {within} s", self.name));
            }
        }
        for (go, done) in all_go.into_iter().zip(all_done) {
            // A lane that has ended meanwhile, with the host, has nothing to hand over.
            if go.send(()).is_ok() {
                drop(done.await);
            }
        }
        for surplus in lanes.iter().skip(wanted) {
            // A lane that has ended needs no telling.
            let _ = surplus.send(Control::End).await;
        }
        self.lanes().truncate(wanted);
        Ok(exporters.collect())
    }

    /// From now on these terms hold.
    pub fn set_terms(&self, terms: Terms) {
        self.required.store(terms.required, Ordering::Relaxed);
        self.max_traces.store(terms.max_traces, Ordering::Relaxed);
        self.room.resize(terms.queue);
    }

    /// The report of its first instance.
    pub async fn report(&self) -> Result<Option<String>, String> {
        let Some(lane) = self.lanes().first().cloned() else { return Ok(None) };
        let (answer, asked) = oneshot::channel();
        lane.send(Control::Report(answer)).await.map_err(|_| format!("the plugin {:?} has ended", self.name))?;
        match tokio::time::timeout(ANSWER, asked).await {
            Ok(Ok(report)) => report,
            Ok(Err(_)) => Err(format!("the plugin {:?} has ended", self.name)),
            Err(_) => Err(format!("the plugin {:?} is busy and did not answer within {} s", self.name, ANSWER.as_secs())),
        }
    }

    /// Takes it out: its lanes offer what is queued once more, let go of what is not taken, flush and end.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.close();
        for lane in self.lanes().iter() {
            // A lane whose orders are many is about to look anyway.
            drop(lane.try_send(Control::Look));
        }
    }

    /// Nothing more will come: its lanes end when the queue is empty.
    pub fn close(&self) {
        self.room.close();
        self.queue.close();
    }

    /// What it has done.
    pub fn summary(&self) -> Summary {
        Summary {
            name: self.name.clone(),
            required: self.is_required(),
            queued: self.items.len(),
            instances: self.lanes().len(),
            ..self.status.summary()
        }
    }

    fn lanes(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<Control>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::TraceBatch;
    use crate::encode::sample;
    use crate::export::delivery::WayBack;
    use crate::filter::FilteredBatch;

    #[tokio::test]
    async fn what_a_lane_gives_back_leaves_the_bound_of_the_queue_as_it_was() {
        let terms = Terms { required: false, queue: 1, max_traces: 1 };
        let group = Group::new("x".into(), terms);
        let filtered = FilteredBatch {
            batch: Arc::new(TraceBatch::new(vec![Arc::new(sample::trace("t", vec![sample::span("a")]))])),
            receipts: Vec::new(),
            share: Share::default(),
        };
        let way_back = WayBack {
            settlements: mpsc::channel(1).0,
            leadership: crate::model::Leadership::default(),
            delivered: Arc::default(),
        };
        let delivery = Arc::new(Delivery::new(filtered, 0, way_back));
        group.offer(&delivery, false).await;
        for _ in 0..5 {
            let item = group.items.try_recv().expect("it is queued");
            group.left_queue(&item);
            group.requeue(&item, vec![0]);
        }
        group.offer(&delivery, false).await;
        assert_eq!(group.status.dropped.load(Ordering::Relaxed), 0, "what was given back takes no place");
        group.offer(&delivery, false).await;
        assert_eq!(group.status.dropped.load(Ordering::Relaxed), 1, "there is one, and it is taken");
    }
}
