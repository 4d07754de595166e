"""One process and its files: memory, time on a processor, what it wrote.

Not responsible for starting it.
"""

import os
import time

KIB = 1_024
# As clock_gettime(2) makes a clock of a process: what the scheduler counted, in ns.
SCHEDULED = 2


class Process:
    """What /proc says of it."""

    def __init__(self, pid):
        self.pid = pid
        self.samples = []

    def sample(self):
        """Memory now, in bytes."""
        said = fields(f"/proc/{self.pid}/status")
        memory = {name: int(said[name].split()[0]) * KIB for name in ("VmRSS", "RssAnon", "RssFile", "VmHWM")}
        memory["threads"] = int(said["Threads"])
        shared = fields(f"/proc/{self.pid}/smaps_rollup")
        memory["Pss"] = int(shared["Pss"].split()[0]) * KIB
        self.samples.append(memory)

    def counters(self):
        """What has only risen since its start."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            after_name = file.read().rpartition(")")[2].split()
        io = fields(f"/proc/{self.pid}/io")
        return {
            "cpu_ns": time.clock_gettime_ns(~self.pid << 3 | SCHEDULED),
            "ticks": int(after_name[11]) + int(after_name[12]),
            "disk_bytes": int(io["write_bytes"]),
        }

    def memory(self):
        """Median and highest of the samples."""
        names = self.samples[0]
        rows = {name: sorted(sample[name] for sample in self.samples) for name in names}
        return {name: {"median": row[len(row) // 2], "highest": row[-1]} for name, row in rows.items()}


class Folder:
    """How often each file of a folder was written anew, seen by its inode and time."""

    def __init__(self, path):
        self.path = path
        self.known = self._look()
        self.writes = {}

    def _look(self):
        found = {}
        for entry in os.scandir(self.path):
            about = entry.stat(follow_symlinks=False)
            if entry.is_file(follow_symlinks=False):
                found[entry.name] = (about.st_ino, about.st_mtime_ns)
        return found

    def look(self):
        now = self._look()
        for name, about in now.items():
            # A generation that only got another name was not written.
            if about not in self.known.values():
                self.writes[name] = self.writes.get(name, 0) + 1
        self.known = now


def fields(path):
    """`name: value` a line."""
    with open(path, encoding="ascii") as file:
        lines = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in lines}


def children(pid):
    """All its descendants, itself first."""
    found, at = [pid], 0
    while at < len(found):
        for task in os.listdir(f"/proc/{found[at]}/task"):
            with open(f"/proc/{found[at]}/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
        at += 1
    return found


def named(pid, name):
    """The descendant (or itself) that is this program, Wine's too; None where there is none."""
    for one in children(pid):
        with open(f"/proc/{one}/cmdline", encoding="utf-8") as file:
            if file.read().partition("\0")[0].endswith(name):
                return one
    return None
