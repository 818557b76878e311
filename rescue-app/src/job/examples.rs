//! What is typed most often of each verb, for the end of its help. `DIR` of the repository comes from
//! `LIFEBOAT_REPO` where a line names none.

pub(super) const DISKS: &str = "\
Examples:
  lifeboat disks                           # all of this machine
  lifeboat disks /dev/sdb old-laptop.img   # one disk, and one in a file";

pub(super) const INIT: &str = "\
Examples:
  lifeboat init /mnt/images                # asks for a passphrase
  lifeboat init /mnt/images --no-passphrase
  lifeboat init -r sftp:ann@backup:/images --passphrase-file word.txt";

pub(super) const CAPTURE: &str = "\
Examples:
  lifeboat capture /dev/sda -r /mnt/images         # again next week: stores what changed
  lifeboat capture /dev/sda --plan                 # how much, and does it fit
  lifeboat capture /dev/sda --partitions 1-3,5
  lifeboat capture /dev/nvme0n1 --unlock           # of encrypted partitions what is used
  lifeboat capture /dev/sda --retries 5 --keep-map # a failing disk
  lifeboat capture /dev/sda --tag monthly";

pub(super) const IMAGES: &str = "\
Examples:
  lifeboat images -r /mnt/images
  lifeboat -r /mnt/images images --json";

pub(super) const STATS: &str = "\
Examples:
  lifeboat stats -r /mnt/images
  lifeboat stats --json";

pub(super) const SHOW: &str = "\
Examples:
  lifeboat show latest
  lifeboat show latest:S4EMNX0M    # the newest of the disk with that serial number
  lifeboat show 7add3769 --json";

pub(super) const CLONE: &str = "\
Examples:
  lifeboat clone /dev/sda /dev/sdb --plan             # look first
  lifeboat clone /dev/sda /dev/sdb                    # shows the plan, then asks
  lifeboat clone /dev/sda /dev/sdb --erase S5Y1NJ0R   # in a script: the target's serial number
  lifeboat clone disk.qcow2 disk.img                  # a new file needs no consent";

pub(super) const RESTORE: &str = "\
Examples:
  lifeboat restore latest:S4EMNX0M /dev/sdb --plan             # look first
  lifeboat restore latest:S4EMNX0M /dev/sdb                    # shows the plan, then asks
  lifeboat restore latest:S4EMNX0M /dev/sdb --erase S5Y1NJ0R   # in a script
  lifeboat restore 7add3769 /dev/sdb --partitions 2-3          # the others stay as they are
  lifeboat restore latest pc.vhdx                              # a virtual machine's disk";

pub(super) const MAKE_STICK: &str = "\
Examples:
  lifeboat make-stick /dev/sdx --plan                                # from the running medium: look first
  lifeboat make-stick /dev/sdx --erase 4C530001 --iso lifeboat.iso
  lifeboat make-stick /dev/sdx --erase 4C530001 --data-only          # of a stick written by dd";

pub(super) const CHECK_MEDIUM: &str = "\
Examples:
  lifeboat check-medium                    # the one that Lifeboat was started from
  lifeboat check-medium lifeboat.iso";

pub(super) const MOUNT: &str = "\
Examples:
  lifeboat mount latest /mnt/image
  lifeboat mount 7add3769 /mnt/image -r /mnt/images";

pub(super) const SERVE: &str = "\
Examples:
  lifeboat serve latest --socket /run/nbd
  lifeboat serve latest 7add3769 --socket /run/nbd";

pub(super) const BOOT: &str = "\
Examples:
  lifeboat boot latest
  lifeboat boot latest:S4EMNX0M -r /mnt/images";

pub(super) const LS: &str = "\
Examples:
  lifeboat ls latest               # its volumes
  lifeboat ls latest:3/etc -l      # the files in a folder of partition 3";

pub(super) const COPY: &str = "\
Examples:
  lifeboat copy latest:3/etc/fstab .
  lifeboat copy latest:3/home/ann /tmp/ann";

pub(super) const FIND: &str = "\
Examples:
  lifeboat find latest '*.odt'
  lifeboat find latest:3/home thesis -l";

pub(super) const DIFF: &str = "\
Examples:
  lifeboat diff 788986f2 latest
  lifeboat diff 788986f2:3/etc latest:3/etc";

pub(super) const VERIFY: &str = "\
Examples:
  lifeboat verify                  # everything
  lifeboat verify latest           # what the newest image needs
  lifeboat verify latest --boot    # does it start?";

pub(super) const FORGET: &str = "\
Examples:
  lifeboat forget --keep-last 3 --keep-monthly 12 --dry-run   # look first
  lifeboat forget --keep-last 3 --keep-monthly 12 --prune     # of each disk; frees the space
  lifeboat forget 7add3769";

pub(super) const PRUNE: &str = "\
Examples:
  lifeboat prune --dry-run
  lifeboat prune --max-unused 0    # free all that can be";

pub(super) const CHECK: &str = "\
Examples:
  lifeboat check
  lifeboat check --read-data       # takes as long as reading all of it";

pub(super) const REPAIR: &str = "\
Examples:
  lifeboat repair index            # the lists of what is stored where
  lifeboat repair packs            # what is good in damaged files";

pub(super) const UNLOCK: &str = "\
Examples:
  lifeboat unlock
  lifeboat unlock --all            # when nobody can be at work on it";

pub(super) const KEY: &str = "\
Examples:
  lifeboat key list
  lifeboat key change              # asks for the new passphrase twice
  lifeboat key add --new-passphrase-file word.txt
  lifeboat key remove 5f3a9c01";

pub(super) const PREPARE: &str = "\
Examples:
  lifeboat prepare /dev/sdc --plan                  # what would be lost; ends with the word for --erase
  lifeboat prepare /dev/sdc --erase WXK1A48D7T30
  lifeboat prepare /dev/sdc --erase WXK1A48D7T30 --filesystem exfat";
