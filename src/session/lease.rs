//! Who may change something.

/// The right to change something: this session holds the journal and is armed.
#[derive(Debug)]
pub(crate) struct WriteLease(());

impl WriteLease {
    /// Only the ledger that holds the journal gives one out.
    pub(super) fn of_the_holder() -> Self {
        Self(())
    }
}
