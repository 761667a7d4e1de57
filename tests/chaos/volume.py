"""The volume that holds the database and nothing else, so that it can be filled."""

import os
import subprocess


class Volume:
    """A small ext4 file system in a file; in memory where the machine has no loop devices."""

    MEBIBYTES = 96

    def __init__(self, folder):
        self.image = f"{folder}/volume.img"
        self.path = f"{folder}/volume"
        self.filler = f"{self.path}/filler"

    def mount(self):
        with open(self.image, "wb") as image:
            image.truncate(self.MEBIBYTES << 20)
        # No share is kept back for root, who would not notice that the volume is full.
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.image], check=True)
        os.mkdir(self.path)
        # A loop device made by mount goes with the mount.
        if subprocess.run(["mount", "-o", "loop", self.image, self.path]).returncode:
            print("chaos: no loop device can be mounted; the volume is in memory", flush=True)
            size = f"size={self.MEBIBYTES}m"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", self.path], check=True)

    def fill(self):
        """Takes every free block."""
        with open(self.filler, "wb") as file:
            step = self.MEBIBYTES << 20
            size = 0
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def free(self):
        os.remove(self.filler)
