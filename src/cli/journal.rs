//! `cutover journal show|verify|export`: what was decided and done. Reads only; the lease is not needed.

use super::args::{GlobalArgs, JournalVerb};
use super::out::tell_line;
use super::{Error, Exit, describe_trouble, load_plan, print_json, print_text};
use crate::base::Trouble;
use crate::base::sanitise::{visible_name, visible_path, visible_text};
use crate::journal::Reader;
use crate::report::text::{format_moment, format_table};
use crate::snapshot::JournalLine;
use crate::snapshot::journal_text::JournalText;

/// `cutover journal ...`.
pub fn run(global: &GlobalArgs, verb: &JournalVerb) -> Result<Exit, Error> {
    let plan = load_plan(global)?;
    let reader = Reader::open(&plan.journal).map_err(Error::Failed)?;
    reader.warnings().iter().for_each(|w| say!("cutover: {}", visible_text(w)));
    match verb {
        JournalVerb::Show { lines } => show(global, &reader, *lines),
        JournalVerb::Verify => verify(global, &reader),
        JournalVerb::Export => {
            reader.export(&mut super::out::open_document()).map_err(Error::Failed)?;
            Ok(Exit::DONE)
        }
    }
}

fn show(global: &GlobalArgs, reader: &Reader, lines: usize) -> Result<Exit, Error> {
    // from the first entry on: the teller has to know which run is about what
    let (entries, broken) = reader.sound_entries(1).map_err(Error::Failed)?;
    let broken = broken.or_else(|| reader.check_file().err());
    let newest = &entries[entries.len().saturating_sub(lines)..];
    // An older version may have journalled what librdkafka says of a secret: it is not printed. The file stays as it is,
    // its chain holds it.
    if global.json {
        print_json(&newest)?;
        // One document is all there may be on standard output: that it is not the whole is said beside it.
        return Ok(broken.map_or(Exit::DONE, |why| {
            tell_line(&describe_trouble(&why));
            Exit::FAILED
        }));
    }
    let mut teller = JournalText::default();
    let told: Vec<_> = entries.iter().map(|entry| (teller.entry_line(entry), teller.detail_lines(entry))).collect();
    let row = |l: &JournalLine| vec![l.seq.to_string(), format_moment(l.at), visible_name(&l.actor), l.text.clone()];
    // Details stand in the last column, below their entry: before and after of each partition that a commit sets.
    let below = |text: &String| vec![String::new(), String::new(), String::new(), format!("  {text}")];
    let rows = told[told.len() - newest.len()..]
        .iter()
        .flat_map(|(line, details)| std::iter::once(row(line)).chain(details.iter().map(below)));
    print_text(&format_table(&rows.collect::<Vec<_>>()));
    exit_of_chain(broken)
}

/// What was shown is all there is, or ends where the chain breaks.
fn exit_of_chain(broken: Option<Trouble>) -> Result<Exit, Error> {
    broken.map_or(Ok(Exit::DONE), |why| Err(Error::Failed(why)))
}

fn verify(global: &GlobalArgs, reader: &Reader) -> Result<Exit, Error> {
    match reader.verify().map_err(Error::Failed)? {
        Ok(verified) => {
            if global.json {
                print_json(&serde_json::json!({ "ok": true, "verified": verified }))?;
            } else {
                let (at, n) = (visible_path(reader.path()), verified.entries);
                print_text(&format!(
                    "{at}: the chain of {n} entries holds\nhead {} (note it elsewhere)\n",
                    verified.head
                ));
            }
            Ok(Exit::DONE)
        }
        Err(broken) => Err(Error::Failed(Trouble::new(
            format!("{}: entry {} is broken: {}", visible_path(reader.path()), broken.seq, broken.why),
            "what stands before it is as it was written; keep the file, and look at who changed it",
        ))),
    }
}
