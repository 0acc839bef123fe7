//! Images and trees, off the event loop.
//!
//! Each call has a thread of its own, which settles a promise at its end: libuv's four threads stay free for Node's own
//! files and look-ups, and a fetch of eight images does not wait for a tree that is being removed.

use crate::failure::{NativeFailure, Outcome, outcome};
use crate::sys;
use archive::{Error, RenderRequest, RenderSource, Shift, TreeStats};
use napi::bindgen_prelude::{Buffer, Either, Null, Object, ToNapiValue};
use napi::{Env, JsDeferred};
use napi_derive::napi;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;

impl From<Error> for NativeFailure {
    fn from(error: Error) -> Self {
        let failure = Self::new(error.code(), error.to_string()).with_errno(error.errno());
        match error.cause() {
            // TypeScript has a text for every number.
            Some(cause) if error.errno() == 0 => failure.with_cause(cause),
            _ => failure,
        }
    }
}

/// An image that was written, before it has a name.
#[napi(object, js_name = "Ingested", object_from_js = false)]
pub struct IngestedImage {
    /// The caller's from now on.
    pub fd: i32,
    /// 128 hex digits.
    pub sha512: String,
    /// Bytes of the inflated tar.
    pub size: i64,
    /// Bytes of the entry `manifest`.
    pub manifest: Buffer,
}

/// Counts of a tree.
#[napi(object, js_name = "TreeStats", object_from_js = false)]
pub struct Stats {
    /// Names below the root.
    pub entries: i64,
    /// Sum of sizes.
    pub bytes: i64,
}

/// The range of a user namespace.
#[napi(object, js_name = "IdShift", object_to_js = false)]
pub struct IdShift {
    /// Added to each id.
    pub base: u32,
    /// Ids that there are.
    pub count: u32,
}

/// One image of a render list.
#[napi(object, js_name = "RenderSource", object_to_js = false)]
pub struct Source {
    /// Path of the blob.
    pub blob: String,
    /// Its hex SHA-512, or 64 digits of it.
    pub sha512: String,
    /// Its own whitelist. In a field `Option` stands for what is undefined, not for null.
    pub own: Either<Vec<String>, Null>,
    /// Those of its ancestors.
    pub inherited: Vec<Vec<String>>,
}

/// What to render.
#[napi(object, js_name = "RenderRequest", object_to_js = false)]
pub struct Request {
    /// Highest precedence first.
    pub images: Vec<Source>,
    /// An empty directory.
    pub target: String,
    /// How owners change.
    pub shift: Either<IdShift, Null>,
}

/// An extended attribute.
#[napi(object, js_name = "Xattr", object_from_js = false)]
pub struct Attribute {
    /// With its namespace.
    pub name: String,
    /// Any bytes.
    pub value: Buffer,
}

impl From<TreeStats> for Stats {
    fn from(stats: TreeStats) -> Self {
        Self { entries: number(stats.entries), bytes: number(stats.bytes) }
    }
}

impl From<IdShift> for Shift {
    fn from(shift: IdShift) -> Self {
        Self { base: shift.base, count: shift.count }
    }
}

impl From<Request> for RenderRequest {
    fn from(request: Request) -> Self {
        let images = request.images.into_iter().map(|source| RenderSource {
            blob: source.blob.into(),
            sha512: source.sha512,
            own: present(source.own),
            inherited: source.inherited,
        });
        Self { images: images.collect(), target: request.target.into(), shift: present(request.shift).map(Shift::from) }
    }
}

pub fn present<T>(value: Either<T, Null>) -> Option<T> {
    match value {
        Either::A(value) => Some(value),
        Either::B(Null) => None,
    }
}

/// Inflates, hashes, checks and writes an ACI, in one pass. The caller keeps `source_fd` open until the promise settles.
#[napi(ts_return_type = "Promise<Outcome<Ingested>>")]
pub fn ingest_aci(env: &Env, source_fd: i32, tmp_dir: String) -> napi::Result<Object<'_>> {
    // A descriptor of our own: what the caller closes early is not another file's number for us.
    let source = sys::borrow(&source_fd).and_then(|fd| {
        fd.try_clone_to_owned()
            .map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
    });
    on_thread(env, "ingest", move || {
        let source = source
            .map_err(|errno| NativeFailure::system("RKT_IO", format!("cannot read descriptor {source_fd}"), errno))?;
        let image = archive::ingest(source, Path::new(&tmp_dir))?;
        Ok::<_, NativeFailure>(IngestedImage {
            fd: sys::give(image.file),
            sha512: image.sha512,
            size: number(image.size),
            manifest: image.manifest.into(),
        })
    })
}

/// Renders images into an empty directory, verifying every blob.
#[napi(ts_return_type = "Promise<Outcome<TreeStats>>")]
pub fn render_tree(env: &Env, request: Request) -> napi::Result<Object<'_>> {
    let request = RenderRequest::from(request);
    on_thread(env, "render", move || archive::render(&request).map(Stats::from))
}

/// Unpacks one image as it is.
#[napi(ts_return_type = "Promise<Outcome<TreeStats>>")]
pub fn extract_aci(
    env: &Env,
    blob: String,
    sha512: String,
    target: String,
    rootfs_only: bool,
) -> napi::Result<Object<'_>> {
    on_thread(env, "extract", move || {
        archive::extract(Path::new(&blob), &sha512, Path::new(&target), rootfs_only).map(Stats::from)
    })
}

/// The Merkle digest of a tree.
#[napi(ts_return_type = "Promise<Outcome<string>>")]
pub fn digest_tree(env: &Env, dir: String) -> napi::Result<Object<'_>> {
    on_thread(env, "digest", move || archive::digest_tree(Path::new(&dir)))
}

/// Removes a tree; an absent one is success.
#[napi(ts_return_type = "Promise<Outcome<null>>")]
pub fn remove_tree(env: &Env, path: String) -> napi::Result<Object<'_>> {
    on_thread(env, "remove", move || archive::remove_tree(Path::new(&path)).map(|()| Null))
}

/// Gives every file of a tree a context of SELinux.
#[napi(ts_return_type = "Promise<Outcome<null>>")]
pub fn label_tree(env: &Env, path: String, context: String) -> napi::Result<Object<'_>> {
    on_thread(env, "label", move || archive::label_tree(Path::new(&path), &context).map(|()| Null))
}

/// Copies a tree with all that its files are.
#[napi(ts_return_type = "Promise<Outcome<TreeStats>>")]
pub fn copy_tree(env: &Env, from: String, to: String, shift: Option<IdShift>) -> napi::Result<Object<'_>> {
    on_thread(env, "copy", move || {
        archive::copy_tree(Path::new(&from), Path::new(&to), shift.map(Shift::from)).map(Stats::from)
    })
}

/// Counts a tree.
#[napi(ts_return_type = "Promise<Outcome<TreeStats>>")]
pub fn tree_stats(env: &Env, dir: String) -> napi::Result<Object<'_>> {
    on_thread(env, "stats", move || archive::tree_stats(Path::new(&dir)).map(Stats::from))
}

/// syncfs(2).
#[napi(ts_return_type = "Promise<Outcome<null>>")]
pub fn sync_filesystem(env: &Env, path: String) -> napi::Result<Object<'_>> {
    on_thread(env, "syncfs", move || archive::sync_filesystem(Path::new(&path)).map(|()| Null))
}

/// All extended attributes of a path, links not followed.
#[napi(catch_unwind)]
pub fn list_xattrs(path: String) -> Outcome<Vec<Attribute>> {
    let attributes = archive::list_xattrs(&PathBuf::from(path)).map(|attributes| {
        attributes
            .into_iter()
            .map(|attribute| Attribute {
                name: attribute.name.to_string_lossy().into_owned(),
                value: attribute.value.into(),
            })
            .collect()
    });
    outcome(attributes)
}

/// Runs `work` on a thread of its own; the promise is settled with its value or its failure, a panic being one too.
pub fn on_thread<'env, T, E>(
    env: &'env Env,
    name: &str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> napi::Result<Object<'env>>
where
    T: ToNapiValue + Send + 'static,
    E: Into<NativeFailure>,
{
    let (deferred, promise): (JsDeferred<Outcome<T>, _>, _) = env.create_deferred()?;
    let name = format!("rkt-{name}");
    let run = move || {
        let value = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(result) => outcome(result),
            Err(panic) => Outcome::B(NativeFailure::new("RKT_INTERNAL", panic_text(panic.as_ref()))),
        };
        deferred.resolve(Box::new(move |_: Env| Ok(value)) as Box<dyn FnOnce(Env) -> napi::Result<Outcome<T>> + Send>);
    };
    match thread::Builder::new().name(name).stack_size(8 << 20).spawn(run) {
        Ok(_) => Ok(promise),
        Err(error) => Err(napi::Error::from_reason(format!("cannot start a thread: {error}"))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the addon failed: {}", text.unwrap_or("no reason was given"))
}

/// As a number of JavaScript; sizes that it cannot hold are none that a disk has.
pub fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
