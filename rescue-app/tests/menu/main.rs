//! The whole menu on a screen in memory, with a machine of fixed disks behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod capture;
mod clone;
mod fake;
mod files;
mod harness;
mod home;
mod images;
mod looks;
mod prepare;
mod restore;
mod stick;
mod threads;
mod unlock;

/// The screen as it was reviewed; shown when it changes.
macro_rules! assert_screen {
    ($name:literal, $menu:expr) => {
        insta::assert_snapshot!($name, $menu.screen())
    };
}
pub(crate) use assert_screen;

/// Pages one after the other: the keys that lead to each, and its screen.
macro_rules! walk {
    ($menu:expr, $($keys:expr => $name:literal),+ $(,)?) => {
        $(
            $menu.keys(&$keys);
            crate::assert_screen!($name, $menu);
        )+
    };
}
pub(crate) use walk;
