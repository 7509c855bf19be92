//! An export against the tensors of a golden file.

use std::path::Path;

use janus_runtime::manifest::DType;
use janus_runtime::{GraphKind, ModelDir, SessionOptions};

use crate::compare::compare;
use crate::error::{Error, Result};
use crate::formula::{Formula, inputs};
use crate::precision::Limits;
use crate::report::{NotChecked, Reason, Report, Row};
use crate::run::Run;
use crate::tensor_file::TensorFile;

/// Runs the graphs of `model` on the inputs in `golden` and compares with the outputs in it; where sizes
/// are fixed, the transformer's for every cache that is large enough.
///
/// Floats may be off by the relative error `tolerance`, by default what [`default_tolerance`] says
/// of the export's precision; integers have to be equal.
///
/// # Errors
///
/// [`Error::NothingToCompare`] where the file has none of the outputs, or for none of them all the
/// inputs. A tensor that is off is not an error: see [`Report::passed`].
pub fn validate(
    model: &ModelDir,
    options: &SessionOptions,
    golden: &Path,
    tolerance: Option<f64>,
) -> Result<Report> {
    let golden = TensorFile::read(golden)?;
    let dtype = model.manifest().converter.dtype;
    let mut comparison = Comparison {
        run: Run::new(model, options, &golden),
        golden: &golden,
        caches: model.manifest().cache_sizes(),
        tolerance: tolerance.unwrap_or_else(|| default_tolerance(dtype)),
    };
    let (mut rows, mut not_checked) = (Vec::new(), Vec::new());
    let drawing = &model.manifest().drawing;
    for formula in Formula::ALL {
        let name = formula.name();
        let mut skip = |reason| {
            not_checked.push(NotChecked {
                name: name.to_owned(),
                reason,
            })
        };
        match (golden.contains(name), formula.belongs_to(drawing)) {
            (true, true) => {}
            (true, false) => {
                skip(Reason::OtherDrawing);
                continue;
            }
            (false, true) => {
                skip(Reason::Absent);
                continue;
            }
            (false, false) => continue,
        }
        match comparison.row(formula, 0) {
            Ok(row) => rows.push((formula, row)),
            Err(Error::MissingTensor { tensor, .. }) => skip(Reason::Needs(tensor)),
            Err(error) => return Err(error),
        }
    }
    if rows.is_empty() {
        return Err(Error::NothingToCompare {
            path: golden.path().to_owned(),
            known: Formula::ALL.map(Formula::name).join(", "),
            found: golden.listed_names(),
        });
    }
    let larger = comparison.in_larger_caches(&rows)?;
    not_checked.extend(without_formula(&golden));
    let rows = rows.into_iter().map(|(_, row)| row);
    Ok(Report {
        rows: rows.chain(larger).collect(),
        not_checked,
    })
}

/// A model and what it is compared with.
struct Comparison<'a> {
    run: Run<'a>,
    golden: &'a TensorFile,
    /// Positions of the transformer's caches, ascending, where sizes are fixed.
    caches: Vec<usize>,
    tolerance: f64,
}

impl Comparison<'_> {
    /// Computes an output with a cache that has room for so many positions at least.
    fn row(&mut self, formula: Formula, room: usize) -> Result<Row> {
        let found = self.run.output(formula, room)?;
        let positions = self.run.positions(formula)?.max(room);
        let cache = self.caches.iter().find(|&&size| size >= positions);
        let cache = cache.filter(|_| formula.has_cache()).copied();
        let context = self.caches.last().copied();
        let graphs = formula.graphs().iter().map(|graph| match (*graph, cache) {
            (GraphKind::LanguageModel, Some(size)) if cache != context => {
                GraphKind::LanguageModelBucket(size)
            }
            (graph, _) => graph,
        });
        let graphs: Vec<_> = graphs.collect();
        let (golden, name) = (self.golden, formula.name());
        compare(golden, name, (&graphs, cache), &found, self.tolerance)
    }

    /// The outputs once more, in each cache that is larger than the smallest one that holds them.
    fn in_larger_caches(&mut self, rows: &[(Formula, Row)]) -> Result<Vec<Row>> {
        let mut larger = Vec::new();
        for size in self.caches.clone() {
            for (formula, row) in rows {
                if row.cache.is_some_and(|cache| cache < size) {
                    larger.push(self.row(*formula, size)?);
                }
            }
        }
        Ok(larger)
    }
}

/// The relative error that an export of a precision may have on the CPU: 1e-5 in 32 bits, 5e-3 in
/// 16, and that of [`Limits`] in the integer formats.
pub fn default_tolerance(dtype: DType) -> f64 {
    Limits::of(dtype).relative_error
}

/// Tensors of the file that no formula reads or gives.
fn without_formula(golden: &TensorFile) -> Vec<NotChecked> {
    let is_known = |name: &str| {
        inputs::ALL.contains(&name) || Formula::ALL.iter().any(|formula| formula.name() == name)
    };
    let mut names = golden.names();
    names.retain(|name| !is_known(name));
    names
        .into_iter()
        .map(|name| NotChecked {
            name,
            reason: Reason::Unknown,
        })
        .collect()
}
