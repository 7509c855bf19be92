//! Where the nodes of graphs run, as ONNX Runtime recorded it.

use janus_runtime::{ExecutionProvider, GraphKind, ModelDir, SessionOptions};
use janus_tests::{demo_model, load_library};

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
    let layers = nodes.iter().filter(|node| node.operator == attention);
    assert_eq!(layers.count(), model.manifest().language.num_layers);
    assert!(nodes.iter().all(|node| !node.name.is_empty()));
    // Asked for another provider, all of them would be strays but for shapes.
    let cuda = ExecutionProvider::Cuda { device: 0 };
    assert!(language_model.strays(cuda).len() > nodes.len() / 2);
}
