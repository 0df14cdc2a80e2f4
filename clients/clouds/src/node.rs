//! A YAML document whose scalars keep the text as written, so that a password of digits stays text.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Options, Spanned};

/// A node of a document.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

pub(crate) type Map = BTreeMap<String, Node>;

impl Node {
    pub(crate) fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            Self::Null | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// Returns the text, unless it is empty.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text).filter(|text| !text.is_empty()).map(String::as_str),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// True for values that count as unset.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(all) => all.is_empty(),
            Self::Map(map) => map.is_empty(),
        }
    }
}

/// Reads a document.
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    // The parser's own message quotes the text, which may be a password.
    let wrong = |error: serde_saphyr::Error| match error.location() {
        Some(at) => format!("line {} is not valid YAML", at.line()),
        None => "the file is not valid YAML".to_owned(),
    };
    let mut options = Options::default();
    options.non_finite_float_policy = NonFiniteFloatPolicy::AsString;
    options.with_snippet = false;
    let read: Option<PositionedNode> = serde_saphyr::from_str_with_options(text, options).map_err(wrong)?;
    Ok(read.map_or(Node::Null, |spot| spot.written(text)))
}

/// Overlays `over` as openstacksdk's `merge_clouds` does: mappings are merged, everything else is replaced.
pub(crate) fn merge(under: &mut Map, over: Map) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Node::Map(under)), Node::Map(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// A node with its position in the text.
struct PositionedNode(Spanned<Shape>);

enum Shape {
    Null,
    Text(String),
    /// A scalar to which the parser gives its own type.
    Typed(String),
    List(Vec<PositionedNode>),
    Map(BTreeMap<String, PositionedNode>),
}

impl PositionedNode {
    /// Converts the node, with its scalars as they are in the text.
    fn written(self, text: &str) -> Node {
        let span = self.0.defined.span();
        match self.0.value {
            Shape::Null => Node::Null,
            Shape::Text(text) => Node::Text(text),
            Shape::Typed(value) => {
                let begin = span.byte_offset().and_then(|at| usize::try_from(at).ok());
                let length = span.byte_len().and_then(|length| usize::try_from(length).ok());
                let raw = begin
                    .zip(length)
                    .and_then(|(begin, length)| text.get(begin..begin + length));
                Node::Text(raw.map_or(value, |raw| raw.trim().to_owned()))
            }
            Shape::List(all) => Node::List(all.into_iter().map(|one| one.written(text)).collect()),
            Shape::Map(all) => Node::Map(
                all.into_iter()
                    .map(|(key, one)| (key, one.written(text)))
                    .collect(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for PositionedNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Typed(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Shape, E> {
        Ok(Shape::Typed(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Shape, E> {
        Ok(Shape::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Shape, E> {
        Ok(Shape::Typed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(Shape::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = all.next_element()? {
            list.push(one);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Shape, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = all.next_entry::<String, PositionedNode>()? {
            map.insert(key, value);
        }
        Ok(Shape::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(yaml: &str) -> Node {
        let Node::Map(mut map) = parse(yaml).unwrap() else {
            panic!("{yaml} is no mapping");
        };
        map.remove("a").unwrap()
    }

    #[test]
    fn scalars_are_as_they_were_written() {
        for written in [
            "0918273645",
            "0123456710",
            "0123",
            "1_000",
            "1.10",
            "12e03",
            "+5",
            "-7",
            "0x1F",
            "0o17",
            "1:30",
            "2024-01-01",
            "true",
            "no",
            "On",
            ".5",
            "99999999999999999999999999999999999999999",
            ".inf",
            "é1",
            "1é",
        ] {
            for yaml in [
                format!("a: {written}\n"),
                format!("# ü\na:   {written}   # comment\nb: 1\n"),
                format!("{{b: 'é', a: {written} , c: 2}}"),
                format!("x: &y {written}\na: *y\n"),
                format!("b: &b {{a: {written}}}\n<<: *b\n"),
                format!("a: '{written}'"),
            ] {
                assert!(text_of(&yaml) == Node::Text(written.to_owned()), "{yaml}");
            }
        }
        for null in ["a:", "a: null", "a: ~"] {
            assert!(text_of(null) == Node::Null, "{null}");
        }
        assert!(parse("") == Ok(Node::Null));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line_alone() {
        for (yaml, line) in [("a: 1\nb: {hunter2\n", "line "), ("a: 1\na: hunter2\n", "line 2")] {
            let Err(why) = parse(yaml) else { panic!("{yaml}") };
            assert!(why.contains(line) && !why.contains("hunter2"), "{why}");
        }
    }
}
