"""What many scans would cost on graphics cards: reckoned from measured times, never measured.

    python -m benchmarks.reckoned

Every number that goes in stands in this module, with where it is from.
"""

from __future__ import annotations

from dataclasses import dataclass

SCANS = 4023
"""Of the paper (doi:10.1038/s41598-026-36560-9)."""
SAMPLES = 50
"""Noise samples of a map, as the scripts take."""
MACHINES = (1, 64)


@dataclass(frozen=True)
class Scan:
    """What is explained in each scan: assumptions, since the paper does not say it.

    Parameters
    ----------
    lesions
        Lesions that are explained. The network marks 17 and 44 in the two real patients here.
    voxels
        Of each lesion: the paper takes lesions of 91 to 119 voxels for its perilesional context.
    """

    lesions: int = 30
    voxels: int = 105


@dataclass(frozen=True)
class Times:
    """What a machine takes, in seconds.

    Parameters
    ----------
    name
        Of the machine, and where the times are from.
    segmentation
        Of a scan, sliding windows.
    gradcam
        Of a lesion's Grad-CAM++.
    mean_sample
        Of a noise sample of a mean map.
    max_sample, row
        Of a noise sample of a max map without its rows, and of each row: a voxel of the lesion.
    case, lesion
        Of what is no engine: reading, preparing and recording a scan; writing a lesion's maps,
        which is done beside computing. By benchmarks.cohorts on 2026-11-26, one CPU core.
    """

    name: str
    segmentation: float
    gradcam: float
    mean_sample: float
    max_sample: float
    row: float
    case: float = 2.4
    lesion: float = 0.35

    def of_scan(self, scan: Scan, aggregation: str) -> float:
        """Return what a scan takes, with Grad-CAM++ and SmoothGrad of each lesion, in seconds."""
        rows = {"mean": self.mean_sample, "max": self.max_sample + scan.voxels * self.row}
        computing = self.gradcam + SAMPLES * rows[aggregation]
        return self.case + self.segmentation + scan.lesions * max(computing, self.lesion)


MACHINE_TIMES = (
    # docs/performance.md: the table of results (2 cores, 2026-11-22 and 23); Grad-CAM++ took
    # 6.3 s of one core in a profile of 2026-11-26.
    Times("two CPU cores, measured", 4.85, 3.5, 10.5 / SAMPLES, 0.25, 0.0253),
    # docs/performance.md, "What was measured, before that work" (H200, 2026-11-26): maps of 17 and
    # 606 voxels in 7.6 and 31.4 s, means in 3.9 to 5.7 s. Grad-CAM++ was not measured: as long as
    # a noise sample of a mean, twice.
    Times("H200, as measured on 2026-11-26", 0.164, 0.2, 0.096, 0.138, 0.00081),
    # The same page, the table of a card (H200, 2026-11-27): maps of 17 and 606 voxels in 0.311 and
    # 2.47 s, means in 63 to 74 ms; Grad-CAM++ as above.
    Times("H200, as measured on 2026-11-27", 0.0248, 0.2, 0.0014, 0.005, 73e-6),
)


def hours(times: Times, scan: Scan, aggregation: str, machines: int, scans: int = SCANS) -> float:
    """Return how many hours so many machines take for all scans, each scan on one of them."""
    rounds = -(-scans // machines)
    return rounds * times.of_scan(scan, aggregation) / 3600


def table(scan: Scan | None = None) -> str:
    """Return what all scans take on each machine, as Markdown."""
    scan = scan or Scan()
    head = ["machine", *(f"{way}, on {n}" for way in ("mean", "max") for n in MACHINES)]
    lines = [head, ["---"] * len(head)]
    for times in MACHINE_TIMES:
        cells = [in_words(hours(times, scan, way, n)) for way in ("mean", "max") for n in MACHINES]
        lines.append([times.name, *cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def in_words(number: float) -> str:
    """Write hours as a person would, to two digits."""
    if number < 48:
        return f"{number:.2g} h"
    days = number / 24
    return f"{days:.2g} days" if days < 100 else f"{round(days, -1):.0f} days"


if __name__ == "__main__":
    print(table())
