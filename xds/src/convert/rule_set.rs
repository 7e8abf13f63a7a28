//! `RuleSet`.

use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile};

use super::{Converted, FromProto, ToProto, Within, expect_constant, required};
use crate::generated as pb;

const API_VERSION: &str = "palisade.dev/v1alpha1";
const KIND: &str = "RuleSet";

impl ToProto for RuleSet {
    type Message = pb::RuleSet;

    fn to_proto(&self) -> Converted<Self::Message> {
        expect_constant("apiVersion", &self.api_version, API_VERSION)?;
        expect_constant("kind", &self.kind, KIND)?;
        let sources = self.spec.sources.iter();
        Ok(pb::RuleSet {
            metadata: Some(self.metadata.to_proto().within("metadata")?),
            sources: sources
                .map(|file| pb::SourceFile { name: file.name.clone(), text: file.text.clone() })
                .collect(),
            data: self.spec.data.clone(),
        })
    }
}

impl FromProto for RuleSet {
    type Message = pb::RuleSet;

    fn from_proto(message: Self::Message) -> Converted<Self> {
        let pb::RuleSet { metadata, sources, data } = message;
        Ok(Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            metadata: Metadata::from_proto(required("metadata", metadata)?).within("metadata")?,
            spec: RuleSetSpec {
                sources: sources
                    .into_iter()
                    .map(|pb::SourceFile { name, text }| SourceFile { name, text })
                    .collect(),
                data,
            },
        })
    }
}
