//! The text menu.
