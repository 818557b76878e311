//! A verb as the command line that asks for it.
//!
//! Nothing is listed twice: names and forms of the arguments are those that clap parses
//! ([`Verb`]'s derive), their values those that serde writes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;

use clap::{Arg, ArgAction, Command, Subcommand};
use serde_json::{Map, Value};

use super::Verb;
use crate::bytes::os_text;

/// What clap parses. The menu asks for a command line each time that it draws it.
static COMMAND: LazyLock<Command> =
    LazyLock::new(|| Verb::augment_subcommands(Command::new("lifeboat")));

impl Verb {
    /// The arguments of `lifeboat` that ask for this; what is usual is left out.
    pub fn to_args(&self) -> Vec<OsString> {
        let mut words = Words::default();
        if let Ok(Value::Object(written)) = serde_json::to_value(self) {
            words.subcommand(&COMMAND, &written);
        }
        words.finish()
    }

    /// Whether it is to be answered in JSON.
    pub fn answers_in_json(&self) -> bool {
        serde_json::to_value(self).is_ok_and(|written| has_json(&written))
    }

    /// The command line that asks for this, for a POSIX shell.
    pub fn command_line(&self) -> String {
        let mut line = "lifeboat".to_owned();
        for word in self.to_args() {
            line.push(' ');
            line.push_str(&quoted(&word.to_string_lossy()));
        }
        line
    }
}

/// Whether the arguments of a verb, or of one below it, ask for JSON.
fn has_json(written: &Value) -> bool {
    let Value::Object(written) = written else { return false };
    written.get("json") == Some(&Value::Bool(true)) || written.values().any(has_json)
}

/// A command line in the making: what stands by its name, and what by its place.
#[derive(Default)]
struct Words {
    verbs: Vec<OsString>,
    placed: Vec<OsString>,
    named: Vec<OsString>,
}

impl Words {
    /// The subcommand of `command` that a map names, with its arguments.
    fn subcommand(&mut self, command: &Command, written: &Map<String, Value>) {
        for (name, arguments) in written {
            if let (Some(verb), Value::Object(arguments)) =
                (command.find_subcommand(name), arguments)
            {
                self.verbs.push(name.into());
                verb.get_arguments().for_each(|arg| self.argument(arg, arguments));
                self.subcommand(verb, arguments);
            }
        }
    }

    fn argument(&mut self, arg: &Arg, written: &Map<String, Value>) {
        let Some(value) = written.get(arg.get_id().as_str()) else { return };
        let Some(long) = arg.get_long() else {
            self.placed.extend(texts(value));
            return;
        };
        // What is set once is all of the list.
        let is_list =
            arg.get_value_delimiter().is_some() || matches!(arg.get_action(), ArgAction::Set);
        match (arg.get_action(), value) {
            (ArgAction::SetTrue, value) => {
                if value.as_bool() == Some(true) {
                    self.named.push(format!("--{long}").into());
                }
            }
            (_, Value::Array(values)) if is_list => {
                let values: Vec<OsString> = values.iter().flat_map(texts).collect();
                self.option(arg, long, &values.join(OsStr::new(",")));
            }
            _ => texts(value).iter().for_each(|text| self.option(arg, long, text)),
        }
    }

    fn option(&mut self, arg: &Arg, long: &str, text: &OsStr) {
        if arg.get_default_values().iter().any(|usual| usual.as_os_str() == text) {
            return;
        }
        let name = OsString::from(format!("--{long}"));
        let is_optional = arg.is_require_equals_set();
        if is_optional && text.is_empty() {
            self.named.push(name);
        } else if is_optional || text.is_empty() || text.as_bytes().starts_with(b"-") {
            // A value that looks like an option would be taken for one.
            let mut word = name;
            word.push("=");
            word.push(text);
            self.named.push(word);
        } else {
            self.named.extend([name, text.to_owned()]);
        }
    }

    fn finish(self) -> Vec<OsString> {
        let Self { mut verbs, placed, named } = self;
        if placed.iter().any(|word| word.as_bytes().starts_with(b"-")) {
            verbs.extend(named);
            verbs.push("--".into());
            verbs.extend(placed);
        } else {
            verbs.extend(placed);
            verbs.extend(named);
        }
        verbs
    }
}

/// A value, or each of a list, as words.
fn texts(value: &Value) -> Vec<OsString> {
    match value {
        Value::Null | Value::Bool(_) => Vec::new(),
        Value::Number(number) => vec![number.to_string().into()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::String(_) | Value::Object(_) => {
            os_text::deserialize(value).into_iter().collect::<Vec<OsString>>()
        }
    }
}

/// `text` as one word of a POSIX shell (IEEE 1003.1, section 2.2.2).
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
