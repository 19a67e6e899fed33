"""Airflow 3: the table of a night on many workers: plan, a mapped task for each share, commit.

All workers see HOME; or OUT is an object store and BUNDLE is at the same place everywhere. A commit
that ends with 4 has planned the next try, for which the shares are worked on again; tries that are
not needed are skipped. Exit code 75 is tried again, and all others end the task at once. Whatever
failed, clear the run from 'plan' on: it goes on with the plan that is there. A date that has its
run is refused, as 'ncf batch plan' does.
"""

import json
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

HOME = Path("/var/lib/ncf")
NCF = "/opt/ncf/bin/ncf"
BUNDLE, OUT = "model_store/ncf", "topk"
SHARES = 16  # mapped tasks; a pool says how many run at once
TRIES = 4  # most nights need one
NOT_PROVEN = 4
TEMPORARY = {75, 130}  # busy or out of reach; stopped

Share = dict[str, str]


def run(*words: str, fine: tuple[int, ...] = (0,)) -> tuple[int, str]:
    """Run a command in HOME; the exit code decides whether Airflow tries it again."""
    done = subprocess.run(
        [NCF, "batch", *words], cwd=HOME, check=False, stdout=subprocess.PIPE, text=True
    )
    said = f"'ncf batch {words[0]}' ended with exit code {done.returncode}; its log says why"
    if done.returncode in TEMPORARY:
        raise AirflowException(said)
    if done.returncode not in fine:
        raise AirflowFailException(said)
    return done.returncode, done.stdout


def planned(date: str) -> list[Share]:
    """Plan the table of a date, or take up its plan; name the shares, one for a mapped task."""
    _, told = run("plan", "--bundle", BUNDLE, "--out", OUT, "--date", date, "--json")
    plan = json.loads(told)["plan"]
    return [{"plan": plan, "share": f"{number}/{SHARES}"} for number in range(SHARES)]


@dag(
    schedule="17 3 * * *",
    start_date=datetime(2026, 11, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
)
def ncf_table() -> None:
    """Plan, then work and commit, try after try."""

    @task
    def plan(ds: str) -> list[Share]:
        return planned(ds)

    @task
    def work(plan: str, share: str) -> None:
        run("work", "--out", OUT, "--plan", plan, "--shard", share)

    @task
    def commit(shares: list[Share], ds: str) -> list[Share]:
        """Publish, and leave nothing to do; or name the shares of the next try."""
        words = ("--out", OUT, "--plan", shares[0]["plan"], "--keep", "7")
        code, _ = run("commit", *words, fine=(0, NOT_PROVEN))
        return planned(ds) if code == NOT_PROVEN else []

    @task
    def require_none(shares: list[Share]) -> None:
        if shares:
            raise AirflowFailException("a further try is planned: clear this run from 'plan' on")

    left = plan()
    for number in range(1, TRIES + 1):
        worked = work.override(task_id=f"work_{number}").expand_kwargs(left)
        left = commit.override(task_id=f"commit_{number}")(left)
        worked >> left
    require_none(left)


ncf_table()
