//! `tachi doctor --upgrade`: the results of the checks of `masakari-status upgrade check`, and of the further needs of this version.

pub mod checks;
mod shown;

use tachi_domain::Timestamp;
use tachi_operator::Failure;

use crate::out::{ShapeArgs, answer};

/// Result of a check; also the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckGrade {
    Success = 0,
    Warning = 1,
    Failure = 2,
}

impl CheckGrade {
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Warning => 1,
            Self::Failure => 2,
        }
    }
}

/// A check and its result.
pub struct Check {
    pub name: &'static str,
    pub grade: CheckGrade,
    pub details: Option<String>,
}

pub fn check(name: &'static str, grade: CheckGrade, details: impl Into<Option<String>>) -> Check {
    Check {
        name,
        grade,
        details: details.into(),
    }
}

/// Names of all checks, in the order of the table, which omits checks that cannot be made yet.
pub const NAMES: [&str; 14] = [
    "Policy File JSON to YAML Migration",
    "Options Without Effect",
    "CA Files",
    "Reports Without Evidence",
    "Database Revision",
    "Fencing",
    "Masakari's Engine",
    "Open Work",
    "Reserved Hosts",
    "Reporter Binding",
    "Engines",
    "Nova",
    "Rights in Nova",
    "Host Names",
];

/// Limit of the names in a line; the rest is counted.
pub const NAMED: usize = 5;

/// Prints the table; returns the worst result as the exit code.
pub fn show(shape: &ShapeArgs, now: Timestamp, checks: &[Check]) -> Result<u8, Failure> {
    let object = shown::as_json(checks);
    answer::object(shape, now, || object, |_| shown::table(checks))?;
    Ok(most_severe(checks).code())
}

fn most_severe(checks: &[Check]) -> CheckGrade {
    checks
        .iter()
        .map(|check| check.grade)
        .max()
        .unwrap_or(CheckGrade::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_is_the_exit_code() {
        let graded = |grades: &[CheckGrade]| -> Vec<Check> {
            grades.iter().map(|grade| check("a", *grade, None)).collect()
        };
        for (grades, code) in [
            (&[][..], 0),
            (&[CheckGrade::Success], 0),
            (&[CheckGrade::Success, CheckGrade::Warning], 1),
            (
                &[CheckGrade::Failure, CheckGrade::Warning, CheckGrade::Success],
                2,
            ),
        ] {
            assert_eq!(most_severe(&graded(grades)).code(), code, "{grades:?}");
        }
    }
}
