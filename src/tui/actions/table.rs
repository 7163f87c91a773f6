//! The table itself. One row an action; nothing else in the program names a key.

use super::{Danger, KeyAction, Scope};
use super::{asks, over, places, ready};

/// Overlays in which something is typed or confirmed.
const OVERLAYS: &[Scope] = &[
    Scope::Confirm,
    Scope::Route,
    Scope::Range,
    Scope::Choose,
    Scope::Why,
    Scope::Palette,
    Scope::Filter,
    Scope::Help,
    Scope::Leave,
];
/// Overlays in which enter says yes.
const ASKING: &[Scope] = &[
    Scope::Confirm,
    Scope::Route,
    Scope::Range,
    Scope::Choose,
    Scope::Why,
    Scope::Palette,
    Scope::Filter,
    Scope::Leave,
];
/// Where rows are moved through.
const ROWS: &[Scope] = &[
    Scope::Cockpit,
    Scope::Group,
    Scope::Partition,
    Scope::Producer,
    Scope::Verify,
    Scope::Calendar,
    Scope::Parity,
    Scope::Help,
    Scope::Route,
    Scope::Range,
    Scope::Choose,
];
/// The same, where letters are typed.
const TYPED_ROWS: &[Scope] = &[Scope::Palette, Scope::Confirm];
/// Where there is a group to act on.
const GROUP: &[Scope] = &[Scope::Groups, Scope::Group, Scope::Partition];
/// Where a group's offsets are shown.
const EXPORT: &[Scope] = &[Scope::Groups, Scope::Group, Scope::Partition, Scope::Confirm];
/// Where there is a producer to act on.
const PRODUCER: &[Scope] = &[Scope::Producers, Scope::Producer];
/// Where there is either.
const SUBJECT: &[Scope] = &[Scope::Groups, Scope::Group, Scope::Partition, Scope::Producers, Scope::Producer];

/// Every screen, whatever is chosen on it.
const SCREENS: &[Scope] =
    &[Scope::Cockpit, Scope::Group, Scope::Partition, Scope::Producer, Scope::Verify, Scope::Calendar, Scope::Parity];

/// Where there is something to compare.
const COMPARED: &[Scope] =
    &[Scope::Groups, Scope::Group, Scope::Partition, Scope::Producers, Scope::Producer, Scope::Verify];

/// Every screen and everything that lies over one.
const EVERYWHERE: &[Scope] = &[
    Scope::Global,
    Scope::Confirm,
    Scope::Route,
    Scope::Range,
    Scope::Choose,
    Scope::Why,
    Scope::Palette,
    Scope::Filter,
    Scope::Help,
    Scope::Leave,
];

/// Shorthand: one row.
macro_rules! actions {
    ($($id:literal $word:literal $keys:expr, $scopes:expr, $danger:ident, $footer:literal, $ready:expr, $run:expr, $doc:literal;)*) => {
        /// Every action, in the order of help.
        pub const ACTIONS: &[KeyAction] = &[$(KeyAction {
            id: $id, doc: $doc, word: $word, keys: &$keys, scopes: $scopes, danger: Danger::$danger, footer: $footer,
            ready: $ready, run: $run,
        }),*];
    };
}

actions! {
    "open" "open" ["enter"], &[Scope::Groups, Scope::Producers, Scope::Notices, Scope::Calendar, Scope::Group],
         None, 10, ready::can_open, places::open_row,
        "Opens the row under the cursor; on a partition: the records on both sides of the cut.";
    "next-partition" "next" ["n", "tab"], &[Scope::Partition], None, 11, ready::always_ready, places::next_partition,
        "The next partition, in the order of the table.";
    "previous-partition" "previous" ["p", "backtab"], &[Scope::Partition], None, 12, ready::always_ready,
        places::previous_partition, "The partition before.";
    "show-values" "values" ["s"], &[Scope::Partition], Reads, 13, ready::can_export, asks::show_values,
        "Shows or hides the beginnings of the records' values; they are read only when asked for, and kept nowhere.";
    "cut-over" "cut over" ["c"], GROUP, Changes, 20, ready::can_cut_over, asks::cut_over,
        "Moves the group to green: stop on blue, wait for the drain, translate, commit, start on green.";
    "roll-back" "roll back" ["b"], GROUP, Changes, 21, ready::can_roll_back, asks::roll_back,
        "Moves the group back to blue, or undoes a cutover that is under way.";
    "reset-offsets" "offsets" ["o"], GROUP, Changes, 23, ready::can_reset, asks::reset_offsets,
        "Sets the group's offsets on the other cluster to the equivalent of its position, without starting \
         anything; asks by which strategy.";
    "hard-cut" "hard cut" ["e"], PRODUCER, Changes, 20, ready::can_hard_cut, asks::hard_cut,
        "Moves an exactly-once producer to green: stop, drain, fence, seam, start; one on green goes back to blue, \
         and what was written on green since is carried back.";
    "hard-back-losing" "back, losing" ["shift-e"], PRODUCER, Changes, 0, ready::can_lose, asks::roll_back_losing,
        "Takes an exactly-once producer back to blue and leaves what was written on green since behind: lost to \
         whoever reads blue.";
    "approve" "agree" ["a"], PRODUCER, Journals, 24, ready::can_approve, asks::approve,
        "Agrees, as a second person, to the hard cutover that somebody else starts.";
    "continue" "go on" ["g"], SUBJECT, Changes, 19, ready::can_continue, asks::continue_run,
        "Goes on with an action that a restart or a failed step interrupted; of a producer: an alarm was seen and \
         mended.";
    "complete" "done" ["d"], SUBJECT, Changes, 24, ready::can_complete, asks::complete_soak,
        "Declares the soak of a group or an exactly-once producer done.";
    "measure" "measure" ["m"], GROUP, Reads, 25, ready::can_measure, asks::measure_translation,
        "Measures the group's translation now; the result is its estimate.";
    "verify" "verify" ["v"], COMPARED, Reads, 27, ready::can_verify, asks::verify_subject,
        "Compares the topics of a group or producer, or a partition's topic, on both clusters, record by record; \
         asks for the range.";
    "stop-diff" "stop" ["s"], &[Scope::Verify], None, 20, ready::can_stop_diff, asks::stop_diff,
        "Stops the diff, after `stop` was typed; what was read is kept.";
    "continue-diff" "go on" ["g"], &[Scope::Verify], Reads, 20, ready::can_continue_diff, asks::continue_diff,
        "Goes on with a diff that was stopped.";
    "look-at-setup" "look" ["g"], &[Scope::Parity], Reads, 20, ready::can_look_at_setup, asks::look_at_setup,
        "Looks at how both clusters are set up, and compares; changes nothing.";
    "provision" "provision" ["p"], &[Scope::Parity], Changes, 21, ready::can_provision, asks::provision_green,
        "Makes on green what it lacks and what may be made: topics, settings, ACLs, quotas, schemas with their ids. Adds and \
         sets, takes nothing away; what is left to a person is shown.";
    "copy-next" "copy" ["y"], &[Scope::Verify], None, 21, ready::can_copy_next, asks::copy_next,
        "Copies the replay that carries what is missing (through the terminal, OSC 52).";
    "export" "export" ["ctrl-x"], EXPORT, Writes, 31, ready::can_export, asks::export,
        "Writes the offsets beside the plan, as the file that kafka-consumer-groups --reset-offsets reads.";
    "route" "route" ["r"], PRODUCER, Changes, 20, ready::can_route, asks::choose_route,
        "Sets the producer's flag: blue, dual, green or off.";
    "hold" "hold" ["h"], SUBJECT, Journals, 26, ready::can_hold, asks::ask_to_hold,
        "Keeps a group or producer where it is, after `hold` and why were typed; a running action stops before its \
         next effect.";
    "hold-trigger" "hold it" ["w"], SCREENS, Journals, 1, ready::can_hold_trigger, asks::ask_to_hold_trigger,
        "Holds the group that a trigger is about to roll back, after `hold` and why were typed; resuming gives the \
         whole countdown again.";
    "resume" "resume" ["u"], SUBJECT, Journals, 26, ready::can_resume, asks::ask_to_resume,
        "Ends a hold, after `resume` was typed: what was held goes on by itself.";
    "switch-focus" "steps" ["tab"], &[Scope::Group], None, 22, ready::can_switch_focus, places::switch_focus,
        "Switches between the partition table, the steps of the run, and what has no room above them.";
    "switch-detail" "all of it" ["tab"], &[Scope::Verify, Scope::Calendar, Scope::Parity], None, 28, ready::can_switch_detail,
        places::switch_detail, "Shows all that the row under the cursor says in the place of the table, or the \
         table again.";
    "filter" "filter" ["/"], &[Scope::Cockpit, Scope::Group], None, 40, ready::always_ready, places::open_filter,
        "Shows only rows that contain every word typed: name, team, state, verdict.";
    "next-table" "next table" ["tab"], &[Scope::Cockpit], None, 0, ready::always_ready, places::next_table,
        "The next table.";
    "previous-table" "previous table" ["backtab"], &[Scope::Cockpit], None, 0, ready::always_ready, places::previous_table,
        "The table before.";
    "show-groups" "groups" ["1"], &[Scope::Global], None, 0, ready::always_ready, places::show_groups, "Consumer groups.";
    "show-producers" "producers" ["2"], &[Scope::Global], None, 0, ready::always_ready, places::show_producers, "Producers.";
    "show-journal" "journal" ["3"], &[Scope::Global], None, 0, ready::always_ready, places::show_journal, "The journal.";
    "show-notices" "notices" ["4"], &[Scope::Global], None, 0, ready::always_ready, places::show_notices,
        "What should be read now, with what to do about it.";
    "show-verify" "diff" ["5"], &[Scope::Global], None, 0, ready::always_ready, places::show_verify,
        "The diff that is under way, or the last one.";
    "show-calendar" "calendar" ["6"], &[Scope::Global], None, 0, ready::always_ready, places::show_calendar,
        "The migration calendar: who moves next and when, what was missed, what contradicts what.";
    "show-parity" "parity" ["7"], &[Scope::Global], None, 0, ready::always_ready, asks::show_parity,
        "How green is set up beside blue: what is missing, what differs, what would mend it. Looks when nobody has yet.";
    "down" "down" ["down", "j"], ROWS, None, 0, ready::always_ready, places::step_down, "One row down.";
    "up" "up" ["up", "k"], ROWS, None, 0, ready::always_ready, places::step_up, "One row up.";
    "page-down" "page down" ["pagedown", "ctrl-d"], ROWS, None, 0, ready::always_ready, places::page_down, "A page down.";
    "page-up" "page up" ["pageup", "ctrl-u"], ROWS, None, 0, ready::always_ready, places::page_up, "A page up.";
    "first" "first" ["home"], ROWS, None, 0, ready::always_ready, places::step_to_first, "The first row.";
    "last" "last" ["end", "shift-g"], ROWS, None, 0, ready::always_ready, places::step_to_last, "The last row.";
    "line-down" "down" ["down", "ctrl-n"], TYPED_ROWS, None, 0, ready::always_ready, places::step_down,
        "One line down, where letters are typed.";
    "line-up" "up" ["up", "ctrl-p"], TYPED_ROWS, None, 0, ready::always_ready, places::step_up,
        "One line up, where letters are typed.";
    "accept" "go on" ["enter"], ASKING, None, 10, ready::can_accept, over::accept_overlay,
        "Goes on with what was typed or chosen; where something changes, only with the word or phrase that is asked \
         for.";
    "pass-over" "pass over" ["p"], &[Scope::Confirm], Changes, 15, ready::can_pass_over, over::pass_over,
        "Passes over the gate that holds, with a typed reason; the phrase then names what that costs.";
    "copy-by-hand" "copy" ["ctrl-y"], &[Scope::Confirm], None, 30, ready::can_copy, over::copy_by_hand,
        "Copies the commands that do the same by hand (through the terminal, OSC 52).";
    "complete-word" "complete" ["tab"], &[Scope::Palette], None, 20, ready::always_ready, over::complete_word,
        "Completes the name of the chosen command.";
    "close" "cancel" ["esc"], OVERLAYS, None, 20, ready::always_ready, over::close_overlay,
        "Closes what lies over the screen; nothing is sent.";
    "find" "find" ["/"], &[Scope::Help], None, 10, ready::always_ready, over::find_in_help,
        "Shows only the keys whose name or words hold every word typed.";
    "close-help" "close" ["q", "?"], &[Scope::Help], None, 0, ready::always_ready, over::close_overlay,
        "Closes this help.";
    "back" "back" ["esc"], &[Scope::Global], None, 60, ready::can_go_back, places::go_back,
        "Goes back, or takes the filter away.";
    "palette" "cmd" [":"], &[Scope::Global], None, 70, ready::always_ready, places::open_palette,
        "Runs any command by its name, with completion.";
    "help" "help" ["?"], &[Scope::Global], None, 80, ready::always_ready, places::open_help, "Shows the keys.";
    "redraw" "redraw" ["ctrl-l"], &[Scope::Global], None, 0, ready::always_ready, places::redraw,
        "Draws the whole screen again.";
    "suspend" "suspend" ["ctrl-z"], EVERYWHERE, None, 0, ready::always_ready, over::suspend,
        "Gives the terminal back to the shell; `fg` comes back. Not while a run, a countdown or a soak clock would \
         stop with it.";
    "leave-now" "leave" ["y"], &[Scope::Leave], None, 15, ready::can_leave_by_key, over::leave_now,
        "Leaves: soak clocks stop counting, and triggers are not watched until a controller runs again.";
    "stay" "stay" ["n"], &[Scope::Leave], None, 16, ready::can_leave_now, over::close_overlay,
        "Stays, and everything goes on.";
    "leave" "quit" ["q", "ctrl-c"], &[Scope::Global], None, 90, ready::always_ready, over::leave,
        "Leaves. Where something would stop that nobody else carries on (a run, a countdown, soak clocks) it says \
         so first.";
    "leave-anyway" "leave anyway" ["ctrl-c"], OVERLAYS, None, 0, ready::always_ready, over::leave_anyway,
        "Closes what lies over the screen and leaves; in the question about leaving it leaves at once.";
}
