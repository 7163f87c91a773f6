//! The table itself. One row an action; nothing else in the program names a key.

use super::act;
use super::{Action, Danger, Scope};

/// Overlays in which something is typed or confirmed.
const OVERLAYS: &[Scope] =
    &[Scope::Confirm, Scope::Route, Scope::Why, Scope::Palette, Scope::Filter, Scope::Help, Scope::Leave];
/// Overlays in which enter says yes.
const ASKING: &[Scope] = &[Scope::Confirm, Scope::Route, Scope::Why, Scope::Palette, Scope::Filter, Scope::Leave];
/// Where rows are moved through.
const ROWS: &[Scope] = &[Scope::Cockpit, Scope::Group, Scope::Producer, Scope::Help, Scope::Route];
/// The same, where letters are typed.
const TYPED_ROWS: &[Scope] = &[Scope::Palette, Scope::Confirm];
/// Where there is a group to act on.
const GROUP: &[Scope] = &[Scope::Groups, Scope::Group];
/// Where there is a producer to act on.
const PRODUCER: &[Scope] = &[Scope::Producers, Scope::Producer];
/// Where there is either.
const SUBJECT: &[Scope] = &[Scope::Groups, Scope::Group, Scope::Producers, Scope::Producer];

/// Shorthand: one row.
macro_rules! actions {
    ($($id:literal $word:literal $keys:expr, $scopes:expr, $danger:ident, $footer:literal, $ready:expr, $run:expr, $doc:literal;)*) => {
        /// Every action, in the order of help.
        pub const ACTIONS: &[Action] = &[$(Action {
            id: $id, doc: $doc, word: $word, keys: &$keys, scopes: $scopes, danger: Danger::$danger, footer: $footer,
            ready: $ready, run: $run,
        }),*];
    };
}

actions! {
    "open" "open" ["enter"], &[Scope::Groups, Scope::Producers, Scope::Notices], None, 10, act::can_open, act::open,
        "Opens the row under the cursor.";
    "cut-over" "cut over" ["c"], GROUP, Changes, 20, act::can_cut_over, act::cut_over,
        "Moves the group to green: stop on blue, wait for the drain, translate, commit, start on green.";
    "roll-back" "roll back" ["b"], GROUP, Changes, 21, act::can_roll_back, act::roll_back,
        "Moves the group back to blue, or undoes a cutover that is under way.";
    "reset-offsets" "offsets" ["o"], GROUP, Changes, 23, act::can_reset, act::reset,
        "Sets the group's offsets on the other cluster to the equivalent of its position, without starting anything.";
    "continue" "go on" ["g"], GROUP, Changes, 19, act::can_continue, act::continue_run,
        "Goes on with an action that a restart or a failed step interrupted.";
    "complete" "done" ["d"], GROUP, Changes, 24, act::can_complete, act::complete,
        "Declares the group's soak done.";
    "measure" "measure" ["m"], GROUP, Reads, 25, act::can_measure, act::measure,
        "Measures the group's translation now; the result is its estimate.";
    "route" "route" ["r"], PRODUCER, Changes, 20, act::can_route, act::route,
        "Sets the producer's flag: blue, dual, green or off.";
    "hold" "hold" ["h"], SUBJECT, Journals, 26, act::can_hold, act::hold,
        "Keeps a group or producer where it is, with a typed reason; a running action stops before its next effect.";
    "resume" "resume" ["h"], SUBJECT, Journals, 26, act::can_resume, act::resume,
        "Ends a hold.";
    "switch-focus" "steps" ["tab"], &[Scope::Group], None, 30, act::can_switch_focus, act::switch_focus,
        "Switches between the steps of the run and the partition table.";
    "filter" "filter" ["/"], &[Scope::Cockpit], None, 40, act::always, act::filter,
        "Shows only rows that contain every word typed: name, team, state.";
    "next-table" "next table" ["tab"], &[Scope::Cockpit], None, 0, act::always, act::next_table,
        "The next table.";
    "previous-table" "previous table" ["backtab"], &[Scope::Cockpit], None, 0, act::always, act::previous_table,
        "The table before.";
    "show-groups" "groups" ["1"], &[Scope::Global], None, 0, act::always, act::show_groups, "Consumer groups.";
    "show-producers" "producers" ["2"], &[Scope::Global], None, 0, act::always, act::show_producers, "Producers.";
    "show-journal" "journal" ["3"], &[Scope::Global], None, 0, act::always, act::show_journal, "The journal.";
    "show-notices" "notices" ["4"], &[Scope::Global], None, 0, act::always, act::show_notices,
        "What should be read now, with what to do about it.";
    "down" "down" ["down", "j"], ROWS, None, 0, act::always, act::down, "One row down.";
    "up" "up" ["up", "k"], ROWS, None, 0, act::always, act::up, "One row up.";
    "page-down" "page down" ["pagedown", "ctrl-d"], ROWS, None, 0, act::always, act::page_down, "A page down.";
    "page-up" "page up" ["pageup", "ctrl-u"], ROWS, None, 0, act::always, act::page_up, "A page up.";
    "first" "first" ["home"], ROWS, None, 0, act::always, act::first, "The first row.";
    "last" "last" ["end"], ROWS, None, 0, act::always, act::last, "The last row.";
    "line-down" "down" ["down", "ctrl-n"], TYPED_ROWS, None, 0, act::always, act::down,
        "One line down, where letters are typed.";
    "line-up" "up" ["up", "ctrl-p"], TYPED_ROWS, None, 0, act::always, act::up,
        "One line up, where letters are typed.";
    "accept" "go on" ["enter"], ASKING, None, 10, act::can_accept, act::accept,
        "Says yes: sends what was typed or chosen.";
    "copy-by-hand" "copy" ["y", "ctrl-y"], &[Scope::Confirm], None, 30, act::can_copy, act::copy_by_hand,
        "Copies the commands that do the same by hand (through the terminal, OSC 52).";
    "complete-word" "complete" ["tab"], &[Scope::Palette], None, 20, act::always, act::complete_word,
        "Completes the name of the chosen command.";
    "close" "leave" ["esc"], OVERLAYS, None, 20, act::always, act::close_overlay,
        "Closes what lies over the screen; nothing is sent.";
    "close-help" "close" ["q", "?"], &[Scope::Help], None, 0, act::always, act::close_overlay,
        "Closes this help.";
    "back" "back" ["esc"], &[Scope::Global], None, 60, act::can_go_back, act::back,
        "Goes back, or takes the filter away.";
    "palette" "cmd" [":"], &[Scope::Global], None, 70, act::always, act::palette,
        "Runs any command by its name, with completion.";
    "help" "help" ["?"], &[Scope::Global], None, 80, act::always, act::help, "Shows the keys.";
    "redraw" "redraw" ["ctrl-l"], &[Scope::Global], None, 0, act::always, act::redraw,
        "Draws the whole screen again.";
    "leave" "quit" ["q", "ctrl-c"], &[Scope::Global], None, 90, act::always, act::leave,
        "Leaves. In the middle of a run that nobody else carries on it says what to do instead.";
    "leave-anyway" "leave anyway" ["ctrl-c"], OVERLAYS, None, 0, act::always, act::leave_anyway,
        "Closes what lies over the screen and leaves; in the question about leaving it leaves at once.";
}
