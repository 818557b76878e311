//! The text that LVM keeps its metadata in: sections, and values under names.
//!
//! Source: lvm.conf(5) "SYNTAX", and what vgcfgbackup(8) writes.

/// Metadata has four levels of sections.
const DEEPEST: usize = 8;
/// Bounds the memory: a logical volume has about 30 values.
const MOST_VALUES: usize = 400_000;

/// What stands under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A whole number.
    Number(i64),
    /// A string as it is written: escapes are left as they are.
    Text(&'a str),
    /// Numbers and strings in brackets.
    List(Vec<Value<'a>>),
}

/// Values and sections by name, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section<'a> {
    values: Vec<(&'a str, Value<'a>)>,
    sections: Vec<(&'a str, Section<'a>)>,
}

impl<'a> Section<'a> {
    /// Reads a text. `None` when it is not one, has a name twice in a section, or passes the
    /// bounds.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parser = Parser { rest: text, values: 0 };
        let section = parser.section(0)?;
        parser.rest.is_empty().then_some(section)
    }

    fn value(&self, name: &str) -> Option<&Value<'a>> {
        self.values.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A number that is not negative.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A string.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list; a value without brackets is a list of one.
    pub(super) fn list(&self, name: &str) -> Option<&[Value<'a>]> {
        match self.value(name)? {
            Value::List(list) => Some(list),
            single => Some(std::slice::from_ref(single)),
        }
    }

    /// A section.
    pub(super) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|(key, _)| *key == name).map(|(_, section)| section)
    }

    /// All sections.
    pub(super) fn sections(&self) -> &[(&'a str, Section<'a>)] {
        &self.sections
    }

    /// Every string in this section and those in it.
    pub(super) fn texts(&self) -> Vec<&'a str> {
        let mut found = Vec::new();
        for (_, value) in &self.values {
            match value {
                Value::Text(text) => found.push(*text),
                Value::List(list) => found.extend(list.iter().filter_map(|item| match item {
                    Value::Text(text) => Some(*text),
                    _ => None,
                })),
                Value::Number(_) => {}
            }
        }
        self.sections.iter().for_each(|(_, section)| found.extend(section.texts()));
        found
    }

    /// Puts a number in the place of a value that is there; nothing else changes.
    pub(super) fn set_number(&mut self, name: &str, number: u64) {
        let number = Value::Number(i64::try_from(number).unwrap_or(i64::MAX));
        self.set(name, number);
    }

    /// Puts a list in the place of a value that is there.
    pub(super) fn set_list(&mut self, name: &str, list: Vec<Value<'a>>) {
        self.set(name, Value::List(list));
    }

    fn set(&mut self, name: &str, value: Value<'a>) {
        let there = self.values.iter_mut().find(|(key, _)| *key == name);
        there.into_iter().for_each(|(_, old)| *old = value.clone());
    }

    /// A section, to change it.
    pub(super) fn section_mut(&mut self, name: &str) -> Option<&mut Section<'a>> {
        self.sections.iter_mut().find(|(key, _)| *key == name).map(|(_, section)| section)
    }

    /// All sections, to change them.
    pub(super) fn sections_mut(&mut self) -> &mut Vec<(&'a str, Section<'a>)> {
        &mut self.sections
    }

    /// The text that says this, in LVM's own form: its reader wants commas, quotes and ends of lines as they
    /// are here (`lib/format_text/export.c`).
    pub(super) fn write(&self, text: &mut String) {
        for (name, value) in &self.values {
            let value = match value {
                Value::List(list) => {
                    format!("[{}]", list.iter().map(scalar).collect::<Vec<_>>().join(", "))
                }
                single => scalar(single),
            };
            text.push_str(&format!("{name} = {value}\n"));
        }
        for (name, section) in &self.sections {
            text.push_str(&format!("\n{name} {{\n"));
            section.write(text);
            text.push_str("}\n");
        }
    }

    fn has_name_twice(&self) -> bool {
        let values = self.values.iter().map(|(name, _)| *name);
        let mut names: Vec<&str> =
            values.chain(self.sections.iter().map(|(name, _)| *name)).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair.first() == pair.last())
    }
}

/// A number or a string as the text has it.
fn scalar(value: &Value<'_>) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(inside) => format!("\"{inside}\""),
        Value::List(_) => String::new(),
    }
}

struct Parser<'a> {
    rest: &'a str,
    values: usize,
}

impl<'a> Parser<'a> {
    /// Skips blanks and comments; the next character.
    fn peek(&mut self) -> Option<char> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return self.rest.chars().next();
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.peek()?;
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> Option<&'a str> {
        self.peek()?;
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).filter(|(word, _)| !word.is_empty())?;
        self.rest = rest;
        Some(word)
    }

    fn count(&mut self) -> Option<()> {
        self.values = self.values.saturating_add(1);
        (self.values <= MOST_VALUES).then_some(())
    }

    /// Up to the end of the text at the top, else up to the brace that ends the section.
    fn section(&mut self, depth: usize) -> Option<Section<'a>> {
        if depth > DEEPEST {
            return None;
        }
        let mut section = Section::default();
        while self.peek().is_some_and(|next| next != '}') {
            self.count()?;
            let name = self.word(|c| c.is_ascii_alphanumeric() || "_.+-".contains(c))?;
            match self.peek()? {
                '{' => {
                    self.take('{')?;
                    section.sections.push((name, self.section(depth.checked_add(1)?)?));
                    self.take('}')?;
                }
                _ => {
                    self.take('=')?;
                    section.values.push((name, self.value()?));
                }
            }
        }
        (!section.has_name_twice()).then_some(section)
    }

    fn value(&mut self) -> Option<Value<'a>> {
        if self.peek()? != '[' {
            return self.scalar();
        }
        self.take('[')?;
        let mut list = Vec::new();
        while self.peek()? != ']' {
            self.count()?;
            list.push(self.scalar()?);
            if self.peek()? != ']' {
                self.take(',')?;
            }
        }
        self.take(']')?;
        Some(Value::List(list))
    }

    fn scalar(&mut self) -> Option<Value<'a>> {
        if self.peek()? != '"' {
            let digits = self.word(|c| c.is_ascii_digit() || c == '-')?;
            return digits.parse().ok().map(Value::Number);
        }
        self.take('"')?;
        let mut escaped = false;
        let end = self.rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let text = self.rest.get(..end)?;
        self.rest = self.rest.get(end.checked_add(1)?..)?;
        Some(Value::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_read_as_it_was_meant() {
        let text = "vg { # a group\n id = \"a\\\"b\"\nflags = []\nlv-1.x {\nstripes = [\n\"pv0\", 0\n]\n}\n}\nversion=-1";
        let top = Section::parse(text).unwrap();
        let group = top.section("vg").unwrap();
        assert_eq!(group.text("id"), Some("a\\\"b"));
        assert_eq!(group.list("flags"), Some(&[][..]));
        let volume = group.section("lv-1.x").unwrap();
        let expected = [Value::Text("pv0"), Value::Number(0)];
        assert_eq!(volume.list("stripes"), Some(&expected[..]));
        assert_eq!((top.number("version"), top.value("version")), (None, Some(&Value::Number(-1))));
        assert_eq!(top.texts(), ["a\\\"b", "pv0"]);
    }

    #[test]
    fn what_is_no_such_text_is_refused() {
        for text in [
            "a",
            "a {",
            "a = ",
            "a = [1",
            "a = [1 2]",
            "}",
            "a = \"x",
            "a=1 a=2",
            "a=1 a{}",
            "a=[[1]]",
        ] {
            assert_eq!(Section::parse(text), None, "{text}");
        }
        assert_eq!(Section::parse(&"a {".repeat(5000)), None);
        let many = format!("a = [{}0]", "0,".repeat(MOST_VALUES));
        assert_eq!(Section::parse(&many), None);
    }

    const NAMES: [&str; 6] = ["id", "seqno", "lv-root", "a.b", "x_1", "9"];

    fn any_scalar() -> impl Strategy<Value = Value<'static>> {
        let words = prop::sample::select(vec!["", "pv0", "a b", "q\\\"q", "\\\\", "# { } ]", "ä"]);
        prop_oneof![any::<i64>().prop_map(Value::Number), words.prop_map(Value::Text)]
    }

    fn any_section() -> impl Strategy<Value = Section<'static>> {
        let value = prop_oneof![
            any_scalar(),
            prop::collection::vec(any_scalar(), 0..4).prop_map(Value::List)
        ];
        let values = prop::collection::vec(value, 0..4)
            .prop_map(|values| NAMES.into_iter().zip(values).collect());
        let leaf = values.prop_map(|values| Section { values, sections: Vec::new() });
        leaf.prop_recursive(3, 20, 3, |inner| {
            let sections = prop::collection::vec(inner, 0..3)
                .prop_map(|inner| NAMES.into_iter().rev().zip(inner).collect());
            sections.prop_map(|sections| Section { values: Vec::new(), sections })
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(section in any_section()) {
            let mut text = String::new();
            section.write(&mut text);
            let text = text.replace('\n', "\t# note\n");
            prop_assert_eq!(Section::parse(&text), Some(section));
        }

        #[test]
        fn no_text_does_harm(text in "[a-c{}=\\[\\]\",# \\n\\\\0-9ä]{0,80}") {
            let _ = Section::parse(&text);
        }
    }
}
