"""Images built from our Dockerfile without a daemon and a registry, and their processes run as containers would be.

buildah builds, over a Debian that debootstrap puts together in place of the official Python image; bubblewrap runs the
image's own entry point on its file system, read-only, as its user, without capabilities.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITE = "trixie"  # that of the image our Dockerfile names, with the same Python
PACKAGES = "python3,python3-venv,ca-certificates"
BUILD_TIMEOUT_S = 1500
# What a build needs of this machine to reach the package index as it does itself.
HOST_FILES = ("/etc/ssl/certs", "/etc/pip.conf")


@dataclass(frozen=True)
class Storage:
    """Where buildah keeps what it makes; goes with its folder."""

    folder: Path

    def buildah(self, *arguments: str) -> str:
        """Run buildah; its output."""
        places = ["--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run", "--storage-driver", "vfs"]
        return run(["buildah", *places, *arguments])

    def make_base(self) -> str:
        """A Debian with Python as an image; its name."""
        container = self.buildah("from", "scratch").strip()
        mounted = self.buildah("mount", container).strip()
        run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, mounted, _debian_mirror()])
        self.buildah("umount", container)
        self.buildah("commit", "--rm", container, "localhost/python")
        return "localhost/python"

    def build(self, target: str, base: str) -> "Image":
        """Build one target of the Dockerfile."""
        volumes = [f"--volume={path}:{path}:ro" for path in HOST_FILES if Path(path).exists()]
        file = ROOT / "deploy" / "docker" / "Dockerfile"
        flags = ["--format=docker", "--isolation=chroot", "--network=host", "--pull-never", *volumes]
        chosen = [f"--build-arg=PYTHON_IMAGE={base}", f"--target={target}", f"--tag=voice-stack-{target}"]
        self.buildah("build-using-dockerfile", *flags, *chosen, f"--file={file}", str(ROOT))
        container = self.buildah("from", "--pull-never", f"voice-stack-{target}").strip()
        config = json.loads(self.buildah("inspect", container))["Docker"]["config"]
        return Image(Path(self.buildah("mount", container).strip()), config)


@dataclass(frozen=True)
class Image:
    """An image: its files and what it says about itself."""

    files: Path
    config: dict[str, object]

    def command(self, data: Path, command: Sequence[str], **environment: str) -> list[str]:
        """A command line that runs a command as a container of this image would.

        Args:
            data: Folder for `/data`; everything else is read-only, but for an empty `/tmp`.
            command: What to run.
            **environment: Variables on top of the image's own.
        """
        user, _, group = str(self.config["User"]).partition(":")
        variables = dict(str(pair).split("=", 1) for pair in _items(self.config["Env"])) | environment
        places = ["--ro-bind", str(self.files), "/", "--proc", "/proc", "--dev", "/dev"]
        places += ["--perms", "1777", "--tmpfs", "/tmp"]
        places += ["--bind", str(data), "/data", "--chdir", "/data", "--unshare-pid", "--unshare-ipc"]
        setenv = [part for pair in variables.items() for part in ("--setenv", *pair)]
        # The capabilities to become another user for good; then none.
        needed = [part for name in ("SETUID", "SETGID", "SETPCAP") for part in ("--cap-add", f"CAP_{name}")]
        become = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
        become += ["--inh-caps=-all", "--bounding-set=-all"]
        return ["bwrap", "--die-with-parent", "--clearenv", *setenv, *places, *needed, *become, *command]

    @property
    def entry_point(self) -> list[str]:
        """The command that a container runs."""
        return [str(part) for part in _items(self.config["Entrypoint"])]


def _items(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def _debian_mirror() -> str:
    """Where this machine gets Debian's packages from."""
    lines = Path("/etc/apt/sources.list.d/debian.sources").read_text("utf-8").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("URIs:"))


def run(command: Sequence[str]) -> str:
    """Run a command to its end; its output."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
    assert result.returncode == 0, f"{' '.join(command[:3])} ...: {result.stdout[-2000:]}{result.stderr[-4000:]}"
    return result.stdout


@contextmanager
def data_folder(folder: Path, image: Image) -> Iterator[Path]:
    """A volume: a folder that belongs to the image's user, in folders that the user may pass through."""
    data = folder / "data"
    data.mkdir()
    user, _, group = str(image.config["User"]).partition(":")
    os.chown(data, int(user), int(group))
    yield data
