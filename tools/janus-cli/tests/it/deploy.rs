//! docs/deploy: what is written there is what Kubernetes, systemd and this program know.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec, Probe, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::common::Folder;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What a document says as a type of Kubernetes' schema. A field that the schema has not would be lost on the
/// way there and back, one that it demands would be new.
fn typed<T: DeserializeOwned + Serialize>(document: &Value) -> T {
    let typed: T = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(serde_json::to_value(&typed).unwrap(), *document);
    typed
}

fn kubernetes() -> (Deployment, Service) {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&read("deploy/kubernetes.yaml")).unwrap();
    let kinds: Vec<_> = documents
        .iter()
        .map(|d| (&d["apiVersion"], &d["kind"]))
        .collect();
    assert_eq!(
        kinds,
        [
            (&Value::from("apps/v1"), &Value::from("Deployment")),
            (&Value::from("v1"), &Value::from("Service")),
        ]
    );
    (typed(&documents[0]), typed(&documents[1]))
}

fn pod(deployment: &Deployment) -> &PodSpec {
    deployment
        .spec
        .as_ref()
        .unwrap()
        .template
        .spec
        .as_ref()
        .unwrap()
}

fn container(deployment: &Deployment) -> &Container {
    &pod(deployment).containers[0]
}

#[test]
fn the_manifests_have_kubernetes_schema() {
    let (deployment, service) = kubernetes();
    let spec = deployment.spec.as_ref().unwrap();
    let labels = spec
        .template
        .metadata
        .as_ref()
        .unwrap()
        .labels
        .as_ref()
        .unwrap();
    let is_selected = |selector: &BTreeMap<String, String>| {
        !selector.is_empty()
            && selector
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value))
    };
    assert!(is_selected(spec.selector.match_labels.as_ref().unwrap()));
    assert!(is_selected(
        service.spec.as_ref().unwrap().selector.as_ref().unwrap()
    ));
    // The service leads to a port of the container, under its name.
    let ports = container(&deployment).ports.as_ref().unwrap();
    for port in service.spec.as_ref().unwrap().ports.as_ref().unwrap() {
        let Some(IntOrString::String(name)) = &port.target_port else {
            panic!("{port:?}")
        };
        assert!(ports.iter().any(|known| known.name.as_ref() == Some(name)));
    }
    // Every mount is of a volume that there is.
    let volumes = pod(&deployment).volumes.as_ref().unwrap();
    for mount in container(&deployment).volume_mounts.as_ref().unwrap() {
        assert!(volumes.iter().any(|volume| volume.name == mount.name));
    }
}

/// The check itself: a field in the wrong place, one of the wrong type, one that is missing.
#[test]
fn a_wrong_manifest_is_found() {
    let text = read("deploy/kubernetes.yaml");
    for (right, wrong) in [
        ("terminationGracePeriodSeconds:", "terminationGraceSeconds:"),
        ("              path: /ready", "              pfad: /ready"),
        ("containerPort: 8080", "containerPort: [8080]"),
        ("        - name: janus\n", "        - nom: janus\n"),
        ("          lifecycle:", "          lifecycles:"),
    ] {
        let broken = text.replacen(right, wrong, 1);
        assert_ne!(broken, text, "{right}");
        let check = || {
            let documents: Vec<Value> = serde_saphyr::from_multiple(&broken).unwrap();
            typed::<Deployment>(&documents[0])
        };
        assert!(std::panic::catch_unwind(check).is_err(), "{wrong}");
    }
}

/// Probes ask for what the server answers, and it is given the time that it takes to drain.
#[test]
fn probes_and_drain_are_the_servers() {
    let (deployment, _) = kubernetes();
    let container = container(&deployment);
    let path = |probe: &Option<Probe>| {
        let get = probe.as_ref().unwrap().http_get.as_ref().unwrap();
        assert_eq!(get.port, IntOrString::String("http".to_owned()));
        get.path.clone().unwrap()
    };
    assert_eq!(path(&container.startup_probe), "/health");
    assert_eq!(path(&container.liveness_probe), "/health");
    assert_eq!(path(&container.readiness_probe), "/ready");
    let hook = container
        .lifecycle
        .as_ref()
        .unwrap()
        .pre_stop
        .as_ref()
        .unwrap();
    let command = hook.exec.as_ref().unwrap().command.as_ref().unwrap();
    let seconds: i64 = command[1].parse().unwrap();
    let grace = pod(&deployment).termination_grace_period_seconds.unwrap();
    let drain = drain_seconds();
    assert!(grace > seconds + drain, "{grace} {seconds} {drain}");
    expect_known_variables(
        container
            .env
            .as_ref()
            .unwrap()
            .iter()
            .map(|env| env.name.as_str()),
    );
    // Nothing that runs there may write but where it has to.
    let context = container.security_context.as_ref().unwrap();
    assert_eq!(context.read_only_root_filesystem, Some(true));
    assert_eq!(context.allow_privilege_escalation, Some(false));
}

/// The default of `drain_seconds`, from the help page.
fn drain_seconds() -> i64 {
    let help = Folder::new().said(["serve", "--help"]);
    let (_, rest) = help.split_once("--drain-seconds").unwrap();
    let (_, rest) = rest.split_once("[default: ").unwrap();
    rest.split(']').next().unwrap().parse().unwrap()
}

/// Every `JANUS_…` is a flag of `serve`.
fn expect_known_variables<'a>(names: impl Iterator<Item = &'a str>) {
    let help = Folder::new().said(["serve", "--help"]);
    for name in names {
        let flag = name
            .strip_prefix("JANUS_")
            .unwrap()
            .to_lowercase()
            .replace('_', "-");
        // Of the whole program's settings, the cache has another name.
        let flag = if flag == "cache-dir" {
            "cache".to_owned()
        } else {
            flag
        };
        assert!(help.contains(&format!("--{flag} <")), "{name}");
    }
}

#[test]
fn the_unit_is_one_of_systemd() {
    // Of systemd.unit, systemd.service, systemd.exec and systemd.resource-control.
    let known = [
        ("Unit", &["Description", "After"][..]),
        (
            "Service",
            &[
                "EnvironmentFile",
                "ExecStart",
                "Restart",
                "TimeoutStopSec",
                "SuccessExitStatus",
                "DynamicUser",
                "StateDirectory",
                "CacheDirectory",
                "ProtectSystem",
                "ProtectHome",
                "PrivateTmp",
                "PrivateDevices",
                "NoNewPrivileges",
                "CapabilityBoundingSet",
                "RestrictAddressFamilies",
                "MemoryDenyWriteExecute",
                "LimitNOFILE",
            ],
        ),
        ("Install", &["WantedBy"]),
    ];
    let mut section = "";
    let mut values = BTreeMap::new();
    let text = read("deploy/janus.service");
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(name) = line.strip_prefix('[') {
            section = name.strip_suffix(']').unwrap();
            continue;
        }
        let (name, value) = line.split_once('=').unwrap();
        let of = known.iter().find(|(known, _)| *known == section).unwrap();
        assert!(of.1.contains(&name), "[{section}] {name}");
        assert_eq!(values.insert(name, value), None, "{name} twice");
    }
    // What it runs is a command of this program, and it is given the time to drain.
    let words: Vec<_> = values["ExecStart"].split(' ').collect();
    assert_eq!(words[1], "serve");
    let help = Folder::new().said(["serve", "--help"]);
    for flag in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(&format!("{flag} <")), "{flag}");
    }
    let stop: i64 = values["TimeoutStopSec"].parse().unwrap();
    assert!(stop > drain_seconds());
    assert_eq!(values["SuccessExitStatus"], "143");
    // More sockets than connections.
    assert!(values["LimitNOFILE"].parse::<u32>().unwrap() > 2 * 1024);
}

#[test]
fn the_container_runs_what_there_is() {
    let text = read("deploy/Containerfile");
    let folder = Folder::new();
    assert!(
        folder
            .said(["runtime", "install", "--help"])
            .contains("--cache <")
    );
    assert!(text.contains("janus runtime install --cache /cache"));
    let variables = text
        .lines()
        .find_map(|line| line.strip_prefix("ENV "))
        .unwrap();
    let variables: BTreeMap<_, _> = variables
        .split(' ')
        .filter_map(|v| v.split_once('='))
        .collect();
    expect_known_variables(variables.keys().copied());
    let (_, port) = variables["JANUS_LISTEN"].rsplit_once(':').unwrap();
    assert!(text.contains(&format!("EXPOSE {port}\n")));
    assert!(text.contains("ENTRYPOINT [\"janus\", \"serve\"]"));
    // The compiler is at least the one that the workspace needs.
    let workspace =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"));
    let number = |text: &str, after: &str| -> Vec<u32> {
        let (_, rest) = text.split_once(after).unwrap();
        let end = rest
            .find(|c: char| c != '.' && !c.is_ascii_digit())
            .unwrap();
        rest[..end]
            .split('.')
            .map(|part| part.parse().unwrap())
            .collect()
    };
    assert!(number(&text, "rust:") >= number(&workspace.unwrap(), "rust-version = \""));
}
