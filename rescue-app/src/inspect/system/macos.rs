//! macOS by `SystemVersion.plist`.
//!
//! Source: Apple, "Property List XML Files", `PropertyList-1.0.dtd`.

use super::Root;
use crate::volume::text;

/// Where it is.
const PATH: &[&str] = &["System", "Library", "CoreServices", "SystemVersion.plist"];
/// A larger file is not read to its end, bytes.
const MOST: u64 = 64 << 10;

/// Name and version.
pub(super) fn name(root: &Root<'_>) -> Option<String> {
    let file = root.start_of(PATH, MOST)?;
    let file = std::str::from_utf8(&file).ok()?;
    let name = string(file, "ProductName")?;
    let version = string(file, "ProductVersion").unwrap_or_default();
    text::label(format!("{name} {version}").as_bytes())
}

/// The text behind a key.
fn string<'a>(file: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = file.split_once(&format!("<key>{key}</key>"))?;
    let (value, _) = rest.trim_start().strip_prefix("<string>")?.split_once("</string>")?;
    Some(value).filter(|value| !value.contains(['<', '&']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_by_their_keys() {
        let file = "<dict>\n\t<key>ProductName</key>\n\t<string>Mac OS X</string>\n\
                    <key>Count</key><integer>3</integer><key>Odd</key><string>a&amp;b</string>";
        assert_eq!(string(file, "ProductName"), Some("Mac OS X"));
        assert_eq!(string(file, "Count"), None);
        assert_eq!(string(file, "Odd"), None);
        assert_eq!(string(file, "ProductVersion"), None);
    }
}
