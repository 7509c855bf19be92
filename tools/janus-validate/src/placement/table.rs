//! The tables of kernels: which operators, versions and types a provider has.

use janus_onnx::proto::Node;
use janus_runtime::ExecutionProvider;

use super::Facts;
use crate::error::{Error, Result};

/// Versions of every standard operator.
const VERSIONS: &str = include_str!("../../kernels/versions.tsv");

/// The kernels of one provider.
pub(super) struct Table {
    /// The first line: whose kernels, of which version, by which source.
    pub(super) source: &'static str,
    kernels: Vec<Kernel>,
}

/// A kernel.
struct Kernel {
    domain: &'static str,
    op_type: &'static str,
    /// The first version of the operator that it is for.
    start: i64,
    /// The last; one without an end is for no version that is newer than the first.
    end: Option<i64>,
    /// The types that each input may have.
    types: Vec<(&'static str, &'static str)>,
}

impl Table {
    pub(super) fn of(provider: ExecutionProvider) -> Result<Self> {
        let text = match provider {
            ExecutionProvider::Cpu => include_str!("../../kernels/cpu.tsv"),
            ExecutionProvider::Cuda { .. } => include_str!("../../kernels/cuda.tsv"),
            ExecutionProvider::TensorRt { .. } => include_str!("../../kernels/tensorrt.tsv"),
            ExecutionProvider::DirectMl { .. } => include_str!("../../kernels/directml.tsv"),
            ExecutionProvider::CoreMl => include_str!("../../kernels/coreml.tsv"),
            ExecutionProvider::OpenVino => include_str!("../../kernels/openvino.tsv"),
            ExecutionProvider::WebGpu => include_str!("../../kernels/webgpu.tsv"),
            _ => {
                return Err(Error::NoKernelTable {
                    provider: provider.to_string(),
                });
            }
        };
        Ok(Self::parse(text))
    }

    fn parse(text: &'static str) -> Self {
        let source = text.lines().next().unwrap_or("").trim_start_matches("# ");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self {
            source,
            kernels: lines.filter_map(Kernel::parse).collect(),
        }
    }

    /// Why there is no kernel for a node.
    pub(super) fn refusal(&self, node: &Node, facts: &Facts<'_>) -> Option<String> {
        let domain = match janus_onnx::standard(node.domain()) {
            "" => "ai.onnx",
            other => other,
        };
        let of_op = |kernel: &&Kernel| (kernel.domain, kernel.op_type) == (domain, node.op_type());
        let kernels: Vec<_> = self.kernels.iter().filter(of_op).collect();
        if kernels.is_empty() {
            return Some("there is no kernel for this operator".to_owned());
        }
        let opset = facts.model.opset(node.domain()).unwrap_or(1);
        let version = version_at(domain, node.op_type(), opset);
        let kernels: Vec<_> = kernels
            .into_iter()
            .filter(|it| it.is_for(version))
            .collect();
        if kernels.is_empty() {
            return Some(format!(
                "there is no kernel for version {version} of it (opset {opset})"
            ));
        }
        match kernels.iter().any(|kernel| kernel.takes(node, facts)) {
            true => None,
            false => Some(format!(
                "there is no kernel for inputs {}",
                types_of(node, facts)
            )),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kernels.len()
    }
}

impl Kernel {
    fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (domain, op_type, versions) = (fields.next()?, fields.next()?, fields.next()?);
        let (start, end) = versions.split_once('-')?;
        let types = fields.next().unwrap_or("").split_whitespace();
        Some(Self {
            domain,
            op_type,
            start: start.parse().ok()?,
            end: end.parse().ok(),
            types: types.filter_map(|it| it.split_once('=')).collect(),
        })
    }

    fn is_for(&self, version: i64) -> bool {
        match self.end {
            Some(end) => (self.start..=end).contains(&version),
            None => self.start == version,
        }
    }

    fn takes(&self, node: &Node, facts: &Facts<'_>) -> bool {
        (0..node.input.len()).all(|input| {
            let Some(dtype) = facts.dtype(node, input) else {
                return true;
            };
            let place = input.to_string();
            let of_place = |wanted: &str| self.types.iter().find(|(at, _)| *at == wanted);
            let allowed = of_place(&place).or_else(|| of_place("*"));
            allowed.is_none_or(|(_, types)| types.split(',').any(|it| it == dtype.short_name()))
        })
    }
}

/// The version of an operator that a graph of this opset means.
fn version_at(domain: &str, op_type: &str, opset: i64) -> i64 {
    if domain != "ai.onnx" {
        return 1;
    }
    let lines = VERSIONS.lines();
    let mut of_op = lines.filter_map(|line| line.strip_prefix(op_type)?.strip_prefix('\t'));
    let versions = of_op.next().unwrap_or("");
    let versions = versions
        .split(',')
        .filter_map(|version| version.parse().ok());
    versions
        .filter(|version| *version <= opset)
        .max()
        .unwrap_or(1)
}

/// `f16, f16`
fn types_of(node: &Node, facts: &Facts<'_>) -> String {
    let types = (0..node.input.len()).filter_map(|input| facts.dtype(node, input));
    types
        .map(|dtype| dtype.short_name())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opset_means_the_newest_version_that_it_has() {
        for (op_type, opset, version) in [
            ("MatMul", 20, 13),
            ("Gelu", 20, 20),
            ("Split", 17, 13),
            ("Split", 20, 18),
            ("SimplifiedLayerNormalization", 20, 1),
        ] {
            assert_eq!(version_at("ai.onnx", op_type, opset), version, "{op_type}");
        }
        assert_eq!(version_at("com.microsoft", "MatMulNBits", 1), 1);
    }

    #[test]
    fn tables_are_read_whole() {
        for (provider, text, least) in [
            ("cpu", include_str!("../../kernels/cpu.tsv"), 700),
            ("cuda", include_str!("../../kernels/cuda.tsv"), 30),
            ("tensorrt", include_str!("../../kernels/tensorrt.tsv"), 25),
            ("directml", include_str!("../../kernels/directml.tsv"), 30),
            ("coreml", include_str!("../../kernels/coreml.tsv"), 25),
            ("openvino", include_str!("../../kernels/openvino.tsv"), 80),
            ("webgpu", include_str!("../../kernels/webgpu.tsv"), 80),
        ] {
            let table = Table::of(provider.parse().unwrap()).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with('#')).count();
            assert_eq!(table.len(), lines, "{provider}");
            assert!(lines >= least, "{provider}");
            assert!(table.source.contains("ONNX Runtime"), "{}", table.source);
        }
    }

    #[test]
    fn a_kernel_without_an_end_is_for_its_first_version() {
        let kernel = |line| Kernel::parse(line).unwrap();
        let (open, closed) = (
            kernel("ai.onnx\tResize\t19-\t0=f32"),
            kernel("ai.onnx\tSplit\t13-17\t"),
        );
        assert!(open.is_for(19) && !open.is_for(20) && !open.is_for(18));
        assert!(closed.is_for(13) && closed.is_for(17) && !closed.is_for(18));
    }
}
