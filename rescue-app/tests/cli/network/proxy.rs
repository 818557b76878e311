//! A network that fails: a relay between the program and a server.

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It is cut after so many bytes to the server.
    CutUp(u64),
    /// It is cut after so many bytes from the server.
    CutDown(u64),
    /// It is answered with this status before the server sees anything.
    Status(u16),
}

#[derive(Default)]
struct State {
    /// For the next connections, in this order.
    faults: Mutex<VecDeque<Fault>>,
    /// Nothing gets through.
    dark: AtomicBool,
    /// Bytes that went to the server.
    up: AtomicU64,
    /// Faults that have struck.
    struck: AtomicU64,
    /// The connections that are open, both ends of each, by the port of the client. One that is over is not kept:
    /// who sends into it would wait instead of being told.
    open: Mutex<HashMap<u16, [TcpStream; 2]>>,
}

/// The relay; its threads end with the connections.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

impl Proxy {
    /// To a port of this machine.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.relay(client, port));
            }
        });
        Self { port: own, state }
    }

    /// What happens to the next connections.
    pub fn strike(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.faults.lock().unwrap().extend(faults);
    }

    /// How many faults have struck.
    pub fn struck(&self) -> u64 {
        self.state.struck.load(Ordering::Acquire)
    }

    /// Bytes that went to the server so far.
    pub fn up(&self) -> u64 {
        self.state.up.load(Ordering::Acquire)
    }

    /// Cuts all connections, and lets none through until it is light again.
    pub fn set_dark(&self, dark: bool) {
        self.state.dark.store(dark, Ordering::Release);
        for (_, ends) in self.state.open.lock().unwrap().drain() {
            for stream in ends {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

impl State {
    fn relay(&self, mut client: TcpStream, port: u16) {
        if self.dark.load(Ordering::Acquire) {
            return;
        }
        let fault = self.faults.lock().unwrap().pop_front();
        if let Some(Fault::Status(status)) = fault {
            self.struck.fetch_add(1, Ordering::AcqRel);
            let _ = client.read(&mut [0; 4096]);
            let answer = format!(
                "HTTP/1.1 {status} Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = client.write_all(answer.as_bytes());
            let _ = client.shutdown(Shutdown::Write);
            // Unread bytes would reset the connection under the answer.
            let _ = std::io::copy(&mut client, &mut std::io::sink());
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
        let peer = client.peer_addr().unwrap().port();
        let ends = [&client, &server].map(|stream| stream.try_clone().unwrap());
        self.open.lock().unwrap().insert(peer, ends);
        let (up, down) = match fault {
            Some(Fault::CutUp(bytes)) => (bytes, u64::MAX),
            Some(Fault::CutDown(bytes)) => (u64::MAX, bytes),
            _ => (u64::MAX, u64::MAX),
        };
        thread::scope(|scope| {
            scope.spawn(|| self.pump(&client, &server, up, Some(&self.up)));
            self.pump(&server, &client, down, None);
        });
        self.open.lock().unwrap().remove(&peer);
    }

    fn pump(&self, from: &TcpStream, to: &TcpStream, mut left: u64, count: Option<&AtomicU64>) {
        let (mut from_stream, mut to_stream) = (from, to);
        let mut buf = [0; 16 << 10];
        while let Ok(read @ 1..) = from_stream.read(&mut buf) {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(read);
            if to_stream.write_all(&buf[..some]).is_err() {
                break;
            }
            if let Some(count) = count {
                count.fetch_add(some as u64, Ordering::AcqRel);
            }
            if left < read as u64 {
                self.struck.fetch_add(1, Ordering::AcqRel);
                break;
            }
            left -= some as u64;
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
