//! The understanding encoder: preprocessed pictures to embeddings.

use image::RgbImage;
use janus_runtime::manifest::VisionConfig;
use janus_runtime::{Error, GraphKind, LazyGraph, ModelDir, Result, SessionOptions, tensors};
use ndarray::{Array3, ArrayD, ArrayView2, ArrayView3, Axis};

use crate::preprocess::{Convention, PixelValues};

/// SigLIP and the aligner that takes its output into the space of the language model.
///
/// ```
/// use janus_runtime::{ModelDir, SessionOptions};
/// use janus_vision::VisionEncoder;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # janus_tests::load_library();
/// # let path = janus_tests::demo_model();
/// let model = ModelDir::open(path)?;
/// let mut encoder = VisionEncoder::open(&model, &SessionOptions::default())?;
///
/// let picture = image::RgbImage::new(640, 480);
/// let pixel_values = encoder.preprocess(&[picture]);
/// let image_embeds = encoder.encode(&pixel_values)?;
///
/// let manifest = model.manifest();
/// let shape = [1, manifest.vision.num_tokens, manifest.language.hidden_size];
/// assert_eq!(image_embeds.view().shape(), shape);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VisionEncoder {
    graph: LazyGraph,
    config: VisionConfig,
    convention: Convention,
}

impl VisionEncoder {
    /// The graph `vision_encoder`, opened when it is first needed; pictures are preprocessed by [`Convention::Official`].
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        Ok(Self {
            graph: model.lazy_graph(GraphKind::VisionEncoder, options)?,
            config: model.manifest().vision.clone(),
            convention: Convention::default(),
        })
    }

    /// Preprocesses pictures by another convention.
    pub fn with_convention(self, convention: Convention) -> Self {
        Self { convention, ..self }
    }

    /// Resizes, pads and normalises pictures as the model was trained to see them.
    pub fn preprocess(&self, pictures: &[RgbImage]) -> PixelValues {
        PixelValues::from_images(pictures, &self.config, self.convention)
    }

    /// Encodes `n` pictures to `[n, tokens, H]`.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] where the pictures have another size than the model's,
    /// [`Error::NotFinite`] where an embedding is not a number.
    pub fn encode(&mut self, pixel_values: &PixelValues) -> Result<ImageEmbeds> {
        let input = pixel_values.view().into();
        let mut outputs = self.graph.get()?.run(&[(tensors::PIXEL_VALUES, input)])?;
        ImageEmbeds::from_output(outputs.take_finite(tensors::IMAGE_EMBEDS)?)
    }
}

/// Pictures in the space of the language model, `[n, tokens, H]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageEmbeds(Array3<f32>);

impl ImageEmbeds {
    fn from_output(output: ArrayD<f32>) -> Result<Self> {
        let found = format!("f32 {:?}", output.shape());
        match output.into_dimensionality() {
            Ok(embeds) => Ok(Self(embeds)),
            Err(_) => Err(Error::Signature {
                graph: GraphKind::VisionEncoder,
                tensor: tensors::IMAGE_EMBEDS.to_owned(),
                expected: "f32 [n, tokens, H]".to_owned(),
                found,
            }),
        }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.0.len_of(Axis(0))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements, `[n, tokens, H]`.
    pub fn view(&self) -> ArrayView3<'_, f32> {
        self.0.view()
    }

    /// The embeddings of one picture, `[tokens, H]`.
    ///
    /// # Panics
    ///
    /// Where there are not so many pictures.
    pub fn picture(&self, index: usize) -> ArrayView2<'_, f32> {
        self.0.index_axis(Axis(0), index)
    }
}
