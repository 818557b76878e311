//! Images as network block devices (NBD: NetworkBlockDevice, `doc/proto.md`), for virtual machines, `nbd-client`
//! and the tools of libnbd. A thread for each connection, whose requests are answered in order.

mod exports;
mod handshake;
mod listener;
#[cfg(test)]
mod tests;
mod transmission;
mod wire;

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::progress::Cancel;

use exports::Exports;
use listener::{Listener, Socket};

pub use exports::ServedImage;
pub use listener::NbdAddress;

/// Bytes that a request may read or write at once, as most servers have it.
const MOST_PAYLOAD: u32 = 32 << 20;
/// Bytes that a request had better be a multiple of: a page.
const PREFERRED_BLOCK: u32 = 4096;
/// Connections at once; further ones are closed. `nbdcopy` makes four.
const MOST_CONNECTIONS: usize = 32;
/// A client that has not chosen an export by then is not waited for.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How often is looked whether it is to end.
const INTERVAL: Duration = Duration::from_millis(100);

/// A server that listens.
pub struct NbdServer {
    listener: Listener,
    exports: Arc<Exports>,
}

/// A client.
struct Connection {
    socket: Arc<Socket>,
    thread: JoinHandle<()>,
}

impl NbdServer {
    /// Listens at `address` for clients that want a disk, partition or volume of `images`.
    ///
    /// # Errors
    /// When nothing can listen there; [`io::ErrorKind::AddrInUse`] when something is there already.
    pub fn new(address: &NbdAddress, images: Vec<ServedImage>) -> io::Result<Self> {
        let exports = Arc::new(Exports::new(images));
        Ok(Self { listener: Listener::new(address)?, exports })
    }

    /// The names that clients may ask for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.exports.names()
    }

    /// What the address looks like to clients.
    pub fn uri(&self) -> String {
        self.listener.uri()
    }

    /// Answers clients until it is asked to stop; then all of them are cut off.
    ///
    /// # Errors
    /// When the kernel has no more clients to give.
    pub fn run(self, cancel: &Cancel) -> io::Result<()> {
        let mut connections = Vec::new();
        let result = self.accept_all(&mut connections, cancel);
        for connection in connections {
            connection.socket.close();
            let _ = connection.thread.join();
        }
        result
    }

    fn accept_all(&self, connections: &mut Vec<Connection>, cancel: &Cancel) -> io::Result<()> {
        while !cancel.is_requested() {
            let Some(socket) = self.listener.accept(INTERVAL)? else { continue };
            connections.retain(|connection| !connection.thread.is_finished());
            if connections.len() < MOST_CONNECTIONS {
                connections.push(self.connect(socket)?);
            }
        }
        Ok(())
    }

    fn connect(&self, socket: Socket) -> io::Result<Connection> {
        let socket = Arc::new(socket);
        let (own, exports) = (Arc::clone(&socket), Arc::clone(&self.exports));
        let serve = move || {
            // A client that goes, or talks nonsense, is no failure of the server.
            let _ = serve(&own, &exports);
            own.close();
        };
        let thread = thread::Builder::new().name("nbd".into()).spawn(serve)?;
        Ok(Connection { socket, thread })
    }
}

fn serve(socket: &Socket, exports: &Exports) -> io::Result<()> {
    socket.set_timeout(Some(HANDSHAKE))?;
    let stream = &mut &*socket;
    let Some(agreed) = handshake::negotiate(stream, exports)? else { return Ok(()) };
    socket.set_timeout(None)?;
    let file = exports.get(agreed.export).ok_or_else(wire::nonsense)?;
    transmission::answer_all(&mut Buffered::new(stream), file, agreed)
}

/// Many requests come in one packet; answers are written whole.
struct Buffered<S>(io::BufReader<S>);

impl<S: Read> Buffered<S> {
    fn new(stream: S) -> Self {
        Self(io::BufReader::new(stream))
    }
}

impl<S: Read> Read for Buffered<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<S: Write> Write for Buffered<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}
