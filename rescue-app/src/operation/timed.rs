//! How long an operation took.

use std::ops::Deref;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

/// What an operation achieved, and how long it took.
#[derive(Clone, Debug, Serialize)]
pub struct Timed<T> {
    /// What it achieved.
    #[serde(flatten)]
    pub report: T,
    /// Wall-clock time; in JSON a number of seconds.
    #[serde(rename = "seconds", serialize_with = "as_seconds")]
    pub time: Duration,
}

impl<T> Timed<T> {
    /// Does the work, and takes the time.
    pub(super) fn run<E>(work: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        let started = Instant::now();
        let report = work()?;
        Ok(Self { report, time: started.elapsed() })
    }
}

impl<T> Deref for Timed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.report
    }
}

fn as_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_its_seconds_beside_its_own_fields() {
        #[derive(Serialize)]
        struct Report {
            read: u64,
        }
        let timed = Timed { report: Report { read: 7 }, time: Duration::from_millis(1500) };
        assert_eq!(timed.read, 7);
        let json = serde_json::to_value(&timed).unwrap();
        assert_eq!(json, serde_json::json!({ "read": 7, "seconds": 1.5 }));
    }
}
