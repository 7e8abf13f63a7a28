//! Rules and policy as the suite wants them: paranoia level 4, detection only, response bodies read.

use std::path::Path;

use anyhow::Result;
use palisade_tests::rule_set::CoreRuleSet;
use serde_json::{Value, json};

/// Before the set-up. The first rule is what the suite's README sets for its tests. The others are what any ModSecurity
/// has beside CRS and the suite relies on: who reads which body, and what becomes of a body that cannot be read.
const BEFORE: &str = r#"
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml application/json

SecAction "id:900005,phase:1,nolog,pass,\
    setvar:tx.crs_validate_utf8_encoding=1,\
    setvar:tx.arg_name_length=100,\
    setvar:tx.arg_length=400,\
    setvar:tx.total_arg_length=64000,\
    setvar:tx.max_num_args=255,\
    setvar:tx.max_file_size=64100,\
    setvar:tx.combined_file_sizes=65535"

SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application|text)/(?:soap\+|[a-z.\-]+\+)?xml" \
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" \
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/[a-z0-9.\-]+\+json" \
    "id:200006,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" \
    "id:200002,phase:2,t:none,deny,status:400,log,msg:'The request body cannot be read',logdata:'%{REQBODY_ERROR_MSG}',severity:CRITICAL"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" \
    "id:200003,phase:2,t:none,deny,status:400,log,msg:'Multipart parsing error: %{MULTIPART_STRICT_ERROR}',severity:CRITICAL"
"#;

/// The marker of the suite's own runner, which writes a line before and after each stage. Our runners need none; it is
/// here so that the suite's runner can be pointed at this configuration.
const MARKER: &str = r#"
SecRule REQUEST_HEADERS:X-CRS-Test "@rx ^.*$" \
    "id:999999,phase:1,t:none,pass,log,msg:'X-CRS-Test %{MATCHED_VAR}',ctl:ruleRemoveById=1-999999"
"#;

/// Lays the rules out in `directory`; gives the files in their order.
pub fn lay_out(crs: &CoreRuleSet, directory: &Path) -> Result<Vec<String>> {
    crs.lay_out(directory, &format!("{BEFORE}{MARKER}"), "")
}

/// The policy: what a WafPolicy document says.
pub fn waf_policy() -> Value {
    json!({
        "ruleSet": "rules",
        "mode": "detect",
        "paranoiaLevel": 4,
        "responseBody": {"maxBytes": 524_288, "over": "inspectPrefix"},
        "auditLog": {"engine": "on", "matchedBytes": true, "headers": true, "uri": true},
    })
}
