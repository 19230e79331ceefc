//! What lies in the boot loader's directories, and which generation needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::script::{Remote, RunError};

/// A kernel, an initrd or both in one, as a boot loader has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootFile {
    /// Where it lies.
    pub path: PathBuf,
    /// How many bytes it has.
    pub size: u64,
    /// The generations of the system profile that boot it.
    pub generations: BTreeSet<u64>,
}

/// The files that the boot loader at `remote` has of generations, by their names. Changes nothing.
pub async fn boot_files(remote: &Remote) -> Result<Vec<BootFile>, RunError> {
    let (_, printed) = remote.run(&remote.script(include_str!("boot_files.sh")).as_root()).await?;
    Ok(parse(&printed))
}

fn parse(printed: &str) -> Vec<BootFile> {
    let mut needed = BTreeMap::<String, BTreeSet<u64>>::new();
    for (number, image) in printed.lines().filter_map(|line| line.strip_prefix("hubctl-image:")?.split_once(' ')) {
        let (Ok(number), Some(name)) = (number.parse(), name_in_boot(Path::new(image))) else { continue };
        needed.entry(name).or_default().insert(number);
    }
    let file = |line: &str| {
        let (size, path) = line.strip_prefix("hubctl-file:")?.split_once(' ')?;
        let path = PathBuf::from(path);
        let name = path.file_name()?.to_str()?;
        let known = needed.get(name).or_else(|| needed.get(name.strip_suffix(".efi")?)).cloned();
        let generations = known.unwrap_or_else(|| named_generation(name).into_iter().collect());
        Some(BootFile { size: size.parse().ok()?, generations, path })
    };
    printed.lines().filter_map(file).collect()
}

/// What an image of the store is called in `/boot`, but for an ending: the name of its store object and its own, as
/// `systemd-boot-builder.py` and `install-grub.pl` of nixpkgs have it.
pub fn name_in_boot(image: &Path) -> Option<String> {
    let below_store: PathBuf = image.strip_prefix("/nix/store").ok()?.components().collect();
    Some(below_store.to_str()?.replace('/', "-"))
}

/// The generation of an image that is named after it, such as `nixos-generation-42-abcd.efi`.
fn named_generation(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("nixos-generation-")?;
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-linux-6.12/bzImage";
    const NAME: &str = "0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-linux-6.12-bzImage";

    #[test]
    fn a_file_belongs_to_the_generations_that_boot_it() {
        let printed = format!(
            "hubctl-image:3 {IMAGE}\nhubctl-image:4 {IMAGE}\nhubctl-file:7 /boot/EFI/nixos/{NAME}.efi\n\
             hubctl-file:8 /boot/kernels/{NAME}\nhubctl-file:9 /boot/EFI/Linux/nixos-generation-42-x.efi\n\
             hubctl-file:1 /boot/EFI/nixos/gone.efi\n"
        );
        let found: Vec<_> =
            parse(&printed).into_iter().map(|file| (file.size, file.generations.into_iter().collect())).collect();
        assert_eq!(found, [(7, vec![3, 4]), (8, vec![3, 4]), (9, vec![42]), (1, vec![])]);
    }

    #[test]
    fn images_have_the_names_that_boot_loaders_give_them() {
        assert_eq!(name_in_boot(Path::new(IMAGE)).as_deref(), Some(NAME));
        assert_eq!(name_in_boot(Path::new("/boot/vmlinuz")), None);
    }
}
