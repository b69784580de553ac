"""What fails is one sentence that a person can act on, and nothing that a terminal obeys."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import signal

import command_line
import nibabel as nib
import numpy as np
import pytest
import torch
from rich.console import Console
from rich.table import Table

from napari_ies.cli.failures import sentence_of
from napari_ies.cli.tables import MOST_ROWS, lesions_table
from napari_ies.cli.terminal import Terminal, reporting
from napari_ies.errors import CaseError
from napari_ies.progress import Progress
from napari_ies.segmentation.lesions import lesion_table

ODD = "\x1b[31mred\x1b]0;title\x07[bold]x[/nothing]:smile:"


def run(*arguments: object):
    result = command_line.run(*arguments)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\x9b]", result.output), result.output
    assert len(result.output) < 20_000
    return result


def error_of(result) -> str:
    assert result.exit_code == 1, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "Unexpected" not in line
    return line


def of_system(number, *names):
    return OSError(number, os.strerror(number), *names)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (of_system(errno.ENOSPC, "/d/a.nii"), "/d/a.nii cannot be .* the disk is full; free some"),
        (of_system(errno.EACCES, "/d"), "/d cannot be .* you may not open or write it; choose"),
        (of_system(errno.EROFS, "/d"), "on a disk that cannot be written to"),
        (of_system(errno.ENAMETOOLONG, "a" * 999), "a{9,}….* longer than the disk allows"),
        (of_system(errno.ESTALE, "/d"), "/d cannot be opened or written .*check path and disk"),
        (of_system(errno.EIO), "A file cannot be opened or written .* the disk or network failed"),
        (MemoryError(), "There is not enough memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "There is not enough memory"),
        (RecursionError("maximum recursion depth"), "is nested deeper than anything"),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"), "characters that cannot be"),
        (RuntimeError("Could not determine home directory."), "of whom no home is known"),
        (CaseError("There is no file."), "There is no file."),
        (KeyError(ODD), "an error that it does not know .KeyError: .* run it again with --debug"),
        (ValueError("x" * 10**6), "an error that it does not know .ValueError: xxx"),
        (ZeroDivisionError(), "ZeroDivisionError: no reason given"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_failure_has_its_sentence(capsys, error, said):
    with pytest.raises(Exception, match="1"), reporting(debug=False):
        raise error
    printed = capsys.readouterr().err
    assert re.search(said, printed), printed
    assert printed.startswith("Error: ")
    assert printed.count("\n") == 1
    assert len(printed) < 1500
    assert "Unexpected" not in printed
    assert "\x1b" not in printed
    assert re.search(said, sentence_of(error))


def test_a_trace_for_developers_is_printable_too(capsys):
    with pytest.raises(Exception, match="1"), reporting(debug=True):
        raise KeyError(ODD) from ValueError(ODD)
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "\x1b" not in printed
    assert "\x07" not in printed


def test_names_in_tables_and_beside_the_bar_are_shown_as_they_are():
    terminal = Terminal()
    printed = io.StringIO()
    for console in (terminal.out, terminal.err):
        console.file, console.width = printed, 300
    table = Table(ODD, title=ODD, caption=ODD)
    table.add_row(ODD)
    terminal.show(table)
    assert printed.getvalue().count("\\x1b[31mred\\x1b]0;title\\x07[bold]x[/nothing]:smile:") == 4
    terminal.err._force_terminal = True
    terminal.follow(iter([Progress("", 1, 1, "", result=1)]), ODD)
    assert "\x1b[31mred" not in printed.getvalue()
    assert "\x07" not in printed.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        (f"--{ODD}",),
        (ODD,),
        ("--threshold", ODD),
        ("--forward", ODD),
        ("--image", ODD),
        ("--image", f"{ODD}="),
        ("--image", f"={ODD}"),
        ("--image", "z" * 10**6),
        ("--" + "z" * 10**6,),
        ("z" * 10**6,),
    ],
)
def test_wrong_usage_is_told_in_printable_words(small, tmp_path, arguments):
    result = run("segment", *small.arguments, "--out", tmp_path, *arguments)
    assert result.exit_code == 2
    assert "Error" in result.output


@pytest.mark.parametrize("value", [0, 1, -0.5, 2, "nan", "inf"])
def test_a_threshold_that_is_none_is_refused_before_anything_is_read(tmp_path, value):
    result = run("segment", tmp_path / "no.pth", "--image", "FLAIR=no.nii", "--out", tmp_path,
                 "--threshold", value)  # fmt: skip
    assert result.exit_code == 2, result.output
    assert "is not above 0 and below 1" in " ".join(result.output.replace("│", "").split())


def test_an_unknown_command_is_told_in_printable_words():
    assert run(ODD).exit_code == 2


@pytest.fixture
def no_waiting():
    """Let what waits, as for a pipe's other end, fail: it would wait without end."""

    def woken(*_):
        raise TimeoutError("waited for a minute")

    former = signal.signal(signal.SIGALRM, woken)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, former)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_is_no_file_of_any_option(small, tmp_path, no_waiting):
    pipe = tmp_path / "pipe.nii"
    os.mkfifo(pipe)
    flair, t1 = small.images.values()
    images = (f"--image=FLAIR={flair}", f"--image=T1={t1}")
    for command in (
        ("segment", small.checkpoint, *images, "--reference", pipe),
        ("explain", small.checkpoint, *images, "--all", "--labels", pipe),
        ("explain", small.checkpoint, *images, "--mask", flair, "--mask", pipe),
        ("segment", small.checkpoint, f"--image=FLAIR={pipe}", images[1]),
    ):
        assert error_of(run(*command, "--out", tmp_path / "out")) == (
            "Error: pipe.nii cannot be read: it is a pipe, not a regular file; give an image file."
        )


@pytest.mark.slow
def test_names_in_any_script_go_all_the_way(small, tmp_path):
    folder = tmp_path / "Пациент 7"
    folder.mkdir()
    named = {
        "checkpoint": "сеть.pth",
        "FLAIR": "ФЛЕР.nii.gz",
        "T1": "Т1.nii.gz",
        "r": "маска.nii.gz",
    }
    for key, source in {
        "checkpoint": small.checkpoint, **small.images, "r": small.reference
    }.items():  # fmt: skip
        shutil.copy(source, folder / named[key])
    profile = small.checkpoint.with_name("unet.profile.json").read_text(encoding="utf-8")
    # Some editors begin a file with a mark.
    (folder / "сеть.profile.json").write_text(profile, encoding="utf-8-sig")
    given = [folder / "сеть.pth", *(f"--image={n}={folder / named[n]}" for n in ("FLAIR", "T1"))]
    mask, out = folder / named["r"], folder / "результат"
    assert run("inspect", given[0]).exit_code == 0
    assert run("segment", *given, "--reference", mask, "--out", out).exit_code == 0
    for options in (("--mask", mask), ("--labels", mask, "--lesion", 1)):
        result = run("explain", *given, *options, "--samples", 1, "--out", out)
        assert result.exit_code == 0, result.output
    sidecar = next(out.rglob("*lesion-001*saliency.json"))
    assert "маска.nii.gz" in json.dumps(json.loads(sidecar.read_text()), ensure_ascii=False)
    assert run("figure", sidecar, "--out", folder / "рисунок.png").exit_code == 0
    assert (folder / "рисунок.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("images", "code"),
    [
        (["{odd}={flair}", "T1={t1}"], 0),
        (["-x={flair}", "--y={t1}"], 0),
        (["\udcff={flair}", "T1={t1}"], 0),
        (["FLAIR={flair}"], 1),
        (["FLAIR=-x", "T1={t1}"], 1),
        (["FLAIR=a=b", "T1={t1}"], 1),
        (["FLAIR={flair}/x", "T1={t1}"], 1),
    ],
)
def test_odd_names_of_sequences_and_files(small, tmp_path, images, code):
    paths = {"odd": ODD, "flair": small.images["FLAIR"], "t1": small.images["T1"]}
    given = [f"--image={one.format(**paths)}" for one in images]
    result = run("segment", small.checkpoint, *given, "--out", tmp_path)
    assert result.exit_code == code, result.output
    if code:
        error_of(result)


@pytest.mark.slow
def test_a_terminal_is_not_filled_with_lesions(small):
    case = small.case()
    labels = np.zeros(case.shape, np.int32)
    labels[::2, ::2, ::2] = np.arange(1, 1431).reshape(13, 11, 10)
    table = lesion_table(labels, np.ones(case.shape, np.float32), case)
    assert len(table) == 13 * 11 * 10
    printed = io.StringIO()
    Console(file=printed, width=200).print(lesions_table(table))
    assert f"The first {MOST_ROWS:,}; 430 more are in the table of lesions." in printed.getvalue()
    assert lesions_table(table.iloc[:5]).caption is None


def test_a_hostile_image_is_one_line_on_the_command_line(small, tmp_path):
    header = nib.Nifti1Header()
    header["dim"] = [3, 1300, 1300, 1300, 1, 1, 1, 1]
    header["magic"], header["vox_offset"] = b"n+1", 352
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(2000))
    result = run("segment", small.checkpoint, f"--image=FLAIR={tmp_path / 'a.nii'}",
                 f"--image=T1={small.images['T1']}", "--out", tmp_path)  # fmt: skip
    assert "its header claims 1300 × 1300 × 1300 voxels of float32, and it has" in error_of(result)
