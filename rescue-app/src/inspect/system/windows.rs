//! The version of Windows, from its registry.

use super::Root;
use super::hive::Hive;
use crate::bytes::ReadAt;
use crate::volume::text;

const HIVE: [&str; 4] = ["Windows", "System32", "config", "SOFTWARE"];
const KEY: [&str; 3] = ["Microsoft", "Windows NT", "CurrentVersion"];

/// The first build of Windows 11, whose `ProductName` still says Windows 10.
const WINDOWS_11: u32 = 22_000;

/// The product's name and release.
pub(super) fn name(root: &Root<'_>) -> Option<String> {
    version(root.open(&HIVE)?.as_ref())
}

/// What the hive `SOFTWARE` says.
pub(crate) fn version(file: &dyn ReadAt) -> Option<String> {
    let hive = Hive::open(file)?;
    let key = hive.find(&KEY)?;
    let value = |name: &str| hive.text(&key, name);
    let build = value("CurrentBuild").or_else(|| value("CurrentBuildNumber"));
    let release = value("DisplayVersion").or_else(|| value("ReleaseId"));
    let release = release.or_else(|| value("CSDVersion")).unwrap_or_default();
    let product = value("ProductName")?;
    let number = build.and_then(|build| build.parse::<u32>().ok()).unwrap_or(0);
    let product = match product.strip_prefix("Windows 10") {
        Some(edition) if number >= WINDOWS_11 => format!("Windows 11{edition}"),
        _ => product,
    };
    text::label(format!("{product} {release}").as_bytes())
}
