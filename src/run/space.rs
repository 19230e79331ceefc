//! Whether what a host is to get fits there, found out before it is copied: what does not fit leaves a store full or a boot
//! loader without its kernel.

use std::path::Path;

use super::build::BuildPlace;
use super::host::HostPart;
use super::prepare::Prepared;
use super::stop::Stop;
use crate::nix::{StorePath, local_closure};
use crate::plan::{Doubt, Goal, Objection, too_full};
use crate::remote::{Facts, Remote, absent, name_in_boot};
use crate::report::StepName;

/// What helps a full store.
const STORE_HINT: &str = "`hubctl gc HOST` removes old generations and what nothing needs any more";

/// What helps a full `/boot`.
const BOOT_HINT: &str =
    "remove old generations there, and have the boot loader keep fewer of them (`boot.loader.*.configurationLimit`)";

/// Declines a host that has no room for what was built here. What was built elsewhere is not measured.
pub(super) async fn check_space(
    part: &HostPart,
    place: &BuildPlace,
    prepared: &Prepared,
    verb: Goal,
) -> Result<(), Stop> {
    let is_measured = matches!(place, BuildPlace::Here) && prepared.access.remote.store().is_some();
    if !is_measured || part.context.job.overruled.contains(&Doubt::Space) {
        return Ok(());
    }
    let mut objection = in_store(part, prepared).await;
    if objection.is_none() && verb.sets_profile() {
        objection = in_boot(part, prepared).await;
    }
    objection.map_or(Ok(()), |objection| Err(Stop::objection(StepName::Copy, objection)))
}

async fn in_store(part: &HostPart, prepared: &Prepared) -> Option<Objection> {
    let Prepared { access, wanted, .. } = prepared;
    let space = access.facts.store_space?;
    // What cannot be found out speaks against nobody: copying itself tells.
    let closure = local_closure(&part.context.nix, &wanted.toplevel, &part.context.cancel).await.ok()?;
    let objects_to = |bytes| too_full(&part.host, "the store", bytes, space, STORE_HINT);
    // Nearly always it would fit as a whole.
    objects_to(closure.size())?;
    let objects: Vec<_> = closure.iter().map(|(path, size)| (vec![path.to_string()], size)).collect();
    objects_to(missing(&access.remote, objects).await?)
}

async fn in_boot(part: &HostPart, prepared: &Prepared) -> Option<Objection> {
    let Prepared { access, wanted, .. } = prepared;
    let Facts { boot_space, store_space, .. } = access.facts;
    // Where it is a part of the same file system, it is as large as that.
    let space = boot_space.filter(|space| store_space != Some(*space))?;
    let objects_to = |bytes| too_full(&part.host, "/boot", bytes, space, BOOT_HINT);
    let images: Vec<_> =
        ["kernel", "initrd"].into_iter().filter_map(|name| boot_image(&wanted.toplevel, name)).collect();
    objects_to(images.iter().map(|(_, size)| size).sum())?;
    objects_to(missing(&access.remote, images).await?)
}

/// An image that the boot loader is given, by the names that it may have in `/boot`, and its size in bytes.
fn boot_image(toplevel: &StorePath, name: &str) -> Option<(Vec<String>, u64)> {
    let image = toplevel.as_path().join(name).canonicalize().ok()?;
    let size = image.metadata().ok()?.len();
    Some((names_in_boot(&image)?, size))
}

/// The files that an image of the store may be in `/boot`: those of systemd-boot and of GRUB.
fn names_in_boot(image: &Path) -> Option<Vec<String>> {
    let name = name_in_boot(image)?;
    Some(vec![format!("/boot/EFI/nixos/{name}.efi"), format!("/boot/kernels/{name}")])
}

/// How many bytes those take that the host has under none of their names; none where it does not say.
async fn missing(remote: &Remote, objects: Vec<(Vec<String>, u64)>) -> Option<u64> {
    let names: Vec<_> = objects.iter().map(|(names, _)| names.as_slice()).collect();
    let absent = absent(remote, &names).await.ok()?;
    Some(objects.iter().zip(absent).filter(|(_, absent)| *absent).map(|((_, size), _)| size).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_the_names_that_boot_loaders_give_them() {
        let image = Path::new("/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-linux-6.12/bzImage");
        let name = "0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-linux-6.12-bzImage";
        let names = [format!("/boot/EFI/nixos/{name}.efi"), format!("/boot/kernels/{name}")];
        assert_eq!(names_in_boot(image).unwrap(), names);
        assert_eq!(names_in_boot(Path::new("/boot/vmlinuz")), None);
    }
}
