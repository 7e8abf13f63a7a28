//! The Core Rule Set on disk: where it is, and laid out for a proxy with rules before and after it.
//!
//! The released files are copied byte for byte; nothing of them is changed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A released Core Rule Set.
#[derive(Clone, Debug)]
pub struct CoreRuleSet {
    /// `crs-setup.conf`, or the example of it.
    setup: PathBuf,
    /// The directory of the rule files.
    rules: PathBuf,
    /// Plugins, if there are any.
    plugins: Option<PathBuf>,
}

impl CoreRuleSet {
    /// Finds it from the directory of its rule files, or from the one above.
    pub fn at(directory: &Path) -> Result<Self> {
        let below = directory.join("rules");
        let rules = if has_rules(directory) {
            directory.to_owned()
        } else if has_rules(&below) {
            below
        } else {
            bail!("{}: no rule files (*.conf) here or in rules/", directory.display());
        };
        let parent = rules.canonicalize()?.parent().map(Path::to_owned).unwrap_or_default();
        let places = [directory, rules.as_path(), parent.as_path()];
        let names = ["crs-setup.conf", "crs-setup.conf.example"];
        let mut setups = names.iter().flat_map(|name| places.iter().map(move |place| place.join(name)));
        let setup = setups.find(|path| path.is_file()).with_context(|| {
            format!("{}: no crs-setup.conf(.example) here or beside the rules", directory.display())
        })?;
        let plugins = places.iter().map(|place| place.join("plugins")).find(|path| path.is_dir());
        Ok(Self { setup, rules, plugins })
    }

    /// The one that tests run with: `PALISADE_CRS`, or `shared/crs` beside the repository. Says so if there is none.
    pub fn for_tests() -> Option<(Self, PathBuf)> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/crs");
        let place = std::env::var_os("PALISADE_CRS").map_or(beside, PathBuf::from);
        match Self::at(&place) {
            Ok(found) => Some((found, place)),
            Err(error) => {
                println!("skipped: no Core Rule Set ({error:#}); set PALISADE_CRS");
                None
            }
        }
    }

    /// Copies it into `directory`, with rules of one's own before its set-up and after its last rule. Gives the files in
    /// the order in which they are read.
    pub fn lay_out(&self, directory: &Path, before: &str, after: &str) -> Result<Vec<String>> {
        let mut include = vec!["before.conf".to_owned(), "crs-setup.conf".to_owned()];
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("before.conf"), before)?;
        std::fs::write(directory.join("after.conf"), after)?;
        std::fs::copy(&self.setup, directory.join("crs-setup.conf"))?;
        copy_all(&self.rules, &directory.join("rules"))?;
        let mut last = Vec::new();
        if let Some(plugins) = &self.plugins {
            let names = copy_all(plugins, &directory.join("plugins"))?;
            let hook = |kind: &str| {
                names.iter().any(|name| name.ends_with(kind)).then(|| format!("plugins/*{kind}"))
            };
            include.extend(hook("-config.conf"));
            include.extend(hook("-before.conf"));
            last.extend(hook("-after.conf"));
        }
        include.push("rules/*.conf".to_owned());
        include.extend(last);
        include.push("after.conf".to_owned());
        Ok(include)
    }
}

fn has_rules(directory: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.ends_with(".conf") && name != "crs-setup.conf"
    })
}

/// Copies the files of a directory, not those below; gives their names.
fn copy_all(from: &Path, to: &Path) -> Result<Vec<String>> {
    std::fs::create_dir_all(to)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| path.is_file()) else { continue };
        std::fs::copy(&path, to.join(name)).with_context(|| path.display().to_string())?;
        names.push(name.to_string_lossy().into_owned());
    }
    Ok(names)
}
