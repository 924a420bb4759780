//! The committed files are what the chart makes, and the chart refuses what it should.

use super::*;

#[test]
fn committed_files_are_what_the_chart_makes() {
    let workspace = Workspace::find().expect("workspace");
    check(&workspace.root, &make(&workspace).expect("manifests")).expect("the same");
}

#[test]
fn values_are_checked() {
    let workspace = Workspace::find().expect("workspace");
    for (values, about) in [
        ("services: { mode: ipvs }", "mode"),
        ("parents: []", "parents"),
        ("apiServer: { port: 0 }", "port"),
        ("cni: { confName: netpath.conf }", "confName"),
        ("imagge: {}", "imagge"),
        ("parents: [{ name: a, vlan: { on: b, id: 1 } }]", "vlan"),
    ] {
        let error = chart::render(&workspace, &[values.to_owned()]).expect_err(values);
        let error = format!("{error:#}");
        assert!(error.contains(about), "{error}");
    }
}

#[test]
fn a_field_that_kubernetes_does_not_know_is_an_error() {
    let workspace = Workspace::find().expect("workspace");
    let manifest = |field: &str| {
        let text =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n{field}:\n  b: c\n");
        [("configmap".to_owned(), text)].into()
    };
    validate(&workspace, &[manifest("data")], &Manifests::new()).expect("a good one");
    validate(&workspace, &[manifest("datta")], &Manifests::new()).expect_err("an unknown field");
}

#[test]
fn definitions_come_first_and_in_all_forms() {
    let of = |name: &str, text: &str| Manifests::from([(name.to_owned(), text.to_owned())]);
    let made = files(&of("configmap", "kind: A\n"), &of("b", "---\nkind: B\n")).expect("files");
    let text = |path: &str| made[Path::new(path)].as_str();
    assert_eq!(text("deploy/netpath.yaml"), format!("{MADE}---\nkind: B\n---\nkind: A\n"));
    let kustomization = text("deploy/kustomize/base/kustomization.yaml");
    assert!(kustomization.ends_with("resources:\n  - crds/b.yaml\n  - configmap.yaml\n"));
    assert_eq!(text("deploy/kustomize/base/configmap.yaml"), format!("{MADE}kind: A\n"));
    files(&of("secret", "kind: C\n"), &Manifests::new()).expect_err("no place in the order");
}
