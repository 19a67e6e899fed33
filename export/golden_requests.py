"""Choose the golden requests of a bundle, and record their answers."""

import numpy as np

from ncf.policies import ColdUser
from ncf.scoring import bundle as files
from ncf.scoring.exact import ExactRanker
from ncf.scoring.fold_in_manifest import FoldInFacts
from ncf.scoring.golden import record
from ncf.scoring.queries import Request, Wishes
from ncf.scoring.recommend import Recommender

_GOLDEN_USERS = 8
_GOLDEN_K = 10
_GOLDEN_HISTORY = 10
_STRANGER = "\N{BULLET} a user whom no data holds"


def golden_content(bundle: files.Bundle) -> bytes:
    """Answer for some trained users, and for strangers without and with a history."""
    trained = np.setdiff1d(np.arange(bundle.n_users), bundle.cold, assume_unique=True)
    chosen = np.linspace(0, trained.size - 1, min(_GOLDEN_USERS, trained.size)).astype(np.int64)
    users = [bundle.users.raw[index] for index in trained[chosen].tolist()]
    if bundle.manifest.cold_user is ColdUser.POPULAR:
        users += [bundle.users.raw[index] for index in bundle.cold[:1].tolist()]
        users.append(_STRANGER)
    requests = [Request(user, Wishes()) for user in users]
    facts = bundle.manifest.fold_in
    if isinstance(facts, FoldInFacts):
        longest = bundle.seen.of(int(bundle.seen.counts(trained).argmax()))
        for length in (facts.min_history, _GOLDEN_HISTORY):
            items = tuple(bundle.items.raw[item] for item in longest[:length].tolist())
            requests.append(Request(_STRANGER, Wishes(history=items)))
    return record(Recommender(bundle, ExactRanker.open(bundle)), requests, _GOLDEN_K)
