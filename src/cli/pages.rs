//! Pages made from the arguments: completions, the man page, docs/cli.md.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use super::args::Cli;
use super::out::print_file;
use super::{Error, Exit};
use crate::base::Trouble;

/// `cutover completions SHELL`.
pub fn completions(shell: clap_complete::Shell) -> Result<Exit, Error> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cutover", &mut out);
    print_file(&String::from_utf8_lossy(&out));
    Ok(Exit::DONE)
}

/// `cutover man`.
pub fn man() -> Result<Exit, Error> {
    let mut out = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut out)
        .map_err(|e| Error::Failed(Trouble::new(format!("the man page can't be written: {e}"), "")))?;
    print_file(&String::from_utf8_lossy(&out));
    Ok(Exit::DONE)
}

/// docs/cli.md: every command with its help. A test compares it with the file.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from("# Commands\n\nGenerated from the arguments; `tests/cli` compares it.\n");
    write_page(&mut Cli::command().term_width(100), "cutover", &mut out);
    out
}

fn write_page(command: &mut clap::Command, path: &str, out: &mut String) {
    let help = command.clone().bin_name(path).term_width(100).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(out, "\n## `{path}`\n\n```text\n{}\n```\n", lines.join("\n").trim());
    let names: Vec<String> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help")
        .map(|c| c.get_name().to_owned())
        .collect();
    for name in names {
        if let Some(sub) = command.find_subcommand_mut(&name) {
            write_page(sub, &format!("{path} {name}"), out);
        }
    }
}
