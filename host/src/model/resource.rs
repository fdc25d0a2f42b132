//! Who produced a span: the agent process. Many spans share one.

use super::{Attribute, Text};

/// An agent process, as its spans describe it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource {
    /// The agent's name, OpenTelemetry's `service.name`.
    pub name: Text,
    /// The agent's id, OpenTelemetry's `service.instance.id`.
    pub id: Text,
    /// Its IP address.
    pub address: Text,
    /// `python`, `typescript`, `java`, …
    pub runtime: Text,
    /// What else is known of it (namespace, hostname, port, endpoint), keys in byte order.
    pub attributes: Vec<Attribute>,
}

impl Resource {
    /// Settles what two events say of the producer of one span; the result does not depend on their order.
    pub(super) fn settle(&mut self, other: Resource) {
        let Resource { name, id, address, runtime, attributes } = other;
        self.name.settle(name);
        self.id.settle(id);
        self.address.settle(address);
        self.runtime.settle(runtime);
        settle_attributes(&mut self.attributes, attributes);
    }

    /// `attributes` as they are kept: keys in byte order, each once, whatever order and number they came in.
    pub fn sorted(mut attributes: Vec<Attribute>) -> Vec<Attribute> {
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
        if attributes.windows(2).any(|pair| pair[0].key == pair[1].key) {
            let mut united = Vec::with_capacity(attributes.len());
            settle_attributes(&mut united, attributes);
            return united;
        }
        attributes
    }

    /// Heap bytes that this resource holds.
    pub fn heap_bytes(&self) -> usize {
        let texts = [&self.name, &self.id, &self.address, &self.runtime];
        texts.iter().map(|text| text.heap_bytes()).sum::<usize>() + attribute_bytes(&self.attributes)
    }
}

/// Unites two lists whose keys are in byte order, each key once.
pub(super) fn settle_attributes(ours: &mut Vec<Attribute>, theirs: Vec<Attribute>) {
    for attribute in theirs {
        match ours.binary_search_by(|own| own.key.cmp(&attribute.key)) {
            Ok(at) => ours[at].value.settle(attribute.value),
            Err(at) => ours.insert(at, attribute),
        }
    }
}

/// Heap bytes of a list of attributes.
pub(super) fn attribute_bytes(attributes: &[Attribute]) -> usize {
    let held = |a: &Attribute| a.key.heap_bytes() + a.value.heap_bytes();
    size_of_val(attributes) + attributes.iter().map(held).sum::<usize>()
}
