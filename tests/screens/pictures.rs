//! Pictures in `assets/` are made from the real view. `UPDATE_PICTURES=1 cargo test --test screens` makes them anew.

use cutover::tui::model::Model;
use cutover::tui::picture::{Background, render_svg};
use cutover::tui::view;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::{fixture, scenes};

/// A model drawn into a buffer of its size.
pub fn drawn(m: &Model) -> Buffer {
    let area = Rect::new(0, 0, m.size.0, m.size.1);
    let mut buf = Buffer::empty(area);
    view::draw(m, area, &mut buf);
    buf
}

#[test]
fn cockpit_picture_is_the_real_view() {
    let m = fixture::model(fixture::estate(), (100, 30));
    let picture = render_svg(&drawn(&m), Background::Dark, "cutover: the cockpit over two clusters");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/cockpit.svg");
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/assets")).expect("assets");
        std::fs::write(path, &picture).expect("written");
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(stored == picture, "assets/cockpit.svg is not what the view draws: run with UPDATE_PICTURES=1");
}

/// `PICTURES=dir cargo test --test screens every_scene` leaves a picture of each scene there, to look at.
#[test]
fn every_scene_makes_a_picture() {
    let dir = std::env::var_os("PICTURES");
    for (name, m) in scenes::all() {
        let ground = if name.contains("light") { Background::Light } else { Background::Dark };
        let picture = render_svg(&drawn(&m), ground, name);
        assert!(picture.ends_with("</svg>\n") && !picture.contains('\u{1b}'), "{name}");
        if let Some(dir) = &dir {
            std::fs::write(std::path::Path::new(dir).join(format!("{name}.svg")), picture).expect("written");
        }
    }
}
