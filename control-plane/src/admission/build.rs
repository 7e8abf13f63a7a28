//! Judges a whole set of documents: the same crates as in the sidecar, off the reactor.

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_index::{Index, Settings, version_of};
use palisade_loader::LoadError;
use palisade_model::Policy;
use palisade_model::documents::Document;
use palisade_rules::Engine;
use palisade_store::DocumentKey;

use super::{Entry, Problem, Refused};
use crate::directory::SourceText;

/// A set of documents that may come into force.
pub(super) struct Built {
    pub(super) documents: BTreeMap<DocumentKey, Entry>,
    pub(super) index: Arc<Index>,
    pub(super) warnings: Vec<Problem>,
    /// Every workload's policy, with the hash of its content.
    pub(super) policies: Vec<(Policy, String)>,
}

/// Judges what is stored already: problems are logged, and the rest comes into force, since a restart must not change
/// what is enforced.
pub(super) async fn build_known(
    documents: BTreeMap<DocumentKey, Entry>,
    settings: Settings,
) -> Result<Built, Refused> {
    off_the_reactor(move || {
        let (index, problems) = index_of(&documents, &settings);
        for problem in problems.iter().filter(|problem| problem.is_error()) {
            tracing::error!(%problem, "a stored document is not valid any more");
        }
        let warnings = problems.iter().map(place).collect();
        Ok(assemble(documents, index, warnings))
    })
    .await
}

/// Judges a changed set: every problem that refuses it, or what it comes to.
pub(super) async fn build(
    documents: BTreeMap<DocumentKey, Entry>,
    changed: Vec<DocumentKey>,
    settings: Settings,
) -> Result<Built, Refused> {
    off_the_reactor(move || {
        let (index, found) = index_of(&documents, &settings);
        let mut problems: Vec<Problem> =
            found.iter().filter(|problem| problem.is_error()).map(place).collect();
        for key in touched(&documents, &changed) {
            if let Some(entry) = documents.get(&key) {
                problems.extend(document_problems(&key.to_string(), &entry.document, &index));
            }
        }
        if problems.is_empty() {
            let warnings = found.iter().map(place).collect();
            let built = assemble(documents, index, warnings);
            problems.extend(built.policies.iter().filter_map(|(policy, _)| does_not_compile(policy)));
            if problems.is_empty() {
                return Ok(built);
            }
        }
        Err(Refused::Invalid(problems))
    })
    .await
}

/// Parses files; every file that cannot be read is named with line and column.
pub fn parse_all(texts: &[SourceText]) -> Result<Vec<(String, Document)>, Vec<Problem>> {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for SourceText { file, text } in texts {
        match palisade_loader::documents::parse(file, text) {
            Ok(parsed) => documents.extend(parsed.into_iter().map(|document| (file.clone(), document))),
            Err(error) => problems.push(load_problem(&error)),
        }
    }
    if problems.is_empty() { Ok(documents) } else { Err(problems) }
}

/// Judges documents offline: the index they come to, the errors, the warnings. Places begin with the file.
pub fn check_all(
    documents: Vec<(String, Document)>,
    settings: &Settings,
) -> (Index, Vec<Problem>, Vec<Problem>) {
    let files: BTreeMap<String, String> = documents
        .iter()
        .map(|(file, document)| (super::plan::key_of(document).to_string(), file.clone()))
        .collect();
    let all: Vec<Document> = documents.iter().map(|(_, document)| document.clone()).collect();
    let (index, found) = Index::build(all, settings);
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for problem in &found {
        let file = files.get(&problem.document.to_string());
        let Problem { place, error } = place(problem);
        let place = file.map_or(place.clone(), |file| format!("{file}: {place}"));
        let list = if problem.is_error() { &mut errors } else { &mut warnings };
        list.push(Problem { place, error });
    }
    for (file, document) in &documents {
        let name = format!("{file}: {}", super::plan::key_of(document));
        errors.extend(document_problems(&name, document, &index));
    }
    if errors.is_empty() {
        let policies = index.workloads().filter_map(|workload| index.policy(workload));
        errors.extend(policies.filter_map(|policy| does_not_compile(&policy)));
    }
    (index, errors, warnings)
}

/// A loader's error as a problem.
pub(super) fn load_problem(error: &LoadError) -> Problem {
    match error {
        LoadError::File { file, problem } => Problem { place: file.clone(), error: problem.clone() },
        LoadError::Document(found) => {
            let mut place = found.file.clone();
            if found.line > 0 {
                place.push_str(&format!(":{}:{}", found.line, found.column));
            }
            if !found.path.is_empty() {
                place.push_str(&format!(": {}", found.path));
            }
            Problem { place, error: found.problem.clone() }
        }
        LoadError::Rules(diagnostics) => Problem { place: String::new(), error: diagnostics.to_string() },
    }
}

fn index_of(
    documents: &BTreeMap<DocumentKey, Entry>,
    settings: &Settings,
) -> (Index, Vec<palisade_index::Problem>) {
    Index::build(documents.values().map(|entry| Document::clone(&entry.document)).collect(), settings)
}

/// The changed documents, and those whose validity hangs on them: a WafPolicy compiles its RuleSet.
fn touched(documents: &BTreeMap<DocumentKey, Entry>, changed: &[DocumentKey]) -> Vec<DocumentKey> {
    let rule_sets: Vec<&DocumentKey> = changed.iter().filter(|key| key.kind == "RuleSet").collect();
    let names_one = |document: &Document| {
        let Document::WafPolicy(policy) = document else { return false };
        let own = policy.metadata.namespace.as_str();
        let (namespace, name) = policy.spec.rule_set.split_once('/').unwrap_or((own, &policy.spec.rule_set));
        rule_sets.iter().any(|key| key.namespace == namespace && key.name == name)
    };
    let hang = documents.iter().filter(|(key, entry)| !changed.contains(key) && names_one(&entry.document));
    changed.iter().cloned().chain(hang.map(|(key, _)| key.clone())).collect()
}

fn document_problems(name: &str, document: &Document, index: &Index) -> Vec<Problem> {
    let errors = palisade_index::validate(document, index).err().unwrap_or_default();
    errors
        .into_iter()
        .map(|error| Problem { place: format!("{name}: {}", error.path), error: error.problem })
        .collect()
}

/// Compiles what `validate` has not compiled: routes, clusters and authorization as one workload's sidecar gets them.
fn does_not_compile(policy: &Policy) -> Option<Problem> {
    let mut policy = policy.clone();
    // The WAF's part was compiled by itself, and compiling it for every workload would take long.
    policy.waf.clear();
    policy.rule_sets.clear();
    let error = Engine::compile(&policy, "dry-run", None).err()?;
    Some(Problem { place: format!("workload {}", policy.workload), error: error.to_string() })
}

fn assemble(documents: BTreeMap<DocumentKey, Entry>, index: Index, warnings: Vec<Problem>) -> Built {
    let policies = index.workloads().filter_map(|workload| index.policy(workload));
    let policies = policies
        .map(|policy| {
            let content = version_of(&policy);
            (policy, content)
        })
        .collect();
    Built { documents, index: Arc::new(index), warnings, policies }
}

fn place(problem: &palisade_index::Problem) -> Problem {
    Problem {
        place: format!("{}: {}", problem.document, problem.error.path),
        error: problem.error.problem.clone(),
    }
}

async fn off_the_reactor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Refused::Internal(format!("the documents could not be judged: {error}"))))
}
