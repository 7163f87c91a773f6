//! Cases as data: every `NAME.toml` of a directory, and the lines of a script in one.

use std::path::PathBuf;

/// Every case of a directory of this package, by name.
pub fn cases<C: serde::de::DeserializeOwned>(dir: &str) -> Vec<(String, C)> {
    let mut all: Vec<_> = std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(dir))
        .expect("the cases are there")
        .map(|f| f.expect("readable").path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .map(|p| {
            let text = std::fs::read_to_string(&p).expect("readable");
            let name = p.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let case = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            (name, case)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Lines of a script with their numbers: without comments, and without what is empty.
pub fn lines(script: &str) -> impl Iterator<Item = (usize, &str)> {
    let bare = |line| -> &str { str::split(line, " # ").next().unwrap_or_default().trim() };
    let lines = script.lines().enumerate().map(move |(n, line)| (n + 1, bare(line)));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
