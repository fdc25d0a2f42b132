//! Who produced a span: the agent process. Many spans share one.

use super::{Attributes, Text};

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
    /// What else is known of it: namespace, hostname, port, endpoint.
    pub attributes: Attributes,
}

impl Resource {
    /// Settles what two events say of the producer of one span; the result does not depend on their order.
    pub(super) fn settle(&mut self, other: Resource) {
        let Resource { name, id, address, runtime, attributes } = other;
        self.name.settle(name);
        self.id.settle(id);
        self.address.settle(address);
        self.runtime.settle(runtime);
        self.attributes.settle(&attributes);
    }

    /// Heap bytes that this resource holds.
    pub fn heap_bytes(&self) -> usize {
        let texts = [&self.name, &self.id, &self.address, &self.runtime];
        texts.iter().map(|text| text.heap_bytes()).sum::<usize>() + self.attributes.heap_bytes()
    }
}
