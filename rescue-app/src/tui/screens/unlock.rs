//! Passphrases of encrypted containers on the disk to be captured.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::entry::{Entry, Typed};
use super::waiting::failure_lines;
use crate::operation::{Container, Keys, Passphrase, Survey, Volume};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::page::{Action, Context, Hint, Page, Then, ask, open};
use crate::tui::widgets::{
    Field, Lines, below, draw_lines, logical_volume_line, spinner, volume_line,
};

/// Asks for one passphrase after the other; none is needed to go on.
pub(in crate::tui) struct Unlock {
    disk: Survey,
    /// Containers, one after the other.
    containers: Vec<Container>,
    /// Which of them is asked for.
    at: usize,
    keys: Keys,
    entry: Entry,
    then: Then<Keys>,
}

impl Unlock {
    /// The page of the first locked container in these partitions of `disk`, or what follows when there
    /// is none.
    pub(in crate::tui) fn each(
        disk: Survey,
        partitions: Option<&[u32]>,
        then: Then<Keys>,
    ) -> Action {
        let is_chosen = |volume: &&Volume| match (partitions, volume.partition) {
            (Some(chosen), Some(number)) => chosen.contains(&number),
            _ => true,
        };
        let mut containers: Vec<Container> = Vec::new();
        for volume in disk.volumes.iter().filter(is_chosen) {
            for locked in &volume.containers {
                // Both sides of a mirror have the same one.
                if containers.iter().all(|other| other.locked.uuid != locked.uuid) {
                    let (partition, locked) = (volume.partition, locked.clone());
                    containers.push(Container { partition, locked });
                }
            }
        }
        Self::at(disk, containers, 0, Keys::new(), then)
    }

    /// The page of the container at this place, or what follows when there is none.
    fn at(
        disk: Survey,
        containers: Vec<Container>,
        at: usize,
        keys: Keys,
        then: Then<Keys>,
    ) -> Action {
        if at >= containers.len() {
            return then.go(keys);
        }
        let entry = Entry::new(Field::hidden());
        open(Self { disk, containers, at, keys, entry, then })
    }

    /// This page stays as it is, to come back to.
    fn next(&self) -> Action {
        let (disk, containers) = (self.disk.clone(), self.containers.clone());
        Self::at(disk, containers, self.at + 1, self.keys.clone(), self.then.clone())
    }

    fn container(&self) -> Option<&Container> {
        self.containers.get(self.at)
    }

    /// What is shown of the container: the logical volume that it fills, or the partition.
    fn container_line(&self, columns: usize) -> Option<String> {
        let Container { partition, locked } = self.container()?;
        let volume = self.disk.volumes.iter().find(|volume| volume.partition == *partition)?;
        let mut inside = volume.logical_volumes.iter();
        let filled = inside.find(|it| locked.logical_volume == Some(it.to_string()));
        Some(match filled {
            Some(inside) => logical_volume_line(inside, columns),
            None => volume_line(volume, columns),
        })
    }

    fn try_it(&mut self) -> Action {
        let Some(container) = self.container().cloned() else { return Action::None };
        self.keys.remove(&container);
        if self.entry.field.text().is_empty() {
            return self.next();
        }
        self.entry.working = true;
        self.entry.failure = None;
        ask(Request::Unlock {
            disk: self.disk.path().to_owned(),
            container,
            passphrase: Passphrase::new(self.entry.field.text()),
        })
    }
}

impl Page for Unlock {
    fn title(&self) -> String {
        let name = self.container().map_or_else(String::new, ToString::to_string);
        format!("Capture: unlock {name}")
    }

    fn hints(&self) -> Vec<Hint> {
        if self.entry.working {
            return Vec::new();
        }
        let enter = if self.entry.field.text().is_empty() { "Leave it locked" } else { "Unlock" };
        let mut hints = vec![("Enter", enter)];
        hints.extend(self.entry.field.hint());
        hints.extend([("F1", "Help"), ("Esc", "Back")]);
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "An encrypted volume shows nothing of what is in it, so that every byte of it has to \
             be stored, and nothing of it compresses. With its passphrase Lifeboat finds out which \
             blocks are in use and stores only those.",
            "BitLocker takes its password, or the recovery key of 48 digits that Windows made when \
             it encrypted the volume; for most people it is in their Microsoft account.",
            "They are stored as they are, encrypted. Restoring needs no passphrase, the restored \
             volume has the same ones, and the image tells nobody more than the disk did, but \
             for how much of it is in use and where.",
            "The passphrase is kept in memory only until it has been tried, and the key until the \
             capture is done.",
        ]
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        match self.entry.on_key(key) {
            Typed::Finished => self.try_it(),
            Typed::Changed | Typed::Nothing => Action::None,
        }
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        self.entry.working = false;
        match reply {
            Reply::Unlocked(Ok(key)) => {
                let container = self.container().cloned();
                self.keys.extend(container.map(|container| (container, key)));
                self.entry.field.clear();
                self.next()
            }
            Reply::Unlocked(Err(failure)) => {
                self.entry.failure = Some(failure);
                self.entry.field.clear();
                Action::None
            }
            _ => Action::None,
        }
    }

    fn is_busy(&self) -> bool {
        self.entry.working
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let mut lines = Lines::new(area.width);
        lines.text(&self.disk.line(), look.heading());
        if let Some(line) = self.container_line(usize::from(area.width)) {
            lines.line(line).gap();
        }
        let secret = self.container().map_or("", |container| container.locked.secret());
        let text = format!(
            "It is encrypted. With its {secret} only what is used in it is stored, still encrypted: \
             restoring needs no secret. Leave the field empty to store every byte."
        );
        lines.text(&text, Style::new()).gap();
        let rest = draw_lines(&lines.finish(), area, buffer);
        let rest = self.entry.render(rest, buffer, look);
        let mut after = Lines::new(area.width);
        if self.entry.working {
            after.line(format!("{} Trying the key slots; this takes some seconds", spinner(now)));
        } else if let Some(failure) = &self.entry.failure {
            failure_lines(&mut after, failure, look);
        }
        draw_lines(&after.finish(), below(rest, 1), buffer);
    }
}
