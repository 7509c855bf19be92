//! How other exporters divide these models: names of files and tensors, as data.

use janus_runtime::GraphKind;
use janus_runtime::manifest::DType;

/// A division of the model into graphs.
#[derive(Debug)]
pub(super) struct Layout {
    /// What it is called.
    pub(super) name: &'static str,
    /// Its graphs; those of one stem are forms of one graph.
    pub(super) forms: &'static [Form],
}

impl Layout {
    /// Names of its graphs' files, each once.
    pub(super) fn stems(&self) -> Vec<&'static str> {
        let mut stems: Vec<_> = self.forms.iter().map(|form| form.stem).collect();
        stems.dedup();
        stems
    }
}

/// A graph, by the names of its file and its tensors.
#[derive(Debug)]
pub(super) struct Form {
    /// Name of the file, without precision and ending.
    pub(super) stem: &'static str,
    pub(super) part: Part,
    pub(super) inputs: &'static [Slot],
    pub(super) outputs: &'static [Slot],
    /// Whether rows may begin with positions that a mask leaves out: others take the lengths of rows
    /// from it.
    pub(super) masks: bool,
}

/// What a graph computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Words, and pictures in the places that a mask says.
    Prompt,
    /// The transformer, whose cache goes in and comes out longer.
    Decoder,
    TextHead,
    ImageHead,
    ImageEmbed,
    ImageDecoder,
}

impl Part {
    /// The graph of an export that does the same, or most of it.
    pub(super) fn role(self) -> GraphKind {
        match self {
            Self::Prompt => GraphKind::VisionEncoder,
            Self::Decoder => GraphKind::LanguageModel,
            Self::TextHead => GraphKind::LmHead,
            Self::ImageHead => GraphKind::GenHead,
            Self::ImageEmbed => GraphKind::GenEmbed,
            Self::ImageDecoder => GraphKind::VqDecoder,
        }
    }
}

/// An input or output.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) what: What,
    /// The name; `{i}` stands for a layer.
    pub(super) name: &'static str,
    /// Whether every graph of the form has it.
    pub(super) required: bool,
    /// Whether it may have another name, if nothing else is left that it could be.
    pub(super) any_name: bool,
}

/// What an input or output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Text ids, `[b, s]`.
    Ids,
    /// Preprocessed pictures, `[b, n, 3, h, w]`.
    PixelValues,
    /// Which positions are of pictures, `[b, s]`.
    PicturePositions,
    /// Which rows of the pictures are used, `[b, n, tokens]`.
    PictureRows,
    /// What the transformer reads, `[b, s, H]`.
    Embeds,
    /// Which positions there are, those of the cache included, `[b, past + s]`.
    Mask,
    /// `[b, s]`
    Positions,
    /// `[b, heads, past, head_dim]`
    Past,
    /// How many positions, from the end, scores are wanted of.
    Kept,
    /// After the last norm, `[b, s, H]`.
    Hidden,
    /// `[b, s, vocabulary]`
    Logits,
    /// `[b, heads, past + s, head_dim]`
    Present,
    /// Codes, `[b, s]` or `[b, tokens]`.
    Codes,
    /// `[b, 3, h, w]`, −1 to 1.
    Pixels,
}

const fn slot(what: What, name: &'static str) -> Slot {
    Slot {
        what,
        name,
        required: true,
        any_name: false,
    }
}

impl Slot {
    const fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    const fn of_any_name(mut self) -> Self {
        self.any_name = true;
        self
    }
}

const PAST_KEY: Slot = slot(What::Past, "past_key_values.{i}.key");
const PAST_VALUE: Slot = slot(What::Past, "past_key_values.{i}.value");
const PRESENT_KEY: Slot = slot(What::Present, "present.{i}.key");
const PRESENT_VALUE: Slot = slot(What::Present, "present.{i}.value");
const MASK: Slot = slot(What::Mask, "attention_mask");
const POSITIONS: Slot = slot(What::Positions, "position_ids").optional();
const KEPT: Slot = slot(What::Kept, "num_logits_to_keep").optional();

/// What the transformer reads: embeddings, or ids.
const BY_EMBEDS: &[Slot] = &by(slot(What::Embeds, "inputs_embeds"));
const BY_IDS: &[Slot] = &by(slot(What::Ids, "input_ids"));

const fn by(first: Slot) -> [Slot; 6] {
    [first, MASK, POSITIONS, KEPT, PAST_KEY, PAST_VALUE]
}

/// The name is whatever the transformer and the heads call it.
const HIDDEN: Slot = slot(What::Hidden, "hidden_states").of_any_name();

const LOGITS: Slot = slot(What::Logits, "logits");

const fn head(stem: &'static str, part: Part) -> Form {
    Form {
        stem,
        part,
        inputs: &[HIDDEN],
        outputs: &[LOGITS],
        masks: false,
    }
}

/// A transformer with scores.
const fn decoder(inputs: &'static [Slot]) -> Form {
    Form {
        stem: "model",
        part: Part::Decoder,
        inputs,
        outputs: DECODED,
        masks: false,
    }
}

/// The layouts that are known.
pub(super) const LAYOUTS: &[Layout] = &[
    Layout {
        name: "transformers.js",
        forms: &[
            Form {
                stem: "prepare_inputs_embeds",
                part: Part::Prompt,
                inputs: &[
                    slot(What::Ids, "input_ids"),
                    slot(What::PixelValues, "pixel_values"),
                    slot(What::PicturePositions, "images_seq_mask"),
                    slot(What::PictureRows, "images_emb_mask"),
                ],
                outputs: &[slot(What::Embeds, "inputs_embeds")],
                masks: false,
            },
            Form {
                stem: "language_model",
                part: Part::Decoder,
                inputs: BY_EMBEDS,
                outputs: &[HIDDEN, PRESENT_KEY, PRESENT_VALUE],
                masks: true,
            },
            head("lm_head", Part::TextHead),
            head("gen_head", Part::ImageHead),
            Form {
                stem: "gen_img_embeds",
                part: Part::ImageEmbed,
                inputs: &[slot(What::Codes, "image_ids")],
                outputs: &[slot(What::Embeds, "inputs_embeds").of_any_name()],
                masks: false,
            },
            Form {
                stem: "image_decode",
                part: Part::ImageDecoder,
                inputs: &[slot(What::Codes, "generated_tokens")],
                outputs: &[slot(What::Pixels, "decoded_image")],
                masks: false,
            },
        ],
    },
    Layout {
        name: "decoder of onnxruntime-genai or Optimum",
        forms: &[decoder(BY_EMBEDS), decoder(BY_IDS)],
    },
];

/// Scores, hidden states, or both.
const DECODED: &[Slot] = &[
    LOGITS.optional(),
    slot(What::Hidden, "hidden_states").optional(),
    PRESENT_KEY,
    PRESENT_VALUE,
];

/// What follows the stem, and which tolerance holds then. Without one the types of the weights tell.
pub(super) const SUFFIXES: [(&str, Option<DType>); 8] = [
    ("", None),
    ("_fp16", Some(DType::Fp16)),
    ("_int8", Some(DType::Q8)),
    ("_uint8", Some(DType::Q8)),
    ("_quantized", Some(DType::Q8)),
    ("_q4", Some(DType::Q4)),
    ("_bnb4", Some(DType::Q4)),
    ("_q4f16", Some(DType::Q4f16)),
];
