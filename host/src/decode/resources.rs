//! Agents seen so far: the same eight fields come with every event, and are decoded once.

use std::borrow::Cow;
use std::sync::Arc;

use ahash::RandomState;

use super::fields::{AGENT_PARTS, AgentPart, Typed};
use crate::model::{Attribute, Attributes, Key, NameTable, Resource, Value};

/// The fields of one event that say who produced it, by [`AgentPart`].
pub(super) type AgentFields<'a> = [Option<Cow<'a, str>>; AGENT_PARTS];

/// Slots of the table. An agent whose slot is taken by another is simply decoded again: nothing grows with hostile numbers of agents.
const SLOTS: usize = 4096;

/// Bytes of all fields of an agent that is remembered; a larger one is decoded again each time. So the table holds 16 MiB at most, twice.
const REMEMBERED_BYTES: usize = 4096;

pub(super) struct ResourceTable {
    slots: Vec<Option<Known>>,
    hasher: RandomState,
}

struct Known {
    fields: [Option<Box<str>>; AGENT_PARTS],
    resource: Arc<Resource>,
}

impl Default for ResourceTable {
    fn default() -> Self {
        let mut slots = Vec::new();
        slots.resize_with(SLOTS, || None);
        ResourceTable { slots, hasher: RandomState::new() }
    }
}

impl std::fmt::Debug for ResourceTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResourceTable").finish_non_exhaustive()
    }
}

impl ResourceTable {
    /// The resource that `fields` describe.
    pub fn resource(&mut self, names: &mut NameTable, fields: &AgentFields<'_>) -> Arc<Resource> {
        let slot = self.hasher.hash_one(fields) as usize % SLOTS;
        let same = |known: &Known| known.fields.iter().zip(fields).all(|(own, field)| own.as_deref() == field.as_deref());
        if let Some(known) = self.slots[slot].as_ref().filter(|known| same(known)) {
            return Arc::clone(&known.resource);
        }
        let resource = Arc::new(build(names, fields));
        if fields.iter().flatten().map(|field| field.len()).sum::<usize>() > REMEMBERED_BYTES {
            return resource;
        }
        self.slots[slot] = Some(Known {
            fields: fields.each_ref().map(|field| field.as_deref().map(Box::from)),
            resource: Arc::clone(&resource),
        });
        resource
    }
}

fn build(names: &mut NameTable, fields: &AgentFields<'_>) -> Resource {
    let attributes = AgentPart::ATTRIBUTES.into_iter().filter_map(|part| attribute(names, part, fields)).collect();
    let mut text = |part: AgentPart| names.text(fields[part as usize].as_deref().unwrap_or_default());
    Resource {
        name: text(AgentPart::Name),
        id: text(AgentPart::Id),
        address: text(AgentPart::Address),
        runtime: text(AgentPart::Runtime),
        attributes: Attributes::of(attributes),
    }
}

fn attribute<'a>(names: &mut NameTable, part: AgentPart, fields: &'a AgentFields<'_>) -> Option<Attribute<'a>> {
    let value = fields[part as usize].as_deref()?;
    let key = part.attribute_key()?;
    let number = if part == AgentPart::Port { Typed::Integer.value(value) } else { None };
    Some(Attribute {
        key: names.name(key).map_or(Key::Text(key), Key::Name),
        value: number.unwrap_or(Value::Text(value)),
    })
}
