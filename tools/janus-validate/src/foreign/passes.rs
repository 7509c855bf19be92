//! The graphs of another exporter, run on what an export is run on.

use std::ops::ControlFlow;

use janus_runtime::{Graph, ModelDir, Output, SessionOptions};
use ndarray::Array;

use super::ForeignDir;
use super::layout::{Part, What};
use super::reference::Reference;
use super::session::Pass;
use crate::default_tolerance;
use crate::error::{Error, Result};
use crate::report::{NotChecked, Reason, Report};

/// Runs graphs that another exporter wrote on the same inputs as an export of the same weights and
/// compares what they give.
///
/// The inputs are a prompt with a picture and steps after it; each graph is given what the export's
/// graphs hand on. The transformer runs a prompt without a cache, then steps of one position with the
/// keys and values that it gave. Told is, of hidden states, embeddings and scores, the largest relative
/// error of any position. The tolerance is that of [`default_tolerance`], of the graph's precision or of
/// the export's if that is larger, unless one is given. `options` are for the graphs and for the export.
/// `progress` is told each graph, and may stop it.
///
/// # Errors
///
/// [`Error::ForeignGraph`] where a graph cannot be opened or does not take the inputs,
/// [`Error::OtherOutput`] where it gives another shape, [`Error::Cancelled`]. Numbers that differ are not
/// an error: see [`Report::passed`].
pub fn compare_foreign(
    foreign: &ForeignDir,
    reference: &ModelDir,
    options: [&SessionOptions; 2],
    tolerance: Option<f64>,
    progress: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<Report> {
    let least = default_tolerance(reference.manifest().converter.dtype);
    let language = &reference.manifest().language;
    let heads = [language.num_kv_heads, language.head_dim];
    let mut expected = Reference::new(reference, options[1])?;
    let mut rows = Vec::new();
    for file in &foreign.graphs {
        if progress(&file.name).is_break() {
            return Err(Error::Cancelled);
        }
        let mut pass = Pass {
            file,
            graph: Graph::of_file(&file.path, file.form.part.role(), options[0])
                .map_err(|source| file.failed(source))?,
            tolerance: tolerance.unwrap_or_else(|| default_tolerance(file.dtype).max(least)),
            heads,
            rows: Vec::new(),
        };
        pass.run(&mut expected)?;
        rows.extend(pass.rows);
    }
    let skipped = |name: &str, reason| NotChecked {
        name: name.to_owned(),
        reason,
    };
    let missing = foreign
        .missing()
        .into_iter()
        .map(|stem| skipped(stem, Reason::NotThere));
    let others = foreign
        .others
        .iter()
        .map(|name| skipped(name, Reason::OtherGraph));
    Ok(Report {
        rows,
        not_checked: missing.chain(others).collect(),
    })
}

impl Pass<'_> {
    fn run(&mut self, reference: &mut Reference<'_>) -> Result<()> {
        match self.file.form.part {
            Part::Prompt => self.prompt(reference),
            Part::Decoder => self.decoder(reference),
            Part::TextHead | Part::ImageHead => self.head(reference),
            Part::ImageEmbed => {
                let given = [(What::Codes, Output::I64(reference.codes()))];
                let expected = reference.code_embeds()?;
                self.once(&given, What::Embeds, "", &expected)
            }
            Part::ImageDecoder => {
                let given = [(What::Codes, Output::I64(reference.codes()))];
                self.once(&given, What::Pixels, "", &reference.pixels()?)
            }
        }
    }

    /// The prompt with its picture in place, and the same with a picture that is not used.
    fn prompt(&mut self, reference: &mut Reference<'_>) -> Result<()> {
        let places = reference.picture_positions();
        let used = places.iter().filter(|it| **it != 0).count();
        for (with_picture, label) in [(true, ""), (false, " without its picture")] {
            let expected = match with_picture {
                true => reference.prompt_with_picture()?,
                false => reference.prompt_without_picture()?,
            };
            let factor = i64::from(with_picture);
            let given = [
                (What::Ids, Output::I64(reference.ids())),
                (What::PixelValues, Output::F32(reference.pixel_values())),
                (What::PicturePositions, Output::I64(&places * factor)),
                (
                    What::PictureRows,
                    Output::I64(Array::from_elem(vec![1, 1, used], factor)),
                ),
            ];
            self.once(
                &given,
                What::Embeds,
                label,
                &expected.view().to_owned().into_dyn(),
            )?;
        }
        Ok(())
    }

    /// Hidden states of the prompt, by one head or the other.
    fn head(&mut self, reference: &mut Reference<'_>) -> Result<()> {
        let prompt = reference.prompt_with_picture()?;
        let hidden = reference.hidden(&[prompt])?.remove(0);
        let expected = match self.file.form.part {
            Part::TextHead => reference.text_logits(&hidden)?,
            _ => reference.image_logits(&hidden)?,
        };
        self.once(
            &[(What::Hidden, Output::F32(hidden.into_dyn()))],
            What::Logits,
            "",
            &expected,
        )
    }
}
