//! From what is asked to the documents that would then be in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_model::documents::Document;
use palisade_store::{Change, DocumentKey, Origin};

use super::{Accepted, Command, Entry, Problem, Refused, build};
use crate::directory::SourceText;

/// What would be in force, and what would be stored.
pub(super) struct Plan {
    pub(super) documents: BTreeMap<DocumentKey, Entry>,
    /// Only these have to be judged by themselves.
    pub(super) changed: Vec<DocumentKey>,
    pub(super) changes: Vec<Change>,
}

pub(super) fn plan(command: Command, before: &Accepted) -> Result<Plan, Refused> {
    match command {
        Command::Put(document) => put(*document, before),
        Command::Delete(key) => delete(key, before),
        Command::Directory(texts) => directory(&texts, before),
        Command::DirectoryUnreadable(problem) => Err(Refused::Invalid(vec![problem])),
    }
}

/// The name of a document of this control plane.
pub(super) fn key_of(document: &Document) -> DocumentKey {
    let metadata = document.metadata();
    DocumentKey::local(document.kind(), &metadata.namespace, &metadata.name)
}

fn put(document: Document, before: &Accepted) -> Result<Plan, Refused> {
    let key = key_of(&document);
    if before.documents.get(&key).is_some_and(|entry| entry.origin == Origin::Directory) {
        return Err(Refused::ReadOnly(key));
    }
    let mut documents = before.documents.clone();
    let changes = vec![change(&key, &document, Origin::Rest)?];
    let document = Arc::new(document);
    documents.insert(key.clone(), Entry { document, origin: Origin::Rest, revision: 0 });
    Ok(Plan { documents, changed: vec![key], changes })
}

fn delete(key: DocumentKey, before: &Accepted) -> Result<Plan, Refused> {
    let mut documents = before.documents.clone();
    match documents.remove(&key) {
        None => return Err(Refused::Unknown(key)),
        Some(entry) if entry.origin == Origin::Directory => return Err(Refused::ReadOnly(key)),
        Some(_) => {}
    }
    let changes = vec![Change { key, origin: Origin::Rest, body: None }];
    Ok(Plan { documents, changed: Vec::new(), changes })
}

fn directory(texts: &[SourceText], before: &Accepted) -> Result<Plan, Refused> {
    let mut wanted: BTreeMap<DocumentKey, (String, Document)> = BTreeMap::new();
    let mut problems = Vec::new();
    for (file, document) in build::parse_all(texts).map_err(Refused::Invalid)? {
        let key = key_of(&document);
        let problem = match (wanted.get(&key), before.documents.get(&key)) {
            (Some((first, _)), _) => format!("{key} is in {first} already"),
            (None, Some(entry)) if entry.origin == Origin::Rest => {
                format!("{key} came in over REST; delete it there first")
            }
            _ => {
                wanted.insert(key, (file, document));
                continue;
            }
        };
        problems.push(Problem { place: file, error: problem });
    }
    if !problems.is_empty() {
        return Err(Refused::Invalid(problems));
    }
    let mut documents = before.documents.clone();
    let mut changes = Vec::new();
    let mut changed = Vec::new();
    let ours = before.documents.iter().filter(|(_, entry)| entry.origin == Origin::Directory);
    for (key, _) in ours.filter(|(key, _)| !wanted.contains_key(*key)) {
        documents.remove(key);
        changes.push(Change { key: key.clone(), origin: Origin::Directory, body: None });
    }
    for (key, (_, document)) in wanted {
        if before.documents.get(&key).is_some_and(|entry| *entry.document == document) {
            continue;
        }
        changes.push(change(&key, &document, Origin::Directory)?);
        changed.push(key.clone());
        let document = Arc::new(document);
        documents.insert(key, Entry { document, origin: Origin::Directory, revision: 0 });
    }
    Ok(Plan { documents, changed, changes })
}

fn change(key: &DocumentKey, document: &Document, origin: Origin) -> Result<Change, Refused> {
    let body = serde_json::to_string(document).map_err(|error| Refused::Internal(error.to_string()))?;
    Ok(Change { key: key.clone(), origin, body: Some(body) })
}
