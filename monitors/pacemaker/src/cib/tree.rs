//! The configuration of a CIB as a tree, and Pacemaker's interpretation of its sets of attributes.

use std::collections::{BTreeMap, BTreeSet};

/// An element. The reader limits the depth, so recursion is bounded too.
#[derive(Debug, Clone, Default)]
pub(super) struct Tag {
    pub(super) name: String,
    attributes: BTreeMap<String, String>,
    pub(super) children: Vec<Tag>,
}

impl Tag {
    pub(super) fn new(name: &str, attributes: BTreeMap<String, String>) -> Self {
        Self {
            name: name.to_owned(),
            attributes,
            children: Vec::new(),
        }
    }

    pub(super) fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }

    pub(super) fn id(&self) -> &str {
        self.get("id").unwrap_or_default()
    }

    /// Returns the children of this name.
    pub(super) fn all<'t>(&'t self, name: &'t str) -> impl Iterator<Item = &'t Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Returns the elements of this name at any depth, each with the elements around it from the inside out.
    pub(super) fn deep<'t>(&'t self, name: &str) -> Vec<(&'t Self, Vec<&'t Self>)> {
        let mut found = Vec::new();
        self.collect(name, &mut Vec::new(), &mut found);
        found
    }

    fn collect<'t>(
        &'t self,
        name: &str,
        ancestors: &mut Vec<&'t Self>,
        found: &mut Vec<(&'t Self, Vec<&'t Self>)>,
    ) {
        ancestors.push(self);
        for child in &self.children {
            if child.name == name {
                found.push((child, ancestors.iter().rev().copied().collect()));
            }
            child.collect(name, ancestors, found);
        }
        ancestors.pop();
    }
}

/// Elements that other elements refer to by `id-ref`.
pub(super) struct Index<'t>(BTreeMap<&'t str, &'t Tag>);

impl<'t> Index<'t> {
    pub(super) fn of(configuration: &'t Tag) -> Self {
        let mut index = BTreeMap::new();
        for name in ["instance_attributes", "meta_attributes", "nvpair"] {
            for (tag, _) in configuration.deep(name) {
                if tag.get("id-ref").is_none() {
                    index.insert(tag.id(), tag);
                }
            }
        }
        Self(index)
    }

    fn resolve(&self, tag: &'t Tag) -> Result<&'t Tag, String> {
        match tag.get("id-ref") {
            None => Ok(tag),
            Some(id) => self
                .0
                .get(id)
                .copied()
                .ok_or_else(|| format!("refers to {id:?}, which does not exist")),
        }
    }
}

/// The attributes from some sets.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// All values of a name in the sets: Pacemaker selects one by score and order.
    values: BTreeMap<String, BTreeSet<String>>,
    /// The reason why some attributes are unknown.
    pub(super) unclear: Option<String>,
}

impl Attributes {
    /// Reads the sets of type `kind` in these elements.
    pub(super) fn read<'t>(
        kind: &str,
        holders: impl IntoIterator<Item = &'t Tag>,
        index: &Index<'t>,
    ) -> Self {
        let mut read = Self::default();
        for set in holders
            .into_iter()
            .flat_map(|holder| holder.children.iter())
            .filter(|child| child.name == kind)
        {
            match index.resolve(set) {
                Ok(set) => read.take(set, index),
                Err(why) => read.unclear = Some(why),
            }
        }
        read
    }

    fn take<'t>(&mut self, set: &'t Tag, index: &Index<'t>) {
        if set.all("rule").next().is_some() {
            self.unclear = Some("has attributes that depend on a rule".to_owned());
        }
        for pair in set.all("nvpair") {
            match index.resolve(pair) {
                Ok(found) => {
                    if let Some(name) = pair.get("name").or(found.get("name")) {
                        let value = found.get("value").unwrap_or_default().to_owned();
                        self.values.entry(name.to_owned()).or_default().insert(value);
                    }
                }
                Err(why) => self.unclear = Some(why),
            }
        }
    }

    /// Adds the names that are not set yet, as Pacemaker does with the attributes of a group or clone around a resource.
    pub(super) fn inherit(&mut self, outer: Self) {
        for (name, values) in outer.values {
            self.values.entry(name).or_insert(values);
        }
        self.unclear = self.unclear.take().or(outer.unclear);
    }

    /// Returns the value of this name if there is exactly one.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        let values = self.values.get(name)?;
        values.first().filter(|_| values.len() == 1).map(String::as_str)
    }

    /// Returns the first value of each name, and all values of the names that have several.
    pub(super) fn resolved(self) -> (BTreeMap<String, String>, BTreeMap<String, BTreeSet<String>>) {
        let first =
            |(name, values): (&String, &BTreeSet<String>)| Some((name.clone(), values.first()?.clone()));
        let parameters = self.values.iter().filter_map(first).collect();
        let mut several = self.values;
        several.retain(|_, values| values.len() > 1);
        (parameters, several)
    }
}
