//! Theme files: a table of roles, each a table of looks.

use std::collections::BTreeMap;

use ratatui::style::{Modifier, Style};
use serde::Deserialize;
use strum::VariantArray;

use super::colour::{self, Depth};
use super::role::Role;

/// The text of a built-in theme.
pub(super) fn theme_source(name: &str) -> &'static str {
    match name {
        "light" => include_str!("../../../themes/light.toml"),
        "either" => include_str!("../../../themes/either.toml"),
        "ansi16" => include_str!("../../../themes/ansi16.toml"),
        "mono" => include_str!("../../../themes/mono.toml"),
        "high-contrast" => include_str!("../../../themes/high-contrast.toml"),
        _ => include_str!("../../../themes/dark.toml"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    roles: BTreeMap<String, RoleLook>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RoleLook {
    fg: Option<String>,
    bg: Option<String>,
    bold: bool,
    dim: bool,
    underline: bool,
    reverse: bool,
}

/// The styles of all roles in the order of [`Role`]; a role that the file leaves out is plain.
pub(super) fn parse_styles(text: &str, depth: Depth) -> Result<Vec<Style>, String> {
    let file: ThemeFile = toml::from_str(text).map_err(|e| e.to_string())?;
    if let Some(odd) = file.roles.keys().find(|k| !Role::VARIANTS.iter().any(|r| r.as_ref() == k.as_str())) {
        return Err(format!("there is no role `{odd}`"));
    }
    Role::VARIANTS
        .iter()
        .map(|role| match file.roles.get(role.as_ref()) {
            Some(look) => style_of(look, depth).map_err(|e| format!("{}: {e}", role.as_ref())),
            None => Ok(Style::default()),
        })
        .collect()
}

fn style_of(look: &RoleLook, depth: Depth) -> Result<Style, String> {
    let mut style = Style::default();
    if let Some(fg) = &look.fg {
        style.fg = depth.bring_down(colour::parse_colour(fg)?);
    }
    if let Some(bg) = &look.bg {
        style.bg = depth.bring_down(colour::parse_colour(bg)?);
    }
    let flags = [
        (look.bold, Modifier::BOLD),
        (look.dim, Modifier::DIM),
        (look.underline, Modifier::UNDERLINED),
        (look.reverse, Modifier::REVERSED),
    ];
    for (on, modifier) in flags {
        if on {
            style = style.add_modifier(modifier);
        }
    }
    Ok(style)
}
