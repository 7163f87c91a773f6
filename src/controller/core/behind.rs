//! What lies behind groups' positions: who holds a log there, and whether there is any record. It is asked only while the
//! machine wants to know.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Core;
use crate::base::{At, Side};
use crate::controller::blanks;
use crate::controller::holders::{self, HolderFocus};
use crate::controller::observe::{Observation, ObservationSender};
use crate::estate::Estate;
use crate::estate::blank::WantedBlanks;
use crate::session::tools::Tools;

/// What is asked now.
pub(super) struct Behind {
    holders: watch::Sender<HolderFocus>,
    blanks: watch::Sender<WantedBlanks>,
}

impl Behind {
    /// Starts the pollers of both sides. `pause_ms`: between two looks.
    pub(crate) fn start_pollers(
        tasks: &mut JoinSet<()>,
        tools: &Arc<Tools>,
        pause_ms: u64,
        to: &ObservationSender,
    ) -> Self {
        let (holders, held) = watch::channel(HolderFocus::new());
        let (blanks, blank) = watch::channel(WantedBlanks::new());
        for side in Side::BOTH.into_iter().filter(|side| tools.why_unreachable(*side).is_none()) {
            holders::watch_side(tasks, tools, side, pause_ms, &held, to);
            blanks::watch_side(tasks, tools, side, &blank, to);
        }
        Self { holders, blanks }
    }
}

/// Takes in what was told.
pub(super) fn take_behind(estate: &mut Estate, what: Observation, at: At) {
    match what {
        Observation::Blank(side, tp, blank) => blanks::take_blank(estate, side, tp, blank),
        Observation::Holders(side, asked, told) => holders::take_holders(&mut estate.holders[side], asked, told, at),
        _ => {}
    }
}

impl Core {
    /// Tells the pollers what the machine wants to know now.
    pub(super) fn look_behind(&mut self, now: At) {
        let blanks = self.machine.wanted_blanks(now);
        self.behind.blanks.send_if_modified(|asked| std::mem::replace(asked, blanks.clone()) != blanks);
        let holders = self.machine.wanted_holders(now);
        self.behind.holders.send_if_modified(|asked| std::mem::replace(asked, holders.clone()) != holders);
    }
}
