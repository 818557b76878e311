//! The `lifeboat` program: parses the command line and hands over to [`lifeboat::command`].

use std::process::ExitCode;

fn main() -> ExitCode {
    lifeboat::command::main()
}
