//! Persistent collections (`IP`, `SESSION`, `USER`, `GLOBAL`, `RESOURCE`): what rules remember from one transaction to
//! the next.
//!
//! [`Collections`] is owned by the proxy and passed into transactions; it knows no clock (times come with the calls)
//! and no engine, so it survives every swap of rules. A record is named by its collection and the key of `initcol`,
//! `setsid`, `setuid` or `setrsc`; it is made by its first `setvar` and lives until `SecCollectionTimeout` has passed
//! since its last one.
//!
//! Promises: a change is made to the record at once and as one step, so that no count is lost between transactions that
//! run at the same time; a transaction reads what the record held when it was opened, and its own changes. Memory is
//! bounded: the record that was not changed for the longest time makes room. What one record cannot hold stays in the
//! transaction alone. Does not do: files, or sharing between processes; `KEY`, `CREATE_TIME` and the like are not set,
//! as in ModSecurity 3.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use palisade_seclang::VariableKind;

use crate::act::{number, sum};
use crate::engine::{Change, Sign};
use crate::macros::Macro;
use crate::transaction::Transaction;

/// Records of all collections together: as many clients as one sidecar sees in an hour, and then some.
pub const RECORDS: usize = 65_536;
/// Bytes of all records together, names and keys included. A sidecar has a hundred megabytes in all.
pub const RECORDS_BYTES: usize = 32 * 1024 * 1024;
/// Variables of one record. Rules that count attacks use a handful.
pub const RECORD_VARIABLES: usize = 64;
/// Bytes of one record's names and values: one client may not push out many others.
pub const RECORD_BYTES: usize = 4 * 1024;
/// Bytes of a record's key that are compared; keys come from clients (a session cookie, for example).
pub const KEY_BYTES: usize = 256;
/// Seconds that an unchanged record lives, unless `SecCollectionTimeout` says otherwise.
pub const TIMEOUT_SECONDS: u64 = 3_600;
/// What a record costs besides its bytes.
const RECORD_OVERHEAD: usize = 256;
/// Locks; each guards its part of the records, so that transactions seldom wait for one another.
const SHARDS: usize = 16;

/// All persistent collections of a process.
#[derive(Debug)]
pub struct Collections {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

impl Default for Collections {
    fn default() -> Self {
        let mut shards = Vec::new();
        shards.resize_with(SHARDS, Mutex::default);
        Self { shards, hasher: RandomState::new() }
    }
}

impl Collections {
    /// How many records there are.
    pub fn records(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).records.len()).sum()
    }

    fn shard(&self, name: &Name) -> Option<MutexGuard<'_, Shard>> {
        let number = self.hasher.hash_one(name) as usize % SHARDS;
        self.shards.get(number).map(lock)
    }

    /// The variables of a record that are alive.
    fn read(&self, name: &Name, now: u64) -> Vec<(Bytes, Bytes)> {
        let Some(shard) = self.shard(name) else { return Vec::new() };
        let Some(record) = shard.records.get(name).filter(|record| record.expires > now) else {
            return Vec::new();
        };
        let alive = record.variables.iter().filter(|(_, variable)| variable.is_alive(now));
        alive.map(|(name, variable)| (name.clone(), variable.value.clone())).collect()
    }

    /// Changes a variable of a record. What it holds afterwards; nothing if it was removed or not kept.
    fn write(&self, name: &Name, variable: &[u8], write: Write<'_>, clock: Clock) -> Option<Bytes> {
        self.shard(name)?.write(name, &variable.to_ascii_lowercase(), write, clock)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // A record is put back whole or not at all, so what a panic left behind is sound.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names a record: its collection and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    collection: VariableKind,
    key: Bytes,
}

/// When a change is made, and how long a record lives without one; milliseconds.
#[derive(Clone, Copy, Debug)]
struct Clock {
    now: u64,
    timeout: u64,
}

/// A change of one variable.
enum Write<'a> {
    Set(Bytes),
    Add(&'a [u8], Sign),
    Remove,
    /// It is gone at this time.
    Expire(u64),
}

/// The records behind one lock.
#[derive(Debug, Default)]
struct Shard {
    records: HashMap<Name, Record>,
    /// The records by their last change, the oldest first.
    order: BTreeMap<u64, Name>,
    changes: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Record {
    variables: BTreeMap<Bytes, Variable>,
    bytes: usize,
    expires: u64,
    changed: u64,
}

#[derive(Debug)]
struct Variable {
    value: Bytes,
    expires: Option<u64>,
}

impl Variable {
    fn is_alive(&self, now: u64) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

impl Shard {
    fn write(&mut self, name: &Name, variable: &[u8], write: Write<'_>, clock: Clock) -> Option<Bytes> {
        let mut record = self.take(name).filter(|record| record.expires > clock.now).unwrap_or_default();
        record.bury(clock.now);
        let after = record.write(variable, write);
        if !record.variables.is_empty() {
            record.expires = clock.now.saturating_add(clock.timeout);
            self.put(name.clone(), record);
        }
        after
    }

    fn take(&mut self, name: &Name) -> Option<Record> {
        let record = self.records.remove(name)?;
        self.order.remove(&record.changed);
        self.bytes -= cost(name, &record);
        Some(record)
    }

    fn put(&mut self, name: Name, mut record: Record) {
        let cost = cost(&name, &record);
        while self.records.len() >= RECORDS / SHARDS || self.bytes + cost > RECORDS_BYTES / SHARDS {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            let oldest = oldest.clone();
            self.take(&oldest);
        }
        self.changes += 1;
        record.changed = self.changes;
        self.bytes += cost;
        self.order.insert(record.changed, name.clone());
        self.records.insert(name, record);
    }
}

fn cost(name: &Name, record: &Record) -> usize {
    RECORD_OVERHEAD + name.key.len() + record.bytes
}

impl Record {
    /// Takes away what has expired.
    fn bury(&mut self, now: u64) {
        self.variables.retain(|_, variable| variable.is_alive(now));
        self.bytes = self.variables.iter().map(|(name, variable)| name.len() + variable.value.len()).sum();
    }

    fn write(&mut self, name: &[u8], write: Write<'_>) -> Option<Bytes> {
        let known = self.variables.get(name);
        let value = match write {
            Write::Set(value) => value,
            Write::Add(change, sign) => sum(known.map(|known| known.value.as_ref()), change, sign),
            Write::Remove => {
                if let Some(gone) = self.variables.remove(name) {
                    self.bytes -= name.len() + gone.value.len();
                }
                return None;
            }
            Write::Expire(at) => {
                let known = self.variables.get_mut(name)?;
                known.expires = Some(at);
                return Some(known.value.clone());
            }
        };
        let before = known.map_or(0, |known| name.len() + known.value.len());
        let bytes = self.bytes - before + name.len() + value.len();
        if bytes > RECORD_BYTES || (known.is_none() && self.variables.len() >= RECORD_VARIABLES) {
            return None;
        }
        self.bytes = bytes;
        match self.variables.get_mut(name) {
            // An expiry that was set before still counts: a rule sets it anew if it means to.
            Some(known) => known.value = value.clone(),
            None => {
                let variable = Variable { value: value.clone(), expires: None };
                self.variables.insert(Bytes::copy_from_slice(name), variable);
            }
        }
        Some(value)
    }
}

/// The records that one transaction has opened.
#[derive(Debug)]
pub(crate) struct Opened {
    collections: Option<Arc<Collections>>,
    records: Vec<Name>,
    clock: Clock,
}

impl Opened {
    /// None yet, at a time in milliseconds.
    pub(crate) fn new(now: u64, timeout_seconds: u64) -> Self {
        let timeout = timeout_seconds.saturating_mul(1000);
        Self { collections: None, records: Vec::new(), clock: Clock { now, timeout } }
    }

    fn record(&self, collection: VariableKind) -> Option<(&Arc<Collections>, &Name)> {
        let record = self.records.iter().find(|record| record.collection == collection)?;
        Some((self.collections.as_ref()?, record))
    }

    /// Makes a change to the record, if one of this collection is open. What the variable holds afterwards.
    fn write(&self, collection: VariableKind, name: &[u8], write: Write<'_>) -> Option<Bytes> {
        let (collections, record) = self.record(collection)?;
        collections.write(record, name, write, self.clock)
    }
}

impl Transaction {
    /// Gives the transaction collections that outlive it. Without them `initcol` opens nothing.
    pub fn keep_in(&mut self, collections: &Arc<Collections>) {
        if self.engine.settings.keeps_records {
            self.opened.collections = Some(collections.clone());
        }
    }

    /// `initcol`, `setsid`, `setuid`, `setrsc`: the first of a collection counts.
    pub(crate) fn open(&mut self, collection: VariableKind, key: &Macro) {
        let key = self.state.expand(key);
        let Some(collections) = self.opened.collections.clone() else { return };
        if key.is_empty() || self.opened.record(collection).is_some() {
            return;
        }
        let key = Bytes::copy_from_slice(key.get(..KEY_BYTES).unwrap_or(&key));
        let name = Name { collection, key };
        for (variable, value) in collections.read(&name, self.opened.clock.now) {
            self.state.set(collection, &variable, value);
        }
        self.opened.records.push(name);
    }

    /// Makes a change of `setvar` to the record too, if one is open. The value for the transaction, if it is the
    /// record's.
    pub(crate) fn keep(&mut self, collection: VariableKind, name: &[u8], change: &Change) -> Option<Bytes> {
        self.opened.record(collection)?;
        match change {
            Change::To(value) => {
                let value = self.state.expand(value);
                self.opened.write(collection, name, Write::Set(value))
            }
            Change::By(value, sign) => {
                let value = self.state.expand(value);
                self.opened.write(collection, name, Write::Add(&value, *sign))
            }
            Change::Unset => self.opened.write(collection, name, Write::Remove),
        }
    }

    /// `expirevar`
    pub(crate) fn expire(&mut self, collection: VariableKind, name: &Macro, seconds: &Macro) {
        let (name, seconds) = (self.state.expand(name), self.state.expand(seconds));
        let seconds = u64::try_from(number(&seconds)).unwrap_or(0);
        let at = self.opened.clock.now.saturating_add(seconds.saturating_mul(1000));
        self.opened.write(collection, &name, Write::Expire(at));
    }
}

#[cfg(test)]
mod tests;
