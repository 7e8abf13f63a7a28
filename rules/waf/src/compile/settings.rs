//! Directives that set options: which have an effect here, which are others' business, and which are refused.

use std::sync::Arc;

use bytes::Bytes;
use palisade_model::documents::{OverLimit, WafPolicySpec};
use palisade_seclang::{EngineMode, LimitAction, Setting};

use super::modes::Modes;
use crate::act::weaker;
use crate::audit;
use crate::bodies::{json, urlencoded};
use crate::body_limits::BodyLimits;
use crate::engine::Settings;
use crate::limits::{ARGUMENTS, WORK_UNITS};
use crate::persistent::TIMEOUT_SECONDS;

/// Media types of response bodies that are inspected unless the rule set names others: ModSecurity's recommended
/// list, and JSON, which is what today's services leak through.
const RESPONSE_TYPES: [&str; 5] =
    ["text/plain", "text/html", "text/xml", "application/xml", "application/json"];

/// What holds before the first directive.
pub(super) fn of(policy: &WafPolicySpec, modes: &Modes) -> Settings {
    let mut pinned = Vec::new();
    let mut pin = |name: &'static str, value: String| {
        pinned.push((Bytes::from_static(name.as_bytes()), Bytes::from(value)));
    };
    if let Some(level) = policy.paranoia_level {
        pin("blocking_paranoia_level", level.to_string());
        pin("detection_paranoia_level", level.to_string());
    }
    if let Some(thresholds) = policy.thresholds {
        pin("inbound_anomaly_score_threshold", thresholds.inbound.to_string());
        pin("outbound_anomaly_score_threshold", thresholds.outbound.to_string());
    }
    Settings {
        mode: if modes.blocks { EngineMode::On } else { EngineMode::DetectionOnly },
        request_body_access: true,
        response_body_access: policy.response_body.is_some(),
        request_limit: policy.request_body,
        response_limit: policy.response_body,
        bodies: policy.bodies,
        response_types: RESPONSE_TYPES.map(str::to_owned).to_vec(),
        arguments_limit: ARGUMENTS,
        argument_separator: urlencoded::SEPARATOR,
        upload_file_limit: None,
        unicode_map: None,
        body_limits: BodyLimits::default(),
        web_app_id: Bytes::from_static(b"default"),
        collection_timeout: TIMEOUT_SECONDS,
        keeps_records: false,
        json_depth: json::DEPTH_LIMIT,
        pinned,
        judges_body_errors: false,
        judges_forms: false,
        work_units: WORK_UNITS,
        audit: Arc::default(),
    }
}

/// Applies a directive. The error says what is not supported.
pub(super) fn apply(settings: &mut Settings, setting: &Setting) -> Result<(), String> {
    use Setting as S;
    if audit::apply(Arc::make_mut(&mut settings.audit), setting)? {
        return Ok(());
    }
    match setting {
        S::SecRuleEngine(mode) => settings.mode = weaker(settings.mode, *mode),
        S::SecRequestBodyAccess(on) => settings.request_body_access = *on,
        S::SecArgumentsLimit(limit) => {
            settings.arguments_limit =
                usize::try_from(*limit).map_or(ARGUMENTS, |limit| limit.min(ARGUMENTS));
        }
        S::SecRequestBodyLimit(bytes) => settings.body_limits.request = Some(*bytes),
        S::SecRequestBodyNoFilesLimit(bytes) => settings.body_limits.request_without_files = Some(*bytes),
        S::SecRequestBodyLimitAction(action) => settings.body_limits.request_over = over(*action),
        S::SecResponseBodyLimit(bytes) => settings.body_limits.response = Some(*bytes),
        S::SecResponseBodyLimitAction(action) => settings.body_limits.response_over = over(*action),
        S::SecWebAppId(name) => settings.web_app_id = Bytes::copy_from_slice(name.as_bytes()),
        S::SecCollectionTimeout(seconds) => settings.collection_timeout = *seconds,
        S::SecRequestBodyJsonDepthLimit(depth) => {
            let depth = usize::try_from(*depth).unwrap_or(usize::MAX);
            settings.json_depth = depth.min(json::DEPTH_LIMIT);
        }
        S::SecResponseBodyMimeType(types) => {
            if settings.response_types == RESPONSE_TYPES {
                settings.response_types.clear();
            }
            settings.response_types.extend(types.iter().map(|name| name.to_ascii_lowercase()));
        }
        S::SecResponseBodyMimeTypesClear(()) => settings.response_types.clear(),
        S::SecArgumentSeparator(separator) => settings.argument_separator = separator.0,
        S::SecUploadFileLimit(files) => settings.upload_file_limit = Some(*files),
        S::SecCookieFormat(format) if *format != 0 => return unsupported(setting, "0 alone"),
        S::SecCookieV0Separator(separator) if separator != ";" => return unsupported(setting, "; alone"),
        S::SecConnEngine(mode) if *mode != EngineMode::Off => return unsupported(setting, "Off alone"),
        S::SecHashEngine(true)
        | S::SecContentInjection(true)
        | S::SecStreamInBodyInspection(true)
        | S::SecStreamOutBodyInspection(true)
        | S::SecDisableBackendCompression(true)
        | S::SecXmlExternalEntity(true) => return unsupported(setting, "Off alone"),
        S::SecRemoteRules(_) | S::SecHttpBlKey(_) | S::SecChrootDir(_) | S::SecServerSignature(_) => {
            return Err(format!("{} is not supported", setting.name()));
        }
        // What changes nothing has a note (see `notes`).
        _ => {}
    }
    Ok(())
}

fn over(action: LimitAction) -> OverLimit {
    match action {
        LimitAction::Reject => OverLimit::Reject,
        LimitAction::ProcessPartial => OverLimit::InspectPrefix,
    }
}

fn unsupported(setting: &Setting, supported: &str) -> Result<(), String> {
    Err(format!("this value of {} is not supported ({supported})", setting.name()))
}
