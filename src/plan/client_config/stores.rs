//! What kind of store of keys a file is, by what it begins with: its type is often left out in `client.properties`, and
//! Java's readers take one for the other.

use std::io::Read as _;
use std::path::Path;

use crate::base::sanitise::visible_path;

/// The formats in which Java's client keeps keys and certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFormat {
    /// RFC 7468.
    Pem,
    /// RFC 7292.
    Pkcs12,
    /// Java's own; JCEKS too.
    Jks,
}

/// Looks at the beginning of a file.
///
/// # Errors
/// It can't be read, or is none of the three: one sentence.
pub(crate) fn read_store_format(path: &Path) -> Result<StoreFormat, String> {
    let shown = visible_path(path);
    let mut head = Vec::new();
    let read = std::fs::metadata(path).and_then(|meta| match meta.is_file() {
        true => std::fs::File::open(path)?.take(64 * 1024).read_to_end(&mut head).map(drop),
        false => Err(std::io::Error::other("it is no file")),
    });
    read.map_err(|e| format!("{shown} can't be read: {e}"))?;
    recognise_store(&head).ok_or_else(|| format!("{shown} is neither PEM nor PKCS#12 nor JKS"))
}

/// What begins like this. Magic numbers: `sun.security.provider.JavaKeyStore`, `com.sun.crypto.provider.JceKeyStore`;
/// PKCS#12 is a DER sequence.
pub(super) fn recognise_store(head: &[u8]) -> Option<StoreFormat> {
    match head {
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => Some(StoreFormat::Jks),
        [0x30, ..] => Some(StoreFormat::Pkcs12),
        // What stands above the first block is a comment (RFC 7468, 2).
        _ => head.windows(11).any(|w| w == b"-----BEGIN ").then_some(StoreFormat::Pem),
    }
}
