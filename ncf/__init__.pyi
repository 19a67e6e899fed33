from ncf.api.bundles import Bundle as Bundle
from ncf.api.comparison import Comparison as Comparison
from ncf.api.comparison import compare as compare
from ncf.api.data import Data as Data
from ncf.api.data import fetch as fetch
from ncf.api.data import open_data as open_data
from ncf.api.data import prepare as prepare
from ncf.api.evaluation import Evaluation as Evaluation
from ncf.api.evaluation import evaluate as evaluate
from ncf.api.exports import export as export
from ncf.api.exports import export_triton as export_triton
from ncf.api.figures import Figures as Figures
from ncf.api.growth import add_items as add_items
from ncf.api.models import Model as Model
from ncf.api.models import open_model as open_model
from ncf.api.opening import open_bundle as open_bundle
from ncf.api.plans import commit_batch as commit_batch
from ncf.api.plans import plan_batch as plan_batch
from ncf.api.plans import work_batch as work_batch
from ncf.api.runs import Run as Run
from ncf.api.runs import batch as batch
from ncf.api.runs import read_latest as read_latest
from ncf.api.training import train as train
from ncf.api.tuning import tune as tune
from ncf.api.verification import verify as verify
from ncf.version import __version__ as __version__

__all__: list[str]
