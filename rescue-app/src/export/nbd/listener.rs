//! Where clients come from: a socket in the file system, or a port.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::sys::stat::{Mode, fchmod};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NbdAddress {
    /// A socket in the file system, for its owner alone. It is made, and removed at the end.
    Socket(PathBuf),
    /// An address of this machine, and a port.
    Port(SocketAddr),
}

pub(super) enum Listener {
    Unix {
        listener: UnixListener,
        path: PathBuf,
        /// Device and number of the file, so that no other is removed.
        file: (u64, u64),
    },
    Tcp(TcpListener),
}

impl Listener {
    pub(super) fn new(address: &NbdAddress) -> io::Result<Self> {
        match address {
            NbdAddress::Socket(path) => {
                let listener = private_socket(path)?;
                let made = fs::symlink_metadata(path)?;
                Ok(Self::Unix { listener, path: path.clone(), file: (made.dev(), made.ino()) })
            }
            NbdAddress::Port(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
        }
    }

    /// As clients write it (NetworkBlockDevice, `doc/uri.md`), but for the name of an export.
    pub(super) fn uri(&self) -> String {
        match self {
            Self::Unix { path, .. } => format!("nbd+unix:///?socket={}", path.display()),
            Self::Tcp(listener) => {
                let address =
                    listener.local_addr().map_or_else(|_| String::new(), |it| it.to_string());
                format!("nbd://{address}")
            }
        }
    }

    /// The next client, if one comes meanwhile.
    pub(super) fn accept(&self, within: Duration) -> io::Result<Option<Socket>> {
        let fd = match self {
            Self::Unix { listener, .. } => listener.as_fd(),
            Self::Tcp(listener) => listener.as_fd(),
        };
        let timeout = PollTimeout::try_from(within).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(nix::Error::EINTR) => return Ok(None),
            polled => polled?,
        };
        let accepted = match self {
            Self::Unix { listener, .. } => listener.accept().map(|(it, _)| Socket::Unix(it)),
            Self::Tcp(listener) => listener.accept().map(|(it, _)| Socket::Tcp(it)),
        };
        match accepted {
            Ok(socket) => socket.prepare().map(Some),
            // It may be gone again; and for want of descriptors those who are there are still served (accept(2)).
            Err(_) => {
                thread::sleep(within);
                Ok(None)
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Self::Unix { path, file, .. } = self else { return };
        if fs::symlink_metadata(&*path).is_ok_and(|now| (now.dev(), now.ino()) == *file) {
            let _ = fs::remove_file(path);
        }
    }
}

/// A socket that nobody but its owner can ever connect to: its file gets the mode that the socket has
/// when it is bound (Linux, `unix_bind`), less the umask.
fn private_socket(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&socket, Backlog::MAXALLOWABLE)?;
    Ok(UnixListener::from(socket))
}

/// A connection to a client.
pub(super) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Socket {
    fn prepare(self) -> io::Result<Self> {
        match &self {
            Self::Unix(stream) => stream.set_nonblocking(false)?,
            Self::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                // An answer does not wait for the next one.
                stream.set_nodelay(true)?;
            }
        }
        Ok(self)
    }

    /// How long the other side may take for each piece of what it says.
    pub(super) fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(timeout),
            Self::Tcp(stream) => stream.set_read_timeout(timeout),
        }
    }

    /// Ends it, also for a thread that waits for it.
    pub(super) fn close(&self) {
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for &Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => (&*stream).read(buf),
            Socket::Tcp(stream) => (&*stream).read(buf),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => (&*stream).write(bytes),
            Socket::Tcp(stream) => (&*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
