//! Exports that were changed after they were written: every change is caught, and named.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use janus_onnx::proto::{Extent, Graph, Model, StringPair, Tensor};
use janus_runtime::manifest::DType;
use janus_runtime::{GraphKind, ModelDir, SessionOptions};
use janus_tests::{demo_model, demo_model_in, load_library, tiny_flow, tiny_model};
use janus_validate::{BisectReport, Fault, StructureReport, bisect, check_structure};
use prost::Message;
use serde_json::Value;
use sha2::{Digest, Sha256};

const MATMUL: &str = "language_model.model.layers.1.mlp.gate_up_proj/MatMul";
const WEIGHT: &str = "language_model.model.layers.1.mlp.gate_up_proj.weight";
const NORM: &str = "language_model.model.layers.1.input_layernorm/SimplifiedLayerNormalization";

/// A copy of the tiny export, to be changed.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(tiny_model("released", DType::Fp32)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the nodes of the language model.
    fn graph(self, change: impl FnOnce(&mut Graph)) -> Self {
        self.model(|model| change(model.graph.as_mut().unwrap()))
    }

    fn model(self, change: impl FnOnce(&mut Model)) -> Self {
        let path = self.path("language_model.onnx");
        let mut model = janus_onnx::read(&path).unwrap();
        change(&mut model);
        fs::write(&path, model.encode_to_vec()).unwrap();
        self
    }

    /// Changes the weights of the language model; `place` gives where one lies.
    fn data(self, change: impl FnOnce(&mut [u8], &dyn Fn(&str) -> std::ops::Range<usize>)) -> Self {
        let model = janus_onnx::read(&self.path("language_model.onnx")).unwrap();
        let path = self.path("language_model.onnx.data");
        let mut data = fs::read(&path).unwrap();
        let place = |name: &str| {
            let tensor = weight(model.graph(), name);
            let external = tensor.external().unwrap();
            let start: usize = external.offset.unwrap().parse().unwrap();
            start..start + tensor.bytes().unwrap() as usize
        };
        change(&mut data, &place);
        fs::write(&path, data).unwrap();
        self
    }

    /// Brings the manifest up to date, as one who hides a change would.
    fn hashed(self) -> Self {
        let path = self.path("manifest.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for (name, entry) in manifest["files"].as_object_mut().unwrap() {
            let bytes = fs::read(self.path(name)).unwrap();
            let hash = Sha256::digest(&bytes);
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            *entry = serde_json::json!({ "bytes": bytes.len(), "sha256": hash });
        }
        fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
        self
    }

    fn check(&self) -> StructureReport {
        check(self.folder.path())
    }
}

fn check(path: &Path) -> StructureReport {
    let model = ModelDir::open(path).unwrap();
    check_structure(&model, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn weight<'g>(graph: &'g Graph, name: &str) -> &'g Tensor {
    graph
        .initializer
        .iter()
        .find(|it| it.name() == name)
        .unwrap()
}

fn weight_mut<'g>(graph: &'g mut Graph, name: &str) -> &'g mut Tensor {
    graph
        .initializer
        .iter_mut()
        .find(|it| it.name() == name)
        .unwrap()
}

fn node(graph: &Graph, name: &str) -> usize {
    graph.node.iter().position(|it| it.name() == name).unwrap()
}

/// Says of a weight that it lies elsewhere.
fn place(graph: &mut Graph, name: &str, key: &str, value: &str) {
    let pairs = &mut weight_mut(graph, name).external_data;
    let pair = pairs.iter_mut().find(|pair| pair.key() == key).unwrap();
    pair.value = Some(value.to_owned());
}

/// Multiplies 32-bit floats.
fn scale(bytes: &mut [u8], factor: f32) {
    for number in bytes.chunks_exact_mut(4) {
        let value = f32::from_le_bytes(number.try_into().unwrap());
        number.copy_from_slice(&(value * factor).to_le_bytes());
    }
}

#[test]
fn exports_of_every_precision_are_sound() {
    let precisions = [DType::Fp32, DType::Fp16, DType::Q8, DType::Q4, DType::Q4f16];
    let exports = precisions.into_iter().flat_map(|dtype| {
        [
            tiny_model("released", dtype),
            demo_model_in(dtype),
            tiny_flow(dtype),
        ]
    });
    for path in exports {
        let report = check(&path);
        assert!(report.passed(), "{}\n{report}", path.display());
        let manifest = ModelDir::open(&path).unwrap().manifest().clone();
        assert_eq!(report.files, manifest.files.len());
        assert!(report.checksums > 20, "{report}");
        let told = report.to_string();
        assert!(told.ends_with("nothing is wrong"), "{told}");
    }
}

/// A change that nobody hid: the hash of the file tells that it is there, the checksum where.
#[test]
fn a_flipped_bit_is_found_in_its_file_and_its_weight() {
    let copy = Copy::new().data(|data, place| data[place(WEIGHT).start + 1234] ^= 1);
    let report = copy.check();
    let faults: Vec<_> = report.faults().collect();
    assert_eq!(
        faults
            .iter()
            .map(|it| (it.fault, it.subject.as_str()))
            .collect::<Vec<_>>(),
        [
            (Fault::Hash, "language_model.onnx.data"),
            (Fault::Checksum, WEIGHT)
        ],
        "{report}"
    );
    assert!(
        faults
            .iter()
            .all(|it| it.graph == Some("language_model".to_owned()))
    );
    let told = report.to_string();
    assert!(
        told.contains("FAIL  checksum   language_model: `language_model.model"),
        "{told}"
    );
    assert!(told.ends_with("2 faults"), "{told}");
}

/// Changes whose maker brought the manifest up to date.
#[test]
fn every_change_is_caught_and_named() {
    let other = "language_model.model.layers.0.mlp.gate_up_proj.weight";
    let down = "language_model.model.layers.1.mlp.down_proj.weight";
    type Case = (&'static str, Fault, &'static str, fn(Copy) -> Copy);
    let cases: Vec<Case> = vec![
        (
            "a weight perturbed by 1 %",
            Fault::Checksum,
            WEIGHT,
            |copy| copy.data(|data, place| scale(&mut data[place(WEIGHT)], 1.01)),
        ),
        (
            "two weights swapped in their file",
            Fault::Checksum,
            WEIGHT,
            |copy| {
                copy.data(|data, place| {
                    let other = place("language_model.model.layers.0.mlp.gate_up_proj.weight");
                    for (a, b) in other.zip(place(WEIGHT)) {
                        data.swap(a, b);
                    }
                })
            },
        ),
        (
            "two weights swapped in the graph",
            Fault::Checksum,
            WEIGHT,
            |copy| {
                copy.graph(|graph| {
                    let other = "language_model.model.layers.0.mlp.gate_up_proj.weight";
                    let places =
                        [WEIGHT, other].map(|name| weight(graph, name).external_data.clone());
                    let [of_weight, of_other] = places;
                    weight_mut(graph, WEIGHT).external_data = of_other;
                    weight_mut(graph, other).external_data = of_weight;
                })
            },
        ),
        (
            "a node dropped",
            Fault::Value,
            "language_model.model.layers.1.mlp/Split",
            |copy| copy.graph(|graph| drop(graph.node.remove(node(graph, MATMUL)))),
        ),
        (
            "the weight of a dropped node",
            Fault::Unused,
            WEIGHT,
            |copy| copy.graph(|graph| drop(graph.node.remove(node(graph, MATMUL)))),
        ),
        ("nodes in another order", Fault::Value, NORM, |copy| {
            copy.graph(|graph| {
                let node = graph.node.remove(node(graph, NORM));
                graph.node.insert(0, node);
            })
        }),
        ("a value made twice", Fault::Value, MATMUL, |copy| {
            copy.graph(|graph| {
                let node = graph.node[node(graph, MATMUL)].clone();
                graph.node.push(node);
            })
        }),
        ("a node for nobody", Fault::Unused, "idle", |copy| {
            copy.graph(|graph| {
                let mut node = graph.node[node(graph, MATMUL)].clone();
                node.name = Some("idle".to_owned());
                node.output = vec!["idle".to_owned()];
                graph.node.push(node);
            })
        }),
        ("a weight of another shape", Fault::Shape, MATMUL, |copy| {
            copy.graph(|graph| weight_mut(graph, WEIGHT).dims.reverse())
        }),
        ("a weight of another size", Fault::Place, WEIGHT, |copy| {
            copy.graph(|graph| weight_mut(graph, WEIGHT).dims[0] += 1)
        }),
        ("a weight of another type", Fault::Shape, MATMUL, |copy| {
            copy.graph(|graph| weight_mut(graph, WEIGHT).data_type = Some(6))
        }),
        ("a weight of no type", Fault::Type, WEIGHT, |copy| {
            copy.graph(|graph| weight_mut(graph, WEIGHT).data_type = Some(99))
        }),
        ("a value of another shape", Fault::Shape, MATMUL, |copy| {
            copy.graph(|graph| {
                let mut values = graph.value_info.iter_mut();
                let value = values.find(|it| it.name() == MATMUL).unwrap();
                last_extent(value).extent = Some(Extent::Value(7));
            })
        }),
        (
            "an output of another shape",
            Fault::Signature,
            "hidden_states",
            |copy| {
                copy.graph(|graph| {
                    last_extent(&mut graph.output[0]).extent = Some(Extent::Value(95))
                })
            },
        ),
        (
            "an input of another name",
            Fault::Signature,
            "position_ids",
            |copy| {
                copy.graph(|graph| {
                    let mut inputs = graph.input.iter_mut();
                    let input = inputs.find(|it| it.name() == "position_ids").unwrap();
                    input.name = Some("positions".to_owned());
                })
            },
        ),
        ("a weight beyond its file", Fault::Place, WEIGHT, |copy| {
            copy.graph(|graph| place(graph, WEIGHT, "offset", "1099511627776"))
        }),
        (
            "a weight off its boundary",
            Fault::Alignment,
            WEIGHT,
            |copy| copy.graph(|graph| place(graph, WEIGHT, "offset", "65540")),
        ),
        (
            "a weight over others",
            Fault::Place,
            "language_model.model.rotary_emb.sin",
            |copy| {
                copy.graph(|graph| {
                    let start = weight(graph, "language_model.model.rotary_emb.cos").external_data
                        [1]
                    .value()
                    .parse::<u64>()
                    .unwrap();
                    let name = "language_model.model.rotary_emb.sin";
                    place(graph, name, "offset", &(start + 64).to_string());
                })
            },
        ),
        ("a weight in another file", Fault::Place, WEIGHT, |copy| {
            copy.graph(|graph| place(graph, WEIGHT, "location", "../secret"))
        }),
        (
            "an offset that is no number",
            Fault::Place,
            WEIGHT,
            |copy| copy.graph(|graph| place(graph, WEIGHT, "offset", "0x10")),
        ),
        (
            "operators of the future",
            Fault::Version,
            "ai.onnx",
            |copy| copy.model(|model| model.opset_import[0].version = Some(99)),
        ),
        (
            "operators of nobody",
            Fault::Version,
            "com.example",
            |copy| {
                copy.model(|model| model.opset_import[1].domain = Some("com.example".to_owned()))
            },
        ),
        (
            "a format of the future",
            Fault::Version,
            "ir_version",
            |copy| copy.model(|model| model.ir_version = Some(1000)),
        ),
        (
            "no graph at all",
            Fault::Format,
            "language_model.onnx",
            |copy| {
                fs::write(copy.path("language_model.onnx"), b"no graph").unwrap();
                copy
            },
        ),
    ];
    for (change, fault, subject, make) in cases {
        let report = make(Copy::new()).hashed().check();
        let mut faults = report.faults();
        let found = faults.any(|it| it.fault == fault && it.subject == subject);
        assert!(
            found,
            "{change}: {fault:?} of `{subject}` is not in\n{report}"
        );
        assert!(
            !report.faults().any(|it| it.fault == Fault::Hash),
            "{change}"
        );
    }
    let swapped = Copy::new().data(|data, place| {
        let (other, down) = (place(other), place(down));
        data.copy_within(other.start..other.start + down.len(), down.start);
    });
    let report = swapped.hashed().check();
    assert!(report.faults().any(|it| it.subject == down), "{report}");
}

fn last_extent(value: &mut janus_onnx::proto::ValueInfo) -> &mut janus_onnx::proto::Dimension {
    let tensor = value.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
    tensor.shape.as_mut().unwrap().dim.last_mut().unwrap()
}

#[test]
fn equal_weights_are_a_remark() {
    let copy = Copy::new().graph(|graph| {
        let mut copied = weight(graph, WEIGHT).clone();
        copied.name = Some("again".to_owned());
        graph.initializer.push(copied);
        let matmul = node(
            graph,
            "language_model.model.layers.0.mlp.gate_up_proj/MatMul",
        );
        graph.node[matmul].input[1] = "again".to_owned();
    });
    let report = copy.hashed().check();
    // The same bytes under two names are one weight; only the one that is read no more is a fault.
    let faults: Vec<_> = report.faults().map(|it| it.fault).collect();
    assert_eq!(faults, [Fault::Unused], "{report}");
}

/// Takes the checksums away, so that only numbers can tell.
fn forget_checksums(graph: &mut Graph) {
    for weight in &mut graph.initializer {
        weight.metadata_props = Vec::<StringPair>::new();
    }
}

fn followed(model: &Path, reference: &Path) -> BisectReport {
    load_library();
    let open = |path: &Path| ModelDir::open(path).unwrap();
    let options = SessionOptions::default();
    let go_on = &mut |_| ControlFlow::Continue(());
    bisect(&open(model), &open(reference), [&options; 2], go_on).unwrap()
}

#[test]
fn a_planted_fault_is_found_at_its_node() {
    let reference = tiny_model("released", DType::Fp32);
    let weight = Copy::new()
        .data(|data, place| scale(&mut data[place(WEIGHT)], 1.01))
        .graph(forget_checksums)
        .hashed();
    assert!(weight.check().passed(), "{}", weight.check());
    let attribute = Copy::new().graph(|graph| {
        let norm = node(graph, NORM);
        let mut attributes = graph.node[norm].attribute.iter_mut();
        let eps = attributes.find(|it| it.name() == "epsilon").unwrap();
        eps.f = Some(0.1);
    });
    let input = Copy::new().graph(|graph| {
        let matmul = node(graph, MATMUL);
        let norm = "language_model.model.layers.0.post_attention_layernorm\
                    /SimplifiedLayerNormalization";
        graph.node[matmul].input[0] = norm.to_owned();
    });
    for (copy, node, weights) in [
        (&weight, MATMUL, &[WEIGHT][..]),
        (&attribute.hashed(), NORM, &[]),
        (&input.hashed(), MATMUL, &[]),
    ] {
        let report = followed(copy.folder.path(), &reference);
        let departing: Vec<_> = report
            .graphs
            .iter()
            .filter(|it| it.departure.is_some())
            .collect();
        assert_eq!(departing.len(), 1, "{report}");
        assert_eq!(departing[0].graph, GraphKind::LanguageModel);
        let departure = departing[0].departure.as_ref().unwrap();
        assert_eq!(departure.node, node, "{report}");
        let names: Vec<_> = departure
            .weights
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        assert_eq!(names, weights, "{report}");
        assert!(
            departing[0].compared > 10 && departing[0].worst < 1e-6,
            "{report}"
        );
    }
    let report = followed(weight.folder.path(), &reference);
    let error = report.graphs[2].departure.as_ref().unwrap().weights[0].relative_error;
    assert!((error.unwrap() - 0.01).abs() < 1e-5, "{report}");
}

#[test]
fn exports_of_the_same_weights_do_not_depart() {
    for (model, reference) in [
        (
            tiny_model("released", DType::Fp16),
            tiny_model("released", DType::Fp32),
        ),
        (
            tiny_model("transformers", DType::Fp32),
            tiny_model("transformers", DType::Fp32),
        ),
        (demo_model_in(DType::Fp16), demo_model()),
        (tiny_flow(DType::Fp16), tiny_flow(DType::Fp32)),
    ] {
        let report = followed(&model, &reference);
        assert!(report.passed(), "{}\n{report}", model.display());
        assert_eq!(report.not_compared, []);
        let compared: usize = report.graphs.iter().map(|row| row.compared).sum();
        assert!(compared > 100, "{report}");
    }
}
