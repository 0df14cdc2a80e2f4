//! Long lists in one sentence.

/// The number of names shown.
const MAX_LISTED_NAMES: usize = 5;

/// Renders the first few names and the number of the others.
pub(super) fn named<T>(all: &[T], render: impl Fn(&T) -> String) -> String {
    let mut names: Vec<String> = all.iter().take(MAX_LISTED_NAMES).map(render).collect();
    if all.len() > MAX_LISTED_NAMES {
        names.push(format!("{} more", all.len() - MAX_LISTED_NAMES));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_lists_five_names_and_the_number_of_the_rest() {
        let all: Vec<u8> = (1..=7).collect();
        let rendered = [0, 1, 5, 6, 7].map(|many| named(&all[..many], u8::to_string));
        let needed = [
            "",
            "1",
            "1, 2, 3, 4, 5",
            "1, 2, 3, 4, 5, 1 more",
            "1, 2, 3, 4, 5, 2 more",
        ];
        assert_eq!(rendered, needed);
    }
}
