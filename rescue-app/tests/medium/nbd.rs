//! Disks served over a socket, which can lie: QEMU hands the virtual machine what comes from
//! here, and no cache is in between.
//!
//! The network block device protocol (doc/proto.md in its reference implementation): the "fixed
//! newstyle" handshake, of whose options `NBD_OPT_GO` alone is needed, and simple replies. All
//! numbers are big-endian.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

const SECTOR: usize = 512;

const SERVER_MAGIC: &[u8; 8] = b"NBDMAGIC";
const OPTION_MAGIC: &[u8; 8] = b"IHAVEOPT";
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;

/// `NBD_FLAG_FIXED_NEWSTYLE` and `NBD_FLAG_NO_ZEROES`.
const HANDSHAKE_FLAGS: u16 = 0b11;
/// `NBD_FLAG_HAS_FLAGS` and `NBD_FLAG_SEND_FLUSH`.
const TRANSMISSION_FLAGS: u16 = 0b101;

const OPT_GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_ERR_UNSUP: u32 = (1 << 31) + 1;
const INFO_EXPORT: u16 = 0;

/// How a disk deceives.
#[derive(Clone, Copy, Debug)]
pub enum Lie {
    /// The lowest bit of that byte is read as what it is not.
    Flips(u64),
    /// The sector with that number takes writes and keeps what it held.
    Keeps(u64),
}

/// A disk that one client can use.
pub struct Served {
    image: File,
    lie: Option<Lie>,
}

impl Served {
    /// Serves the image at `socket`, until the client leaves. Honestly without a lie.
    pub fn start(image: &Path, socket: PathBuf, lie: Option<Lie>) {
        let image = File::options().read(true).write(true).open(image).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            // A client that is killed leaves in the middle of something.
            let _ = Self { image, lie }.serve(&mut client);
        });
    }

    fn serve(&self, client: &mut UnixStream) -> io::Result<()> {
        client.write_all(SERVER_MAGIC)?;
        client.write_all(OPTION_MAGIC)?;
        client.write_all(&HANDSHAKE_FLAGS.to_be_bytes())?;
        let _flags: [u8; 4] = take(client)?;
        while !self.settles_option(client)? {}
        while self.answers_request(client)? {}
        Ok(())
    }

    /// Answers one option of the handshake; returns whether the handshake ends with it.
    fn settles_option(&self, client: &mut UnixStream) -> io::Result<bool> {
        let magic: [u8; 8] = take(client)?;
        assert_eq!(&magic, OPTION_MAGIC, "the client speaks another protocol");
        let option = u32::from_be_bytes(take(client)?);
        let len = u32::from_be_bytes(take(client)?);
        let mut data = vec![0; usize::try_from(len).unwrap()];
        client.read_exact(&mut data)?;
        if option != OPT_GO {
            reply_to_option(client, option, REP_ERR_UNSUP, &[])?;
            return Ok(false);
        }
        let mut export = INFO_EXPORT.to_be_bytes().to_vec();
        export.extend(self.image.metadata()?.len().to_be_bytes());
        export.extend(TRANSMISSION_FLAGS.to_be_bytes());
        reply_to_option(client, option, REP_INFO, &export)?;
        reply_to_option(client, option, REP_ACK, &[])?;
        Ok(true)
    }

    /// Does what is asked; returns whether the client stays.
    fn answers_request(&self, client: &mut UnixStream) -> io::Result<bool> {
        assert_eq!(u32::from_be_bytes(take(client)?), REQUEST_MAGIC);
        let _flags: [u8; 2] = take(client)?;
        let kind = u16::from_be_bytes(take(client)?);
        let cookie: [u8; 8] = take(client)?;
        let at = u64::from_be_bytes(take(client)?);
        let len = u32::from_be_bytes(take(client)?);
        let mut data = vec![0; usize::try_from(len).unwrap()];
        match kind {
            0 => self.read(at, &mut data)?,
            1 => {
                client.read_exact(&mut data)?;
                self.write(at, &data)?;
            }
            2 => return Ok(false),
            3 => self.image.sync_data()?,
            other => panic!("request of type {other}, which was not offered"),
        }
        client.write_all(&REPLY_MAGIC.to_be_bytes())?;
        client.write_all(&[0; 4])?;
        client.write_all(&cookie)?;
        if kind == 0 {
            client.write_all(&data)?;
        }
        Ok(true)
    }

    fn read(&self, at: u64, data: &mut [u8]) -> io::Result<()> {
        self.image.read_exact_at(data, at)?;
        if let Some(Lie::Flips(byte)) = self.lie
            && let Some(index) = byte.checked_sub(at)
            && let Some(byte) = data.get_mut(usize::try_from(index).unwrap())
        {
            *byte ^= 1;
        }
        Ok(())
    }

    fn write(&self, at: u64, data: &[u8]) -> io::Result<()> {
        let Some(Lie::Keeps(sector)) = self.lie else { return self.image.write_all_at(data, at) };
        let (place, mut kept) = (sector * SECTOR as u64, [0; SECTOR]);
        self.image.read_exact_at(&mut kept, place)?;
        self.image.write_all_at(data, at)?;
        self.image.write_all_at(&kept, place)
    }
}

fn reply_to_option(client: &mut UnixStream, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    client.write_all(&OPTION_REPLY_MAGIC.to_be_bytes())?;
    for number in [option, kind, u32::try_from(data.len()).unwrap()] {
        client.write_all(&number.to_be_bytes())?;
    }
    client.write_all(data)
}

fn take<const N: usize>(client: &mut UnixStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}
