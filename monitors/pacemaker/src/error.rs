//! Errors of parsing.

/// The output of a Pacemaker tool cannot be parsed. The caller then knows nothing: every node is `blind`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not XML, or cut off.
    #[error("reading {what} as XML")]
    Xml {
        /// The text.
        what: &'static str,
        /// The parser's error.
        #[source]
        source: quick_xml::Error,
    },
    /// An attribute is malformed, or occurs twice.
    #[error("reading the attributes of <{element}> in {what}")]
    Attribute {
        /// The text.
        what: &'static str,
        /// The element's name.
        element: String,
        /// The parser's error.
        #[source]
        source: quick_xml::Error,
    },
    /// The text is well-formed XML, but not the expected output.
    #[error("{what} {problem}")]
    Shape {
        /// The text.
        what: &'static str,
        /// The problem.
        problem: String,
    },
    /// A text that is not a time of any version of Pacemaker.
    #[error("{text:?} is not a time: write it like 2026-11-20T07:06:43Z")]
    Time {
        /// The text, shortened.
        text: String,
    },
}
