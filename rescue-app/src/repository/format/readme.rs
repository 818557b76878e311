//! The note that lies beside the repository's files, for whoever finds the folder years later.

/// The passphrase of repositories whose images are no secret. It is written in `README.txt`
/// beside them.
pub const PUBLIC_PASSPHRASE: &str = "lifeboat";

/// Its name; restic ignores files it does not know at the top of a repository.
pub(in crate::repository) const NAME: &str = "README.txt";

/// Its text.
pub(in crate::repository) fn text(public: bool) -> String {
    let passphrase = if public {
        format!(
            "These images are NOT SECRET. Whoever can read this folder can read them: they are\n\
             encrypted, for the format has no other way, but with a passphrase that everybody\n\
             knows. It is the word\n\n    {PUBLIC_PASSPHRASE}\n"
        )
    } else {
        "These images are encrypted with the passphrase chosen when this folder was set up.\n\
         Without it nobody can read them; there is no back door.\n"
            .to_owned()
    };
    format!(
        "This folder holds images of whole disks, made by Lifeboat.\n\n\
         Do not change, rename or remove single files in it. It can be copied or moved as a\n\
         whole.\n\n\
         {passphrase}\n\
         It is a restic repository (format version 2). Lifeboat restores from it, and so does\n\
         the free program restic (https://restic.net), version 0.14 or later, on any system:\n\n    \
             restic -r THIS-FOLDER snapshots\n    \
             restic -r THIS-FOLDER ls latest\n    \
             restic -r THIS-FOLDER restore latest --target SOME-OTHER-FOLDER\n\n\
         which gives a file disk.img, the whole disk byte for byte. It can be written to a disk,\n\
         used by virtual machines, or opened with 'losetup -P'.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_repositories_give_the_word_away() {
        let word = format!("\n    {PUBLIC_PASSPHRASE}\n");
        assert!(text(true).contains(&word) && text(true).contains("NOT SECRET"));
        assert!(!text(false).contains(&word) && !text(false).contains("NOT SECRET"));
        assert!(text(true).lines().all(|line| line.len() <= 90 && line.is_ascii()));
    }
}
