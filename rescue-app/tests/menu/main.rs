//! The whole menu on a screen in memory, with a machine of fixed disks behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fake;
mod harness;

use fake::Fake;
use harness::Menu;
use lifeboat::tui::key::Key::{self, Char, Down, Enter, Esc};

#[test]
fn dump() {
    let mut m = Menu::new(Fake::new());
    let mut show = |m: &mut Menu| println!("{}", m.screen());
    show(&mut m);
    m.key(Char('c'));
    show(&mut m);
    m.key(Enter);
    show(&mut m);
    m.key(Enter);
    show(&mut m);
    m.key(Down);
    m.key(Down);
    m.key(Enter);
    show(&mut m);
    m.keys(&[Down, Down, Enter, Down, Enter]);
    show(&mut m);
    m.keys(&[Enter]);
    show(&mut m);
    m.keys(&[Enter]);
    show(&mut m);
    m.keys(&[Esc]);
    show(&mut m);
    m.keys(&[Esc]);
    m.finish(Ok(Default::default()));
    show(&mut m);
    m.keys(&[Enter, Char('r'), Enter]);
    show(&mut m);
    m.keys(&[Down, Enter]);
    show(&mut m);
    m.keys(&[Key::End, Enter]);
    show(&mut m);
    m.keys(&[Enter]);
    show(&mut m);
    m.keys(&[Enter]);
    show(&mut m);
}
