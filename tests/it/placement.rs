//! Where nodes run: what the tables of kernels say, and what ONNX Runtime does.

use std::collections::BTreeSet;
use std::path::PathBuf;

use janus_runtime::manifest::DType;
use janus_runtime::{Error, ExecutionProvider, GraphKind, ModelDir, SessionOptions};
use janus_tests::{
    data, demo_checkpoint, demo_model, demo_model_in, load_library, standard_model, tiny_flow,
    tiny_model,
};
use janus_validate::check_placement;

/// Exports of every precision, and those for fixed sizes.
fn exports() -> Vec<PathBuf> {
    let precisions = [DType::Fp32, DType::Fp16, DType::Q8, DType::Q4, DType::Q4f16];
    let of = |dtype| {
        [
            tiny_model("released", dtype),
            demo_model_in(dtype),
            tiny_flow(dtype),
        ]
    };
    let mut exports: Vec<_> = precisions.into_iter().flat_map(of).collect();
    exports.extend(fixed());
    exports
}

fn fixed() -> [PathBuf; 3] {
    let flow = data("janusflow-tiny");
    let vae = Some(flow.join("sdxl-vae"));
    [
        standard_model(&data("janus-tiny/released"), None, "tiny"),
        standard_model(&flow.join("released"), vae, "tiny-flow"),
        standard_model(&demo_checkpoint(), None, "demo"),
    ]
}

/// The table has a kernel for every node of every export, and the runtime runs every one there.
#[test]
fn the_cpu_runs_what_its_table_says() {
    load_library();
    for path in exports() {
        let model = ModelDir::open(&path).unwrap();
        let report = check_placement(&model, ExecutionProvider::Cpu).unwrap();
        assert!(report.table.contains("1.32.0"), "{}", report.table);
        for placed in &report.graphs {
            assert_eq!(placed.placed, placed.nodes, "{}\n{report}", path.display());
            let graph = model
                .graph(placed.graph.parse().unwrap(), &SessionOptions::default())
                .unwrap();
            let record = graph.placement();
            let elsewhere = record.elsewhere(ExecutionProvider::Cpu).count();
            assert_eq!((elsewhere, record.nodes() > 0), (0, true), "{record}");
        }
    }
}

/// Products in bfloat16 have no kernel on the CPU: the runtime refuses them too.
#[test]
fn what_the_table_lacks_the_runtime_does_not_run() {
    use janus_onnx::proto::DataType;
    use prost::Message;
    load_library();
    let folder = tempfile::tempdir().unwrap();
    let from = tiny_model("released", DType::Fp16);
    for entry in std::fs::read_dir(&from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    // The cast of the head's weight goes, and everything becomes bfloat16.
    let path = folder.path().join("lm_head.onnx");
    let mut file = janus_onnx::read(&path).unwrap();
    let graph = file.graph.as_mut().unwrap();
    let cast = graph
        .node
        .iter()
        .position(|it| it.op_type() == "Cast")
        .unwrap();
    let cast = graph.node.remove(cast);
    let product = graph
        .node
        .iter_mut()
        .find(|it| it.op_type() == "MatMul")
        .unwrap();
    let place = product
        .input
        .iter()
        .position(|it| *it == cast.output[0])
        .unwrap();
    product.input[place] = cast.input[0].clone();
    let values = graph.input.iter_mut().chain(&mut graph.output);
    for value in values.chain(&mut graph.value_info) {
        let tensor = value.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        tensor.elem_type = Some(DataType::Bfloat16 as i32);
    }
    for weight in &mut graph.initializer {
        weight.data_type = Some(DataType::Bfloat16 as i32);
    }
    std::fs::write(&path, file.encode_to_vec()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let manifest = folder.path().join("manifest.json");
    let mut text: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    text["files"]["lm_head.onnx"]["bytes"] = bytes.len().into();
    std::fs::write(&manifest, text.to_string()).unwrap();

    let model = ModelDir::open(folder.path()).unwrap();
    let report = check_placement(&model, ExecutionProvider::Cpu).unwrap();
    let head = report
        .graphs
        .iter()
        .find(|it| it.graph == "lm_head")
        .unwrap();
    assert_eq!(
        (head.heavy, head.heavy_placed, head.leaving.len()),
        (1, 0, 1),
        "{report}"
    );
    assert_eq!(
        head.leaving[0].reason,
        "there is no kernel for inputs bf16, bf16"
    );
    let opened = model.altered_graph(
        head.graph.parse().unwrap(),
        &bytes,
        &SessionOptions::default(),
    );
    assert!(matches!(opened, Err(Error::OpenGraph { .. })), "{opened:?}");
}

#[test]
fn providers_of_fixed_sizes_have_every_heavy_node() {
    for path in fixed() {
        let model = ModelDir::open(&path).unwrap();
        let providers = [
            "cuda", "tensorrt", "directml", "coreml", "openvino", "webgpu",
        ];
        for provider in providers {
            let report = check_placement(&model, provider.parse().unwrap()).unwrap();
            assert!(report.passed(), "{report}");
            let leaving = report.graphs.iter().flat_map(|graph| &graph.leaving);
            for it in leaving {
                assert!(
                    ["Gather", "Cast"].contains(&it.op_type.as_str()),
                    "{report}"
                );
            }
        }
    }
}

#[test]
fn what_a_provider_lacks_is_told_with_its_reason() {
    let model = ModelDir::open(tiny_model("released", DType::Q8)).unwrap();
    let reasons = |provider: &str| {
        let report = check_placement(&model, provider.parse().unwrap()).unwrap();
        assert!(!report.passed(), "{report}");
        let leaving = report.graphs.iter().flat_map(|graph| graph.leaving.clone());
        let told = leaving.map(|it| format!("{}: {}", it.op_type, it.reason));
        (told.collect::<BTreeSet<_>>(), report.to_string())
    };
    for (provider, expected) in [
        (
            "cuda",
            "GroupQueryAttention: there is no kernel for inputs f32, f32, f32",
        ),
        (
            "tensorrt",
            "GroupQueryAttention: there is no kernel for this operator",
        ),
        (
            "coreml",
            "MatMulNBits: there is no kernel for this operator",
        ),
        ("directml", "MatMulNBits: there are no zero points"),
        ("directml", "Gelu: there is no kernel for this operator"),
        (
            "openvino",
            "GroupQueryAttention: there is no kernel for this operator",
        ),
        (
            "webgpu",
            "MatMulIntegerToFloat: there is no kernel for this operator",
        ),
        (
            "webgpu",
            "GroupQueryAttention: it is wrong on subgroups of four lanes",
        ),
    ] {
        let (reasons, report) = reasons(provider);
        let found = reasons.iter().any(|reason| reason.starts_with(expected));
        assert!(found, "{expected}\n{report}");
    }
}

/// Of every graph that is opened, each node is on the CPU, by its name and operator.
#[test]
fn what_was_opened_is_on_record() {
    load_library();
    let model = ModelDir::open(demo_model()).unwrap();
    assert!(model.placements().is_empty());
    let options = SessionOptions::default();
    model.graph(GraphKind::LanguageModel, &options).unwrap();
    model.clone().graph(GraphKind::GenHead, &options).unwrap();

    let placements = model.placements();
    let graphs: Vec<_> = placements.keys().copied().collect();
    assert_eq!(graphs.len(), 2);
    let language_model = &placements[&GraphKind::LanguageModel];
    let cpu = ExecutionProvider::Cpu;
    assert_eq!(language_model.elsewhere(cpu).count(), 0);
    assert!(language_model.strays(cpu).is_empty());
    let nodes = &language_model.providers["CPUExecutionProvider"];
    assert_eq!(nodes.len(), language_model.count(cpu));
    let attention = "com.microsoft.GroupQueryAttention";
    let layers = nodes.iter().filter(|node| node.to_string() == attention);
    assert_eq!(layers.count(), model.manifest().language.num_layers);
    assert!(nodes.iter().all(|node| !node.name.is_empty()));
    // Asked for another provider, all of them would be strays but for shapes.
    let cuda = ExecutionProvider::Cuda { device: 0 };
    assert!(language_model.strays(cuda).len() > nodes.len() / 2);
}
