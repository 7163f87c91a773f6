//! PURE. Offset translation between two logs that hold the same records at different offsets: see 03-offsets in ARCHITECTURE.md.

pub mod verdict;
