//! The file of `[fencing] storm_failure_domains_file`.

use std::collections::BTreeMap;
use std::path::Path;

/// The failure domains of the file, each with its host patterns.
pub type Domains = BTreeMap<String, Vec<String>>;

/// Reads lines such as `rack:r7 = compute-01 compute-02 compute-1?`; `#` starts a comment.
///
/// # Errors
///
/// The first invalid line, with its number; or why the file cannot be read.
pub fn read(path: &Path) -> Result<Domains, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    parse(&text)
}

fn parse(text: &str) -> Result<Domains, String> {
    let mut domains = Domains::new();
    for (place, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |what: &str| format!("line {}: {what}", place + 1);
        let (name, hosts) = line
            .split_once('=')
            .ok_or_else(|| wrong("write NAME = HOST HOST ..., hosts with or without `*` and `?`"))?;
        let name = name.trim();
        if name.is_empty()
            || name
                .chars()
                .any(|letter| letter.is_whitespace() || letter.is_control())
        {
            return Err(wrong("a domain's name is one word, such as rack:r7"));
        }
        let hosts: Vec<String> = hosts
            .split([' ', ',', '\t'])
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect();
        if hosts.is_empty() {
            return Err(wrong("no host is named"));
        }
        if domains.insert(name.to_owned(), hosts).is_some() {
            return Err(wrong("this domain was named before"));
        }
    }
    Ok(domains)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_read_line_by_line_and_the_first_mistake_is_named() {
        let good =
            parse("# racks\nrack:r7 = compute-01, compute-02\n\nswitch:s1=compute-1? # all of it\n").unwrap();
        assert_eq!(good["rack:r7"], ["compute-01", "compute-02"]);
        assert_eq!(good["switch:s1"], ["compute-1?"]);
        for (text, mistake) in [
            ("a = b\nc", "line 2: write NAME"),
            ("a b = c", "line 1: a domain's name"),
            (" = c", "line 1: a domain's name"),
            ("a = ", "line 1: no host"),
            ("a = b\na = c", "line 2: this domain"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(mistake), "{text:?}: {error}");
        }
    }
}
