//! What of an image or a disk is written, and how.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::job::What;
use crate::layout::Mode;
use crate::operation::Volume;
use crate::operation::safety::TooSmall;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::model::WriteOrder;
use crate::tui::page::{Action, Context, Hint, Page, Then};
use crate::tui::widgets::{
    Cursor, Lines, Row, below, draw_lines, logical_volume_line, rows, volume_line,
};
use crate::volume::LogicalVolume;

/// Below a logical volume that is not whole in this image, under its kind.
const MORE_IMAGES: &str = "           with the images of its other disks";

/// Ticks for partitions and ways of writing.
pub(in crate::tui) struct WriteOptions {
    order: WriteOrder,
    then: Then<WriteOrder>,
    /// What follows when sizes are to be set.
    sizes: Then<WriteOrder>,
    sets_sizes: bool,
    what: Choice,
    ticked: Vec<bool>,
    cursor: Cursor,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Whole,
    /// The ticked partitions.
    Parts,
    /// The logical volume of that place in the list.
    Volume(usize),
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Whole,
    Parts,
    Partition(usize),
    Volumes,
    Volume(usize),
    OnlyChanged,
    ReadBack,
    KeepSizes,
    SetSizes,
    BootEntries,
}

impl WriteOptions {
    /// The usual choice: the whole disk, read back afterwards; on a smaller target a logical
    /// volume that fits.
    pub(in crate::tui) fn new(
        order: WriteOrder,
        then: Then<WriteOrder>,
        sizes: Then<WriteOrder>,
    ) -> Self {
        let partitions = order.from.partitions().into_iter();
        let ticked =
            partitions.map(|(volume, is_there)| is_there && volume.partition.is_some()).collect();
        let (what, cursor) = (Choice::Whole, Cursor::default());
        let mut page = Self { order, then, sizes, sets_sizes: false, what, ticked, cursor };
        if !page.has_room(page.order.from.size()) {
            page.toggle(Setting::Volumes);
        }
        page
    }

    /// Whether the target has room for what needs `needed` bytes.
    fn has_room(&self, needed: u64) -> bool {
        TooSmall::judge(self.order.disk.disk.size, needed).is_none()
    }

    /// Whether the target may have room for all of the disk; on a smaller one the plan finds out.
    fn whole_fits(&self) -> bool {
        self.has_room(self.order.from.least_whole())
    }

    /// The logical volume of that place.
    fn volume(&self, index: usize) -> Option<&LogicalVolume> {
        self.order.from.logical_volumes().nth(index)
    }

    /// Why the logical volume of that place cannot be chosen.
    fn obstacle(&self, index: usize) -> Option<&'static str> {
        let volume = self.volume(index)?;
        match (volume.plain, self.has_room(volume.size)) {
            (false, _) => Some("not alone"),
            (true, false) => Some("too large"),
            (true, true) => None,
        }
    }

    /// The first logical volume that can be chosen, better one that needs no other image.
    fn first_volume(&self) -> Option<usize> {
        let count = self.order.from.logical_volumes().count();
        let fitting = || (0..count).filter(|index| self.obstacle(*index).is_none());
        let is_whole = |index: &usize| self.volume(*index).is_some_and(|volume| volume.complete);
        fitting().find(is_whole).or_else(|| fitting().next())
    }

    /// Whether single partitions can be restored at all.
    fn has_parts(&self) -> bool {
        let is_possible =
            |(volume, is_there): (&Volume, bool)| is_there && volume.partition.is_some();
        self.whole_fits() && self.order.from.partitions().into_iter().any(is_possible)
    }

    /// Whether partitions may get other sizes.
    fn may_change_sizes(&self) -> bool {
        self.what == Choice::Whole && self.order.disk.disk.size != self.order.from.size()
    }

    /// Whether they can be set.
    fn has_sizes(&self) -> bool {
        let partitions = self.order.from.partitions();
        self.what == Choice::Whole && partitions.iter().any(|(it, _)| it.partition.is_some())
    }

    fn keeps_sizes(&self) -> bool {
        self.order.target.sizes.layout == Some(Mode::Keep)
    }

    /// Whether the firmware may get boot entries of what is written.
    fn may_add_boot_entries(&self) -> bool {
        self.order.from.has_boot_entries() && !matches!(self.what, Choice::Volume(_))
    }

    fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        if self.whole_fits() {
            settings.push(Setting::Whole);
        }
        if self.has_parts() {
            settings.push(Setting::Parts);
            if self.what == Choice::Parts {
                settings.extend((0..self.ticked.len()).map(Setting::Partition));
            }
        }
        if self.first_volume().is_some() {
            settings.push(Setting::Volumes);
            if matches!(self.what, Choice::Volume(_)) {
                let count = self.order.from.logical_volumes().count();
                settings.extend((0..count).map(Setting::Volume));
            }
        }
        settings.extend([Setting::OnlyChanged, Setting::ReadBack]);
        if self.may_change_sizes() {
            settings.push(Setting::KeepSizes);
        }
        if self.has_sizes() {
            settings.push(Setting::SetSizes);
        }
        if self.may_add_boot_entries() {
            settings.push(Setting::BootEntries);
        }
        settings
    }

    fn toggle(&mut self, setting: Setting) {
        match setting {
            Setting::Whole => self.what = Choice::Whole,
            Setting::Parts => self.what = Choice::Parts,
            Setting::Volumes if matches!(self.what, Choice::Volume(_)) => {}
            Setting::Volumes => {
                self.what = self.first_volume().map_or(self.what, Choice::Volume);
            }
            Setting::Volume(index) if self.obstacle(index).is_none() => {
                self.what = Choice::Volume(index)
            }
            Setting::Volume(_) => {}
            Setting::OnlyChanged => self.order.target.only_changed ^= true,
            Setting::ReadBack => self.order.target.no_read_back ^= true,
            Setting::KeepSizes => {
                let keep = (!self.keeps_sizes()).then_some(Mode::Keep);
                self.order.target.sizes.layout = keep;
            }
            Setting::SetSizes => self.sets_sizes ^= true,
            Setting::BootEntries => self.order.target.no_nvram ^= true,
            Setting::Partition(index) => {
                let is_there = self.order.from.partitions().get(index).is_some_and(|part| part.1);
                if let Some(ticked) = self.ticked.get_mut(index).filter(|_| is_there) {
                    *ticked = !*ticked;
                }
            }
        }
        let last = self.settings().len().saturating_sub(1);
        self.cursor.index = self.cursor.index.min(last);
    }

    fn asks_sizes(&self) -> bool {
        self.sets_sizes && self.has_sizes()
    }

    /// The order as ticked; `None` while nothing is.
    fn finished(&self) -> Option<WriteOrder> {
        let mut order = self.order.clone();
        if !self.may_change_sizes() {
            order.target.sizes.layout = None;
        }
        if !self.asks_sizes() {
            order.target.sizes.size_of.clear();
        }
        order.what = match self.what {
            Choice::Whole => What::Disk,
            Choice::Volume(index) => {
                What::Volume { name: self.volume(index)?.to_string(), with: Vec::new() }
            }
            Choice::Parts => {
                let partitions = self.order.from.partitions().into_iter().zip(&self.ticked);
                let ticked = partitions.filter(|(_, ticked)| **ticked);
                let numbers: Vec<u32> =
                    ticked.filter_map(|((volume, _), _)| volume.partition).collect();
                What::Partitions(Some(numbers).filter(|numbers| !numbers.is_empty())?)
            }
        };
        Some(order)
    }

    fn row(&self, setting: Setting, columns: usize, look: Look) -> Row {
        let dot = |set: bool| if set { "(*)" } else { "( )" };
        let tick = |set: bool| if set { "[x]" } else { "[ ]" };
        match setting {
            Setting::Whole => {
                let set = dot(self.what == Choice::Whole);
                Row::new(format!("{set} W  The whole disk, its partition table too"))
            }
            Setting::Parts => Row::new(format!(
                "{} P  Only some partitions; the rest of the disk stays",
                dot(self.what == Choice::Parts)
            )),
            Setting::Partition(index) => self.partition_row(index, columns, look),
            Setting::Volumes => Row::new(format!(
                "{} L  One logical volume; nothing else stays on the target",
                dot(matches!(self.what, Choice::Volume(_)))
            )),
            Setting::Volume(index) => self.volume_row(index, columns, look),
            Setting::OnlyChanged => Row::new(format!(
                "{} C  Compare first and write only what differs",
                tick(self.order.target.only_changed)
            ))
            .under(vec![Line::default()]),
            Setting::ReadBack => Row::new(format!(
                "{} B  Read everything back afterwards and compare",
                tick(!self.order.target.no_read_back)
            )),
            Setting::KeepSizes => {
                let kept = tick(self.keeps_sizes());
                Row::new(format!("{kept} S  Keep the sizes of all partitions"))
            }
            Setting::SetSizes => {
                let set = tick(self.sets_sizes);
                Row::new(format!("{set} Z  Set sizes of partitions, on the next page"))
            }
            Setting::BootEntries => Row::new(format!(
                "{} F  Give the firmware the boot entries of the image where it has none",
                tick(!self.order.target.no_nvram)
            )),
        }
    }

    fn partition_row(&self, index: usize, columns: usize, look: Look) -> Row {
        let Some((volume, is_there)) = self.order.from.partitions().get(index).copied() else {
            return Row::default();
        };
        let line = volume_line(volume, columns.saturating_sub(10));
        if !is_there {
            return Row::new(format!("     -  {line}  not in the image"));
        }
        let tick = if self.ticked.get(index) == Some(&true) { "[x]" } else { "[ ]" };
        let style = look.content(&volume.content);
        Row::new(Line::styled(format!("    {tick} {line}"), style))
    }

    fn volume_row(&self, index: usize, columns: usize, look: Look) -> Row {
        let Some(volume) = self.volume(index) else { return Row::default() };
        let line = logical_volume_line(volume, columns.saturating_sub(10));
        if let Some(obstacle) = self.obstacle(index) {
            return Row::new(format!("     -  {line}  {obstacle}"));
        }
        let dot = if self.what == Choice::Volume(index) { "(*)" } else { "( )" };
        let kind = volume.filesystem.as_ref().map(|found| found.kind.to_string());
        let style = look.content(&kind.unwrap_or_default());
        let row = Row::new(Line::styled(format!("    {dot} {line}"), style));
        if volume.complete { row } else { row.with(Line::styled(MORE_IMAGES, style)) }
    }
}

impl Page for WriteOptions {
    fn title(&self) -> String {
        format!("{}: what and how", self.order.from.verb())
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = vec![("↑↓", "Move"), ("Space", "Set")];
        if self.finished().is_some() {
            hints.push(("Enter", "Continue"));
        }
        hints.push(("Esc", "Back"));
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "The whole disk: the target becomes what the captured disk was, or the source is. The place of partitions \
             that are not in the image is left as it is.",
            "Only some partitions: they are written over partitions of the same number that are \
             large enough; the rest of the disk stays.",
            "One logical volume: it is written to the start of the target and stands there alone, \
             without a partition table and without LVM. Everything else on the target is lost.",
            "With the images of its other disks: the volume lies on several disks. Those images of them \
             that fit are looked for among the images here; the next page says which they are, or \
             what is missing.",
            "Not alone: only LVM can put together thin, RAID and snapshot volumes, once the disk that \
             they are on was restored.",
            "Compare first: the target is read and only what differs is written. Good for going \
             back to an earlier state, and for carrying on after an interruption.",
            "Read back: after writing, everything is read from the disk again and compared with \
             the image or the source. Leave it on unless time matters more than certainty.",
            "Keep the sizes: without this the largest filesystem takes what a larger disk has more, and on one \
             that is too small filesystems are made smaller. The next page shows what becomes of each.",
            "Set sizes: the next page has a field for each partition.",
            "Boot entries: firmware of UEFI keeps in its own memory what it starts. Where it has no entry for a \
             program on the restored disk, it gets those of the image, in front of its own.",
        ]
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let settings = self.settings();
        if self.cursor.on_key(key, settings.len(), usize::from(context.body.height)) {
            return Action::None;
        }
        match key {
            Key::Enter => {
                let then = if self.asks_sizes() { &self.sizes } else { &self.then };
                return self.finished().map_or(Action::None, |order| then.go(order));
            }
            Key::Char(' ') => {
                if let Some(setting) = settings.get(self.cursor.index) {
                    self.toggle(*setting);
                }
            }
            Key::Char('w' | 'W') if self.whole_fits() => self.toggle(Setting::Whole),
            Key::Char('p' | 'P') if self.has_parts() => self.toggle(Setting::Parts),
            Key::Char('l' | 'L') => self.toggle(Setting::Volumes),
            Key::Char('c' | 'C') => self.toggle(Setting::OnlyChanged),
            Key::Char('b' | 'B') => self.toggle(Setting::ReadBack),
            Key::Char('z' | 'Z') if self.has_sizes() => self.toggle(Setting::SetSizes),
            Key::Char('s' | 'S') if self.may_change_sizes() => self.toggle(Setting::KeepSizes),
            Key::Char('f' | 'F') if self.may_add_boot_entries() => {
                self.toggle(Setting::BootEntries);
            }
            _ => {}
        }
        Action::None
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let mut top = Lines::new(area.width);
        top.fact(self.order.from.name(), &self.order.from.line());
        top.fact("Target", &self.order.disk.line());
        let rest = below(draw_lines(&top.finish(), area, buffer), 1);
        let list: Vec<Row> = self
            .settings()
            .into_iter()
            .map(|setting| self.row(setting, usize::from(area.width), look))
            .collect();
        let bottom = u16::from(self.finished().is_none());
        let height = rest.height.saturating_sub(bottom);
        rows(&list, Some(self.cursor.index), Rect { height, ..rest }, buffer, look);
        if bottom > 0 && area.height > 0 {
            let text = "Tick at least one partition.";
            buffer.set_stringn(
                area.x,
                area.bottom() - 1,
                text,
                usize::from(area.width),
                look.warning(),
            );
        }
    }
}
