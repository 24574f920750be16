"""cluster: workers in other processes; the record is that of one machine, whoever dies."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import cluster_site
from tests.records import ask
from tests.toy import write_bundle
from trapsort.bundle import load_bundle
from trapsort.cli.main import main
from trapsort.cluster import connect, tasks
from trapsort.cluster.tasks import Model
from trapsort.cluster_options import SlurmJobs
from trapsort.ensemble import Classifier
from trapsort.errors import (
    BundleError,
    InputError,
    PhotoError,
    SettingsError,
    TrapsortError,
)
from trapsort.examine import BATCH, Item
from trapsort.fingerprint import read_content
from trapsort.in_hand import InHand
from trapsort.pipeline import Progress, ingest
from trapsort.scan import Photo, card_of, scan
from trapsort.session import open_session
from trapsort.settings import merged
from trapsort.store import Account, Store
from trapsort.urls import Url, url_of
from trapsort.workers import Task, Workers

distributed = pytest.importorskip("distributed", reason="trapsort[cluster] is not installed")
from trapsort.cluster.coordinator import Cluster  # noqa: E402 - it needs Dask

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals of Unix")
ROOT = Path(__file__).resolve().parent.parent
COLOURS = [(220, 10, 10), (10, 220, 10), (10, 10, 220), (0, 0, 0)]
COLUMNS = {
    "photos": "sha256, size, camera_time, width, height, format, flags, perceptual_hash,"
    " near_duplicate_of, near_duplicate_bits",
    "places_seen": "photo_id, card_id, path_bytes, mtime_ns, superseded IS NULL",
    "regions": "photo_id, x, y, width, height, detector",
    "predictions": "region_id, label, probability, reason, top, members",
    "problems": "path, reason, detail, resolved IS NULL",
    "cards": "root, volume",
    "runs": "files, recorded, seen_before, problems",
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "toy")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Url]:
    """A bucket of a server on loopback that speaks S3, which workers learn of as they start."""
    server_module = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "none")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        import fsspec

        fsspec.filesystem("s3").mkdir("wild")
        yield Url("s3://wild")
        fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


@pytest.fixture(scope="module")
def scheduler(bucket: Url) -> Iterator[Any]:
    """A cluster of two processes on loopback, which two deaths are enough for."""
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            preload=["tests.cluster_site"],
        ) as cluster,
    ):
        yield cluster


@contextmanager
def workers_of(scheduler: Any, bundle_folder: Path) -> Iterator[Workers]:
    bundle = load_bundle(bundle_folder)
    model = Model.of(bundle, None, None)
    address = scheduler.scheduler_address
    with connect.open_cluster(address, bundle, model, stop=threading.Event()) as workers:
        yield workers


@pytest.fixture
def workers(scheduler: Any, toy: Path) -> Iterator[Workers]:
    with workers_of(scheduler, toy) as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A record in a file: but for one test, who writes is the same coordinator on both."""
    with Store.open(f"sqlite:///{tmp_path / 'record.sqlite3'}") as opened:
        yield opened


def on_all(workers: Workers, function: Callable[[], int]) -> dict[str, int]:
    """What a function says in each worker."""
    assert isinstance(workers, Cluster)
    return workers.ask_all(function)


def draw(folder: Path, count: int) -> Path:
    """Write photos of four colours, each with a content of its own."""
    folder.mkdir(parents=True)
    for number in range(count):
        image = Image.new("RGB", (320, 240), COLOURS[number % 4])
        image.putpixel((300, 200), (number, 100, 100))
        image.save(folder / f"IMG_{number:04}.png")
    return folder


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: [
            tuple(bytes(cell) if isinstance(cell, memoryview) else cell for cell in row)
            for row in ask(url, f"SELECT {columns} FROM {table} ORDER BY id")  # noqa: S608
        ]
        for table, columns in COLUMNS.items()
    }


def test_the_record_is_that_of_one_machine(
    workers: Workers, toy: Path, url: str, tmp_path: Path
) -> None:
    card = draw(tmp_path / "card" / "DCIM", 30).parent
    shutil.copy(card / "DCIM" / "IMG_0003.png", card / "copy.png")
    (card / "notes.txt").write_text("a note")
    (card / "empty.jpg").touch()
    (card / "link.jpg").symlink_to(card / "copy.png")
    (card / "cut.png").write_bytes((card / "copy.png").read_bytes()[:200])
    alone = f"sqlite:///{tmp_path / 'alone.sqlite3'}"
    bundle = load_bundle(toy)
    seen: list[Progress] = []
    with Store.open(alone) as store:
        classifier = Classifier(bundle, open_session(bundle))
        expected = ingest(card, store=store, classifier=classifier)
        again = ingest(card, store=store, classifier=classifier)
    assert expected == Account(35, 30, 1, 4)
    with Store.open(url) as store:
        found = ingest(card, store=store, classifier=workers, total=35, on_progress=seen.append)
        before = on_all(workers, cluster_site.decoded)
        assert ingest(card, store=store, classifier=workers) == again == Account(35, 0, 31, 4)
        assert on_all(workers, cluster_site.decoded) == before  # what is known is not decoded
    assert found == expected
    assert seen[-1] == Progress(35, 35)
    assert rows(url) == rows(alone)


def test_a_bucket_gives_what_a_disk_gives(
    workers: Workers, bucket: Url, toy: Path, tmp_path: Path
) -> None:
    import fsspec

    card = draw(tmp_path / "card", 6)
    (card / "notes.txt").write_text("a note")
    system = fsspec.filesystem("s3")
    system.put(f"{card}/", "wild/card/DCIM/", recursive=True)
    there, alone = (f"sqlite:///{tmp_path / name}" for name in ("there.sqlite3", "alone.sqlite3"))
    bundle = load_bundle(toy)
    with Store.open(alone) as store:
        classifier = Classifier(bundle, open_session(bundle))
        ingest(card, store=store, classifier=classifier)
    url = url_of(f"{bucket}/card/")
    with Store.open(there) as store:
        assert ingest(url, store=store, classifier=workers) == Account(7, 6, 0, 1)
        before = on_all(workers, cluster_site.decoded)
        assert ingest(url, store=store, classifier=workers) == Account(7, 0, 6, 1)
        assert on_all(workers, cluster_site.decoded) == before
        assert {each.card for each in store.sightings()} == {"s3://wild/card"}
    for table in ("photos", "regions", "predictions"):
        assert rows(there)[table] == rows(alone)[table]
    photo = next(item for item in scan(url) if isinstance(item, Photo))
    assert photo.version
    system.pipe_file("wild/card/DCIM/IMG_0000.png", bytes(photo.size))
    with pytest.raises(PhotoError, match="changed"):
        read_content(photo)
    with pytest.raises(InputError, match=r"s3://wild/none does not exist\."):
        ingest(url_of(f"{bucket}/none"), store=store, classifier=workers)


def test_a_worker_that_dies_costs_nothing(
    workers: Workers, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trapsort.workers.TOGETHER", BATCH)  # it dies before the last are read
    card = draw(tmp_path / "card", 60)
    pids = list(on_all(workers, os.getpid).values())

    def kill(_: Progress) -> None:
        if len(pids) == 2:
            os.kill(pids.pop(), signal.SIGKILL)

    account = ingest(card, store=store, classifier=workers, on_progress=kill)
    assert (account, pids) == (Account(60, 60, 0, 0), pids[:1])
    assert len(list(store.sightings())) == 60


def test_a_photo_that_kills_workers_is_a_problem_and_found_out_once(
    workers: Workers, tmp_path: Path
) -> None:
    card = draw(tmp_path / "card", 2)
    Image.new("RGB", (320, 240), cluster_site.YELLOW).save(card / "poison.png")
    url = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    before = set(on_all(workers, os.getpid).values())
    with Store.open(url) as store, InHand(url) as in_hand:
        account = ingest(card, store=store, classifier=workers, in_hand=in_hand)
        assert account == Account(3, 2, 0, 1)
        (problem,) = store.problems()
        assert (problem.path, problem.reason, problem.detail) == (
            "poison.png",
            "fatal",
            "trapsort died 3 times while it decoded this photo",
        )
    after = set(on_all(workers, os.getpid).values())
    assert len(after - before) in (1, 2)  # it is asked of two deaths, of one worker or of both
    with Store.open(url) as store, InHand(url) as in_hand:
        assert ingest(card, store=store, classifier=workers, in_hand=in_hand) == Account(3, 0, 2, 1)
    assert set(on_all(workers, os.getpid).values()) == after


def test_a_coordinator_that_dies_is_followed_by_another(
    scheduler: Any, workers: Workers, toy: Path, tmp_path: Path
) -> None:
    card = draw(tmp_path / "card", 50)
    url = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    program = (
        "import os, sys\n"
        "from trapsort.store import Store\n"
        "whole, calls = Store.record, []\n"
        "def record(*arguments, **others):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 2: os.kill(os.getpid(), 9)\n"
        "    return whole(*arguments, **others)\n"
        "Store.record = record\n"
        "from trapsort import workers\n"
        "workers.TOGETHER = 1\n"
        "from trapsort.cli.main import main\n"
        "sys.exit(main())\n"
    )
    options = ["--db", url, "--bundle", str(toy), "--cluster", scheduler.scheduler_address]
    line = [sys.executable, "-c", program, "ingest", str(card), *options]
    died = subprocess.run(line, check=False, cwd=ROOT, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with Store.open(url) as store:
        assert len(list(store.sightings())) == BATCH
        assert ingest(card, store=store, classifier=workers) == Account(50, 42, 8, 0)
        assert len(list(store.sightings())) == 50


def test_files_under_way_are_bounded_and_come_in_order(workers: Workers, tmp_path: Path) -> None:
    card = draw(tmp_path / "card", 90)
    given = 0

    def counted() -> Iterator[Item]:
        nonlocal given
        for item in scan(card):
            given += 1
            yield item
        raise InputError("the card went away")

    task = Task(card_of(card), lambda sha256s: set(), InHand())
    names, most = list[bytes](), 0
    with pytest.raises(InputError, match="the card went away"):
        for batch in workers.batches(counted(), task):
            most = max(most, given - len(names))
            names += [record.photo.relative for record in batch.records]
    assert names == [item.relative for item in scan(card)]
    assert most <= (3 * 2 + 1) * BATCH < 90


def test_a_stop_ends_it_and_nothing_is_lost(
    workers: Workers, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trapsort.workers.TOGETHER", BATCH)
    card, stop = draw(tmp_path / "card", 80), threading.Event()
    part = ingest(
        card, store=store, classifier=workers, stop=stop, on_progress=lambda _: stop.set()
    )
    assert 0 < part.files < 80
    rest = ingest(card, store=store, classifier=workers)
    assert (rest.files, part.recorded + rest.recorded) == (80, 80)


def test_what_only_a_worker_misses_is_no_file_that_went_away(
    workers: Workers, store: Store, tmp_path: Path
) -> None:
    card = draw(tmp_path / "card", 1)
    (card / "unseen.jpg").write_bytes(b"here")
    account = ingest(card, store=store, classifier=workers)
    assert (account, [photo.name for photo in account.again]) == (
        Account(2, 1, 0, 1),
        ["unseen.jpg"],
    )
    (problem,) = store.problems()
    assert (problem.reason, problem.detail) == (
        "unreadable",
        "a worker of the cluster does not find it",
    )


def test_a_worker_refuses_another_bundle_and_another_trapsort(
    scheduler: Any, store: Store, toy: Path, tmp_path: Path
) -> None:
    card = draw(tmp_path / "card", 1)
    folder = write_bundle(tmp_path / "changes", version="1.0.1")
    with workers_of(scheduler, folder) as workers:
        write_bundle(folder, version="1.1.0")
        with pytest.raises(BundleError, match=r"on \S+ has another bundle .*changes than this"):
            ingest(card, store=store, classifier=workers)
        shutil.rmtree(folder)
        with pytest.raises(BundleError, match="cannot load the bundle: There is no bundle"):
            ingest(card, store=store, classifier=workers)
    model = Model.of(load_bundle(toy), None, None)
    old = Model(model.bundle, None, None, model.digest, "0.0.1")
    with pytest.raises(BundleError, match=r"has trapsort \S+, not 0\.0\.1\."):
        tasks.classifier_of(old)
    assert not list(store.sightings())


def test_a_worker_that_does_not_see_the_card_says_so(toy: Path, tmp_path: Path) -> None:
    model = Model.of(load_bundle(toy), None, "phylum=Chordata")
    with pytest.raises(BundleError, match=r"toy-1\.0\.0 has no taxonomy"):
        tasks.classifier_of(model)
    with pytest.raises(InputError, match=r"worker on \S+ does not see .*nowhere\.\n.*same path"):
        tasks.read_files([], tmp_path / "nowhere")


def test_a_cluster_of_this_machine_starts_and_ends_with_the_command(
    toy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    card = draw(tmp_path / "card", 3)
    options = ["--db", str(tmp_path / "s.sqlite3"), "--bundle", str(toy), "--cluster", "local:1"]
    assert main(["ingest", str(card), *options]) == 0
    out, err = capfd.readouterr()
    assert (out, err) == ("card: 3 files: 3 photos recorded, 0 seen before, 0 problems\n", "")
    assert main(["ingest", str(card), *options, "--previews"]) == 2
    assert "Leave out --previews or --cluster." in capfd.readouterr().err


def test_no_scheduler_and_no_workers(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(toy)
    model = Model.of(bundle, None, None)
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(connect, "WAIT_SECONDS", 1)
    with (
        pytest.raises(InputError, match=r"There is no Dask scheduler at tcp://127\.0\.0\.1:9\."),
        connect.open_cluster("tcp://127.0.0.1:9", bundle, model, stop=threading.Event()),
    ):
        pytest.fail("opened")
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(InputError, match="There is no sbatch on this machine"),
        connect.open_cluster("slurm", bundle, model, stop=threading.Event()),
    ):
        pytest.fail("opened")


def test_a_job_of_slurm_says_what_the_table_says() -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    jobs = SlurmJobs(
        cores=16,
        memory="32GB",
        walltime="02:00:00",
        queue="cpu",
        account="wild",
        directives=("--qos=long",),
        prologue=("module load python",),
        python="/opt/trapsort/bin/python",
    )
    with connect.slurm_cluster(jobs) as cluster:
        script = cluster.job_script()
    for line in (
        "#SBATCH -J trapsort",
        "#SBATCH -p cpu",
        "#SBATCH -A wild",
        "#SBATCH --cpus-per-task=16",
        "#SBATCH --mem=30G",
        "#SBATCH -t 02:00:00",
        "#SBATCH --qos=long",
        "module load python",
    ):
        assert f"\n{line}\n" in script
    assert re.search(r"\n/opt/trapsort/bin/python -m distributed.*--nthreads 16 ", script)


@pytest.mark.parametrize("where", ["local:4", "slurm", "tcp://node7:8786", "tls://[::1]:8786"])
def test_where_a_cluster_may_be(where: str) -> None:
    assert merged({"cluster": where}, environment={}).cluster == where


@pytest.mark.parametrize("where", ["", "local", "local:0", "local:x", "node7", "tcp://node7", "8"])
def test_where_no_cluster_is(where: str) -> None:
    with pytest.raises(SettingsError, match="cluster in the options must be local:N, slurm, or"):
        merged({"cluster": where}, environment={})


def test_the_table_of_slurm(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('cluster = "slurm"\n[slurm]\njobs = 4\nqueue = "cpu"\nprologue = ["a"]\n')
    found = merged({}, environment={}, config=config)
    assert found.cluster == "slurm"
    assert found.slurm == SlurmJobs(jobs=4, queue="cpu", prologue=("a",))
    for text, said in {
        "jobs = 0": "in which jobs is a whole number from 1",
        "memory = 16": "in which memory is one line of text",
        'memory = "much"': 'in which memory is an amount of memory like "16GB"',
        'walltime = "soon"': 'in which walltime is a time like "04:00:00"',
        'prologue = "a"': "in which prologue is a list of lines",
        "kores = 2": r"without 'kores' \(did you mean 'cores'\?\)",
    }.items():
        config.write_text(f"[slurm]\n{text}\n")
        with pytest.raises(SettingsError, match=said):
            merged({}, environment={}, config=config)
    with pytest.raises(SettingsError, match=r"a table \[slurm\] in the configuration file"):
        merged({}, environment={"TRAPSORT_SLURM": "x"}, config=None)


def test_a_lost_scheduler_is_said_so(toy: Path, store: Store, tmp_path: Path) -> None:
    card = draw(tmp_path / "card", 1)
    with distributed.LocalCluster(
        n_workers=0, processes=False, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
    ) as cluster:
        bundle = load_bundle(toy)
        model = Model.of(bundle, None, None)
        with distributed.Client(cluster, set_as_default=False) as client:
            ended = threading.Timer(1.0, client.close)
            ended.start()
            with pytest.raises(TrapsortError, match="The connection to the cluster is lost"):
                ingest(card, store=store, classifier=Cluster(client, bundle, model))
