//! A program that prints a number.

use std::path::Path;

use super::MetricValue;
use crate::base::Trouble;
use crate::base::sanitise::visible_text;
use crate::net::process::CommandRun;

pub(super) async fn ask_command(argv: Vec<String>, dir: &Path, timeout_ms: u64) -> Result<MetricValue, Trouble> {
    let run = CommandRun { argv, dir, timeout_ms, secret: false };
    let word = run.read_word("one number").await?;
    // `nan` and `inf` are numbers to Rust: they are refused with all that is not finite.
    match word.parse::<f64>() {
        // It tells no time: it counts as of the moment it was asked.
        Ok(value) => Ok(MetricValue { value, at: None }),
        Err(_) => {
            let said: String = visible_text(&crate::base::redact::hide_secrets(&word)).chars().take(80).collect();
            let what = format!("{} prints {said:?}, which is no number", run.visible_command());
            Err(Trouble::new(what, "let it print one number, such as 0.0002, and nothing when there is no data"))
        }
    }
}
