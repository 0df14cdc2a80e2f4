//! What persons have said of a recovery.

use serde::{Deserialize, Serialize};
use tachi_domain::Timestamp;
use tachi_domain::recovery::Word;
use tachi_engine::ports::operator::StepLine;
use utoipa::ToSchema;

use crate::when::Time;

/// A word about a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryWord)]
pub struct WordView {
    /// Such as `approve` or `abort`.
    pub word: String,
    /// Who has said it, and why.
    pub by: String,
    /// When.
    pub at: Time,
}

/// A word about one instance of a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryInstanceWord)]
pub struct InstanceWordView {
    /// What was said, as the command calls it.
    pub word: String,
    /// The instance.
    pub instance: String,
    /// The host that it names.
    #[schema(required)]
    pub on: Option<String>,
    /// Who has said it, and why.
    pub by: String,
}

/// Between a word and who has said it, in the step that tells that an engine has heard it.
const BY: &str = " by ";

/// What is told of a hold behind that.
const AFTER: &str = ", after being held for ";

/// Every word that engines have heard, oldest first, and the last one if none has heard it yet. One that another has taken the place of
/// before an engine heard it is in the audit log alone.
pub(crate) fn words(steps: &[StepLine], last: Option<&(String, String, Timestamp)>) -> Vec<WordView> {
    let notes = steps.iter().filter(|line| line.kind == "note");
    let heard = notes.filter_map(|line| {
        let (word, by) = line.text.split_once(BY)?;
        let word = Word::ALL.iter().find(|one| one.to_string() == word)?;
        let by = by.rsplit_once(AFTER).map_or(by, |(by, _)| by);
        Some(WordView {
            word: word.to_string(),
            by: by.to_owned(),
            at: Time(line.at),
        })
    });
    let mut all: Vec<WordView> = heard.collect();
    if let Some((word, by, at)) = last {
        let last = Word::ALL.iter().find(|one| one.as_str() == word);
        let last = last.map_or_else(|| word.clone(), ToString::to_string);
        let is_heard = |one: &WordView| one.word == last && one.by == *by && one.at.0 >= *at;
        if !all.iter().any(is_heard) {
            all.push(WordView {
                word: last,
                by: by.clone(),
                at: Time(*at),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_told_in_its_order_and_none_twice() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let note = |seconds, text: &str| StepLine {
            at: at(seconds),
            epoch: 1,
            task: "FenceHostTask".to_owned(),
            kind: "note".to_owned(),
            server: None,
            text: text.to_owned(),
        };
        let steps = [
            note(
                10,
                "approve by alice (root): by the rack, after being held for 7 s",
            ),
            note(11, "powered off by bmc"),
            note(12, "approve by"),
            note(20, "reject by bob"),
        ];
        let said = |seconds| ("reject".to_owned(), "bob".to_owned(), at(seconds));
        let told = |steps: &[StepLine], last: Option<&(String, String, Timestamp)>| -> Vec<String> {
            let all = words(steps, last).into_iter();
            all.map(|said| format!("{} {} {}", said.at.0.micros() / 1_000_000, said.word, said.by))
                .collect()
        };
        assert_eq!(
            told(&steps, Some(&said(19))),
            ["10 approve alice (root): by the rack", "20 reject bob"]
        );
        // The same again, which nobody has heard yet.
        assert_eq!(told(&steps, Some(&said(30)))[2], "30 reject bob");
        assert_eq!(told(&[], None), [""; 0]);
    }
}
