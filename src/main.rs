//! Arguments, hooks, dispatch; nothing else.
fn main() {}
