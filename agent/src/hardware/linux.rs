//! What Linux says of its hardware: `/sys`, udev's notes, and where `/` is mounted from.
//!
//! Board and machine serial numbers are for root, and for whom a service's unit opens them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Said;

/// Disks of disks (LVM on RAID on …) are followed so deep.
const DEEPEST: usize = 4;
const ETHERNET: &str = "1";
/// The kernel's word for "burnt in".
const PERMANENT: &str = "0";

/// `root` is `/` but for tests.
pub(super) fn said(root: &Path) -> Said {
    let dmi = |name: &str| text(&root.join("sys/class/dmi/id").join(name));
    Said {
        board_serial: dmi("board_serial"),
        uuid: dmi("product_uuid"),
        product_serial: dmi("product_serial"),
        disk: system_disk(root)
            .map(|disk| serial(root, &disk))
            .unwrap_or_default(),
        macs: macs(root),
    }
}

fn text(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
        .unwrap_or_default()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    names
}

/// The disk that holds `/`, in `/sys/block`; where nothing tells it (overlays of restore software), the only disk.
fn system_disk(root: &Path) -> Option<PathBuf> {
    let blocks = root.join("sys/block");
    let held = mounted(root).and_then(|(device, source)| {
        let name = source.rsplit('/').next().unwrap_or_default();
        disk_of(&blocks, |folder, own| {
            own == name || text(&folder.join("dev")) == device
        })
    });
    held.or_else(|| {
        let mut disks = names(&blocks)
            .into_iter()
            .map(|name| blocks.join(name))
            .filter(|disk| disk.join("device").exists() && text(&disk.join("removable")) != "1");
        disks.next().filter(|_| disks.next().is_none())
    })
}

/// Device number and source of the file system at `/`.
fn mounted(root: &Path) -> Option<(String, String)> {
    let mounts = text(&root.join("proc/self/mountinfo"));
    // What was mounted last lies on top.
    mounts.lines().rev().find_map(|line| {
        let (place, device) = line.split_once(" - ")?;
        let fields: Vec<&str> = place.split(' ').collect();
        let source = device.split(' ').nth(1)?;
        (fields.get(4) == Some(&"/")).then(|| (fields[2].to_owned(), source.to_owned()))
    })
}

/// The physical disk of the device that is meant: itself, that of its partition, or that of what it is made of.
fn disk_of(blocks: &Path, is_meant: impl Fn(&Path, &str) -> bool) -> Option<PathBuf> {
    let mut name = names(blocks).into_iter().find(|name| {
        let folder = blocks.join(name);
        let partitions = names(&folder);
        is_meant(&folder, name)
            || partitions
                .iter()
                .any(|part| part.starts_with(name.as_str()) && is_meant(&folder.join(part), part))
    })?;
    for _ in 0..DEEPEST {
        let folder = blocks.join(&name);
        let Some(below) = names(&folder.join("slaves")).into_iter().next() else {
            return Some(folder);
        };
        name = names(blocks)
            .into_iter()
            .find(|disk| *disk == below || blocks.join(disk).join(&below).is_dir())?;
    }
    None
}

/// The first place that tells a disk's serial number.
fn serial(root: &Path, disk: &Path) -> String {
    let noted = || {
        let notes = text(&root.join(format!("run/udev/data/b{}", text(&disk.join("dev")))));
        let short = notes
            .lines()
            .find_map(|line| line.strip_prefix("E:ID_SERIAL_SHORT=").map(str::to_owned));
        short.unwrap_or_default()
    };
    // SCSI's page of the serial number: four bytes of head, then the number.
    let page = || {
        let bytes = fs::read(disk.join("device/vpd_pg80")).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(4..).unwrap_or_default()).into_owned()
    };
    let file = |name: &str| text(&disk.join(name));
    let tellers: [&dyn Fn() -> String; 6] = [
        &|| file("device/serial"),
        &|| file("serial"),
        &page,
        &noted,
        &|| file("device/wwid"),
        &|| file("wwid"),
    ];
    tellers
        .into_iter()
        .map(|tell| tell())
        .find(|told| super::meant(told).is_some())
        .unwrap_or_default()
}

/// Burnt-in addresses of adapters that belong to the machine: not bridges or tunnels, and not what hangs on USB, which
/// is carried from one to the next.
fn macs(root: &Path) -> Vec<[u8; 6]> {
    let net = root.join("sys/class/net");
    names(&net)
        .iter()
        .map(|name| net.join(name))
        .filter(|adapter| {
            fs::canonicalize(adapter.join("device"))
                .is_ok_and(|device| !device.components().any(|part| is_usb(part.as_os_str())))
        })
        .filter(|adapter| text(&adapter.join("type")) == ETHERNET)
        .filter(|adapter| text(&adapter.join("addr_assign_type")) == PERMANENT)
        .filter_map(|adapter| mac(&text(&adapter.join("address"))))
        .collect()
}

fn is_usb(part: &std::ffi::OsStr) -> bool {
    part.to_str()
        .and_then(|part| part.strip_prefix("usb"))
        .is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        })
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|part| u8::from_str_radix(part, 16).ok())
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn mount(device: &str, source: &str) -> String {
        format!(
            "22 1 0:20 / /proc rw - proc proc rw\n25 1 {device} / / rw,relatime shared:1 - ext4 {source} rw\n\
             40 25 8:17 / /data rw - ext4 /dev/sdb1 rw\n"
        )
    }

    #[test]
    fn the_disk_that_holds_the_system_is_found_through_partitions_and_volumes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        put(
            root,
            &[
                ("sys/block/sda/dev", "8:0\n"),
                ("sys/block/sda/device/vpd_pg80", "\0\u{1}\0\u{8}WD-AAA-1"),
                ("sys/block/sda/sda1/dev", "8:1\n"),
                ("sys/block/sdb/dev", "8:16\n"),
                ("sys/block/sdb/device/serial", "USB-STICK\n"),
                ("sys/block/sdb/sdb1/dev", "8:17\n"),
                ("sys/block/nvme0n1/dev", "259:0\n"),
                ("sys/block/nvme0n1/device/serial", "NVME-77   \n"),
                ("sys/block/nvme0n1/nvme0n1p2/dev", "259:2\n"),
                ("sys/block/dm-0/dev", "253:0\n"),
                ("sys/block/dm-0/slaves/nvme0n1p2/dev", "259:2\n"),
                ("sys/block/vda/dev", "254:0\n"),
                (
                    "run/udev/data/b254:0",
                    "S:disk\nE:ID_SERIAL=x_Y\nE:ID_SERIAL_SHORT=VIRT-9\n",
                ),
            ],
        );
        for (device, source, serial) in [
            ("8:1", "/dev/sda1", "WD-AAA-1"),
            ("259:2", "/dev/nvme0n1p2", "NVME-77"),
            ("253:0", "/dev/mapper/vg-root", "NVME-77"),
            // btrfs has device numbers of its own.
            ("0:31", "/dev/nvme0n1p2", "NVME-77"),
            ("254:0", "/dev/vda", "VIRT-9"),
            // More than one disk could be meant.
            ("0:40", "overlay", ""),
        ] {
            put(root, &[("proc/self/mountinfo", &mount(device, source))]);
            assert_eq!(said(root).disk, serial, "{source}");
        }
        for name in ["sda", "sdb", "vda", "dm-0"] {
            fs::remove_dir_all(root.join("sys/block").join(name)).unwrap();
        }
        put(root, &[("proc/self/mountinfo", &mount("0:40", "overlay"))]);
        assert_eq!(said(root).disk, "NVME-77", "the only disk there is");
    }

    #[test]
    fn built_in_adapters_are_told_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let net = root.join("sys/class/net");
        for (name, device, kind, assigned, address) in [
            (
                "eth0",
                "pci0000:00/0000:00:1f.6",
                "1",
                "0",
                "00:1a:2b:3c:4d:5e",
            ),
            (
                "wlan0",
                "pci0000:00/0000:02:00.0",
                "1",
                "0",
                "00:1A:2B:00:00:01",
            ),
            (
                "usb0",
                "pci0000:00/usb1/1-2/1-2:1.0",
                "1",
                "0",
                "00:1a:2b:3c:4d:99",
            ),
            (
                "random",
                "pci0000:00/0000:03:00.0",
                "1",
                "1",
                "00:1a:2b:3c:4d:98",
            ),
            (
                "tunnel",
                "pci0000:00/0000:04:00.0",
                "65534",
                "0",
                "00:1a:2b:3c:4d:97",
            ),
            ("lo", "", "772", "0", "00:00:00:00:00:00"),
            ("docker0", "", "1", "0", "00:1a:2b:3c:4d:96"),
        ] {
            let adapter = net.join(name);
            put(
                &adapter,
                &[
                    ("type", kind),
                    ("addr_assign_type", assigned),
                    ("address", address),
                ],
            );
            if !device.is_empty() {
                let place = root.join("sys/devices").join(device);
                fs::create_dir_all(&place).unwrap();
                std::os::unix::fs::symlink(place, adapter.join("device")).unwrap();
            }
        }
        assert_eq!(
            said(root).macs,
            [
                [0x00, 0x1A, 0x2B, 0x3C, 0x4D, 0x5E],
                [0x00, 0x1A, 0x2B, 0x00, 0x00, 0x01],
            ]
        );
    }

    #[test]
    fn the_firmwares_words_are_read_where_they_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(
            said(root) == Said::default(),
            "a machine that tells nothing"
        );
        put(
            root,
            &[
                ("sys/class/dmi/id/board_serial", "BRD-1\n"),
                ("sys/class/dmi/id/product_uuid", "4c4c4544-0042\n"),
            ],
        );
        let found = said(root);
        assert_eq!(
            (found.board_serial.as_str(), found.uuid.as_str()),
            ("BRD-1", "4c4c4544-0042")
        );
    }
}
