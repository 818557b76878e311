//! Paths and names of the system in serialised form: text, or their bytes when they are not UTF-8.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a name is written down.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes { bytes: Vec<u8> },
}

impl Written {
    fn of(name: &OsStr) -> Self {
        match name.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes { bytes: name.as_bytes().to_vec() },
        }
    }

    fn name(self) -> OsString {
        match self {
            Self::Text(text) => text.into(),
            Self::Bytes { bytes } => OsString::from_vec(bytes),
        }
    }
}

/// Writes a path or name; for `#[serde(with)]`.
///
/// # Errors
/// Only those of the serializer.
pub fn serialize<S: Serializer>(name: &impl AsRef<OsStr>, to: S) -> Result<S::Ok, S::Error> {
    Written::of(name.as_ref()).serialize(to)
}

/// Reads what [`serialize`] wrote.
///
/// # Errors
/// When it is neither text nor bytes.
pub fn deserialize<'de, D: Deserializer<'de>, T: From<OsString>>(from: D) -> Result<T, D::Error> {
    Ok(Written::deserialize(from)?.name().into())
}

/// The same for a path or name that may be absent.
pub mod option {
    use super::{Deserialize, Deserializer, OsStr, OsString, Serialize, Serializer, Written};

    /// Writes a path or name, if there is one.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(
        name: &Option<impl AsRef<OsStr>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        name.as_ref().map(|name| Written::of(name.as_ref())).serialize(to)
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// When it is neither text nor bytes.
    pub fn deserialize<'de, D: Deserializer<'de>, T: From<OsString>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        let written = Option::<Written>::deserialize(from)?;
        Ok(written.map(|written| written.name().into()))
    }
}

/// The same for a list of paths or names.
pub mod list {
    use super::{Deserialize, Deserializer, OsStr, OsString, Serializer, Written};

    /// Writes paths or names.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(names: &[impl AsRef<OsStr>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(names.iter().map(|name| Written::of(name.as_ref())))
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// When one is neither text nor bytes.
    pub fn deserialize<'de, D: Deserializer<'de>, T: From<OsString>>(
        from: D,
    ) -> Result<Vec<T>, D::Error> {
        let written = Vec::<Written>::deserialize(from)?;
        Ok(written.into_iter().map(|written| written.name().into()).collect())
    }
}
