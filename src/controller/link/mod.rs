//! The line between a controller and the screens that are not in its process: a unix socket beside the journal.
//!
//! Whoever holds the journal's lease serves it ([`serve`]); everybody else of the same user attaches ([`attach`]) and
//! gets the same [`super::Handle`] that a controller in the own process would give: snapshots to look at, asks to send,
//! replies to read. Any number of screens see the same state, and a screen that goes away takes nothing with it.
//!
//! The socket is `JOURNAL.sock`, mode 0600, and each side asks the kernel who is at the other end: only the same user
//! and root are talked to. It carries frames of JSON: four bytes of length (big endian), then one value.

pub mod attach;
mod frame;
mod hub;
pub mod serve;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::Trouble;
use crate::snapshot::{Ask, Reply, Snapshot};

/// Version of what is said over the line. Both ends must also be the same version of cutover: a screen that reads an
/// older picture would leave out what it does not know.
const PROTOCOL: u32 = 2;
/// Longest frame of a screen, bytes: a command with its reasons.
const LONGEST_ASK: usize = 1 << 20;
/// Longest frame of a controller, bytes: a picture of some hundred thousand partitions.
const LONGEST_PICTURE: usize = 256 << 20;

/// What a screen says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromScreen {
    /// First of all.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Version of cutover.
        version: String,
        /// It only looks: nothing that changes anything is taken from it.
        read_only: bool,
        /// Digest of the plan as it read it.
        plan: String,
    },
    /// A question or a command.
    Ask(Ask),
}

/// What a controller says; who says it lends its picture, who hears it owns one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromController<P = Box<Snapshot>> {
    /// Answer to a hello that it goes on with.
    Welcome {
        /// Process id of the controller.
        pid: u32,
        /// Digest of the plan as it read it.
        plan: String,
    },
    /// Answer to a hello that ends here.
    Refused(Trouble),
    /// The newest picture.
    Picture(P),
    /// An answer.
    Reply(Reply),
    /// It has ended in order; nothing follows.
    Ended,
}

/// The socket of a journal.
#[must_use]
pub fn socket_path(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".sock");
    name.into()
}

/// Longest path that fits into a socket's address on every unix, bytes.
const LONGEST_ADDRESS: usize = 100;

/// A path as a socket's address: one that is too long goes by way of its folder's open descriptor, which has to live as
/// long as the address is used. Errors: the folder can't be opened.
fn socket_address(path: &Path) -> std::io::Result<(PathBuf, Option<std::fs::File>)> {
    use std::os::fd::AsRawFd as _;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok((path.to_owned(), None)) };
    if path.as_os_str().len() <= LONGEST_ADDRESS {
        return Ok((path.to_owned(), None));
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = std::fs::File::open(folder)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name), Some(folder)))
}

/// Whether the other end of a line is the same user, or root. The socket's mode says the same; the kernel says it of
/// the process that is there now.
fn check_same_user(stream: &tokio::net::UnixStream) -> Result<(), Trouble> {
    let me = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(other) if other.uid() == me || other.uid() == 0 => Ok(()),
        Ok(other) => Err(Trouble::new(
            format!("the other end of the controller's socket is user {}, not {me}", other.uid()),
            "attach as the user that runs the controller",
        )),
        Err(e) => Err(Trouble::new(format!("who is at the controller's socket can't be told: {e}"), "")),
    }
}
