//! The repository engine judged by stock restic (which must be installed), and what happens to
//! repositories that are interrupted, damaged or made to harm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage;
mod faults;
mod fixture;
mod forget;
mod interoperation;
mod interruption;
mod locks;
mod prune;
mod repair;
mod stock_restic;
