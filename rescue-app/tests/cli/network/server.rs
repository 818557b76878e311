//! Servers of others, started for one test on an address of this machine.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use common::project;

/// A port of this machine that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A program that listens on a port of this machine; it ends with the test.
pub struct Server {
    command: Command,
    child: Option<Child>,
    pub port: u16,
}

impl Server {
    /// Starts it and waits until it takes connections.
    pub fn start(mut command: Command, port: u16) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { command, child: None, port };
        server.resume();
        server
    }

    /// restic's rest-server for the repositories in a folder.
    pub fn rest(folder: &Path, options: &[&str]) -> Self {
        let port = free_port();
        fs::create_dir_all(folder).unwrap();
        let program = server_path("rest-server");
        let mut command = Command::new(program);
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--path"]).arg(folder);
        command.args(options);
        Self::start(command, port)
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again.
    pub fn resume(&mut self) {
        self.child = Some(self.command.spawn().unwrap());
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{:?}: {ended:?}", self.command);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server that was brought for the tests.
pub fn server_path(name: &str) -> PathBuf {
    let path = project().join("build/servers").join(name);
    assert!(path.exists(), "{} is missing; run scripts/fetch-servers", path.display());
    path
}
