//! The understanding encoder against the official code.

use janus_runtime::manifest::DType;
use janus_runtime::{Error, ModelDir, SessionOptions};
use janus_tests::{assert_close, load_library, tiny_golden, tiny_model};
use janus_vision::{PixelValues, VisionEncoder};
use ndarray::{Array4, Axis, Ix4, s};

const TOLERANCE: f64 = 1e-5;

fn encoder(form: &str) -> VisionEncoder {
    load_library();
    let model = ModelDir::open(tiny_model(form, DType::Fp32)).unwrap();
    VisionEncoder::open(&model, &SessionOptions::default()).unwrap()
}

/// `[n, 3, side, side]`
fn pixel_values() -> Array4<f32> {
    let pixel_values = tiny_golden().f32("pixel_values");
    pixel_values.into_dimensionality::<Ix4>().unwrap()
}

#[test]
fn image_embeds_equal_the_official_ones() {
    let expected = tiny_golden().f32("image_embeds");
    for form in ["released", "released-bin", "transformers"] {
        let embeds = encoder(form)
            .encode(&PixelValues::new(pixel_values()))
            .unwrap();
        assert_close(form, embeds.view(), expected.view(), TOLERANCE);
    }
}

#[test]
fn company_does_not_change_a_picture() {
    let mut encoder = encoder("released");
    let one = pixel_values().slice_move(s![..1, .., .., ..]);
    let mirrored = one.slice(s![.., .., .., ..;-1]);
    let pair = ndarray::concatenate(Axis(0), &[one.view(), mirrored]).unwrap();
    let alone = encoder.encode(&PixelValues::new(one)).unwrap();
    let together = encoder.encode(&PixelValues::new(pair)).unwrap();
    assert_eq!(together.len(), 2);
    assert_close("first", together.picture(0), alone.picture(0), TOLERANCE);
    assert_ne!(together.picture(0), together.picture(1));
}

#[test]
fn pixel_values_of_another_size_are_refused() {
    let mut encoder = encoder("released");
    let error = encoder
        .encode(&PixelValues::new(Array4::zeros((1, 3, 32, 32))))
        .unwrap_err();
    assert!(matches!(error, Error::Input { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "graph `vision_encoder`: input `pixel_values` should be f32 [images, 3, 64, 64], \
         it is f32 [1, 3, 32, 32]"
    );
}
