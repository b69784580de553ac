"""A real cluster of processes: tables as of a serial run, whoever is lost on the way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from dataclasses import replace

import dask
import pytest
import torch
from command_line import run

from napari_ies.checkpoints import load_checkpoint
from napari_ies.cli import many
from napari_ies.cohort import cluster
from napari_ies.cohort.cases import CohortCase
from napari_ies.cohort.cluster import (
    NetworkSource,
    card_of,
    on_this_machine,
    running_on,
    threads_of,
    visible_cards,
    workers_of,
)
from napari_ies.cohort.run import CohortReport
from napari_ies.cohort.settings import CohortSettings
from napari_ies.errors import CohortError
from napari_ies.free_memory import GIB
from napari_ies.saliency.request import SaliencyRequest

TABLES = ("cases.tsv", "lesions.tsv", "cases.json", "lesions.json")


@pytest.mark.slow
def test_a_lost_worker_costs_nothing_but_time(twelve, tmp_path, monkeypatch, forks):
    distributed = pytest.importorskip("distributed", reason="there is no dask.distributed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("P01", "P03", "P04", "P06"):
        shutil.copytree(twelve.data / name, tmp_path / "data" / name)
    data = tmp_path / "data"
    asked = (
        *("cohort", "--checkpoint", twelve.checkpoint, "--input-val-paths", data, data),
        *("--input-prefixes", "flair.nii.gz", "t1.nii.gz", "--method", "smoothgrad"),
        *("--device", "cpu", "--samples", 2, "--out"),
    )
    follow, divide, lost, seen = many.followed, cluster.on_this_machine, [], []

    def with_cards(source, *more):
        source, settings = divide(source, *more)
        return replace(source, cards=("3", "5")), settings

    def looked_at():
        loads = cluster.network_of_worker.cache_info()
        card = os.environ.get("CUDA_VISIBLE_DEVICES")
        # One that is loading the network now has none yet.
        # The mask is the parent's, and in a test that may have started others before; who asks for
        # it in time ignores it besides.
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        computing = torch.get_num_threads()
        return card, loads.misses * loads.currsize, loads.hits, ignored, computing

    def losing(terminal, reports):
        for followed in follow(terminal, reports):
            if len(seen) < 4:
                # But for one that was killed and is not yet missed.
                seen.append(distributed.get_client().run(looked_at, on_error="ignore"))
            if not lost:
                processes = distributed.get_client().run(os.getpid)
                assert len({os.getpid(), *processes.values()}) == 3
                lost.append(next(iter(processes.values())))
                os.kill(lost[0], signal.SIGKILL)
            yield followed

    with monkeypatch.context() as patch:
        patch.setattr(many, "followed", losing)
        patch.setattr(cluster, "on_this_machine", with_cards)
        clustered = run(*asked, tmp_path / "cluster", "--workers", 2)
    assert lost
    # Whoever did cases loaded the network once for all of them, and saw a card of its own.
    worked = [one for looks in seen for one in looks.values() if one[1]]
    assert {misses for _, misses, *_ in worked} == {1}
    assert max(hits for _, _, hits, *_ in worked) >= 1
    # Ctrl-C is the command's: neither these nor one that came for the lost one would answer it.
    assert {ignored for looks in seen for *_, ignored, _ in looks.values()} == {True}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert {card for card, *_ in worked} <= {"3", "5"}
    assert {threads for *_, threads in worked} == {threads_of(2)}
    for looks in seen:
        assert len({one[0] for one in looks.values() if one[1]}) == sum(
            bool(one[1]) for one in looks.values()
        )
    # The lost one may have written all of its case, and nobody heard of it.
    (ended,) = re.findall(r"5 cases \((.+?), 1 failed\)", clustered.stdout)
    assert ended in ("4 done", "3 done, 1 there already"), clustered.output
    serial = run(*asked, tmp_path / "serial")
    assert "5 cases (4 done, 1 failed)" in serial.stdout
    for name in TABLES:
        one, other = (tmp_path / folder / "cohort" / name for folder in ("serial", "cluster"))
        assert one.read_text() == other.read_text()
    # What workers have done, a run without them finds done.
    assert "4 there already, 1 failed" in run(*asked, tmp_path / "cluster").stdout


def test_without_dask_distributed_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CohortError, match="pip install"), workers_of(2, None):
        pass


def a_source(twelve):
    """Return where the network is, the network, and settings."""
    model = load_checkpoint(twelve.checkpoint, device="cpu")
    settings = CohortSettings((SaliencyRequest(n_samples=2),))
    return NetworkSource(twelve.checkpoint, "cpu", key=settings.key(model)), model, settings


@pytest.mark.slow
def test_a_worker_that_is_lost_while_it_is_told_something_ends_no_run():
    asked = []

    class Client:
        def register_plugin(self, plugin, name):
            asked.append(name)
            if len(asked) < 3:
                raise ConnectionResetError("its worker is gone")

    cluster._leave_undisturbed(Client(), tries=3)
    assert len(asked) == 3
    asked.clear()
    with pytest.raises(ConnectionResetError):
        cluster._leave_undisturbed(Client(), tries=2)


def test_a_case_that_no_worker_survives_is_a_row(twelve, tmp_path, forks, monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    pytest.importorskip("distributed", reason="there is no dask.distributed")
    source, _, settings = a_source(twelve)
    cases = [
        CohortCase(name, "", dict.fromkeys(("FLAIR", "T1"), twelve.data / place), place=name)
        for name, place in (("bad", "P03/ses1/flair.nii.gz"), ("gone", "P99/ses1/flair.nii.gz"))
    ]

    def dies(error):
        if "damaged" in str(error):
            os.kill(os.getpid(), signal.SIGKILL)
        return "it is not there"

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), workers_of(1, None) as one:
        # What dask sets there for tables slows tensors down.
        trims = one.run(os.environ.get, "MALLOC_TRIM_THRESHOLD_")
        reports = list(running_on(one, source, cases, settings, tmp_path, dies))
    assert set(trims.values()) == {None}
    said = {report.case.subject: report for report in reports}
    assert {report.outcome for report in reports} == {"failed"}
    assert said["bad"].sentence.startswith("The workers that did it were lost")
    # It waited for the same worker, and is given up with it by dask; not by us.
    assert said["gone"].sentence == "it is not there"
    table = (tmp_path / "cohort" / "cases.tsv").read_text().splitlines()
    assert [line.split("\t")[2] for line in table] == ["status", "failed", "failed"]
    assert "were lost" in table[1]


def test_a_worker_knows_a_network_that_is_not_the_one_that_is_meant(twelve, tmp_path):
    source, _, settings = a_source(twelve)
    report = CohortReport(CohortCase("P01", "1", {}, trouble="it is not looked at"), 1, 1)
    copy = shutil.copy(twelve.checkpoint, tmp_path)
    shutil.copy(twelve.checkpoint.with_suffix(".profile.json"), tmp_path)
    here = replace(source, checkpoint=tmp_path / twelve.checkpoint.name)
    assert (
        cluster._work(here, report, settings, tmp_path, str, locking=False).sentence
        == "it is not looked at"
    )
    torch.save(torch.load(copy, weights_only=True) | {"more": torch.zeros(1)}, copy)
    other = replace(here, key="that of another checkpoint")
    with pytest.raises(CohortError, match="another network or another version"):
        cluster._work(other, report, settings, tmp_path, str, locking=False)


def test_threads_cards_and_memory_are_divided(monkeypatch):
    settings = CohortSettings((SaliencyRequest(),))
    source = NetworkSource("unet.pth")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert [threads_of(workers) for workers in (1, 2, 5, 24)] == [12, 6, 2, 1]
    monkeypatch.setattr(cluster, "memory_limit", lambda _device: 12 * GIB)
    own, shared = on_this_machine(source, settings, torch.device("cpu"), 4)
    assert (own.threads, own.cards, shared.memory_gib) == (3, (), 3)
    assert replace(shared, memory_gib=None) == settings
    asked = replace(settings, memory_gib=2.0)
    assert on_this_machine(source, asked, torch.device("cpu"), 4)[1] == asked

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    card = torch.device("cuda", 0)
    own, shared = on_this_machine(source, settings, card, 2)
    assert (own.cards, shared.memory_gib) == (("0", "1"), 12)
    # Two share a card then; one that was asked for by name is everybody's.
    assert on_this_machine(source, settings, card, 4)[1].memory_gib == 6
    named = replace(source, device="cuda:1")
    assert on_this_machine(named, settings, card, 4)[0].cards == ()
    assert on_this_machine(named, settings, card, 4)[1].memory_gib == 3
    # Cards that others took are left alone, by whatever name.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b, GPU-a")
    assert visible_cards() == ("GPU-b", "GPU-a")
    assert [card_of(number, visible_cards()) for number in range(3)] == ["GPU-b", "GPU-a", "GPU-b"]
    assert card_of("tcp://10.0.0.1:40331", visible_cards()) is None
    assert card_of(0, ()) is None
