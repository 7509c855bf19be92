//! Graphs that other exporters wrote of the repository's checkpoints: `tools/foreign/export.py` made
//! `tests/data/foreign` by PyTorch's exporter and by onnxruntime-genai's.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use janus_onnx::proto::{Attribute, AttributeType, DataType, Graph, Model, Node, StringPair};
use janus_runtime::manifest::DType;
use janus_runtime::{ExecutionProvider, ModelDir, SessionOptions};
use janus_tests::{demo_model, foreign_export, load_library, tiny_model};
use janus_validate::{
    Fault, ForeignDir, Reason, Report, Result, StructureReport, check_foreign_placement,
    check_foreign_structure, compare_foreign,
};
use prost::Message;

/// Every row of a whole export.
const SPLIT: [(&str, f64); 11] = [
    ("prepare_inputs_embeds: inputs_embeds", 1e-5),
    (
        "prepare_inputs_embeds: inputs_embeds without its picture",
        1e-5,
    ),
    ("language_model: last_hidden_state of the prompt", 1e-5),
    (
        "language_model: last_hidden_state of the steps after it",
        1e-5,
    ),
    ("language_model: last_hidden_state of padded rows", 1e-5),
    ("lm_head: logits", 1e-5),
    ("lm_head_fp16: logits", 5e-3),
    ("lm_head_q4: logits", 1e-1),
    ("gen_head: logits", 1e-5),
    ("gen_img_embeds: inputs_embeds", 1e-5),
    ("image_decode: decoded_image", 1e-5),
];
const DECODER: [(&str, f64); 2] = [
    ("model: logits of the prompt", 1e-5),
    ("model: logits of the steps after it", 1e-5),
];
const GENAI: [(&str, f64); 2] = [
    ("model: hidden_states of the prompt", 1e-5),
    ("model: hidden_states of the steps after it", 1e-5),
];

/// A copy of an export, whole.
struct Copy {
    name: &'static str,
    folder: tempfile::TempDir,
}

impl Copy {
    fn of(name: &'static str) -> Self {
        Self::changed(name, &mut |_, _| {})
    }

    /// With weights that are changed on the way, by the names that the checkpoint has for them.
    fn changed(name: &'static str, change: &mut dyn FnMut(&str, &mut [f32])) -> Self {
        let folder = tempfile::tempdir().unwrap();
        foreign_export(name, folder.path(), change);
        Self { name, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes a graph.
    fn graph(self, name: &str, change: impl FnOnce(&mut Graph)) -> Self {
        let path = self.path(name);
        let mut model: Model = janus_onnx::read(&path).unwrap();
        change(model.graph.as_mut().unwrap());
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
        let reference = match self.name {
            "genai" => demo_model(),
            _ => tiny_model("transformers", DType::Fp32),
        };
        let reference = ModelDir::open(reference).unwrap();
        let options = SessionOptions::default();
        let goes_on = &mut |_: &str| ControlFlow::Continue(());
        compare_foreign(&self.open()?, &reference, [&options; 2], None, goes_on)
    }

    fn structure(&self) -> StructureReport {
        let foreign = self.open().unwrap();
        check_foreign_structure(&foreign, &mut |_| ControlFlow::Continue(())).unwrap()
    }
}

fn failed(report: &Report) -> Vec<&str> {
    let failed = report.rows.iter().filter(|row| !row.passed);
    failed.map(|row| row.name.as_str()).collect()
}

#[test]
fn graphs_of_other_exporters_compute_the_same() {
    for (name, expected) in [
        ("split/onnx", &SPLIT[..]),
        ("decoder", &DECODER[..]),
        ("genai", &GENAI[..]),
    ] {
        let copy = Copy::of(name);
        let structure = copy.structure();
        assert!(structure.passed(), "{name}: {structure}");
        let report = copy.compare().unwrap();
        assert!(report.passed(), "{name}: {report}");
        let rows: Vec<_> = report
            .rows
            .iter()
            .map(|row| (row.name.as_str(), row.tolerance))
            .collect();
        let (mut rows, mut expected) = (rows, expected.to_vec());
        rows.sort_by_key(|row| row.0.to_owned());
        expected.sort_by_key(|row| row.0.to_owned());
        assert_eq!(rows, expected, "{name}");
        assert_eq!(report.not_checked, [], "{name}");
    }
}

#[test]
fn a_weight_that_is_off_by_a_hundredth_is_caught_where_it_is() {
    for (weight, expected) in [
        (
            "model.vision_model.encoder.layers.1.mlp.fc2.weight",
            &["prepare_inputs_embeds: inputs_embeds"][..],
        ),
        (
            "model.language_model.embed_tokens.weight",
            &[
                "prepare_inputs_embeds: inputs_embeds",
                "prepare_inputs_embeds: inputs_embeds without its picture",
            ],
        ),
        (
            "model.language_model.layers.1.self_attn.o_proj.weight",
            &[
                "language_model: last_hidden_state of the prompt",
                "language_model: last_hidden_state of the steps after it",
                "language_model: last_hidden_state of padded rows",
            ],
        ),
        (
            "lm_head.weight",
            &["lm_head: logits", "lm_head_fp16: logits"],
        ),
        (
            "model.generation_head.vision_head.weight",
            &["gen_head: logits"],
        ),
        (
            "model.generation_embeddings.weight",
            &["gen_img_embeds: inputs_embeds"],
        ),
        (
            "model.vqmodel.decoder.conv_out.weight",
            &["image_decode: decoded_image"],
        ),
    ] {
        let copy = Copy::changed("split/onnx", &mut |name, weights| {
            if name == weight {
                weights.iter_mut().for_each(|value| *value *= 1.01);
            }
        });
        let report = copy.compare().unwrap();
        assert_eq!(failed(&report), expected, "{weight}: {report}");
        let files = report
            .rows
            .iter()
            .filter(|row| !row.passed)
            .map(|row| &row.graphs[0]);
        for file in files {
            assert!(
                report.to_string().contains(&format!("computed by {file}")),
                "{report}"
            );
        }
    }
}

/// A cache that is handed out in the wrong places is seen in the steps, not in the prompt; a mask that
/// is not looked at where there is padding.
#[test]
fn the_cache_and_the_mask_are_looked_at() {
    let swapped = Copy::of("split/onnx").graph("language_model.onnx", |graph| {
        rename_in_nodes(graph, "present.0.key", "swapped");
        rename_in_nodes(graph, "present.1.key", "present.0.key");
        rename_in_nodes(graph, "swapped", "present.1.key");
    });
    let steps = "language_model: last_hidden_state of the steps after it";
    assert_eq!(failed(&swapped.compare().unwrap()), [steps]);

    let blind = Copy::of("split/onnx").graph("language_model.onnx", |graph| {
        for node in &mut graph.node {
            let reads = node
                .input
                .iter_mut()
                .filter(|name| *name == "attention_mask");
            reads.for_each(|name| *name = "ones".to_owned());
        }
        let node = |op_type: &str, input: &[&str], output: &str| Node {
            op_type: Some(op_type.to_owned()),
            name: Some(output.to_owned()),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Node::default()
        };
        let mut cast = node("Cast", &["same"], "ones");
        cast.attribute.push(Attribute {
            name: Some("to".to_owned()),
            r#type: Some(AttributeType::Int as i32),
            i: Some(DataType::Int64 as i64),
            ..Attribute::default()
        });
        let same = node("Equal", &["attention_mask", "attention_mask"], "same");
        graph.node.splice(0..0, [same, cast]);
    });
    let padded = "language_model: last_hidden_state of padded rows";
    assert_eq!(failed(&blind.compare().unwrap()), [padded]);
}

#[test]
fn graphs_that_are_not_there_are_listed_and_the_rest_is_compared() {
    let copy = Copy::of("split/onnx")
        .without("gen_head.onnx")
        .without("image_decode.onnx");
    fs::copy(copy.path("lm_head.onnx"), copy.path("vision_tower.onnx")).unwrap();
    assert_eq!(
        copy.open().unwrap().summary().missing,
        ["gen_head", "image_decode"]
    );
    let report = copy.compare().unwrap();
    let skipped: Vec<_> = report
        .not_checked
        .iter()
        .map(|it| (it.name.as_str(), &it.reason))
        .collect();
    assert_eq!(
        skipped,
        [
            ("gen_head", &Reason::NotThere),
            ("image_decode", &Reason::NotThere),
            ("vision_tower", &Reason::OtherGraph),
        ]
    );
    assert_eq!(
        (report.rows.len(), report.passed()),
        (SPLIT.len() - 2, true)
    );
    assert!(
        report.to_string().contains("not checked: not there"),
        "{report}"
    );
}

#[test]
fn graphs_of_one_precision_can_be_chosen() {
    let copy = Copy::of("split/onnx");
    let names = |only| -> Result<Vec<_>> {
        let summary = ForeignDir::open(copy.folder.path(), Some(only))?.summary();
        Ok(summary.graphs.into_iter().map(|(name, _)| name).collect())
    };
    assert_eq!(names(DType::Q4).unwrap(), ["lm_head_q4"]);
    assert_eq!(names(DType::Fp16).unwrap(), ["lm_head_fp16"]);
    let none = names(DType::Q8).unwrap_err().to_string();
    assert!(none.ends_with("has no graphs in q8"), "{none}");
}

#[test]
fn the_weights_tell_the_precision_where_the_name_does_not() {
    for (file, dtype) in [
        ("lm_head_q4.onnx", DType::Q4),
        ("lm_head_fp16.onnx", DType::Fp16),
        ("lm_head.onnx", DType::Fp32),
    ] {
        let copy = Copy::of("split/onnx");
        let graph = fs::read(copy.path(file)).unwrap();
        fs::write(copy.path("lm_head.onnx"), graph).unwrap();
        let summary = copy.open().unwrap().summary();
        assert!(
            summary.graphs.contains(&("lm_head".to_owned(), dtype)),
            "{summary}"
        );
    }
}

/// Gives an input or output another name, everywhere.
fn rename(graph: &mut Graph, from: &str, to: &str) {
    let values = graph.input.iter_mut().chain(&mut graph.output);
    values
        .filter(|value| value.name() == from)
        .for_each(|value| value.name = Some(to.to_owned()));
    rename_in_nodes(graph, from, to);
}

/// Gives what nodes read and make another name, whatever the graph's own inputs and outputs are called.
fn rename_in_nodes(graph: &mut Graph, from: &str, to: &str) {
    let names = graph
        .node
        .iter_mut()
        .flat_map(|node| node.input.iter_mut().chain(&mut node.output));
    names
        .filter(|name| *name == from)
        .for_each(|name| *name = to.to_owned());
}

#[test]
fn names_that_cannot_be_mapped_are_refused_with_all_names() {
    for (name, file, from, to) in [
        (
            "split/onnx",
            "language_model.onnx",
            "attention_mask",
            "mask",
        ),
        (
            "split/onnx",
            "language_model.onnx",
            "past_key_values.1.key",
            "past.1.key",
        ),
        (
            "split/onnx",
            "prepare_inputs_embeds.onnx",
            "images_seq_mask",
            "picture_mask",
        ),
        ("split/onnx", "image_decode.onnx", "decoded_image", "pixels"),
        ("decoder", "model.onnx", "input_ids", "tokens"),
        ("genai", "model.onnx", "present.0.value", "present_0_value"),
    ] {
        let copy = Copy::of(name).graph(file, |graph| rename(graph, from, to));
        let error = copy.open().unwrap_err().to_string();
        for part in [
            file,
            to,
            "; expected inputs ",
            from.split('.').next().unwrap(),
        ] {
            assert!(error.contains(part), "{from}: {error}");
        }
    }
    // Where nothing else can be meant, a name is the exporter's own.
    let copy =
        Copy::of("split/onnx").graph("lm_head.onnx", |graph| rename(graph, "hidden_states", "x"));
    assert!(copy.compare().unwrap().passed());
}

#[test]
fn directories_of_no_layout_are_refused_with_what_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let copy = Copy::of("split/onnx");
    fs::copy(copy.path("lm_head.onnx"), folder.path().join("head.onnx")).unwrap();
    assert!(ForeignDir::is_one(folder.path()));
    let error = ForeignDir::open(folder.path(), None)
        .unwrap_err()
        .to_string();
    for part in [
        "head (inputs hidden_states f32 [",
        "outputs logits f32 [",
        "known are",
        "gen_img_embeds",
    ] {
        assert!(error.contains(part), "{error}");
    }
    fs::write(folder.path().join("manifest.json"), "{}").unwrap();
    assert!(!ForeignDir::is_one(folder.path()));
}

#[test]
fn files_that_are_no_graphs_are_errors_with_their_names() {
    let whole = fs::read(Copy::of("split/onnx").path("gen_head.onnx")).unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\n";
    for (bytes, expected) in [
        (&whole[..whole.len() / 2], "is not an ONNX graph"),
        (&pointer[..], "is not an ONNX graph"),
        (&[][..], "has inputs ; outputs ; expected"),
    ] {
        let copy = Copy::of("split/onnx");
        fs::write(copy.path("gen_head.onnx"), bytes).unwrap();
        let error = copy.open().unwrap_err().to_string();
        assert!(
            error.contains("gen_head.onnx") && error.contains(expected),
            "{error}"
        );
    }
    // What the format allows and ONNX Runtime does not run.
    let copy = Copy::of("split/onnx").graph("gen_head.onnx", |graph| {
        graph.node[0].op_type = Some("Nonsense".to_owned());
    });
    let error = copy.compare().unwrap_err();
    assert!(
        error.to_string().contains("gen_head.onnx` does not run"),
        "{error}"
    );
}

#[test]
fn structure_is_checked_without_a_manifest() {
    type Change = fn(Copy) -> Copy;
    let cases: [(&str, Fault, bool, Change); 6] = [
        ("a file that was cut", Fault::Place, false, |copy| {
            let path = copy.path("gen_head.onnx_data");
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            copy
        }),
        ("a file that is not there", Fault::Place, false, |copy| {
            copy.without("gen_head.onnx_data")
        }),
        ("a file elsewhere", Fault::Place, false, |copy| {
            copy.graph("gen_head.onnx", |graph| {
                set(graph, "location", "../gen_head.onnx_data")
            })
        }),
        (
            "a weight off its boundary",
            Fault::Alignment,
            true,
            |copy| copy.graph("gen_head.onnx", nudge),
        ),
        ("a weight that nothing reads", Fault::Unused, true, |copy| {
            copy.graph("gen_head.onnx", |graph| {
                let mut idle = graph.initializer[0].clone();
                idle.name = Some("idle".to_owned());
                graph.initializer.push(idle);
            })
        }),
        ("a shape that does not fit", Fault::Shape, false, |copy| {
            copy.graph("lm_head.onnx", |graph| {
                let matrix = graph.initializer.iter_mut().find(|it| it.dims.len() == 2);
                matrix.unwrap().dims.reverse();
            })
        }),
    ];
    assert!(
        Copy::of("split/onnx")
            .structure()
            .findings
            .iter()
            .all(|it| it.fault == Fault::Alignment)
    );
    for (what, fault, note, change) in cases {
        let structure = change(Copy::of("split/onnx")).structure();
        let heads = structure.findings.iter().filter(|it| {
            it.graph
                .as_deref()
                .is_some_and(|graph| graph.ends_with("_head"))
                && it.fault == fault
        });
        let notes: Vec<_> = heads.map(|it| it.note).collect();
        assert!(
            !notes.is_empty() && notes.iter().all(|it| *it == note),
            "{what}: {structure}"
        );
        assert_eq!(structure.passed(), note, "{what}: {structure}");
    }
}

/// Lets the last weight that lies apart begin four bytes later, where its file has room.
fn nudge(graph: &mut Graph) {
    let mut apart = graph.initializer.iter_mut().rev();
    let last = apart.find(|it| it.external().is_some()).unwrap();
    let pairs = last.external_data.iter_mut();
    for pair in pairs.filter(|pair| pair.key() == "offset") {
        let offset: u64 = pair.value().parse().unwrap();
        pair.value = Some((offset + 4).to_string());
    }
}

/// Says something else of the first weight that lies apart.
fn set(graph: &mut Graph, key: &str, value: &str) {
    let mut apart = graph
        .initializer
        .iter_mut()
        .filter(|it| it.external().is_some());
    let pairs = &mut apart.next().unwrap().external_data;
    pairs.retain(|pair| pair.key() != key);
    pairs.push(StringPair {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    });
}

#[test]
fn nodes_are_looked_up_in_a_providers_table() {
    let copy = Copy::of("split/onnx");
    let report = check_foreign_placement(&copy.open().unwrap(), ExecutionProvider::Cpu).unwrap();
    // ONNX Runtime widens 16-bit floats on the CPU, for there are no kernels for them.
    assert_eq!(report.failed(), ["lm_head_fp16"], "{report}");
    let coreml = check_foreign_placement(&copy.open().unwrap(), ExecutionProvider::CoreMl).unwrap();
    assert!(coreml.failed().contains(&"lm_head_q4"), "{coreml}");
    assert_eq!(coreml.graphs[0].graph, "prepare_inputs_embeds");
}
