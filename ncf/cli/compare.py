"""``ncf compare`` prints trained models side by side."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import ncf
from ncf.cli.options import AsCsv, AsJson, Data, Length, MostUsers, OfProtocol, Where
from ncf.cli.output import print_json, require_one_form, say, show_table
from ncf.devices import Device


def compare(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="Folders that 'ncf train' made; the first is the reference."),
    ],
    data: Data,
    k: Length = 10,
    protocol: OfProtocol = None,
    device: Where = Device.AUTO,
    max_users: MostUsers = None,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Also train and compare the simple models.")
    ] = False,
    baselines_in: Annotated[
        Path | None,
        typer.Option(help="Their folder. [default: 'baselines' beside the first checkpoint]"),
    ] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Compare models on the test part: HR and NDCG at K, differences, overlap of lists.

    Intervals are 95 %, by paired bootstrap over users; differences are to the first model. The
    overlap compares top-K lists of all items except those of training and validation.

    Example: ncf compare checkpoints/gmf checkpoints/mlp --data data/ml-100k -k 10

    With simple models: ncf compare checkpoints/neumf-pre --data data/ml-100k --baselines
    """
    require_one_form(as_json=as_json, as_csv=as_csv)
    simple: bool | Path = baselines if baselines_in is None else baselines_in
    measure = partial(ncf.compare, checkpoints, data, k=k, protocol=protocol, device=device)
    found = measure(baselines=simple, max_users=max_users)
    if as_json:
        print_json(found.document)
    elif as_csv:
        found.frame().to_csv(sys.stdout, index=False)
    else:
        _print(found.document)


def _print(document: Mapping[str, Any]) -> None:
    from ncf.api.comparison import COMPARED, cases_of
    from ncf.api.titles import TITLES, at_k

    models, rows = document["models"], []
    for number, model in enumerate(models, 1):
        facts = (f"{model[name]:,}" for name in ("parameters", "epochs"))
        wide, factors = model["gmf_factors"], model["factors"]
        both = model["variant"].startswith("neumf") and wide != factors
        factors = f"{wide} + {factors}" if both else f"{factors}"
        rows.append(
            (number, model["checkpoint"], model["variant"], factors, *facts, model["best_epoch"])
        )
    show_table(("#", "checkpoint", "variant", "factors", "parameters", "epochs", "best"), rows)
    say(f"{cases_of(document)}; 95 % intervals by paired bootstrap over users")
    for name in COMPARED:
        title = at_k(TITLES[name], document["k"], document["protocol"])
        figures = enumerate((_figure(model[name]) for model in models), 1)
        names = ("#", title, "interval", "minus #1", "its interval")
        show_table(names, ((number, *cells) for number, cells in figures))
    _print_verdicts(document)
    overlap = document["overlap"]
    say(
        f"top {document['k']} of {overlap['users']:,} users, of all items except those of training "
        "and validation:\nshare of common items (average overlap, which also counts the order)"
    )
    shares = zip(overlap["common"], overlap["average"], strict=True)
    cells = (
        (number, *(f"{common:.3f} ({average:.3f})" for common, average in zip(*row, strict=True)))
        for number, row in enumerate(shares, 1)
    )
    show_table(("#", *(str(number) for number in range(1, len(models) + 1))), cells)


def _print_verdicts(document: Mapping[str, Any]) -> None:
    """Print both protocols side by side, and who wins."""
    both, models, k = document["protocols"], document["models"], document["k"]
    protocols = [name for name in both if name != "agree"]
    if len(models) > 1 and len(protocols) > 1:
        columns = zip(*(both[name]["ndcg"] for name in protocols), strict=True)
        rows = ((number, *(f"{each:.4f}" for each in row)) for number, row in enumerate(columns, 1))
        show_table(("#", *(f"NDCG@{k} ({name})" for name in protocols)), rows)
        if not both["agree"]:
            best = ", ".join(f"#{both[name]['best'] + 1} by {name}" for name in protocols)
            say(
                f"warning: the protocols disagree on the winner: {best}; sampled items may rank "
                "models in another order, and the full figures are those of the lists"
            )
    found = document["simple"]
    if found is not None:
        network, simple = (
            f"#{found[side] + 1} ({models[found[side]]['variant']})"
            for side in ("network", "simple")
        )
        verdict = {
            "simple": f"a simple model wins: {simple} is better than the best network, {network}",
            "network": f"no simple model wins: the best, {simple}, is worse than {network}",
            None: f"no winner: the best simple model, {simple}, and the best network, {network}, "
            "cannot be told apart",
        }[found["winner"]]
        interval = _interval(found["interval"], "+.4f") or "none"
        say(
            f"{verdict}: NDCG@{k} ({document['protocol']}) {found['difference']:+.4f}, "
            f"95 % interval {interval}"
        )


def _figure(figure: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{figure['mean']:.4f}",
        _interval(figure["interval"], ".4f"),
        "" if figure["difference"] is None else f"{figure['difference']:+.4f}",
        _interval(figure["difference_interval"], "+.4f"),
    )


def _interval(interval: Sequence[float] | None, form: str) -> str:
    return "" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"
