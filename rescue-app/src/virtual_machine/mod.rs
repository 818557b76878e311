//! Virtual machines of QEMU, which the user has installed: how one is started, and what is seen of it.

mod firmware;
mod hardware;
mod monitor;
mod picture;
mod watch;

pub use firmware::Firmware;
pub use hardware::{Hardware, Screen, command};
pub use picture::Picture;
pub use watch::{Seen, Watch};

/// The program, of the package that [`PACKAGE`] names.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// What Debian and Ubuntu call the package that has it.
pub const PACKAGE: &str = "qemu-system-x86";
