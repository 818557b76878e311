//! Which programs the firmware of this machine refuses to start, and why (UEFI specification 2.10, 32.5).

use super::certificate::Certificate;
use super::program::Program;
use super::signature_list::Keys;
use super::variables::{GLOBAL, Variables};

/// `EFI_IMAGE_SECURITY_DATABASE_GUID`.
const DATABASE: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";
/// `SHIM_LOCK_GUID`, whose variable `SbatLevelRT` tells the least generations that shim starts.
const SHIM: &str = "605dab50-e046-4300-abb6-3dd810dd8b23";

/// Authorities under which Microsoft signs what is not its own.
const THIRD_PARTY: [&str; 2] = ["Microsoft Corporation UEFI CA 2011", "Microsoft UEFI CA 2023"];

/// What a machine's firmware trusts and refuses.
#[derive(Clone, Debug)]
pub struct SecureBoot {
    trusted: Keys,
    refused: Keys,
    /// The least generations that shim starts.
    least: Vec<(String, u64)>,
}

/// Why a program is not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no signature.
    Unsigned,
    /// It is signed by none whom this firmware trusts.
    Untrusted {
        /// Who stands behind its signatures.
        by: Vec<String>,
        /// Those whom the firmware trusts.
        trusted: Vec<String>,
    },
    /// The firmware's list of what is refused has it, or who signed it.
    Revoked {
        /// Who stands behind the signature that is refused; `None` for the program itself.
        by: Option<String>,
    },
    /// shim of this machine, or itself, refuses what is older than this.
    Outdated {
        /// "grub".
        component: String,
        /// Its generation.
        generation: u64,
        /// The least that is started.
        least: u64,
    },
}

impl SecureBoot {
    /// That of a machine on which it is on.
    pub fn of(variables: &Variables) -> Option<Self> {
        let read = |name, guid| variables.read(name, guid).ok().flatten().map(|it| it.data);
        let is_on = read("SecureBoot", GLOBAL)?.first() == Some(&1);
        let [db, dbx] = ["db", "dbx"].map(|name| read(name, DATABASE).unwrap_or_default());
        let least = read("SbatLevelRT", SHIM).unwrap_or_default();
        is_on.then(|| Self::with(&db, &dbx, &least))
    }

    /// That of a machine with these variables.
    pub(crate) fn with(db: &[u8], dbx: &[u8], least: &[u8]) -> Self {
        let (trusted, refused) = (Keys::parse(db), Keys::parse(dbx));
        Self { trusted, refused, least: generations(least) }
    }

    /// Why the firmware does not start a program, if it does not.
    pub fn refusal(&self, program: &Program) -> Option<Refusal> {
        if let Some(refusal) = self.revocation(program) {
            return Some(refusal);
        }
        let is_listed = program.hash().is_some_and(|hash| self.trusted.has_program(&hash));
        let signatures = program.signatures();
        if is_listed || signatures.iter().any(|it| self.trusted.has_signer(it)) {
            return None;
        }
        if signatures.is_empty() {
            return Some(Refusal::Unsigned);
        }
        let mut by: Vec<String> = signatures.iter().map(|it| it.authority()).collect();
        by.dedup();
        let trusted = self.trusted.certificates.iter().map(Certificate::subject);
        Some(Refusal::Untrusted { by, trusted: trusted.collect() })
    }

    /// Why neither firmware nor shim starts a program that others vouch for, if one of them does not.
    pub fn revocation(&self, program: &Program) -> Option<Refusal> {
        if program.hash().is_some_and(|hash| self.refused.has_program(&hash)) {
            return Some(Refusal::Revoked { by: None });
        }
        let signatures = program.signatures();
        if let Some(signature) = signatures.iter().find(|it| self.refused.has_signer(it)) {
            return Some(Refusal::Revoked { by: Some(signature.authority()) });
        }
        let own = generations(program.generations());
        own.into_iter().find_map(|(component, generation)| {
            let (_, least) = self.least.iter().find(|(name, _)| *name == component)?;
            let least = *least;
            (generation < least).then_some(Refusal::Outdated { component, generation, least })
        })
    }
}

/// Lines of `component,generation,…`; what is none is left out.
fn generations(text: &[u8]) -> Vec<(String, u64)> {
    let text = String::from_utf8_lossy(text);
    let lines = text.trim_end_matches('\0').lines().filter_map(|line| {
        let mut fields = line.split(',');
        Some((fields.next()?.to_owned(), fields.next()?.trim().parse().ok()?))
    });
    lines.collect()
}

impl Refusal {
    /// What can be done about it besides switching Secure Boot off.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unsigned => "have it signed by whom the firmware trusts",
            Self::Untrusted { .. } => "add the key to the firmware, which an update of it may do",
            Self::Revoked { .. } | Self::Outdated { .. } => {
                "bring a newer boot loader of its system onto it"
            }
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsigned => f.write_str("it is not signed"),
            Self::Untrusted { by, trusted } => {
                let by_others = by.iter().all(|it| THIRD_PARTY.contains(&it.as_str()));
                let switch = match by_others {
                    true => "; a switch for third parties in the firmware's setup may add it",
                    false => "",
                };
                write!(
                    f,
                    "it is signed under {}, and the firmware trusts only {}{switch}",
                    by.join(" and "),
                    trusted.join(", "),
                )
            }
            Self::Revoked { by: None } => {
                f.write_str("the firmware's list of what is refused (dbx) has it")
            }
            Self::Revoked { by: Some(by) } => {
                write!(f, "it is signed under {by}, which the firmware refuses by now (dbx)")
            }
            Self::Outdated { component, generation, least } => write!(
                f,
                "its {component} is of generation {generation}, and this computer starts {least} and later \
                 only (SBAT)"
            ),
        }
    }
}
