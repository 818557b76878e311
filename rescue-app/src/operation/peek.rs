//! The beginning of a file in an image, for a person to look at.

use crate::progress::Control;
use crate::volume::EntryKind;

use super::browse::{BrowseRequest, at_place};
use super::error::OperationError;

/// So much of a file is shown, bytes.
const SHOWN: u64 = 64 << 10;

/// The beginning of a file as text. What is no UTF-8 and no line of text is U+FFFD.
///
/// # Errors
/// Any failure to read the image or the file, and that it is none.
pub fn peek(request: &BrowseRequest, control: Control<'_>) -> Result<String, OperationError> {
    at_place(request, control, |tree, file, kind| {
        if kind != EntryKind::File {
            return Err(OperationError::refused(
                format!("{} is no file", request.place),
                "choose a file",
            ));
        }
        let failed = |error| OperationError::io(format!("reading {}", request.place), error);
        let content = tree.open(file).map_err(|error| failed(std::io::Error::other(error)))?;
        let len = usize::try_from(content.size().min(SHOWN)).unwrap_or(0);
        let bytes = content.read_vec(0, len).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        let is_shown = |letter: char| matches!(letter, '\n' | '\t') || !letter.is_control();
        let shown = text.chars().map(|letter| if is_shown(letter) { letter } else { '\u{fffd}' });
        Ok(shown.collect())
    })
}
