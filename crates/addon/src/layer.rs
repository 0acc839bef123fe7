//! Layers of OCI images: taken in as they come, and flattened.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use archive::Shift;
use archive::layer::{
    self, Digest, FlatLayer, FlattenRequest, Flavor, Ingest, Reading, RenderTarget, Rendered, Sender,
};
use napi::bindgen_prelude::{Buffer, Either, Null, Object};
use napi::{Env, JsDeferred};
use napi_derive::napi;

use crate::archive::{IdShift, Stats, number, on_thread, present};
use crate::failure::NativeFailure;
use crate::sys;

/// What is known of a layer, and what is to be done with it.
#[napi(object, js_name = "LayerRequest", object_to_js = false)]
pub struct LayerRequest {
    /// Of the bytes as they come.
    pub digest: Either<String, Null>,
    /// Their number.
    pub size: Either<f64, Null>,
    /// Of the inflated bytes.
    pub diff_id: Either<String, Null>,
    /// Most inflated bytes.
    pub limit: f64,
    /// Where the blob is written, without a name.
    pub blob_dir: Either<String, Null>,
    /// An empty directory for the tree.
    pub rootfs: Either<String, Null>,
}

/// A layer that is what its descriptor says.
#[napi(object, js_name = "IngestedLayer", object_from_js = false)]
pub struct Ingested {
    /// The caller's from now on.
    pub fd: Either<i32, Null>,
    /// Of the bytes as they came.
    pub digest: String,
    /// Their number.
    pub size: i64,
    /// Of the inflated bytes.
    pub diff_id: String,
    /// Their number.
    pub inflated: i64,
    /// Its tree.
    pub rendered: Either<Tree, Null>,
}

/// A layer's tree.
#[napi(object, js_name = "RenderedLayer", object_from_js = false)]
pub struct Tree {
    /// Whether it is complete.
    pub whole: bool,
    /// Names below the root.
    pub entries: i64,
    /// Sum of sizes.
    pub bytes: i64,
    /// Directories without an entry, each followed by a zero byte.
    pub implied: Buffer,
}

/// A layer of an image that is flattened.
#[napi(object, js_name = "FlatLayer", object_to_js = false)]
pub struct Flat {
    /// Its bytes.
    pub blob: String,
    /// What they inflate to.
    pub diff_id: String,
    /// Most inflated bytes.
    pub limit: f64,
}

impl TryFrom<LayerRequest> for Ingest {
    type Error = NativeFailure;

    fn try_from(request: LayerRequest) -> Result<Self, NativeFailure> {
        let digest = |text: Either<String, Null>| present(text).map(|text| digest(&text)).transpose();
        Ok(Self {
            digest: digest(request.digest)?,
            size: present(request.size).map(count),
            diff_id: digest(request.diff_id)?,
            limit: count(request.limit),
            blob: present(request.blob_dir).map(PathBuf::from),
            render: present(request.rootfs)
                .map(|directory| RenderTarget { directory: directory.into(), flavor: flavor() }),
        })
    }
}

fn digest(text: &str) -> Result<Digest, NativeFailure> {
    Digest::parse(text).ok_or_else(|| NativeFailure::new("RKT_BAD_DIGEST", format!("\"{text}\" is not a digest")))
}

/// Only root can write the attributes that nobody else can.
fn flavor() -> Flavor {
    archive::Privileges::own().flavor()
}

/// A size of JavaScript, which has no negative ones.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
fn count(number: f64) -> u64 {
    number as u64
}

impl From<layer::IngestedLayer> for Ingested {
    fn from(layer: layer::IngestedLayer) -> Self {
        let rendered = layer.rendered.map(|rendered| match rendered {
            Rendered::Whole { stats, implied } => {
                let implied: Vec<u8> = implied.into_iter().flat_map(|path| path.into_iter().chain([0])).collect();
                Tree {
                    whole: true,
                    entries: number(stats.entries),
                    bytes: number(stats.bytes),
                    implied: implied.into(),
                }
            }
            Rendered::NeedsParents { .. } => Tree { whole: false, entries: 0, bytes: 0, implied: Vec::new().into() },
        });
        Self {
            fd: layer.blob.map_or(Either::B(Null), |blob| Either::A(sys::give(blob))),
            digest: layer.digest.to_string(),
            size: number(layer.size),
            diff_id: layer.diff_id.to_string(),
            inflated: number(layer.inflated),
            rendered: rendered.map_or(Either::B(Null), Either::A),
        }
    }
}

/// A layer that is pushed. Collected or [aborted](Self::abort) before its end, it leaves nothing.
#[napi(js_name = "LayerSink")]
#[derive(Default)]
pub struct LayerSink(Mutex<Option<Sender>>);

#[napi]
impl LayerSink {
    /// A sink that nobody reads yet.
    #[napi(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to take the layer in; once. The promise settles when it has ended, however.
    #[napi(ts_return_type = "Promise<Outcome<IngestedLayer>>")]
    pub fn ingest<'env>(&self, env: &'env Env, request: LayerRequest) -> napi::Result<Object<'env>> {
        let (sender, feed) = layer::channel();
        *self.sender() = Some(sender);
        on_thread(env, "layer", move || {
            let request = Ingest::try_from(request)?;
            Ok::<_, NativeFailure>(Ingested::from(layer::ingest(feed, &request)?))
        })
    }

    /// Takes bytes; false asks to wait for [`Self::drained`].
    #[napi]
    pub fn push(&self, bytes: Buffer) -> bool {
        self.sender().as_ref().is_none_or(|sender| sender.push(bytes.to_vec()))
    }

    /// Settles when there is room again, or nobody reads any more.
    #[napi(ts_return_type = "Promise<null>")]
    pub fn drained<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (deferred, promise): (JsDeferred<Null, _>, _) = env.create_deferred()?;
        let resolve = move || {
            deferred.resolve(Box::new(|_: Env| Ok(Null)) as Box<dyn FnOnce(Env) -> napi::Result<Null> + Send>);
        };
        match &*self.sender() {
            Some(sender) => sender.when_drained(Box::new(resolve)),
            None => resolve(),
        }
        Ok(promise)
    }

    /// All has been pushed.
    #[napi]
    pub fn end(&self) {
        if let Some(sender) = self.sender().take() {
            sender.end();
        }
    }

    /// The rest will not come: [`Self::ingest`] settles with `RKT_LAYER_ABORTED`.
    #[napi]
    pub fn abort(&self) {
        drop(self.sender().take());
    }

    fn sender(&self) -> std::sync::MutexGuard<'_, Option<Sender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same out of a descriptor, which the caller keeps open until the promise settles.
#[napi(ts_return_type = "Promise<Outcome<IngestedLayer>>")]
pub fn ingest_layer(env: &Env, source_fd: i32, request: LayerRequest) -> napi::Result<Object<'_>> {
    let source = sys::borrow(&source_fd).and_then(|fd| {
        fd.try_clone_to_owned()
            .map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
    });
    on_thread(env, "layer", move || {
        let source = source
            .map_err(|errno| NativeFailure::system("RKT_IO", format!("cannot read descriptor {source_fd}"), errno))?;
        let request = Ingest::try_from(request)?;
        Ok::<_, NativeFailure>(Ingested::from(layer::ingest(Reading::descriptor(source), &request)?))
    })
}

/// Lays layers on each other in an empty directory, each verified by its DiffID.
#[napi(ts_return_type = "Promise<Outcome<TreeStats>>")]
pub fn flatten_layers(
    env: &Env,
    layers: Vec<Flat>,
    target: String,
    scratch: String,
    shift: Option<IdShift>,
) -> napi::Result<Object<'_>> {
    on_thread(env, "flatten", move || {
        let layers: Result<Vec<FlatLayer>, NativeFailure> = layers
            .into_iter()
            .map(|layer| {
                let (diff_id, limit) = (digest(&layer.diff_id)?, count(layer.limit));
                Ok(FlatLayer { blob: layer.blob.into(), diff_id, limit })
            })
            .collect();
        let request = FlattenRequest {
            layers: layers?,
            target: target.into(),
            scratch: scratch.into(),
            shift: shift.map(Shift::from),
        };
        Ok::<_, NativeFailure>(Stats::from(layer::flatten(&request)?))
    })
}
