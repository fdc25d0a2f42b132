//! One batch redacted. Each distinct text is searched once, whatever number of spans has it; edits are made only where something
//! was found.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use meshtrace_plugin::{Batch, Decisions, OwnedValue, Target};

use crate::config::{DEFAULT_MASK, Place};
use crate::rules::{KeyBits, Plan, Rules};
use crate::text::{Fate, Form, Tally, looks_like_json, redact};

/// What a pass over a batch found.
#[derive(Debug)]
pub struct Found {
    /// The edits that take it out.
    pub decisions: Decisions,
    /// How much it was.
    pub tally: Tally,
    /// Texts in which something was found and that no edit reaches: of resources, events, links and scopes.
    pub out_of_reach: u64,
}

/// The contract's number for values that are JSON.
const JSON: u8 = 4;

/// Goes over a batch.
///
/// # Errors
/// When the batch contradicts itself: what cannot be read cannot be redacted.
pub fn redact_batch(rules: &Rules, batch: &Batch) -> Result<Found, String> {
    let strings = batch.string_count() as usize;
    let mut pass = Pass {
        rules,
        batch,
        clean: vec![None; strings],
        key_rows: vec![0; strings],
        keys: Vec::new(),
        fates: HashMap::new(),
        decisions: Decisions::pass_all(batch),
        tally: Tally::default(),
    };
    pass.names()?;
    pass.errors()?;
    pass.attributes()?;
    let out_of_reach = pass.out_of_reach()?;
    Ok(Found {
        decisions: pass.decisions,
        tally: pass.tally,
        out_of_reach,
    })
}

struct Pass<'a> {
    rules: &'a Rules,
    batch: &'a Batch,
    /// For each string whether it holds nothing for any rule, once that is known.
    clean: Vec<Option<bool>>,
    /// For each string its row in `keys` + 1; 0 = it has not been met as a key.
    key_rows: Vec<u32>,
    keys: Vec<Key>,
    /// What becomes of the texts that are not clean.
    fates: HashMap<(u32, Plan, Form), Shared>,
    decisions: Decisions,
    tally: Tally,
}

/// What becomes of a text, for every span that has it.
type Shared = Rc<(Fate, Tally)>;

#[derive(Clone)]
struct Key {
    bits: KeyBits,
    /// What becomes of the key itself.
    fate: Option<Shared>,
}

impl<'a> Pass<'a> {
    fn names(&mut self) -> Result<(), String> {
        let plan = self.rules.plan(Place::Names);
        if plan.is_empty() {
            return Ok(());
        }
        let names = self.batch.columns().span_names();
        self.check_length("names", names.len())?;
        for (span, name) in (0..).zip(names) {
            let Some(found) = self.fate(*name, plan, Form::Name)? else { continue };
            self.tally.add(found.1);
            if let Fate::Text(name) = &found.0 {
                self.decisions.set_name(Target::Span(span), &**name);
            }
        }
        Ok(())
    }

    fn errors(&mut self) -> Result<(), String> {
        let plan = self.rules.plan(Place::Errors);
        if plan.is_empty() {
            return Ok(());
        }
        let errors = self.batch.columns().span_errors();
        self.check_length("error texts", errors.len())?;
        for (span, error) in (0..).zip(errors) {
            let Some(found) = self.fate(*error, plan, Form::Text)? else { continue };
            self.tally.add(found.1);
            match &found.0 {
                Fate::Same => {}
                Fate::Remove => self.decisions.remove_error(Target::Span(span)),
                Fate::Text(text) | Fate::Json(text) => self.decisions.set_error(Target::Span(span), &**text),
            }
        }
        Ok(())
    }

    fn attributes(&mut self) -> Result<(), String> {
        let plan = self.rules.plan(Place::Attributes);
        if plan.is_empty() {
            return Ok(());
        }
        let columns = self.batch.columns();
        let (ends, keys, types) = (columns.attribute_ends(), columns.attribute_keys(), columns.attribute_types());
        self.check_length("runs of attributes", ends.len())?;
        let mut begin = 0;
        for (span, end) in (0..).zip(ends) {
            let run = begin..*end as usize;
            begin = run.end;
            if run.start > run.end || run.end > keys.len().min(types.len()).min(columns.attribute_values().len()) {
                return Err(format!("the batch contradicts itself: the attributes of span row {span} are rows {run:?} of {}", keys.len()));
            }
            for row in run.clone() {
                let key = self.key(keys[row], plan)?;
                let form = if types[row] == JSON { Form::Json } else { Form::Text };
                let found = self.fate(columns.attribute_values()[row], plan.inside(key.bits), form)?;
                match (&key.fate, &found) {
                    (None, None) => {}
                    (None, Some(found)) => self.replace(span, row, found)?,
                    (Some(renamed), _) => self.rename(span, row, run.clone(), renamed, found.as_ref())?,
                }
            }
        }
        Ok(())
    }

    /// The edit that a value's fate asks for.
    fn replace(&mut self, span: u32, row: usize, found: &Shared) -> Result<(), String> {
        let (target, key) = (Target::Span(span), self.text(self.batch.columns().attribute_keys()[row])?);
        self.tally.add(found.1);
        match &found.0 {
            Fate::Same => {}
            Fate::Remove => self.decisions.remove_attribute(target, key),
            Fate::Text(text) => self.decisions.set_attribute(target, key, &**text),
            Fate::Json(json) => self.decisions.set_attribute(target, key, OwnedValue::Json(json.clone())),
        }
        Ok(())
    }

    /// An attribute whose key holds a secret goes, and comes back under a key that the span does not have.
    fn rename(&mut self, span: u32, row: usize, run: Range<usize>, key: &Shared, value: Option<&Shared>) -> Result<(), String> {
        let keys = self.batch.columns().attribute_keys();
        let new = match &key.0 {
            Fate::Text(new) | Fate::Json(new) if new.is_empty() => DEFAULT_MASK,
            Fate::Text(new) | Fate::Json(new) => new,
            Fate::Same => return value.map_or(Ok(()), |found| self.replace(span, row, found)),
            Fate::Remove => {
                self.tally.add(key.1);
                self.decisions.remove_attribute(Target::Span(span), self.text(keys[row])?);
                return Ok(());
            }
        };
        self.tally.add(key.1);
        self.decisions.remove_attribute(Target::Span(span), self.text(keys[row])?);
        let value = match value {
            Some(found) => {
                self.tally.add(found.1);
                match &found.0 {
                    Fate::Remove => return Ok(()),
                    Fate::Same => self.value(row)?,
                    Fate::Text(text) => OwnedValue::Text(text.clone()),
                    Fate::Json(json) => OwnedValue::Json(json.clone()),
                }
            }
            None => self.value(row)?,
        };
        // Two that would be called the same are told apart by their place.
        let earlier = keys[run.start..row].iter().any(|key| self.new_name(*key) == Some(new));
        let taken = earlier || keys[run.clone()].iter().any(|key| self.batch.text(*key) == new);
        let new = if taken { format!("{new}#{}", row - run.start + 1) } else { new.to_owned() };
        self.decisions.set_attribute(Target::Span(span), new, value);
        Ok(())
    }

    /// What a key that has been met is called after redaction, if something else.
    fn new_name(&self, key: u32) -> Option<&str> {
        let row = self.key_rows.get(key as usize)?.checked_sub(1)?;
        match &self.keys.get(row as usize)?.fate.as_ref()?.0 {
            Fate::Text(new) | Fate::Json(new) => Some(if new.is_empty() { DEFAULT_MASK } else { new }),
            Fate::Same | Fate::Remove => None,
        }
    }

    /// An attribute's value as it came.
    fn value(&self, row: usize) -> Result<OwnedValue, String> {
        let columns = self.batch.columns();
        let text = self.text(columns.attribute_values()[row])?;
        Ok(meshtrace_plugin::Value::new(text, columns.attribute_types()[row]).into())
    }

    fn key(&mut self, index: u32, plan: Plan) -> Result<Key, String> {
        let text = self.text(index)?;
        if let Some(row) = self.key_rows[index as usize].checked_sub(1) {
            return Ok(self.keys[row as usize].clone());
        }
        let fate = self.fate(index, plan, Form::Key)?;
        let key = Key { bits: self.rules.key_bits(text), fate };
        self.keys.push(key.clone());
        self.key_rows[index as usize] = self.keys.len() as u32;
        Ok(key)
    }

    /// Number of texts in which something was found and that no edit reaches.
    fn out_of_reach(&mut self) -> Result<u64, String> {
        let columns = self.batch.columns();
        let plan = self.rules.plan(Place::Attributes);
        let mut texts = [
            columns.resource_names(),
            columns.resource_ids(),
            columns.resource_addresses(),
            columns.span_scopes(),
            columns.event_names(),
            columns.event_attributes(),
            columns.link_attributes(),
        ]
        .concat();
        texts.sort_unstable();
        texts.dedup();
        let mut places: Vec<(u32, Plan)> = texts.into_iter().map(|text| (text, plan)).collect();
        for (key, value) in columns.resource_keys().iter().zip(columns.resource_values()) {
            places.push((*value, plan.inside(self.key(*key, plan)?.bits)));
        }
        let mut count = 0;
        for (text, plan) in places {
            count += u64::from(self.fate(text, plan, Form::Text)?.is_some_and(|found| found.0 != Fate::Same));
        }
        Ok(count)
    }

    /// What becomes of a text; `None`: it stays as it is.
    fn fate(&mut self, index: u32, plan: Plan, form: Form) -> Result<Option<Shared>, String> {
        let text = self.text(index)?;
        if index == 0 || plan.is_empty() {
            return Ok(None);
        }
        let rules = self.rules;
        if !rules.takes_whole(plan) && form != Form::Json {
            let clean = &mut self.clean[index as usize];
            if *clean.get_or_insert_with(|| !looks_like_json(text) && rules.is_clean(text)) {
                return Ok(None);
            }
        }
        let found = self.fates.entry((index, plan, form)).or_insert_with(|| Rc::new(redact(rules, text, plan, form)));
        Ok((found.0 != Fate::Same).then(|| Rc::clone(found)))
    }

    fn text(&self, index: u32) -> Result<&'a str, String> {
        if index as usize >= self.clean.len() {
            return Err(format!("the batch contradicts itself: it names string {index}, and has {}", self.clean.len()));
        }
        Ok(self.batch.text(index))
    }

    /// A column of spans has a row for each.
    fn check_length(&self, what: &str, found: usize) -> Result<(), String> {
        let spans = self.batch.columns().span_count() as usize;
        if found == spans { Ok(()) } else { Err(format!("the batch contradicts itself: it has {spans} spans and {found} {what}")) }
    }
}
