//! `WafPolicy`.

use palisade_model::audit::AuditEngine;
use palisade_model::documents::{
    AuditLog, BodyLimit, BodyReading, Exclusion, GroupMode, Metadata, Mode, OverLimit, Selector, Streams,
    Thresholds, Unknown, WafPolicy, WafPolicySpec,
};

use super::{Converted, FromProto, ToProto, Within, each, expect_constant, fault, number, required};
use crate::generated as pb;

const API_VERSION: &str = "palisade.dev/v1alpha1";
const KIND: &str = "WafPolicy";

impl ToProto for WafPolicy {
    type Message = pb::WafPolicy;

    fn to_proto(&self) -> Converted<Self::Message> {
        expect_constant("apiVersion", &self.api_version, API_VERSION)?;
        expect_constant("kind", &self.kind, KIND)?;
        let spec = &self.spec;
        Ok(pb::WafPolicy {
            metadata: Some(self.metadata.to_proto().within("metadata")?),
            selector: spec.selector.as_ref().map(Selector::to_proto).transpose()?,
            rule_set: spec.rule_set.clone(),
            mode: mode_to_proto(spec.mode),
            groups: spec.groups.iter().map(group_to_proto).collect(),
            paranoia_level: spec.paranoia_level.map(u32::from),
            thresholds: spec
                .thresholds
                .map(|Thresholds { inbound, outbound }| pb::Thresholds { inbound, outbound }),
            exclusions: spec.exclusions.iter().cloned().map(exclusion_to_proto).collect(),
            request_body: Some(limit_to_proto(spec.request_body).within("requestBody")?),
            response_body: spec.response_body.map(limit_to_proto).transpose().within("responseBody")?,
            bodies: (!spec.bodies.is_default()).then(|| reading_to_proto(spec.bodies)),
            audit_log: (!spec.audit_log.is_default()).then(|| audit_to_proto(&spec.audit_log)),
        })
    }
}

impl FromProto for WafPolicy {
    type Message = pb::WafPolicy;

    fn from_proto(message: Self::Message) -> Converted<Self> {
        let pb::WafPolicy {
            metadata,
            selector,
            rule_set,
            mode,
            groups,
            paranoia_level,
            thresholds,
            exclusions,
            request_body,
            response_body,
            bodies,
            audit_log,
        } = message;
        if rule_set.is_empty() {
            return Err(fault("rule_set", "is empty"));
        }
        Ok(Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            metadata: Metadata::from_proto(required("metadata", metadata)?).within("metadata")?,
            spec: WafPolicySpec {
                selector: selector.map(Selector::from_proto).transpose().within("selector")?,
                rule_set,
                mode: mode_from_proto(mode)?,
                groups: each("groups", groups, group_from_proto)?,
                paranoia_level: paranoia_level.map(|level| number("paranoia_level", level)).transpose()?,
                thresholds: thresholds
                    .map(|pb::Thresholds { inbound, outbound }| Thresholds { inbound, outbound }),
                exclusions: exclusions.into_iter().map(exclusion_from_proto).collect(),
                request_body: limit_from_proto(required("request_body", request_body)?)
                    .within("request_body")?,
                response_body: response_body.map(limit_from_proto).transpose().within("response_body")?,
                bodies: bodies.map(reading_from_proto).transpose().within("bodies")?.unwrap_or_default(),
                audit_log: audit_log
                    .map(audit_from_proto)
                    .transpose()
                    .within("audit_log")?
                    .unwrap_or_default(),
            },
        })
    }
}

fn mode_to_proto(mode: Mode) -> i32 {
    match mode {
        Mode::Off => pb::WafMode::Off,
        Mode::Detect => pb::WafMode::Detect,
        Mode::Block => pb::WafMode::Block,
    }
    .into()
}

fn mode_from_proto(mode: i32) -> Converted<Mode> {
    match pb::WafMode::try_from(mode) {
        Ok(pb::WafMode::Off) => Ok(Mode::Off),
        Ok(pb::WafMode::Detect) => Ok(Mode::Detect),
        Ok(pb::WafMode::Block) => Ok(Mode::Block),
        Ok(pb::WafMode::Unspecified) | Err(_) => {
            Err(fault("mode", format!("{mode} is not a mode this version knows")))
        }
    }
}

fn group_to_proto(group: &GroupMode) -> pb::GroupMode {
    pb::GroupMode { tag: group.tag.clone(), ids: group.ids.clone(), mode: mode_to_proto(group.mode) }
}

fn group_from_proto(group: pb::GroupMode) -> Converted<GroupMode> {
    Ok(GroupMode { tag: group.tag, ids: group.ids, mode: mode_from_proto(group.mode)? })
}

fn exclusion_to_proto(exclusion: Exclusion) -> pb::Exclusion {
    let Exclusion { ids, tag, target } = exclusion;
    pb::Exclusion { ids, tag, target }
}

fn exclusion_from_proto(exclusion: pb::Exclusion) -> Exclusion {
    let pb::Exclusion { ids, tag, target } = exclusion;
    Exclusion { ids, tag, target }
}

fn limit_to_proto(limit: BodyLimit) -> Converted<pb::BodyLimit> {
    let over = match limit.over {
        OverLimit::Reject => pb::OverLimit::Reject,
        OverLimit::InspectPrefix => pb::OverLimit::InspectPrefix,
    };
    Ok(pb::BodyLimit { max_bytes: number("maxBytes", limit.max_bytes)?, over: over.into() })
}

fn limit_from_proto(limit: pb::BodyLimit) -> Converted<BodyLimit> {
    let over = match pb::OverLimit::try_from(limit.over) {
        Ok(pb::OverLimit::Reject) => OverLimit::Reject,
        Ok(pb::OverLimit::InspectPrefix) => OverLimit::InspectPrefix,
        Ok(pb::OverLimit::Unspecified) | Err(_) => {
            return Err(fault("over", format!("{} is not a choice this version knows", limit.over)));
        }
    };
    Ok(BodyLimit { max_bytes: number("max_bytes", limit.max_bytes)?, over })
}

fn reading_to_proto(bodies: BodyReading) -> pb::BodyReading {
    let BodyReading { unknown_types, unknown_encodings, unknown_charsets, .. } = bodies;
    let BodyReading { grpc, event_streams, web_sockets, upload_bytes, .. } = bodies;
    let unknown = |unknown: Unknown| -> i32 {
        match unknown {
            Unknown::Reject => pb::UnknownBody::Reject,
            Unknown::InspectRaw => pb::UnknownBody::InspectRaw,
            Unknown::Uninspected => pb::UnknownBody::Uninspected,
        }
        .into()
    };
    let streams = |streams: Streams| -> i32 {
        match streams {
            Streams::Uninspected => pb::StreamedBody::Uninspected,
            Streams::Reject => pb::StreamedBody::Reject,
        }
        .into()
    };
    pb::BodyReading {
        unknown_types: unknown(unknown_types),
        unknown_encodings: unknown(unknown_encodings),
        unknown_charsets: unknown(unknown_charsets),
        grpc: streams(grpc),
        event_streams: streams(event_streams),
        web_sockets: streams(web_sockets),
        upload_bytes,
    }
}

fn reading_from_proto(bodies: pb::BodyReading) -> Converted<BodyReading> {
    let refused =
        |field: &str, value: i32| Err(fault(field, format!("{value} is not a choice this version knows")));
    let unknown = |field: &str, value: i32| match pb::UnknownBody::try_from(value) {
        Ok(pb::UnknownBody::Reject) => Ok(Unknown::Reject),
        Ok(pb::UnknownBody::InspectRaw) => Ok(Unknown::InspectRaw),
        Ok(pb::UnknownBody::Uninspected) => Ok(Unknown::Uninspected),
        Ok(pb::UnknownBody::Unspecified) | Err(_) => refused(field, value).map(|()| Unknown::Reject),
    };
    let streams = |field: &str, value: i32| match pb::StreamedBody::try_from(value) {
        Ok(pb::StreamedBody::Uninspected) => Ok(Streams::Uninspected),
        Ok(pb::StreamedBody::Reject) => Ok(Streams::Reject),
        Ok(pb::StreamedBody::Unspecified) | Err(_) => refused(field, value).map(|()| Streams::Reject),
    };
    Ok(BodyReading {
        unknown_types: unknown("unknown_types", bodies.unknown_types)?,
        unknown_encodings: unknown("unknown_encodings", bodies.unknown_encodings)?,
        unknown_charsets: unknown("unknown_charsets", bodies.unknown_charsets)?,
        grpc: streams("grpc", bodies.grpc)?,
        event_streams: streams("event_streams", bodies.event_streams)?,
        web_sockets: streams("web_sockets", bodies.web_sockets)?,
        upload_bytes: bodies.upload_bytes,
    })
}

fn audit_to_proto(audit: &AuditLog) -> pb::AuditLog {
    let AuditLog { engine, parts, headers, uri, matched_bytes, bodies } = audit.clone();
    let engine = engine.map(|engine| match engine {
        AuditEngine::Off => pb::AuditEngine::Off.into(),
        AuditEngine::RelevantOnly => pb::AuditEngine::RelevantOnly.into(),
        AuditEngine::On => pb::AuditEngine::On.into(),
    });
    pb::AuditLog { engine, parts, headers, uri, matched_bytes, bodies }
}

fn audit_from_proto(audit: pb::AuditLog) -> Converted<AuditLog> {
    let pb::AuditLog { engine, parts, headers, uri, matched_bytes, bodies } = audit;
    let engine = engine.map(|engine| match pb::AuditEngine::try_from(engine) {
        Ok(pb::AuditEngine::Off) => Ok(AuditEngine::Off),
        Ok(pb::AuditEngine::RelevantOnly) => Ok(AuditEngine::RelevantOnly),
        Ok(pb::AuditEngine::On) => Ok(AuditEngine::On),
        Ok(pb::AuditEngine::Unspecified) | Err(_) => {
            Err(fault("engine", format!("{engine} is not a choice this version knows")))
        }
    });
    Ok(AuditLog { engine: engine.transpose()?, parts, headers, uri, matched_bytes, bodies })
}
