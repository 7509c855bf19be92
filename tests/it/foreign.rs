//! Graphs of the tiny checkpoint that other exporters wrote: `tools/foreign/export.py` made
//! `tests/data/foreign` by PyTorch's exporter and by onnxruntime-genai's. The weights that the checkpoint
//! has are put back here, in a file beside each graph.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use half::f16;
use janus_onnx::proto::{DataType, Model, StringPair, Tensor};
use janus_runtime::manifest::DType;
use janus_runtime::{ExecutionProvider, ModelDir, SessionOptions};
use janus_tests::{data, load_library, tiny_model};
use janus_validate::{
    ForeignDir, Report, Result, StructureReport, TensorFile, check_foreign_placement,
    check_foreign_structure, compare_foreign,
};
use prost::Message;

/// Where a weight that was left out lies, and the key of its name there.
const LEFT_OUT: (&str, &str) = ("checkpoint", "tensor");

/// A copy of an export, whole.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn of(name: &str) -> Self {
        Self::changed(name, &mut |_, _| {})
    }

    /// With weights that are changed on the way, by the names that the checkpoint has for them.
    fn changed(name: &str, change: &mut dyn FnMut(&str, &mut [f32])) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = data("janus-tiny/transformers/model.safetensors");
        let checkpoint = TensorFile::read(checkpoint).unwrap();
        for entry in fs::read_dir(data("foreign").join(name)).unwrap() {
            let from = entry.unwrap().path();
            let to = folder.path().join(from.file_name().unwrap());
            match from.extension().is_some_and(|ending| ending == "onnx") {
                true => fill(&from, &to, &checkpoint, change),
                false => drop(fs::copy(from, to).unwrap()),
            }
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes a graph.
    fn graph(self, name: &str, change: impl FnOnce(&mut Model)) -> Self {
        let path = self.path(name);
        let mut model = janus_onnx::read(&path).unwrap();
        change(&mut model);
        fs::write(&path, model.encode_to_vec()).unwrap();
        self
    }

    fn without(self, name: &str) -> Self {
        fs::remove_file(self.path(name)).unwrap();
        self
    }

    fn open(&self) -> Result<ForeignDir> {
        ForeignDir::open(self.folder.path(), None)
    }

    fn compare(&self) -> Result<Report> {
        load_library();
        let reference = ModelDir::open(tiny_model("transformers", DType::Fp32)).unwrap();
        let options = SessionOptions::default();
        let goes_on = &mut |_: &str| ControlFlow::Continue(());
        compare_foreign(&self.open()?, &reference, [&options; 2], None, goes_on)
    }

    fn structure(&self) -> StructureReport {
        let foreign = self.open().unwrap();
        check_foreign_structure(&foreign, &mut |_| ControlFlow::Continue(())).unwrap()
    }
}

/// Copies a graph and puts its weights into a file beside it, as exporters do.
fn fill(from: &Path, to: &Path, checkpoint: &TensorFile, change: &mut dyn FnMut(&str, &mut [f32])) {
    let mut model = janus_onnx::read(from).unwrap();
    let file = format!("{}_data", to.file_name().unwrap().to_string_lossy());
    let mut bytes = Vec::new();
    for weight in &mut model.graph.as_mut().unwrap().initializer {
        if weight.external().is_none_or(|it| it.location != LEFT_OUT.0) {
            continue;
        }
        let name = weight.metadata(LEFT_OUT.1).unwrap().to_owned();
        let mut floats = checkpoint.f32(&name).unwrap().into_raw_vec_and_offset().0;
        change(&name, &mut floats);
        let place = bytes.len();
        match weight.data_type() {
            DataType::Float16 => {
                bytes.extend(
                    floats
                        .iter()
                        .flat_map(|&it| f16::from_f32(it).to_le_bytes()),
                );
            }
            _ => bytes.extend(floats.iter().flat_map(|it| it.to_le_bytes())),
        }
        lies_at(weight, &file, place, bytes.len() - place);
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
    }
    if !bytes.is_empty() {
        fs::write(to.with_file_name(&file), bytes).unwrap();
    }
    fs::write(to, model.encode_to_vec()).unwrap();
}

fn lies_at(weight: &mut Tensor, file: &str, offset: usize, length: usize) {
    let pair = |key: &str, value: String| StringPair {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    weight.external_data = vec![
        pair("location", file.to_owned()),
        pair("offset", offset.to_string()),
        pair("length", length.to_string()),
    ];
}

fn failed(report: &Report) -> Vec<&str> {
    let failed = report.rows.iter().filter(|row| !row.passed);
    failed.map(|row| row.name.as_str()).collect()
}

#[test]
fn graphs_of_other_exporters_compute_the_same() {
    for name in ["split/onnx", "decoder", "genai"] {
        let copy = Copy::of(name);
        let structure = copy.structure();
        println!("{}\n{structure}", copy.open().unwrap().summary());
        let report = copy.compare().unwrap();
        println!("{report}");
        let placement = check_foreign_placement(&copy.open().unwrap(), ExecutionProvider::Cpu);
        println!("{}", placement.unwrap());
    }
}
