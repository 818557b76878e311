//! The kernel's announcements of devices that come, change and go (kobject uevents), received
//! without udev: netlink protocol `NETLINK_KOBJECT_UEVENT`, multicast group 1, where the kernel
//! itself speaks (group 2 is udev's).
//!
//! A message is a header `ACTION@DEVPATH` and `KEY=VALUE` pairs, each ended by a zero byte
//! (`lib/kobject_uevent.c` in the kernel).

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt,
    socket, sockopt,
};

/// The multicast group in which the kernel announces.
const KERNEL_GROUP: u32 = 1;

/// Room for announcements that are not yet read, in bytes: a machine starting up makes thousands.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The kernel makes no longer message: `UEVENT_BUFFER_SIZE` plus the header.
const LONGEST_MESSAGE: usize = 8 << 10;

/// What happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is new; a disk's node in `/dev` exists by now.
    Add,
    /// It is gone.
    Remove,
    /// Something about it is different: another medium, another size, another flag.
    Change,
    /// Anything else: bound to a driver, renamed, brought online.
    Other,
}

/// One announcement of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uevent {
    /// What happened.
    pub action: Action,
    properties: Vec<(String, String)>,
}

impl Uevent {
    /// Reads a message; `None` when it is not one of the kernel's (udev's have another header).
    pub fn parse(message: &[u8]) -> Option<Self> {
        let mut fields = message.split(|&byte| byte == 0).map(String::from_utf8_lossy);
        let header = fields.next()?;
        let (action, path) = header.split_once('@')?;
        if !path.starts_with('/') {
            return None;
        }
        let action = match action {
            "add" => Action::Add,
            "remove" => Action::Remove,
            "change" => Action::Change,
            _ => Action::Other,
        };
        let properties = fields
            .filter_map(|field| field.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect();
        Some(Self { action, properties })
    }

    /// The value of a property such as `SUBSYSTEM`, `DEVNAME` or `MODALIAS`.
    pub fn property(&self, key: &str) -> Option<&str> {
        self.properties.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Whether it is about a disk or partition, so that a list of disks is out of date.
    pub fn concerns_disks(&self) -> bool {
        self.property("SUBSYSTEM") == Some("block")
    }

    /// The device's name in `/dev` if it is a whole disk, not a partition.
    pub fn whole_disk(&self) -> Option<&str> {
        let disk = self.concerns_disks() && self.property("DEVTYPE") == Some("disk");
        self.property("DEVNAME").filter(|_| disk)
    }
}

/// What a [`UeventListener`] has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An announcement.
    Event(Uevent),
    /// More came than the receive buffer holds and some are lost: whoever keeps a picture of the
    /// devices must look at all of them again.
    Lost,
}

/// Hears what happens to devices from the moment it is opened. Needs no privilege.
#[derive(Debug)]
pub struct UeventListener {
    socket: OwnedFd,
}

impl UeventListener {
    /// Starts listening. Announcements are kept by the kernel until [`Self::wait`] takes them, so
    /// whoever opens a listener and then looks at the devices misses none.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        // Only root may go past the system's limit; without that the buffer is what it is.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        // Port 0: the kernel chooses a free one.
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Self { socket })
    }

    /// Waits for the next announcement, at most `timeout`, or without end when that is `None`.
    /// `Ok(None)` when the time is over.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Option<Heard>> {
        let timeout = timeout.map_or(PollTimeout::NONE, |time| {
            PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)
        });
        loop {
            if let Some(heard) = self.take()? {
                return Ok(Some(heard));
            }
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(0) => return Ok(None),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What is there already, `None` when there is nothing.
    fn take(&self) -> io::Result<Option<Heard>> {
        let mut message = [0; LONGEST_MESSAGE];
        loop {
            match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut message) {
                // Processes with the privilege can send to the group too; the kernel's port is 0.
                Ok((len, sender)) if sender.is_some_and(|from| from.pid() == 0) => {
                    if let Some(event) = message.get(..len).and_then(Uevent::parse) {
                        return Ok(Some(Heard::Event(event)));
                    }
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => return Ok(Some(Heard::Lost)),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: &[u8] = b"add@/devices/pci0000:00/0000:00:03.0/virtio1/block/vda\0ACTION=add\0\
        DEVPATH=/devices/pci0000:00/0000:00:03.0/virtio1/block/vda\0SUBSYSTEM=block\0MAJOR=254\0\
        MINOR=0\0DEVNAME=vda\0DEVTYPE=disk\0DISKSEQ=3\0SEQNUM=1234\0";

    #[test]
    fn a_disk_that_comes_is_named() {
        let event = Uevent::parse(DISK).unwrap();
        assert_eq!(event.action, Action::Add);
        assert_eq!(event.whole_disk(), Some("vda"));
        assert_eq!(event.property("SEQNUM"), Some("1234"));
        assert_eq!(event.property("MODALIAS"), None);
    }

    #[test]
    fn a_partition_concerns_disks_but_is_not_one() {
        let event = Uevent::parse(
            b"remove@/devices/x/block/sda/sda1\0SUBSYSTEM=block\0DEVNAME=sda1\0DEVTYPE=partition\0",
        )
        .unwrap();
        assert_eq!(event.action, Action::Remove);
        assert!(event.concerns_disks());
        assert_eq!(event.whole_disk(), None);
    }

    #[test]
    fn values_may_hold_equal_signs_and_bytes_that_are_not_text() {
        let event = Uevent::parse(b"bind@/devices/x\0MODALIAS=a=b\0NAME=\xff\0noise\0").unwrap();
        assert_eq!(event.action, Action::Other);
        assert_eq!(event.property("MODALIAS"), Some("a=b"));
        assert_eq!(event.property("NAME"), Some("\u{fffd}"));
        assert_eq!(event.property("noise"), None);
    }

    #[test]
    fn what_is_not_the_kernels_is_nothing() {
        for message in [&b""[..], b"\0", b"libudev\0\xfe\xed\xca\xfe", b"add", b"add@", b"a@b\0"] {
            assert_eq!(Uevent::parse(message), None);
        }
    }

    #[test]
    fn listening_needs_no_privilege_and_waiting_ends() {
        let listener = UeventListener::open().unwrap();
        // The host may announce something meanwhile; what counts is that the call comes back.
        listener.wait(Some(Duration::from_millis(1))).unwrap();
    }
}
