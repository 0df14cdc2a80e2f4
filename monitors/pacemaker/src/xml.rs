//! Traversal of untrusted XML: bounded in size and depth, without recursion, without entities.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::Error;

/// Longest text that is parsed. A CIB of 1,000 nodes and 5,000 resources is about 20 MB.
const MAX_BYTES: usize = 64 << 20;
/// Deepest nesting that is parsed. Pacemaker nests about ten deep.
const MAX_DEPTH: usize = 64;

/// One element's attributes.
pub(crate) struct Element<'e> {
    start: &'e BytesStart<'e>,
    what: &'static str,
}

impl Element<'_> {
    /// Returns an attribute's value, unescaped.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Cow<'_, str>>, Error> {
        let mut found = None;
        // All attributes are checked, not only the first that fits: a duplicate is an error.
        for attribute in self.start.attributes() {
            let attribute = attribute.map_err(|source| self.wrong(source.into()))?;
            if attribute.key.into_inner() == name {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0);
                found = Some(value.map_err(|source| self.wrong(source))?);
            }
        }
        Ok(found)
    }

    fn wrong(&self, source: quick_xml::Error) -> Error {
        Error::Attribute {
            what: self.what,
            element: self.start.name().into_inner().chars().take(64).collect(),
            source,
        }
    }

    /// Returns all attributes, unescaped.
    pub(crate) fn all(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut all = BTreeMap::new();
        for attribute in self.start.attributes() {
            let attribute = attribute.map_err(|source| self.wrong(source.into()))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|source| self.wrong(source))?.into_owned();
            all.insert(attribute.key.into_inner().to_owned(), value);
        }
        Ok(all)
    }

    /// Returns an attribute's value, or an error if it is missing.
    pub(crate) fn need(&self, name: &str) -> Result<String, Error> {
        self.text(name)?.map(Cow::into_owned).ok_or_else(|| Error::Shape {
            what: self.what,
            problem: format!("has a <{}> without {name}", self.start.name().into_inner()),
        })
    }

    /// Returns the value of a boolean attribute; a missing one is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Error> {
        Ok(self.text(name)?.is_some_and(|value| yes(&value)))
    }
}

/// True for Pacemaker's spellings of true.
pub(crate) fn yes(value: &str) -> bool {
    ["true", "1", "yes", "y", "on"]
        .iter()
        .any(|spelling| value.eq_ignore_ascii_case(spelling))
}

/// Calls `open` at each element's start, with the names of all elements around it and its own as the last, and `close`
/// at its end.
pub(crate) fn walk(
    what: &'static str,
    text: &str,
    mut open: impl FnMut(&[String], &Element<'_>) -> Result<(), Error>,
    mut close: impl FnMut(&[String]),
) -> Result<(), Error> {
    let shape = |problem: String| Error::Shape { what, problem };
    if text.len() > MAX_BYTES {
        return Err(shape(format!("is longer than {} MiB", MAX_BYTES >> 20)));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut path: Vec<String> = Vec::new();
    let mut roots = 0_usize;
    loop {
        match reader
            .read_event()
            .map_err(|source| Error::Xml { what, source })?
        {
            Event::Start(start) => {
                if path.is_empty() {
                    roots += 1;
                }
                if roots > 1 {
                    return Err(shape("holds more than one document".to_owned()));
                }
                if path.len() >= MAX_DEPTH {
                    return Err(shape(format!("is nested more than {MAX_DEPTH} deep")));
                }
                path.push(start.name().into_inner().to_owned());
                open(&path, &Element { start: &start, what })?;
            }
            Event::End(_) => {
                close(&path);
                path.pop();
            }
            // A document type may define entities, and Pacemaker prints none.
            Event::DocType(_) => return Err(shape("has a document type".to_owned())),
            Event::Eof => break,
            Event::Empty(_)
            | Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_) => {}
        }
    }
    if roots == 0 {
        return Err(shape("is empty".to_owned()));
    }
    if !path.is_empty() {
        return Err(shape("is cut off".to_owned()));
    }
    Ok(())
}

/// Returns the names without the outermost `skip`, for matching.
pub(crate) fn tail(path: &[String], skip: usize) -> Vec<&str> {
    path.iter().skip(skip).map(String::as_str).collect()
}
