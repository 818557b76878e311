//! Swap areas, of which Clonezilla keeps the identity and the label alone.

/// Bytes of a page; Clonezilla notes none, and PCs have no others.
const PAGE: u64 = 4096;
/// Bytes of a label (Linux `include/linux/swap.h`, `union swap_header`).
const LABEL: usize = 16;

/// The header of a swap area of `size` bytes, with what is in a file such as `UUID="…"` and `LABEL="…"`: places, and
/// what is there.
pub(super) fn header(info: &str, size: u64) -> Vec<(u64, Vec<u8>)> {
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        value
            .map(|value| value.trim().trim_matches('"').to_owned())
            .filter(|value| !value.is_empty())
    };
    let Some(last) = (size / PAGE).checked_sub(1).and_then(|last| u32::try_from(last).ok()) else {
        return Vec::new();
    };
    // Version, last page, bad pages.
    let mut fields: Vec<u8> =
        [1_u32, last, 0].iter().flat_map(|field| field.to_le_bytes()).collect();
    let uuid = field("UUID").and_then(|uuid| hex::decode(uuid.replace('-', "")).ok());
    fields.extend(uuid.filter(|uuid| uuid.len() == 16).unwrap_or(vec![0; 16]));
    let mut label = field("LABEL").unwrap_or_default().into_bytes();
    label.resize(LABEL, 0);
    fields.extend(label);
    vec![(1024, fields), (PAGE - 10, b"SWAPSPACE2".to_vec())]
}
