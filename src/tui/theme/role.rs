//! What a piece of text is for. Themes give each role its looks.

/// What a piece of text is for. In theme files the names are kebab-case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::VariantArray, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Role {
    /// Plain text.
    Text,
    /// Less important: units, heads, what does not concern the moment.
    Dim,
    /// More important: the number one came for.
    Strong,
    /// Frames.
    Frame,
    /// The frame that has the focus, and dialogs.
    FrameFocus,
    /// Identity of blue; says nothing about health.
    Blue,
    /// Identity of green; says nothing about health.
    Green,
    /// Something holds as it should.
    Ok,
    /// Something holds things up, or ages.
    Hold,
    /// Something failed.
    Fail,
    /// It can't be told.
    Unknown,
    /// The row under the cursor.
    CursorRow,
    /// A key that works now.
    Key,
    /// What that key does.
    KeyWord,
    /// The tab that is shown.
    TabOn,
    /// Other tabs.
    TabOff,
    /// The phase that is under way.
    PhaseNow,
    /// ARMED.
    Armed,
    /// READ-ONLY.
    ReadOnly,
    /// DRY-RUN.
    DryRun,
    /// Text being typed.
    Input,
    /// A line across the screen: nothing may be done.
    BannerFail,
    /// A line across the screen: something to know.
    BannerHold,
    /// The line after which there is no silent return.
    NoReturn,
    /// Letters that a search matched.
    Match,
}
