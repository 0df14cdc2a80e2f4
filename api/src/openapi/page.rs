//! The API documentation for people, rendered from the document.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::openapi;

/// Renders the API documentation as one page of Markdown.
pub fn page() -> String {
    let document = openapi();
    let mut page = Page {
        document: &document,
        text: String::new(),
    };
    page.whole();
    page.text
}

struct Page<'a> {
    document: &'a Value,
    text: String,
}

const METHODS: &[&str] = &["get", "post", "put", "delete"];

impl<'a> Page<'a> {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        if !text.is_empty() {
            self.line(text);
            self.line("");
        }
    }

    fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        if rows.is_empty() {
            return;
        }
        self.line(&format!("| {} |", head.join(" | ")));
        self.line(&format!("|{}", "---|".repeat(head.len())));
        for row in rows {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
                .collect();
            self.line(&format!("| {} |", cells.join(" | ")));
        }
        self.line("");
    }

    fn whole(&mut self) {
        let document = self.document;
        self.paragraph("<!-- Written by `tachi openapi --format markdown`; do not edit. -->");
        self.paragraph(&format!("# {} API", text(&document["info"]["title"])));
        self.paragraph(text(&document["info"]["description"]));
        self.paragraph(
            "The OpenAPI 3.1 document is at `/openapi.json`, in the output of `tachi openapi`, and in \
             [openapi.json](openapi.json).",
        );
        self.paragraph(&format!(
            "**Tokens.** {}",
            text(&document["components"]["securitySchemes"]["token"]["description"])
        ));
        for tag in items(&document["tags"]) {
            self.tag(tag);
        }
        self.paragraph("## Paging and sorting");
        let shared: Vec<&Value> = fields(&document["components"]["parameters"])
            .map(|(_, parameter)| parameter)
            .collect();
        self.parameters(&shared);
        self.paragraph("## Objects");
        for (name, schema) in fields(&document["components"]["schemas"]) {
            if !document["components"]["responses"]
                .as_object()
                .is_some_and(|all| all.contains_key(name))
            {
                self.object(name, schema);
            }
        }
        self.errors();
    }

    fn operations(&self, tag: &Value) -> Vec<(String, &'a str, &'a Value)> {
        let mut found = Vec::new();
        for (path, item) in fields(&self.document["paths"]) {
            for method in METHODS {
                if let Some(operation) = item.get(*method)
                    && operation["tags"][0] == *tag
                {
                    found.push((method.to_ascii_uppercase(), path, operation));
                }
            }
        }
        found
    }

    fn tag(&mut self, tag: &Value) {
        let name = text(&tag["name"]);
        let operations = self.operations(&tag["name"]);
        self.paragraph(&format!("## {}", capital(name)));
        self.paragraph(&format!("{}.", text(&tag["description"])));
        let rows: Vec<_> = operations
            .iter()
            .map(|(method, path, operation)| {
                let rule = operation["x-policy-rule"].as_str();
                let who = match (rule, operation.get("security")) {
                    (Some(rule), _) => format!("`{rule}`"),
                    (None, Some(_)) => "every client".to_owned(),
                    (None, None) => "any valid token".to_owned(),
                };
                vec![
                    format!("`{method} {path}`"),
                    text(&operation["summary"]).to_owned(),
                    who,
                ]
            })
            .collect();
        self.table(&["route", "what", "policy rule"], &rows);
        if name != "refused" {
            for (method, path, operation) in operations {
                self.operation(&method, path, operation);
            }
        }
    }

    fn operation(&mut self, method: &str, path: &str, operation: &'a Value) {
        self.paragraph(&format!("### {}", text(&operation["summary"])));
        self.paragraph(&format!("`{method} {path}`"));
        self.paragraph(text(&operation["description"]));
        // Parameters that many operations share are described once, in a section of their own.
        let own: Vec<&Value> = items(&operation["parameters"])
            .filter(|parameter| parameter.get("$ref").is_none())
            .collect();
        self.parameters(&own);
        let shared: Vec<String> = items(&operation["parameters"])
            .filter_map(|parameter| Some(format!("`{}`", parameter["$ref"].as_str()?.rsplit('/').next()?)))
            .filter(|name| name != "`microversion`")
            .collect();
        if !shared.is_empty() {
            self.paragraph(&format!(
                "[Paging and sorting](#paging-and-sorting): {}.",
                shared.join(", ")
            ));
        }
        self.body(&operation["requestBody"]["content"]["application/json"]);
        self.answers(&operation["responses"]);
    }

    fn parameters(&mut self, parameters: &[&Value]) {
        let rows: Vec<_> = parameters
            .iter()
            .map(|parameter| {
                vec![
                    format!("`{}`", text(&parameter["name"])),
                    text(&parameter["in"]).to_owned(),
                    kind(&parameter["schema"]),
                    about(parameter),
                ]
            })
            .collect();
        self.table(&["parameter", "in", "type", "about"], &rows);
    }

    fn body(&mut self, content: &'a Value) {
        for (key, inner) in fields(&content["schema"]["properties"]) {
            let shapes: Vec<&Value> = match inner.get("oneOf") {
                Some(shapes) => items(shapes).collect(),
                None => vec![inner],
            };
            for shape in shapes {
                let title = shape["title"]
                    .as_str()
                    .map(|title| format!(", for `{title}`"))
                    .unwrap_or_default();
                self.paragraph(&format!("Body, under `{key}`{title}:"));
                let mut rows = Vec::new();
                field_rows(&mut rows, "", shape);
                self.table(&["field", "type", "needed", "about"], &rows);
            }
            if shapes_need_one(inner) {
                self.paragraph("At least one of these fields is required.");
            }
        }
        for (_, example) in fields(&content["examples"]) {
            let shown = serde_json::to_string_pretty(&example["value"]).unwrap_or_default();
            self.paragraph(&format!("```json\n{shown}\n```"));
        }
    }

    fn answers(&mut self, answers: &'a Value) {
        let mut rows = Vec::new();
        let mut usual = Vec::new();
        for (status, answer) in fields(answers) {
            if answer.get("$ref").is_some() {
                usual.push(format!("[{status}](#errors)"));
                continue;
            }
            let schema = &answer["content"]["application/json"]["schema"];
            let shown = match fields(&schema["properties"]).next() {
                Some((key, value)) => format!("`{key}`: {}", kind(value)),
                None if schema.is_null() => fields(&answer["content"])
                    .next()
                    .map_or_else(|| "nothing".to_owned(), |(media, _)| format!("`{media}`")),
                None if status.starts_with(['4', '5']) => "[error](#errors)".to_owned(),
                None => kind(schema),
            };
            rows.push(vec![
                status.to_owned(),
                shown,
                text(&answer["description"]).to_owned(),
            ]);
        }
        self.table(&["answer", "body", "when"], &rows);
        if !usual.is_empty() {
            self.paragraph(&format!("Also: {}.", usual.join(", ")));
        }
    }

    fn object(&mut self, name: &str, schema: &Value) {
        self.paragraph(&format!("### {name}"));
        self.paragraph(text(&schema["description"]));
        let mut rows = Vec::new();
        field_rows(&mut rows, "", schema);
        let rows: Vec<_> = rows
            .into_iter()
            .map(|mut row| {
                row.remove(2);
                row
            })
            .collect();
        self.table(&["field", "type", "about"], &rows);
        if schema.get("properties").is_none() {
            self.paragraph(&kind(schema));
        }
    }

    fn errors(&mut self) {
        self.paragraph("## Errors");
        self.paragraph(
            "The body has one root key with `code`, the status, and `message`, a text for people. Every answer has an \
             `x-openstack-request-id`; answers of routes also have the microversion.",
        );
        let document = self.document;
        let mut rows: Vec<Vec<String>> = fields(&document["components"]["responses"])
            .map(|(name, response)| {
                let schema = &document["components"]["schemas"][name];
                let key = fields(&schema["properties"]).next().map_or("", |(key, _)| key);
                let code = &schema["properties"][key]["properties"]["code"]["const"];
                vec![
                    code.to_string(),
                    format!("`{key}`"),
                    text(&response["description"]).to_owned(),
                ]
            })
            .collect();
        rows.sort();
        self.table(&["status", "root key", "when"], &rows);
    }
}

fn shapes_need_one(schema: &Value) -> bool {
    schema["minProperties"] == 1
}

/// Adds table rows for the fields of an object, including nested fields.
fn field_rows(rows: &mut Vec<Vec<String>>, prefix: &str, schema: &Value) {
    let required: Vec<&str> = items(&schema["required"]).map(text).collect();
    for (key, field) in fields(&schema["properties"]) {
        let name = format!("{prefix}{key}");
        let needed = if required.contains(&key) { "yes" } else { "" };
        rows.push(vec![
            format!("`{name}`"),
            kind(field),
            needed.to_owned(),
            about(field),
        ]);
        if field.get("properties").is_some() {
            field_rows(rows, &format!("{name}."), field);
        }
    }
}

fn about(schema: &Value) -> String {
    // A nullable value has its description in the first of its alternatives.
    let described = schema
        .get("description")
        .or_else(|| schema["oneOf"][0].get("description"));
    let mut about = described.map_or("", text).to_owned();
    if schema["deprecated"] == true {
        about.push_str(" (deprecated)");
    }
    about
}

/// Describes the type of a value in a few words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_ascii_lowercase());
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(shapes) = schema[key].as_array() {
            let shapes: Vec<String> = shapes.iter().map(kind).collect();
            return shapes.join(" or ");
        }
    }
    if let Some(only) = schema.get("const") {
        return format!(
            "`{}`",
            only.as_str().map_or_else(|| only.to_string(), ToOwned::to_owned)
        );
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .map(|text| match text.as_str() {
                Some(text) => format!("`{text}`"),
                None => text.to_string(),
            })
            .collect();
        return values.join(", ");
    }
    let mut kind = match &schema["type"] {
        Value::String(kind) if kind == "array" => return format!("list of {}", self::kind(&schema["items"])),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "anything".to_owned(),
    };
    let number = |key: &str| schema[key].as_u64();
    // Writing to a string cannot fail.
    _ = match (number("minLength"), number("maxLength")) {
        (Some(least), Some(most)) => write!(kind, ", {least} to {most} characters"),
        (None, Some(most)) => write!(kind, ", at most {most} characters"),
        (Some(_) | None, None) => Ok(()),
    };
    if let Some(least) = number("minimum") {
        _ = write!(kind, ", at least {least}");
    }
    if let Some(format) = schema["format"]
        .as_str()
        .filter(|format| matches!(*format, "uuid" | "date-time"))
    {
        _ = write!(kind, ", {format}");
    }
    // A pattern with a backslash is too long for the table; the description covers it.
    if let Some(pattern) = schema["pattern"]
        .as_str()
        .filter(|pattern| !pattern.contains('\\'))
    {
        _ = write!(kind, ", `{pattern}`");
    }
    kind
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let object: Option<&Map<String, Value>> = value.as_object();
    object
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
