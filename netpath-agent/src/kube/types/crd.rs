//! The definitions of the kinds, as the cluster is given them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt as _;

use super::{FixedIP, IPBlock, IPPool, Network, NodeNetwork};

/// A definition as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What it is called, such as `ippools.netpath.io.yaml`.
    pub name: String,
    /// One YAML document.
    pub text: String,
}

/// The definitions of all kinds.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut all =
        vec![IPPool::crd(), IPBlock::crd(), FixedIP::crd(), Network::crd(), NodeNetwork::crd()];
    let versions = all.iter_mut().flat_map(|crd| &mut crd.spec.versions);
    let schemas = versions.filter_map(|it| it.schema.as_mut()?.open_api_v3_schema.as_mut());
    schemas.for_each(tidy);
    all
}

/// The same as files.
pub fn files() -> Result<Vec<File>, serde_saphyr::ser::Error> {
    let file = |crd: CustomResourceDefinition| {
        let name = format!("{}.yaml", crd.metadata.name.as_deref().unwrap_or_default());
        Ok(File { name, text: serde_saphyr::to_string(&crd)? })
    };
    all().into_iter().map(file).collect()
}

/// Makes a schema as Kubernetes likes it.
///
/// What is absent is left out and never null: rules with `has()` mean that. Kubernetes warns of the
/// formats of unsigned numbers, which it does not know, and then takes what an agent can not read:
/// they have a least value already, and get a greatest one. Descriptions are broken where they are
/// shown, not where our lines end.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.description = schema.description.take().map(|text| text.replace('\n', " "));
    if schema.format.as_deref() == Some("uint32") {
        schema.format = Some("int64".to_owned());
        schema.maximum.get_or_insert(u32::MAX.into());
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    schema.properties.iter_mut().flatten().for_each(|(_, property)| tidy(property));
}
