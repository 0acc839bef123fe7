//! All layers of an image as one plain tree.

use std::{collections::HashSet, fs::File, os::fd::AsFd, path::PathBuf};

use rustix::fs::{self, Mode};

use super::{
    Digest, Ingest, LayerError, Reading, RenderTarget, Rendered,
    ingest::take,
    merge::{merge, open_directory},
};
use crate::{
    error::{Error, io_error},
    privileges::Privileges,
    render::{Shift, open_empty},
    tree::{remove_tree, tree_stats},
    writer::TreeStats,
};

/// A layer of an image that is flattened.
#[derive(Debug, Clone)]
pub struct FlatLayer {
    /// Its bytes, compressed or not.
    pub blob: PathBuf,
    /// What they must inflate to.
    pub diff_id: Digest,
    /// Most bytes that they may inflate to.
    pub limit: u64,
}

/// What to flatten, and where.
#[derive(Debug, Clone)]
pub struct FlattenRequest {
    /// Base first.
    pub layers: Vec<FlatLayer>,
    /// An existing empty directory, which becomes the root.
    pub target: PathBuf,
    /// A directory that does not exist, on the target's file system: layers lie there on their way. Gone at the end.
    pub scratch: PathBuf,
    /// How owners change.
    pub shift: Option<Shift>,
}

/// Lays the layers on each other in the target, each verified by its DiffID: what an overlay of them would show, and hard
/// links across layers too.
///
/// # Errors
/// As [`super::ingest`]; the target then holds whatever was written.
pub fn flatten(request: &FlattenRequest) -> Result<TreeStats, Error> {
    let failed = || format!("cannot create {}", request.scratch.display());
    let target = open_empty(&request.target)?;
    fs::mkdir(&request.scratch, Mode::RWXU).map_err(io_error(failed))?;
    let flavor = Privileges::own().flavor();
    let laid = request.layers.iter().enumerate().try_for_each(|(position, layer)| {
        let directory = request.scratch.join(position.to_string());
        fs::mkdir(&directory, Mode::RWXU).map_err(io_error(failed))?;
        let blob =
            File::open(&layer.blob).map_err(io_error(|| format!("cannot open the layer {}", layer.blob.display())))?;
        let ingest = Ingest {
            digest: None,
            size: None,
            diff_id: Some(layer.diff_id.clone()),
            limit: layer.limit,
            blob: None,
            render: Some(RenderTarget { directory: directory.clone(), flavor }),
        };
        let taken = take(Reading(blob), &ingest, request.shift, Some(target.as_fd()))?;
        match taken.rendered {
            Some(Rendered::Whole { implied, .. }) => {
                let scratch = fs::open(&request.scratch, fs::OFlags::PATH | fs::OFlags::CLOEXEC, Mode::empty())
                    .map_err(io_error(failed))?;
                let upper = open_directory(&scratch, &position.to_string()).map_err(io_error(failed))?;
                // The base gives the root its attributes even where nothing describes it.
                let implied = if position == 0 { HashSet::new() } else { implied.into_iter().collect() };
                merge(&upper, &target, flavor, &implied)?;
            }
            Some(Rendered::NeedsParents { entry }) => {
                let why = "its target is in no layer".to_owned();
                return Err(LayerError::Entry { entry, why }.into());
            }
            None => {}
        }
        remove_tree(&directory)
    });
    let cleared = remove_tree(&request.scratch);
    laid?;
    cleared?;
    tree_stats(&request.target)
}
