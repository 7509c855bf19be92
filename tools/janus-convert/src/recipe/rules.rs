//! Which weights a rule of a recipe is for.

use std::cell::Cell;

use super::format::Format;

/// A rule: the modules below a place have their weights in a format.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The place, a name or `*` for each step.
    steps: Vec<String>,
    format: Format,
    used: Cell<bool>,
}

impl Rule {
    pub(super) fn new(place: &str, format: Format) -> Self {
        let steps = place.split('.').map(str::to_owned).collect();
        Self {
            steps,
            format,
            used: Cell::new(false),
        }
    }

    /// The place, as it was written.
    pub(super) fn place(&self) -> String {
        self.steps.join(".")
    }

    /// The part of the model that the place is in: its first step.
    pub(super) fn part(&self) -> &str {
        self.steps.first().map_or("", String::as_str)
    }

    /// Whether it was the most specific for any weight, or is for everything.
    pub(super) fn was_used(&self) -> bool {
        self.used.get() || self.steps == ["*"]
    }

    /// Whether a module lies at or below the place.
    fn covers(&self, module: &str) -> bool {
        let mut steps = module.split('.');
        self.steps
            .iter()
            .all(|step| steps.next().is_some_and(|s| step == "*" || step == s))
    }

    /// The longer a place, the more specific; then the fewer of its steps are `*`.
    fn specificity(&self) -> (usize, usize) {
        let named = self.steps.iter().filter(|step| *step != "*").count();
        (self.steps.len(), named)
    }
}

/// The format of a module's weights: what the most specific rule says, the last of equals.
pub(super) fn format_of(rules: &[Rule], module: &str) -> Option<Format> {
    let covering = rules.iter().filter(|rule| rule.covers(module));
    let rule = covering.max_by_key(|rule| rule.specificity())?;
    rule.used.set(true);
    Some(rule.format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::DType;

    #[test]
    fn the_most_specific_rule_counts() {
        let rules = [
            ("layers.*.mlp", "int8/32"),
            ("*", "fp32"),
            ("layers", "int4/32"),
            ("layers.0.mlp", "fp16"),
            ("unused.place", "fp16"),
        ];
        let rules = rules.map(|(place, format)| Rule::new(place, format.parse().unwrap()));
        let expected = [
            ("layers.0.mlp.down", "fp16"),
            ("layers.1.mlp.down", "int8/32"),
            ("layers.1.attention", "int4/32"),
            ("layersome", "fp32"),
            ("head", "fp32"),
        ];
        for (module, format) in expected {
            assert_eq!(
                format_of(&rules, module).unwrap().to_string(),
                format,
                "{module}"
            );
        }
        let unused: Vec<_> = rules.iter().filter(|rule| !rule.was_used()).collect();
        assert_eq!(unused.len(), 1);
        assert_eq!(unused[0].place(), "unused.place");
        assert_eq!(format_of(&[], "head"), None);
        assert_ne!(format_of(&rules, "head"), Some(Format::Float(DType::F16)));
    }
}
