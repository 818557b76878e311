//! Serving images as network block devices.

use std::io;

use crate::console;
use crate::export::{NbdAddress, NbdServer, ServedImage};
use crate::progress::Control;

use super::access::RepoAccess;
use super::error::OperationError;
use super::image_files::{ImageFiles, ThrowAway};

/// What is served, and where.
#[derive(Clone, Debug)]
pub struct ServeRequest {
    /// Starts of the images' ids, `latest` or `latest:DISK`.
    pub images: Vec<String>,
    /// Where the images are.
    pub repo: RepoAccess,
    /// Where clients find them.
    pub address: NbdAddress,
    /// So that they can be written.
    pub layer: Option<ThrowAway>,
}

/// Serves the disks, partitions and logical volumes of images to NBD clients, until it is stopped.
///
/// # Errors
/// Refuses a socket that is there already; otherwise any failure to read the images, and of the kernel to
/// listen. A client's failure does not end it.
pub fn serve(request: &ServeRequest, control: Control<'_>) -> Result<(), OperationError> {
    let mut open = Vec::new();
    for image in &request.images {
        let layer = request.layer.as_ref();
        open.push(ImageFiles::open_with(image, &request.repo, layer, control)?);
    }
    let files = |image: &mut ImageFiles| ServedImage {
        id: image.id.clone(),
        files: std::mem::take(&mut image.files),
    };
    let images = open.iter_mut().map(files).collect();
    let server = NbdServer::new(&request.address, images)
        .map_err(|error| not_listening(&request.address, error))?;
    warn_of_neighbours(&request.address, control);
    open.iter().for_each(|image| image.tell_of_layer(control));
    let names = console::name(&server.names().collect::<Vec<_>>().join(", "));
    let uri = console::name(&server.uri());
    control.info(format!("served at {uri}: {names}; Ctrl-C ends it"));
    server.run(control.cancel).map_err(|error| OperationError::io("serving clients", error))?;
    open.iter().for_each(|image| image.tell_of_changes(control));
    open.iter().try_for_each(ImageFiles::ensure_held)
}

fn not_listening(address: &NbdAddress, error: io::Error) -> OperationError {
    match (address, error.kind()) {
        (NbdAddress::Socket(path), io::ErrorKind::AddrInUse) => OperationError::refused(
            format!("{} is there already", console::path(path)),
            "name another --socket, or remove it if no server uses it",
        ),
        (NbdAddress::Socket(path), _) => {
            OperationError::io(format!("listening at {}", console::path(path)), error)
        }
        (NbdAddress::Port(address), io::ErrorKind::AddrInUse) => OperationError::refused(
            format!("another server listens at {address}"),
            "name another port with --listen, or a --socket",
        ),
        (NbdAddress::Port(address), _) => {
            OperationError::io(format!("listening at {address}"), error)
        }
    }
}

fn warn_of_neighbours(address: &NbdAddress, control: Control<'_>) {
    if let NbdAddress::Port(address) = address
        && !address.ip().is_loopback()
    {
        control.warn(format!(
            "whoever reaches {address} reads the images: there is no password and no encryption"
        ));
    }
}
