//! What waits for one target: bounded, in order, and how far it has been told. Pure: time is an argument.

use std::collections::VecDeque;

use crate::base::{At, Trouble};
use crate::migration::tell::notifications::{DeliveryProgress, Notification};

/// News that may wait for one target; beyond it the oldest are dropped, and the next message says how many.
pub(crate) const WAITING: usize = 100;
/// News that waited longer is told in one message, ms: at three in the morning nobody reads a night's worth.
pub(crate) const OLD_MS: u64 = 3_600_000;

/// A message on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it says.
    pub news: Notification,
    /// How many before it were not delivered.
    pub missed: u64,
}

/// See the module's words.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    target: String,
    waiting: VecDeque<Notification>,
    missed: u64,
    /// Every entry up to this one is delivered or given up.
    settled: u64,
    /// The newest entry that was looked at.
    latest: u64,
    /// How many news the message tells that is on its way; 0: none is.
    flying: u64,
    failing: Option<(At, Trouble)>,
    changed: bool,
}

impl Queue {
    /// What is known from before: entries up to `told.seq` are told.
    #[must_use]
    pub fn new(told: DeliveryProgress) -> Self {
        Self {
            target: told.target,
            waiting: VecDeque::new(),
            missed: 0,
            settled: told.seq,
            latest: told.seq,
            flying: 0,
            failing: told.failing,
            changed: false,
        }
    }

    /// An entry of the journal, and what it is for this target. Old ones are passed over: they are told.
    pub(crate) fn note_entry(&mut self, seq: u64, news: Option<Notification>) {
        if seq <= self.latest {
            return;
        }
        // Also by what is not for it: a restart need not look at that again.
        self.latest = seq;
        let Some(news) = news else { return };
        // The oldest: what is true now is in the newest, and the journal has them all.
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
            self.missed += 1;
        }
        self.waiting.push_back(news);
    }

    /// The next message; several that waited for long are one.
    pub(crate) fn take_message(&mut self, now: At) -> Option<Message> {
        if self.flying > 0 {
            return None;
        }
        // Entries come in order of time, so that what is old stands in front.
        let old = self.waiting.iter().take_while(|n| now.since(n.at) > OLD_MS).count();
        let news = match old {
            0 | 1 => self.waiting.pop_front()?,
            many => {
                let many: Vec<Notification> = self.waiting.drain(..many).collect();
                Notification::summary(&many)?
            }
        };
        self.flying = u64::try_from(old).unwrap_or(u64::MAX).max(1);
        // Not taken off yet: this try may fail, and the count has to be told by the one that arrives.
        Some(Message { news, missed: self.missed })
    }

    /// It was delivered.
    pub(crate) fn note_delivered(&mut self, message: &Message) {
        // What was dropped while this one was on its way is not in its count: that stays for the next.
        self.missed = self.missed.saturating_sub(message.missed);
        self.failing = None;
        self.settle(message);
    }

    /// It was given up: the next message says how many news are missing with it.
    pub(crate) fn note_given_up(&mut self, message: &Message) {
        self.missed += self.flying;
        self.settle(message);
    }

    fn settle(&mut self, message: &Message) {
        // Whichever way it ended: what can't be delivered must not be tried anew at each restart.
        self.settled = self.settled.max(message.news.seq);
        (self.flying, self.changed) = (0, true);
    }

    /// A try failed. Since when nothing reaches it is what counts: further failures don't change that.
    pub fn note_failure(&mut self, at: At, trouble: Trouble) {
        let since = self.failing.as_ref().map_or(at, |(since, _)| *since);
        let failing = Some((since, trouble));
        // An endpoint that is down says the same each minute: that is worth no entry.
        if self.failing != failing {
            (self.failing, self.changed) = (failing, true);
        }
    }

    /// Nothing waits, and nothing is on its way.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.flying == 0
    }

    /// What a restart has to know.
    #[must_use]
    pub(crate) fn told_so_far(&self) -> DeliveryProgress {
        // While anything waits the cursor stays before it: after a crash it is told twice rather than never.
        let seq = if self.is_idle() { self.settled.max(self.latest) } else { self.settled };
        DeliveryProgress { target: self.target.clone(), seq, failing: self.failing.clone() }
    }

    /// Since when nothing reaches it, and why.
    #[must_use]
    pub fn failing(&self) -> Option<&(At, Trouble)> {
        self.failing.as_ref()
    }

    /// Whether something is worth keeping since the last time this was asked.
    pub(crate) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::tell::notifications::NotificationEvent;

    fn news(seq: u64) -> Notification {
        Notification {
            seq,
            what: format!("n{seq}"),
            ..Notification::test(At(i64::try_from(seq).unwrap()), "ada@bastion")
        }
    }

    fn queue(seq: u64) -> Queue {
        Queue::new(DeliveryProgress { target: "ops".into(), seq, failing: None })
    }

    #[test]
    fn one_after_the_other_and_the_cursor_follows_what_is_settled() {
        let mut q = queue(4);
        for seq in 1..=9 {
            q.note_entry(seq, (seq % 2 == 1).then(|| news(seq)));
        }
        assert_eq!(q.told_so_far().seq, 4, "5, 7 and 9 wait");
        let five = q.take_message(At(10)).unwrap();
        assert_eq!((five.news.seq, q.take_message(At(10))), (5, None), "one at a time");
        assert!(!q.take_change());
        q.note_delivered(&five);
        assert!(q.take_change() && !q.take_change());
        assert_eq!(q.told_so_far().seq, 5);
        let seven = q.take_message(At(10)).unwrap();
        q.note_given_up(&seven);
        let nine = q.take_message(At(10)).unwrap();
        assert_eq!((nine.news.seq, nine.missed, q.told_so_far().seq), (9, 1, 7));
        q.note_delivered(&nine);
        q.note_entry(10, None);
        assert_eq!((q.told_so_far().seq, q.is_idle()), (10, true), "what is not for it is told");
        q.note_entry(11, Some(news(11)));
        assert_eq!(q.take_message(At(11)).unwrap().missed, 0, "said once");
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_says_how_many() {
        let mut q = queue(0);
        q.note_entry(1, Some(news(1)));
        let first = q.take_message(At(1)).unwrap();
        let most = u64::try_from(WAITING).unwrap();
        for seq in 2..=most + 8 {
            q.note_entry(seq, Some(news(seq)));
        }
        q.note_delivered(&first);
        let next = q.take_message(At(1)).unwrap();
        assert_eq!((next.news.seq, next.missed), (9, 7));
        q.note_entry(most + 9, Some(news(most + 9)));
        q.note_entry(most + 10, Some(news(most + 10)));
        q.note_delivered(&next);
        assert_eq!(q.take_message(At(1)).unwrap().missed, 1, "dropped meanwhile");
        assert_eq!(q.told_so_far().seq, 9, "a crash now tells those that wait, and what was dropped of them, again");
    }

    #[test]
    fn what_waited_for_long_is_one_message() {
        let mut q = queue(0);
        for seq in 1..=3 {
            q.note_entry(seq, Some(news(seq)));
        }
        let young = At(5).plus(OLD_MS);
        q.note_entry(4, Some(Notification { at: young, ..news(4) }));
        let summed = q.take_message(young).unwrap();
        assert_eq!((summed.news.event, summed.news.seq), (NotificationEvent::Summary, 3));
        assert!(summed.news.what.contains("3 could not be told in time (entries 1 to 3): 3 test"), "{summed:?}");
        q.note_delivered(&summed);
        assert_eq!(q.told_so_far().seq, 3);
        assert_eq!(q.take_message(young).unwrap().news.seq, 4);
        let mut q = queue(0);
        q.note_entry(1, Some(news(1)));
        assert_eq!(q.take_message(young).unwrap().news.event, NotificationEvent::Test, "one alone is told as it is");
    }

    #[test]
    fn a_summary_that_is_given_up_is_as_many_news_as_it_told() {
        let mut q = queue(0);
        for seq in 1..=30 {
            q.note_entry(seq, Some(news(seq)));
        }
        let young = At(31).plus(OLD_MS);
        q.note_entry(31, Some(Notification { at: young, ..news(31) }));
        let summed = q.take_message(young).unwrap();
        assert_eq!((summed.news.event, summed.news.seq), (NotificationEvent::Summary, 30));
        q.note_given_up(&summed);
        assert_eq!(q.take_message(young).unwrap().missed, 30);
    }

    #[test]
    fn since_when_nothing_reaches_it_is_kept() {
        let mut q = queue(0);
        q.note_entry(1, Some(news(1)));
        let one = q.take_message(At(1)).unwrap();
        q.note_failure(At(7), Trouble::new("down", ""));
        q.note_failure(At(9), Trouble::new("down", ""));
        assert_eq!(q.failing(), Some(&(At(7), Trouble::new("down", ""))));
        assert_eq!(q.told_so_far().failing.unwrap().0, At(7));
        q.note_given_up(&one);
        assert!(q.failing().is_some());
        q.note_entry(2, Some(news(2)));
        let two = q.take_message(At(9)).unwrap();
        q.note_delivered(&two);
        assert_eq!(q.failing(), None);
    }
}
