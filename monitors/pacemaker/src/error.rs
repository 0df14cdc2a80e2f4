//! Why a text could not be read.

/// Why the output of a Pacemaker tool could not be read. The caller sees nothing then: every node is `blind`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not XML, or cut off.
    #[error("reading {what} as XML")]
    Xml {
        /// Which text.
        what: &'static str,
        /// What the parser said.
        #[source]
        source: quick_xml::Error,
    },
    /// An attribute is malformed, or there twice.
    #[error("reading the attributes of <{element}> in {what}")]
    Attribute {
        /// Which text.
        what: &'static str,
        /// The element's name.
        element: String,
        /// What the parser said.
        #[source]
        source: quick_xml::Error,
    },
    /// Well-formed XML that is not what was asked for.
    #[error("{what} {problem}")]
    Shape {
        /// Which text.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A time that no version of Pacemaker prints.
    #[error("{text:?} is no time: write it like 2026-11-20T07:06:43Z")]
    Time {
        /// The text, cut to a bearable length.
        text: String,
    },
}
