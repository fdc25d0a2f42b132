//! What the stage is asked to do between two batches.

use std::sync::Arc;

use super::Slot;
use super::handle::{Command, no_such};
use super::seat::Seat;
use super::stage::Runner;

impl Runner {
    pub fn obey(&mut self, command: Command) {
        // Who asked may have gone away meanwhile.
        match command {
            Command::Put(slot, begins, answer) => {
                if begins.send(()).is_ok() {
                    drop(answer.send(self.put(slot)));
                }
            }
            Command::Missing(name, why, answer) => drop(answer.send(match self.seat(&name) {
                Some(at) => {
                    let (order, on_failure) = (self.seats[at].order, self.seats[at].on_failure);
                    self.put(Slot::missing(&name, order, on_failure, &why))
                }
                None => Err(no_such(&name, &self.shared.filters())),
            })),
            Command::Remove(name, answer) => drop(answer.send(self.remove(&name))),
            // A report may take as long as a call may, and every trace waits for it.
            Command::Report(_, answer) if answer.is_closed() => {}
            Command::Report(name, answer) => drop(answer.send(match self.seat(&name) {
                Some(at) => self.seats[at].report(),
                None => Ok(None),
            })),
        }
    }

    fn seat(&self, name: &str) -> Option<usize> {
        self.seats.iter().position(|seat| *seat.status.name == *name)
    }

    fn put(&mut self, slot: Slot) -> Result<(), String> {
        match self.seat(&slot.name) {
            Some(at) => self.seats[at].replace(slot)?,
            None => self.sit(slot),
        }
        self.in_order();
        Ok(())
    }

    /// Makes a place for a filter that is new.
    pub fn sit(&mut self, slot: Slot) {
        self.seats_ever += 1;
        self.seats.push(Seat::new(self.seats_ever, slot));
        self.in_order();
    }

    fn remove(&mut self, name: &str) -> Result<(), String> {
        let at = self.seat(name).ok_or_else(|| no_such(name, &self.shared.filters()))?;
        let mut seat = self.seats.remove(at);
        self.ready.extend(seat.vacate());
        self.in_order();
        Ok(())
    }

    fn in_order(&mut self) {
        self.seats.sort_by(|a, b| (a.order, &a.status.name).cmp(&(b.order, &b.status.name)));
        *self.shared.filters() = self.seats.iter().map(|seat| Arc::clone(&seat.status)).collect();
    }
}
