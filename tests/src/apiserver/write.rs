//! Writes: what is checked, what the server sets itself, and who owns the fields afterwards.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    apply::apply,
    crd,
    fields::{Manager, Owners, leaves},
    kind::Kind,
    object::{Key, Object, meta, same, set, set_meta},
    patch::{Patch, patched},
    shape::Shape,
    status::{Cause, Failure},
    store::{Store, key_of, now},
    system::{begin, bump_generation, check_name, finalizers, generation_moves, restore},
};

/// A request to write an object.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) kind: Arc<Kind>,
    /// The name is empty when an object is created.
    pub(crate) key: Key,
    pub(crate) manager: Manager,
    /// Whether fields that the schema does not know are an error.
    pub(crate) strict: bool,
    /// Whether all is done but the writing.
    pub(crate) dry_run: bool,
}

impl Write {
    pub(crate) fn create(
        &self,
        store: &mut Store,
        mut object: Value,
    ) -> Result<Arc<Object>, Failure> {
        let kind = &*self.kind;
        self.check_type(&object)?;
        for field in ["managedFields", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            set_meta(&mut object, field, None);
        }
        if !meta(&object, "resourceVersion").is_empty() {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(Failure::internal(why));
        }
        let prefix = meta(&object, "generateName").to_owned();
        if meta(&object, "name").is_empty() && !prefix.is_empty() {
            let name = prefix + &store.random_suffix();
            set_meta(&mut object, "name", Some(name.into()));
        }
        if kind.status {
            set(&mut object, "status", None);
        }
        self.insert(store, object, false)
    }

    pub(crate) fn replace(&self, store: &mut Store, object: Value) -> Result<Arc<Object>, Failure> {
        let Self { kind, key, .. } = self;
        let before = self.live(store)?;
        self.check_type(&object)?;
        if kind.schema.is_some() && meta(&object, "resourceVersion").is_empty() {
            let why = "must be specified for an update";
            let cause = Cause::invalid("metadata.resourceVersion", &json!(0), why);
            return Err(Failure::invalid(kind, &key.name, &[cause]));
        }
        self.update(store, &before, object, false)
    }

    /// Patches; an apply of what is not there creates it, which the first of the result tells.
    pub(crate) fn patch(
        &self,
        store: &mut Store,
        patch: Patch,
        body: &Value,
        force: bool,
    ) -> Result<(bool, Arc<Object>), Failure> {
        let Self { kind, key, manager, .. } = self;
        if patch != Patch::Apply {
            let before = self.live(store)?;
            let object = patched(kind, &before.typed(kind), patch, body)?;
            self.check_type(&object)?;
            return Ok((false, self.update(store, &before, object, false)?));
        }
        let config = self.config(body)?;
        match self.live(store) {
            Ok(before) => {
                let object = apply(kind, &before.typed(kind), &config, manager, force)?;
                Ok((false, self.update(store, &before, object, true)?))
            }
            Err(failure) if manager.status => Err(failure),
            Err(_) if !meta(&config, "uid").is_empty() => {
                let why =
                    "uid mismatch: the provided object specified a uid, and no object was found";
                Err(Failure::conflict(kind, &key.name, why))
            }
            Err(_) => {
                let nothing = json!({"metadata": {}});
                let object = apply(kind, &nothing, &config, manager, force)?;
                Ok((true, self.insert(store, object, true)?))
            }
        }
    }

    /// Deletes, or marks as deleted what has finalizers: then the result is false.
    pub(crate) fn delete(
        &self,
        store: &mut Store,
        options: &Value,
    ) -> Result<(bool, Arc<Object>), Failure> {
        let Self { kind, key, .. } = self;
        let before = self.live(store)?;
        for (field, name) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            let (is, wanted) = (before.meta(field), &options["preconditions"][field]);
            if wanted.as_str().is_some_and(|wanted| wanted != is) {
                let why = format!(
                    "Precondition failed: {name} in precondition: {}, {name} in object meta: {is}",
                    wanted.as_str().unwrap_or_default()
                );
                return Err(Failure::conflict(kind, &key.name, &why));
            }
        }
        if self.dry_run {
            return Ok((true, before));
        }
        Ok(delete(store, kind, key, &before))
    }

    fn live(&self, store: &Store) -> Result<Arc<Object>, Failure> {
        let live = store.get(&self.kind.resource, &self.key).cloned();
        live.ok_or_else(|| Failure::not_found(&self.kind, &self.key.name))
    }

    /// What an apply says, without what its subresource has no say in.
    fn config(&self, body: &Value) -> Result<Value, Failure> {
        let mut config = body.clone();
        self.check_type(&config)?;
        if config["metadata"]["managedFields"].as_array().is_some_and(|fields| !fields.is_empty()) {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        set_meta(&mut config, "name", Some(self.key.name.as_str().into()));
        if self.manager.status {
            let mut only = json!({"metadata": {}});
            for field in ["name", "namespace", "uid", "resourceVersion"] {
                set_meta(&mut only, field, config["metadata"].get(field).cloned());
            }
            for field in ["apiVersion", "kind", "status"] {
                set(&mut only, field, config.get(field).cloned());
            }
            config = only;
        } else if self.kind.status {
            set(&mut config, "status", None);
        }
        Ok(config)
    }

    /// Stores an object that was not there.
    fn insert(
        &self,
        store: &mut Store,
        mut object: Value,
        applied: bool,
    ) -> Result<Arc<Object>, Failure> {
        let kind = &*self.kind;
        let namespace =
            (!self.key.namespace.is_empty()).then(|| self.key.namespace.as_str().into());
        set_meta(&mut object, "namespace", namespace);
        let key = key_of(&object);
        check_name(kind, &key.name)?;
        self.check_schema(&mut object, None)?;
        if store.get(&kind.resource, &key).is_some() {
            return Err(Failure::already_exists(kind, &key.name));
        }
        begin(store, &mut object, None);
        if !applied {
            let mut owners = Owners::default();
            let shape = Shape::Root(kind);
            owners.update(
                &self.manager,
                &kind.api_version(),
                &leaves(shape, &Value::Null),
                &leaves(shape, &object),
            );
            object["metadata"]["managedFields"] = owners.json();
        }
        Ok(self.commit(store, &key, object))
    }

    /// Stores what an object becomes.
    fn update(
        &self,
        store: &mut Store,
        before: &Arc<Object>,
        mut object: Value,
        applied: bool,
    ) -> Result<Arc<Object>, Failure> {
        let Self { kind, key, manager, .. } = self;
        let old = before.typed(kind);
        let (uid, version) = (meta(&object, "uid"), meta(&object, "resourceVersion"));
        if !uid.is_empty() && uid != before.meta("uid") {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                before.meta("uid")
            );
            return Err(Failure::conflict(kind, &key.name, &why));
        }
        if !version.is_empty() && version != before.meta("resourceVersion") {
            return Err(Failure::modified(kind, &key.name));
        }
        if manager.status {
            let (status, fields) =
                (object.get("status").cloned(), object["metadata"].get("managedFields"));
            let mut only = old.clone();
            set_meta(&mut only, "managedFields", fields.cloned());
            set(&mut only, "status", status);
            object = only;
        } else if kind.status {
            set(&mut object, "status", old.get("status").cloned());
        }
        restore(&mut object, &old, applied);
        self.check_schema(&mut object, Some(&old))?;
        let deleting = old["metadata"]["deletionTimestamp"].is_string();
        let held = finalizers(&old);
        if deleting && finalizers(&object).iter().any(|one| !held.contains(one)) {
            let why = "Forbidden: no new finalizers can be added if the object is being deleted";
            let cause = Cause::new("metadata.finalizers", "FieldValueForbidden", why);
            return Err(Failure::forbidden(kind, &key.name, &cause));
        }
        if !applied {
            let mut owners = Owners::read(&old);
            let shape = Shape::Root(kind);
            owners.update(
                manager,
                &kind.api_version(),
                &leaves(shape, &old),
                &leaves(shape, &object),
            );
            object["metadata"]["managedFields"] = owners.json();
        }
        if same(&old, &object) {
            return Ok(Arc::clone(before));
        }
        if generation_moves(kind, &old, &object) {
            bump_generation(&mut object);
        }
        if deleting && finalizers(&object).is_empty() && !self.dry_run {
            let last = store.remove(kind, key, Some(object));
            return Ok(last.unwrap_or_else(|| Arc::clone(before)));
        }
        Ok(self.commit(store, key, object))
    }

    fn commit(&self, store: &mut Store, key: &Key, object: Value) -> Arc<Object> {
        if self.dry_run {
            Arc::new(Object::new(object, store.version()))
        } else {
            store.set(&self.kind, key, object)
        }
    }

    /// The object must be what the path says.
    fn check_type(&self, object: &Value) -> Result<(), Failure> {
        let Self { kind, key, .. } = self;
        if !object.is_object() {
            return Err(Failure::bad_request("the body is no object"));
        }
        for (field, wanted, called) in
            [("apiVersion", kind.api_version(), "API version"), ("kind", kind.kind.clone(), "kind")]
        {
            let is = object[field].as_str().unwrap_or_default();
            // Typed clients leave the type out.
            if is != wanted && (!is.is_empty() || kind.schema.is_some()) {
                return Err(Failure::bad_request(format!(
                    "the {called} in the data ({is}) does not match the expected {called} ({wanted})"
                )));
            }
        }
        let (name, namespace) = (meta(object, "name"), meta(object, "namespace"));
        if !key.name.is_empty() && !name.is_empty() && name != key.name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                key.name
            )));
        }
        if !namespace.is_empty() && namespace != key.namespace {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        Ok(())
    }

    /// Prunes, sets defaults and checks.
    fn check_schema(&self, object: &mut Value, old: Option<&Value>) -> Result<(), Failure> {
        let kind = &*self.kind;
        let causes = match &kind.schema {
            Some(schema) => {
                object["apiVersion"] = kind.api_version().into();
                object["kind"] = kind.kind.as_str().into();
                let unknown = schema.prune_and_default(object);
                if self.strict && !unknown.is_empty() {
                    let unknown: Vec<String> =
                        unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
                    let message = format!("strict decoding error: {}", unknown.join(", "));
                    return Err(Failure::bad_request(message));
                }
                schema.check(object, old)
            }
            None if *kind.resource == *crd::RESOURCE => crd::check(object),
            None => Vec::new(),
        };
        if causes.is_empty() {
            Ok(())
        } else {
            Err(Failure::invalid(kind, meta(object, "name"), &causes))
        }
    }
}

/// Stores an object as it is, for tests: no checks, no conflicts, and a status like any field.
pub(crate) fn put(store: &mut Store, kind: &Kind, mut object: Value) -> Arc<Object> {
    let key = key_of(&object);
    let before = store.get(&kind.resource, &key).cloned();
    begin(store, &mut object, before.as_deref());
    if let Some(before) = before
        && generation_moves(kind, &before.value, &object)
    {
        bump_generation(&mut object);
    }
    store.set(kind, &key, object)
}

/// Deletes an object, or marks it as deleted while it has finalizers; the first tells whether it is
/// gone.
pub(crate) fn delete(
    store: &mut Store,
    kind: &Kind,
    key: &Key,
    before: &Arc<Object>,
) -> (bool, Arc<Object>) {
    if finalizers(&before.value).is_empty() {
        let last = store.remove(kind, key, None);
        return (true, last.unwrap_or_else(|| Arc::clone(before)));
    }
    if before.value["metadata"]["deletionTimestamp"].is_string() {
        return (false, Arc::clone(before));
    }
    let mut object = before.value.clone();
    set_meta(&mut object, "deletionTimestamp", Some(now()));
    set_meta(&mut object, "deletionGracePeriodSeconds", Some(0.into()));
    bump_generation(&mut object);
    (false, store.set(kind, key, object))
}
