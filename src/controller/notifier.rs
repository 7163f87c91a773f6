//! Tells the plan's targets what the journal says happened. One task a target: the loop only puts news into its queue,
//! and never waits for anybody to take them. How far each was told is kept beside the journal, so that what was written
//! before a crash is told after it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::base::lock_unpoisoned;
use crate::base::sanitise::visible_name;
use crate::migration::facts::command::Subject;
use crate::migration::facts::event::JournalEntry;
use crate::migration::tell::notifications::{DeliveryProgress, Notifications};
use crate::notify::NotifyTarget;
use crate::notify::queue::{Message, OLD_MS, Queue};
use crate::plan::Plan;
use crate::session::clock::Clock;
use crate::snapshot::{Arming, Notice, Severity};

/// How long what still waits may take to be delivered when the controller ends, ms. The rest is told by the next one.
const LAST_MS: u64 = 5_000;

/// See the module's words.
pub(super) struct Notifier {
    room: Notifications,
    couriers: Vec<Arc<Delivery>>,
    tasks: JoinSet<()>,
    /// What a dry run would send, of entries after this one.
    rehearses: Option<u64>,
    /// The notice that stands for each target, in the order of `couriers`.
    notices: Vec<Option<Notice>>,
}

/// One target, between the loop and its task.
struct Delivery {
    target: NotifyTarget,
    queue: Mutex<Queue>,
    /// Something was put into the queue.
    filled: Notify,
    /// Something was delivered or given up.
    settled: Notify,
}

impl Notifier {
    /// `told`: how far each target was told; one that is new begins after entry `last`. Only a session that holds the
    /// journal, and changes something, tells anybody.
    pub fn new(plan: &Plan, arming: &Arming, told: &[DeliveryProgress], last: u64) -> Self {
        let mut herald = Self {
            room: Notifications::default(),
            couriers: Vec::new(),
            tasks: JoinSet::new(),
            rehearses: (*arming == Arming::DryRun).then_some(last),
            notices: Vec::new(),
        };
        if !matches!(arming, Arming::ReadOnly { .. }) {
            for target in crate::notify::list_targets(plan) {
                let name = &target.plan().name;
                let known = told.iter().find(|t| t.target == *name).cloned();
                // A target that is new is not told the whole past.
                let told = known.unwrap_or_else(|| DeliveryProgress { target: name.clone(), seq: last, failing: None });
                let queue = Mutex::new(Queue::new(told));
                herald.couriers.push(Arc::new(Delivery {
                    target,
                    queue,
                    filled: Notify::new(),
                    settled: Notify::new(),
                }));
            }
        }
        herald.notices.resize(herald.couriers.len(), None);
        herald
    }

    /// Starts the tasks; what is put in before waits.
    pub fn start(&mut self) {
        if self.rehearses.is_none() {
            for courier in &self.couriers {
                self.tasks.spawn(Arc::clone(courier).run());
            }
        }
    }

    /// Takes in every entry, old or new, with its words. Returns at once.
    pub(crate) fn take_entry(&mut self, entry: &JournalEntry, words: &str) {
        if self.couriers.is_empty() {
            return;
        }
        let news = self.room.take_entry(entry, words);
        for courier in &self.couriers {
            let wanted = news.clone().filter(|n| courier.target.wants(n));
            match self.rehearses {
                Some(last) if entry.seq > last => {
                    if let Some(news) = wanted {
                        let body = courier.target.preview_body(&Message { news, missed: 0 });
                        tracing::info!("dry run: notify.{} would be sent {body}", courier.target.plan().name);
                    }
                }
                Some(_) => {}
                None => {
                    // Also what it does not want: how far it was told moves on, and a restart does not begin behind it.
                    courier.queue().note_entry(entry.seq, wanted);
                    courier.filled.notify_one();
                }
            }
        }
    }

    /// How far each target was told, if that changed since the last time or `all` is asked for; `None` when there is
    /// nothing to keep.
    pub(crate) fn told_if_changed(&self, all: bool) -> Option<Vec<DeliveryProgress>> {
        // `count` and not `any`: the look takes each one's change, also behind the first.
        let changed = self.couriers.iter().filter(|c| c.queue().take_change()).count();
        let keeps = self.rehearses.is_none() && !self.couriers.is_empty();
        (keeps && (all || changed > 0)).then(|| self.couriers.iter().map(|c| c.queue().told_so_far()).collect())
    }

    /// Puts a notice for each target that nothing reaches, and takes it away when something does.
    pub(crate) fn update_notices(&mut self, notices: &mut VecDeque<Notice>) {
        for (courier, mine) in self.couriers.iter().zip(&mut self.notices) {
            let notice = courier.queue().failing().cloned().map(|(at, trouble)| Notice {
                at,
                severity: Severity::Warn,
                subject: Subject::Migration,
                trouble,
            });
            if *mine != notice {
                notices.retain(|n| Some(n) != mine.as_ref());
                if notices.len() >= super::core::NOTICES {
                    notices.pop_front();
                }
                notices.extend(notice.clone());
                *mine = notice;
            }
        }
    }

    /// Waits until everything is delivered or given up, and not longer than a few seconds.
    pub async fn end(&mut self) {
        let all = async {
            for courier in &self.couriers {
                courier.wait_until_idle().await;
            }
        };
        if self.rehearses.is_none() {
            tokio::select! {
                () = all => {}
                () = Clock.sleep(LAST_MS) => {}
            }
        }
        self.tasks.shutdown().await;
    }
}

impl Delivery {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock_unpoisoned(&self.queue)
    }

    async fn wait_until_idle(&self) {
        loop {
            if self.queue().is_idle() {
                return;
            }
            // only the task settles, and what it settles after the look leaves a permit
            self.settled.notified().await;
        }
    }

    async fn run(self: Arc<Self>) {
        loop {
            let next = self.queue().take_message(Clock.now());
            match next {
                Some(message) => {
                    self.deliver(&message).await;
                    self.settled.notify_one();
                }
                None => self.filled.notified().await,
            }
        }
    }

    /// Tries until it is taken or refused for good; as often as the plan says, and on while it is young.
    async fn deliver(&self, message: &Message) {
        let name = &self.target.plan().name;
        for tries in 1.. {
            match self.target.send(message).await {
                Ok(_) => return self.queue().note_delivered(message),
                Err(not_sent) => {
                    let (seq, what) = (message.news.seq, &not_sent.trouble.what);
                    tracing::warn!(seq, attempt = tries, again = ?not_sent.again, "{what}");
                    self.queue().note_failure(Clock.now(), not_sent.trouble.clone());
                    let (retries, age) = (self.target.plan().retries, Clock.now().since(message.news.at));
                    // A receiver that is away for some minutes must not lose an alarm: what is young is tried on,
                    // unless the plan wants no second try.
                    let more = tries <= retries || (retries > 0 && age <= OLD_MS);
                    let pause = not_sent.again.pause_ms(tries).filter(|_| more);
                    let Some(pause) = pause else {
                        tracing::warn!(
                            "notify.{name}: entry {seq} is given up after {tries} tries",
                            name = visible_name(name)
                        );
                        return self.queue().note_given_up(message);
                    };
                    Clock.sleep(pause).await;
                }
            }
        }
    }
}
