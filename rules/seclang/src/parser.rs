//! Reads root files and what they include, in order, into one list of directives.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::actions::Action;
use crate::diagnostics::{Report, clip};
use crate::directives::{self, Directive, DirectiveBody, Read, Rule, Setting};
use crate::limits::{Limits, MAX_ACTIONS, MAX_NAME_BYTES, MAX_OPERATOR_FILES, MAX_TARGETS};
use crate::lines::Lines;
use crate::operators::Operator;
use crate::sources::{Source, SourceError, Sources, is_glob};
use crate::span::{File, Span};
use crate::structure;
use crate::{Ast, DataFile, Diagnostics};

pub(crate) fn parse(roots: &[Source], sources: &dyn Sources, limits: Limits) -> Result<Ast, Diagnostics> {
    let mut parser = Parser {
        sources,
        limits,
        report: Report::default(),
        ast: Ast::default(),
        data: BTreeMap::new(),
        named: BTreeMap::new(),
        includes: 0,
        bytes: 0,
        directives: 0,
        rules: 0,
        parts: 0,
        open: Vec::new(),
        stopped: false,
    };
    for root in roots {
        parser.file(root, None);
    }
    parser.close_chain();
    if parser.report.is_empty() {
        structure::check(&parser.ast.directives, &mut parser.report);
    }
    if parser.report.is_empty() { Ok(parser.ast) } else { Err(parser.report.finish(&parser.ast.files)) }
}

struct Parser<'a> {
    sources: &'a dyn Sources,
    limits: Limits,
    report: Report,
    ast: Ast,
    /// Data files by their resolved names.
    data: BTreeMap<String, usize>,
    /// Data files by the folder and the name that rules use, so that none is looked up twice.
    named: BTreeMap<(String, String), usize>,
    /// `Include` directives that were followed; each may look through all names.
    includes: usize,
    bytes: usize,
    directives: usize,
    rules: usize,
    /// See [`crate::limits::MAX_PARTS`].
    parts: usize,
    /// The files that are being read, each named by the one before it.
    open: Vec<String>,
    /// A limit of the whole rule set is passed; nothing more is read.
    stopped: bool,
}

impl Parser<'_> {
    /// Reads a file and what it includes. `from` is the place that names it; a root has none.
    fn file(&mut self, source: &Source, from: Option<Span>) {
        let index = self.ast.files.len() as u32;
        let place = from.unwrap_or(Span { file: index, start: 0, end: 0 });
        if self.stopped || !self.count(source, place, from.is_none()) {
            return;
        }
        self.ast.files.push(File::new(&source.name, &source.text));
        self.open.push(source.name.clone());
        let mut lines = Lines::new(&source.text, index, self.limits.directive_bytes);
        while !self.stopped
            && let Some(line) = lines.next(&mut self.report)
        {
            match directives::read(&line, &mut self.report) {
                Some(Read::Include { pattern, span }) => self.include(&source.name, &pattern, span),
                Some(Read::Directive { name, body, span }) => {
                    self.directive(&source.name, Directive { name, body, span });
                }
                None => {}
            }
        }
        self.open.pop();
    }

    /// Counts a file against the limits. A root is put on the list of files even if it is too much, so that the
    /// diagnostic has a file.
    fn count(&mut self, source: &Source, place: Span, is_root: bool) -> bool {
        self.bytes = self.bytes.saturating_add(source.text.len());
        let files = self.ast.files.len() + self.ast.data.len() + 1;
        let problem = if files > self.limits.files {
            format!("{:?} is file number {files}; {} are allowed", clip(&source.name), self.limits.files)
        } else if self.bytes > self.limits.total_bytes {
            let most = self.limits.total_bytes;
            format!("with {:?} the rule set has {} bytes; {most} are allowed", clip(&source.name), self.bytes)
        } else {
            return true;
        };
        if is_root {
            self.ast.files.push(File::new(&source.name, ""));
        }
        self.report.error(place, problem);
        self.stopped = true;
        false
    }

    fn include(&mut self, from: &str, pattern: &str, span: Span) {
        self.includes += 1;
        if self.includes > self.limits.files {
            self.report.error(span, format!("more than {} Include directives", self.limits.files));
            self.stopped = true;
            return;
        }
        if self.open.len() > self.limits.include_depth {
            let most = self.limits.include_depth;
            self.report.error(span, format!("files include one another deeper than {most} levels"));
            self.stopped = true;
            return;
        }
        if pattern.len() > MAX_NAME_BYTES {
            return self.report.error(span, format!("a name has at most {MAX_NAME_BYTES} bytes"));
        }
        let names = if is_glob(pattern) {
            match self.sources.expand(from, pattern) {
                Ok(names) => names,
                Err(error) => return self.report.error(span, error.to_string()),
            }
        } else {
            vec![pattern.to_owned()]
        };
        if names.is_empty() {
            self.report.error(span, "no file matches this pattern");
        }
        for name in names {
            match self.sources.read(from, &name) {
                Ok(source) if self.open.contains(&source.name) => {
                    self.report.error(span, format!("{:?} includes itself", clip(&source.name)));
                }
                Ok(source) => self.file(&source, Some(span)),
                Err(error) => self.report.error(span, error.to_string()),
            }
        }
    }

    fn directive(&mut self, from: &str, mut directive: Directive) {
        self.directives += 1;
        let parts = parts(&directive.body);
        self.parts = self.parts.saturating_add(parts);
        let is_rule = matches!(directive.body, DirectiveBody::Rule(_));
        self.rules += usize::from(is_rule);
        for (count, most, what) in [
            (self.rules, self.limits.rules, "rules"),
            (self.directives, self.limits.directives, "directives"),
            (self.parts, self.limits.parts, "targets and actions over all rules"),
        ] {
            if count > most {
                self.report.error(directive.span, format!("more than {most} {what}"));
                self.stopped = true;
                return;
            }
        }
        if let DirectiveBody::Rule(rule) = &mut directive.body {
            check_size(rule, &mut self.report);
            if let Some(operator) = &mut rule.operator {
                self.read_data(from, operator);
            }
            let Directive { name, body: DirectiveBody::Rule(rule), span } = directive else { return };
            if let Some(rule) = structure::link(self.ast.directives.last_mut(), *rule, &mut self.report) {
                self.push(Directive { name, body: DirectiveBody::Rule(Box::new(rule)), span });
            }
            return;
        }
        if let DirectiveBody::Setting(Setting::SecUnicodeMapFile(map)) = &mut directive.body {
            // Every installation's configuration names one, most rule sets bring none: that is not an error.
            let read = self.named_file(from, map.path.clone(), directive.span);
            map.data = read.ok().flatten();
        }
        self.close_chain();
        self.push(directive);
    }

    fn push(&mut self, directive: Directive) {
        self.ast.directives.push(directive);
    }

    /// Nothing but a link may follow `chain`.
    fn close_chain(&mut self) {
        if let Some(span) = structure::open_chain(self.ast.directives.last()) {
            let word = Span { end: span.start + 1, ..span };
            self.report.error(word, "this rule says chain, but no rule follows");
        }
    }

    fn read_data(&mut self, from: &str, operator: &mut Operator) {
        if !operator.kind.reads_files() {
            return;
        }
        let Some(argument) = operator.argument.as_literal() else {
            return self.report.error(operator.argument_span, "the name of a file cannot have an expansion");
        };
        let names: Vec<String> = argument.split_ascii_whitespace().map(str::to_owned).collect();
        if names.len() > MAX_OPERATOR_FILES {
            let problem = format!("{} files; {MAX_OPERATOR_FILES} are allowed", names.len());
            return self.report.error(operator.argument_span, problem);
        }
        for name in names {
            if self.stopped {
                return;
            }
            if name.len() > MAX_NAME_BYTES {
                let problem = format!("a name has at most {MAX_NAME_BYTES} bytes");
                return self.report.error(operator.argument_span, problem);
            }
            if let Some(index) = self.data_file(from, name, operator.argument_span)
                && !operator.data.contains(&index)
            {
                operator.data.push(index);
            }
        }
    }

    /// The index of a data file that must be there.
    fn data_file(&mut self, from: &str, name: String, place: Span) -> Option<usize> {
        match self.named_file(from, name, place) {
            Ok(index) => index,
            Err(error) => {
                self.report.error(place, error.to_string());
                None
            }
        }
    }

    /// The index of a data file, which is read when it is first named; none: it is over a limit, which is reported.
    fn named_file(&mut self, from: &str, name: String, place: Span) -> Result<Option<usize>, SourceError> {
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let key = (folder, name);
        if let Some(index) = self.named.get(&key) {
            return Ok(Some(*index));
        }
        let source = self.sources.read(from, &key.1)?;
        let index = match self.data.get(&source.name) {
            Some(index) => *index,
            None => {
                if !self.count(&source, place, false) {
                    return Ok(None);
                }
                let index = self.ast.data.len();
                self.data.insert(source.name.clone(), index);
                self.ast.data.push(DataFile { name: source.name, text: Arc::from(source.text) });
                index
            }
        };
        self.named.insert(key, index);
        Ok(Some(index))
    }
}

/// What a directive takes in memory beyond itself: targets, actions, pieces of expanded text.
fn parts(body: &DirectiveBody) -> usize {
    let texts = |actions: &[Action]| {
        actions.iter().map(|action| 1 + action.kind.text().map_or(0, |text| text.parts.len())).sum::<usize>()
    };
    match body {
        DirectiveBody::Rule(rule) => {
            let argument = rule.operator.as_ref().map_or(0, |operator| operator.argument.parts.len());
            rule.variables.len() + argument + texts(&rule.actions)
        }
        DirectiveBody::DefaultAction { actions, .. }
        | DirectiveBody::UpdateAction { actions, .. }
        | DirectiveBody::Script { actions, .. } => texts(actions),
        DirectiveBody::RemoveById(ranges) => ranges.len(),
        DirectiveBody::UpdateTarget(update) => {
            update.variables.len() + update.replaced.as_ref().map_or(0, Vec::len)
        }
        _ => 0,
    }
}

/// One rule alone is no bomb either.
fn check_size(rule: &Rule, report: &mut Report) {
    for (count, most, what) in
        [(rule.variables.len(), MAX_TARGETS, "targets"), (rule.actions.len(), MAX_ACTIONS, "actions")]
    {
        if count > most {
            report.error(rule.span, format!("a rule of {count} {what}; {most} are allowed"));
        }
    }
}

/// All rules of a list with their links.
pub(crate) fn rules(directives: &[Directive]) -> impl Iterator<Item = &Rule> {
    directives.iter().filter_map(|directive| match &directive.body {
        DirectiveBody::Rule(rule) => Some(&**rule),
        _ => None,
    })
}
