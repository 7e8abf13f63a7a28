//! The directory of rules that all engines read: base.conf, CRS as it is, and one file a paranoia level that includes
//! them for libmodsecurity. Palisade's paranoia level is in its WafPolicy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// What a deployer sets before CRS: the engine blocks, request bodies are inspected and response bodies are not, no
/// audit log, and JSON and XML are parsed by their content types (ids as in ModSecurity's recommended configuration).
const BASE: &str = r#"SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 131072
SecRequestBodyLimitAction Reject
SecResponseBodyAccess Off
SecAuditEngine Off
SecDebugLogLevel 0
SecArgumentsLimit 1000
SecRequestBodyJsonDepthLimit 512
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application(?:/soap\+|/)|text/)xml" \
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" \
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/[a-z0-9.-]+\+json" \
    "id:200006,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
"#;

/// The paranoia levels that are compared.
pub const LEVELS: [u8; 2] = [1, 4];

/// Where CRS is: `--rules`, else `PALISADE_CRS`, else `shared/crs` beside the repository.
pub fn find(named: Option<&str>, root: &Path) -> Result<PathBuf> {
    let beside = root.join("../shared/crs");
    let directory = named
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("PALISADE_CRS").map(PathBuf::from))
        .unwrap_or(beside);
    ensure!(
        directory.join("rules").is_dir() && directory.join("crs-setup.conf.example").is_file(),
        "{} is not CRS; name a directory with rules/ and crs-setup.conf.example by --rules or PALISADE_CRS",
        directory.display()
    );
    Ok(directory)
}

/// Writes the directory.
pub fn prepare(crs: &Path, dir: &Path) -> Result<PathBuf> {
    let rules = dir.join("rules");
    if rules.exists() {
        fs::remove_dir_all(&rules)?;
    }
    fs::create_dir_all(rules.join("rules"))?;
    fs::write(rules.join("base.conf"), BASE)?;
    fs::copy(crs.join("crs-setup.conf.example"), rules.join("crs-setup.conf"))?;
    for entry in fs::read_dir(crs.join("rules"))? {
        let path = entry?.path();
        let name = path.file_name().context("a file name")?.to_owned();
        if path.extension().is_some_and(|extension| extension == "conf" || extension == "data") {
            fs::copy(&path, rules.join("rules").join(name))?;
        }
    }
    for level in LEVELS {
        let text = format!(
            "Include {0}/base.conf\nInclude {0}/crs-setup.conf\n\
             SecAction \"id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level={level}\"\n\
             Include {0}/rules/*.conf\n",
            rules.display()
        );
        fs::write(rules.join(format!("paranoia-{level}.conf")), text)?;
    }
    Ok(rules)
}
