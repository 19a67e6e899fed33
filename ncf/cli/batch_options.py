"""Define the options of ``ncf batch`` that no other command has."""

from pathlib import Path
from typing import Annotated

import typer

from batch.options import EngineName, Layout, Mode, TableFormat
from ncf.policies import Strangers

AtAddress = Annotated[
    str | None,
    typer.Option(help="Address of the cluster: ray-head:6379, spark://host:7077. [default: own]"),
]
BatchBundle = Annotated[
    str | None,
    typer.Option(help="Folder that 'ncf export' made, or a URI such as s3://bucket/ncf."),
]
BundleHere = Annotated[
    str | None, typer.Option(help="The plan's bundle, if it is elsewhere for this machine.")
]
BundleToPlan = Annotated[
    str,
    typer.Option(
        "--bundle", help="Folder that 'ncf export' made, or a URI such as s3://bucket/ncf."
    ),
]
CandidatesFile = Annotated[
    Path | None, typer.Option(help="CSV or Parquet, item_id: the only items that may be listed.")
]
Columns = Annotated[
    str | None, typer.Option(help="Columns of all files given here: user=NAME,item=NAME.")
]
ExcludedFile = Annotated[
    Path | None, typer.Option(help="CSV or Parquet, item_id: items that nobody gets.")
]
ExcludedPairsFile = Annotated[
    Path | None,
    typer.Option(help="CSV or Parquet of pairs not to list: returned, disliked, bought elsewhere."),
]
ForStrangers = Annotated[
    Strangers | None,
    typer.Option(help="What strangers without a list of their own get; if not given, as exported."),
]
GateFile = Annotated[
    Path | None,
    typer.Option(help="Gates, as 'ncf init gates' prints them; or set aside."),
]
KeptRuns = Annotated[
    int, typer.Option(help="Number of runs to keep, with the new one; 0 keeps all.")
]
LeastRecall = Annotated[float, typer.Option(help="Least recall that a screened table must prove.")]
LikeRun = Annotated[
    str | None, typer.Option(help="Run, such as topk/RUN, whose choice to screen is followed.")
]
MetricsFile = Annotated[
    Path | None, typer.Option(help="File for figures in Prometheus' text format.")
]
OfDate = Annotated[
    str | None,
    typer.Option(help="Logical date of the run, such as 2026-11-26, in UTC; made once."),
]
Reported = Annotated[
    bool, typer.Option("--report/--no-report", help="Put _report.html, to look at, into the run.")
]
OfPlan = Annotated[
    str, typer.Option(help="Id of the plan; if another one is there, it is refused.")
]
OnEngine = Annotated[
    EngineName, typer.Option(help="What makes the parts: threads here, or tasks of a cluster.")
]
Patience = Annotated[
    float, typer.Option(help="Seconds without a new part after which a cluster is given up.")
]
PartFormat = Annotated[TableFormat, typer.Option(help="File format of the parts.")]
PartLayout = Annotated[
    Layout, typer.Option(help="A row for each item, or a row with lists for each user.")
]
RankingMode = Annotated[
    Mode, typer.Option(help="Rank exactly, screen, or screen where it is faster.")
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Move rows of known users along with --seen.")
]
SeenFile = Annotated[
    Path | None,
    typer.Option(help="CSV or Parquet of interactions since the export, also of strangers."),
]
Shards = Annotated[
    str | None,
    typer.Option("--shard", help="Shards: I, I..J, or I/N for one of N shares. [default: all]"),
]
SinceRun = Annotated[
    str | None,
    typer.Option(help="Earlier run (topk/RUN, or latest): rank only those who changed since."),
]
Threads = Annotated[
    int, typer.Option(help="Threads that score; 0 takes all cores, or one for a cluster's task.")
]
OwnThreads = Annotated[int, typer.Option("--workers", help="Threads that score; 0: all cores.")]
UsersAPart = Annotated[int, typer.Option(help="Number of users in a part.")]
UsersFile = Annotated[
    Path | None, typer.Option(help="CSV or Parquet, user_id: the only users who get a list.")
]
WorkFolder = Annotated[
    Path | None, typer.Option(help="Folder of this machine's lock for an object store.")
]

KeepSpaces = Annotated[
    bool, typer.Option("--keep-spaces", help="Keep spaces around ids of text files.")
]
