//! `cutover journal show|verify|export`: what was decided and done. Reads only; the lease is not needed.

use super::args::{Global, JournalVerb};
use super::out::tell_line;
use super::{Error, Exit, load, print_json, print_text, words};
use crate::base::Trouble;
use crate::base::sanitise::{visible, visible_name, visible_path};
use crate::journal::Reader;
use crate::report::text::{clock, table};
use crate::snapshot::JournalLine;
use crate::snapshot::journal_text::Teller;

/// `cutover journal ...`.
pub fn run(global: &Global, verb: &JournalVerb) -> Result<Exit, Error> {
    let plan = load(global)?;
    let reader = Reader::open(&plan.journal).map_err(Error::Failed)?;
    reader.warnings().iter().for_each(|w| say!("cutover: {}", visible(w)));
    match verb {
        JournalVerb::Show { lines } => show(global, &reader, *lines),
        JournalVerb::Verify => verify(global, &reader),
        JournalVerb::Export => {
            reader.export(&mut super::out::document()).map_err(Error::Failed)?;
            Ok(Exit::DONE)
        }
    }
}

fn show(global: &Global, reader: &Reader, lines: usize) -> Result<Exit, Error> {
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
            tell_line(&words(&why));
            Exit::FAILED
        }));
    }
    let mut teller = Teller::default();
    let told: Vec<_> = entries.iter().map(|entry| (teller.line(entry), teller.details(entry))).collect();
    let row = |l: &JournalLine| vec![l.seq.to_string(), clock(l.at), visible_name(&l.actor), l.text.clone()];
    // Details stand in the last column, below their entry: before and after of each partition that a commit sets.
    let below = |text: &String| vec![String::new(), String::new(), String::new(), format!("  {text}")];
    let rows = told[told.len() - newest.len()..]
        .iter()
        .flat_map(|(line, details)| std::iter::once(row(line)).chain(details.iter().map(below)));
    print_text(&table(&rows.collect::<Vec<_>>()));
    sound(broken)
}

/// What was shown is all there is, or ends where the chain breaks.
fn sound(broken: Option<Trouble>) -> Result<Exit, Error> {
    broken.map_or(Ok(Exit::DONE), |why| Err(Error::Failed(why)))
}

fn verify(global: &Global, reader: &Reader) -> Result<Exit, Error> {
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
