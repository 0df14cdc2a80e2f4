//! Checks of the documents: messages on the pages of failures are the program's own, every link has a target, and every page of a
//! folder is in its index.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns the files below `folder` with this extension.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" && name != "target" {
            found.extend(files(&path, ending));
        } else if path.is_file() && name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the program's text without the line breaks in its literals, as a reader of its messages sees it.
fn program() -> String {
    let root = root();
    let mut text = String::new();
    for folder in ["engine", "clients", "src"] {
        for file in files(&root.join(folder), ".rs") {
            let source = std::fs::read_to_string(file).unwrap();
            let mut lines = source.lines();
            while let Some(line) = lines.next() {
                let mut whole = line.to_owned();
                while let Some(broken) = whole.strip_suffix('\\') {
                    let Some(next) = lines.next() else { break };
                    whole = format!("{broken}{}", next.trim_start());
                }
                text.push_str(&whole);
                text.push('\n');
            }
        }
    }
    text
}

#[test]
fn what_the_pages_of_failures_show_is_what_the_program_says() {
    let program = program();
    let (mut pieces, mut missing) = (0, Vec::new());
    for page in files(&root().join("docs/failures"), ".md") {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut shown = false;
        for line in text.lines() {
            if line.starts_with("```") {
                shown = line == "```text";
                continue;
            }
            if !shown {
                continue;
            }
            // `held: ` is put before a reason where it is shown.
            let line = line.strip_prefix("on hold: ").unwrap_or(line);
            for piece in line.split("...").map(str::trim).filter(|piece| piece.len() > 6) {
                pieces += 1;
                if !program.contains(piece) {
                    missing.push(format!("{}: {piece:?}", page.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "not in the program\n{}", missing.join("\n"));
    assert!(pieces > 40, "{pieces} pieces were compared");
}

/// Returns the links of a page to other files.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split("](").skip(1) {
        let link = part.split(')').next().unwrap();
        let link = link.split('#').next().unwrap();
        if !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:") {
            found.push(link.to_owned());
        }
    }
    found
}

#[test]
fn every_link_of_the_book_leads_somewhere() {
    let mut count = 0;
    for page in files(&root().join("docs"), ".md") {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            count += 1;
            let target = page.parent().unwrap().join(&link);
            assert!(target.exists(), "{}: {link} is nowhere", page.display());
        }
    }
    assert!(count > 40, "{count} links were followed");
}

#[test]
fn every_page_of_a_folder_is_in_its_index() {
    let docs = root().join("docs");
    for folder in ["failures", "findings", "adr"] {
        let folder = docs.join(folder);
        let index = std::fs::read_to_string(folder.join("README.md")).unwrap();
        let named: BTreeSet<String> = links(&index).into_iter().collect();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name != "README.md" && Path::new(&name).extension().is_some_and(|is| is == "md") {
                assert!(named.contains(&name), "{} does not name {name}", folder.display());
            }
        }
    }
}

/// Returns the project's files that a page names in backticks, such as `engine/domain` or `tests/docs.rs::links`.
fn paths(text: &str, folders: &BTreeSet<String>) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let path = quoted.map(|quoted| quoted.split("::").next().unwrap().trim());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    path.filter(|path| path.contains('/') && path.chars().all(plain))
        .filter(|path| folders.contains(path.split('/').next().unwrap()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_file_that_the_book_names_is_there() {
    let root = root();
    let folders = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap());
    let folders: BTreeSet<String> = folders
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name != "target" && !name.starts_with('.'))
        .collect();
    let mut pages = files(&root.join("docs"), ".md");
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|page| root.join(page)));
    let (mut count, mut missing) = (0, Vec::new());
    for page in pages {
        for path in paths(&std::fs::read_to_string(&page).unwrap(), &folders) {
            count += 1;
            if !root.join(&path).exists() {
                missing.push(format!("{}: {path}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "not there:\n{}", missing.join("\n"));
    assert!(count > 40, "{count} files are named");
}

#[test]
fn the_book_needs_nothing_that_its_readers_do_not_have() {
    let root = root();
    let mut pages = files(&root.join("docs"), ".md");
    pages.push(root.join("README.md"));
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for foreign in ["../shared", "spec/", "design.md", "protocol.md", "house.md"] {
            assert!(!text.contains(foreign), "{} speaks of {foreign}", page.display());
        }
    }
}

/// Code that would decide by a message or by the text of a stored state.
const READS_TEXT: [&str; 8] = [
    "starts_with(\"held",
    "strip_prefix(\"held",
    "trim_start_matches(\"held",
    "starts_with(HELD",
    "contains(\"no progress",
    "Column::Message.",
    "Column::State.contains",
    "Column::Text.",
];

#[test]
fn no_code_reads_a_message_to_know_a_state() {
    let mut found = Vec::new();
    for folder in ["src", "engine", "api", "clients"] {
        for file in files(&root().join(folder), ".rs") {
            if file.ends_with("tests.rs") {
                continue;
            }
            let source = std::fs::read_to_string(&file).unwrap();
            // Tests look at messages, which are for people.
            let program = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let reads = READS_TEXT.iter().filter(|text| program.contains(**text));
            found.extend(reads.map(|text| format!("{}: {text}", file.display())));
        }
    }
    assert_eq!(found, Vec::<String>::new(), "what waits for whom is a `Wait`");
}

/// Returns the texts between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn who_searches_for_an_answer_finds_the_place_that_the_book_names() {
    let root = root();
    let page = std::fs::read_to_string(root.join("docs/design/architecture.md")).unwrap();
    let (_, table) = page.split_once("## Where is the answer to").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let folders = ["api", "clients", "engine", "monitors", "src"];
    let sources = folders.iter().flat_map(|folder| files(&root.join(folder), ".rs"));
    let sources: Vec<(PathBuf, String)> = sources
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    let mut questions = 0;
    for row in table
        .lines()
        .filter(|row| row.starts_with("| ") && row.contains('`'))
    {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [question, words, place] = cells.as_slice() else {
            panic!("{row}: not three cells");
        };
        let Some(place) = quoted(place)
            .into_iter()
            .find(|place| place.strip_suffix(".rs").is_some())
        else {
            continue;
        };
        let words = quoted(words);
        let at = root.join(place);
        for (number, word) in words.iter().enumerate() {
            let found: Vec<&Path> = sources
                .iter()
                .filter(|(_, text)| text.contains(word))
                .map(|(path, _)| path.as_path())
                .collect();
            assert!(
                found.contains(&at.as_path()),
                "{question}: {word:?} is not in {place}"
            );
            // The first word is in no other file, so a search for it leads there directly.
            assert!(
                number > 0 || found == [&at],
                "{question}: {word:?} is in more than one file: {found:?}"
            );
        }
        questions += 1;
    }
    assert!(questions >= 5, "only {questions} questions were checked");
}
