//! Records alone: limits, expiry by the time that is passed in, counts from many threads.

use super::*;

const HOUR: u64 = TIMEOUT_SECONDS * 1000;

fn ip(key: impl Into<Bytes>) -> Name {
    Name { collection: VariableKind::Ip, key: key.into() }
}

fn at(now: u64) -> Clock {
    Clock { now, timeout: HOUR }
}

fn set(collections: &Collections, name: &Name, variable: &str, value: &str, now: u64) -> Option<Bytes> {
    let value = Bytes::copy_from_slice(value.as_bytes());
    collections.write(name, variable.as_bytes(), Write::Set(value), at(now))
}

fn add(collections: &Collections, name: &Name, variable: &str, now: u64) -> Option<Bytes> {
    collections.write(name, variable.as_bytes(), Write::Add(b"1", Sign::Plus), at(now))
}

fn get(collections: &Collections, name: &Name, variable: &str, now: u64) -> Option<Bytes> {
    let found = collections.read(name, now);
    found.into_iter().find(|(name, _)| name == variable).map(|(_, value)| value)
}

#[test]
fn records_are_told_apart_by_collection_and_key_and_variables_by_name_in_any_case() {
    let collections = Collections::default();
    let user = Name { collection: VariableKind::User, key: "a".into() };
    assert_eq!(set(&collections, &ip("a"), "Score", "1", 0).unwrap(), "1");
    set(&collections, &user, "score", "2", 0);
    assert_eq!(get(&collections, &ip("a"), "score", 0).unwrap(), "1");
    assert_eq!(get(&collections, &user, "score", 0).unwrap(), "2");
    assert_eq!(get(&collections, &ip("b"), "score", 0), None);
    assert_eq!(collections.write(&user, b"SCORE", Write::Remove, at(0)), None);
    assert_eq!(get(&collections, &user, "score", 0), None);
    assert_eq!(collections.records(), 1, "an empty record is none");
}

#[test]
fn a_record_lives_as_long_as_it_is_changed_and_a_variable_as_long_as_expirevar_says() {
    let collections = Collections::default();
    add(&collections, &ip("a"), "count", 0);
    for (now, alive) in [(HOUR - 1, true), (HOUR, false)] {
        assert_eq!(get(&collections, &ip("a"), "count", now).is_some(), alive, "at {now}");
    }
    assert_eq!(add(&collections, &ip("a"), "count", HOUR - 1).unwrap(), "2");
    assert_eq!(add(&collections, &ip("a"), "count", 2 * HOUR - 2).unwrap(), "3", "a change prolongs it");
    assert_eq!(add(&collections, &ip("a"), "count", 4 * HOUR).unwrap(), "1", "what is over begins anew");

    set(&collections, &ip("b"), "blocked", "1", 0);
    set(&collections, &ip("b"), "seen", "1", 0);
    assert!(collections.write(&ip("b"), b"blocked", Write::Expire(60_000), at(0)).is_some());
    assert_eq!(collections.write(&ip("b"), b"other", Write::Expire(60_000), at(0)), None, "of nothing");
    assert!(get(&collections, &ip("b"), "blocked", 59_999).is_some());
    assert_eq!(get(&collections, &ip("b"), "blocked", 60_000), None);
    assert!(get(&collections, &ip("b"), "seen", 60_000).is_some());
    assert_eq!(add(&collections, &ip("b"), "blocked", 60_000).unwrap(), "1", "it begins anew, and stays");
    assert!(get(&collections, &ip("b"), "blocked", HOUR).is_some());
    assert_eq!(
        set(&collections, &ip("b"), "back", "1", 10).unwrap(),
        "1",
        "a clock that goes back is no harm"
    );
}

#[test]
fn a_record_holds_variables_and_bytes_up_to_its_limits() {
    let collections = Collections::default();
    for number in 0..RECORD_VARIABLES {
        assert!(set(&collections, &ip("a"), &format!("v{number}"), "", 0).is_some(), "{number}");
    }
    assert_eq!(set(&collections, &ip("a"), "more", "", 0), None, "one over");
    assert!(set(&collections, &ip("a"), "v0", "again", 0).is_some(), "replacing is not adding");
    for (bytes, fits) in [(RECORD_BYTES - 1, true), (RECORD_BYTES, true), (RECORD_BYTES + 1, false)] {
        let collections = Collections::default();
        assert_eq!(set(&collections, &ip("b"), "v", &"x".repeat(bytes - 1), 0).is_some(), fits, "{bytes}");
    }
}

#[test]
fn the_record_that_was_not_changed_for_the_longest_time_makes_room() {
    let mut shard = Shard::default();
    let name = |number: usize| ip(number.to_string());
    let mut write = |number: usize| {
        shard.write(&name(number), b"v", Write::Add(b"1", Sign::Plus), at(0));
        shard.records.len()
    };
    let most = RECORDS / SHARDS;
    assert_eq!((0..most).map(&mut write).max(), Some(most), "at the limit");
    write(0);
    assert_eq!(write(most), most, "one over");
    assert!(!shard.records.contains_key(&name(1)), "the oldest is gone");
    assert!(shard.records.contains_key(&name(0)), "what was changed again is not the oldest");
    assert_eq!(shard.order.len(), shard.records.len());

    let mut shard = Shard::default();
    let value = Bytes::from(vec![b'x'; RECORD_BYTES - 1]);
    for number in 0..2 * RECORDS_BYTES / SHARDS / RECORD_BYTES {
        shard.write(&name(number), b"v", Write::Set(value.clone()), at(0));
        assert!(shard.bytes <= RECORDS_BYTES / SHARDS, "{}", shard.bytes);
    }
    let counted: usize = shard.records.iter().map(|(name, record)| cost(name, record)).sum();
    assert_eq!(shard.bytes, counted);
    assert!(counted > RECORDS_BYTES / SHARDS - 2 * (RECORD_BYTES + RECORD_OVERHEAD), "it is used");
}

#[test]
fn no_count_is_lost_between_threads() {
    let collections = Collections::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    add(&collections, &ip("a"), "count", 0);
                }
            });
        }
    });
    assert_eq!(get(&collections, &ip("a"), "count", 0).unwrap(), "2000");
}
