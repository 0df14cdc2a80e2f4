//! Selection of a cloud's region.

use crate::files::{Found, ProcessEnvironment};
use crate::node::{Map, Node};

/// A region of a cloud.
#[derive(Clone, Default)]
pub(crate) struct ChosenRegion {
    /// The name; `None` if the cloud sets none.
    pub(crate) name: Option<String>,
    /// Settings of this region only.
    pub(crate) values: Map,
    /// The value of `OS_REGION_NAME`, if it does not count because other variables define a cloud of their own.
    pub(crate) ignored: Option<String>,
}

/// Selects the region. openstacksdk takes the first of several; this loader refuses.
pub(crate) fn choose(found: &Found, environment: &ProcessEnvironment) -> Result<ChosenRegion, String> {
    let mut all = regions(&found.own)?;
    if all.is_empty() {
        all = regions(&found.profile)?;
    }
    let is_listed = |requested: &str| all.iter().any(|one| one.name.as_deref() == Some(requested));
    // If variables define the whole cloud, this variable is that cloud's setting.
    let set = environment
        .variable("OS_REGION_NAME")
        .filter(|_| !found.is_environment);
    let counts = |requested: &&str| is_listed(requested) || !environment.makes_cloud();
    let (requested, ignored) = (set.filter(counts), set.filter(|set| !counts(set)));
    let names: Vec<&str> = all.iter().filter_map(|one| one.name.as_deref()).collect();
    let listed = names.join(", ");
    match (all.as_slice(), requested) {
        ([], None) => Ok(ChosenRegion {
            ignored: ignored.map(str::to_owned),
            ..ChosenRegion::default()
        }),
        ([], Some(requested)) => Ok(ChosenRegion {
            name: Some(requested.to_owned()),
            ..ChosenRegion::default()
        }),
        ([one], None) if ignored.is_none() => Ok(one.clone()),
        (all, Some(requested)) => match all.iter().find(|one| one.name.as_deref() == Some(requested)) {
            Some(one) => Ok(one.clone()),
            None => Err(contradicted(requested, &listed)),
        },
        (all, None) => Err(match ignored {
            None => format!("it is in several regions: {listed}. Set OS_REGION_NAME"),
            Some(ignored) if all.len() == 1 => contradicted(ignored, &listed),
            Some(ignored) => format!(
                "it is in several regions: {listed}. OS_REGION_NAME={ignored} does not count: it is none of them, and belongs to the \
                 cloud of the other OS_* variables. Set it to one of them"
            ),
        }),
    }
}

fn contradicted(requested: &str, listed: &str) -> String {
    format!(
        "OS_REGION_NAME is {requested}, but the cloud is in {listed}; unset OS_REGION_NAME, or select another cloud"
    )
}

/// Returns the regions that a cloud or a profile lists.
fn regions(map: &Map) -> Result<Vec<ChosenRegion>, String> {
    let single: Vec<&str> = match map.get("region_name").or_else(|| map.get("region-name")) {
        None | Some(Node::Null) => Vec::new(),
        Some(Node::Text(text)) => text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect(),
        Some(Node::List(all)) => all
            .iter()
            .map(|one| {
                one.as_text()
                    .ok_or("region_name contains an entry that is not a name")
            })
            .collect::<Result<_, _>>()?,
        Some(Node::Map(_)) => return Err("region_name is a mapping".to_owned()),
    };
    let listed = match map.get("regions") {
        None | Some(Node::Null) => Vec::new(),
        Some(Node::List(all)) => all
            .iter()
            .map(region)
            .collect::<Result<Vec<ChosenRegion>, String>>()?,
        Some(Node::Text(_) | Node::Map(_)) => return Err("regions is not a list".to_owned()),
    };
    if listed.is_empty() {
        let named = |name: &&str| ChosenRegion {
            name: Some((*name).to_owned()),
            ..ChosenRegion::default()
        };
        return Ok(single.iter().map(named).collect());
    }
    let names: Vec<&str> = listed.iter().filter_map(|one| one.name.as_deref()).collect();
    if single.is_empty() || single == names {
        return Ok(listed);
    }
    Err(format!(
        "region_name is {}, but regions lists {}; set only one",
        single.join(", "),
        names.join(", ")
    ))
}

/// Parses an entry of `regions`: a name, or a mapping of `name` and `values`.
fn region(entry: &Node) -> Result<ChosenRegion, String> {
    const INVALID_ENTRY: &str = "an entry of regions is neither a name nor a mapping of name and values";
    let Some(map) = entry.as_map() else {
        let name = entry.as_text().ok_or(INVALID_ENTRY)?.to_owned();
        return Ok(ChosenRegion {
            name: Some(name),
            ..ChosenRegion::default()
        });
    };
    if map.keys().any(|key| key != "name" && key != "values") {
        return Err(INVALID_ENTRY.to_owned());
    }
    let values = match map.get("values") {
        None | Some(Node::Null) => Map::new(),
        Some(Node::Map(values)) => values.clone(),
        Some(Node::Text(_) | Node::List(_)) => return Err(INVALID_ENTRY.to_owned()),
    };
    Ok(ChosenRegion {
        name: Some(
            map.get("name")
                .and_then(Node::as_text)
                .ok_or(INVALID_ENTRY)?
                .to_owned(),
        ),
        values,
        ignored: None,
    })
}
