//! Files and tensors, mapped by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use janus_onnx::proto::{DataType, Graph, Model, ValueInfo};
use janus_runtime::manifest::DType;

use super::layout::{Form, LAYOUTS, Layout, SUFFIXES, Slot, What};
use crate::structure::described;

/// Products of integers, by which graphs in 8 bits are told.
const BY_INTEGERS: [&str; 5] = [
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "QLinearMatMul",
    "ConvInteger",
];

/// Names of a graph's tensors by what they are, layer by layer where there are several.
pub(super) type Names = BTreeMap<What, Vec<String>>;

/// A graph whose tensors all have a meaning.
pub(super) struct Mapped {
    pub(super) form: &'static Form,
    pub(super) inputs: Names,
    pub(super) outputs: Names,
}

/// The forms that a file could have by its name, and the precision that the name tells.
pub(super) fn forms(
    layout: &'static Layout,
    stem: &str,
) -> Option<(Vec<&'static Form>, Option<DType>)> {
    SUFFIXES.iter().find_map(|(suffix, dtype)| {
        let stem = stem.strip_suffix(suffix)?;
        let forms = layout.forms.iter().filter(|form| form.stem == stem);
        let forms: Vec<_> = forms.collect();
        (!forms.is_empty()).then_some((forms, *dtype))
    })
}

/// Gives every input and output its meaning in the first form that fits.
pub(super) fn map(forms: &[&'static Form], graph: &Graph) -> Option<Mapped> {
    let stored = graph.initializer.iter().map(|weight| weight.name());
    let stored: BTreeSet<_> = stored.collect();
    let given = |value: &&ValueInfo| !stored.contains(&value.name());
    let inputs: Vec<_> = graph
        .input
        .iter()
        .filter(given)
        .map(ValueInfo::name)
        .collect();
    let outputs: Vec<_> = graph.output.iter().map(ValueInfo::name).collect();
    forms.iter().find_map(|form| {
        let (given, rest) = assign(form.inputs, &inputs)?;
        let (made, _) = assign(form.outputs, &outputs)?;
        let compares = made.keys().any(|what| *what != What::Present);
        let layers = [given.get(&What::Past), made.get(&What::Present)].map(|it| it.map(Vec::len));
        let fits = rest.is_empty() && compares && layers[0] == layers[1];
        fits.then_some(Mapped {
            form,
            inputs: given,
            outputs: made,
        })
    })
}

/// Which name is what, and the names that are nothing; none where something is missing.
fn assign<'a>(slots: &[Slot], names: &[&'a str]) -> Option<(Names, Vec<&'a str>)> {
    let mut rest = names.to_vec();
    let mut found = Names::new();
    // Keys before values, layer by layer: those of past and of present are then in the same order.
    for slot in slots {
        let taken = matching(slot.name, &rest);
        rest.retain(|name| !taken.iter().any(|it| it == name));
        found.entry(slot.what).or_default().extend(taken);
    }
    for slot in slots.iter().filter(|slot| slot.any_name) {
        let places = found.entry(slot.what).or_default();
        if let ([only], true) = (&rest[..], places.is_empty()) {
            places.push((*only).to_owned());
            rest.clear();
        }
    }
    let is_there = |slot: &Slot| found.get(&slot.what).is_some_and(|names| !names.is_empty());
    let complete = slots.iter().all(|slot| !slot.required || is_there(slot));
    found.retain(|_, names| !names.is_empty());
    complete.then_some((found, rest))
}

/// The names that a pattern means, `{i}` from 0 on.
fn matching(pattern: &str, names: &[&str]) -> Vec<String> {
    let has = |name: &String| names.contains(&name.as_str());
    match pattern.contains("{i}") {
        false => Some(pattern.to_owned()).filter(has).into_iter().collect(),
        true => (0..names.len())
            .map(|layer| pattern.replace("{i}", &layer.to_string()))
            .take_while(has)
            .collect(),
    }
}

/// The precision of the weights that do the work, by their types.
pub(super) fn precision(model: &Model) -> DType {
    let graph = model.graph();
    let of = |op_type: &'static str| graph.node.iter().filter(move |it| it.op_type() == op_type);
    let bits = of("MatMulNBits").map(|node| {
        let bits = node.attribute.iter().find(|it| it.name() == "bits");
        bits.and_then(|it| it.i).unwrap_or(4)
    });
    if let Some(bits) = bits.min() {
        return if bits <= 4 { DType::Q4 } else { DType::Q8 };
    }
    let mut integers = BY_INTEGERS.iter().flat_map(|op_type| of(op_type));
    if integers.next().is_some() {
        return DType::Q8;
    }
    let bytes = |wanted: DataType| -> u64 {
        let of_type = graph
            .initializer
            .iter()
            .filter(|it| it.data_type() == wanted);
        of_type.filter_map(|weight| weight.bytes()).sum()
    };
    let types = [
        (DType::Fp32, DataType::Float),
        (DType::Fp16, DataType::Float16),
        (DType::Bf16, DataType::Bfloat16),
    ];
    let most = types.into_iter().max_by_key(|(_, dtype)| bytes(*dtype));
    most.map_or(DType::Fp32, |(dtype, _)| dtype)
}

/// A graph's inputs and outputs, for a message.
pub(super) fn listed(graph: &Graph) -> String {
    let list = |values: &[ValueInfo]| {
        let all = values.iter();
        let all = all.map(|it| format!("{} {}", it.name().escape_debug(), described(it)));
        all.collect::<Vec<_>>().join(", ")
    };
    format!(
        "inputs {}; outputs {}",
        list(&graph.input),
        list(&graph.output)
    )
}

/// What the graphs of a stem have, for a message.
pub(super) fn expected(forms: &[&'static Form]) -> String {
    let list = |slots: &[Slot]| {
        let names = slots.iter().map(|slot| match slot.required {
            true => slot.name.to_owned(),
            false => format!("{} (or not)", slot.name),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    let each: Vec<_> = forms
        .iter()
        .map(|form| {
            format!(
                "inputs {}; outputs {}",
                list(form.inputs),
                list(form.outputs)
            )
        })
        .collect();
    each.join("; or ")
}

/// Every layout with the names of its files, for a message.
pub(super) fn known() -> String {
    let mut text = String::new();
    for layout in LAYOUTS {
        let stems = layout.stems();
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{}: {}", layout.name, stems.join(", "));
    }
    text
}
