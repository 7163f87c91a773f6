//! What people are told of: gates and phases that turned become entries; how far each target was told is kept.

use super::{Core, NOTICES};
use crate::base::{At, Side, Trouble};
use crate::migration::facts::command::Subject;
use crate::migration::facts::event::Event;
use crate::migration::run::machine::CONTROLLER;
use crate::session::clock::Clock;
use crate::snapshot::{Arming, Notice, ParityView, Severity};

impl Core {
    /// Something a person should read, on every screen.
    pub(super) fn add_notice(&mut self, severity: Severity, subject: Subject, trouble: Trouble) {
        self.push_notice(Notice { at: Clock.now(), severity, subject, trouble });
    }

    /// The same, as made elsewhere. What is said again moves to the end; of too many the oldest goes.
    pub(super) fn push_notice(&mut self, notice: Notice) {
        let known = self.notices.len();
        self.notices.retain(|n| n.subject != notice.subject || n.trouble != notice.trouble);
        // Logged once: what is said again with every look would fill the log.
        if self.notices.len() == known {
            tracing::info!(severity = ?notice.severity, why = %notice.trouble.what, "notice");
        }
        if self.notices.len() >= NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }

    /// Journals what turned since the last look. A session that changes nothing has nothing to tell.
    pub(super) async fn journal_edges(&mut self, now: At) {
        if !matches!(self.arming, Arming::Armed) {
            return;
        }
        let sight = self.machine.rule_context(now);
        let seen = Side::BOTH.into_iter().all(|side| sight.fresh_cluster(side).is_ok());
        let setup = ParityView::setup_seen(self.parity_view().as_ref());
        let mut turned: Vec<Event> = self.turns.phase_turns(&self.machine.phases(&setup, now), seen, now);
        for group in self.machine.settings().groups.keys() {
            turned.extend(self.turns.gate_turns(group, &self.machine.gate_rows(group, now), now));
        }
        for event in turned {
            if !self.write_entry(CONTROLLER, event).await {
                return;
            }
        }
    }

    /// Keeps how far each target was told: a restart goes on from there. `all`: also when nothing was delivered since.
    pub(super) async fn keep_told(&mut self, all: bool) {
        self.herald.update_notices(&mut self.notices);
        let Some(told) = self.herald.told_if_changed(all) else { return };
        if let Err(trouble) = self.ledger.keep_told(told).await {
            self.add_notice(Severity::Warn, Subject::Migration, trouble);
        }
    }
}
