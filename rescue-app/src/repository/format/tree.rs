//! Directories (restic `doc/design.rst`, "Trees and Data"; `internal/data/node.go`, `tree.go`).

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;

use super::Id;
use crate::repository::error::{RepositoryError, Result};

/// Bit that Go's `os.FileMode` has for directories beside the permissions.
const GO_MODE_DIR: u32 = 1 << 31;

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// Anything else that restic stores: links, devices, sockets.
    #[serde(untagged)]
    Other(String),
}

/// A directory's entry. Fields are in the order Go writes them, for two programs find that they
/// mean the same directory only when they write the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// File name; stored as Go's `strconv.Quote` has it, without the quotes.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: NodeType,
    /// Go's `os.FileMode`: permissions in the low nine bits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: u32,
    /// Last change of the contents.
    #[serde(with = "time::serde::rfc3339", default = "zero_time")]
    pub mtime: OffsetDateTime,
    /// Last access.
    #[serde(with = "time::serde::rfc3339", default = "zero_time")]
    pub atime: OffsetDateTime,
    /// Last change of contents or metadata.
    #[serde(with = "time::serde::rfc3339", default = "zero_time")]
    pub ctime: OffsetDateTime,
    /// Owner.
    #[serde(default)]
    pub uid: u32,
    /// Group.
    #[serde(default)]
    pub gid: u32,
    /// Owner's name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user: String,
    /// Group's name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub group: String,
    /// Inode number on the source.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inode: u64,
    /// Device number of the source filesystem.
    #[serde(default, skip_serializing_if = "is_default")]
    pub device_id: u64,
    /// Length in bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub size: u64,
    /// Number of hard links.
    #[serde(default, skip_serializing_if = "is_default")]
    pub links: u64,
    /// The data blobs of a file, in order; `null` for anything else.
    #[serde(default)]
    pub content: Option<Vec<Id>>,
    /// The tree blob of a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtree: Option<Id>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Go's zero `time.Time`.
fn zero_time() -> OffsetDateTime {
    time::macros::datetime!(0001-01-01 0:00 UTC)
}

impl Node {
    /// A file of `size` bytes, readable by its owner alone. `time` is cut to whole seconds; give
    /// unchanged files an unchanged time, or every capture makes a new directory.
    pub fn file(name: &str, size: u64, content: Vec<Id>, time: OffsetDateTime) -> Self {
        let mut node = Self::new(name, NodeType::File, 0o600, time);
        (node.size, node.content, node.links) = (size, Some(content), 1);
        node
    }

    /// A directory whose entries are in the tree blob `subtree`.
    pub fn dir(name: &str, subtree: Id, time: OffsetDateTime) -> Self {
        let mut node = Self::new(name, NodeType::Dir, GO_MODE_DIR | 0o700, time);
        node.subtree = Some(subtree);
        node
    }

    fn new(name: &str, kind: NodeType, mode: u32, time: OffsetDateTime) -> Self {
        let time = time.replace_nanosecond(0).unwrap_or(time);
        Self {
            name: name.to_owned(),
            kind,
            mode,
            mtime: time,
            atime: time,
            ctime: time,
            uid: 0,
            gid: 0,
            user: String::new(),
            group: String::new(),
            inode: 0,
            device_id: 0,
            size: 0,
            links: 0,
            content: None,
            subtree: None,
        }
    }
}

/// A directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    #[serde(deserialize_with = "bounded")]
    nodes: Vec<Node>,
}

/// The most entries of a directory: a node takes ten times the memory of the shortest text of one.
const NODES_LIMIT: usize = 1_000_000;

/// Reads nodes up to the limit.
fn bounded<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<Node>, D::Error> {
    struct Nodes;
    impl<'de> Visitor<'de> for Nodes {
        type Value = Vec<Node>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {NODES_LIMIT} entries of a directory")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut json: A) -> Result<Self::Value, A::Error> {
            let mut nodes = Vec::new();
            while let Some(node) = json.next_element()? {
                if nodes.len() == NODES_LIMIT {
                    return Err(A::Error::invalid_length(NODES_LIMIT + 1, &self));
                }
                nodes.push(node);
            }
            Ok(nodes)
        }
    }
    json.deserialize_seq(Nodes)
}

impl Tree {
    /// A directory with these entries in any order. Names that restic would store in another
    /// spelling, or that are there twice, are refused.
    pub fn new(mut nodes: Vec<Node>) -> Result<Self> {
        nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if let Some(node) = nodes.iter().find(|node| !is_plain_name(&node.name)) {
            return Err(refused(
                node,
                "it may only have letters, digits and printable ASCII without \" \\ / < > &",
            ));
        }
        if let Some(twice) = nodes.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(refused(&twice[0], "it is there twice"));
        }
        Ok(Self { nodes })
    }

    /// The entries, sorted by name.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The entries, sorted by name, without copying them.
    pub fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// The entry of that name.
    pub fn find(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The blob's bytes: JSON and a newline, written straight into one buffer.
    pub(in crate::repository) fn to_json(&self) -> Result<Vec<u8>> {
        let ids: usize = self.nodes.iter().flat_map(|node| &node.content).map(Vec::len).sum();
        // 64 digits, two quotes and a comma; growing step by step would take twice the memory.
        let mut json = Vec::with_capacity(ids * 67 + self.nodes.len() * 512);
        super::json_file::write_json(self, &mut json)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Parses a blob's bytes. Names must be in strictly ascending order, as restic demands.
    pub(in crate::repository) fn parse(json: &[u8]) -> Result<Self, String> {
        let tree: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        match tree.nodes.windows(2).all(|pair| pair[0].name < pair[1].name) {
            true => Ok(tree),
            false => Err("its names are not in order".to_owned()),
        }
    }
}

/// Whether Go's `strconv.Quote` and its JSON encoder leave the name as it is, and it can be
/// restored on any filesystem. Letters and digits of all scripts are printable to Go.
fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| match c {
        ' '..='~' => !"\"\\/<>&".contains(c),
        _ => c.is_alphanumeric(),
    };
    !matches!(name, "" | "." | "..") && name.chars().all(plain)
}

fn refused(node: &Node, problem: &'static str) -> RepositoryError {
    RepositoryError::Refused { what: format!("the file name {:?}", node.name), problem }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    fn sample() -> Tree {
        let time = datetime!(2026-11-22 01:02:03.456 UTC);
        let file = Node::file("disk.img", 3, vec![Id::of(b"a"), Id::of(b"b")], time);
        let dir = Node::dir("a dir", Id::of(b"c"), time);
        Tree::new(vec![file, dir]).unwrap()
    }

    #[test]
    fn the_json_is_what_go_would_write() {
        let time = r#""mtime":"2026-11-22T01:02:03Z","atime":"2026-11-22T01:02:03Z","ctime":"2026-11-22T01:02:03Z","uid":0,"gid":0"#;
        let [a, b, c] = [b"a", b"b", b"c"].map(|name| Id::of(name));
        let expected = format!(
            "{{\"nodes\":[\
             {{\"name\":\"a dir\",\"type\":\"dir\",\"mode\":2147484096,{time},\
             \"content\":null,\"subtree\":\"{c}\"}},\
             {{\"name\":\"disk.img\",\"type\":\"file\",\"mode\":384,{time},\
             \"size\":3,\"links\":1,\"content\":[\"{a}\",\"{b}\"]}}]}}\n"
        );
        assert_eq!(String::from_utf8(sample().to_json().unwrap()).unwrap(), expected);
        assert_eq!(Tree::parse(expected.as_bytes()).unwrap(), sample());
    }

    #[test]
    fn names_that_would_be_spelt_otherwise_are_refused() {
        for name in ["", ".", "..", "a/b", "a\"", "a\\", "a\u{202e}", "a\n", "<a>", "a&b"] {
            let node = Node::file(name, 0, vec![], zero_time());
            assert!(Tree::new(vec![node]).is_err(), "{name:?}");
        }
        assert!(Tree::new(vec![Node::file("Ä-сервер-磁盘2", 0, vec![], zero_time())]).is_ok());
        let node = Node::file("twice", 0, vec![], zero_time());
        assert!(Tree::new(vec![node.clone(), node]).is_err());
    }

    #[test]
    fn foreign_nodes_are_read() {
        let json = r#"{"nodes":[{"name":"l","type":"symlink","mode":134218239,
            "mtime":"2024-02-29T23:59:59.123456789+02:00","atime":"0001-01-01T00:00:00Z",
            "ctime":"2024-02-29T23:59:59.1-11:30","uid":0,"gid":0,"linktarget":"x","content":null,
            "extended_attributes":[{"name":"a","value":"AA=="}]}]}"#;
        let tree = Tree::parse(json.as_bytes()).unwrap();
        assert_eq!(tree.nodes()[0].kind, NodeType::Other("symlink".to_owned()));
        assert!(
            Tree::parse(br#"{"nodes":[{"name":"b","type":"file"},{"name":"a","type":"file"}]}"#)
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn mutated_trees_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut json = sample().to_json().unwrap();
            let at = at.index(json.len());
            json[at] = byte;
            let _ = Tree::parse(&json);
        }
    }
}
