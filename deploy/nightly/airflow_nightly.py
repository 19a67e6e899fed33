"""Airflow 3: the table of the night, in the folder of DAGs.

Every step may run twice; the batch makes the run of a date once. Exit code 75 is tried again, and
all others end the task at once. To backfill: ``airflow backfill create --dag-id ncf_nightly
--from-date 2026-11-01 --to-date 2026-11-20``; LATEST never goes back to an earlier date.
"""

import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

HOME = Path("/var/lib/ncf")
NCF = "/opt/ncf/bin/ncf"
TEMPORARY = {75, 130}  # busy or out of reach; stopped


def run(*words: str) -> None:
    """Run a command in HOME; the exit code decides whether Airflow tries it again."""
    code = subprocess.run([NCF, *words], cwd=HOME, check=False).returncode
    said = f"'ncf {words[0]}' ended with exit code {code}; its log says why"
    if code in TEMPORARY:
        raise AirflowException(said)
    if code:
        raise AirflowFailException(said)


@dag(
    schedule="17 3 * * *",
    start_date=datetime(2026, 11, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
)
def ncf_nightly() -> None:
    """Prepare, train, export, publish."""

    @task
    def prepare(ds: str) -> None:
        run("data", "prepare", "--ratings", f"ratings/{ds}.csv", "--out", f"nights/{ds}/data")

    @task(execution_timeout=timedelta(hours=2))
    def train(ds: str) -> None:
        night = f"nights/{ds}"
        words = ("--data", f"{night}/data", "--out", f"{night}/checkpoint", "--resume")
        run("train", "--model", "gmf", *words)

    @task
    def export(ds: str) -> None:
        night = f"nights/{ds}"
        words = ("--data", f"{night}/data", "--out", f"{night}/store")
        run("export", "--checkpoint", f"{night}/checkpoint", *words)

    @task
    def batch(ds: str) -> None:
        words = ("--out", "topk", "--date", ds, "--gate", "gates.toml", "--keep", "7")
        run("batch", "--bundle", f"nights/{ds}/store/ncf", *words)

    prepare() >> train() >> export() >> batch()


ncf_nightly()
