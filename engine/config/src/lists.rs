//! Named lists on one line, `pre:['a','b'],main:['c'],post:[]`, in oslo.config's form of a dictionary of bounded lists.

use std::{iter::Peekable, str::Chars};

use crate::parse::Refusal;

/// Parses named lists, in the order in which they are written. Items may have single or double quotes. A quote
/// ends its item only before a comma or the closing bracket, so that an item may contain the same quotes.
///
/// # Errors
///
/// The text is not a named list, or a name occurs twice.
pub fn named_lists(text: &str) -> Result<Vec<(String, Vec<String>)>, Refusal> {
    let mut rest = text.chars().peekable();
    let mut lists: Vec<(String, Vec<String>)> = Vec::new();
    skip_blanks(&mut rest);
    if rest.peek().is_none() {
        return Ok(lists);
    }
    loop {
        let name = name(&mut rest)?;
        if lists.iter().any(|(other, _)| *other == name) {
            return Err(refuse(&format!("has the list {name} twice")));
        }
        let items = items(&mut rest)?;
        lists.push((name, items));
        skip_blanks(&mut rest);
        match rest.next() {
            None => return Ok(lists),
            Some(',') => {}
            Some(_) => return Err(refuse("has text after a closing bracket")),
        }
    }
}

type Rest<'t> = Peekable<Chars<'t>>;

fn skip_blanks(rest: &mut Rest<'_>) {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
}

fn name(rest: &mut Rest<'_>) -> Result<String, Refusal> {
    let mut name = String::new();
    loop {
        match rest.next() {
            Some(':') => break,
            Some(c) if !"[],'\"".contains(c) => name.push(c),
            Some(_) | None => return Err(refuse("has a list without a name")),
        }
    }
    let name = name.trim();
    if name.is_empty() {
        return Err(refuse("has a list with an empty name"));
    }
    Ok(name.to_owned())
}

fn items(rest: &mut Rest<'_>) -> Result<Vec<String>, Refusal> {
    skip_blanks(rest);
    if rest.next() != Some('[') {
        return Err(refuse("has a list without an opening bracket"));
    }
    let mut items = Vec::new();
    loop {
        skip_blanks(rest);
        let item = match rest.next_if(|c| matches!(c, '"' | '\'')) {
            Some(mark) => quoted(rest, mark)?,
            None => bare(rest),
        };
        if !item.is_empty() {
            items.push(item);
        }
        match rest.next() {
            Some(',') => {}
            Some(']') => return Ok(items),
            Some(_) | None => return Err(refuse("has a list without a closing bracket")),
        }
    }
}

/// Reads up to the quote that ends the item, and skips the blanks after it.
fn quoted(rest: &mut Rest<'_>, mark: char) -> Result<String, Refusal> {
    let mut item = String::new();
    while let Some(c) = rest.next() {
        if c == mark {
            let mut ahead = rest.clone();
            skip_blanks(&mut ahead);
            if matches!(ahead.peek(), Some(',' | ']')) {
                *rest = ahead;
                return Ok(item);
            }
        }
        item.push(c);
    }
    Err(refuse("has an unclosed quotation mark"))
}

fn bare(rest: &mut Rest<'_>) -> String {
    let mut item = String::new();
    while let Some(c) = rest.next_if(|c| !matches!(c, ',' | ']')) {
        item.push(c);
    }
    item.trim().to_owned()
}

fn refuse(why: &str) -> Refusal {
    Refusal::new(why, "write for example pre:['a','b'],main:['c'],post:[]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_text(text: &str) -> String {
        match named_lists(text) {
            Ok(lists) => lists
                .iter()
                .map(|(name, items)| format!("{name}={}", items.join("|")))
                .collect::<Vec<_>>()
                .join(" "),
            Err(refusal) => format!("! {}", refusal.why),
        }
    }

    #[test]
    fn named_lists_are_parsed_as_in_oslo_config() {
        let cases = [
            ("nothing", "", ""),
            ("blanks", " \n ", ""),
            (
                "as upstream writes it",
                "pre:['disable_compute_service_task'],\nmain:['prepare_HA_enabled_instances_task'],\npost:['evacuate_instances_task']",
                "pre=disable_compute_service_task main=prepare_HA_enabled_instances_task post=evacuate_instances_task",
            ),
            ("empty lists", "pre:[],main:[ ],post:['']", "pre= main= post="),
            ("bare words", "pre:[a, b ],main:[c]", "pre=a|b main=c"),
            ("both kinds of marks", "pre:[\"a\",'b']", "pre=a|b"),
            (
                "blanks everywhere",
                " pre : [ 'a' , 'b' ] , main : [ ] ",
                "pre=a|b main=",
            ),
            (
                "a comma in an item",
                "pre:['exec:/x a,b','c']",
                "pre=exec:/x a,b|c",
            ),
            (
                "a bracket in an item",
                "pre:['exec:/x [a]','c']",
                "pre=exec:/x [a]|c",
            ),
            ("a colon in an item", "pre:['http://h:80/x']", "pre=http://h:80/x"),
            (
                "the other marks inside",
                "pre:['exec:/x \"a b\"']",
                "pre=exec:/x \"a b\"",
            ),
            (
                "the same marks inside",
                "pre:['exec:/x 'a b' c']",
                "pre=exec:/x 'a b' c",
            ),
            ("a comma at the end of a list", "pre:['a',]", "pre=a"),
            (
                "a comma at the very end",
                "pre:['a'],",
                "! has a list without a name",
            ),
            ("no name", "['a']", "! has a list without a name"),
            ("an empty name", ":['a']", "! has a list with an empty name"),
            ("no bracket", "pre:'a'", "! has a list without an opening bracket"),
            ("an open bracket", "pre:['a'", "! has an unclosed quotation mark"),
            (
                "an open bracket behind a bare word",
                "pre:[a",
                "! has a list without a closing bracket",
            ),
            ("an open mark", "pre:['a]", "! has an unclosed quotation mark"),
            ("a name twice", "pre:[],pre:[]", "! has the list pre twice"),
            (
                "something behind",
                "pre:[] main:[]",
                "! has text after a closing bracket",
            ),
        ];
        for (case, text, expected) in cases {
            assert_eq!(error_text(text), expected, "{case}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_does_not_panic_and_parsed_items_occur_in_it(text in "(pre|main|[a:'\",\\[\\] ]){0,16}\\PC{0,20}") {
            if let Ok(lists) = named_lists(&text) {
                for (name, items) in lists {
                    proptest::prop_assert!(text.contains(&name) && !name.is_empty());
                    for item in items {
                        proptest::prop_assert!(text.contains(&item) && !item.is_empty());
                    }
                }
            }
        }

        #[test]
        fn written_lists_are_parsed_back(items in proptest::collection::vec("[a-z/ =#&?.-]{1,12}", 0..4)) {
            let items: Vec<String> = items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect();
            let quoted: Vec<String> = items.iter().map(|item| format!("'{item}'")).collect();
            let text = format!("pre:[{}],post:[]", quoted.join(","));
            let read = named_lists(&text).unwrap();
            proptest::prop_assert_eq!(&read[0].1, &items);
        }
    }
}
