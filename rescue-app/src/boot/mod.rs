//! Start-up inside the boot medium: modules for the hardware present, disks made read-only.
