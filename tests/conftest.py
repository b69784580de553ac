"""What tests share: real patients where they lie beside the project, and a small synthetic case."""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
import pytest_xvfb
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess

    from synthetic_cohort import SyntheticCohort

    from napari_ies.demo.patient import SyntheticPatient
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case

SHARED = Path(__file__).parents[2] / "shared"
SLOW = {"make_napari_viewer", "real_file", "forks"}
"""Fixtures of tests that take some seconds."""
FEW_CORES = 4
"""Up to so many, one worker waiting is a core that is missed."""
PRELOADED = [
    *("distributed", "napari_ies.cohort.cluster", "napari_ies.cli.app"),
    "torch.fx.experimental.symbolic_shapes",  # by the first gradient, with SymPy
]
"""What each fork would import."""

if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    # Every worker, and each of some thirty processes that tests start, would compile the package,
    # and the assertions of the tests and of all of napari, anew.
    sys.dont_write_bytecode = False

if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a worker for each core: further threads would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("napari-ies")
    group.addoption(
        "--monkey-actions", type=int, default=0, help="random actions in the window (default: 60)"
    )
    group.addoption("--monkey-seed", type=int, default=1, help="which random actions")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Take a worker more than there are cores where these are few.

    Some tests wait: for other processes, for a window, for a clock. Those of ``make quick``, which
    asks for ``-n logical``, do not.
    """
    if config.option.numprocesses == "logical":
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    few = cores is not None and cores <= FEW_CORES
    return cores + 1 if few and "PYTEST_XDIST_AUTO_NUM_WORKERS" not in os.environ else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What imports leave stays to the end: it is not searched for garbage, then or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Windows, real patients and other processes are slow, whatever the test does with them."""
    # Of several workers, one loads all for the processes that are forks.
    forked = {item.path for item in items if "forks" in getattr(item, "fixturenames", ())}
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if SLOW.intersection(fixtures) or item.get_closest_marker("real_data") is not None:
            item.add_marker(pytest.mark.slow)
        made = _made_once_in(item)
        if "forks" in fixtures or (made is not None and item.path in forked):
            item.add_marker(pytest.mark.xdist_group("forks"))
        elif made is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(made))
    yield
    # The slow ones first, then what stays together: at the end no worker then waits for another
    # one's last long test.
    items.sort(
        key=lambda item: (
            item.get_closest_marker("slow") is None,
            item.get_closest_marker("xdist_group") is None,
        )
    )
    if getattr(config.option, "loadgroup", False):
        for item in items:
            _tell_xdist(item)


def _made_once_in(item: pytest.Item) -> str | None:
    """Name the file or folder within which what a test takes is made once: by one worker then.

    What all tests, or all of the viewer, take is small, and made by each.
    """
    fixtures = getattr(item, "_fixtureinfo", None)
    found = fixtures.name2fixturedefs.values() if fixtures is not None else ()
    homes = {
        one.baseid for several in found for one in several if one.scope in ("module", "session")
    }
    return min(homes - {"", "tests", "tests/viewer"}, key=len, default=None)


def _tell_xdist(item: pytest.Item) -> None:
    """Name the group of a test where pytest-xdist looks for it.

    pytest-xdist 3.8 writes it where pytest 9.2 reads no more: each of a group's tests went to any
    worker, and what they share was made by each.
    """
    group = item.get_closest_marker("xdist_group")
    if group is not None and "@" not in item.nodeid.rpartition("]")[2]:
        from _pytest.nodeid import NodeId

        item._id = NodeId.parse(f"{item.nodeid}@{group.args[0]}")


def pytest_xvfb_disable() -> bool:
    """Only Linux draws on X11: elsewhere windows open on the screen there is."""
    return not sys.platform.startswith("linux")


def pytest_sessionstart() -> None:
    if pytest_xvfb.xvfb_instance is not None:
        # Qt must draw on that screen, with Mesa's software OpenGL, whatever the session says.
        os.environ.pop("WAYLAND_DISPLAY", None)
        os.environ.update(QT_QPA_PLATFORM="xcb", LIBGL_ALWAYS_SOFTWARE="1")
        if "PYTEST_XDIST_WORKER" in os.environ:
            os.environ.setdefault("LP_NUM_THREADS", "0")  # as above, for what Mesa draws


@dataclass(frozen=True)
class SmallCase:
    """A synthetic patient and a network with random weights, on disk.

    Parameters
    ----------
    checkpoint
        State dict of a UNet with two inputs and two classes. The profile beside it sets windows
        of 16 voxels and a threshold that leaves a few instances.
    images
        FLAIR and T1, 26 × 22 × 20 voxels on one oblique grid with unequal voxel sizes.
    reference
        Mask of the two bright balls in the images.
    """

    checkpoint: Path
    images: dict[str, Path]
    reference: Path

    @property
    def arguments(self) -> list[str]:
        """The checkpoint and the images as the command line takes them."""
        images = [f"--image={name}={path}" for name, path in self.images.items()]
        return [str(self.checkpoint), *images]

    def model(self) -> SegmentationModel:
        """Load the network on the CPU."""
        from napari_ies.checkpoints import load_checkpoint

        return load_checkpoint(self.checkpoint, device="cpu")

    def case(self) -> Case:
        """Load the images."""
        from napari_ies.patient.loading import load_case

        return load_case(self.images)


@pytest.fixture(scope="session", autouse=True)
def the_disk_is_not_waited_for() -> Iterator[None]:
    """What was written is read by the same system, which no test cuts off its power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def real_file() -> Callable[[str], Path]:
    """Find a file or folder of the real data by its path in the shared folder, or skip."""

    def find(path: str) -> Path:
        found = SHARED / path
        if not found.exists():
            pytest.skip(f"the real data do not lie beside the project ({path})")
        return found

    return find


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallCase:
    """Write the small synthetic case and its network; not to be changed."""
    folder = tmp_path_factory.mktemp("sub-small")
    images, reference = _write_images(folder)
    return SmallCase(_write_network(folder / "unet.pth", images), images, reference)


@pytest.fixture(scope="session")
def forks() -> Iterator[BaseContext]:
    """Give processes that are forks of one that has loaded all, and so start at once.

    Workers of dask.distributed are such processes then, too.
    """
    import dask

    context = multiprocessing.get_context("forkserver")
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        with contextlib.suppress(ImportError):
            from distributed.utils import get_mp_context

            get_mp_context()  # says, the first time, what is loaded: not enough
        context.set_forkserver_preload(PRELOADED)
        yield context


@pytest.fixture
def begin(forks: BaseContext, tmp_path: Path) -> Callable[..., tuple[BaseProcess, Path]]:
    """Begin a program as ``python -c`` would; return its process and the file of what it prints.

    It is a fork: to load PyTorch and MONAI takes longer than what most such programs do.
    """
    from forked_program import run_program

    def begin(
        program: str, *arguments: object, environment: dict[str, str] | None = None
    ) -> tuple[BaseProcess, Path]:
        said = tmp_path / "said.txt"
        own = dict(os.environ) if environment is None else environment
        given = (program, [str(one) for one in arguments], own, str(said))
        process = forks.Process(target=run_program, args=given)
        process.start()
        return process, said

    return begin


@pytest.fixture
def said_by(begin: Callable[..., tuple[BaseProcess, Path]]) -> Callable[..., list[str]]:
    """Run a program so, to its end without an error; return the lines that it printed."""

    def run(program: str, *arguments: object, environment: dict[str, str] | None = None):
        process, said = begin(program, *arguments, environment=environment)
        process.join()
        text = said.read_text(encoding="utf-8")
        assert process.exitcode == 0, text
        return text.splitlines()

    return run


@pytest.fixture(scope="session")
def demo_patient(tmp_path_factory: pytest.TempPathFactory) -> SyntheticPatient:
    """Make the demo's patient, which takes some seconds: once for all workers."""
    from filelock import FileLock

    from napari_ies.demo import synthetic_patient
    from napari_ies.demo.patient import SyntheticPatient

    if "PYTEST_XDIST_WORKER" not in os.environ:
        return synthetic_patient(0)
    kept = tmp_path_factory.getbasetemp().parent / "demo_patient.npz"
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            np.savez(kept, **vars(synthetic_patient(0)))
    with np.load(kept) as arrays:
        return SyntheticPatient(**arrays)


@pytest.fixture(scope="session")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> SyntheticCohort:
    """Write the cohort of twelve cases; not to be changed."""
    from synthetic_cohort import write_cohort

    return write_cohort(tmp_path_factory.mktemp("cohort"))


def _write_images(folder: Path) -> tuple[dict[str, Path], Path]:
    generator = np.random.default_rng(7)
    shape = (26, 22, 20)
    grid = np.stack(np.indices(shape), axis=-1)
    head = np.linalg.norm((grid - [13, 11, 10]) / [12, 10, 9], axis=-1) < 1
    balls = np.zeros(shape, dtype=bool)
    for centre in ([8, 10, 10], [18, 12, 9]):
        balls |= np.linalg.norm(grid - centre, axis=-1) < 2.5
    affine = from_matvec(euler2mat(0.1, -0.2, 0.3) @ np.diag([-1.0, 1.2, 1.5]), [12, -20, 31])
    contrasts = {"FLAIR": 1.5, "T1": 0.6}
    images = {}
    for name, contrast in contrasts.items():
        values = 100 * np.where(balls, contrast, 1) + generator.normal(0, 5, shape)
        images[name] = folder / f"{name}.nii.gz"
        volume = np.where(head, values, 0).astype(np.float32)
        nib.save(nib.Nifti1Image(volume, affine), images[name])
    reference = folder / "lesions.nii.gz"
    nib.save(nib.Nifti1Image(balls.astype(np.uint8), affine), reference)
    return images, reference


def _write_network(checkpoint: Path, images: dict[str, Path]) -> Path:
    import torch
    from monai.networks.nets import UNet

    from napari_ies.checkpoints import load_checkpoint
    from napari_ies.patient.loading import load_case
    from napari_ies.segmentation.segmentation import segment

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = UNet(
            spatial_dims=3,
            in_channels=2,
            out_channels=2,
            channels=(4, 8, 8),
            strides=(2, 2),
            norm="batch",
            num_res_units=0,
        )
    torch.save(network.state_dict(), checkpoint)
    profile = {"sequences": list(images), "window": 16}
    beside = checkpoint.with_suffix(".profile.json")
    beside.write_text(json.dumps(profile))
    # Random weights mark anything: the threshold that keeps the highest twentieth of the voxels.
    segmentation = segment(load_checkpoint(checkpoint, device="cpu"), load_case(images))
    threshold = float(np.quantile(segmentation.probability, 0.95))
    beside.write_text(json.dumps(profile | {"threshold": threshold}))
    return checkpoint
