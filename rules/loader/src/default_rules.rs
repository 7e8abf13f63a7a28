//! The rule set that comes with Palisade: what a WafPolicy gets that names `palisade-default` where no document has
//! that name.
//!
//! The text is in `rules/default`; it is compiled in, so that a proxy protects before anybody has installed a rule set.

use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile, WafPolicy};

/// Its name.
pub const NAME: &str = "palisade-default";

/// The rule files in their order.
const SOURCES: [(&str, &str); 11] = [
    ("00-setup.conf", include_str!("../../default/00-setup.conf")),
    ("10-protocol.conf", include_str!("../../default/10-protocol.conf")),
    ("20-files.conf", include_str!("../../default/20-files.conf")),
    ("30-commands.conf", include_str!("../../default/30-commands.conf")),
    ("40-code.conf", include_str!("../../default/40-code.conf")),
    ("50-sql.conf", include_str!("../../default/50-sql.conf")),
    ("60-script.conf", include_str!("../../default/60-script.conf")),
    ("70-foreign.conf", include_str!("../../default/70-foreign.conf")),
    ("80-scanners.conf", include_str!("../../default/80-scanners.conf")),
    ("90-evaluation.conf", include_str!("../../default/90-evaluation.conf")),
    ("95-responses.conf", include_str!("../../default/95-responses.conf")),
];

/// The rule set as a document of a namespace.
pub fn rule_set(namespace: &str) -> RuleSet {
    let sources = SOURCES.map(|(name, text)| SourceFile { name: name.to_owned(), text: text.to_owned() });
    RuleSet {
        api_version: "palisade.dev/v1alpha1".into(),
        kind: "RuleSet".into(),
        metadata: Metadata { name: NAME.into(), namespace: namespace.into(), ..Metadata::default() },
        spec: RuleSetSpec { sources: sources.to_vec(), ..RuleSetSpec::default() },
    }
}

/// The rule set for a policy that asks for it by its bare name; a document of that name goes before it.
pub fn wanted_by(policy: &WafPolicy) -> Option<RuleSet> {
    (policy.spec.rule_set == NAME).then(|| rule_set(&policy.metadata.namespace))
}
